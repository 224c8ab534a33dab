"""TLS over another transport: what the pipe between the two does, case by case."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support import engine
from tests.support.wire import Recorder, turns
from tlswrite import limits
from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.asyncio.pipe import Pipe
from tlswrite.errors import TruncationError, WantReadError, ZeroReturnError

DATA = bytes(at * 7 % 251 for at in range(300_000))


class Lower(asyncio.Transport):
    """A transport that is moved by the test: it takes what it is told to take, and keeps it."""

    def __init__(self, protocol: Any, *, half_close: bool = True) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = bytearray()
        self.room: int | None = None  # bytes taken at once; None: all
        self.waiting = bytearray()
        self.reading = True
        self.closing = False
        self.calls: list[str] = []
        self.paused = False
        self.high = 64 * 1024
        self.half_close = half_close
        protocol.connection_made(self)

    # What a protocol asks.

    def write(self, data: Any) -> None:
        assert type(data) is bytes
        self.waiting += data
        self.take()

    def take(self, count: int | None = None) -> None:
        """Get rid of `count` bytes, or as many as there is room for."""
        size = len(self.waiting) if self.room is None else min(self.room, len(self.waiting))
        size = size if count is None else count
        self.written += self.waiting[:size]
        del self.waiting[:size]
        if len(self.waiting) > self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()
        elif self.paused and not self.waiting:
            self.paused = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self.high = high

    def can_write_eof(self) -> bool:
        return self.half_close

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.calls.append("close")
        self.lose(None)

    def abort(self) -> None:
        self.calls.append("abort")
        self.lose(None)

    def lose(self, exc: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, exc)


class Rig:
    """A client's layered transport over a transport that the test moves, and the server's engine."""

    def __init__(self, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        self.pipe = Pipe(loop)
        self.lower = Lower(self.pipe, **options)
        self.recorder = Recorder()
        self.server = engine.server()
        self.waiter = loop.create_future()
        self.transport = LayeredTransport(loop, self.pipe, self.recorder, engine.client(), waiter=self.waiter)

    async def connect(self) -> None:
        self.transport.start()
        for _ in range(3):
            self.to_server()
            try:
                self.server.do_handshake()
            except WantReadError:
                pass
            self.to_client()
            await turns()
        await self.waiter
        self.to_server()

    def to_server(self) -> None:
        self.server.bio_write(bytes(self.lower.written))
        self.lower.written.clear()

    def to_client(self) -> None:
        while data := self.server.bio_read():
            self.pipe.data_received(data)

    def server_reads(self) -> bytes:
        self.to_server()
        data = b""
        try:
            while True:
                data += self.server.read(65536)
        except WantReadError:
            return data

    async def end(self) -> None:
        self.transport.abort()
        await turns()


@pytest.fixture
async def rig() -> Any:
    made = Rig()
    await made.connect()
    yield made
    await made.end()


async def test_data_both_ways(rig: Rig) -> None:
    rig.transport.write(DATA)
    await turns(20)
    assert rig.server_reads() == DATA
    rig.server.write(b"hello")
    rig.to_client()
    assert rig.recorder.data == b"hello"


@pytest.mark.parametrize("size", [1, 2, 7, 100])
async def test_input_in_small_pieces(size: int, rig: Rig) -> None:
    rig.server.write(DATA[:1000])
    data = rig.server.bio_read()
    for at in range(0, len(data), size):
        rig.pipe.data_received(data[at : at + size])
    assert rig.recorder.data == DATA[:1000]


async def test_nothing_is_read_below_while_reading_is_paused(rig: Rig) -> None:
    rig.transport.pause_reading()
    while rig.lower.reading:
        rig.server.write(DATA[:16384])
        rig.to_client()
    assert rig.transport._core._held_size >= limits.PAUSED_READ_LIMIT
    assert rig.recorder.data == b""
    rig.transport.resume_reading()
    await turns()
    assert rig.lower.reading
    assert len(rig.recorder.data) == rig.server.send_path.committed


async def test_the_protocol_pauses_until_the_transport_below_is_empty(rig: Rig) -> None:
    rig.lower.room = 0
    rig.transport.write(DATA)
    assert rig.recorder.calls[-1] == "pause_writing"
    size = rig.transport.get_write_buffer_size()
    assert size >= len(DATA)
    rig.lower.take(1000)
    assert rig.transport.get_write_buffer_size() == size - 1000
    rig.lower.room = None
    rig.lower.take()
    await turns(20)
    assert rig.recorder.calls[-1] == "resume_writing"
    assert rig.recorder.calls.count("pause_writing") == 1
    assert rig.server_reads() == DATA


async def test_what_the_transport_below_holds_is_bounded(rig: Rig) -> None:
    """Clause A02: ciphertext is sealed only when what was sealed before is gone."""
    rig.lower.room = 0
    rig.transport.write(DATA)
    await turns(20)
    assert len(rig.lower.waiting) <= limits.SEND_WINDOW + 1024
    assert rig.lower.protocol is rig.pipe


async def test_it_is_told_to_go_on_while_there_is_room(rig: Rig) -> None:
    """A budget that is used up is no reason to stand still (the pipe is level-triggered)."""
    rig.lower.room = 0
    rig.transport.write(DATA * 10)
    rig.lower.room = None
    rig.lower.take()
    await turns(100)
    assert rig.transport.get_write_buffer_size() == 0
    assert rig.server_reads() == DATA * 10


async def test_close_waits_for_the_transport_below(rig: Rig) -> None:
    rig.lower.room = 0
    rig.transport.write(DATA)
    rig.transport.close()
    await turns(20)
    assert "connection_lost" not in rig.recorder.calls
    rig.lower.room = None
    rig.lower.take()
    await turns(20)
    assert rig.recorder.lost is None
    assert rig.recorder.calls[-1] == "connection_lost"
    rig.to_server()
    assert b"".join(_all(rig.server)) == DATA
    # FIN, then patience for what the peer may still be sending.
    assert rig.lower.calls == ["write_eof"]
    rig.pipe.eof_received()
    assert rig.lower.calls == ["write_eof", "close"]


def _all(connection: Any) -> Any:
    """Application data to the end."""
    try:
        while True:
            yield connection.read(65536)
    except ZeroReturnError:
        return


async def test_lingering_ends_by_the_number_of_bytes(rig: Rig) -> None:
    rig.transport.close()
    await turns()
    assert rig.lower.calls == ["write_eof"]
    for _ in range(limits.LINGER_BYTES // len(DATA) + 1):
        rig.pipe.data_received(DATA)
    assert rig.lower.calls == ["write_eof", "close"]


async def test_lingering_ends_by_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_TIME", 0.001)
    rig.transport.close()
    async with asyncio.timeout(10):
        while "close" not in rig.lower.calls:
            await asyncio.sleep(0.001)
    assert rig.lower.calls == ["write_eof", "close"]


async def test_a_transport_below_that_cannot_be_half_closed() -> None:
    rig = Rig(half_close=False)
    await rig.connect()
    rig.transport.close()
    await turns()
    assert rig.lower.calls == ["close"]
    assert rig.recorder.calls[-1] == "connection_lost"


async def test_abort_goes_down(rig: Rig) -> None:
    rig.transport.abort()
    await turns()
    assert rig.lower.calls == ["abort"]
    assert rig.recorder.lost is None


async def test_the_cause_comes_up(rig: Rig) -> None:
    cause = BrokenPipeError("the cable")
    rig.lower.lose(cause)
    await turns()
    assert rig.recorder.lost is cause
    assert rig.transport.is_closing()


async def test_a_cause_that_is_no_os_error(rig: Rig) -> None:
    rig.lower.lose(RuntimeError("a fault"))
    await turns()
    assert isinstance(rig.recorder.lost, ConnectionAbortedError)
    assert str(rig.recorder.lost) == "a fault"


async def test_an_end_below_without_close_notify_is_a_truncation(rig: Rig) -> None:
    rig.pipe.eof_received()
    await turns()
    assert isinstance(rig.recorder.lost, TruncationError)


async def test_lost_with_bytes_unsent_is_no_clean_close(rig: Rig) -> None:
    rig.lower.room = 0
    rig.transport.close()
    await turns()
    assert rig.lower.waiting
    rig.lower.lose(None)
    await turns()
    assert isinstance(rig.recorder.lost, ConnectionResetError)
    assert "before all was sent" in str(rig.recorder.lost)


async def test_a_transport_below_that_closes_makes_no_busy_loop(rig: Rig) -> None:
    rig.lower.closing = True  # and its connection_lost is yet to come
    rig.transport.write(DATA)
    run = rig.pipe._run
    calls = []
    rig.pipe._run = lambda callback: calls.append(callback) or run(callback)  # type: ignore[method-assign]
    await turns(50)
    assert len(calls) <= 2
    rig.pipe.connection_lost(None)
    await turns()
    assert rig.recorder.calls[-1] == "connection_lost"

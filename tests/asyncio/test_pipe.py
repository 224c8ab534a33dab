"""TLS over another transport: what the pipe between the two does, case by case."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.rig import Rig
from tests.support.wire import turns
from tlswrite import limits
from tlswrite.errors import TruncationError, ZeroReturnError

DATA = bytes(at * 7 % 251 for at in range(300_000))


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
            await turns(1)
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

"""Renegotiation and key updates in the middle of writes, on the transport: nobody notices."""

from __future__ import annotations

import hashlib
import tracemalloc
from typing import Any

import pytest

from tests.support.engine import ONLY_1_2
from tests.support.wire import (
    BufferedRecorder,
    Joined,
    Recorder,
    join,
    meter_of,
    turns,
)
from tlswrite import limits
from tlswrite.errors import AlertReceived, CallerError, ZeroReturnError

BIG = bytes(at * 11 % 253 for at in range(3_000_017))
SMALL_BUFFER = 8192
MIB = 1 << 20


async def join12(
    client: Any = None, server: Any = None, *, server_fields: dict[str, Any] | None = None, **options: Any
) -> Joined:
    return await join(
        client,
        server,
        client_fields=dict(ONLY_1_2),
        server_fields={**ONLY_1_2, **(server_fields or {})},
        **options,
    )


def connection_of(recorder: Any) -> Any:
    return recorder.transport.get_extra_info("ssl_object")


class Nothing:
    """In the place of a record of all bytes that were sent."""

    def __iadd__(self, piece: object) -> Nothing:
        return self


class Asking(Recorder):
    """Asks for new keys each time so many bytes have come, `times` times; keeps no data but its hash."""

    def __init__(self, every: int, times: int, *, request: str) -> None:
        super().__init__()
        self.every = every
        self.left = times
        self.request = request
        self.size = 0
        self.asked = 0
        self.hash = hashlib.sha256()
        self.openers: set[int] = set()

    def data_received(self, data: bytes) -> None:
        self.hash.update(data)
        self.size += len(data)
        self.openers.add(id(self.transport._core._connection.receive_path._opener))
        if self.left and self.size >= (self.asked + 1) * self.every:
            self.left -= 1
            self.asked += 1
            if self.request == "renegotiate":
                self.transport.renegotiate()
            else:
                self.transport.key_update(request_peer=True)
        self.note("data")


# ---- W04, W05, W09, A06: a large write, the peer asks for 20 new keys, reading is paused ----


@pytest.mark.parametrize("writer", ["client", "server"])
@pytest.mark.parametrize("request_kind", ["renegotiate", "key_update"])
async def test_w04_w05_w09_a06_64_mib_under_twenty_new_keys_with_reading_paused(
    request_kind: str, writer: str
) -> None:
    size, times = 64 * MIB, 20
    asking = Asking(3 * MIB, times, request=request_kind)
    other = Recorder()
    fields = dict(ONLY_1_2) if request_kind == "renegotiate" else {}
    client, server = (other, asking) if writer == "client" else (asking, other)
    joined = await join(
        client,
        server,
        client_fields=fields,
        server_fields={**fields, "allow_client_renegotiation": True},
        tcp=True,
    )
    writing = other.transport
    writing.pause_reading()
    data = hashlib.sha256(b"64 MiB").digest() * (size // 32)
    handshakes = connection_of(other)
    before = handshakes._control.after
    joined.client_socket.sent = joined.server_socket.sent = Nothing()  # type: ignore[assignment]
    tracemalloc.start()
    try:
        writing.write(data)
        await asking.until(lambda: asking.size >= size)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert asking.asked == times and asking.size == size
    assert asking.hash.digest() == hashlib.sha256(data).digest()
    # Neither side held more than its send window, a read, and what little the handshakes are.
    assert handshakes.send_path.most_held <= limits.SEND_WINDOW
    assert most < 8 * MIB
    assert other.data == b""
    if request_kind == "renegotiate":
        # A write wanted READ in the middle, and handshakes took the place of handshakes.
        assert handshakes.send_path.read_wants > 0
        assert handshakes._control.after is not before
    writing.resume_reading()
    asking.transport.write(b"the end")
    assert await other.got(7) == b"the end"
    await joined.close()


@pytest.mark.parametrize("who", ["client", "server"])
async def test_w04_large_writes_in_flight_in_both_directions(who: str) -> None:
    joined = await join12(server_fields={"allow_client_renegotiation": True}, buffer=SMALL_BUFFER)
    asking = getattr(joined, who)
    joined.client.transport.write(BIG)
    joined.server.transport.write(BIG[::-1])
    for part in range(1, 9):
        await asking.until(lambda part=part: len(asking.data) >= part * len(BIG) // 10)
        asking.transport.renegotiate()
    await joined.server.until(lambda: len(joined.server.data) >= len(BIG))
    await joined.client.until(lambda: len(joined.client.data) >= len(BIG))
    assert joined.server.data == BIG
    assert joined.client.data == BIG[::-1]
    assert connection_of(joined.client)._control.renegotiating is False
    await joined.close()


async def test_w04_a_buffered_protocol() -> None:
    joined = await join12(BufferedRecorder(70_000), BufferedRecorder(20_000))
    joined.client.transport.write(BIG)
    joined.server.transport.renegotiate()
    joined.server.transport.write(BIG)
    await joined.server.until(lambda: len(joined.server.data) >= len(BIG))
    await joined.client.until(lambda: len(joined.client.data) >= len(BIG))
    assert joined.server.data == joined.client.data == BIG
    await joined.close()


# ---- W09, W10: what a write that wants READ registers ----


async def test_w09_w10_a_write_that_wants_read_watches_for_reading_alone() -> None:
    joined = await join12()
    transport = joined.client.transport
    transport.pause_reading()
    hold(joined.server)
    joined.server.transport.renegotiate()
    await turns(5)
    connection = connection_of(joined.client)
    assert connection.state == "WAIT_SH" and connection.send_path.held
    meter = meter_of(transport)
    meter.reset()
    transport.write(b"waits " * 1000)
    transport.write(b"and waits")
    text = repr(transport)
    assert "read=polling" in text and "write=<idle, bufsize=6009>" in text
    await turns(20)
    # No busy loop: nothing was tried while nothing came.
    assert meter.sends == [] and meter.reads == 0
    assert transport.get_write_buffer_size() == 6009
    release(joined.server)
    await joined.server.got(6009)
    assert transport.get_write_buffer_size() == 0
    await joined.close()


def hold(recorder: Any) -> None:
    """The transport does not look at its socket."""
    recorder.transport._core._ignore_reads()


def release(recorder: Any) -> None:
    recorder.transport._core._watch_reads()


async def test_a06_what_comes_before_the_handshake_is_held_while_reading_is_paused_and_bounded() -> None:
    joined = await join12()
    client, server = joined.client.transport, joined.server.transport
    client.pause_reading()
    server.write(BIG)
    await turns(50)
    server.renegotiate()
    client.write(b"behind the handshake")
    await turns(50)
    assert client._core._held_size < 2 * limits.PAUSED_READ_LIMIT + limits.READ_BUDGET
    assert joined.client.data == b""
    client.resume_reading()
    await joined.client.until(lambda: len(joined.client.data) >= len(BIG))
    assert joined.client.data == BIG
    assert await joined.server.got(20) == b"behind the handshake"
    await joined.close()


# ---- A08: closing in the middle of it ----


async def test_a08_close_sends_what_waits_for_the_handshake() -> None:
    joined = await join12()
    hold(joined.server)
    joined.server.transport.renegotiate()
    await turns(5)
    transport = joined.client.transport
    transport.write(BIG)
    transport.close()
    assert transport.is_closing()
    await turns(5)
    assert "connection_lost" not in joined.client.calls
    joined.server.transport.write(b"nobody listens any more")
    release(joined.server)
    assert await joined.client.gone() is None
    await joined.server.until(lambda: "eof_received" in joined.server.calls)
    assert joined.server.data == BIG
    assert joined.client.data == b""
    await joined.server.gone()


async def test_a08_close_with_the_handshake_left_in_a_pause() -> None:
    joined = await join12()
    client, server = joined.client.transport, joined.server.transport
    client.pause_reading()
    server.write(BIG[: 4 * limits.PAUSED_READ_LIMIT])
    server.renegotiate()
    client.write(b"last words")
    await turns(30)
    client.write(b" and more")
    client.close()
    assert await joined.client.gone() is None
    assert await joined.server.got(19) == b"last words and more"
    await joined.server.gone()


async def test_a08_a_peer_that_closes_instead_is_the_cause() -> None:
    joined = await join12()
    hold(joined.server)
    joined.server.transport.renegotiate()
    await turns(5)
    joined.client.transport.write(b"never sent")
    joined.server.transport.close()
    error = await joined.client.gone()
    assert isinstance(error, ZeroReturnError) and "10 bytes were not sent" in str(error)
    await joined.server.gone()


async def test_a_renegotiation_that_fails_ends_the_connection_with_its_cause() -> None:
    joined = await join12()
    last = connection_of(joined.server)._control.after._last
    last.server_verify_data = bytes(12)
    joined.server.transport.renegotiate()
    joined.client.transport.write(BIG)
    assert "renegotiation_info" in str(await joined.client.gone())
    assert isinstance(await joined.server.gone(), AlertReceived)


# ---- one direction alone: TLS 1.3 has it, TLS 1.2 has not ----


async def test_tls_1_2_closes_both_directions_at_once() -> None:
    # RFC 5246 §7.2.1.
    joined = await join12(Recorder(eof_received=lambda recorder: True))
    transport = joined.client.transport
    assert not transport.can_write_eof()
    with pytest.raises(NotImplementedError, match="close"):
        transport.write_eof()
    transport.write(b"still open")
    assert await joined.server.got(10)
    joined.server.transport.close()
    assert await joined.client.gone() is None
    assert joined.client.calls[-2:] == ["eof_received", "connection_lost"]
    await joined.server.gone()


async def test_calls_that_the_version_does_not_have() -> None:
    joined = await join12()
    with pytest.raises(CallerError):
        joined.client.transport.key_update()
    with pytest.raises(CallerError):
        joined.server.transport.verify_client_post_handshake()
    await joined.close()
    joined = await join()
    with pytest.raises(CallerError):
        joined.client.transport.renegotiate()
    await joined.close()

"""Input that the protocol does not get: after close, and behind a write that failed."""

from __future__ import annotations

import asyncio
import socket

from tests.support.wire import (
    face_server,
    is_reading,
    meter_of,
    reset,
    turns,
)
from tlswrite import limits
from tlswrite.errors import AlertReceived
from tlswrite.iana import AlertDescription

BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


# ---- input while closing ----


async def test_a08_input_that_fails_while_closing_is_the_cause() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER, tcp=True)
    transport.write(BIG)
    transport.close()
    transport._core._discard_input()
    reset(peer)
    assert isinstance(await recorder.gone(), ConnectionError)


async def test_a08_input_while_closing_is_thrown_away_within_bounds() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    assert transport._core._discard_left == limits.LINGER_BYTES
    transport._core._discard_left = 100_000
    transport.write(BIG)
    transport.close()
    assert is_reading(transport)
    peer.socket.setblocking(False)
    sent = 0
    while is_reading(transport):
        try:
            sent += peer.socket.send(bytes(10_000))
        except BlockingIOError:
            pass
        await asyncio.sleep(0)
    assert 100_000 <= sent < 200_000
    assert recorder.data == b""
    transport.abort()


async def test_a08_the_peers_end_while_closing_stops_reading() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    transport.close()
    peer.socket.shutdown(socket.SHUT_WR)
    while is_reading(transport):
        await asyncio.sleep(0)
    assert await peer.read_to_end() == BIG
    assert await recorder.gone() is None


async def test_a11_the_peers_alert_is_the_cause_of_a_failed_write() -> None:
    transport, recorder, peer = await face_server()
    # The peer's alert has arrived, behind data, but was not read when the write fails.
    peer.connection.write(b"some data before")
    peer.connection._control.send_alert(AlertDescription.ACCESS_DENIED)
    await peer.flush()
    peer.socket.close()
    transport.write(b"too late")
    exc = await recorder.gone()
    assert isinstance(exc, AlertReceived)
    assert exc.received == AlertDescription.ACCESS_DENIED


async def test_a11_what_is_left_of_input_that_was_thrown_away_is_no_cause() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    transport.close()
    # A record in two pieces: close() throws the first away, the second is there when the write fails.
    peer.connection.write(bytes(4000))
    record = peer.connection.bio_read()
    peer.socket.send(record[:1000])
    meter = meter_of(transport)
    reads = meter.reads
    while meter.reads == reads:
        await asyncio.sleep(0)
    failure = meter.failure = BrokenPipeError("gone")
    peer.socket.send(record[1000:])
    transport._core._on_writable()
    assert await recorder.gone() is failure


async def test_a11_the_search_for_the_peers_alert_is_bounded() -> None:
    transport, recorder, peer = await face_server(tcp=True)
    transport._core._ignore_reads()
    sending = asyncio.create_task(peer.send(BIG))
    await turns(100)
    failure = BrokenPipeError("gone")
    meter_of(transport).failure = failure
    transport.write(b"x")
    assert await recorder.gone() is failure
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)

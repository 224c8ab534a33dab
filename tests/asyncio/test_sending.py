"""Awaited writes: their result, their cancellation, their end (clause A10)."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.wire import face_server, join, meter_of, settled

BIG = bytes(at * 7 % 251 for at in range(700_001))
SMALL_BUFFER = 8192


async def test_a10_w19_the_result_is_the_number_of_bytes() -> None:
    joined = await join(buffer=SMALL_BUFFER)
    for data in (b"small", bytearray(BIG), memoryview(BIG)):
        sending = joined.client.transport.sendall(data)
        assert await sending == len(data)
        # Again, it is the same.
        assert await sending == sending.committed == len(data)
        assert sending.done
    assert await joined.server.got(5 + 2 * len(BIG)) == b"small" + BIG + BIG
    assert joined.client.transport.get_write_buffer_size() == 0
    await joined.close()


async def test_a10_a_small_write_is_done_at_once() -> None:
    joined = await join()
    sending = joined.client.transport.sendall(b"hello")
    assert sending.done
    assert repr(sending) == "<Sending 5 of 5 bytes, done>"
    await joined.close()


async def test_a10_not_awaited_it_is_a_write() -> None:
    joined = await join(buffer=SMALL_BUFFER)
    joined.client.transport.sendall(BIG)
    assert await joined.server.got(len(BIG)) == BIG
    await joined.close()


async def test_a10_a_write_is_awaited_by_one_task() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    sending = transport.sendall(BIG)
    task = asyncio.create_task(settled(sending))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="awaited already"):
        await sending
    assert await peer.read(len(BIG)) == BIG
    assert await task == len(BIG)
    transport.abort()


async def test_a10_a_lost_connection_ends_the_wait() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    sending = transport.sendall(BIG)
    task = asyncio.create_task(settled(sending))
    ignored = transport.sendall(b"nobody waits")
    await asyncio.sleep(0)
    transport.abort()
    with pytest.raises(ConnectionResetError, match="closed"):
        await task
    assert 0 < sending.committed < len(BIG)
    assert ignored.done
    assert await recorder.gone() is None
    with pytest.raises(ConnectionResetError, match="closed"):
        transport.sendall(b"x")
    del peer


async def test_a10_the_true_cause_reaches_the_waiter() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    task = asyncio.create_task(settled(transport.sendall(BIG)))
    await asyncio.sleep(0)
    failure = BrokenPipeError("gone")
    meter_of(transport).failure = failure
    await peer.receive()
    with pytest.raises(BrokenPipeError) as caught:
        await task
    assert caught.value is failure
    assert await recorder.gone() is failure


async def test_a10_a_socket_that_breaks_at_once() -> None:
    joined = await join()
    joined.client_socket.failure = OSError(112, "Host is down")
    sending = joined.client.transport.sendall(b"x")
    with pytest.raises(ConnectionResetError, match="lost"):
        await sending
    await joined.client.gone()
    await joined.server.gone()

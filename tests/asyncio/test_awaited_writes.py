"""Awaited writes in the stream: what is cancelled is cut out, what is closed is sent (clause A10)."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support.wire import cancel, face_server, meter_of, settled, turns
from tlswrite.config import Mode

BIG = bytes(at * 7 % 251 for at in range(700_001))
SMALL_BUFFER = 8192


@pytest.mark.parametrize("mode", [Mode.AUTO_RETRY, Mode.ENABLE_PARTIAL_WRITE], ids=["whole", "partial"])
@pytest.mark.parametrize("read_before", [0, 50_000, 300_000])
async def test_a10_a_cancelled_write_leaves_the_stream_whole(read_before: int, mode: Mode) -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    transport._core._send_path.partial = bool(mode & Mode.ENABLE_PARTIAL_WRITE)
    sending = transport.sendall(BIG)
    task = asyncio.create_task(settled(sending))
    start = await peer.read(read_before) if read_before else b""
    await turns(1)
    assert not sending.done
    assert repr(sending) == f"<Sending {sending.committed} of {len(BIG)} bytes, under way>"
    await cancel(task)
    committed = sending.committed
    assert sending.done
    assert read_before <= committed < len(BIG)
    assert transport.committed == committed
    transport.write(b"goes on")
    rest = await peer.read(committed + 7 - read_before)
    assert start + rest == BIG[:committed] + b"goes on"
    await turns()
    assert transport.get_write_buffer_size() == 0
    assert await transport.sendall(b"and on") == 6
    assert await peer.read(6) == b"and on"
    transport.abort()


async def test_a10_a_timeout_tells_what_is_left_to_send() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    sending = transport.sendall(BIG)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await sending
    transport.write(BIG[sending.committed :])
    assert await peer.read(len(BIG)) == BIG
    transport.abort()


async def test_a10_cancelling_one_of_many_moves_the_others_up() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    chosen = random.Random(9)
    for _ in range(30):
        parts = [bytes([65 + number]) * chosen.randrange(1, 60_000) for number in range(8)]
        sendings = [transport.sendall(part) for part in parts]
        tasks = [asyncio.create_task(settled(sending)) for sending in sendings]
        await asyncio.sleep(0)
        received = b""
        victims = chosen.sample(range(8), 4)
        for victim in victims:
            if not sendings[victim].done:
                await cancel(tasks[victim])
            if chosen.random() < 0.5:
                received += await peer.read(1)
        expected = b""
        for number, part in enumerate(parts):
            kept = sendings[number].committed if number in victims else len(part)
            expected += part[:kept]
        received += await peer.read(len(expected) - len(received))
        assert received == expected
        for number, task in enumerate(tasks):
            if number not in victims:
                assert await task == len(parts[number])
        assert transport.get_write_buffer_size() == 0
        assert transport._core._sendings is None
    transport.abort()


async def test_a10_cancelling_a_write_that_was_never_begun_takes_it_back() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    first = transport.sendall(BIG)
    second = transport.sendall(b"never" * 100_000)
    task = asyncio.create_task(settled(second))
    await asyncio.sleep(0)
    size = transport.get_write_buffer_size()
    await cancel(task)
    assert second.committed == 0
    assert transport.get_write_buffer_size() == size - 500_000
    assert await peer.read(len(BIG)) == BIG
    assert await first == len(BIG)
    assert recorder.calls == ["connection_made", "pause_writing", "resume_writing"]
    transport.abort()


async def test_a10_cancelling_the_only_write_resumes_the_protocol() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(b"x" * 70_000)
    await peer.read(60_000)
    transport.set_write_buffer_limits(high=50_000)
    sending = transport.sendall(BIG)
    task = asyncio.create_task(settled(sending))
    await asyncio.sleep(0)
    assert recorder.calls[-1] == "pause_writing"
    await cancel(task)
    await peer.read(10_000 + sending.committed)
    await turns()
    assert recorder.calls[-1] == "resume_writing"
    transport.abort()


async def test_a10_cancelled_when_all_is_sealed() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    meter_of(transport).room = 10
    sending = transport.sendall(b"sealed and not sent")
    assert not sending.done
    task = asyncio.create_task(settled(sending))
    await asyncio.sleep(0)
    await cancel(task)
    assert sending.committed == 19
    meter_of(transport).room = None
    assert await peer.read(19) == b"sealed and not sent"
    transport.abort()


async def test_a10_cancelled_and_lost_at_once() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    sending = transport.sendall(BIG)
    task = asyncio.create_task(settled(sending))
    await asyncio.sleep(0)
    task.cancel()
    transport.abort()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 < sending.committed < len(BIG)
    await recorder.gone()
    del peer


async def test_a10_close_sends_an_awaited_write() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    task = asyncio.create_task(settled(transport.sendall(BIG)))
    await asyncio.sleep(0)
    transport.close()
    assert await peer.read_to_end() == BIG
    assert await task == len(BIG)
    assert await recorder.gone() is None

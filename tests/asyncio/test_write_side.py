"""The write side: what leaves when, in how many records and sends, and what waits meanwhile."""

from __future__ import annotations

import array
import asyncio
import logging
import mmap
from collections import deque
from typing import Any

import pytest

from tests.support import engine
from tests.support.records import split
from tests.support.wire import (
    Complaints,
    Joined,
    Peer,
    Recorder,
    face_server,
    join,
    meter_of,
    settled,
    socket_pair,
    turns,
)
from tlswrite import limits
from tlswrite.asyncio import Transport, backlog, write_side
from tlswrite.config import Mode
from tlswrite.connection import TLSConnection

WHOLE = limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD
BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


@pytest.fixture
def gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, the second write is soon after the first."""
    monkeypatch.setattr(write_side, "GATHER_TIME", 3600.0)


def waits_for(transport: Any) -> str:
    """Which readiness the transport has asked the loop for."""
    shown = repr(transport)
    reading, writing = "read=polling" in shown, "write=<polling" in shown
    return " ".join(name for name, on in (("read", reading), ("write", writing)) if on)


async def drain(joined: Joined, size: int) -> None:
    assert await joined.server.got(size)
    await joined.close()


# ---- W01, W12, W18, W19: what a write takes, and what it says ------------------------------------------


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 4096)
    memory[:] = bytes(range(256)) * 16
    return memory


class Bytes(bytes):
    pass


@pytest.mark.parametrize("queued", [False, True], ids=["idle", "queued"])
@pytest.mark.parametrize(
    "data",
    [
        b"plain",
        Bytes(b"a subclass"),
        bytearray(b"bytearray"),
        bytearray(BIG[:200_000]),
        memoryview(b"read-only"),
        memoryview(array.array("I", [1, 2, 3])),
        array.array("d", [1.5, 2.5]),
        mapped(),
        memoryview(bytes(24)).cast("B", (2, 3, 4)),
    ],
    ids=lambda data: type(data).__name__,
)
async def test_w01_write_takes_any_contiguous_buffer(data: Any, queued: bool, gathering: None) -> None:
    joined = await join()
    expected = bytes(memoryview(data).cast("B"))
    if queued:
        joined.client.transport.write(b"first")
        expected = b"first" + expected
    joined.client.transport.write(data)
    assert await joined.server.got(len(expected)) == expected
    await joined.close()


@pytest.mark.parametrize("data", ["text", 5, None, [b"list"]])
async def test_w01_what_is_no_buffer_is_a_type_error(data: Any) -> None:
    joined = await join()
    with pytest.raises(TypeError, match="data argument must be a bytes-like object, not"):
        joined.client.transport.write(data)
    with pytest.raises(TypeError, match="data argument must be a bytes-like object, not"):
        joined.client.transport.sendall(data)
    joined.client.transport.write(b"unharmed")
    assert await joined.server.got(8) == b"unharmed"
    await joined.close()


async def test_w01_a_view_with_gaps_is_refused() -> None:
    joined = await join()
    with pytest.raises(BufferError, match="not contiguous"):
        joined.client.transport.write(memoryview(b"abcdef")[::2])
    await joined.close()


async def test_w12_w19_a_write_arrives_whole_and_is_counted() -> None:
    joined = await join()
    assert joined.client.transport.committed == 0
    joined.client.transport.write(BIG)
    assert await joined.client.transport.sendall(b"end") == 3
    assert joined.client.transport.committed == len(BIG) + 3
    assert await joined.server.got(len(BIG) + 3) == BIG + b"end"
    await joined.close()


async def test_w18_an_empty_write_puts_nothing_on_the_wire(gathering: None) -> None:
    joined = await join()
    transport = joined.client.transport
    for empty in (b"", bytearray(), memoryview(b"")):
        transport.write(empty)
    transport.writelines([])
    assert await transport.sendall(b"") == 0
    await turns()
    assert joined.client_socket.sends == []
    assert transport.get_write_buffer_size() == 0
    # Nor is it the first write that makes the next one wait.
    transport.write(b"x")
    assert len(joined.client_socket.sends) == 1
    await drain(joined, 1)


# ---- W08, W10, A01: wants become readiness callbacks ------------------------------------------------


async def test_w08_a_full_socket_waits_for_writability() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    assert waits_for(transport) == "read"
    transport.write(BIG)
    assert waits_for(transport) == "read write"
    assert await peer.read(len(BIG)) == BIG
    await turns()
    assert waits_for(transport) == "read"
    transport.abort()


async def test_w08_w02_a_write_in_the_handshake_waits_for_the_peer() -> None:
    recorder = Recorder()
    ours, theirs = socket_pair()
    peer = Peer(engine.server(), theirs)
    connection = TLSConnection(engine.client_config(), server_hostname=engine.HOST)
    transport = Transport(asyncio.get_running_loop(), ours, recorder, connection)
    transport.start()
    transport.write(b"early ")
    transport.write(bytearray(b"data"))
    assert waits_for(transport) == "read"
    assert transport.get_write_buffer_size() == 10
    assert transport.committed == 0
    await peer.handshake()
    assert await peer.read(10) == b"early data"
    assert recorder.calls == ["connection_made"]
    transport.abort()


async def test_w10_no_busy_loop_and_no_lost_wakeup() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    meter = meter_of(transport)
    transport.write(BIG)
    meter.reset()
    await turns(50)
    # Nobody reads: the socket stays full, and nothing tries.
    assert (meter.sends, meter.refused, meter.reads) == ([], 0, 0)
    assert await peer.read(len(BIG)) == BIG
    await turns(3)
    meter.reset()
    await turns(50)
    # All is sent: nothing is tried any more.
    assert (meter.sends, meter.refused, meter.reads) == ([], 0, 0)
    transport.abort()


async def test_a01_the_pending_write_is_retried_with_identical_arguments() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    calls: list[object] = []
    seal = transport._core._seal

    def watched(data: Any) -> int:
        calls.append(data)
        return seal(data)

    transport._core._seal = watched
    transport.write(BIG)
    tail = bytes(70_000)
    transport.write(tail)
    assert await peer.read(len(BIG) + len(tail)) == BIG + tail
    assert len(calls) > len(BIG) // limits.SEND_WINDOW
    assert {id(call) for call in calls} == {id(BIG), id(tail)}
    transport.abort()


async def test_a01_w17_short_sends_lose_and_repeat_nothing() -> None:
    joined = await join()
    joined.client_socket.most = 1009
    for at in range(0, len(BIG), 100_000):
        joined.client.transport.write(BIG[at : at + 100_000])
    assert await joined.server.got(len(BIG)) == BIG
    # A record that was sealed is sent once: as many sequence numbers as records, all opened in order.
    assert sum(map(len, split(bytes(joined.client_socket.sent)))) == sum(joined.client_socket.sends)
    await joined.close()


async def test_w17_partial_mode_changes_nothing_that_the_peer_sees() -> None:
    joined = await join(
        client_fields={"mode": Mode.ENABLE_PARTIAL_WRITE | Mode.ACCEPT_MOVING_WRITE_BUFFER},
        buffer=SMALL_BUFFER,
    )
    joined.client.transport.write(BIG)
    joined.client.transport.write(bytearray(b"end"))
    assert await joined.server.got(len(BIG) + 3) == BIG + b"end"
    await joined.close()


@pytest.mark.parametrize("size", [10, 40_000])
@pytest.mark.parametrize("room", [0, 7])
async def test_a01_w08_a_write_that_is_taken_in_part_or_not_at_all(room: int, size: int) -> None:
    joined = await join()
    joined.client_socket.room = room
    transport = joined.client.transport
    transport.write(BIG[:size])
    assert waits_for(transport) == "read write"
    assert transport.get_write_buffer_size() > size - room
    joined.client_socket.room = None
    assert await joined.server.got(size) == BIG[:size]
    assert waits_for(transport) == "read"
    await joined.close()


@pytest.mark.parametrize("high", [10_000, 64 * 1024, 1_000_000])
@pytest.mark.parametrize("size", [1, 100, 1024, 16383])
async def test_a05_gathering_pauses_where_the_mark_is(high: int, size: int) -> None:
    """Small writes take a short cut while they are gathered: order, marks and limits are as without it."""
    joined = await join(tcp=True)
    transport, recorder = joined.client.transport, joined.client
    transport.set_write_buffer_limits(high=high)
    count = min(2 * high, 200_000) // size + 2
    expected = bytearray(b"first")
    transport.write(bytes(expected))
    # The next ones are gathered; the socket is met when they are flushed.
    joined.client_socket.room = 0
    paused_at = 0
    for number in range(count):
        data = bytes([number % 251]) * size
        transport.write(data)
        expected += data
        waiting = transport.get_write_buffer_size()
        assert waiting >= len(expected) - 5
        if not paused_at and recorder.calls[-1] == "pause_writing":
            paused_at = waiting
    if waiting > high:
        assert paused_at > high
        assert paused_at - size <= high + limits.RECORD_OVERHEAD * (limits.WINDOW_RECORDS + 2)
    else:
        assert not paused_at
    joined.client_socket.room = None
    await joined.server.until(lambda: len(joined.server.data) == len(expected))
    assert joined.server.data == expected
    await joined.close()


@pytest.mark.parametrize("between", ["limits", "eof", "close", "abort", "cancel", "key_update"])
async def test_a05_what_comes_between_gathered_writes(between: str) -> None:
    joined = await join(tcp=True)
    transport = joined.client.transport
    for number in range(50):
        transport.write(b"%02d" % number)
    if between == "limits":
        transport.set_write_buffer_limits(high=90)
        assert joined.client.calls[-1] == "pause_writing"
        transport.set_write_buffer_limits(high=1000)
    elif between == "eof":
        transport.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            transport.write(b"late")
    elif between == "close":
        transport.close()
        transport.write(b"late")
    elif between == "abort":
        transport.abort()
        transport.write(b"late")
        assert await joined.client.gone() is None
        return
    elif between == "cancel":
        task = asyncio.ensure_future(settled(transport.sendall(b"withdrawn")))
        await asyncio.sleep(0)
        task.cancel()
    else:
        transport.key_update()
    if between in ("limits", "key_update", "cancel"):
        transport.write(b"end")
        transport.write_eof()
    await joined.server.until(lambda: "eof_received" in joined.server.calls)
    start = b"".join(b"%02d" % number for number in range(50))
    assert bytes(joined.server.data) in (start, start + b"end", start + b"withdrawnend")
    assert (b"end" in joined.server.data) is (between in ("limits", "key_update", "cancel"))
    await joined.close()


@pytest.mark.parametrize("size", [20_000, 50_000, len(BIG)])
async def test_one_turn_sends_no_more_than_its_budget(size: int) -> None:
    """A greedy writer and a socket that takes everything: the others get their turn."""
    joined = await join(tcp=True)
    transport = joined.client.transport
    transport.set_write_buffer_limits(high=10_000_000)
    for at in range(0, len(BIG), size):
        transport.write(BIG[at : at + size])
    assert waits_for(transport) == "read"
    for turn in range(1, 3):
        sent = sum(joined.client_socket.sends)
        assert sent <= turn * (limits.WRITE_BUDGET + limits.SEND_WINDOW)
        # asyncio has what is due behind what is ready, which is this task.
        for _ in range(2):
            if sum(joined.client_socket.sends) == sent:
                await asyncio.sleep(0)
        assert sum(joined.client_socket.sends) > sent
    # Written meanwhile, it goes behind.
    transport.write(b"small")
    transport.write(bytearray(b"more"))
    transport.write(bytes(30_000))
    assert await joined.server.got(len(BIG) + 30_009) == BIG + b"smallmore" + bytes(30_000)
    await joined.close()


async def test_an_event_renews_the_budget_of_a_turn() -> None:
    joined = await join(tcp=True)
    size = 0
    for _ in range(20):
        joined.client.transport.write(bytes(60_000))
        assert joined.client.transport.get_write_buffer_size() == 0
        size += 60_000
        await joined.server.until(lambda size=size: len(joined.server.data) == size)
        joined.server.transport.write(b"x")
        await joined.client.until(lambda size=size: len(joined.client.data) == size // 60_000)
    await joined.close()


async def test_a08_close_while_the_turn_is_over() -> None:
    joined = await join(tcp=True)
    joined.client.transport.write(BIG)
    joined.client.transport.close()
    await joined.server.gone()
    assert joined.server.data == BIG
    assert await joined.client.gone() is None


async def test_abort_while_the_turn_is_over() -> None:
    joined = await join(tcp=True)
    joined.client.transport.write(BIG)
    await joined.close()


# ---- A02, A03: what waits is bounded and counted ----------------------------------------------------------


async def test_a02_ciphertext_held_is_one_send_window_at_most() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    send_path = transport._core._send_path
    received = 0
    for _ in range(3):
        transport.write(BIG)
    while received < 3 * len(BIG):
        assert send_path.output_size <= limits.SEND_WINDOW
        received += len(await peer.read(min(10_000, 3 * len(BIG) - received)))
        await asyncio.sleep(0)
    assert transport.get_write_buffer_size() == 0
    transport.abort()


async def test_a03_plaintext_and_ciphertext_are_counted_once() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    transport.write(b"more")
    send_path = transport._core._send_path
    waiting = len(BIG) + 4 - send_path.committed
    assert 0 < send_path.committed < len(BIG)
    assert transport.get_write_buffer_size() == waiting + send_path.output_size
    before = transport.get_write_buffer_size()
    await peer.read(100_000)
    await turns()
    assert transport.get_write_buffer_size() < before - 60_000
    await peer.read(len(BIG) + 4 - 100_000)
    await turns()
    assert transport.get_write_buffer_size() == 0
    transport.abort()


@pytest.mark.parametrize("high", [0, 1, 5000, 64 * 1024, 3_000_000])
async def test_a03_pause_and_resume_alternate(high: int, gathering: None) -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.set_write_buffer_limits(high=high)
    assert transport.get_write_buffer_limits() == (high // 4, high)
    for size in (10, 10, 40_000, 7, 500_000, 10):
        transport.write(bytes(size))
    if high < 500_000:
        assert recorder.calls[-1] == "pause_writing"
    await peer.read(540_037)
    await turns()
    told = [call for call in recorder.calls if "writing" in call]
    assert told == ["pause_writing", "resume_writing"] * (len(told) // 2)
    assert bool(told) == (high < 500_000)
    transport.abort()


async def test_a03_a_protocol_may_write_when_it_is_resumed() -> None:
    rest = [BIG[at : at + 50_000] for at in range(0, len(BIG), 50_000)]
    data = b"".join(rest)

    def more(recorder: Recorder) -> None:
        while rest and recorder.calls[-1] != "pause_writing":
            recorder.transport.write(rest.pop(0))

    transport, recorder, peer = await face_server(Recorder(resume_writing=more), buffer=SMALL_BUFFER)
    more(recorder)
    assert rest
    assert await peer.read(len(data)) == data
    transport.abort()


async def test_a03_what_is_written_in_resume_writing_leaves_in_the_same_turn() -> None:
    def more(recorder: Recorder) -> None:
        recorder.transport.write(b"and")
        recorder.transport.write(bytearray(b"more"))

    joined = await join(client=Recorder(resume_writing=more))
    joined.client_socket.room = 100
    joined.client.transport.write(bytes(70_000))
    joined.client_socket.room = None
    joined.client.transport._core._on_writable()
    assert joined.client.transport.get_write_buffer_size() == 0
    assert await joined.server.got(70_007) == bytes(70_000) + b"andmore"
    await joined.close()


async def test_a03_drain_with_high_zero_does_not_lock() -> None:
    joined = await join()
    transport = joined.client.transport
    transport.set_write_buffer_limits(high=0)
    for _ in range(10):
        transport.write(b"x" * 100)
        await joined.client.until(lambda: not transport._core._protocol_paused)
    await drain(joined, 1000)


# ---- A04: the caller's buffers ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, limits.MAX_PLAINTEXT, 60_000, 300_000])
@pytest.mark.parametrize("queued", [False, True], ids=["idle", "queued"])
async def test_a04_a_mutable_buffer_may_be_reused(size: int, queued: bool) -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    expected = b""
    if queued:
        expected = BIG[:200_000]
        transport.write(expected)
    data = bytearray(BIG[:size])
    expected += data
    transport.write(data)
    # No view is left on it either: it can be resized.
    data[:] = b"other bytes"
    assert await peer.read(len(expected)) == expected
    transport.abort()


async def test_a04_bytes_are_queued_by_reference() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    second = bytes(1000)
    transport.write(second)
    assert transport._core._backlog is not None
    assert [id(chunk) for chunk in transport._core._backlog] == [id(BIG), id(second)]
    await peer.read(len(BIG) + 1000)
    transport.abort()


# ---- A05: many small writes -------------------------------------------------------------------------------


async def test_a05_the_first_write_of_an_idle_connection_leaves_at_once() -> None:
    joined = await join()
    joined.client.transport.write(b"now")
    assert len(joined.client_socket.sends) == 1
    assert joined.client.transport.get_write_buffer_size() == 0
    await drain(joined, 3)


async def test_a05_small_writes_share_records_and_a_send(gathering: None) -> None:
    joined = await join()
    expected = bytearray()
    for number in range(300):
        data = b"%100d" % number
        expected += data
        joined.client.transport.write(data)
    assert len(joined.client_socket.sends) == 1
    assert joined.client.transport.get_write_buffer_size() == 299 * 100
    assert await joined.server.got(len(expected)) == expected
    assert len(joined.client_socket.sends) == 2
    # One record for the first, and full records for the rest.
    records = split(bytes(joined.client_socket.sent))
    assert [len(record) - limits.RECORD_OVERHEAD for record in records] == [100, 16384, 299 * 100 - 16384]
    await joined.close()


async def test_a05_what_fills_a_window_does_not_wait(gathering: None) -> None:
    joined = await join()
    joined.client.transport.set_write_buffer_limits(high=1_000_000)
    for _ in range(2000):
        joined.client.transport.write(bytes(100))
    # The first alone, then a window at a time.
    assert joined.client_socket.sends == [
        100 + limits.RECORD_OVERHEAD,
        *[65500 + 4 * limits.RECORD_OVERHEAD] * 3,
    ]
    await drain(joined, 200_000)


async def test_a05_large_writes_are_not_gathered(gathering: None) -> None:
    joined = await join()
    for _ in range(3):
        joined.client.transport.write(bytes(limits.MAX_PLAINTEXT))
    assert len(joined.client_socket.sends) == 3
    await drain(joined, 3 * limits.MAX_PLAINTEXT)


async def test_a05_writes_of_whole_records_that_wait_leave_in_full_windows() -> None:
    transport, _, peer = await face_server(buffer=212_992)
    core = transport._core
    calls = 0
    seal = core._seal

    def watched(data: Any) -> int:
        nonlocal calls
        calls += 1
        return seal(data)

    core._seal = watched
    chunks = [bytes((number,)) * limits.MAX_PLAINTEXT for number in range(64)]
    for chunk in chunks:
        transport.write(chunk)
    assert transport.get_write_buffer_size() > 4 * limits.SEND_WINDOW
    assert await peer.read(len(chunks) * limits.MAX_PLAINTEXT) == b"".join(chunks)
    assert core._send_path.most_held <= limits.WINDOW_RECORDS * WHOLE
    # Few were written alone: where a window was not empty yet.
    assert calls < len(chunks) / 4
    transport.abort()


async def test_a05_writes_of_whole_records_wait_among_others() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    sizes = [limits.MAX_PLAINTEXT] * 9 + [11, limits.MAX_PLAINTEXT + 1, 200_000] + [limits.MAX_PLAINTEXT] * 12
    chunks = [bytes((number,)) * size for number, size in enumerate(sizes)]
    for chunk in chunks:
        transport.write(chunk)
    assert await peer.read(sum(sizes)) == b"".join(chunks)
    assert transport.committed == sum(sizes)
    transport.abort()


async def test_a05_gathering_never_pauses_the_protocol(gathering: None) -> None:
    joined = await join()
    joined.client.transport.set_write_buffer_limits(high=250)
    for _ in range(7):
        joined.client.transport.write(bytes(100))
    assert joined.client.calls == ["connection_made"]
    assert len(joined.client_socket.sends) == 3
    await drain(joined, 700)


async def test_a05_writes_in_a_callback_leave_when_it_returns(gathering: None) -> None:
    seen: list[int] = []

    def answer(recorder: Recorder, data: bytes) -> None:
        for _ in range(50):
            recorder.transport.write(b"x" * 10)
        seen.append(len(meter_of(recorder.transport).sends))

    joined = await join(server=Recorder(data_received=answer))
    joined.client.transport.write(b"ask")
    assert await joined.client.got(500)
    # The first left inside the callback, the others with one send behind it.
    assert seen == [1]
    assert len(joined.server_socket.sends) == 2
    assert joined.server.transport._core._scheduled is False
    await joined.close()


async def test_a05_writes_of_connection_made_leave_with_the_handshake() -> None:
    def greet(recorder: Recorder) -> None:
        meter = meter_of(recorder.transport)
        meter.reset()
        recorder.transport.write(b"hello ")
        recorder.transport.write(b"world")

    joined = await join(client=Recorder(connection_made=greet))
    assert await joined.server.got(11) == b"hello world"
    await joined.close()


async def test_a05_request_and_response_pay_no_extra_turn(gathering: None) -> None:
    joined = await join()
    for _ in range(3):
        size = len(joined.server.data)
        # Outside of any callback, each behind a read event: none waits.
        joined.client.transport.write(b"request")
        assert joined.client.transport.get_write_buffer_size() == 0
        await joined.server.until(lambda size=size: len(joined.server.data) == size + 7)
        joined.server.transport.write(b"response")
        assert joined.server.transport.get_write_buffer_size() == 0
        await joined.client.until(lambda size=size: len(joined.client.data) * 7 == (size + 7) * 8)
    await joined.close()


async def request(joined: Joined) -> None:
    """Input for the server, out of whose callback it is by then."""
    size = len(joined.server.data)
    joined.client.transport.write(b"request")
    await joined.server.until(lambda: len(joined.server.data) == size + 7)


async def test_a05_pairs_of_writes_are_expected_again(gathering: None) -> None:
    joined = await join()
    transport, sends = joined.server.transport, joined.server_socket.sends
    response = b""
    for number in range(4):
        await request(joined)
        before = len(sends)
        transport.write(b"head ")
        # Of the first pair nothing was known.
        assert (len(sends) > before) is (number == 0)
        transport.write(b"and body ")
        response += b"head and body "
        await turns(2)
        assert len(sends) - before == (2 if number == 0 else 1)
        assert transport.get_write_buffer_size() == 0
    assert await joined.client.got(len(response)) == response
    await joined.close()


async def test_a05_a_single_write_ends_the_expectation(gathering: None) -> None:
    joined = await join()
    transport, sends = joined.server.transport, joined.server_socket.sends
    for data in ([b"a", b"b"], [b"alone"], [b"at once"]):
        await request(joined)
        for piece in data:
            transport.write(piece)
        before = len(sends)
        await turns(2)
        # It leaves with the turn; then the next one is not kept.
        assert len(sends) - before == (0 if data == [b"at once"] else 1)
    assert await joined.client.got(14) == b"abaloneat once"
    await joined.close()


async def test_a05_an_idle_connection_expects_nothing(gathering: None) -> None:
    joined = await join()
    transport, sends = joined.server.transport, joined.server_socket.sends
    for _ in range(2):
        await request(joined)
        transport.writelines([b"a"])
        transport.write(b"b")
        await turns(2)
    await request(joined)
    # The answer takes its time, so much that what follows closely no longer does.
    transport._core._heard -= 3601
    before = len(sends)
    transport.write(b"c")
    assert len(sends) == before + 1
    assert await joined.client.got(5) == b"ababc"
    await joined.close()


async def test_a05_in_a_callback_the_first_write_leaves_whatever_is_expected(gathering: None) -> None:
    class Pairs(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            before = len(joined.server_socket.sends)
            self.transport.write(b"head ")
            assert len(joined.server_socket.sends) == before + 1
            self.transport.write(b"and body ")

    joined = await join(server=Pairs())
    for _ in range(3):
        before = len(joined.server_socket.sends)
        await request(joined)
        assert len(joined.server_socket.sends) - before == 2
        # And outside of it: this pair is expected the next time.
        joined.server.transport.write(b"more ")
        joined.server.transport.write(b"of it ")
        await turns(2)
    assert await joined.client.got(75) == b"head and body more of it " * 3
    await joined.close()


async def expecting(**fields: Any) -> Joined:
    """A server that has written one pair and heard more input: its next write is kept for another."""
    joined = await join(**fields)
    await request(joined)
    joined.server.transport.write(b"a")
    joined.server.transport.write(b"b")
    await joined.client.got(2)
    await request(joined)
    return joined


async def test_a05_what_is_kept_for_another_leaves_before_an_abort(gathering: None) -> None:
    joined = await expecting()
    joined.server.transport.write(b"goodbye")
    joined.server.transport.abort()
    assert await joined.client.got(9) == b"abgoodbye"
    await joined.close()


async def test_a05_what_is_kept_for_another_pauses_nobody(gathering: None) -> None:
    joined = await expecting()
    joined.server.transport.write(b"c")
    joined.server.transport.set_write_buffer_limits(high=0)
    assert joined.server.transport.get_write_buffer_size() == 0
    assert "pause_writing" not in joined.server.calls
    assert await joined.client.got(3) == b"abc"
    await joined.close()


async def test_a05_a_gathering_that_filled_up_is_a_pair_whatever_is_left(gathering: None) -> None:
    joined = await expecting()
    for _ in range(2):
        for _ in range(5):
            joined.server.transport.write(bytes(15_000))
        await turns(2)
        assert joined.server.transport._core._pairs
        await request(joined)
    assert await joined.client.got(150_002) == b"ab" + bytes(150_000)
    await joined.close()


@pytest.mark.parametrize("what", ["key_update", "renegotiate", "verify_client_post_handshake"])
async def test_a05_no_control_message_overtakes_what_was_gathered(what: str, gathering: None) -> None:
    client: dict[str, Any] = {}
    server: dict[str, Any] = {}
    if what == "renegotiate":
        client = server = engine.ONLY_1_2
    elif what != "key_update":
        client = {"post_handshake_auth": True, "credentials": engine.credentials(client=True)}
        server = {"trust_anchors": engine.anchors()}
    joined = await expecting(client_fields=client, server_fields=server)
    before = len(joined.server_socket.sent)
    joined.server.transport.write(b"c" * 100)
    getattr(joined.server.transport, what)()
    data, control = split(bytes(joined.server_socket.sent[before:]))
    assert 100 < len(data) < 140
    assert len(control) < 60 if what != "verify_client_post_handshake" else len(control) > 140
    assert await joined.client.got(102) == b"ab" + b"c" * 100
    await joined.close()


async def test_a05_sparse_writes_leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_side, "GATHER_TIME", -1.0)
    joined = await join()
    for number in range(1, 4):
        joined.client.transport.write(b"x")
        assert len(joined.client_socket.sends) == number
    await drain(joined, 3)


@pytest.mark.parametrize("queued", [False, True], ids=["idle", "queued"])
async def test_a05_writelines_is_one_write(queued: bool, gathering: None) -> None:
    joined = await join()
    expected = b""
    if queued:
        joined.client.transport.write(b"first ")
        expected = b"first "
    lines: list[Any] = [b"a" * 10, bytearray(b"b" * 10), memoryview(b"c" * 10)]
    joined.client.transport.writelines(lines)
    joined.client.transport.writelines(deque(lines))
    joined.client.transport.writelines(line for line in lines)
    expected += b"".join(lines) * 3
    assert await joined.server.got(len(expected)) == expected
    assert len(joined.client_socket.sends) == 2
    await joined.close()


async def test_a05_backlog_of_a_full_socket_is_joined() -> None:
    transport, _, peer = await face_server(buffer=SMALL_BUFFER)
    meter = meter_of(transport)
    transport.write(BIG)
    for number in range(1000):
        transport.write(b"%10d" % number)
    meter.sent.clear()
    assert (await peer.read(len(BIG) + 10_000)).endswith(b"%10d" % 999)
    # 1000 writes of 10 bytes went into one record.
    assert len(split(bytes(meter.sent[-10_022:]))) == 1
    transport.abort()


# ---- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 40_000, 1_000_000])
async def test_a11_a_broken_socket_ends_the_connection_with_its_cause(size: int) -> None:
    joined = await join()
    failure = OSError(112, "Host is down")
    joined.client_socket.failure = failure
    joined.client.transport.write(bytes(size))
    assert joined.client.transport.is_closing()
    assert "connection_lost" not in joined.client.calls
    assert await joined.client.gone() is failure
    assert joined.client.transport.get_write_buffer_size() == 0
    await joined.server.gone()


async def test_a11_a_socket_that_breaks_under_what_was_gathered(gathering: None) -> None:
    joined = await join()
    transport = joined.client.transport
    transport.set_write_buffer_limits(high=1_000_000)
    transport.write(b"first")
    transport.write(bytes(10_000))
    joined.client_socket.failure = BrokenPipeError("gone")
    # The window is full with this one, so it is noticed here.
    for _ in range(6):
        transport.write(bytes(10_000))
    assert transport.is_closing()
    assert transport.get_write_buffer_size() == 0
    assert await joined.client.gone() is joined.client_socket.failure
    await joined.server.gone()


async def test_a11_a_socket_that_breaks_later_ends_the_connection_too() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    failure = BrokenPipeError("broken")
    meter_of(transport).failure = failure
    await peer.receive()
    assert await recorder.gone() is failure
    peer.socket.close()


@pytest.mark.parametrize("mode", [Mode.AUTO_RETRY, Mode.ENABLE_PARTIAL_WRITE])
async def test_a04_a_mutable_buffer_in_small_records_may_fill_the_window(mode: Mode) -> None:
    joined = await join(client_fields={"mode": mode}, server_fields={"record_size_limit": 64})
    data = bytearray(BIG[: write_side._SEALED_AT_ONCE])
    joined.client.transport.write(data)
    data[:] = bytes(len(data))
    joined.client.transport.write(b"behind")
    size = len(data) + 6
    assert await joined.server.got(size) == BIG[: len(data)] + b"behind"
    assert joined.client.transport.committed == size
    await joined.close()


@pytest.mark.parametrize("size", [1000, 70_000])
async def test_a07_resume_writing_that_writes_on_and_on_leaves_others_their_turn(size: int) -> None:
    most = 2 + write_side._WRITE_BUDGET // size
    calls: list[int] = []

    def go_on(recorder: Recorder) -> None:
        calls.append(1)
        if len(calls) <= most:
            recorder.transport.write(bytes(size))

    joined = await join(Recorder(resume_writing=go_on), buffer=SMALL_BUFFER)
    transport = joined.client.transport
    transport.set_write_buffer_limits(high=0)
    transport.write(bytes(100_000))
    assert waits_for(transport) == "read write"
    # From now on the socket takes whatever it is given.
    transport._core._send = len
    transport._core._on_writable()
    assert 0 < len(calls) <= most
    await joined.close()


@pytest.mark.parametrize(
    "data", [b"small", bytes(60_000), bytearray(40_000)], ids=["small", "big", "mutable"]
)
async def test_a_padding_policy_that_raises_in_write_leaves_no_hole(
    data: Any, complaints: Complaints
) -> None:
    contents: list[int] | None = None

    def policy(content: int) -> int:
        if contents is not None:
            contents.append(content)
            if len(contents) == -(-len(data) // limits.MAX_PLAINTEXT):
                raise LookupError("no padding today")
        return 0

    joined = await join(client_fields={"record_padding": policy})
    contents = []
    joined.client.transport.write(data)
    joined.client.transport.write(b"behind")
    assert isinstance(await joined.client.gone(), LookupError)
    assert isinstance(complaints.take()["exception"], LookupError)
    await joined.server.gone()
    assert b"behind" not in joined.server.data


async def test_a07_a_write_in_resume_writing_goes_behind_the_one_that_caused_it(gathering: None) -> None:
    more = [b"C"]

    def go_on(recorder: Recorder) -> None:
        if more:
            recorder.transport.write(more.pop())

    joined = await join(Recorder(resume_writing=go_on))
    transport = joined.client.transport
    transport.write(b"A")
    transport.write(b"a")
    transport.set_write_buffer_limits(high=0)
    assert joined.client.calls[-1] == "pause_writing"
    data = b"B" * backlog.GATHER_SIZE
    assert await transport.sendall(data) == len(data)
    assert await joined.server.got(len(data) + 3) == b"Aa" + data + b"C"
    await joined.close()


async def test_a11_writes_after_the_end_are_dropped_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    joined = await join()
    transport = joined.client.transport
    transport.abort()
    assert transport.is_closing()
    with caplog.at_level(logging.WARNING, "asyncio"):
        for _ in range(write_side._LOG_THRESHOLD):
            transport.write(b"x")
        assert not caplog.records
        transport.write(b"x")
    assert [record.message for record in caplog.records] == ["socket.send() raised exception."]
    await joined.client.gone()
    transport.write(b"x")
    await joined.server.gone()


async def test_a11_the_engine_refusing_a_write_ends_the_connection() -> None:
    joined = await join()
    # The application shut the engine down behind the transport's back.
    joined.client.transport.get_extra_info("ssl_object").shutdown()
    joined.client.transport.write(b"x")
    assert "shutdown" in str(await joined.client.gone())
    await joined.server.gone()


async def test_a_padding_policy_that_raises_is_reported(complaints: Complaints) -> None:
    class Broken(Exception):
        pass

    def policy(length: int) -> int:
        if length == 12_345:
            raise Broken
        return 0

    joined = await join(client_fields={"record_padding": policy}, buffer=SMALL_BUFFER)
    joined.client.transport.write(bytes(200_000))
    joined.client.transport.write(bytes(12_345))
    exc = await joined.client.gone()
    assert isinstance(exc, Broken)
    assert complaints.take()["exception"] is exc
    await joined.server.gone()


# ---- write_eof -----------------------------------------------------------------------------------------


async def test_a09_write_after_write_eof_is_refused() -> None:
    joined = await join()
    transport = joined.client.transport
    transport.write(b"last")
    transport.write_eof()
    transport.write_eof()
    with pytest.raises(RuntimeError, match="Cannot call write\\(\\) after write_eof\\(\\)"):
        transport.write(b"x")
    with pytest.raises(RuntimeError, match="Cannot call write\\(\\) after write_eof\\(\\)"):
        transport.writelines([b"x"])
    await joined.server.gone()
    assert joined.server.data == b"last"
    await joined.client.gone()

"""The write side: what leaves when, in how many records and sends, and what waits meanwhile."""

from __future__ import annotations

import array
import asyncio
import logging
import mmap
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
    socket_pair,
    turns,
)
from tlswrite import limits
from tlswrite.asyncio import Transport, backlog, write_side
from tlswrite.config import Mode
from tlswrite.connection import TLSConnection

BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


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

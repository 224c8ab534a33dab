"""Gathering: what of many writes shares records and sends, and what leaves at once (clause A05)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

from tests.support import engine
from tests.support.records import split
from tests.support.wire import (
    Joined,
    Recorder,
    face_server,
    join,
    meter_of,
    settled,
    turns,
)
from tlswrite import limits
from tlswrite.asyncio import write_side

WHOLE = limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD
BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


async def drain(joined: Joined, size: int) -> None:
    assert await joined.server.got(size)
    await joined.close()


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
    # Hardly one was written alone, or tried where it had no room.
    assert calls < len(chunks) / 8
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


async def test_a05_what_answers_nothing_leaves_at_once(gathering: None) -> None:
    joined = await expecting()
    transport, sends = joined.server.transport, joined.server_socket.sends
    transport.write(b"c")
    transport.write(b"d")
    await turns(2)
    # That was the answer; this is not.
    before = len(sends)
    transport.write(b"e")
    assert len(sends) == before + 1
    assert await joined.client.got(5) == b"abcde"
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

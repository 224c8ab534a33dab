"""The read side: delivery, pausing, both kinds of protocol, shared buffers, the engine's own reading."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from tests.support import engine
from tests.support.wire import (
    BufferedRecorder,
    Complaints,
    Peer,
    Recorder,
    face_client,
    face_server,
    is_reading,
    join,
    meter_of,
    reset,
    socket_pair,
    turns,
)
from tlswrite import limits
from tlswrite.asyncio import create_connection
from tlswrite.asyncio.buffers import loop_buffers
from tlswrite.errors import AlertReceived, BadRecordMAC, TruncationError, WantReadError
from tlswrite.iana import AlertDescription
from tlswrite.messages.finish import NewSessionTicket

BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


async def settle(transport: Any) -> None:
    """Let everything that has arrived be read."""
    while True:
        before = meter_of(transport).reads
        await turns(3)
        if meter_of(transport).reads == before:
            return


def alert(peer: Peer, description: int) -> None:
    peer.connection._control.send_alert(description)


# ---- delivery ----


async def test_records_that_arrived_together_are_one_delivery() -> None:
    transport, recorder, peer = await face_server()
    for number in range(20):
        peer.connection.write(b"%10d" % number)
    await peer.flush()
    await recorder.got(200)
    assert len(recorder.pieces) == 1
    transport.abort()


async def test_a_record_cut_at_every_byte_is_delivered_once() -> None:
    transport, recorder, peer = await face_server()
    size = 0
    for _ in range(3):
        peer.connection.write(b"one record")
        wire = peer.connection.bio_read()
        for at in range(len(wire)):
            await peer.loop.sock_sendall(peer.socket, wire[at : at + 1])
            await turns(2)
        size += 10
        assert await recorder.got(size)
    assert recorder.pieces == [b"one record"] * 3
    transport.abort()


async def test_one_wakeup_reads_once_and_no_more_than_the_budget() -> None:
    transport, recorder, peer = await face_server(tcp=True)
    meter = meter_of(transport)
    meter.reset()
    sending = asyncio.create_task(peer.send(BIG))
    deliveries: list[int] = []
    await recorder.until(lambda: deliveries.append(len(recorder.pieces)) or len(recorder.data) >= len(BIG))
    await sending
    assert recorder.data == BIG
    # Besides the beginning of a record that was kept from the wake-up before.
    assert max(map(len, recorder.pieces)) <= limits.READ_BUDGET + limits.MAX_PLAINTEXT
    # Each delivery had a wake-up of its own.
    assert meter.reads >= len(recorder.pieces)
    transport.abort()


async def test_two_busy_connections_take_turns() -> None:
    order: list[str] = []
    first = Recorder(data_received=lambda recorder, data: order.append("first"))
    second = Recorder(data_received=lambda recorder, data: order.append("second"))
    one, _, peer_one = await face_server(first, tcp=True)
    two, _, peer_two = await face_server(second, tcp=True)
    await asyncio.gather(
        peer_one.send(BIG * 3), peer_two.send(BIG * 3), first.got(3 * len(BIG)), second.got(3 * len(BIG))
    )
    switches = sum(a != b for a, b in pairwise(order))
    assert switches > 4
    one.abort()
    two.abort()


# ---- W05, W09: what the engine reads for itself ----


def key_update(peer: Peer) -> None:
    peer.connection.key_update()


def requested_key_update(peer: Peer) -> None:
    peer.connection.key_update(request_peer=True)


def new_session_ticket(peer: Peer) -> None:
    ticket = NewSessionTicket(lifetime=60, age_add=0, nonce=b"n", ticket=b"t" * 100, extensions=())
    peer.connection._control.send(ticket.encode())


@pytest.mark.parametrize("paused", [False, True], ids=["reading", "paused"])
@pytest.mark.parametrize("message", [key_update, requested_key_update, new_session_ticket])
async def test_w05_w09_messages_in_the_middle_of_a_write(
    message: Callable[[Peer], None], paused: bool
) -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    if paused:
        transport.pause_reading()
    transport.write(BIG)
    received = b""
    for _ in range(10):
        message(peer)
        await peer.flush()
        received += await peer.read(50_000)
    # The write reads what the peer asks for and answers it, even though nothing is delivered.
    await peer.send(b"still there")
    received += await peer.read(len(BIG) - len(received))
    assert received == BIG
    if paused:
        assert recorder.data == b""
        transport.resume_reading()
    assert await recorder.got(11) == b"still there"
    if message is requested_key_update:
        assert transport._core._connection.receive_path._opener.sequence < 20
    transport.abort()


async def test_w05_a_certificate_is_asked_for_in_the_middle_of_a_write() -> None:
    recorder = Recorder()
    ours, theirs = socket_pair(buffer=SMALL_BUFFER)
    peer = Peer(engine.server(trust_anchors=engine.anchors()), theirs)
    config = engine.client_config(post_handshake_auth=True, credentials=engine.credentials(client=True))
    (transport, _), _ = await asyncio.gather(
        create_connection(lambda: recorder, sock=ours, ssl=config, server_hostname=engine.HOST),
        peer.handshake(),
    )
    transport.write(BIG)
    received = await peer.read(100_000)
    assert peer.connection.getpeercert(True) is None
    peer.connection.verify_client_post_handshake()
    await peer.flush()
    assert received + await peer.read(len(BIG) - len(received)) == BIG
    while not peer.connection.getpeercert(True):
        with pytest.raises(WantReadError):
            peer.connection.read()
        await peer.receive()
    transport.abort()


async def test_w05_a_server_is_asked_for_key_updates_too() -> None:
    transport, recorder, peer = await face_client(buffer=SMALL_BUFFER)
    transport.write(BIG)
    received = b""
    while len(received) < len(BIG):
        requested_key_update(peer)
        await peer.send(b"x")
        received += await peer.read(min(100_000, len(BIG) - len(received)))
    assert received == BIG
    assert set(await recorder.got(11)) == {ord("x")}
    transport.abort()


# ---- A06: pausing ----


async def test_a06_nothing_is_delivered_while_paused_and_nothing_is_lost() -> None:
    joined = await join()
    transport = joined.server.transport
    assert transport.is_reading()
    transport.pause_reading()
    transport.pause_reading()
    assert not transport.is_reading()
    joined.client.transport.write(b"held")
    await settle(transport)
    assert joined.server.calls == ["connection_made"]
    transport.resume_reading()
    # Not out of resume_reading itself.
    assert joined.server.calls == ["connection_made"]
    assert transport.is_reading()
    transport.resume_reading()
    transport.pause_reading()
    transport.resume_reading()
    assert await joined.server.got(4) == b"held"
    joined.client.transport.write(b" and more")
    assert await joined.server.got(13) == b"held and more"
    await joined.close()


async def test_a06_w10_what_is_held_is_bounded_and_wakeups_stop() -> None:
    transport, recorder, peer = await face_server(tcp=True)
    transport.pause_reading()
    sending = asyncio.create_task(peer.send(BIG))
    while is_reading(transport):
        await asyncio.sleep(0)
    held = transport._core._held_size + transport._core._receive_path.unread
    assert limits.PAUSED_READ_LIMIT <= held <= 2 * limits.PAUSED_READ_LIMIT + limits.MAX_CIPHERTEXT
    meter_of(transport).reset()
    await turns(50)
    # The socket is readable all the time, and is not looked at.
    assert meter_of(transport).reads == 0
    assert recorder.data == b""
    transport.resume_reading()
    assert await recorder.got(len(BIG)) == BIG
    await sending
    assert is_reading(transport)
    transport.abort()


async def test_a06_a_reader_that_pauses_again_and_again_is_not_registered_again() -> None:
    """What piled up is read when reading resumes: the loop need not watch the socket for that."""

    def pause(recorder: Recorder, data: bytes) -> None:
        recorder.transport.pause_reading()

    transport, recorder, peer = await face_server(Recorder(data_received=pause), tcp=True)
    transport.pause_reading()
    sending = asyncio.create_task(peer.send(BIG))
    while len(recorder.data) < len(BIG) - 300_000:
        await turns(20)
        assert not is_reading(transport)
        assert transport._core._held_size <= 2 * limits.PAUSED_READ_LIMIT + limits.MAX_CIPHERTEXT
        meter_of(transport).reset()
        before = len(recorder.pieces)
        transport.resume_reading()
        await turns(1)
        assert len(recorder.pieces) == before + 1
        assert meter_of(transport).reads == 1
    while len(recorder.data) < len(BIG):
        transport.resume_reading()
        await turns(1)
    await sending
    assert recorder.data == BIG
    assert is_reading(transport)
    transport.abort()


@pytest.mark.parametrize("end", ["close_notify", "cut", "alert", "forged"])
async def test_a06_an_end_that_comes_while_the_socket_is_left_unread(end: str) -> None:
    """It is met by the read that `resume_reading` leads to, behind all that came before it."""
    transport, recorder, peer = await face_server(tcp=True)
    transport.pause_reading()
    sending = asyncio.create_task(peer.send(BIG[:150_000]))
    while is_reading(transport):
        await asyncio.sleep(0)
    await sending
    if end == "close_notify":
        peer.connection.shutdown()
    elif end == "alert":
        alert(peer, AlertDescription.INTERNAL_ERROR)
    elif end == "forged":
        peer.connection.write(b"to be forged")
        wire = bytearray(peer.connection.bio_read())
        wire[-1] ^= 1
        await peer.loop.sock_sendall(peer.socket, wire)
    await peer.flush()
    peer.socket.shutdown(socket.SHUT_WR)
    await turns(20)
    assert recorder.data == b""
    transport.resume_reading()
    await recorder.gone()
    assert recorder.data == BIG[:150_000]
    expected = {
        "close_notify": type(None),
        "cut": TruncationError,
        "alert": AlertReceived,
        "forged": BadRecordMAC,
    }
    assert type(recorder.lost) is expected[end]


async def test_a06_what_was_held_is_delivered_without_a_copy() -> None:
    transport, recorder, peer = await face_server(tcp=True)
    transport.pause_reading()
    await peer.send(BIG[:40_000])
    await settle(transport)
    held = transport._core._held
    assert held is not None
    assert len(held) == 1
    transport.resume_reading()
    await recorder.got(40_000)
    assert recorder.pieces[0] is held[0]
    transport.abort()


async def test_a06_the_last_bytes_do_not_stick() -> None:
    """All of it is in the transport when reading resumes: no readiness will come to help."""
    transport, recorder, peer = await face_server(tcp=True)
    transport.pause_reading()
    await peer.send(BIG[:60_000])
    await settle(transport)
    await peer.send(BIG[60_000:64_000])
    await settle(transport)
    assert recorder.data == b""
    transport.resume_reading()
    await turns()
    assert recorder.data == BIG[:64_000]
    transport.abort()


async def test_a06_pausing_and_resuming_at_every_delivery() -> None:
    chosen = random.Random(3)

    def hesitate(recorder: Recorder, data: bytes) -> None:
        transport = recorder.transport
        assert transport.is_reading(), "delivered while paused"
        if chosen.random() < 0.7:
            transport.pause_reading()
            if chosen.random() < 0.3:
                transport.resume_reading()
                if chosen.random() < 0.5:
                    transport.pause_reading()
                    asyncio.get_running_loop().call_soon(transport.resume_reading)
            else:
                asyncio.get_running_loop().call_soon(transport.resume_reading)

    transport, recorder, peer = await face_server(Recorder(data_received=hesitate), tcp=True)
    for at in range(0, len(BIG), 7_001):
        await peer.send(BIG[at : at + 7_001])
        if chosen.random() < 0.2:
            requested_key_update(peer)
    assert await recorder.got(len(BIG)) == BIG
    transport.abort()


async def test_a06_resumed_and_paused_again_before_the_loop_turns() -> None:
    joined = await join()
    transport = joined.server.transport
    transport.pause_reading()
    joined.client.transport.write(b"held")
    await settle(transport)
    transport.resume_reading()
    transport.pause_reading()
    await turns()
    assert joined.server.data == b""
    transport.resume_reading()
    assert await joined.server.got(4) == b"held"
    await joined.close()


async def test_a06_readable_before_what_was_held_is_delivered() -> None:
    joined = await join()
    transport = joined.server.transport
    transport.pause_reading()
    joined.client.transport.write(b"first ")
    await settle(transport)
    joined.client.transport.write(b"second")
    transport.resume_reading()
    # The socket's readiness may come first: the order stays.
    transport._core._on_readable()
    assert joined.server.data == b"first "
    assert await joined.server.got(12) == b"first second"
    await joined.close()


async def test_a06_close_notify_is_told_behind_what_is_held() -> None:
    transport, recorder, peer = await face_server()
    transport.pause_reading()
    await peer.send(b"the rest")
    peer.connection.shutdown()
    await peer.flush()
    await settle(transport)
    # It is known, so the socket is not looked at any more; writing goes on.
    assert transport._core._connection.peer_closed
    assert not is_reading(transport)
    transport.write(b"answer")
    assert await peer.read(6) == b"answer"
    assert recorder.calls == ["connection_made"]
    transport.resume_reading()
    assert await recorder.gone() is None
    assert recorder.data == b"the rest"
    assert recorder.calls[-3:] == ["data_received", "eof_received", "connection_lost"]


async def test_a06_a_bare_end_is_told_behind_what_is_held() -> None:
    transport, recorder, peer = await face_server()
    transport.pause_reading()
    await peer.send(b"the rest")
    peer.socket.close()
    await settle(transport)
    assert recorder.calls == ["connection_made"]
    transport.resume_reading()
    assert isinstance(await recorder.gone(), TruncationError)
    assert recorder.data == b"the rest"
    assert recorder.calls[-2:] == ["data_received", "connection_lost"]


async def test_a06_an_alert_ends_a_paused_connection() -> None:
    transport, recorder, peer = await face_server()
    transport.pause_reading()
    alert(peer, AlertDescription.INTERNAL_ERROR)
    await peer.flush()
    exc = await recorder.gone()
    assert isinstance(exc, AlertReceived)
    assert exc.received == AlertDescription.INTERNAL_ERROR


async def test_a06_eof_is_told_once() -> None:
    transport, recorder, peer = await face_server()
    recorder.keep_open = True
    peer.connection.shutdown()
    await peer.flush()
    await recorder.until(lambda: "eof_received" in recorder.calls)
    transport.pause_reading()
    transport.resume_reading()
    await turns()
    assert recorder.calls.count("eof_received") == 1
    transport.close()
    assert await recorder.gone() is None


# ---- BufferedProtocol ----


@pytest.mark.parametrize("size", [1, 100, 16384, limits.MAX_CIPHERTEXT, 100_000, 1_000_000])
async def test_a_buffered_protocol_gets_every_byte_and_no_other(size: int) -> None:
    data = BIG if size > 1 else BIG[:3000]
    transport, recorder, peer = await face_server(BufferedRecorder(size), tcp=True)
    await asyncio.gather(peer.send(data), recorder.got(len(data)))
    assert recorder.data == data
    assert all(recorder.pieces)
    assert all(0 < hint <= limits.READ_BUDGET + 2 * limits.MAX_CIPHERTEXT for hint in recorder.hints)
    transport.abort()


async def test_a_large_buffer_is_filled_in_place() -> None:
    """Several records, one buffer_updated."""
    transport, recorder, peer = await face_server(BufferedRecorder(300_000))
    for _ in range(5):
        peer.connection.write(b"x" * 1000)
    await peer.flush()
    await recorder.got(5000)
    assert len(recorder.pieces) == 1
    transport.abort()


@pytest.mark.parametrize("size", [1000, 20_000])
async def test_a_buffered_protocol_may_pause_at_every_update(size: int) -> None:
    def hesitate(recorder: Recorder, *_: Any) -> None:
        assert recorder.transport.is_reading(), "delivered while paused"
        recorder.transport.pause_reading()
        asyncio.get_running_loop().call_soon(recorder.transport.resume_reading)

    transport, recorder, peer = await face_server(BufferedRecorder(size, buffer_updated=hesitate), tcp=True)
    await asyncio.gather(peer.send(BIG), recorder.got(len(BIG)))
    assert recorder.data == BIG
    transport.abort()


@pytest.mark.parametrize("size", [1000, 20_000])
async def test_a_buffered_protocol_may_pause_in_get_buffer(size: int) -> None:
    def hesitate(recorder: BufferedRecorder) -> None:
        if len(recorder.hints) % 2:
            recorder.transport.pause_reading()
            asyncio.get_running_loop().call_soon(recorder.transport.resume_reading)

    transport, recorder, peer = await face_server(BufferedRecorder(size, get_buffer=hesitate), tcp=True)
    await asyncio.gather(peer.send(BIG), recorder.got(len(BIG)))
    assert recorder.data == BIG
    transport.abort()


@pytest.mark.parametrize("size", [1000, 20_000])
@pytest.mark.parametrize("where", ["get_buffer", "buffer_updated"])
async def test_a07_a_buffered_protocol_may_close(where: str, size: int) -> None:
    def close(recorder: Recorder, *_: Any) -> None:
        recorder.transport.abort()

    _, recorder, peer = await face_server(BufferedRecorder(size, **{where: close}))
    await peer.send(bytes(5000))
    assert await recorder.gone() is None
    assert recorder.calls.count(where) == 1


@pytest.mark.parametrize("size", [10, 1000, 20_000])
async def test_a07_protocols_are_exchanged_in_the_middle(size: int) -> None:
    """From data_received to a BufferedProtocol and back, again and again, inside the callbacks."""
    whole = bytearray()

    def to_buffered(recorder: Recorder, data: bytes) -> None:
        whole.extend(data)
        other = BufferedRecorder(size, buffer_updated=to_plain)
        other.transport = recorder.transport
        recorder.transport.set_protocol(other)

    def to_plain(recorder: Any, count: int) -> None:
        whole.extend(recorder.pieces[-1])
        other = Recorder(data_received=to_buffered)
        other.transport = recorder.transport
        recorder.transport.set_protocol(other)
        if len(whole) == len(BIG):
            end.set_result(None)

    end = asyncio.get_running_loop().create_future()
    transport, recorder, peer = await face_server(Recorder(data_received=to_buffered), tcp=True)
    assert transport.get_protocol() is recorder
    first = len(BIG) - 1
    await peer.send(BIG[:first])
    # The last byte goes to a BufferedProtocol, whoever's turn it would be.
    while len(whole) < first:
        await asyncio.sleep(0)
    other = BufferedRecorder(size, buffer_updated=to_plain)
    other.transport = transport
    transport.set_protocol(other)
    await peer.send(BIG[first:])
    await end
    assert whole == BIG
    transport.abort()


@pytest.mark.parametrize("small", [False, True])
async def test_a07_protocols_are_exchanged_in_get_buffer(small: bool) -> None:
    plain = Recorder()

    def exchange(recorder: BufferedRecorder) -> None:
        recorder.transport.set_protocol(plain)

    buffered = BufferedRecorder(100 if small else 20_000, get_buffer=exchange)
    transport, _, peer = await face_server(buffered)
    await peer.send(b"for the other one")
    assert await plain.got(17) == b"for the other one"
    assert buffered.data == b""
    transport.abort()


async def test_what_was_held_goes_to_the_protocol_of_the_moment() -> None:
    transport, recorder, peer = await face_server()
    transport.pause_reading()
    await peer.send(b"for the other one")
    await settle(transport)
    other = BufferedRecorder(5)
    transport.set_protocol(other)
    transport.resume_reading()
    assert await other.got(17) == b"for the other one"
    assert recorder.data == b""
    transport.abort()
    await other.gone()


async def test_a03_a_new_protocol_is_told_that_writing_is_paused() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    assert recorder.calls[-1] == "pause_writing"
    other = Recorder()
    transport.set_protocol(other)
    assert other.calls == ["pause_writing"]
    await peer.read(len(BIG))
    await other.until(lambda: other.calls[-1] == "resume_writing")
    assert recorder.calls[-1] == "pause_writing"
    transport.abort()


async def test_a03_a_protocol_that_comes_back_is_told_that_writing_goes_on() -> None:
    """Also where what waits is between the two marks at that moment."""
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    assert recorder.calls[-1] == "pause_writing"
    transport.set_write_buffer_limits(high=2 * len(BIG), low=0)
    transport.set_protocol(recorder)
    assert recorder.calls.count("pause_writing") == 1
    other = Recorder()
    transport.set_protocol(other)
    assert other.calls == ["pause_writing"]
    transport.set_protocol(recorder)
    await peer.read(len(BIG))
    await recorder.until(lambda: recorder.calls[-1] == "resume_writing")
    transport.abort()


# ---- faults of the application ----


class Fault(Exception):
    pass


def fail(recorder: Recorder, *_: Any) -> None:
    raise Fault


def one_record(peer: Peer) -> None:
    peer.connection.write(b"data")


def two_records(peer: Peer) -> None:
    peer.connection.write(b"data")
    peer.connection.write(b"more")


def behind_a_key_update(peer: Peer) -> None:
    peer.connection.key_update(request_peer=True)
    peer.connection.write(b"data")


def close_notify(peer: Peer) -> None:
    peer.connection.shutdown()


INPUTS = [one_record, two_records, behind_a_key_update]


@pytest.mark.parametrize("answer", [b"at once", bytes(40_000)], ids=["small", "large"])
@pytest.mark.parametrize("send", INPUTS)
async def test_what_is_written_in_data_received_leaves_when_it_returns(
    send: Callable[[Peer], None], answer: bytes
) -> None:
    def write(recorder: Recorder, data: bytes) -> None:
        recorder.transport.write(answer)
        recorder.transport.write(answer)

    transport, _, peer = await face_server(Recorder(data_received=write), tcp=True)
    send(peer)
    await peer.flush()
    assert await peer.read(2 * len(answer)) == 2 * answer
    assert transport.get_write_buffer_size() == 0
    transport.abort()


@pytest.mark.parametrize("send", INPUTS)
async def test_a07_a_protocol_may_abort_in_the_middle_of_what_arrived(send: Callable[[Peer], None]) -> None:
    _, recorder, peer = await face_server(
        Recorder(data_received=lambda recorder, data: recorder.transport.abort())
    )
    send(peer)
    key_update(peer)
    one_record(peer)
    await peer.flush()
    assert await recorder.gone() is None
    assert recorder.calls.count("data_received") == 1


@pytest.mark.parametrize("send", INPUTS)
async def test_a11_a_write_that_fails_in_data_received(send: Callable[[Peer], None]) -> None:
    def write(recorder: Recorder, data: bytes) -> None:
        meter_of(recorder.transport).failure = failure
        recorder.transport.write(b"x")

    failure = BrokenPipeError("gone")
    _, recorder, peer = await face_server(Recorder(data_received=write))
    send(peer)
    key_update(peer)
    one_record(peer)
    await peer.flush()
    assert await recorder.gone() is failure
    assert recorder.calls.count("data_received") == 1


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (Recorder, "data_received"),
        (Recorder, "eof_received"),
        (partial(BufferedRecorder, 20_000), "get_buffer"),
        (partial(BufferedRecorder, 20_000), "buffer_updated"),
        (partial(BufferedRecorder, 10), "buffer_updated"),
    ],
)
@pytest.mark.parametrize("send", INPUTS)
async def test_a_callback_that_raises_ends_the_connection(
    make: Any, where: str, send: Callable[[Peer], None], complaints: Complaints
) -> None:
    transport, recorder, peer = await face_server(make(**{where: fail}))
    (close_notify if where == "eof_received" else send)(peer)
    await peer.flush()
    assert isinstance(await recorder.gone(), Fault)
    context = complaints.take()
    assert context["message"] == f"Fatal error: protocol.{where}() call failed."
    assert context["transport"] is transport
    assert isinstance(context["exception"], Fault)


async def test_an_empty_buffer_is_a_fault(complaints: Complaints) -> None:
    _, recorder, peer = await face_server(BufferedRecorder(0))
    await peer.send(b"data")
    assert isinstance(await recorder.gone(), RuntimeError)
    assert "empty buffer" in str(complaints.take()["exception"])


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["data_received", "eof_received", "get_buffer", "buffer_updated"])
@pytest.mark.parametrize("send", INPUTS)
async def test_an_interrupt_in_a_callback_goes_on_up(
    where: str, send: Callable[[Peer], None], stop: type[BaseException]
) -> None:
    def interrupt(recorder: Recorder, *_: Any) -> None:
        raise stop

    recorder: Any = Recorder() if "received" in where else BufferedRecorder(20_000)
    transport, _, peer = await face_server(recorder)
    recorder.on[where] = interrupt
    # Not through the loop, which would end with the test in it.
    transport._core._ignore_reads()
    (close_notify if where == "eof_received" else send)(peer)
    await peer.flush()
    with pytest.raises(stop):
        transport._core._on_readable()
    assert not loop_buffers(asyncio.get_running_loop()).busy
    transport.abort()


# ---- faults of the peer and of the socket ----


async def test_a_bad_record_ends_the_connection_with_an_alert() -> None:
    transport, recorder, peer = await face_server()
    await peer.send(b"good")
    await peer.loop.sock_sendall(peer.socket, b"\x17\x03\x03\x00\x20" + bytes(32))
    assert isinstance(await recorder.gone(), BadRecordMAC)
    assert recorder.data == b"good"
    with pytest.raises(AlertReceived, match="bad_record_mac"):
        await peer.read(1)
    assert transport.is_closing()


@pytest.mark.parametrize("paused", [False, True])
async def test_a_reset_is_told_as_such(paused: bool) -> None:
    transport, recorder, peer = await face_server(tcp=True)
    if paused:
        transport.pause_reading()
    reset(peer)
    exc = await recorder.gone()
    assert isinstance(exc, ConnectionResetError)
    assert exc.__traceback__ is None
    # The engine says the same from now on.
    assert "reset" in str(transport._core._connection.error).lower()


async def test_readiness_without_input_is_harmless() -> None:
    joined = await join()
    transport = joined.client.transport
    transport._core._on_readable()
    transport.pause_reading()
    transport._core._on_readable()
    transport.resume_reading()
    transport.write(b"x")
    await joined.server.got(1)
    await joined.close()
    transport._core._on_readable()


# ---- shared buffers ----


async def test_connections_share_their_loops_buffers_and_nothing_else() -> None:
    """A read of one connection inside a callback of the other: each gets its own bytes."""
    one, first, peer_one = await face_server()
    two, second, peer_two = await face_server()
    assert one._core._buffers is two._core._buffers is loop_buffers(asyncio.get_running_loop())
    inner = peer_two

    def read_the_other(recorder: Recorder, data: bytes) -> None:
        assert loop_buffers(asyncio.get_running_loop()).busy
        two._core._on_readable()
        recorder.on.clear()

    first.on["data_received"] = read_the_other
    two._core._ignore_reads()
    await inner.send(b"second" * 1000)
    peer_one.connection.write(b"first" * 1000)
    requested_key_update(peer_one)
    peer_one.connection.write(b"first" * 1000)
    await peer_one.flush()
    assert await first.got(10_000) == b"first" * 2000
    assert second.data == b"second" * 1000
    one.abort()
    two.abort()


async def test_what_is_delivered_is_a_copy() -> None:
    transport, recorder, peer = await face_server()
    await peer.send(b"first")
    await recorder.got(5)
    await peer.send(b"other")
    await recorder.got(10)
    assert recorder.pieces == [b"first", b"other"]
    transport.abort()


def test_limits_fit_together() -> None:
    """A paused read goes into the receive buffer behind whatever may be left there."""
    assert limits.PAUSED_READ_LIMIT <= limits.READ_BUDGET

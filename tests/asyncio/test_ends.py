"""How a connection ends: close, half-close, alerts, truncation, and what the protocol is told (A08, A09)."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from tests.support.records import split
from tests.support.wire import (
    Complaints,
    Recorder,
    face_client,
    face_server,
    join,
    meter_of,
    turns,
)
from tlswrite.asyncio import Transport
from tlswrite.errors import (
    AlertReceived,
    BadRecordMAC,
    SSLErrorCode,
    TruncationError,
)
from tlswrite.iana import AlertDescription

BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


# ---- A08: the close ----


@pytest.mark.parametrize("tcp", [False, True])
async def test_a08_close_sends_everything_then_close_notify_then_fin(tcp: bool) -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER, tcp=tcp)
    transport.write(BIG)
    transport.close()
    transport.close()
    assert transport.is_closing()
    assert not transport.is_reading()
    assert await peer.read_to_end() == BIG
    assert await recorder.gone() is None
    assert recorder.calls.count("connection_lost") == 1
    # Behind close_notify comes FIN, and the peer's own close_notify was not waited for.
    assert await peer.receive() == 0


async def test_a08_close_of_an_idle_connection_is_one_send() -> None:
    transport, recorder, peer = await face_server()
    meter = meter_of(transport)
    meter.reset()
    transport.close()
    assert len(meter.sends) == 1
    assert "connection_lost" not in recorder.calls
    assert await recorder.gone() is None
    assert await peer.read_to_end() == b""


async def test_a08_close_in_a_callback_sends_what_was_written_in_it() -> None:
    def answer(recorder: Recorder, data: bytes) -> None:
        for _ in range(10):
            recorder.transport.write(b"answer")
        recorder.transport.close()
        recorder.transport.write(b"too late")

    _, recorder, peer = await face_server(Recorder(data_received=answer))
    await peer.send(b"question")
    assert await peer.read_to_end() == b"answer" * 10
    assert await recorder.gone() is None


async def test_a08_close_in_resume_writing() -> None:
    transport, recorder, peer = await face_server(
        Recorder(resume_writing=lambda recorder: recorder.transport.close()), buffer=SMALL_BUFFER
    )
    transport.write(BIG)
    assert await peer.read_to_end() == BIG
    assert await recorder.gone() is None


async def test_a08_abort_drops_at_once() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    transport.abort()
    transport.abort()
    transport.close()
    assert await recorder.gone() is None
    assert meter_of_closed(transport)
    with pytest.raises(TruncationError):
        await peer.read_to_end()


def meter_of_closed(transport: Transport) -> bool:
    return transport._core._sock is None


async def test_a08_abort_while_closing() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    transport.close()
    await turns()
    transport.abort()
    assert await recorder.gone() is None
    with pytest.raises(TruncationError):
        await peer.read_to_end()


async def test_a08_a_close_with_input_unread_loses_nothing() -> None:
    """Without lingering, the unread input makes the kernel answer with a reset, which overtakes the data."""
    transport, recorder, peer = await face_client(tcp=True)
    transport.pause_reading()
    answer = BIG[:300_000]
    stop = False

    async def keep_sending() -> int:
        sent = 0
        while not stop:
            await peer.send(bytes(10_000))
            sent += 10_000
            await asyncio.sleep(0)
        return sent

    sending = asyncio.create_task(keep_sending())
    await turns(100)
    transport.write(answer)
    transport.close()
    assert await recorder.gone() is None
    received = await peer.read_to_end()
    stop = True
    assert received == answer
    assert await sending > 0


async def test_a08_a_peer_that_blocks_on_its_own_write_does_not_block_the_close() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    # The peer does not read before it has written all it has.
    sending = asyncio.create_task(peer.send(bytes(300_000)))
    transport.close()
    await sending
    assert await peer.read_to_end() == BIG
    assert await recorder.gone() is None


async def test_a08_a_peer_that_takes_nothing_ends_with_the_shutdown_timeout() -> None:
    joined = await join(buffer=SMALL_BUFFER, ssl_shutdown_timeout=0.02)
    joined.server.transport.pause_reading()
    while "read=polling" in repr(joined.server.transport):
        joined.client.transport.write(BIG)
        await asyncio.sleep(0)
    joined.client.transport.close()
    exc = await joined.client.gone()
    assert isinstance(exc, TimeoutError)
    assert "took nothing for 0.02 seconds" in str(exc)
    joined.server.transport.abort()


async def test_a08_a_slow_peer_gets_all_the_time_it_needs() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    transport.close()
    for _ in range(3):
        timer = transport._core._timer
        assert timer is not None
        await peer.read(50_000)
        await turns()
        # The timeout passes: something was taken since.
        transport._core._shutdown_timed_out()
        assert transport._core._timer is not timer
        timer.cancel()
    assert await peer.read_to_end() == BIG[150_000:]
    assert await recorder.gone() is None
    assert transport._core._timer is None


async def test_a08_after_the_peers_close_no_lingering() -> None:
    transport, recorder, peer = await face_server()
    meter = meter_of(transport)
    peer.connection.shutdown()
    await peer.flush()
    assert await recorder.gone() is None
    assert recorder.calls == ["connection_made", "eof_received", "connection_lost"]
    assert meter.fileno() == -1
    assert await peer.read_to_end() == b""


async def test_a08_the_socket_lingers_in_the_background() -> None:
    transport, recorder, peer = await face_server()
    meter = meter_of(transport)
    transport.close()
    assert await recorder.gone() is None
    await turns()
    # The application is done; the socket waits for the peer's end.
    assert meter.fileno() != -1
    await peer.send(b"from a peer that knows nothing")
    await turns()
    assert meter.fileno() != -1
    peer.socket.close()
    while meter.fileno() != -1:
        await asyncio.sleep(0)


# ---- A09: half-close ----


async def test_a09_write_eof_closes_one_direction() -> None:
    joined = await join(buffer=SMALL_BUFFER)
    joined.server.keep_open = True
    transport = joined.client.transport
    assert transport.can_write_eof()
    transport.write(BIG)
    transport.write_eof()
    transport.write_eof()
    assert not transport.is_closing()
    await joined.server.until(lambda: "eof_received" in joined.server.calls)
    assert joined.server.data == BIG
    # The other direction goes on as long as it likes.
    joined.server.transport.write(BIG)
    assert await joined.client.got(len(BIG)) == BIG
    joined.server.transport.write(b"end")
    joined.server.transport.close()
    assert await joined.client.gone() is None
    assert joined.client.data == BIG + b"end"
    assert await joined.server.gone() is None


async def test_a09_close_after_write_eof() -> None:
    transport, recorder, peer = await face_server()
    transport.write(b"all")
    transport.write_eof()
    assert await peer.read_to_end() == b"all"
    assert await peer.receive() == 0
    transport.close()
    transport.write_eof()
    assert await recorder.gone() is None


async def test_a09_a08_abort_after_write_eof_does_not_linger() -> None:
    transport, recorder, peer = await face_server()
    meter = meter_of(transport)
    transport.write_eof()
    assert await peer.read_to_end() == b""
    transport.abort()
    assert await recorder.gone() is None
    assert meter.fileno() == -1


async def test_a09_eof_received_may_answer_and_close() -> None:
    def answer(recorder: Recorder) -> None:
        recorder.transport.write(b"so long")

    _, recorder, peer = await face_server(Recorder(eof_received=answer))
    peer.connection.shutdown()
    await peer.flush()
    assert await peer.read_to_end() == b"so long"
    assert await recorder.gone() is None


async def test_a09_write_eof_in_resume_writing() -> None:
    transport, _, peer = await face_server(
        Recorder(resume_writing=lambda recorder: recorder.transport.write_eof()), buffer=SMALL_BUFFER
    )
    transport.write(BIG)
    assert await peer.read_to_end() == BIG
    assert not transport.is_closing()
    transport.abort()


# ---- W20, W21, W22, A11: how a connection ends ----


async def test_w22_close_notify_is_a_clean_end() -> None:
    _, recorder, peer = await face_server()
    await peer.send(b"all")
    peer.connection.shutdown()
    await peer.flush()
    assert await recorder.gone() is None
    assert recorder.data == b"all"
    assert "eof_received" in recorder.calls


async def test_w22_a_bare_end_is_a_truncation() -> None:
    _, recorder, peer = await face_server()
    await peer.send(b"not all")
    peer.socket.close()
    exc = await recorder.gone()
    assert isinstance(exc, ssl.SSLEOFError)
    assert exc.code == SSLErrorCode.SYSCALL
    assert recorder.data == b"not all"
    assert "eof_received" not in recorder.calls


async def test_w22_a_bare_end_in_the_middle_of_a_record_is_a_truncation() -> None:
    _, recorder, peer = await face_server()
    peer.connection.write(b"cut")
    await peer.loop.sock_sendall(peer.socket, peer.connection.bio_read()[:-1])
    peer.socket.close()
    assert isinstance(await recorder.gone(), TruncationError)
    assert recorder.data == b""


@pytest.mark.parametrize(
    ("description", "code"),
    [(AlertDescription.INTERNAL_ERROR, 1), (AlertDescription.BAD_RECORD_MAC, 1), (200, 1)],
)
async def test_w20_an_alert_is_an_error_with_its_number(description: int, code: int) -> None:
    _, recorder, peer = await face_server()
    peer.connection._control.send_alert(description)
    await peer.flush()
    exc = await recorder.gone()
    assert isinstance(exc, AlertReceived)
    assert (exc.received, exc.code, exc.retryable) == (description, code, False)


async def test_w21_a_terminal_error_stays_and_nothing_follows_its_alert() -> None:
    transport, recorder, peer = await face_server()
    meter = meter_of(transport)
    meter.reset()
    await peer.loop.sock_sendall(peer.socket, b"\x17\x03\x03\x00\x20" + bytes(32))
    exc = await recorder.gone()
    assert isinstance(exc, BadRecordMAC)
    transport.write(b"more")
    await turns()
    assert len(split(bytes(meter.sent))) == 1
    connection = transport.get_extra_info("ssl_object")
    for call in (connection.read, lambda: connection.write(b"x"), connection.shutdown):
        with pytest.raises(BadRecordMAC, match=str(exc).partition(" [")[0]):
            call()


async def test_a11_connection_lost_is_called_once_with_the_true_cause() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    transport.write(BIG)
    # An alert, and then the socket breaks under the write.
    peer.connection._control.send_alert(AlertDescription.ACCESS_DENIED)
    await peer.flush()
    peer.socket.close()
    exc = await recorder.gone()
    assert isinstance(exc, AlertReceived)
    assert transport.is_closing()
    transport.abort()
    transport.close()
    await turns()
    assert recorder.calls.count("connection_lost") == 1
    assert transport.get_protocol() is None


async def test_a11_an_alert_that_does_not_fit_is_given_up() -> None:
    transport, recorder, peer = await face_server()
    meter_of(transport).failure = BrokenPipeError("gone")
    await peer.loop.sock_sendall(peer.socket, b"\x17\x03\x03\x00\x20" + bytes(32))
    assert isinstance(await recorder.gone(), BadRecordMAC)


async def test_connection_lost_that_raises_still_closes_the_socket(complaints: Complaints) -> None:
    def fail(recorder: Recorder) -> None:
        raise RuntimeError("in connection_lost")

    joined = await join(client=Recorder(connection_lost=fail))
    meter = joined.client_socket
    joined.client.transport.abort()
    await joined.client.gone()
    assert meter.fileno() == -1
    assert "in connection_lost" in str(complaints.take()["exception"])
    await joined.server.gone()

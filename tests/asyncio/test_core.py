"""A connection as a whole: handshake, close, extra info, and what is left when it is gone."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import socket
import ssl
import tracemalloc
import weakref
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import engine, pki
from tests.support.records import split
from tests.support.wire import (
    BufferedRecorder,
    Complaints,
    Joined,
    Meter,
    Peer,
    Recorder,
    face_client,
    face_server,
    join,
    meter_of,
    socket_pair,
    turns,
)
from tlswrite import limits
from tlswrite.asyncio import Transport, connect_accepted_socket, create_connection
from tlswrite.config import ClientConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.x509 import TrustAnchors
from tlswrite.errors import (
    AlertReceived,
    BadRecordMAC,
    CertificateError,
    InternalError,
    SSLErrorCode,
    TLSError,
    TruncationError,
    UnexpectedMessage,
)
from tlswrite.iana import AlertDescription

BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


def strangers() -> ClientConfig:
    """A client that trusts nobody here."""
    return engine.client_config(trust_anchors=TrustAnchors.from_pem(pki.stranger().certificate_pem))


async def connect(sock: socket.socket, recorder: Recorder, **options: Any) -> Any:
    config = options.pop("ssl", engine.client_config())
    return await create_connection(
        lambda: recorder, sock=sock, ssl=config, server_hostname=engine.HOST, **options
    )


# ---- the handshake ----


async def test_connection_made_comes_when_the_handshake_is_complete() -> None:
    def look(recorder: Recorder) -> None:
        connection = recorder.transport.get_extra_info("ssl_object")
        assert connection.handshake_complete
        assert connection.version() == "TLSv1.3"

    joined = await join(client=Recorder(connection_made=look), server=Recorder(connection_made=look))
    assert joined.client.calls == joined.server.calls == ["connection_made"]
    await joined.close()


async def test_data_behind_the_handshake_is_delivered_behind_connection_made() -> None:
    joined = await join(
        client=Recorder(connection_made=lambda recorder: recorder.transport.write(b"at once")),
        server=Recorder(connection_made=lambda recorder: recorder.transport.write(b"too")),
    )
    assert await joined.server.got(7) == b"at once"
    assert await joined.client.got(3) == b"too"
    assert joined.server.calls[0] == "connection_made"
    await joined.close()


@pytest.mark.parametrize("buffered", [False, True])
async def test_reading_may_be_paused_in_connection_made(buffered: bool) -> None:
    def pause(recorder: Recorder) -> None:
        recorder.transport.pause_reading()

    server = BufferedRecorder(20_000, connection_made=pause) if buffered else Recorder(connection_made=pause)
    joined = await join(
        client=Recorder(connection_made=lambda recorder: recorder.transport.write(b"early")), server=server
    )
    await turns(20)
    assert joined.server.calls == ["connection_made"]
    joined.server.transport.resume_reading()
    assert await joined.server.got(5) == b"early"
    await joined.close()


async def test_w20_a_refused_certificate_is_told_to_both_ends(
    caplog: pytest.LogCaptureFixture, complaints: Complaints
) -> None:
    ours, theirs = socket_pair()
    client, server = Recorder(), Recorder()
    asyncio.get_running_loop().set_debug(True)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        outcomes = await asyncio.gather(
            connect(ours, client, ssl=strangers()),
            connect_accepted_socket(lambda: server, theirs, ssl=engine.server_config()),
            return_exceptions=True,
        )
    mine, other = outcomes
    assert isinstance(mine, CertificateError)
    assert isinstance(mine, ssl.SSLCertVerificationError)
    # The alert arrived: a reset did not destroy it.
    assert isinstance(other, AlertReceived)
    assert other.received == mine.alert == AlertDescription.UNKNOWN_CA
    assert client.calls == server.calls == []
    assert ours.fileno() == theirs.fileno() == -1
    assert not complaints
    assert all(record.levelno == logging.DEBUG for record in caplog.records)
    assert "TLS handshake failed" in caplog.text


async def test_w22_an_end_in_the_handshake_names_the_state() -> None:
    ours, theirs = socket_pair()
    task = asyncio.create_task(connect(ours, Recorder()))
    await asyncio.get_running_loop().sock_recv(theirs, 10_000)
    theirs.close()
    with pytest.raises(TruncationError, match="WAIT_SH") as caught:
        await task
    assert isinstance(caught.value, ssl.SSLEOFError)
    assert ours.fileno() == -1


async def test_a_reset_in_the_handshake_is_told_as_such() -> None:
    ours, theirs = socket_pair()
    ours.failure = ConnectionResetError(104, "Connection reset by peer")
    with pytest.raises(ConnectionResetError):
        await connect(ours, Recorder())
    assert ours.fileno() == -1
    theirs.close()


async def test_what_is_not_tls_is_answered_with_an_alert() -> None:
    ours, theirs = socket_pair()
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(UnexpectedMessage, match="is this TLS"):
        await connect_accepted_socket(Recorder, ours, ssl=engine.server_config())
    answer = await asyncio.get_running_loop().sock_recv(theirs, 100)
    assert answer == bytes((21, 3, 3, 0, 2, 2, AlertDescription.UNEXPECTED_MESSAGE))
    theirs.close()


async def test_a_handshake_that_takes_too_long_is_given_up() -> None:
    ours, theirs = socket_pair()
    with pytest.raises(
        ConnectionAbortedError, match=r"TLS handshake is taking longer than 0.01 seconds \(state WAIT_SH\)"
    ):
        await connect(ours, Recorder(), ssl_handshake_timeout=0.01)
    assert ours.fileno() == -1
    theirs.close()


async def test_cancelling_a_connect_closes_the_socket() -> None:
    ours, theirs = socket_pair()
    recorder = Recorder()
    task = asyncio.create_task(connect(ours, recorder))
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert ours.fileno() == -1
    assert recorder.calls == []
    theirs.close()


async def test_close_in_the_handshake_aborts_it() -> None:
    ours, theirs = socket_pair()
    waiter = asyncio.get_running_loop().create_future()
    connection = TLSConnection(engine.client_config(), server_hostname=engine.HOST)
    recorder = Recorder()
    transport = Transport(asyncio.get_running_loop(), ours, recorder, connection, waiter=waiter)
    transport.start()
    transport.close()
    transport.close()
    with pytest.raises(ConnectionAbortedError, match="handshake"):
        await waiter
    assert recorder.calls == []
    theirs.close()


async def test_connection_made_that_raises_ends_the_connection(complaints: Complaints) -> None:
    class Fault(Exception):
        pass

    def fail(recorder: Recorder) -> None:
        raise Fault

    recorder = Recorder(connection_made=fail)
    ours, theirs = socket_pair()
    peer = Peer(engine.server(), theirs)
    outcome, _ = await asyncio.gather(connect(ours, recorder), peer.handshake(), return_exceptions=True)
    assert isinstance(outcome, Fault)
    assert await recorder.gone() is outcome
    assert complaints.take()["message"] == "Fatal error: protocol.connection_made() call failed."


async def test_an_interrupt_in_connection_made_goes_on_up() -> None:
    def interrupt(recorder: Recorder) -> None:
        raise KeyboardInterrupt

    ours, theirs = socket_pair()
    peer = Peer(engine.client(), theirs)
    transport = Transport(
        asyncio.get_running_loop(),
        ours,
        Recorder(connection_made=interrupt),
        TLSConnection(engine.server_config()),
    )
    with pytest.raises(KeyboardInterrupt):
        while True:
            try:
                peer.connection.do_handshake()
            except ssl.SSLWantReadError:
                pass
            await peer.flush()
            transport._core._on_readable()
            if not peer.connection.handshake_complete:
                await peer.receive()
    transport.abort()
    await turns()


async def test_an_engine_that_cannot_start_fails_the_connect() -> None:
    class Broken(TLSConnection):
        def start_handshake(self) -> None:
            raise self.fail(InternalError("no hello today"))

    ours, theirs = socket_pair()
    waiter = asyncio.get_running_loop().create_future()
    connection = Broken(engine.client_config(), server_hostname=engine.HOST)
    Transport(asyncio.get_running_loop(), ours, Recorder(), connection, waiter=waiter).start()
    with pytest.raises(InternalError, match="no hello today"):
        await waiter
    assert theirs.recv(100) == bytes((21, 3, 3, 0, 2, 2, AlertDescription.INTERNAL_ERROR))
    theirs.close()


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


# ---- A07: every call inside every callback ----


def switch(transport: Any) -> None:
    protocol = transport.get_protocol()
    transport.set_protocol(protocol)


ACTIONS: dict[str, Callable[[Any], object]] = {
    "write": lambda transport: transport.write(b"w" * 10),
    "write big": lambda transport: transport.write(bytes(200_000)),
    "write mutable": lambda transport: transport.write(bytearray(10)),
    "writelines": lambda transport: transport.writelines([b"a", b"b"]),
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "pause": lambda transport: transport.pause_reading(),
    "resume": lambda transport: transport.resume_reading(),
    "pause and resume": lambda transport: (transport.pause_reading(), transport.resume_reading()),
    "set_protocol": switch,
    "write_eof": lambda transport: transport.write_eof(),
    "limits": lambda transport: transport.set_write_buffer_limits(high=0),
}
CALLBACKS = (
    "connection_made",
    "data_received",
    "get_buffer",
    "buffer_updated",
    "pause_writing",
    "resume_writing",
    "eof_received",
    "connection_lost",
)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("callback", CALLBACKS)
async def test_a07_every_call_inside_every_callback(callback: str, action: str) -> None:
    done = []

    def act(recorder: Recorder, *_: Any) -> None:
        if not done:
            done.append(callback)
            try:
                ACTIONS[action](recorder.transport)
            except RuntimeError as exc:
                assert "after write_eof" in str(exc)

    recorder: Any
    if callback in ("get_buffer", "buffer_updated"):
        recorder = BufferedRecorder(20_000, **{callback: act})
    else:
        recorder = Recorder(**{callback: act})
    if (callback, action) == ("connection_made", "abort"):
        with pytest.raises(TruncationError, match="in the handshake"):
            await face_server(recorder)
        await recorder.gone()
        return
    transport, _, peer = await face_server(recorder, buffer=SMALL_BUFFER)

    async def converse() -> None:
        """All that brings callbacks about; how far it gets depends on the action."""
        await peer.send(b"to be read")
        await turns()
        if not transport.is_closing() and not transport._core._eof:
            transport.write(bytes(100_000))
        with pytest.raises((TLSError, OSError)):
            while True:
                try:
                    peer.connection.read()
                except ssl.SSLWantReadError:
                    await turns()
                    if transport.get_write_buffer_size() == 0:
                        peer.connection.shutdown()
                        await peer.flush()
                        transport.resume_reading()
                        await turns()
                        transport.close()
                    await peer.receive()

    await converse()
    transport.abort()
    await recorder.gone()
    assert done == [callback]
    assert recorder.calls.count("connection_lost") == 1
    assert recorder.calls[-1] == "connection_lost"


# ---- A12: rekeying ----


@pytest.mark.parametrize("records", [1, 2, 7])
async def test_a12_keys_change_in_the_middle_of_a_write(records: int) -> None:
    joined = await join(
        client_fields={"key_update_records": records},
        server_fields={"key_update_records": records},
        buffer=SMALL_BUFFER,
    )
    joined.client.transport.write(BIG[:500_000])
    joined.server.transport.write(BIG[500_000:])
    for _ in range(50):
        joined.client.transport.write(b"c")
        joined.server.transport.write(b"s")
    assert await joined.server.got(500_050) == BIG[:500_000] + b"c" * 50
    rest = len(BIG) - 500_000
    assert await joined.client.got(rest + 50) == BIG[500_000:] + b"s" * 50
    assert joined.client.transport._core._send_path._sealer.sequence <= records + 1
    await joined.close()


# ---- extra info, repr ----


async def test_get_extra_info_is_as_asyncio_gives_it() -> None:
    joined = await join(tcp=True)
    transport = joined.client.transport
    sock = joined.client_socket
    info = transport.get_extra_info
    assert info("peername") == sock.getpeername()
    assert info("sockname") == sock.getsockname()
    assert isinstance(info("socket"), TransportSocket)
    assert info("socket").fileno() == sock.fileno()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert isinstance(info("sslcontext"), ClientConfig)
    assert isinstance(info("ssl_object"), TLSConnection)
    assert info("cipher") == info("ssl_object").cipher()
    assert ("commonName", "localhost") in info("peercert")["subject"][0]
    assert info("compression", "other") is None
    assert info("unknown") is None
    assert info("unknown", "other") == "other"
    assert joined.server.transport.get_extra_info("peercert") is None
    await joined.close()
    # Names and facts stay, the socket goes.
    assert info("peername")[0] == "127.0.0.1"
    assert info("cipher")[1] == "TLSv1.3"
    assert info("socket") is None


async def test_get_extra_info_in_the_handshake() -> None:
    ours, theirs = socket_pair()
    connection = TLSConnection(engine.server_config())
    transport = Transport(asyncio.get_running_loop(), ours, Recorder(), connection)
    assert transport.get_extra_info("peercert") is None
    assert transport.get_extra_info("cipher") is None
    transport.abort()
    theirs.close()


async def test_a_socket_without_a_peer_has_no_peername() -> None:
    with socket.socket() as lonely:
        transport = Transport(
            asyncio.get_running_loop(),
            Meter.of(lonely.dup()),
            Recorder(),
            TLSConnection(engine.server_config()),
        )
        assert transport.get_extra_info("peername") is None
        transport.abort()


async def test_repr_tells_the_state() -> None:
    transport, recorder, peer = await face_server(buffer=SMALL_BUFFER)
    fd = transport._core._fd
    assert repr(transport) == f"<Transport fd={fd} read=polling write=<idle, bufsize=0>>"
    transport.write(BIG)
    size = transport.get_write_buffer_size()
    assert repr(transport) == f"<Transport fd={fd} read=polling write=<polling, bufsize={size}>>"
    transport.close()
    assert repr(transport).startswith(f"<Transport closing fd={fd} ")
    transport.abort()
    await recorder.gone()
    assert repr(transport) == f"<Transport closed fd={fd}>"
    del peer


async def test_debug_mode_says_when_reading_pauses(caplog: pytest.LogCaptureFixture) -> None:
    joined = await join()
    asyncio.get_running_loop().set_debug(True)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        joined.client.transport.pause_reading()
        joined.client.transport.resume_reading()
    assert [record.message.split("> ")[-1] for record in caplog.records] == [
        "pauses reading",
        "resumes reading",
    ]
    await joined.close()


# ---- what is left ----


class Handler(asyncio.Protocol):
    """Keeps its transport and the error, as applications do."""

    transport: Any
    error: BaseException | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: BaseException | None) -> None:
        self.error = exc


async def end_orderly(transport: Any, peer: Peer) -> None:
    transport.close()
    await peer.read_to_end()


async def end_by_peer(transport: Any, peer: Peer) -> None:
    peer.connection.shutdown()
    await peer.flush()


async def end_by_abort(transport: Any, peer: Peer) -> None:
    transport.write(BIG)
    transport.abort()


async def end_by_truncation(transport: Any, peer: Peer) -> None:
    peer.socket.close()


async def end_by_bad_record(transport: Any, peer: Peer) -> None:
    await peer.loop.sock_sendall(peer.socket, b"\x17\x03\x03\x00\x20" + bytes(32))


async def end_by_alert(transport: Any, peer: Peer) -> None:
    peer.connection._control.send_alert(AlertDescription.INTERNAL_ERROR)
    await peer.flush()


async def end_by_failed_write(transport: Any, peer: Peer) -> None:
    meter_of(transport).failure = BrokenPipeError("gone")
    transport.write(b"x")


@pytest.mark.parametrize(
    "end",
    [
        end_orderly,
        end_by_peer,
        end_by_abort,
        end_by_truncation,
        end_by_bad_record,
        end_by_alert,
        end_by_failed_write,
    ],
)
async def test_a_closed_connection_is_freed_by_reference_counting(end: Any, no_collector: None) -> None:
    transport, handler, peer = await face_server(Handler())
    transport.set_write_buffer_limits(high=100)
    await peer.send(b"data")
    transport.pause_reading()
    await turns()
    transport.resume_reading()
    await turns()
    await end(transport, peer)
    while not hasattr(handler, "error"):
        await asyncio.sleep(0)
    peer.socket.close()
    await turns(10)
    watched = [weakref.ref(handler), weakref.ref(transport), weakref.ref(transport._core._connection)]
    del transport, handler
    assert [reference() for reference in watched] == [None, None, None]


async def test_a_failed_handshake_is_freed_by_reference_counting(no_collector: None) -> None:
    handler = Handler()
    watched = weakref.ref(handler)
    ours, theirs = socket_pair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        await create_connection(
            lambda kept=handler: kept, sock=ours, ssl=engine.client_config(), server_hostname=engine.HOST
        )
    await turns()
    del handler
    assert watched() is None


async def test_callbacks_run_in_the_context_of_the_connect() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: dict[str, str] = {}

    def look(name: str) -> Callable[..., None]:
        return lambda recorder, *_: seen.__setitem__(name, variable.get())

    names = (
        "connection_made",
        "data_received",
        "pause_writing",
        "resume_writing",
        "eof_received",
        "connection_lost",
    )
    variable.set("of the connect")
    transport, recorder, peer = await face_server(
        Recorder(**{name: look(name) for name in names}), buffer=SMALL_BUFFER
    )
    variable.set("of somebody else")
    transport.pause_reading()
    await peer.send(b"held")
    await turns()
    await peer.send(bytes(limits.PAUSED_READ_LIMIT))
    transport.resume_reading()
    await recorder.got(4 + limits.PAUSED_READ_LIMIT)
    transport.write(BIG)
    # pause_writing is called by write, and so in the writer's context, as asyncio does.
    assert seen.pop("pause_writing") == "of somebody else"
    await peer.read(len(BIG))
    peer.connection.shutdown()
    await peer.flush()
    await recorder.gone()
    assert seen == dict.fromkeys((set(names) - {"pause_writing"}), "of the connect")


async def test_an_idle_endpoint_is_small() -> None:
    def count() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    pairs: list[Joined] = [await join()]
    tracemalloc.start()
    before = count()
    for _ in range(10):
        pairs.append(await join())
    size = (count() - before) / 20
    tracemalloc.stop()
    for pair in pairs:
        await pair.close()
    # The protocols and counting sockets of the test are in it, the memory of the AEAD contexts is not.
    assert size < 12 * 1024

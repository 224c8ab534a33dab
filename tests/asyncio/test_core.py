"""A connection as a whole: handshake, every call in every callback, rekeying, extra info."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import engine, pki
from tests.support.wire import (
    BufferedRecorder,
    Complaints,
    Meter,
    Peer,
    Recorder,
    face_server,
    join,
    socket_pair,
    turns,
)
from tlswrite.asyncio import Transport, connect_accepted_socket, create_connection
from tlswrite.config import ClientConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.x509 import TrustAnchors
from tlswrite.errors import (
    AlertReceived,
    CertificateError,
    InternalError,
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

"""start_tls: TLS on a connection that exists."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import ssl
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, pki
from tests.support.upgrades import ROADS, Plain, join_by, plain_pair, upgrade
from tests.support.wire import BufferedRecorder, Peer, Recorder, socket_pair, turns
from tlswrite.asyncio import start_tls
from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.asyncio.upgrade import UpgradedTransport
from tlswrite.crypto.x509 import TrustAnchors
from tlswrite.errors import (
    AlertReceived,
    CertificateError,
    ConfigurationError,
    TruncationError,
    UnexpectedMessage,
)

BIG = bytes(at * 7 % 251 for at in range(3_000_001))


def strangers() -> dict[str, Any]:
    """Fields of a client that trusts nobody here."""
    return {"trust_anchors": TrustAnchors.from_pem(pki.stranger().certificate_pem)}


# ---- every road ----


@pytest.mark.parametrize("road", ROADS)
async def test_data_both_ways_and_a_clean_end(road: str) -> None:
    joined = await join_by(road)
    client, server = joined.client, joined.server
    client.transport.write(BIG)
    server.transport.write(BIG[::-1])
    assert await server.got(len(BIG)) == BIG
    assert await client.got(len(BIG)) == BIG[::-1]
    client.transport.close()
    assert await server.gone() is None
    assert await client.gone() is None
    # connection_made came from the plain transport, and only from that.
    assert client.calls.count("connection_made") == server.calls.count("connection_made") == 1
    assert client.calls.count("connection_lost") == server.calls.count("connection_lost") == 1


@pytest.mark.parametrize("road", ROADS)
async def test_close_sends_everything_to_a_slow_reader(road: str) -> None:
    """Clause A08: all of it, then the end, though the reader pauses in between."""
    joined = await join_by(road, buffer=4096)
    client, server = joined.client, joined.server
    server.transport.pause_reading()
    client.transport.write(BIG)
    client.transport.close()
    await turns(20)
    assert "connection_lost" not in client.calls
    server.transport.resume_reading()
    assert await server.got(len(BIG)) == BIG
    assert await client.gone() is None
    assert await server.gone() is None


@pytest.mark.parametrize("road", ROADS)
async def test_half_close(road: str) -> None:
    joined = await join_by(road)
    client, server = joined.client, joined.server
    server.keep_open = True
    client.transport.write(b"question")
    client.transport.write_eof()
    await server.until(lambda: "eof_received" in server.calls)
    server.transport.write(BIG)
    server.transport.close()
    assert await client.got(len(BIG)) == BIG
    assert await client.gone() is None


@pytest.mark.parametrize("road", ROADS)
async def test_an_abort_is_no_clean_end_for_the_peer(road: str) -> None:
    joined = await join_by(road)
    joined.client.transport.abort()
    assert await joined.client.gone() is None
    lost = await joined.server.gone()
    assert isinstance(lost, TruncationError | ConnectionResetError)


@pytest.mark.parametrize("road", ROADS)
async def test_pausing_writing_alternates_and_drains(road: str) -> None:
    """Clause A03, the bytes of the transport underneath included."""
    joined = await join_by(road)
    client, server = joined.client, joined.server
    server.transport.pause_reading()
    for _ in range(40):
        client.transport.write(BIG[:200_000])
    assert client.calls[-1] == "pause_writing"
    assert client.transport.get_write_buffer_size() > 64 * 1024
    server.transport.resume_reading()
    await server.got(40 * 200_000)
    await client.until(lambda: client.calls[-1] == "resume_writing")
    assert client.calls.count("pause_writing") == client.calls.count("resume_writing") == 1
    assert client.transport.get_write_buffer_size() == 0 or road != "replaced"
    await joined.close()


@pytest.mark.parametrize("road", ROADS)
async def test_it_is_freed_by_reference_counting(road: str) -> None:
    joined = await join_by(road)
    references = [weakref.ref(each.transport) for each in (joined.client, joined.server)]
    joined.client.transport.write(b"x")
    await joined.server.got(1)
    gc.collect()
    gc.disable()
    try:
        joined.client.transport.close()
        await joined.server.gone()
        await joined.client.gone()
        await turns()
        for recorder in (joined.client, joined.server):
            recorder.transport = None
        await turns()
        assert [each() for each in references] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("road", ROADS)
async def test_extra_info_and_repr(road: str) -> None:
    joined = await join_by(road)
    transport = joined.client.transport
    assert transport.get_extra_info("peername") == joined.server.transport.get_extra_info("sockname")
    assert transport.get_extra_info("cipher")[1] == "TLSv1.3"
    assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert transport.get_extra_info("socket").type == socket.SOCK_STREAM
    assert transport.get_extra_info("what", "nothing") == "nothing"
    assert ("over" in repr(transport)) == (road != "replaced")
    await joined.close()


@pytest.mark.parametrize("road", ROADS)
async def test_a_buffered_protocol(road: str) -> None:
    server = BufferedRecorder(1000)
    joined = await join_by(road, server=server)
    joined.client.transport.write(BIG)
    assert await server.got(len(BIG)) == BIG
    await joined.close()


# ---- what was going on before ----


@pytest.mark.parametrize("paused", [True, False])
async def test_a_paused_transport_stays_paused(paused: bool) -> None:
    plain = await plain_pair()
    if paused:
        plain.server.transport.pause_reading()
    joined = await upgrade(plain)
    assert joined.server.transport.is_reading() is not paused
    joined.client.transport.write(b"hello")
    if paused:
        await turns(20)
        assert joined.server.data == b""
        joined.server.transport.resume_reading()
    assert await joined.server.got(5) == b"hello"
    await joined.close()


async def face_plain(buffer: int | None = None, **fields: Any) -> tuple[Recorder, Peer]:
    """A protocol on a plain transport, and a server at the other end that the test drives."""
    recorder = Recorder()
    first, second = socket_pair(tcp=True, buffer=buffer)
    await asyncio.get_running_loop().create_connection(lambda: recorder, sock=first)
    return recorder, Peer(engine.server(**fields), second)


def start_client(recorder: Any, **options: Any) -> asyncio.Task[Any]:
    config = options.pop("config", engine.client_config())
    return asyncio.ensure_future(
        start_tls(recorder.transport, recorder, config, server_hostname=engine.HOST, **options)
    )


async def test_what_the_plain_transport_still_holds_goes_first() -> None:
    """The writer was paused by the plain transport, and is told to go on by the new one."""
    client, peer = await face_plain(buffer=4096)
    client.transport.write(BIG)
    assert client.calls[-1] == "pause_writing"
    starting = start_client(client)
    loop = asyncio.get_running_loop()
    plain = b""
    while len(plain) < len(BIG):
        plain += await loop.sock_recv(peer.socket, 65536)
    assert plain[: len(BIG)] == BIG
    peer.connection.bio_write(plain[len(BIG) :])
    await peer.handshake()
    client.transport = await starting
    assert isinstance(client.transport, LayeredTransport)
    client.transport.write(b"in TLS")
    assert await peer.read(6) == b"in TLS"
    await client.until(lambda: client.calls[-1] == "resume_writing")
    assert client.calls.count("pause_writing") == client.calls.count("resume_writing") == 1
    client.transport.abort()
    await client.gone()


async def test_a_writer_that_was_not_paused_is_not_resumed() -> None:
    client, peer = await face_plain(buffer=4096)
    # More than the kernel takes, less than the high-water mark.
    client.transport.set_write_buffer_limits(high=2 * len(BIG))
    client.transport.write(BIG)
    assert client.transport.get_write_buffer_size()
    starting = start_client(client)
    loop = asyncio.get_running_loop()
    plain = b""
    while len(plain) < len(BIG):
        plain += await loop.sock_recv(peer.socket, 65536)
    peer.connection.bio_write(plain[len(BIG) :])
    await peer.handshake()
    client.transport = await starting
    assert client.calls == ["connection_made"]
    client.transport.abort()
    await client.gone()


async def test_a_small_write_right_before_does_not_take_the_slow_road() -> None:
    """On uvloop it is sent when the loop turns."""
    client, peer = await face_plain()
    client.transport.write(b"STARTTLS")
    starting = start_client(client)
    loop = asyncio.get_running_loop()
    assert await loop.sock_recv(peer.socket, 8) == b"STARTTLS"
    await peer.handshake()
    client.transport = await starting
    assert isinstance(client.transport, UpgradedTransport)
    client.transport.abort()
    await client.gone()


@pytest.mark.parametrize("size", [1, 5, 100, None])
async def test_what_a_stream_reader_has_goes_to_the_engine(size: int | None) -> None:
    """So much of the ClientHello came with the plain text, and was not read."""
    loop = asyncio.get_running_loop()
    first, second = socket_pair(tcp=True)
    reader, writer = await asyncio.open_connection(sock=first)
    client = engine.client()
    client.start_handshake()
    hello = client.bio_read()
    await loop.sock_sendall(second, b"STARTTLS\n" + hello[:size])
    assert await reader.readline() == b"STARTTLS\n"
    await turns()
    starting = asyncio.ensure_future(
        start_tls(writer.transport, writer.transport.get_protocol(), engine.server_config(), server_side=True)
    )
    await turns()
    if size is not None:
        await loop.sock_sendall(second, hello[size:])
    peer = Peer(client, second)
    await peer.handshake()
    transport = await starting
    await peer.send(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer._transport = transport  # what StreamWriter.start_tls does
    writer.close()
    await writer.wait_closed()


async def test_what_the_reader_of_the_protocol_before_has_goes_to_the_engine() -> None:
    """Another protocol may follow; the bytes came to the one that the transport had."""
    loop = asyncio.get_running_loop()
    first, second = socket_pair(tcp=True)
    reader, writer = await asyncio.open_connection(sock=first)
    client = engine.client()
    client.start_handshake()
    await loop.sock_sendall(second, b"STARTTLS\n" + client.bio_read())
    assert await reader.readline() == b"STARTTLS\n"
    await turns()
    recorder = Recorder()
    starting = asyncio.ensure_future(
        start_tls(writer.transport, recorder, engine.server_config(), server_side=True)
    )
    peer = Peer(client, second)
    await peer.handshake()
    transport = await starting
    await peer.send(b"hello")
    assert await recorder.got(5) == b"hello"
    transport.close()
    await recorder.gone()
    writer.close()


async def test_a_command_smuggled_in_front_of_tls_is_not_read_behind_it() -> None:
    """CVE-2011-0411: it is no TLS, so the handshake fails, and nobody reads it."""
    loop = asyncio.get_running_loop()
    first, second = socket_pair(tcp=True)
    reader, writer = await asyncio.open_connection(sock=first)
    await loop.sock_sendall(second, b"STARTTLS\nMAIL FROM:<evil>\n")
    assert await reader.readline() == b"STARTTLS\n"
    await turns()
    with pytest.raises(UnexpectedMessage, match="is this TLS"):
        await start_tls(
            writer.transport, writer.transport.get_protocol(), engine.server_config(), server_side=True
        )
    with pytest.raises(UnexpectedMessage):
        await reader.read()
    second.close()
    writer.close()


async def test_a_reader_that_paused_its_transport_resumes_the_new_one() -> None:
    """The StreamReader was full, and pauses and resumes by the transport it knows."""
    loop = asyncio.get_running_loop()
    first, second = socket_pair(tcp=True)
    reader, writer = await asyncio.open_connection(sock=first, limit=100)
    starting = asyncio.ensure_future(
        start_tls(writer.transport, writer.transport.get_protocol(), engine.server_config(), server_side=True)
    )
    peer = Peer(engine.client(), second)
    await peer.handshake()
    writer._transport = await starting
    sending = loop.create_task(peer.send(BIG))
    received = bytearray()
    while len(received) < len(BIG):
        received += await reader.read(1000)
        if len(received) < 2000:
            await turns()
    assert received == BIG
    await sending
    writer.close()
    await writer.wait_closed()


async def test_context_variables_are_those_of_the_call() -> None:
    seen: list[str] = []
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    joined = None
    plain = await plain_pair()
    plain.server.on["data_received"] = lambda *_: seen.append(variable.get())
    for road in ("replaced", "tls in tls"):
        variable.set(road)
        joined = await upgrade(plain)
        variable.set("another")
        joined.client.transport.write(b"x")
        await joined.server.got(1)
        joined.server.data.clear()
    assert seen == ["replaced", "tls in tls"]
    assert joined is not None
    await joined.close()


# ---- asyncio's own TLS at the other end, and underneath ----


def stdlib_context(server: bool, tmp_path: Path) -> ssl.SSLContext:
    if server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = pki.write(tmp_path, engine.issued())
        context.load_cert_chain(files.certfile, files.keyfile)
        return context
    return ssl.create_default_context(cadata=pki.authority().certificate_pem.decode())


@pytest.mark.parametrize("server", [True, False])
async def test_against_the_loops_own_start_tls(server: bool, tmp_path: Path) -> None:
    plain = await plain_pair()
    ours, theirs = (plain.server, plain.client) if server else (plain.client, plain.server)
    loop = asyncio.get_running_loop()
    name = {"server_hostname": engine.HOST}
    ours.transport, theirs.transport = await asyncio.gather(
        start_tls(
            ours.transport,
            ours,
            engine.server_config() if server else engine.client_config(),
            server_side=server,
            **({} if server else name),
        ),
        loop.start_tls(
            theirs.transport,
            theirs,
            stdlib_context(not server, tmp_path),
            server_side=not server,
            **(name if server else {}),
        ),
    )
    ours.transport.write(BIG)
    theirs.transport.write(BIG[::-1])
    assert await theirs.got(len(BIG)) == BIG
    assert await ours.got(len(BIG)) == BIG[::-1]
    ours.transport.close()
    assert await ours.gone() is None
    assert await theirs.gone() is None


@pytest.mark.parametrize("ours_below", [True, False])
async def test_over_and_under_the_loops_own_tls(ours_below: bool, tmp_path: Path) -> None:
    """TLS in TLS of two makes: a proxy that is reached by one and a server by the other."""
    loop = asyncio.get_running_loop()
    if ours_below and "uvloop" in type(loop).__module__:
        pytest.skip("uvloop's own start_tls takes none but its own transports")
    plain = await plain_pair()
    for ours in (ours_below, not ours_below):
        start: Any = start_tls if ours else loop.start_tls
        plain.client.transport, plain.server.transport = await asyncio.gather(
            start(
                plain.client.transport,
                plain.client,
                engine.client_config() if ours else stdlib_context(False, tmp_path),
                server_hostname=engine.HOST,
            ),
            start(
                plain.server.transport,
                plain.server,
                engine.server_config() if ours else stdlib_context(True, tmp_path),
                server_side=True,
            ),
        )
    plain.client.transport.write(BIG)
    plain.server.transport.write(BIG[::-1])
    assert await plain.server.got(len(BIG)) == BIG
    assert await plain.client.got(len(BIG)) == BIG[::-1]
    plain.client.transport.close()
    assert await plain.client.gone() is None
    await plain.server.gone()


# ---- failure ----


async def test_a_failed_handshake_closes_the_connection_with_the_true_error() -> None:
    client, peer = await face_plain()
    starting = start_client(client, config=engine.client_config(**strangers()))
    with pytest.raises(AlertReceived, match="unknown_ca"):
        await peer.handshake()
    with pytest.raises(CertificateError, match="neither among the trust anchors") as caught:
        await starting
    assert client.transport.is_closing()
    lost = await client.gone()
    assert type(lost) is CertificateError
    assert str(lost) == str(caught.value)
    assert client.calls.count("connection_lost") == 1


async def test_a_handshake_that_takes_too_long() -> None:
    client, peer = await face_plain()
    with pytest.raises(ConnectionAbortedError, match=r"taking longer than 0\.01 seconds"):
        await start_client(client, ssl_handshake_timeout=0.01)
    assert isinstance(await client.gone(), ConnectionAbortedError)
    peer.socket.close()


async def test_cancelling_closes_the_connection() -> None:
    client, peer = await face_plain()
    starting = start_client(client)
    await peer.receive()  # the ClientHello
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await client.gone()
    assert client.transport.is_closing()
    loop = asyncio.get_running_loop()
    assert await loop.sock_recv(peer.socket, 100) == b""


async def test_a_transport_that_is_closed() -> None:
    client, peer = await face_plain()
    client.transport.close()
    with pytest.raises(ConnectionResetError, match="the connection is closed"):
        await start_client(client)
    await client.gone()
    peer.socket.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sslcontext": None}, TypeError, "takes True, a tlswrite.ClientConfig"),
        ({"sslcontext": engine.server_config()}, TypeError, "this side is the client"),
        ({"server_side": True}, TypeError, "this side is the server"),
        ({"server_hostname": None}, ConfigurationError, "server_hostname is missing"),
        (
            {"sslcontext": engine.server_config(), "server_side": True, "server_hostname": "x"},
            ValueError,
            "server_hostname is for clients",
        ),
        ({"ssl_handshake_timeout": 0}, ValueError, "ssl_handshake_timeout should be a positive number"),
    ],
)
async def test_arguments_that_cannot_work_leave_the_connection_as_it_was(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    client, peer = await face_plain()
    given = {"sslcontext": engine.client_config(), "server_hostname": engine.HOST, **options}
    if given.get("server_side") and "server_hostname" not in options:
        del given["server_hostname"]
    with pytest.raises(error, match=message):
        await start_tls(client.transport, client, given.pop("sslcontext"), **given)
    loop = asyncio.get_running_loop()
    client.transport.write(b"still here")
    assert await loop.sock_recv(peer.socket, 100) == b"still here"
    await loop.sock_sendall(peer.socket, b"so am I")
    assert await client.got(7) == b"so am I"
    client.transport.close()
    await client.gone()


async def test_what_is_no_transport() -> None:
    with pytest.raises(TypeError, match="is not supported by start_tls"):
        await start_tls(object(), Recorder(), engine.client_config(), server_hostname="x")


async def test_a_server_counts_the_connection_until_it_is_over() -> None:
    """wait_closed of the loop's own server waits for what became a TLS connection of ours."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[Recorder] = loop.create_future()
    server = await loop.create_server(
        lambda: Recorder(connection_made=lambda recorder: accepted.set_result(recorder)), "127.0.0.1", 0
    )
    _, client = await loop.create_connection(Recorder, *server.sockets[0].getsockname())
    joined = await upgrade(Plain(client, await accepted))
    server.close()
    waiting = asyncio.ensure_future(server.wait_closed())
    await turns()
    if sys.version_info >= (3, 12) and isinstance(server, asyncio.Server):
        assert not waiting.done()
    joined.client.transport.close()
    await joined.client.gone()
    await joined.server.gone()
    await asyncio.wait_for(waiting, 10)

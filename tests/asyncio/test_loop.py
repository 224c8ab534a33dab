"""Event loops whose own methods make the fast transport."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tlswrite
from tests.support import engine, pki
from tests.support.wire import Recorder, socket_pair
from tlswrite.asyncio import Transport
from tlswrite.asyncio.loop import divert, undivert

CLIENT = engine.client_config()
SERVER = engine.server_config()


class Echo(asyncio.Protocol):
    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


LOOP_FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": tlswrite.new_event_loop,
    "uvloop": partial(tlswrite.new_event_loop, uvloop=True),
}


def is_fast(transport: Any) -> bool:
    return isinstance(transport, Transport)


async def echoes(transport: Any, recorder: Recorder) -> None:
    transport.write(b"hello")
    assert await recorder.got(5) == b"hello"
    transport.close()
    assert await recorder.gone() is None


def standard(tmp_path: Path, server: bool) -> ssl.SSLContext:
    if server:
        files = pki.write(tmp_path, engine.issued())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.certfile, files.keyfile)
        return context
    return ssl.create_default_context(cadata=pki.authority().certificate_pem.decode())


async def test_connections_and_servers_with_a_configuration(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=SERVER)  # type: ignore[arg-type]
    port = server.sockets[0].getsockname()[1]
    transport, recorder = await loop.create_connection(
        Recorder,
        "127.0.0.1",
        port,
        ssl=CLIENT,
        server_hostname=engine.HOST,  # type: ignore[arg-type]
    )
    assert is_fast(transport)
    await echoes(transport, recorder)
    server.close()
    await server.wait_closed()
    path = str(tmp_path / "socket")
    unix: Any = await loop.create_unix_server(Echo, path, ssl=SERVER)  # type: ignore[arg-type]
    transport, recorder = await loop.create_unix_connection(
        Recorder,
        path,
        ssl=CLIENT,
        server_hostname=engine.HOST,  # type: ignore[arg-type]
    )
    assert is_fast(transport)
    await echoes(transport, recorder)
    unix.close()


async def test_an_accepted_socket() -> None:
    loop: Any = asyncio.get_running_loop()
    first, second = socket_pair()
    (client, recorder), (server, _) = await asyncio.gather(
        loop.create_connection(Recorder, sock=first, ssl=CLIENT, server_hostname=engine.HOST),
        loop.connect_accepted_socket(Echo, second, ssl=SERVER),
    )
    assert is_fast(client) and is_fast(server)
    await echoes(client, recorder)


async def test_streams_and_their_start_tls() -> None:
    """asyncio's own functions, which ask the loop."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"OK\n")
        await writer.start_tls(SERVER)  # type: ignore[arg-type]
        assert is_fast(writer.transport)
        writer.write(await reader.readline())
        await writer.drain()
        assert await reader.read() == b""
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"OK\n"
    await writer.start_tls(CLIENT, server_hostname=engine.HOST)  # type: ignore[arg-type]
    assert is_fast(writer.transport)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a_standard_context_gets_the_loops_own_transport(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=standard(tmp_path, True))
    port = server.sockets[0].getsockname()[1]
    transport, recorder = await loop.create_connection(
        Recorder, "localhost", port, ssl=standard(tmp_path, False)
    )
    assert not is_fast(transport)
    await echoes(transport, recorder)
    server.close()


async def test_a_context_with_an_object_class_of_its_own_gets_that_class(tmp_path: Path) -> None:
    """An application's check of its own, of a pinned certificate for one, is not left out."""

    class Pinning(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            raise ssl.SSLCertVerificationError("not the certificate that it was")

    loop: Any = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=SERVER)
    port = server.sockets[0].getsockname()[1]
    context = tlswrite.create_default_context(cadata=pki.authority().certificate_pem.decode())
    context.sslobject_class = Pinning
    with pytest.raises(ssl.SSLCertVerificationError, match="not the certificate"):
        await loop.create_connection(Recorder, "127.0.0.1", port, ssl=context, server_hostname=engine.HOST)
    server.close()
    await server.wait_closed()


async def test_without_tls() -> None:
    loop: Any = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for nothing in (None, False):
        transport, recorder = await loop.create_connection(Recorder, "127.0.0.1", port, ssl=nothing)
        assert not is_fast(transport)
        await echoes(transport, recorder)
    transport, recorder = await loop.create_connection(Recorder, "127.0.0.1", port)
    with pytest.raises(TypeError, match=r"SSLContext"):
        await loop.start_tls(transport, recorder, True)
    await echoes(transport, recorder)
    server.close()


async def test_the_contexts_of_the_other_side_are_refused() -> None:
    loop: Any = asyncio.get_running_loop()
    with pytest.raises(TypeError, match="this side is the client"):
        await loop.create_connection(Recorder, "127.0.0.1", 1, ssl=SERVER)
    with pytest.raises(TypeError, match="this side is the server"):
        await loop.create_server(Recorder, "127.0.0.1", 0, ssl=CLIENT)


def test_run() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        assert loop.get_debug()
        return type(loop).__mro__[1].__module__

    assert tlswrite.run(main(), debug=True).startswith("asyncio.")
    assert tlswrite.run(main(), debug=True, uvloop=True).startswith("uvloop")


def test_uvloop_is_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from tlswrite.asyncio import loop

    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop._loop_class.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'tlswrite\[uvloop\]'"):
        tlswrite.new_event_loop(uvloop=True)
    loop._loop_class.cache_clear()


class _Loop(asyncio.SelectorEventLoop):
    """One whose class is changed for the length of a test."""


def test_loops_that_are_there_are_diverted_and_given_back() -> None:
    before = _Loop.create_connection
    own = set(_Loop.__dict__)

    async def main() -> bool:
        first, second = socket_pair()
        loop: Any = asyncio.get_running_loop()
        divert(_Loop)
        divert(_Loop)
        (client, _), (server, _) = await asyncio.gather(
            loop.create_connection(Recorder, sock=first, ssl=CLIENT, server_hostname=engine.HOST),
            loop.connect_accepted_socket(Echo, second, ssl=SERVER),
        )
        client.abort()
        server.abort()
        await asyncio.sleep(0)
        return is_fast(client)

    with asyncio.Runner(loop_factory=_Loop) as runner:
        assert runner.run(main())
    undivert()
    assert _Loop.create_connection is before
    assert set(_Loop.__dict__) == own

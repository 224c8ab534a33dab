"""Loops without `add_reader`, such as Windows' proactor loop: the same engine over the loop's own transports."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest

import tlswrite
from tests.support import engine, pki
from tests.support.wire import Complaints, Recorder
from tlswrite.asyncio.connect import watches_sockets
from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.crypto.x509 import TrustAnchors
from tlswrite.errors import CertificateError

BIG = bytes(at * 7 % 251 for at in range(2_000_003))


class _Loop(asyncio.SelectorEventLoop):
    """A loop that watches no sockets for others; what it does inside is its own affair."""

    add_reader = asyncio.AbstractEventLoop.add_reader
    add_writer = asyncio.AbstractEventLoop.add_writer


LOOP_FACTORIES = {"proactor": _Loop}


async def test_it_is_one() -> None:
    loop = asyncio.get_running_loop()
    assert not watches_sockets(loop)
    with pytest.raises(NotImplementedError):
        loop.add_reader(0, print)


async def joined(server: Recorder, **options: Any) -> Any:
    listener = await tlswrite.create_server(lambda: server, "127.0.0.1", 0, ssl=engine.server_config())
    transport, client = await tlswrite.create_connection(
        Recorder,
        "127.0.0.1",
        listener.sockets[0].getsockname()[1],
        ssl=engine.client_config(),
        server_hostname=engine.HOST,
        **options,
    )
    assert isinstance(transport, LayeredTransport)
    await server.until(lambda: server.transport is not None)
    return listener, client


async def test_data_both_ways_and_a_clean_end() -> None:
    server = Recorder()
    listener, client = await joined(server)
    client.transport.write(BIG)
    server.transport.write(BIG[::-1])
    assert await server.got(len(BIG)) == BIG
    assert await client.got(len(BIG)) == BIG[::-1]
    client.transport.close()
    assert await client.gone() is None
    assert await server.gone() is None
    listener.close()
    await asyncio.wait_for(listener.wait_closed(), 10)


async def test_streams_and_start_tls() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        transport = await tlswrite.start_tls(
            writer.transport, writer.transport.get_protocol(), engine.server_config(), server_side=True
        )
        writer._transport = transport  # type: ignore[attr-defined]
        writer.write(await reader.readline())
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    writer.write(b"STARTTLS\n")
    assert await reader.readline() == b"STARTTLS\n"
    transport = await tlswrite.start_tls(
        writer.transport,
        writer.transport.get_protocol(),
        engine.client_config(),
        server_hostname=engine.HOST,
    )
    assert isinstance(transport, LayeredTransport)
    writer._transport = transport  # type: ignore[attr-defined]
    writer.write(b"hello\n")
    assert await reader.read() == b"hello\n"
    writer.close()
    await writer.wait_closed()
    listener.close()


async def test_a_failed_handshake() -> None:
    strangers = engine.client_config(trust_anchors=TrustAnchors.from_pem(pki.stranger().certificate_pem))
    server = Recorder()
    listener = await tlswrite.create_server(lambda: server, "127.0.0.1", 0, ssl=engine.server_config())
    with pytest.raises(CertificateError):
        await tlswrite.create_connection(
            Recorder,
            *listener.sockets[0].getsockname(),
            ssl=strangers,
            server_hostname=engine.HOST,
        )
    listener.close()
    await asyncio.wait_for(listener.wait_closed(), 10)
    assert server.calls == []


async def test_a_factory_that_raises(complaints: Complaints) -> None:
    def factory() -> NoReturn:
        raise LookupError("no protocol")

    listener = await tlswrite.create_server(factory, "127.0.0.1", 0, ssl=engine.server_config())
    with pytest.raises(ConnectionError):
        await tlswrite.create_connection(
            Recorder,
            *listener.sockets[0].getsockname(),
            ssl=engine.client_config(),
            server_hostname=engine.HOST,
        )
    assert str(complaints.take()["exception"]) == "no protocol"
    listener.close()

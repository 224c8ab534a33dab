"""What an application gets wrong with start_tls: as in test_bad_input, beside asyncio's own answer."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support import pki
from tests.support.mistakes import (
    HOST,
    NAME,
    OTHER_TYPE,
    OURS,
    SIDES,
    SOON,
    Bench,
    Library,
    Program,
    Row,
    check,
    client,
    on_pair,
    on_plain,
    server,
)
from tests.support.wire import PATIENCE, turns

# ---- programs ---------------------------------------------------------------------------------------


def start(context: Any, **options: Any) -> Program:
    """`start_tls` on a plain transport; the peer stays silent."""

    def call(bench: Bench, end: Any, _: Any) -> Awaitable[Any]:
        return bench.start_tls(
            end.transport, end, context(bench) if callable(context) else context, **options
        )

    return on_plain(call)


def start_on(transport: Any) -> Program:
    return on_plain(
        lambda bench, end, _: bench.start_tls(transport, end, bench.client_context, server_hostname=HOST)
    )


def after(act: Callable[[Any, Any], Any]) -> Program:
    """`start_tls` after something happened to one of the ends."""

    def call(bench: Bench, end: Any, peer: Any) -> Awaitable[Any]:
        act(end.transport, peer.transport)
        return bench.start_tls(end.transport, end, bench.client_context, server_hostname=HOST)

    return on_plain(call)


def on_other(make: Callable[[Bench], Awaitable[Any]]) -> Program:
    """`start_tls` on a transport that is no stream's, or one of one direction."""

    async def program(bench: Bench) -> None:
        transport = await make(bench)
        try:
            await bench.start_tls(transport, asyncio.Protocol(), bench.client_context, server_hostname=HOST)
        finally:
            transport.close()
            # Its descriptor is closed in one of the next turns.
            await turns(5)

    return program


async def datagrams(bench: Bench) -> Any:
    return (await bench.loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0)))[0]


async def pipe_end(bench: Bench, writing: bool) -> Any:
    ends = [os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)]
    connect_pipe = bench.loop.connect_write_pipe if writing else bench.loop.connect_read_pipe
    transport, _ = await connect_pipe(asyncio.Protocol, ends.pop(writing))
    ends[0].close()
    return transport


def twice(waiting: int = 0, *, later: bool = False) -> Program:
    """TLS begun on a transport that has it: at once, with bytes still unsent, or later. The first one goes on."""

    def start_client(bench: Bench, end: Any, transport: Any) -> Awaitable[Any]:
        return asyncio.ensure_future(
            bench.start_tls(transport, end, bench.client_context, server_hostname=HOST)
        )

    async def program(bench: Bench) -> None:
        async with bench.plain() as (end, peer), asyncio.timeout(PATIENCE):
            old = end.transport
            peer.transport.pause_reading()
            old.write(bytes(waiting))
            first = start_client(bench, end, old)
            second = None if later else start_client(bench, end, old)
            await turns(10)
            if waiting:
                # The ClientHello comes behind the plain bytes, and alone.
                peer.transport.resume_reading()
                await peer.until(lambda: len(peer.data) > waiting)
                assert peer.data[waiting] == 0x16
                assert not first.done()
                first.cancel()
                await asyncio.wait([first])
                assert second is not None
                await second
            end.transport, peer.transport = await asyncio.gather(
                first, bench.start_tls(peer.transport, peer, bench.server_context, server_side=True)
            )
            peer.transport.resume_reading()
            try:
                await (second or start_client(bench, end, old))
            finally:
                end.transport.write(b"still here")
                assert await peer.got(10) == b"still here"

    return program


async def named_server(bench: Bench) -> None:
    """`StreamWriter.start_tls` of a server, with a name."""
    accepted = bench.loop.create_future()

    async def serve_one(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(writer)

    listening = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    try:
        await (await accepted).start_tls(bench.server_context, server_hostname="x")
    finally:
        (await accepted).transport.abort()
        writer.transport.abort()
        listening.close()
        await turns(5)


# ---- the table --------------------------------------------------------------------------------------

TWICE = "asyncio lets both shake hands on one connection, and neither ends"

ROWS = [
    Row(
        "start_tls with a server's",
        start(server, server_hostname=HOST),
        SIDES,
        (ssl.SSLError, TypeError),
        OTHER_TYPE,
    ),
    Row(
        "start_tls with a client's",
        start(client, server_side=True),
        SIDES,
        (ssl.SSLError, TypeError),
        OTHER_TYPE,
    ),
    Row("start_tls with None", start(None, server_hostname=HOST), "not NoneType|got None"),
    Row("start_tls with a string", start("tls", server_hostname=HOST), "not str|got 'tls'"),
    Row("start_tls without a name", start(client), "server_hostname", ValueError, SOON),
    Row(
        "a server's name",
        start(server, server_side=True, server_hostname="x"),
        "server_hostname",
        ValueError,
        SOON,
    ),
    Row(
        "start_tls with a name that cannot be",
        start(client, server_hostname="a b"),
        NAME,
        ValueError,
        SOON,
    ),
    Row(
        "start_tls with a timeout of 0",
        start(client, server_hostname=HOST, ssl_handshake_timeout=0),
        "positive",
    ),
    Row(
        "start_tls to a silent peer",
        start(client, server_hostname=HOST, ssl_handshake_timeout=0.02),
        r"(SSL|TLS) handshake is taking longer than 0.02 seconds",
    ),
    Row(
        "start_tls on TLS with None",
        on_pair(lambda bench, end: bench.start_tls(end.transport, end, None)),
        "None",
    ),
    Row("start_tls on datagrams", on_other(datagrams), "not supported by start_tls"),
    *(
        Row(
            f"start_tls on a pipe to {'write' if writing else 'read'}",
            on_other(lambda bench, writing=writing: pipe_end(bench, writing)),
            "not supported by start_tls",
        )
        for writing in (True, False)
    ),
    *(
        Row(f"start_tls {when}", program, "TLS was started on .* already", RuntimeError, TWICE)
        for when, program in (
            ("twice at once", twice()),
            ("twice at once, with bytes unsent", twice(8_000_000)),
            ("on the transport that was there before", twice(later=True)),
        )
    ),
    Row(
        "StreamWriter.start_tls of a server with a name",
        named_server,
        "server_hostname|instance of ssl.SSLContext",
        (ValueError, TypeError),
        "on loops that are not ours it is asyncio's own, which takes no configuration",
    ),
    Row("start_tls on None", start_on(None), "transport None is not supported"),
    Row("start_tls on an object", start_on(object()), "is not supported by start_tls"),
    Row(
        "start_tls on a transport that is none",
        start_on(asyncio.Transport()),
        "is not supported by start_tls",
    ),
    Row(
        "start_tls after close",
        after(lambda own, _: own.close()),
        "connection is closed",
        ConnectionResetError,
        SOON,
    ),
    Row(
        "start_tls after abort",
        after(lambda own, _: own.abort()),
        "connection is closed",
        ConnectionResetError,
        SOON,
    ),
    Row(
        "start_tls after the peer's close",
        after(lambda _, peer: peer.close()),
        "without close_notify in the handshake|reset by peer",
    ),
    Row(
        "start_tls after the peer's abort",
        after(lambda _, peer: peer.abort()),
        "in the handshake|reset by peer",
    ),
]


@pytest.mark.parametrize("library", OURS, ids=lambda library: library.name)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_mistake(row: Row, library: Library, files: pki.Files) -> None:
    check(row, library, files)

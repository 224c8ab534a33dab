"""What an application gets wrong: the exception is asyncio's, and what it says is clearer.

Every row is one mistake, made under `ssl` of the standard library and under this package, by its functions and
on its loops. Ours must raise an exception of the same class; where it is wilfully another one, or where asyncio
lets the mistake pass, the row says which and why.
"""

from __future__ import annotations

import asyncio
import io
import math
import socket
import ssl
from collections.abc import Callable
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
    accept,
    check,
    client,
    connect,
    on_pair,
    over_socket,
    serve,
    server,
)
from tests.support.wire import socket_pair

#: A server that nobody asks anything: most mistakes are seen before.
NOBODY = ("127.0.0.1", 9)


# ---- programs ---------------------------------------------------------------------------------------


def datagram(_: Bench) -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def stream(_: Bench) -> socket.socket:
    return socket.socket()


def closed(_: Bench) -> socket.socket:
    sock = socket.socket()
    sock.close()
    return sock


def with_tls(_: Bench) -> socket.socket:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(
        socket.socket(), server_hostname="x", do_handshake_on_connect=False
    )


def on_server(call: Callable[[Any], Any]) -> Program:
    """A call on a server that is closed."""

    async def program(bench: Bench) -> None:
        listening = await bench.serve(asyncio.Protocol, "127.0.0.1", 0, ssl=bench.server_context)
        listening.close()
        await call(listening)

    return program


async def nowhere(bench: Bench) -> None:
    """A unix server at an empty path."""
    (await bench.serve_unix(asyncio.Protocol, "", ssl=bench.server_context)).close()


async def no_factory(bench: Bench) -> None:
    ours, theirs = socket_pair(tcp=True)
    with ours, theirs:
        await bench.connect(None, sock=ours, ssl=bench.client_context, server_hostname=HOST)


# ---- the table --------------------------------------------------------------------------------------

NAMES = "one class for all names that cannot be"

ROWS = [
    # Contexts for the other side.
    Row("connect with a server's", over_socket(ssl=server), SIDES, (ssl.SSLError, TypeError), OTHER_TYPE),
    Row("serve with a client's", serve("127.0.0.1", 0, ssl=client), SIDES, (ssl.SSLError, TypeError), SOON),
    Row("accept with a client's", accept(ssl=client), SIDES, (ssl.SSLError, TypeError), OTHER_TYPE),
    # What is no context.
    Row("serve with True", serve("127.0.0.1", 0, ssl=True), "ssl.*(not True|must be an SSLContext)"),
    Row("accept with True", accept(ssl=True), "needs a valid SSLContext"),
    # A name that is missing, or cannot be.
    Row("no name", over_socket(server_hostname=None), "You must set server_hostname"),
    Row("no name and no host", connect(ssl=client), "You must set server_hostname"),
    Row("an empty name", over_socket(server_hostname=""), "server_hostname", ValueError, SOON),
    Row("a name without ssl", connect(*NOBODY, server_hostname="x"), "only meaningful with ssl"),
    Row("a dot in front", over_socket(server_hostname=".localhost"), NAME, ValueError, NAMES),
    Row("a NUL inside", over_socket(server_hostname="a\0b"), NAME, ValueError, NAMES),
    Row("a long label", over_socket(server_hostname="a" * 64 + ".example"), NAME, ValueError, NAMES),
    Row("a long name", over_socket(server_hostname=".".join(["a" * 60] * 6)), NAME, ValueError, NAMES),
    *(
        Row(f"{name!r} for a name", over_socket(server_hostname=name), NAME, ValueError, SOON)
        for name in ("a b", "-a.example", "a..b", "*.example", "[::1]")
    ),
    Row(
        "a number for a name",
        over_socket(server_hostname=5),
        "a str, not int",
        TypeError,
        "asyncio: AttributeError",
    ),
    # Timeouts.
    *(
        Row(
            f"{name} of {value} without ssl",
            connect(*NOBODY, **{name: value}),
            f"{name} is only meaningful with ssl",
        )
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout")
        for value in (1, 0)
    ),
    *(
        Row(
            f"{name} of {value}",
            over_socket(**{name: value}),
            f"{name} should be a positive number, got {value}",
        )
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout")
        for value in (0, -1)
    ),
    *(
        Row(f"{name} of text", over_socket(**{name: "1"}), "positive number, not str")
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout")
    ),
    Row(
        "a timeout of NaN",
        over_socket(ssl_handshake_timeout=math.nan),
        "positive number, got nan",
        ValueError,
        "asyncio puts it among its timers, whose order it breaks",
    ),
    Row(
        "a server's timeout of text",
        serve("127.0.0.1", 0, ssl=server, ssl_handshake_timeout="1"),
        "positive number, not str",
        TypeError,
        SOON,
    ),
    Row(
        "a server's timeout of 0",
        serve("127.0.0.1", 0, ssl=server, ssl_handshake_timeout=0),
        "positive",
        ValueError,
        SOON,
    ),
    Row("a server's timeout", serve("127.0.0.1", 0, ssl_handshake_timeout=1), "only meaningful with ssl"),
    Row("an accepted one's timeout", accept(ssl=None, ssl_handshake_timeout=1), "only meaningful with ssl"),
    # Addresses and sockets.
    Row("host and sock", connect(*NOBODY, sock=stream, ssl=client, server_hostname="x"), "at the same time"),
    Row("neither", connect(ssl=client, server_hostname="x"), "no sock specified"),
    Row("serve neither", serve(None, None, ssl=server), "Neither host/port nor sock"),
    Row("serve both", serve("127.0.0.1", 0, sock=stream, ssl=server), "at the same time"),
    Row(
        "a datagram socket",
        connect(sock=datagram, ssl=client, server_hostname="x"),
        "A Stream Socket was expected",
    ),
    Row("serve a datagram socket", serve(sock=datagram, ssl=server), "A Stream Socket was expected"),
    Row("accept a datagram socket", accept(sock=datagram, ssl=server), "A Stream Socket was expected"),
    Row(
        "a socket with TLS",
        connect(sock=with_tls, ssl=client, server_hostname="x"),
        "cannot be of type SSLSocket",
    ),
    Row("a closed socket", connect(sock=closed, ssl=client, server_hostname="x"), "Bad file descriptor"),
    Row(
        "an unconnected socket",
        connect(sock=stream, ssl=client, server_hostname="x"),
        "Broken pipe|not connected",
    ),
    Row("a port too large", connect("127.0.0.1", 70_000, ssl=client), "port must be 0-65535"),
    Row("a port below 0", connect("127.0.0.1", -1, ssl=client), "port must be 0-65535"),
    Row("serve on a port too large", serve("127.0.0.1", 70_000, ssl=server), "port must be 0-65535"),
    Row("a port too large, as text", connect("127.0.0.1", "70000", ssl=client), "port must be 0-65535"),
    Row("serve on a port of text", serve("127.0.0.1", "-1", ssl=server), "port must be 0-65535"),
    Row(
        "a port that is a list",
        connect("127.0.0.1", [], ssl=client),
        "port must be a number or a service's name, not list",
        TypeError,
        "asyncio: OSError, as if the network had failed",
    ),
    Row("a NUL in a host", connect("127.0.0.1\0.example", 9, ssl=client, server_hostname="x"), "NUL"),
    Row("serve a host with a NUL", serve("127.0.0.1\0", 0, ssl=server), "NUL"),
    Row(
        "serve on no host",
        serve([], 0, ssl=server),
        "could not bind on any address",
        OSError,
        "asyncio makes a server that listens nowhere",
    ),
    Row(
        "a local address of text",
        connect(*NOBODY, ssl=client, local_addr="127.0.0.1"),
        r"local_addr must be a tuple \(host, port\), not str",
    ),
    Row(
        "a local address without a port",
        connect(*NOBODY, ssl=client, local_addr=("127.0.0.1",)),
        r"local_addr must be a tuple \(host, port\), got",
    ),
    *(
        Row(
            f"{name} of text",
            connect(*NOBODY, ssl=client, **{name: "x"}),
            f"{name} must be a number",
            TypeError,
            "asyncio's too, which leaves a coroutine behind that was never awaited",
        )
        for name in ("happy_eyeballs_delay", "interleave")
    ),
    Row(
        "a unix server without a path",
        nowhere,
        "path must not be empty",
        ValueError,
        "asyncio: IndexError, by chance",
    ),
    Row("a port of no name", connect("127.0.0.1", "no-such-service", ssl=client), ""),
    Row("a host of no name", connect("no.such.host.invalid", 9, ssl=client), ""),
    Row("a host that is a number", connect(5, 9, ssl=client), "a str, not int"),
    Row("nobody listens", connect(*NOBODY, ssl=client), r"Connect call failed \('127.0.0.1', 9\)"),
    Row(
        "an option that is none",
        connect(*NOBODY, ssl=client, nonsense=1),
        "unexpected keyword argument 'nonsense'",
    ),
    Row("no factory", no_factory, "'NoneType' object is not callable"),
    # Calls on a transport.
    *(
        Row(f"write {value!r}", on_pair(lambda _, end, value=value: end.transport.write(value)), "bytes-like")
        for value in ("text", None, 5, [1, 2])
    ),
    Row(
        "write a text after close",
        on_pair(lambda _, end: (end.transport.close(), end.transport.write("text"))),
        "bytes-like object, not 'str'",
    ),
    Row(
        "write every other byte",
        on_pair(lambda _, end: end.transport.write(memoryview(b"abcdef")[::2])),
        "not contiguous",
        BufferError,
        "asyncio sends it where OpenSSL takes it, and plain transports do not take it either",
    ),
    Row(
        "writelines of numbers",
        on_pair(lambda _, end: end.transport.writelines([1])),
        "bytes-like object, int found",
    ),
    Row(
        "writelines of bytes",
        on_pair(lambda _, end: end.transport.writelines(b"abc")),
        "bytes-like object, int found",
    ),
    Row("writelines of nothing", on_pair(lambda _, end: end.transport.writelines(None)), "iterable"),
    Row(
        "writelines of a text",
        on_pair(lambda _, end: end.transport.writelines("abc")),
        "bytes-like object, str found",
        TypeError,
        "asyncio fails later, in the loop, and drops the connection",
    ),
    Row(
        "marks the wrong way",
        on_pair(lambda _, end: end.transport.set_write_buffer_limits(1, 2)),
        "must be >= low",
    ),
    Row(
        "a mark below 0",
        on_pair(lambda _, end: end.transport.set_write_buffer_limits(low=-1)),
        "must be >= 0",
    ),
    Row("a mark of text", on_pair(lambda _, end: end.transport.set_write_buffer_limits(high="x")), "str"),
    Row(
        "write after write_eof",
        on_pair(lambda _, end: (end.transport.write_eof(), end.transport.write(b"x"))),
        r"Cannot call write\(\) after write_eof\(\)",
        RuntimeError,
        "asyncio's ssl has no write_eof; its plain transports raise this",
    ),
    # Calls on a server.
    Row(
        "start_serving after close",
        on_server(lambda closed: closed.start_serving()),
        "is closed",
        RuntimeError,
        "asyncio: TypeError, by chance; its serve_forever raises this",
    ),
    Row("serve_forever after close", on_server(lambda closed: closed.serve_forever()), "is closed"),
    # start_tls on what cannot have it.
    # sendfile.
    Row(
        "sendfile of a text file",
        on_pair(lambda bench, end: bench.loop.sendfile(end.transport, io.TextIOWrapper(io.BytesIO(b"x")))),
        "bytes-like object|readinto",
        (TypeError, AttributeError),
        "the loop's own sendfile where it is no loop of ours",
    ),
    Row(
        "sendfile from before the file",
        on_pair(lambda bench, end: bench.loop.sendfile(end.transport, io.BytesIO(b"x"), -1)),
        "negative",
    ),
    Row(
        "sendfile from a text",
        on_pair(lambda bench, end: bench.loop.sendfile(end.transport, io.BytesIO(b"x"), "1")),
        "integer",
    ),
    Row(
        "sendfile on a transport that closes",
        on_pair(
            lambda bench, end: (end.transport.close(), bench.loop.sendfile(end.transport, io.BytesIO()))[1]
        ),
        "Transport is closing",
    ),
    Row(
        "sendfile by the system alone",
        on_pair(lambda bench, end: bench.loop.sendfile(end.transport, io.BytesIO(b"x"), fallback=False)),
        "fallback is disabled",
    ),
]


@pytest.mark.parametrize("library", OURS, ids=lambda library: library.name)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_mistake(row: Row, library: Library, files: pki.Files) -> None:
    check(row, library, files)

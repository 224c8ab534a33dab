"""What an application gets wrong: the exception is asyncio's, and what it says is clearer.

Every row is one mistake, made under `ssl` of the standard library and under this package, by its functions and
on its loops. Ours must raise an exception of the same class; where it is wilfully another one, or where asyncio
lets the mistake pass, the row says which and why.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import pki
from tests.support.mistakes import (
    HOST,
    OURS,
    Bench,
    Library,
    Program,
    Row,
    accept,
    check,
    connect,
    on_pair,
    on_plain,
    over_socket,
    serve,
)
from tests.support.wire import socket_pair

#: A server that nobody asks anything: most mistakes are seen before.
NOBODY = ("127.0.0.1", 9)


# ---- programs ---------------------------------------------------------------------------------------


def client(bench: Bench) -> Any:
    return bench.client_context


def server(bench: Bench) -> Any:
    return bench.server_context


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


async def no_factory(bench: Bench) -> None:
    ours, theirs = socket_pair(tcp=True)
    with ours, theirs:
        await bench.connect(None, sock=ours, ssl=bench.client_context, server_hostname=HOST)


# ---- the table --------------------------------------------------------------------------------------

SOON = "asyncio connects first, or waits for a peer; here it is seen before anything is done"
SIDES = (
    r"this side is the (client|server)|Cannot create a (client|server) socket with a PROTOCOL_TLS_\w+ context"
)
OTHER_TYPE = "the functions take configurations: another type is a TypeError"
NAMES = "one class for all names that cannot be"
NAME = "server_hostname .* is neither a host name nor an IP address|cannot be an empty string or start with"

ROWS = [
    # Contexts for the other side.
    Row("connect with a server's", over_socket(ssl=server), SIDES, (ssl.SSLError, TypeError), OTHER_TYPE),
    Row("serve with a client's", serve("127.0.0.1", 0, ssl=client), SIDES, (ssl.SSLError, TypeError), SOON),
    Row("accept with a client's", accept(ssl=client), SIDES, (ssl.SSLError, TypeError), OTHER_TYPE),
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
    # What is no context.
    Row("serve with True", serve("127.0.0.1", 0, ssl=True), "ssl.*(not True|must be an SSLContext)"),
    Row("accept with True", accept(ssl=True), "needs a valid SSLContext"),
    Row("start_tls with None", start(None, server_hostname=HOST), "not NoneType|got None"),
    Row("start_tls with a string", start("tls", server_hostname=HOST), "not str|got 'tls'"),
    # A name that is missing, or cannot be.
    Row("no name", over_socket(server_hostname=None), "You must set server_hostname"),
    Row("no name and no host", connect(ssl=client), "You must set server_hostname"),
    Row("an empty name", over_socket(server_hostname=""), "server_hostname", ValueError, SOON),
    Row("start_tls without a name", start(client), "server_hostname", ValueError, SOON),
    Row("a name without ssl", connect(*NOBODY, server_hostname="x"), "only meaningful with ssl"),
    Row(
        "a server's name",
        start(server, server_side=True, server_hostname="x"),
        "server_hostname",
        ValueError,
        SOON,
    ),
    Row("a dot in front", over_socket(server_hostname=".localhost"), NAME, ValueError, NAMES),
    Row("a NUL inside", over_socket(server_hostname="a\0b"), NAME, ValueError, NAMES),
    Row("a long label", over_socket(server_hostname="a" * 64 + ".example"), NAME, ValueError, NAMES),
    Row("a long name", over_socket(server_hostname=".".join(["a" * 60] * 6)), NAME, ValueError, NAMES),
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
    Row("a timeout that is no number", over_socket(ssl_handshake_timeout="1"), "str"),
    Row(
        "a server's timeout of 0",
        serve("127.0.0.1", 0, ssl=server, ssl_handshake_timeout=0),
        "positive",
        ValueError,
        SOON,
    ),
    Row("a server's timeout", serve("127.0.0.1", 0, ssl_handshake_timeout=1), "only meaningful with ssl"),
    Row("an accepted one's timeout", accept(ssl=None, ssl_handshake_timeout=1), "only meaningful with ssl"),
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
        "start_tls on TLS with None",
        on_pair(lambda bench, end: bench.start_tls(end.transport, end, None)),
        "None",
    ),
    # start_tls on what cannot have it.
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
    # sendfile.
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


@pytest.fixture
def files(tmp_path: Path) -> pki.Files:
    return pki.write(tmp_path, pki.issue())


@pytest.mark.parametrize("library", OURS, ids=lambda library: library.name)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_mistake(row: Row, library: Library, files: pki.Files) -> None:
    check(row, library, files)

"""`start_tls`: TLS from now on, on a connection that exists (STARTTLS, proxies, TLS in TLS).

There are two roads. A plain socket transport of asyncio's or uvloop's that holds nothing back is replaced: the
fast transport gets a duplicate of its descriptor, and the old transport stays, paused, until the end, since its
server counts it as one of its connections. Anything else stays at work with the engine above it (`layered.py`).

Bytes of the peer that a StreamReader has and nobody has read belong to TLS: whatever follows the agreement to
start it is its first record. They go to the engine, and never to the application as if they had come through TLS
(CVE-2011-0411).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

from tlswrite.asyncio.connect import ClientSSL, ServerSSL, shake_hands, watches_sockets
from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.asyncio.pipe import Pipe
from tlswrite.asyncio.settings import check_timeouts, client_connection, server_connections
from tlswrite.asyncio.transport import Transport

__all__ = ["start_tls"]

#: Turns of the loop that a transport gets to send what it holds, before the engine is laid over it.
_TURNS: Final = 3


async def start_tls(
    transport: Any,
    protocol: asyncio.BaseProtocol,
    sslcontext: ClientSSL | ServerSSL,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> asyncio.Transport:
    """`loop.start_tls`: after the handshake, a new transport for `protocol` in the place of `transport`.

    `sslcontext` is what `ssl=` takes elsewhere. Any transport will do, one of TLS too. Reading stays paused if it
    was, and writing is resumed if it was paused. Where the handshake fails, the connection is closed, `protocol`
    is told by connection_lost, and the error is raised. Timeouts are in seconds.

    Raises TLSError where the handshake fails, ConnectionAbortedError where it takes too long,
    ConnectionResetError for a transport that is closed, TypeError, ValueError and ConfigurationError for
    arguments that cannot work; those leave the connection as it was.
    """
    loop = asyncio.get_running_loop()
    _check_kind(transport)
    if server_side:
        if server_hostname is not None:
            raise ValueError("server_hostname is for clients: a server's name is in its certificate")
        connection = server_connections(sslcontext)()
    else:
        connection = client_connection(sslcontext, server_hostname)
    handshake, shutdown = check_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
    _check_free(transport)
    before = _protocol_of(transport)
    early = _take_unread(before)
    if protocol is not before:
        early += _take_unread(protocol)
    reading = _pause(transport)
    options: dict[str, Any] = {
        "waiter": loop.create_future(),
        "upgraded": True,
        "handshake_timeout": handshake,
        "shutdown_timeout": shutdown,
    }
    new: Transport
    with _aborting(transport):
        replaceable = not early and await _is_replaceable(transport)
    # Another call may have been faster: then the connection is not this one's to abort.
    _check_free(transport)
    with _aborting(transport):
        if replaceable:
            new = UpgradedTransport(loop, transport, protocol, connection, **options)
        else:
            pipe = Pipe(loop)
            paused = pipe.take_over(transport, early)
            new = LayeredTransport(loop, pipe, protocol, connection, writing_paused=paused, **options)
    if not reading:
        new.pause_reading()
    _tell_reader(protocol, new)
    await shake_hands(new, options.pop("waiter"))
    return new


class _Retired(asyncio.Protocol):
    """The protocol of a transport that was replaced; nothing comes to it but the end."""


def _check_kind(transport: Any) -> None:
    """Raises TypeError for anything but a transport of a stream that is both read and written."""
    fit = all(_offers(transport, name) for name in ("set_protocol", "pause_reading", "write"))
    if fit:
        try:
            # Some have every method, and say only when called that they do without. These change nothing.
            if not transport.is_closing():
                transport.is_reading()
                transport.get_write_buffer_size()
        except NotImplementedError:
            fit = False
    if not fit:
        raise _unfit(transport)


def _unfit(transport: Any) -> TypeError:
    return TypeError(
        f"transport {transport!r} is not supported by start_tls(): give a stream's, both to read and to write"
    )


def _offers(transport: Any, name: str) -> bool:
    """Whether a method is there, other than the one of asyncio's base class that only says what is missing."""
    method = getattr(transport, name, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(asyncio.Transport, name)


def _check_free(transport: Any) -> None:
    if transport.is_closing():
        raise ConnectionResetError("TLS cannot be started: the connection is closed")
    if isinstance(_protocol_of(transport), Pipe | _Retired):
        raise RuntimeError(
            f"TLS was started on {transport!r} already: go on with the transport that start_tls() returned"
        )


def _protocol_of(transport: Any) -> Any:
    """The protocol of a transport, None where it cannot tell, as not every one of other makes can."""
    with contextlib.suppress(AttributeError, NotImplementedError):
        return transport.get_protocol()
    return None


def _pause(transport: Any) -> bool:
    """Pause reading; whether it was going on."""
    reading: bool = transport.is_reading()
    try:
        transport.pause_reading()
    except NotImplementedError:
        raise _unfit(transport) from None
    return reading


@contextlib.contextmanager
def _aborting(transport: Any) -> Iterator[None]:
    """Whatever goes wrong inside ends the connection."""
    try:
        yield
    except BaseException:
        transport.abort()
        raise


class UpgradedTransport(Transport):
    """A transport over a duplicate of a plain transport's descriptor, which closes that transport in the end."""

    __slots__ = ("_plain",)

    def __init__(self, loop: Any, plain: Any, protocol: Any, connection: Any, **options: Any) -> None:
        sock = socket.socket(fileno=os.dup(plain.get_extra_info("socket").fileno()))
        self._plain = plain
        try:
            sock.setblocking(False)
            super().__init__(loop, sock, protocol, connection, **options)
            plain.set_protocol(_Retired())
        except BaseException:
            sock.close()
            raise

    def _over(self) -> None:
        # Before the socket is closed, so that the peer is done with when the last descriptor is.
        self._plain.close()
        super()._over()


async def _is_replaceable(transport: Any) -> bool:
    """Whether a transport is just a socket, and can be relied on to have nothing in its hands."""
    if not watches_sockets(asyncio.get_running_loop()):
        return False
    if not _is_plain(transport) or transport.get_extra_info("socket").type != socket.SOCK_STREAM:
        return False
    for _ in range(_TURNS):
        if not transport.get_write_buffer_size():
            return True
        await asyncio.sleep(0)
        if transport.is_closing():
            return False
    return False


def _is_plain(transport: Any) -> bool:
    """By its class: what a transport of another make tells of its socket may not be all of it."""
    kind = type(transport)
    return (kind.__module__, kind.__name__) in (
        ("asyncio.selector_events", "_SelectorSocketTransport"),
        ("uvloop.loop", "TCPTransport"),
        ("uvloop.loop", "UnixTransport"),
    )


# ---- asyncio's streams ------------------------------------------------------------------------------
#
# A StreamReader knows the transport that feeds it, and has no public way to be given another.


def _take_unread(protocol: Any) -> bytes:
    """What the protocol's StreamReader has and nobody has read."""
    reader = getattr(protocol, "_stream_reader", None)
    buffer = getattr(reader, "_buffer", None)
    if not isinstance(reader, asyncio.StreamReader) or not buffer:
        return b""
    unread = bytes(buffer)
    buffer.clear()
    reader._maybe_resume_transport()  # type: ignore[attr-defined]  # as after a read
    return unread


def _tell_reader(protocol: Any, transport: Transport) -> None:
    """Where the protocol's StreamReader is to pause and resume from now on."""
    reader = getattr(protocol, "_stream_reader", None)
    if isinstance(reader, asyncio.StreamReader):
        reader._transport = transport  # type: ignore[attr-defined]  # it has no public name

"""Connections from sockets, addresses and names: `create_connection` and its relatives.

The parameters are asyncio's, of its newest version, on every version. Without `ssl=` they hand over to the
loop's own method of the same name, so a program can choose for each address.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from aiohappyeyeballs import start_connection

from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.asyncio.pipe import Pipe
from tlswrite.asyncio.settings import (
    check_stream_socket,
    check_timeouts,
    client_connection,
    refuse_without_ssl,
    server_connections,
)
from tlswrite.asyncio.transport import Transport
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import ConnectionFactory, TLSConnection

__all__ = [
    "AddressInfo",
    "ClientSSL",
    "ServerSSL",
    "connect_accepted_socket",
    "create_connection",
    "create_unix_connection",
    "resolve",
    "shake_hands",
    "watches_sockets",
]

#: What `ssl=` takes, None besides.
ClientSSL = ClientConfig | ConnectionFactory | bool
ServerSSL = ServerConfig | ConnectionFactory

_P = TypeVar("_P", bound=asyncio.BaseProtocol)

#: What getaddrinfo returns an item of.
AddressInfo = tuple[int, int, int, str, Any]


async def create_connection(
    protocol_factory: Callable[[], _P],
    host: str | None = None,
    port: int | str | None = None,
    *,
    ssl: ClientSSL | None = None,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    sock: socket.socket | None = None,
    local_addr: tuple[str, int] | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    happy_eyeballs_delay: float | None = None,
    interleave: int | None = None,
    all_errors: bool = False,
) -> tuple[asyncio.Transport, _P]:
    """`loop.create_connection` over TLS: connect, shake hands, and return (transport, protocol).

    `ssl` is True (verify against the system's anchors), a ClientConfig or a `tlswrite.SSLContext`; None gives
    a connection without TLS. `server_hostname` is the name to verify, `host` unless given. Timeouts are in
    seconds: 60 for the handshake, 30 without progress for the shutdown.

    Raises OSError where no address can be connected to (an ExceptionGroup of all with `all_errors`), TLSError
    where the handshake fails (CertificateError for the peer's certificate), ConnectionAbortedError where it
    takes too long, ConfigurationError and ValueError for arguments that cannot work.
    """
    loop = asyncio.get_running_loop()
    if not ssl:
        refuse_without_ssl(server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
        plain: dict[str, Any] = {
            "family": family,
            "proto": proto,
            "flags": flags,
            "sock": sock,
            "local_addr": local_addr,
        }
        # Not every loop knows these.
        newer = {"happy_eyeballs_delay": happy_eyeballs_delay, "interleave": interleave}
        plain.update((name, value) for name, value in newer.items() if value is not None)
        if all_errors:
            plain["all_errors"] = True
        method: Any = loop.create_connection
        return cast("tuple[asyncio.Transport, _P]", await method(protocol_factory, host, port, **plain))
    timeouts = check_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
    if server_hostname is None:
        if not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        server_hostname = host
    # Before anything is connected: a configuration that cannot work fails at once.
    connection = client_connection(ssl, server_hostname)
    if host is not None or port is not None:
        if sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        sock = await _connect(
            loop,
            host,
            port,
            family,
            proto,
            flags,
            local_addr,
            happy_eyeballs_delay,
            interleave,
            all_errors,
        )
    elif sock is None:
        raise ValueError("host and port was not specified and no sock specified")
    else:
        check_stream_socket(sock)
    return await _over_socket(loop, sock, protocol_factory, connection, timeouts)


async def create_unix_connection(
    protocol_factory: Callable[[], _P],
    path: str | bytes | os.PathLike[str] | None = None,
    *,
    ssl: ClientSSL | None = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[asyncio.Transport, _P]:
    """`loop.create_unix_connection` over TLS; `server_hostname` must be given with `ssl`."""
    loop = asyncio.get_running_loop()
    if not ssl:
        refuse_without_ssl(server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
        return cast(
            "tuple[asyncio.Transport, _P]",
            await loop.create_unix_connection(protocol_factory, cast(str, path), sock=sock),
        )
    timeouts = check_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
    if server_hostname is None:
        raise ValueError("you have to pass server_hostname when using ssl")
    connection = client_connection(ssl, server_hostname)
    if path is not None:
        if sock is not None:
            raise ValueError("path and sock can not be specified at the same time")
        sock = await _connect_to(_Connector(loop), socket.AF_UNIX, 0, os.fspath(path))
    elif sock is None:
        raise ValueError("no path and sock were specified")
    elif sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
    return await _over_socket(loop, sock, protocol_factory, connection, timeouts)


async def connect_accepted_socket(
    protocol_factory: Callable[[], _P],
    sock: socket.socket,
    *,
    ssl: ServerSSL | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[asyncio.Transport, _P]:
    """`loop.connect_accepted_socket` over TLS: be the server on a socket that was accepted elsewhere."""
    loop = asyncio.get_running_loop()
    check_stream_socket(sock)
    if ssl is None:
        refuse_without_ssl(None, ssl_handshake_timeout, ssl_shutdown_timeout)
        return cast(
            "tuple[asyncio.Transport, _P]", await loop.connect_accepted_socket(protocol_factory, sock)
        )
    if cast(Any, ssl) is True:
        # asyncio's class for it here; a server's own raises TypeError.
        raise ValueError("Server side SSL needs a valid SSLContext or a tlswrite.ServerConfig, not True")
    connection = server_connections(ssl)()
    timeouts = check_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
    return await _over_socket(loop, sock, protocol_factory, connection, timeouts)


async def resolve(
    loop: asyncio.AbstractEventLoop,
    host: str | None,
    port: int | str | None,
    family: int,
    proto: int,
    flags: int,
) -> Sequence[AddressInfo]:
    """Addresses of a name; an address that is written as one is not looked up.

    Raises OverflowError for a port that cannot be, which uvloop would take modulo 65,536, and ValueError for a
    name with a NUL in it, of which the system's resolver would take what is before.
    """
    if isinstance(host, str) and "\0" in host:
        raise ValueError(f"host must be a name or an address, without a NUL: {host!r}")
    number = _number(port)
    literal = None if number is None else _literal(host, number, family, proto)
    if literal is not None:
        return [literal]
    infos = await loop.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags
    )
    if not infos:
        raise OSError("getaddrinfo() returned empty list")
    return infos


# ---- helpers --------------------------------------------------------------------------------------


async def _over_socket(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    protocol_factory: Callable[[], _P],
    connection: TLSConnection,
    timeouts: tuple[float, float],
) -> tuple[asyncio.Transport, _P]:
    """Own `sock` and make a transport of it; whatever goes wrong, the socket is closed."""
    options: dict[str, Any] = {
        "waiter": loop.create_future(),
        "handshake_timeout": timeouts[0],
        "shutdown_timeout": timeouts[1],
    }
    transport: Transport
    try:
        sock.setblocking(False)
        protocol = protocol_factory()
        if watches_sockets(loop):
            transport = Transport(loop, sock, protocol, connection, **options)
        else:
            _, pipe = await loop.create_connection(lambda: Pipe(loop), sock=sock)
            transport = LayeredTransport(loop, pipe, protocol, connection, **options)
    except BaseException:
        sock.close()
        raise
    await shake_hands(transport, options.pop("waiter"))
    return transport, protocol


async def shake_hands(transport: Transport, waiter: asyncio.Future[None]) -> None:
    """Begin the handshake of a new transport and wait for its end; abort it where that fails or is cancelled."""
    try:
        transport.start()
        await waiter
    except BaseException:
        waiter.cancel()
        transport.abort()
        raise
    finally:
        # The waiter holds the error, the error this frame: without this, only the collector would free them.
        del waiter


def watches_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a loop has `add_reader`; Windows' proactor loop has not."""
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


async def _connect(
    loop: asyncio.AbstractEventLoop,
    host: str | None,
    port: int | str | None,
    family: int,
    proto: int,
    flags: int,
    local_addr: tuple[str, int] | None,
    happy_eyeballs_delay: float | None,
    interleave: int | None,
    all_errors: bool,
) -> socket.socket:
    """A socket that is connected to the first address that answers."""
    for name, value in (("happy_eyeballs_delay", happy_eyeballs_delay), ("interleave", interleave)):
        # Also where there will be one address, and no race.
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    infos = await resolve(loop, host, port, family, proto, flags)
    local_infos = None
    if local_addr is not None:
        local_host, local_port = _pair(local_addr)
        local_infos = await resolve(loop, local_host, local_port, family, proto, flags)
    connector = _Connector(loop)
    try:
        if len(infos) == 1 and local_infos is None:
            # With one address there is nothing to race.
            family, _, proto, _, address = infos[0]
            return await _connect_to(connector, family, proto, address)
        return await start_connection(
            infos,
            local_addr_infos=local_infos,
            happy_eyeballs_delay=happy_eyeballs_delay,
            interleave=interleave,
            loop=cast(asyncio.AbstractEventLoop, connector),
        )
    except OSError as exc:
        if not all_errors:
            raise
        errors = connector.errors
        if not errors or local_infos is not None:
            errors.append(exc)
        raise ExceptionGroup("create_connection failed", errors) from None


async def _connect_to(connector: _Connector, family: int, proto: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, proto)
    try:
        sock.setblocking(False)
        await connector.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


class _Connector:
    """The one method of a loop that connects, with a record of failures: the race keeps a summary.

    The addresses are resolved, which the loops' own `sock_connect` does not know: uvloop's asks its thread pool
    again, at the price of a third of a handshake.
    """

    __slots__ = ("_loop", "errors")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.errors: list[OSError] = []

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        try:
            if watches_sockets(self._loop):
                await self._connect(sock, address)
            else:
                await self._loop.sock_connect(sock, address)
        except OSError as exc:
            self.errors.append(exc)
            raise

    async def _connect(self, sock: socket.socket, address: Any) -> None:
        loop = self._loop
        try:
            sock.connect(address)
            return
        except (BlockingIOError, InterruptedError) as exc:
            # connect(2): a unix socket whose server has its backlog full does not go on connecting.
            if exc.errno == errno.EAGAIN:
                raise
        with contextlib.suppress(OSError):
            # On one machine the other side has answered by now: nothing need be registered, no turn waited for.
            sock.getpeername()
            return
        fd = sock.fileno()
        answered = loop.create_future()
        loop.add_writer(fd, _wake, answered)
        try:
            await answered
        finally:
            loop.remove_writer(fd)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"Connect call failed {address}")


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _pair(local_addr: tuple[str, int]) -> tuple[str, int]:
    if isinstance(local_addr, str | bytes):
        # Its first two characters would do for a host and a port.
        raise TypeError(f"local_addr must be a tuple (host, port), not {type(local_addr).__name__}")
    try:
        host, port = local_addr[:2]
    except ValueError:
        raise ValueError(f"local_addr must be a tuple (host, port), got {local_addr!r}") from None
    return host, port


def _number(port: int | str | None) -> int | None:
    """A port that is a number, None for a service's name."""
    if port is None or port == "":
        return 0
    try:
        number = int(port)
    except ValueError:
        return None
    except TypeError:
        raise TypeError(f"port must be a number or a service's name, not {type(port).__name__}") from None
    if not 0 <= number <= 65535:
        raise OverflowError(f"port must be 0-65535, not {number}")
    return number


def _literal(host: str | None, number: int, family: int, proto: int) -> AddressInfo | None:
    """The address that `host` and a port spell out, None where they must be looked up."""
    if not isinstance(host, str) or "%" in host or proto not in (0, socket.IPPROTO_TCP):
        return None
    for each in (socket.AF_INET, socket.AF_INET6):
        if family in (socket.AF_UNSPEC, each):
            try:
                socket.inet_pton(each, host)
            except OSError:
                continue
            address = (host, number) if each == socket.AF_INET else (host, number, 0, 0)
            return each, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address
    return None

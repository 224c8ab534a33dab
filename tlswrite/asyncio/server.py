"""Servers: listening sockets, accepting, and the life of what was accepted.

`Server` has the semantics of asyncio's newest version on every version: `wait_closed` waits until the
server is closed *and* its last connection is gone, in either order; `close_clients` and `abort_clients`
exist.

Accepting makes no task: a connection is a transport from the start, and its handshake runs in readiness
callbacks. A failed handshake is the client's affair and goes to the debug log.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import stat
import sys
import weakref
from asyncio.trsock import TransportSocket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, cast

from tlswrite.asyncio.connect import AddressInfo, ServerSSL, resolve, watches_sockets
from tlswrite.asyncio.layered import Accepting
from tlswrite.asyncio.lifecycle import logger
from tlswrite.asyncio.settings import (
    check_stream_socket,
    check_timeouts,
    refuse_without_ssl,
    server_connections,
)
from tlswrite.asyncio.transport import Transport
from tlswrite.connection import TLSConnection

__all__ = ["ACCEPT_RETRY_DELAY", "Server", "create_server", "create_unix_server"]

#: How long a server stops accepting when the system is out of file descriptors or memory. Seconds.
ACCEPT_RETRY_DELAY: Final = 1.0

#: Errors of accept(2) that belong to one connection, which is gone: go on with the next.
_CONNECTION_ERRORS: Final = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ENONET",
        "ENOPROTOOPT",
        "EOPNOTSUPP",
        "EPERM",
        "EPROTO",
    )
    if hasattr(errno, name)
)
_OUT_OF_RESOURCES: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Server(asyncio.AbstractServer):
    """Listening sockets and the connections accepted from them; made by `create_server`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: list[socket.socket],
        protocol_factory: _ProtocolFactory,
        connections: Callable[[], TLSConnection],
        backlog: int,
        timeouts: tuple[float, float],
        unlink: tuple[str | bytes, int] | None = None,
    ) -> None:
        self._loop = loop
        self._sockets: list[socket.socket] | None = sockets
        self._protocol_factory = protocol_factory
        self._new_connection = connections
        self._backlog = backlog
        self._handshake_timeout, self._shutdown_timeout = timeouts
        self._unlink = unlink
        # Weakly, so that a transport which the application dropped is collected and says so.
        self._clients: weakref.WeakSet[Transport] = weakref.WeakSet()
        self._waiters: list[asyncio.Future[None]] | None = []
        self._serving = False
        self._forever: asyncio.Future[None] | None = None
        self._retries: dict[socket.socket, asyncio.TimerHandle] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} sockets={self.sockets!r}>"

    # ---- public -------------------------------------------------------------------------------------

    @property
    def sockets(self) -> tuple[TransportSocket, ...]:
        """The listening sockets; none once closed."""
        return tuple(map(TransportSocket, self._sockets or ()))

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    def close(self) -> None:
        """Stop listening. Connections stay: see `close_clients`, `wait_closed`. Idempotent."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        for handle in self._retries.values():
            handle.cancel()
        self._retries.clear()
        for sock in sockets:
            if self._serving:
                self._loop.remove_reader(sock.fileno())
            sock.close()
        self._serving = False
        self._remove_path()
        forever, self._forever = self._forever, None
        if forever is not None and not forever.done():
            forever.cancel()
        if not self._clients:
            self._wake_up()

    def close_clients(self) -> None:
        """`close()` every connection: each sends all that it was given."""
        for transport in list(self._clients):
            transport.close()

    def abort_clients(self) -> None:
        """`abort()` every connection."""
        for transport in list(self._clients):
            transport.abort()

    async def start_serving(self) -> None:
        """Listen and accept, for a server made with `start_serving=False`. Idempotent; RuntimeError once closed."""
        self._start_serving()
        # Errors of the loop's registrations come up here, and connections may already be waiting.
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        """Accept until cancelled or closed; cancelling closes the server and its connections.

        Raises RuntimeError where it runs already or the server is closed.
        """
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self._start_serving()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            self.close_clients()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    async def wait_closed(self) -> None:
        """Wait until the server is closed and the last of its connections is gone."""
        if self._waiters is None:
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()

    # ---- of its transports --------------------------------------------------------------------------

    def _attach(self, transport: Transport) -> None:
        self._clients.add(transport)

    def _detach(self, transport: Transport) -> None:
        self._clients.discard(transport)
        if not self._clients and self._sockets is None:
            self._wake_up()

    # ---- accepting ----------------------------------------------------------------------------------

    def _start_serving(self) -> None:
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        if self._serving:
            return
        self._serving = True
        for sock in self._sockets:
            sock.listen(self._backlog)
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        """Accept what waits, at most a backlog of it at one wake-up; a backlog of 0 holds one connection."""
        for _ in range(max(1, self._backlog)):
            try:
                accepted, address = sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno not in _CONNECTION_ERRORS:
                    self._pause_accepting(sock, exc)
                    return
            else:
                self._connected(accepted, address)
                if self._sockets is None:
                    return

    def _connected(self, sock: socket.socket, address: Any) -> None:
        """One connection: whatever goes wrong with it is reported, and harms no other."""
        transport = None
        try:
            sock.setblocking(False)
            transport = Transport(
                self._loop,
                sock,
                self._protocol_factory(),
                self._new_connection(),
                server=self,
                peername=address,
                handshake_timeout=self._handshake_timeout,
                shutdown_timeout=self._shutdown_timeout,
            )
            transport.start()
        except BaseException as exc:
            if transport is None:
                sock.close()
            else:
                transport.abort()
            if isinstance(exc, SystemExit | KeyboardInterrupt):
                raise
            self._loop.call_exception_handler(
                {"message": "Error on transport creation for incoming connection", "exception": exc}
            )

    def _pause_accepting(self, sock: socket.socket, exc: OSError) -> None:
        """Out of descriptors, or worse: the socket stays readable, so look away for a moment."""
        # Before anybody is told: the handler may close this server.
        self._loop.remove_reader(sock.fileno())
        self._retries[sock] = self._loop.call_later(ACCEPT_RETRY_DELAY, self._resume_accepting, sock)
        out = exc.errno in _OUT_OF_RESOURCES
        self._loop.call_exception_handler(
            {
                "message": "socket.accept() out of system resource" if out else "socket.accept() failed",
                "exception": exc,
                "socket": TransportSocket(sock),
            }
        )

    def _resume_accepting(self, sock: socket.socket) -> None:
        del self._retries[sock]
        self._loop.add_reader(sock.fileno(), self._accept, sock)

    # ---- the end ------------------------------------------------------------------------------------

    def _wake_up(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def _remove_path(self) -> None:
        """Remove the unix socket's file, unless another server's has taken its place."""
        if self._unlink is not None:
            path, inode = self._unlink
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino == inode:
                    os.unlink(path)


async def create_server(
    protocol_factory: _ProtocolFactory,
    host: str | Sequence[str] | None = None,
    port: int | str | None = None,
    *,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    sock: socket.socket | None = None,
    backlog: int = 100,
    ssl: ServerSSL | None = None,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    keep_alive: bool | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    start_serving: bool = True,
) -> asyncio.AbstractServer:
    """`loop.create_server` over TLS; `ssl` is a ServerConfig or a `tlswrite.SSLContext`, None gives the loop's own.

    A loop without `add_reader` accepts by a server of its own, whose `wait_closed` and the rest are that loop's.

    Raises OSError where an address cannot be bound, TypeError and ValueError for arguments that cannot work.
    """
    loop = asyncio.get_running_loop()
    factory = protocol_factory
    if ssl is None:
        refuse_without_ssl(None, ssl_handshake_timeout, ssl_shutdown_timeout)
    else:
        connections = server_connections(ssl)
        timeouts = check_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
        factory = partial(Accepting, loop, protocol_factory, connections, timeouts)
    if ssl is None or not watches_sockets(loop):
        plain: dict[str, Any] = {
            "family": family,
            "flags": flags,
            "sock": sock,
            "backlog": backlog,
            "reuse_address": reuse_address,
            "reuse_port": reuse_port,
            "start_serving": start_serving,
        }
        if keep_alive is not None:
            plain["keep_alive"] = keep_alive
        method: Any = loop.create_server
        return cast(asyncio.AbstractServer, await method(factory, host, port, **plain))
    if host is not None or port is not None:
        if sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        hosts: Iterable[str | None]
        hosts = [host or None] if host is None or isinstance(host, str) else host
        found = await asyncio.gather(*(resolve(loop, each, port, family, 0, flags) for each in hosts))
        if reuse_address is None:
            reuse_address = os.name == "posix" and sys.platform != "cygwin"
        # One socket for each address, however many names lead to it.
        infos = dict.fromkeys(itertools.chain.from_iterable(found))
        sockets = _bind_all(list(infos), bool(reuse_address), bool(reuse_port), bool(keep_alive))
    elif sock is None:
        raise ValueError("Neither host/port nor sock were specified")
    else:
        check_stream_socket(sock)
        sockets = [sock]
    return await _serve(loop, sockets, protocol_factory, connections, backlog, timeouts, start_serving)


async def create_unix_server(
    protocol_factory: _ProtocolFactory,
    path: str | bytes | os.PathLike[str] | None = None,
    *,
    sock: socket.socket | None = None,
    backlog: int = 100,
    ssl: ServerSSL | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    start_serving: bool = True,
    cleanup_socket: bool = True,
) -> asyncio.AbstractServer:
    """`loop.create_unix_server` over TLS; with `cleanup_socket` closing removes the socket's file."""
    loop = asyncio.get_running_loop()
    if ssl is None:
        refuse_without_ssl(None, ssl_handshake_timeout, ssl_shutdown_timeout)
        return await loop.create_unix_server(
            protocol_factory,
            cast("str | None", path),
            sock=sock,
            backlog=backlog,
            start_serving=start_serving,
        )
    connections = server_connections(ssl)
    timeouts = check_timeouts(ssl_handshake_timeout, ssl_shutdown_timeout)
    if path is not None:
        if sock is not None:
            raise ValueError("path and sock can not be specified at the same time")
        name = os.fspath(path)
        sock = _bind_unix(name)
    elif sock is None:
        raise ValueError("path was not specified, and no sock specified")
    elif sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A UNIX Domain Stream Socket was expected, got {sock!r}")
    else:
        name = sock.getsockname()
    unlink = None
    if cleanup_socket and name and not _is_abstract(name):
        with contextlib.suppress(OSError):
            unlink = name, os.stat(name).st_ino
    return await _serve(loop, [sock], protocol_factory, connections, backlog, timeouts, start_serving, unlink)


# ---- helpers --------------------------------------------------------------------------------------


async def _serve(
    loop: asyncio.AbstractEventLoop,
    sockets: list[socket.socket],
    protocol_factory: _ProtocolFactory,
    connections: Callable[[], TLSConnection],
    backlog: int,
    timeouts: tuple[float, float],
    start_serving: bool,
    unlink: tuple[str | bytes, int] | None = None,
) -> Server:
    for sock in sockets:
        sock.setblocking(False)
    server = Server(loop, sockets, protocol_factory, connections, backlog, timeouts, unlink)
    if start_serving:
        try:
            await server.start_serving()
        except BaseException:
            server.close()
            raise
    return server


def _bind_all(
    infos: Sequence[AddressInfo], reuse_address: bool, reuse_port: bool, keep_alive: bool
) -> list[socket.socket]:
    """A bound socket for each address this machine has; all or none."""
    sockets: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in infos:
            try:
                sock = socket.socket(family, kind, proto)
            except OSError:
                # A name may have addresses of a family that this machine does not speak.
                logger.debug("create_server() cannot make a socket of family %r", family, exc_info=True)
                continue
            sockets.append(sock)
            if reuse_address:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                _set_reuse_port(sock)
            if keep_alive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if family == socket.AF_INET6:
                # IPv4 has sockets of its own.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind(address)
            except OSError as exc:
                if exc.errno == errno.EADDRNOTAVAIL and len(infos) > 1:
                    # localhost may have an address that no interface has.
                    logger.warning("create_server() cannot bind %r: %s", address, exc)
                    sockets.pop().close()
                    continue
                raise OSError(
                    exc.errno,
                    f"error while attempting to bind on address {address!r}: {(exc.strerror or '').lower()}",
                ) from None
        if not sockets:
            raise OSError(f"could not bind on any address out of {[info[4] for info in infos]!r}")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _set_reuse_port(sock: socket.socket) -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("reuse_port not supported by socket module")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        raise ValueError(
            "reuse_port not supported by socket module, SO_REUSEPORT defined but not implemented."
        ) from None


def _bind_unix(path: str | bytes) -> socket.socket:
    if not path:
        # Linux would make up an abstract address, which nobody knows.
        raise ValueError("path must not be empty")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not _is_abstract(path):
            _remove_stale(path)
        sock.bind(path)
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str | bytes) -> None:
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        # The directory may allow to create a socket and nothing else.
        logger.error("Unable to check or remove stale UNIX socket %r: %r", path, exc)


def _is_abstract(path: str | bytes) -> bool:
    return path[:1] in (b"\0", "\0")

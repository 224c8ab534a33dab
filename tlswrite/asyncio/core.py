"""Core: TLS over a non-blocking socket, driven by the loop's readiness callbacks. Its face is the `Transport`.

Classes one above the other, one room each: `flow` (watermarks), `lifecycle` (socket, errors, the end),
`write_side`, `awaited_writes`, `read_side`, `unwanted_input`; here stand the handshake, the orderly close and
what the application asks about a connection. A write is in `write_side` and nowhere else, a read in `read_side`.

The handshake runs in the read side's callbacks, like all control traffic; there is no task for it.
`connection_made` comes when it is complete, and so late that what the protocol writes in it leaves together
with our last flight. Where the handshake fails, `connection_made` and `connection_lost` are not called; the
error goes to whoever waits for the connection, its alert to the peer.

These classes inherit nothing of asyncio's, so that mypyc can compile them. Their attributes have types that say
what is in them, and a value that a test sets is no `Final`, which would be written into the code.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio.trsock import TransportSocket
from typing import Any

from tlswrite import limits
from tlswrite.asyncio.unwanted_input import UnwantedInput
from tlswrite.connection import TLSConnection
from tlswrite.errors import TLSError

__all__ = ["Core"]


class Core(UnwantedInput):
    """A TLS connection on a socket; `start` begins the handshake.

    `waiter` is woken when it is over. `upgraded`: the protocol had its connection_made from the transport that
    was there before TLS. Timeouts are in seconds.
    """

    __slots__ = ("_handshake_timeout", "_last_size", "_peername", "_shutdown_timeout", "_sockname", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: Any,
        connection: TLSConnection,
        *,
        waiter: asyncio.Future[None] | None = None,
        peername: Any = None,
        upgraded: bool = False,
        handshake_timeout: float = limits.HANDSHAKE_TIMEOUT,
        shutdown_timeout: float = limits.SHUTDOWN_TIMEOUT,
    ) -> None:
        super().__init__(loop, sock, protocol, connection, waiter)
        self._made = upgraded
        self._handshake_timeout = handshake_timeout
        self._shutdown_timeout = shutdown_timeout
        self._timer: asyncio.TimerHandle | None = None
        self._last_size = 0
        #: Asked for when it is wanted, or when the socket goes.
        self._sockname: Any = None
        self._peername = _name(sock.getpeername) if peername is None else peername
        _set_nodelay(sock)

    def start(self) -> None:
        """Begin the handshake. Raises what the loop raises for a socket it cannot watch."""
        self._watch_reads()
        self._timer = self._loop.call_later(self._handshake_timeout, self._handshake_timed_out)
        try:
            self._connection.start_handshake()
        except TLSError as exc:
            self._engine_failed(exc)
        else:
            if self._send_path.has_output:
                self._flush()

    def close(self) -> None:
        """Send all that waits, close_notify and FIN, then connection_lost(None) (clause A08). Idempotent.

        Does not wait for the peer's close_notify. If the peer takes nothing for the shutdown timeout,
        connection_lost gets a TimeoutError. During the handshake the connection is aborted.
        """
        if self._closing:
            return
        if not self._connected:
            self._force_close(None)
            return
        self._closing = True
        self._direct = self._fast_read = False
        self._held = None
        if self._waits_for_peer():
            self._finish_renegotiation()
        self._flush()
        if not self._lost:
            # The peer may be blocked in a write itself: read, or neither side would ever get on.
            if not self._peer_done:
                self._watch_reads()
            self._last_size = self.get_write_buffer_size()
            self._timer = self._loop.call_later(self._shutdown_timeout, self._shutdown_timed_out)

    def abort(self) -> None:
        """Drop the connection at once: nothing that waits is sent, no close_notify, no lingering (clause A08)."""
        if self._expecting:
            # It waits for nothing but another write.
            self._flush()
        super().abort()

    def key_update(self, request_peer: bool = False) -> None:
        """Change the write key now, and ask the peer to change its own: see `TLSConnection.key_update`."""
        self._flush_gathered()
        self._connection.key_update(request_peer)
        self._flush()

    def renegotiate(self) -> None:
        """Begin a renegotiation (TLS 1.2): see `TLSConnection.renegotiate`. Writes wait until it is over."""
        self._flush_gathered()
        self._connection.renegotiate()
        self._flush()

    def verify_client_post_handshake(self) -> None:
        """Ask the client for a certificate: see `TLSConnection.verify_client_post_handshake`."""
        self._flush_gathered()
        self._connection.verify_client_post_handshake()
        self._flush()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's: peername, sockname, socket, sslcontext (the configuration), ssl_object (the
        TLSConnection), peercert, cipher, compression.
        """
        if name == "peername":
            return self._peername
        if name == "sockname":
            if self._sock is not None:
                self._keep_sockname(self._sock)
            return self._sockname
        if name == "ssl_object":
            return self._connection.ssl_object
        if name == "sslcontext":
            return self._connection.sslcontext
        if name == "cipher":
            return self._connection.cipher()
        if name == "peercert":
            return self._connection.getpeercert() if self._connection.handshake_complete else None
        if name == "compression":
            return None
        if name == "socket" and self._sock is not None:
            return TransportSocket(self._sock)
        return default

    def describe(self, name: str) -> str:
        """The repr of a transport whose class has this name."""
        info = [name]
        if self._sock is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self._fd}")
        if self._sock is not None:
            info.append(f"read={'polling' if self._reading else 'idle'}")
            state = "polling" if self._writing else "idle"
            info.append(f"write=<{state}, bufsize={self.get_write_buffer_size()}>")
        return f"<{' '.join(info)}>"

    def _flush_gathered(self) -> None:
        """Send what waits for nothing but other writes, where something is to happen that belongs behind it."""
        if self._backlog is not None and not (self._writing or self._yielding):
            self._flush()

    # ---- the handshake ------------------------------------------------------------------------------

    def _handshake_done(self) -> None:
        self._stop_timer()
        self._connected = self._direct = True
        self._fast_read = not self._paused
        if not self._made:
            self._made = True
            self._in_callback = True
            try:
                self._protocol.connection_made(self._face)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._callback_failed(exc, "connection_made")
                return
            finally:
                self._in_callback = False
                self._recent = 0.0
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _handshake_timed_out(self) -> None:
        self._timer = None
        self._fatal_error(
            ConnectionAbortedError(
                f"TLS handshake is taking longer than {self._handshake_timeout} seconds "
                f"(state {self._connection.state}): aborting the connection"
            ),
            "TLS handshake timed out",
        )

    def _engine_failed(self, exc: TLSError) -> None:
        self._fail(exc, "Fatal TLS error" if self._connected else "TLS handshake failed")

    # ---- the close ----------------------------------------------------------------------------------

    def _shutdown_timed_out(self) -> None:
        """The peer may be slow, but it must take something within each timeout."""
        size = self.get_write_buffer_size()
        if size < self._last_size:
            self._last_size = size
            self._timer = self._loop.call_later(self._shutdown_timeout, self._shutdown_timed_out)
            return
        self._timer = None
        self._fatal_error(
            TimeoutError(
                f"TLS shutdown timed out: the peer took nothing for {self._shutdown_timeout} seconds, "
                f"{size} bytes were not sent"
            ),
            "TLS shutdown timed out",
        )

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _release(self, sock: socket.socket) -> None:
        self._keep_sockname(sock)
        super()._release(sock)

    def _keep_sockname(self, sock: socket.socket) -> None:
        if self._sockname is None:
            self._sockname = _name(sock.getsockname)

    def _drop_buffers(self, exc: BaseException | None) -> None:
        super()._drop_buffers(exc)
        self._stop_timer()


def _name(ask: Any) -> Any:
    try:
        return ask()
    except OSError:
        return None


def _set_nodelay(sock: socket.socket) -> None:
    """Small writes leave without waiting for the peer's ACK: gathering is done here, not by Nagle."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # Some systems refuse where the peer has gone already; the first read tells of that.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

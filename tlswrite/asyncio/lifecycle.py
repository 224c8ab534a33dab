"""The life of a connection's socket: readiness registrations, errors, and the end.

What the write side and the read side of a transport have in common, below both. The end comes once, on one of
two roads: `close` (the write side flushes, then calls `_finish`) or `_force_close` (at once); each schedules
one `connection_lost`.

Invariants:
* the loop has exactly the callbacks registered that something waits for (clause W10): `_reading` and
  `_writing` mirror it;
* callbacks are registered in the context in which the transport was made, so context variables are the same
  in all of them;
* nothing here or above stores a bound method of the connection, and one that is lost holds neither its face,
  its protocol nor an exception's frames: reference counting alone frees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import logging
import socket
from abc import abstractmethod
from typing import Any, Final, TypeVar

from tlswrite.asyncio.buffers import loop_buffers
from tlswrite.asyncio.flow import FlowControl
from tlswrite.asyncio.linger import linger
from tlswrite.asyncio.registration import Registered, registered
from tlswrite.connection import TLSConnection
from tlswrite.errors import SyscallError, TLSError

__all__ = ["Lifecycle", "logger"]

#: asyncio's logger: what is said of connections is said in one place.
logger: Final = logging.getLogger("asyncio")

_E = TypeVar("_E", bound=BaseException)


class Lifecycle(FlowControl):
    """Socket, connection and their end."""

    __slots__ = (
        "_buffers",
        "_closing",
        "_connected",
        "_connection",
        "_context",
        "_direct",
        "_fast_read",
        "_fd",
        "_lingers",
        "_lost",
        "_made",
        "_peer_done",
        "_reader",
        "_reading",
        "_sock",
        "_waiter",
        "_writing",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: Any,
        connection: TLSConnection,
        waiter: asyncio.Future[None] | None,
    ) -> None:
        super().__init__(loop, protocol)
        #: None once connection_lost was called.
        self._sock: socket.socket | None = sock
        self._fd = sock.fileno()
        self._connection = connection
        self._buffers = loop_buffers(loop)
        self._context = contextvars.copy_context()
        self._waiter = waiter
        #: Registered with the loop for reading, for writing.
        self._reading = False
        self._writing = False
        self._reader: Registered | None = None
        #: The handshake is complete; connection_made was called.
        self._connected = False
        self._made = False
        #: close() or an error: no more writes are taken, no more data is delivered.
        self._closing = False
        #: connection_lost is scheduled or was called.
        self._lost = False
        #: The peer closed its side: close_notify, or the end of its bytes.
        self._peer_done = False
        #: The write side was shut; the socket lingers unless the peer is done.
        self._lingers = False
        #: A write may go straight to the socket; a read may go straight to the protocol.
        self._direct = False
        self._fast_read = False

    def is_closing(self) -> bool:
        """True once closed, aborted or lost: nothing written now will be sent."""
        return self._closing

    def abort(self) -> None:
        """Drop the connection at once: nothing that waits is sent, no close_notify, no lingering (A08)."""
        if not self._lost:
            self._lingers = False
            self._force_close(None)

    # ---- readiness ----------------------------------------------------------------------------------

    @abstractmethod
    def _on_readable(self) -> None:
        """The loop's callback: the socket has something, or an end."""

    @abstractmethod
    def _on_writable(self) -> None:
        """The loop's callback: the socket takes more."""

    def _watch_reads(self) -> None:
        if not self._reading:
            reader = self._on_readable
            # A copy, because a context cannot be entered twice.
            self._context.copy().run(self._loop.add_reader, self._fd, reader)
            self._reader = registered(self._loop, reader, self._face)
            self._reading = True

    def _ignore_reads(self) -> None:
        if self._reading:
            self._reading = False
            self._reader = None
            self._loop.remove_reader(self._fd)

    def _reader_dropped(self) -> None:
        if self._reading:
            # The writer went with it.
            writing = self._writing
            self._ignore_reads()
            self._ignore_writes()
            self._watch_reads()
            if writing:
                self._watch_writes()

    def _watch_writes(self) -> None:
        if not self._writing:
            self._context.copy().run(self._loop.add_writer, self._fd, self._on_writable)
            self._writing = True

    def _ignore_writes(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)

    # ---- the end ------------------------------------------------------------------------------------

    def _drop_buffers(self, exc: BaseException | None) -> None:
        """Forget everything that waits, and stop timers; each side adds its own."""

    def _callback_failed(self, exc: BaseException, name: str) -> None:
        """A protocol's method raised: its fault is reported, and the connection ends with it."""
        self._fatal_error(exc, f"Fatal error: protocol.{name}() call failed.")

    def _fatal_error(self, exc: BaseException, message: str) -> None:
        """Report as asyncio does: an OSError (and so every TLSError) is for the debug log only."""
        if isinstance(exc, OSError):
            if self._loop.get_debug():
                logger.debug("%r: %s", self._face, message, exc_info=exc)
        else:
            self._loop.call_exception_handler(
                {"message": message, "exception": exc, "transport": self._face, "protocol": self._protocol}
            )
        self._force_close(exc)

    def _fail(self, exc: TLSError, message: str) -> None:
        """The engine gave up: send its alert, linger so that the alert arrives, and end."""
        send_path = self._connection.send_path
        sock = self._sock
        assert sock is not None  # it is there until connection_lost, and this leads to it
        with contextlib.suppress(OSError):
            # What the socket does not take now is lost: a peer that does not read learns nothing anyway.
            while output := send_path.output():
                send_path.sent(sock.send(output))
            self._shut_writes()
        self._fatal_error(_bare(exc), message)

    def _socket_failed(self, exc: OSError, message: str) -> None:
        """The socket is broken: that is the cause, for the engine too."""
        if not self._lost:
            self._connection.fail(SyscallError(f"the connection under TLS failed: {exc}"))
            self._fatal_error(_bare(exc), message)

    def _shut_writes(self) -> None:
        """Send FIN behind the last byte."""
        sock = self._sock
        assert sock is not None
        self._lingers = True
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)

    def _finish(self) -> None:
        """Everything was sent, close_notify included: an orderly end."""
        self._shut_writes()
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._closing = True
        self._direct = self._fast_read = False
        self._connection.send_path.discard()
        self._drop_buffers(exc)
        self._ignore_reads()
        self._ignore_writes()
        self._loop.call_soon(self._call_connection_lost, exc, context=self._context)

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        protocol = self._protocol
        try:
            if self._made:
                protocol.connection_lost(exc)
        finally:
            self._protocol = None
            # The socket first: a face that nobody else holds goes here, and looks whether the socket is closed.
            sock, self._sock = self._sock, None
            face, self._face = self._face, None
            face._over()
            assert sock is not None
            self._release(sock)
            waiter, self._waiter = self._waiter, None
            if waiter is not None and not waiter.done():
                error = exc or ConnectionAbortedError("aborted in the TLS handshake")
                # A protocol that was told (start_tls) may keep its error, which must not come to hold the frames
                # that the other one passes on its way up: the protocol itself is in them.
                waiter.set_exception(_twin(error) if self._made else error)

    def _release(self, sock: socket.socket) -> None:
        """Part with the socket: at once, or when nothing can be destroyed any more."""
        if self._lingers and not self._peer_done:
            linger(self._loop, sock, self._buffers)
        else:
            sock.close()


def _bare(exc: _E) -> _E:
    """`exc` without the frames it passed: whoever keeps it does not keep the connection."""
    exc.__traceback__ = None
    exc.__context__ = None
    return exc


def _twin(exc: BaseException) -> BaseException:
    """Another exception that says the same; an application's own is itself, since who knows how it is made."""
    if isinstance(exc, TLSError):
        return exc.again()
    return copy.copy(exc) if type(exc).__module__ == "builtins" else exc

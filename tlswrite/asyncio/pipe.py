"""The pipe between a TLS transport and the transport underneath: see `layered.py`.

Invariants:
* the transport below is paused whenever nobody reads here, so nothing piles up in the pipe;
* its write buffer counts as the owner's: its high-water mark is 0, so each of its `resume_writing` means that it
  is empty, and our FIN goes behind the last byte;
* the pipe knows its owner until that is over, and not longer: reference counting frees both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from tlswrite import limits
from tlswrite.asyncio.core import Core
from tlswrite.asyncio.transport import Transport

__all__ = ["Pipe"]


class Pipe(asyncio.Protocol):
    """The protocol of the transport underneath, used as a non-blocking socket.

    It becomes one by `connection_made`, or by `take_over` of a transport that another protocol had.
    """

    #: For who asks a socket what it is: none whose options could be set.
    family = -1

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lower: Any = None
        self._owner: Core | None = None
        self._incoming = bytearray()
        #: No more will come in; and why, where that is a failure.
        self._ended = False
        self._error: OSError | None = None
        self._lost = False
        #: The transport below takes no more.
        self._full = False
        #: What the owner waits for.
        self._reads_watched = False
        self._writes_watched = False
        self._telling = False
        self._scheduled = False
        self._shut = False
        self._timer: asyncio.TimerHandle | None = None
        self._discard_left = limits.LINGER_BYTES

    @property
    def lower(self) -> Any:
        """The transport underneath."""
        return self._lower

    @property
    def unsent(self) -> int:
        """Bytes that the transport below has not got rid of."""
        return 0 if self._lost else cast(int, self._lower.get_write_buffer_size())

    @property
    def broken(self) -> OSError | None:
        """Set where the transport below was lost with bytes that it had not got rid of."""
        if not (self._lost and self._full):
            return None
        return self._error or ConnectionResetError("the transport under TLS was closed before all was sent")

    def take_over(self, lower: Any, early: bytes = b"") -> bool:
        """Become the protocol of `lower`, whose reading is paused; True if writing was paused there.

        `early` is what arrived before.
        """
        self._lower = lower
        self._incoming += early
        lower.set_protocol(self)
        # Who was not paused before is told now, if there is reason to.
        self._full = False
        self._set_limits()
        waits = lower.get_write_buffer_size() > 0
        was_paused = waits and not self._full
        self._full = waits
        return was_paused

    def _set_limits(self) -> None:
        """Be told whenever the transport below holds anything, and when it does no more."""
        # asyncio's and uvloop's own TLS transports pause at their mark, others above it: 0 would lock those.
        theirs = self._lower.get_extra_info("sslcontext") is not None and not isinstance(
            self._lower, Transport
        )
        self._lower.set_write_buffer_limits(high=1 if theirs else 0, low=0)

    def attach(self, owner: Core) -> None:
        """`owner` is told of readiness from now on."""
        self._owner = owner

    # ---- the protocol -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = transport
        self._pause()
        self._set_limits()

    def data_received(self, data: bytes) -> None:
        if self._timer is not None:
            self._discard_left -= len(data)
            if self._discard_left <= 0:
                self._stop_lingering()
            return
        self._incoming += data
        self._tell_reader()

    def eof_received(self) -> bool:
        self._ended = True
        if self._timer is not None:
            self._stop_lingering()
        else:
            self._tell_reader()
        # Where the transport below can be half-closed it is closed from here.
        return not self._lost and cast(bool, self._lower.can_write_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._ended = True
        if self._timer is not None:
            self._stop_lingering()
        if exc is not None:
            self._error = exc if isinstance(exc, OSError) else ConnectionAbortedError(str(exc))
        self._tell_reader()
        self._tell_writer()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._tell_writer()

    # ---- the socket ---------------------------------------------------------------------------------

    def fileno(self) -> int:
        return -1

    def getsockname(self) -> Any:
        return self._lower.get_extra_info("sockname")

    def getpeername(self) -> Any:
        return self._lower.get_extra_info("peername")

    def send(self, data: bytes | memoryview) -> int:
        if self._lost:
            raise self._error or ConnectionResetError("the transport under TLS is closed")
        if self._full or self._lower.is_closing():
            raise BlockingIOError
        # A copy: the window is used again before the transport below may be through with it.
        self._lower.write(bytes(data))
        return len(data)

    def recv_into(self, buffer: memoryview, size: int = 0) -> int:
        incoming = self._incoming
        if not incoming:
            if self._error is not None:
                raise self._error
            if self._ended:
                return 0
            raise BlockingIOError
        count = min(size or len(buffer), len(buffer), len(incoming))
        with memoryview(incoming) as view:
            buffer[:count] = view[:count]
        del incoming[:count]
        return count

    def shutdown(self, how: int) -> None:
        """Close the write side, if the transport below can do that."""
        if not (self._shut or self._lost or self._lower.is_closing()) and self._lower.can_write_eof():
            self._shut = True
            self._lower.write_eof()

    def close(self) -> None:
        """End the transport below: what it was given is sent."""
        self._owner = None
        self._incoming.clear()
        if not self._lost and not self._loop.is_closed():
            self._lower.close()

    def abort(self) -> None:
        """End it at once."""
        self._owner = None
        self._incoming.clear()
        if not self._lost:
            self._lower.abort()

    def linger(self) -> None:
        """Close when the peer has, or after a while: see `linger.py`."""
        if self._ended or not self._shut:
            self.close()
            return
        self._owner = None
        self._incoming.clear()
        self._timer = self._loop.call_later(limits.LINGER_TIME, self._stop_lingering)
        self._resume()

    def _stop_lingering(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.close()

    # ---- readiness ----------------------------------------------------------------------------------

    def watch_reads(self) -> None:
        """Call the owner's `_on_readable` whenever there is something to read."""
        self._reads_watched = True
        if self._incoming or self._ended:
            self._loop.call_soon(self._tell_reader)
        if not self._ended:
            self._resume()

    def ignore_reads(self) -> None:
        self._reads_watched = False
        if not self._ended:
            self._pause()

    def watch_writes(self) -> None:
        """Call the owner's `_on_writable` while the transport below takes more.

        It is called whenever that one has become empty in any case: what it held counts as the owner's.
        """
        self._writes_watched = True
        self._schedule_writer()

    def ignore_writes(self) -> None:
        self._writes_watched = False

    def _resume(self) -> None:
        if not self._lost and not self._lower.is_closing():
            self._lower.resume_reading()

    def _pause(self) -> None:
        if not self._lost and not self._lower.is_closing():
            self._lower.pause_reading()

    def _tell_reader(self) -> None:
        if self._telling:
            return
        self._telling = True
        try:
            while self._reads_watched and self._owner is not None and (self._incoming or self._ended):
                self._run(self._owner._on_readable)
        finally:
            self._telling = False

    def _tell_writer(self) -> None:
        if self._owner is not None:
            self._run(self._owner._on_writable)
            self._schedule_writer()

    def _schedule_writer(self) -> None:
        if self._writes_watched and not (self._full or self._scheduled or self._lower.is_closing()):
            self._scheduled = True
            self._loop.call_soon(self._tell_scheduled)

    def _tell_scheduled(self) -> None:
        self._scheduled = False
        if self._writes_watched and not self._full:
            self._tell_writer()

    def _run(self, callback: Callable[[], None]) -> None:
        """Call the owner in its own context, as a loop would."""
        owner = self._owner
        assert owner is not None
        owner._context.copy().run(callback)

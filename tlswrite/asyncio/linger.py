"""Lingering close: keep a socket for a moment, lest a reset destroy what is in flight (clause A08).

A TCP socket that is closed with input unread, or that gets input after it was closed, answers with a reset.
The reset overtakes what was sent: it makes the kernel here drop what it has not sent yet, and makes the
peer's next write fail before the peer has read our last bytes. So after its last byte a connection only
shuts its write side and goes on reading, throwing away what comes, until the peer closes,
`limits.LINGER_TIME` is over or `limits.LINGER_BYTES` have been thrown away.

The rule that decides. No lingering where the peer has already closed its side (close_notify or FIN seen):
it will send nothing more, so nothing provokes a reset. In every other case the socket lingers, but the
application does not wait for it: `connection_lost` is called as soon as the kernel has taken the last byte
and the FIN, and the bare socket lingers in the background. A loop that is closed meanwhile closes the
socket.

Refused: asking the kernel whether the send queue is empty (SIOCOUTQ). On a real network it never is at this
moment, and an empty queue says only that the peer's kernel has the bytes, not that the peer read them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref

from tlswrite import limits
from tlswrite.asyncio.buffers import LoopBuffers, lend
from tlswrite.asyncio.registration import registered

__all__ = ["linger"]


def linger(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    buffers: LoopBuffers,
    budget: int = limits.LINGER_BYTES,
    time: float = limits.LINGER_TIME,
) -> None:
    """Take over `sock`, whose write side is shut, and close it when nothing can be destroyed any more.

    `budget` bytes of input are thrown away at most, in `time` seconds at most.
    """
    _Lingering(loop, sock, buffers, budget, time)


class _Lingering:
    """A socket between its last byte sent and its close. Only the loop's registrations keep it alive."""

    __slots__ = ("__weakref__", "_budget", "_buffers", "_fd", "_loop", "_reader", "_sock", "_timer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        buffers: LoopBuffers,
        budget: int,
        time: float,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._buffers = buffers
        self._budget = budget
        # Most peers have closed by now, or will within a round trip.
        if self._discard():
            self._watch()
            # Weakly: a timer that held its owner would keep both alive when the loop is closed.
            self._timer = loop.call_later(time, _expire, weakref.ref(self))
        else:
            sock.close()

    def __del__(self) -> None:
        self._sock.close()

    def _discard(self) -> bool:
        """Throw away what has arrived; False when it is time to close."""
        try:
            count = self._sock.recv_into(lend(self._buffers).receive)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self._budget -= count
        return count > 0 and self._budget > 0

    def _watch(self) -> None:
        reader = self._on_readable
        self._loop.add_reader(self._fd, reader)
        self._reader = registered(self._loop, reader, weakref.proxy(self))

    def _on_readable(self) -> None:
        if not self._discard():
            self._finish()

    def _reader_dropped(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._fd)
            self._watch()

    def _finish(self) -> None:
        self._timer.cancel()
        self._reader = None
        self._loop.remove_reader(self._fd)
        with contextlib.suppress(OSError):
            self._sock.close()


def _expire(reference: weakref.ref[_Lingering]) -> None:
    lingering = reference()
    if lingering is not None:
        lingering._finish()

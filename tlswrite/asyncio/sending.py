"""Sending: an awaited write, which can be cancelled without breaking the stream (clause A10).

A write has a place in the stream of plaintext: `start` and `size`. Sealing goes through the stream in
order, so the transport's count of sealed bytes tells how far each write is. Cancelling withdraws what lies
behind that mark, and moves the writes behind it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Protocol

__all__ = ["Sending"]


class _Stream(Protocol):
    """What a Sending needs of its transport."""

    @property
    def committed(self) -> int: ...

    def _withdraw(self, sending: Sending) -> None: ...


class Sending:
    """A write under way: await it for its size; `committed` tells how much of it is sealed.

    It is made by `Transport.sendall`. It can be awaited by one task; cancelling that task withdraws the rest.
    """

    __slots__ = ("_committed", "_error", "_future", "_loop", "_stream", "size", "start")

    def __init__(self, loop: asyncio.AbstractEventLoop, stream: _Stream, start: int, size: int) -> None:
        #: Place in the transport's stream of plaintext, and length, in bytes.
        self.start = start
        self.size = size
        self._loop = loop
        self._stream: _Stream | None = stream
        self._committed = 0
        self._error: BaseException | None = None
        self._future: asyncio.Future[None] | None = None

    @property
    def committed(self) -> int:
        """Bytes of this write that are sealed: the peer gets them, unless the connection is lost."""
        if self._stream is None:
            return self._committed
        return min(max(self._stream.committed - self.start, 0), self.size)

    @property
    def done(self) -> bool:
        """Whether nothing more will happen: all sent, withdrawn, or lost."""
        return self._stream is None

    def __await__(self) -> Generator[object, None, int]:
        """Wait until the socket has taken all of it; the number of bytes.

        Raises what ended the connection where that came first (ConnectionResetError for an orderly end),
        RuntimeError where another task awaits it.
        """
        if self._stream is not None:
            if self._future is not None:
                raise RuntimeError("this write is awaited already")
            self._future = self._loop.create_future()
            try:
                yield from self._future
            except asyncio.CancelledError:
                if self._stream is not None:
                    self._stream._withdraw(self)
                raise
            finally:
                self._future = None
        if self._error is not None:
            raise self._error
        return self._committed

    def __repr__(self) -> str:
        state = "under way" if self._stream is not None else "done"
        return f"<Sending {self.committed} of {self.size} bytes, {state}>"

    def _settle(self, committed: int, error: BaseException | None) -> None:
        """Nothing more will happen: `committed` bytes of the stream are sealed."""
        self._committed = min(max(committed - self.start, 0), self.size)
        self._error = error
        self._stream = None
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

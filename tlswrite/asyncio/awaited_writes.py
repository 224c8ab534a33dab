"""Awaited writes: each with its place in the stream, told when it is sent, cut out when it is cancelled.

They are ordinary writes first (clause A10). While any is under way, `_sendings` has them in the order of the
stream, and every move of bytes looks whether the first ones are done.
"""

from __future__ import annotations

from collections import deque

from tlswrite.asyncio.backlog import cut, flat
from tlswrite.asyncio.sending import Sending
from tlswrite.asyncio.write_side import WriteSide
from tlswrite.connection import Buffer

__all__ = ["AwaitedWrites"]


class AwaitedWrites(WriteSide):
    """`sendall`, and what cancelling does to what waits."""

    __slots__ = ()

    def sendall(self, data: Buffer) -> Sending:
        """Send `data`; to be awaited until the socket has taken all of it, with its size as the result.

        What is returned may be cancelled, by cancelling the task that awaits it: bytes not sealed by then are
        withdrawn, the connection goes on as if they had never been given, and `committed` of the returned
        object says how many bytes of `data` the peer gets (clause A10)::

            sending = transport.sendall(data)
            try:
                async with asyncio.timeout(1):
                    await sending
            except TimeoutError:
                rest = data[sending.committed :]

        Not awaited it is a `write`. Raises as `write` does, and ConnectionResetError where the connection is
        closed or lost.
        """
        if self._closing:
            flat(data)
            raise ConnectionResetError("the connection is closed")
        start = self._send_path.committed if self._backlog is None else self._accepted
        size = flat(data).nbytes
        self.write(data)
        sending = Sending(self._loop, self, start, size)
        if self._lost:
            sending._settle(self._send_path.committed, ConnectionResetError("the connection was lost"))
        elif size and (self._backlog is not None or self._send_path.has_output):
            if self._sendings is None:
                self._sendings = deque()
            self._sendings.append(sending)
        else:
            sending._settle(start + size, None)
        return sending

    def _settle_sendings(self, error: BaseException | None = None) -> None:
        """What is sealed has left; with `error` nothing more will."""
        sendings = self._sendings
        committed = self._send_path.committed
        while sendings and (error is not None or sendings[0].start + sendings[0].size <= committed):
            sendings.popleft()._settle(committed, error)
        if not sendings:
            self._sendings = None

    def _withdraw(self, sending: Sending) -> None:
        """Take out of the stream what of a cancelled write is not sealed yet."""
        assert self._sendings is not None
        self._sendings.remove(sending)
        begin = max(sending.start, self._send_path.committed)
        end = sending.start + sending.size
        if self._backlog is not None and begin < end:
            self._cut(begin, end)
            for other in self._sendings:
                if other.start >= end:
                    other.start -= end - begin
        sending._settle(begin, None)
        if not self._sendings:
            self._sendings = None
        self._resume_protocol_if_drained()

    def _cut(self, begin: int, end: int) -> None:
        """Remove the bytes from `begin` to `end`, positions in the stream, from what waits."""
        backlog = self._backlog
        assert backlog is not None
        position = self._accepted - sum(map(len, backlog))
        if self._send_path.pending and begin < position + len(backlog[0]):
            # The engine's pending write loses its end: what is sealed of it stays, the rest is a new write.
            sealed = self._send_path.abandon()
            backlog[0] = memoryview(backlog[0])[sealed:]
            position += sealed
        self._backlog = cut(backlog, begin - position, end - position) or None
        self._accepted -= end - begin

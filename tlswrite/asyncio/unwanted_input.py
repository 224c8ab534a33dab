"""Input that the protocol does not get: after `close`, and behind a write that failed.

A transport that closes goes on reading, so that the peer goes on reading what it is sent, and throws away
what comes; where its last writes wait for the peer's part of a renegotiation (TLS 1.2), it serves that first.
When a write fails, the unread input is searched for the alert that tells why.
"""

from __future__ import annotations

from typing import Final

from tlswrite import limits
from tlswrite.asyncio.buffers import lend
from tlswrite.asyncio.read_side import ReadSide
from tlswrite.errors import TLSError, ZeroReturnError
from tlswrite.record.codes import WANT_READ
from tlswrite.record.receive import OUT_ROOM

__all__ = ["UnwantedInput"]

#: Rounds of reading in search of the alert behind a failed write.
_LAST_ROUNDS: Final = 16


class UnwantedInput(ReadSide):
    """Reading for the sake of the writes."""

    __slots__ = ()

    def _read_unwanted(self) -> None:
        if self._waits_for_peer():
            self._finish_renegotiation()
        else:
            self._discard_input()

    def _discard_input(self) -> None:
        """Closing: what the peer still sends is thrown away, so that it goes on reading what we send."""
        try:
            count = self._recv_into(lend(self._buffers).receive)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._socket_failed(exc, "Fatal read error on socket transport")
            return
        self._discard_left -= count
        if not count:
            self._peer_done = True
        if not count or self._discard_left <= 0:
            self._ignore_reads()

    # ---- renegotiation (TLS 1.2) ----------------------------------------------------------------------

    def _waits_for_peer(self) -> bool:
        """Whether writes wait for the peer's part of a renegotiation."""
        return self._backlog is not None and self._send_path.held

    def _want_read(self) -> None:
        if self._peer_done:
            if self._closing:
                self._fatal_error(
                    ZeroReturnError(
                        "the peer closed the connection in a renegotiation: "
                        f"{self.get_write_buffer_size()} bytes were not sent"
                    ),
                    "Fatal write error on TLS transport",
                )
        elif self._held_size < limits.PAUSED_READ_LIMIT:
            self._watch_reads()

    def _finish_renegotiation(self) -> None:
        """Closing, with writes that wait: serve the handshake; application data that comes is thrown away."""
        buffers = lend(self._buffers)
        buffers.busy = True
        receive_path = self._receive_path
        try:
            if not self._receive(buffers, limits.READ_BUDGET):
                # Nothing new, or the end: what was left from a pause may hold what is waited for.
                tail = receive_path.tail
                buffers.receive[: len(tail)] = tail
                receive_path.feed(buffers.receive, len(tail))
            while (count := self._connection.receive_into(buffers.plain)) > 0:
                self._discard_left -= count
            if count != WANT_READ:
                self._peer_done = True
                self._ignore_reads()
        except TLSError as exc:
            self._engine_failed(exc)
        finally:
            receive_path.reclaim()
            buffers.busy = False
        self._flush()

    def _last_words(self) -> TLSError | None:
        """The alert, or other error, that the peer's unread input ends with, if any.

        Called in the middle of a write, so nothing is delivered: as in asyncio, input that was not delivered
        before the connection broke is lost. After `close` input was thrown away: its rest says nothing.
        """
        if self._closing:
            return None
        receive_path = self._receive_path
        plain = memoryview(bytearray(OUT_ROOM))
        try:
            for _ in range(_LAST_ROUNDS):
                while self._connection.receive_into(plain) > 0:
                    pass
                receive_path.reclaim()
                tail = receive_path.tail
                buffer = bytearray(tail)
                buffer += bytes(limits.MAX_CIPHERTEXT)
                count = self._recv_into(memoryview(buffer)[len(tail) :])
                if not count:
                    return None
                receive_path.feed(memoryview(buffer), len(tail) + count)
        except TLSError as exc:
            return exc
        except OSError:
            pass
        return None

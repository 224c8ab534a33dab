"""The counts of `SSLContext.session_stats`."""

from __future__ import annotations

__all__ = ["Stats"]


class Stats:
    """Handshakes of one role of a context."""

    __slots__ = ("complete", "hits", "renegotiated", "started")

    def __init__(self) -> None:
        self.started = self.complete = self.renegotiated = self.hits = 0

    def completed(self, again: bool, reused: bool) -> None:
        """A handshake is complete: another one on the same connection, a resumption."""
        if again:
            self.renegotiated += 1
            return
        self.complete += 1
        self.hits += reused

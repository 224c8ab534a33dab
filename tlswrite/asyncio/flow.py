"""Watermarks: when the protocol is told to pause writing, and when to resume.

One count (`get_write_buffer_size`) and one pair of marks. A transport under TLS has two places where bytes
wait, plaintext and ciphertext; counting them in two buffers with marks of their own is how `drain()` comes to
hang or to return too early, so there is no second pair here.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Final

__all__ = ["DEFAULT_HIGH_WATER", "FlowControl"]

#: asyncio's high mark; the low mark is a quarter of it. Bytes.
DEFAULT_HIGH_WATER: Final = 64 * 1024


class FlowControl(ABC):
    """The part of a transport that calls `pause_writing` and `resume_writing`, in turn (clause A03)."""

    __slots__ = ("_face", "_high_water", "_loop", "_low_water", "_protocol", "_protocol_paused")

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any) -> None:
        self._loop = loop
        self._protocol = protocol
        #: The transport that the application has (see `transport.py`); None once the connection is lost.
        self._face: Any = None
        self._protocol_paused = False
        self._high_water = DEFAULT_HIGH_WATER
        self._low_water = DEFAULT_HIGH_WATER // 4

    @abstractmethod
    def get_write_buffer_size(self) -> int:
        """Bytes that wait."""

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The marks (low, high), in bytes."""
        return self._low_water, self._high_water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, with asyncio's defaults: high 64 KiB, or 4 * low; low high / 4.

        Raises ValueError unless high >= low >= 0. With high 0 the protocol is paused whenever anything waits.
        """
        if high is None:
            high = DEFAULT_HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high_water = high
        self._low_water = low
        self._pause_protocol_if_full()

    # ---- helpers ----------------------------------------------------------------------------------

    def _pause_protocol_if_full(self) -> None:
        if self._protocol_paused or self.get_write_buffer_size() <= self._high_water:
            return
        self._protocol_paused = True
        self._tell_protocol("pause_writing")

    def _resume_protocol_if_drained(self) -> None:
        if not self._protocol_paused or self.get_write_buffer_size() > self._low_water:
            return
        self._protocol_paused = False
        self._tell_protocol("resume_writing")

    def _tell_protocol(self, name: str) -> None:
        """Call one of the two; what it raises is reported, and does no harm to the stream."""
        protocol = self._protocol
        if protocol is None:
            return
        try:
            getattr(protocol, name)()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._loop.call_exception_handler(
                {
                    "message": f"protocol.{name}() failed",
                    "exception": exc,
                    "transport": self._face,
                    "protocol": protocol,
                }
            )

"""The two buffers that all connections of a loop share.

A readiness callback runs to its end before the next one starts, so one receive buffer and one plaintext
buffer serve every connection of a loop; what a connection keeps between two of its callbacks is the
beginning of an incomplete record, and nothing else. 256 KiB of buffers for each idle connection is what
this replaces.

Invariants:
* a buffer is lent for the length of one callback; `busy` marks it, and whoever finds it busy (an event loop
  run inside a callback) works in buffers of its own;
* application code never sees a view of a shared buffer: what is delivered is a copy, made at exact length.
  So one connection's bytes cannot appear in another's.
"""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

from tlswrite import limits
from tlswrite.record.receive import OUT_ROOM
from tlswrite.record.window import whole_records

__all__ = ["LoopBuffers", "lend", "loop_buffers"]

_RECEIVE_SIZE: Final = limits.READ_BUDGET + limits.RECORD_HEADER + limits.MAX_CIPHERTEXT
_PLAIN_SIZE: Final = limits.READ_BUDGET + OUT_ROOM

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBuffers] = WeakKeyDictionary()


class LoopBuffers:
    """A receive buffer: `limits.READ_BUDGET` behind an incomplete record; and a plaintext buffer like it.

    A record that was incomplete begins where the buffer does, and so do those that follow it: their views are kept.
    """

    __slots__ = ("_end", "_fragment", "busy", "header", "plain", "receive", "single", "slots")

    def __init__(self) -> None:
        self.receive = memoryview(bytearray(_RECEIVE_SIZE))
        #: What one read fills that has nothing in front of it, and the header of the record at its beginning.
        self.single = self.receive[: limits.READ_BUDGET]
        self.header = self.receive[: limits.RECORD_HEADER]
        #: The whole records that `receive` has room for, from its beginning on.
        self.slots = whole_records(
            self.receive, _RECEIVE_SIZE // (limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD)
        )
        self.plain = memoryview(bytearray(_PLAIN_SIZE))
        #: True while a callback works in them.
        self.busy = False
        self._end = 0
        self._fragment = self.receive[:0]

    def fragment(self, end: int) -> memoryview:
        """What is behind the header in `receive[:end]`. Much traffic is of one size: the last view is kept."""
        if end != self._end:
            self._fragment = self.receive[limits.RECORD_HEADER : end]
            self._end = end
        return self._fragment


def loop_buffers(loop: asyncio.AbstractEventLoop) -> LoopBuffers:
    """The buffers of `loop`; they live as long as it or one of its transports."""
    buffers = _of_loop.get(loop)
    if buffers is None:
        buffers = _of_loop[loop] = LoopBuffers()
    return buffers


def lend(buffers: LoopBuffers) -> LoopBuffers:
    """`buffers`, or others where they are in use further up the stack."""
    return LoopBuffers() if buffers.busy else buffers

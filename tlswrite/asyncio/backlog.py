"""What waits to be written: chunks of plaintext in the order of the calls, by reference.

The chunks stay the objects that the application gave: the engine's pending write is retried with the same one
(clause W15). Small ones are joined when their turn comes, and a cancelled write is cut out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from tlswrite import limits
from tlswrite.connection import Buffer

__all__ = ["BLOCK", "GATHER_SIZE", "cut", "flat", "gather"]

#: Writes of this size are not gathered: they fill records of their own. Bytes.
BLOCK: Final = limits.MAX_PLAINTEXT
#: Small writes are joined up to this size, and the queue is flushed when it reaches it. Bytes.
GATHER_SIZE: Final = 4 * limits.MAX_PLAINTEXT


def gather(backlog: deque[bytes | memoryview]) -> bytes | memoryview:
    """The head of what waits; small ones are joined first, up to a window."""
    size = len(backlog[0])
    if size >= BLOCK or len(backlog) == 1:
        return backlog[0]
    parts = []
    size = 0
    while backlog and size + len(backlog[0]) <= GATHER_SIZE:
        part = backlog.popleft()
        size += len(part)
        parts.append(part)
    head = parts[0] if len(parts) == 1 else b"".join(parts)
    backlog.appendleft(head)
    return head


def flat(data: Buffer) -> memoryview:
    """A flat view of the bytes of a contiguous buffer; the errors are as in asyncio's `write`."""
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}") from None
    if not view.c_contiguous:
        raise BufferError("the buffer is not contiguous: write a copy of it, bytes(view)")
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def cut(chunks: Iterable[bytes | memoryview], begin: int, end: int) -> deque[bytes | memoryview]:
    """`chunks` without their bytes from `begin` to `end`. Whole chunks stay the objects they are."""
    kept: deque[bytes | memoryview] = deque()
    position = 0
    for chunk in chunks:
        view = memoryview(chunk)
        before = view[: max(begin - position, 0)]
        after = view[max(end - position, 0) :]
        if len(before) + len(after) >= len(chunk):
            kept.append(chunk)
        else:
            kept.extend(piece for piece in (before, after) if piece)
        position += len(chunk)
    return kept

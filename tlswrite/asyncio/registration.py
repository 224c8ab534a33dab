"""Readers that a loop lets go of by itself.

uvloop ends its polling of a descriptor when the kernel reports an error there (EPOLLERR: a reset). It calls the
reader once more, and forgets it. But in front of the reset there may be more to read than one call takes, so that
the reader would never learn of the end; and what is left of the poll in the loop's table refuses the next socket
that gets the same number.

What is registered is a bound method that nobody but the loop holds, so it is freed when the loop lets go of it.
A weak reference to it tells, and the owner registers again. That costs nothing while bytes move. asyncio's own
loops let go of nothing, and have none.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Owner", "Registered", "registered"]


class Owner(Protocol):
    """Who reads."""

    def _reader_dropped(self) -> None:
        """The loop let go of the reader, a turn ago: register again, if it is still wanted."""


class Registered(weakref.ref[Any]):
    """Kept by the owner while its reader is registered, and dropped before the reader is removed."""

    __slots__ = ("loop", "owner")

    loop: asyncio.AbstractEventLoop
    owner: Owner


def registered(
    loop: asyncio.AbstractEventLoop, reader: Callable[[], None], owner: Owner
) -> Registered | None:
    """What tells `owner` that `loop` let go of `reader`, a bound method; None for loops that do not.

    An owner that nothing but the loop is to keep alive gives a proxy of itself.
    """
    if isinstance(loop, asyncio.BaseEventLoop):
        return None
    found = Registered(reader, _dropped)
    found.loop = loop
    found.owner = owner
    return found


def _dropped(found: Registered) -> None:
    # The bound method still holds its owner at this moment. A loop that is closed lets go of everything.
    if not found.loop.is_closed():
        found.loop.call_soon(found.owner._reader_dropped)

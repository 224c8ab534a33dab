"""The buffers that a loop's connections share."""

from __future__ import annotations

import asyncio
import gc
import weakref

from tlswrite import limits
from tlswrite.asyncio.buffers import LoopBuffers, lend, loop_buffers
from tlswrite.record.receive import OUT_ROOM


async def test_a_loop_has_one_pair() -> None:
    loop = asyncio.get_running_loop()
    assert loop_buffers(loop) is loop_buffers(loop)


async def test_a_full_read_fits_behind_an_incomplete_record() -> None:
    pair = LoopBuffers()
    incomplete = limits.RECORD_HEADER + limits.MAX_CIPHERTEXT - 1
    assert len(pair.receive) >= incomplete + limits.READ_BUDGET
    assert len(pair.plain) >= limits.READ_BUDGET + OUT_ROOM


async def test_views_of_a_record_at_the_beginning() -> None:
    pair = LoopBuffers()
    assert len(pair.single) == limits.READ_BUDGET
    pair.single[:10] = b"headerrest"
    assert pair.header == b"heade"
    for end, fragment in ((10, b"rrest"), (10, b"rrest"), (7, b"rr"), (5, b""), (3, b""), (10, b"rrest")):
        assert pair.fragment(end) == fragment


async def test_buffers_in_use_are_not_lent_again() -> None:
    pair = LoopBuffers()
    assert lend(pair) is pair
    pair.busy = True
    other = lend(pair)
    assert other is not pair
    assert not other.busy


def test_each_loop_has_its_own_and_takes_it_along() -> None:
    first, second = asyncio.SelectorEventLoop(), asyncio.SelectorEventLoop()
    assert loop_buffers(first) is not loop_buffers(second)
    watched = weakref.ref(loop_buffers(first).receive)
    first.close()
    second.close()
    del first, second
    gc.collect()
    assert watched() is None

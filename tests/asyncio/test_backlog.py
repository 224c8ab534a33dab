"""What waits to be written: joining, cutting, flattening."""

from __future__ import annotations

from array import array
from collections import deque

import pytest

from tlswrite.asyncio.backlog import BLOCK, GATHER_SIZE, cut, flat, gather


@pytest.mark.parametrize("begin", range(12))
@pytest.mark.parametrize("length", range(1, 8))
def test_cut_takes_out_just_the_range(begin: int, length: int) -> None:
    chunks = [b"abc", b"d", memoryview(b"efgh"), b"ijkl"]
    whole = b"".join(chunks)
    kept = cut(chunks, begin, begin + length)
    assert b"".join(kept) == whole[:begin] + whole[begin + length :]
    # What is not touched is the same object: the engine may be in the middle of it.
    untouched = [chunk for chunk in chunks if any(chunk is each for each in kept)]
    assert len(untouched) >= len(chunks) - length - 1
    assert all(kept)


def test_small_chunks_are_joined_up_to_a_window() -> None:
    chunks = [bytes([at]) * 1000 for at in range(100)]
    waiting: deque[bytes | memoryview] = deque(chunks)
    head = gather(waiting)
    assert head is waiting[0]
    assert len(head) == GATHER_SIZE // 1000 * 1000
    assert b"".join(waiting) == b"".join(chunks)


def test_a_whole_block_and_a_lonely_chunk_stay_what_they_are() -> None:
    block, small = bytes(BLOCK), b"small"
    assert gather(deque([block, small])) is block
    assert gather(deque([small])) is small
    # Too large to be joined with: the small one stays alone.
    large = bytes(GATHER_SIZE)
    assert gather(deque([small, large])) is small


def test_flat_views() -> None:
    assert flat(b"bytes") == b"bytes"
    assert flat(array("I", [1, 2])).nbytes == 8
    with pytest.raises(TypeError, match="data argument must be a bytes-like object, not 'str'"):
        flat("text")
    with pytest.raises(BufferError, match="not contiguous"):
        flat(memoryview(b"abcd")[::2])

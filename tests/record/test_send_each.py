"""Writes that fill a record each, sealed in one call: `SendPath.write_each` and what it stands on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.records import (
    open_all,
    receive_path,
    sealer,
    sealer12,
    send_path,
    send_path12,
    split,
    take,
)
from tlswrite import limits
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.errors import InternalError
from tlswrite.iana import ContentType
from tlswrite.record import window as window_pool
from tlswrite.record.codes import WANT_WRITE
from tlswrite.record.protection import NullSealer, Sealer, TLS13Sealer
from tlswrite.record.send import SendPath
from tlswrite.record.window import Window

BLOCK = limits.MAX_PLAINTEXT
WHOLE = BLOCK + limits.RECORD_OVERHEAD
#: Two of the kernel's segments of 64 KiB take so many records.
AT_ONCE = 7


def blocks(count: int) -> deque[bytes | memoryview]:
    """Distinct chunks of one whole record each, bytes and views by turns."""
    chunks = [bytes((number,)) * BLOCK for number in range(1, count + 1)]
    return deque(memoryview(chunk) if at % 2 else chunk for at, chunk in enumerate(chunks))


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_slots_are_sealed_as_a_run_is(suite: Suite) -> None:
    contents = list(blocks(3))
    one, other = sealer(suite), sealer(suite)
    window, beside = Window(), Window()
    slots = one.slots(window, WHOLE)
    assert len(slots) == limits.WINDOW_RECORDS - 1
    one.seal_slots(contents, slots)
    end = other.seal_run(memoryview(b"".join(contents)), 0, beside, WHOLE, 3)
    assert window.view[WHOLE:end] == beside.view[WHOLE:end]
    assert one.sequence == other.sequence == 3


def test_where_a_record_fits_no_slot_there_are_none() -> None:
    window = Window()
    for one, end in (
        (sealer(), 1),  # it would begin between two slots
        (sealer(), limits.WINDOW_RECORDS * WHOLE),
        (sealer(max_inner=BLOCK), 0),  # a smaller record_size_limit
        (sealer(padding=lambda length: 1), 0),
        (sealer12(), 0),
        (NullSealer(), 0),
    ):
        assert one.slots(window, end) == ()
    with pytest.raises(InternalError, match="slot"):
        sealer12().seal_slots([bytes(BLOCK)], window.slots[0])


def test_as_many_as_have_room_are_written_and_removed() -> None:
    path = send_path()
    chunks = blocks(AT_ONCE + 2)
    sent = b"".join(chunks)
    last = list(chunks)[-2:]
    assert path.write_each(chunks) == AT_ONCE
    assert list(chunks) == last and chunks[0] is last[0]
    assert path.committed == AT_ONCE * BLOCK
    assert path.output_size == path.most_held == AT_ONCE * WHOLE
    # Nothing has room now, and nothing is changed.
    assert path.write_each(chunks) == 0
    assert len(chunks) == 2 and not path.pending
    output = take(path)
    assert path.write_each(chunks) == 2
    assert not chunks
    output += take(path)
    assert [len(record) for record in split(output)] == [WHOLE] * (AT_ONCE + 2)
    assert open_all(receive_path(), output) == sent


@pytest.mark.parametrize("next_", [b"short", bytes(BLOCK + 1)], ids=["shorter", "longer"])
def test_it_stops_before_a_chunk_of_another_size(next_: bytes) -> None:
    path = send_path()
    chunks = blocks(2)
    chunks.append(next_)
    chunks += blocks(1)
    assert path.write_each(chunks) == 2
    assert len(chunks) == 2 and chunks[0] is next_
    before = path.output_size
    assert path.write_each(chunks) == 0 and path.output_size == before
    assert path.write(chunks.popleft()) == len(next_)
    assert open_all(receive_path(), take(path)) == b"".join(blocks(2)) + next_


def closed(path: SendPath) -> None:
    path.closed = True


def behind_a_record(path: SendPath) -> None:
    path.seal_control(ContentType.HANDSHAKE, b"a message")


def pending(path: SendPath) -> None:
    assert path.write(bytes(1_000_000)) == WANT_WRITE


def out_of_step(path: SendPath) -> None:
    path.write(bytes(limits.MAX_PLAINTEXT + 10_000))


@pytest.mark.parametrize(
    "prepare", [closed, behind_a_record, pending, out_of_step, SendPath.hold], ids=lambda made: made.__name__
)
def test_where_write_must_be_called_nothing_is_done(prepare: Callable[[SendPath], None]) -> None:
    path = send_path()
    prepare(path)
    before = path.output_size, path.committed
    chunks = blocks(2)
    assert path.write_each(chunks) == 0
    assert len(chunks) == 2
    assert (path.output_size, path.committed) == before


def test_a_path_that_has_no_slots_keeps_no_window() -> None:
    window_pool._spare.clear()
    path = send_path12()
    chunks = blocks(2)
    assert path.write_each(chunks) == 0
    assert not path.has_output and len(chunks) == 2
    assert len(window_pool._spare) == 1


def test_it_stops_at_the_limit_of_the_key() -> None:
    path = SendPath()
    path.set_protection(limited := sealer(record_limit=3))

    def rekey() -> tuple[bytes, Sealer]:
        return b"\x18\x00\x00\x01\x00", sealer()

    path.rekey = rekey
    chunks = blocks(5)
    assert path.write_each(chunks) == 3
    assert limited.sequence == 3 and path.exhausted
    assert path.write_each(chunks) == 0 and len(chunks) == 2
    # It is `write` that replaces the key.
    assert path.write(chunks.popleft()) == BLOCK
    assert isinstance(path._sealer, TLS13Sealer) and path._sealer is not limited


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([BLOCK, BLOCK, BLOCK, 1, 5000, BLOCK - 1, 3 * BLOCK]), max_size=24),
    takes=st.lists(st.integers(1, 200_000), max_size=12),
)
def test_mixed_with_writes_the_bytes_arrive_once_in_order(sizes: list[int], takes: list[int]) -> None:
    path, peer = send_path(), receive_path()
    chunks: deque[bytes | memoryview] = deque(bytes((at % 250,)) * size for at, size in enumerate(sizes))
    wanted = b"".join(chunks)
    wire = b""
    while chunks:
        if not path.write_each(chunks) and path.write(chunks[0]) >= 0:
            chunks.popleft()
        assert path.output_size <= limits.SEND_WINDOW
        size = takes.pop() if takes else 1 << 20
        while size and (output := path.output()):
            piece = bytes(output[:size])
            wire += piece
            path.sent(len(piece))
            size -= len(piece)
    wire += take(path)
    assert path.committed == len(wanted)
    assert open_all(peer, wire) == wanted

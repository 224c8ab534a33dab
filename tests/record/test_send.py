"""The send path: what is sealed, when, and what a retry may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.records import (
    open_all,
    opener,
    opener12,
    receive_path,
    receive_path12,
    sealer,
    sealer12,
    send_path,
    send_path12,
    split,
    take,
)
from tlswrite import limits
from tlswrite.errors import BadWriteRetry, CallerError
from tlswrite.iana import ContentType
from tlswrite.record import window as window_pool
from tlswrite.record.codes import CONTROL, WANT_READ, WANT_WRITE
from tlswrite.record.send import SendPath

BIG = bytes(at * 7 % 256 for at in range(1_000_003))
#: Plaintext that one window takes.
WINDOW = limits.WINDOW_RECORDS * limits.MAX_PLAINTEXT


def test_small_write_is_one_record_and_takes_no_window() -> None:
    path = send_path()
    assert path.write(b"hello") == 5
    assert path.output_size == len(path.output()) == 5 + limits.RECORD_OVERHEAD
    assert path._window is None
    assert path.committed == 5
    assert open_all(receive_path(), take(path)) == b"hello"
    assert not path.has_output


def test_large_write_is_bounded_by_the_window_and_continues() -> None:
    path, peer = send_path(), receive_path()
    received = b""
    calls = 0
    while (result := path.write(BIG)) == WANT_WRITE:
        calls += 1
        assert path.pending
        assert path.output_size <= limits.SEND_WINDOW
        # Without taking output nothing moves.
        before = path.output_size, path.committed
        assert path.write(BIG) == WANT_WRITE
        assert (path.output_size, path.committed) == before
        received += open_all(peer, take(path))
    assert result == len(BIG)
    received += open_all(peer, take(path))
    assert received == BIG
    assert path.committed == len(BIG)
    assert calls == len(BIG) // WINDOW
    assert path._window is None, "the window goes back once it is drained"


@pytest.mark.parametrize("make", [send_path, send_path12])
@pytest.mark.parametrize("before", [0, 10, 20_000])
def test_a_write_that_has_room_is_all_in_the_window(make: Callable[..., SendPath], before: int) -> None:
    """Up to the last byte that has room, whatever lies in the window already; one more, and it waits."""
    for more in (0, 1):
        path = make()
        content = path._sealer.max_content
        free = limits.SEND_WINDOW - limits.CONTROL_RESERVE
        if before:
            path.write(memoryview(BIG)[:before])
            free -= path.output_size
        overhead = path._sealer.overhead
        size = free - (-(-free // (content + overhead))) * overhead + more
        assert (path.write(BIG[:size]) == WANT_WRITE) is bool(more)
        assert path.output_size <= limits.SEND_WINDOW - limits.CONTROL_RESERVE
        assert path.most_held == path.output_size
        if not more:
            assert path.committed == before + size
            peer = receive_path() if make is send_path else receive_path12()
            assert open_all(peer, take(path)) == BIG[:before] + BIG[:size]


def test_wants_and_the_most_held_are_counted() -> None:
    path = send_path()
    path.write(b"small")
    assert (path.write_wants, path.most_held) == (0, 0)
    most = calls = 0
    while path.write(BIG) == WANT_WRITE:
        calls += 1
        most = max(most, path.output_size)
        take(path)
    assert path.write_wants == calls > 0
    assert path.most_held == most <= limits.SEND_WINDOW


def test_windows_are_pooled() -> None:
    window_pool._spare.clear()
    first = send_path()
    assert first.write(BIG) == WANT_WRITE
    window = first._window
    take(first)
    second = send_path()
    second.write(BIG)
    assert second._window is window
    many = [send_path() for _ in range(limits.SPARE_WINDOWS + 3)]
    for path in many:
        path.write(BIG)
    for path in many:
        path.discard()
    assert len(window_pool._spare) == limits.SPARE_WINDOWS


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 80_000), max_size=8),
    takes=st.lists(st.integers(1, 90_000), min_size=1, max_size=50),
    max_inner=st.sampled_from([64, 1000, 16385]),
    pad=st.sampled_from([None, 0, 33]),
)
def test_whatever_the_carrier_takes_the_bytes_arrive_once(
    sizes: list[int], takes: list[int], max_inner: int, pad: int | None
) -> None:
    policy = None if pad is None else (lambda length: pad)
    path, peer = send_path(max_inner=max_inner, padding=policy), receive_path(max_inner=max_inner)
    expected = received = b""
    turn = 0

    def take_some() -> bytes:
        nonlocal turn
        turn += 1
        piece = bytes(path.output()[: takes[turn % len(takes)]])
        path.sent(len(piece))
        return piece

    for size in sizes:
        data = BIG[size : 2 * size]
        expected += data
        while path.write(data) == WANT_WRITE:
            assert path.output_size <= limits.SEND_WINDOW
            received += open_all(peer, take_some())
    while path.has_output:
        received += open_all(peer, take_some())
    assert received == expected
    assert path.committed == len(expected)


def test_partial_write_returns_whole_blocks() -> None:
    path, peer = send_path(partial=True), receive_path()
    sent = 0
    results = []
    received = b""
    while sent < len(BIG):
        result = path.write(memoryview(BIG)[sent:])
        assert result > 0
        assert not path.pending
        results.append(result)
        sent += result
        received += open_all(peer, take(path))
    assert received == BIG
    assert all(result % 16384 == 0 for result in results[:-1])
    path.write(memoryview(BIG))
    assert path.write(b"no room") == 7 or path.write(b"no room") == WANT_WRITE


def test_partial_write_without_room_wants_write() -> None:
    path = send_path(partial=True)
    assert path.write(BIG) == WINDOW
    assert path.write(BIG) == WANT_WRITE


def test_retry_with_other_arguments_is_refused_and_harmless() -> None:
    path, peer = send_path(), receive_path()
    data = bytearray(BIG[:200_000])
    assert path.write(memoryview(data), data) == WANT_WRITE
    committed = path.committed
    with pytest.raises(BadWriteRetry, match="same object"):
        path.write(bytes(data))
    with pytest.raises(BadWriteRetry, match="200000"):
        path.write(b"shorter")
    with pytest.raises(BadWriteRetry):
        path.write(b"")
    assert path.committed == committed
    received = open_all(peer, take(path))
    while path.write(memoryview(data), data) == WANT_WRITE:
        received += open_all(peer, take(path))
    assert received + open_all(peer, take(path)) == data


def test_a_slice_made_again_is_the_same_argument() -> None:
    path = send_path()
    assert path.write(memoryview(BIG)[5:300_000]) == WANT_WRITE
    take(path)
    with pytest.raises(BadWriteRetry):
        path.write(memoryview(BIG)[6:300_001])
    assert path.write(memoryview(BIG)[5:300_000]) == WANT_WRITE


def test_moving_buffer_needs_equal_data() -> None:
    path, peer = send_path(moving=True), receive_path()
    data = bytearray(BIG[:200_000])
    assert path.write(memoryview(data), data) == WANT_WRITE
    data[:] = bytes(len(data))
    with pytest.raises(BadWriteRetry, match="differs"):
        path.write(memoryview(data), data)
    received = open_all(peer, take(path))
    # RFC-free ground: SSL_write(3) asks for the same data, wherever it now is.
    while path.write(bytes(BIG[:200_000])) == WANT_WRITE:
        received += open_all(peer, take(path))
    assert received + open_all(peer, take(path)) == BIG[:200_000]


def test_abandon_tells_what_was_sealed() -> None:
    path, peer = send_path(), receive_path()
    assert path.abandon() == 0
    assert path.write(BIG) == WANT_WRITE
    assert path.abandon() == WINDOW
    assert not path.pending
    received = open_all(peer, take(path))
    assert path.write(b"next") == 4
    assert received + open_all(peer, take(path)) == BIG[:WINDOW] + b"next"


def test_empty_write_sends_nothing() -> None:
    path = send_path()
    assert path.write(b"") == 0
    assert not path.has_output


def test_closed_path_refuses() -> None:
    path = send_path()
    path.closed = True
    for data in (b"x", b""):
        with pytest.raises(CallerError, match="shutdown"):
            path.write(data)
    path.request_rekey()
    assert not path.has_output


def test_control_goes_behind_what_is_sealed() -> None:
    path, peer = send_path(), receive_path()
    assert path.write(BIG) == WANT_WRITE
    path.seal_control(ContentType.HANDSHAKE, b"k" * 40_000)
    records = split(take(path))
    assert open_all(peer, b"".join(records[: limits.WINDOW_RECORDS])) == BIG[:WINDOW]
    fragments = b""
    for record in records[limits.WINDOW_RECORDS :]:
        peer.append(record)
        assert peer.open_into(memoryview(bytearray(20000))) == CONTROL
        fragments += peer.fragment
    assert fragments == b"k" * 40_000


def test_output_in_pieces() -> None:
    path, peer = send_path(), receive_path()
    path.queue_record(b"")
    path.write(b"one")
    path.seal_control(ContentType.ALERT, b"\x01\x00")
    received = b""
    while path.has_output:
        piece = bytes(path.output()[:1])
        path.sent(1)
        received += piece
    assert open_all(peer, received) == b"one"
    assert (peer.content_type, peer.fragment) == (ContentType.ALERT, b"\x01\x00")


class Keys:
    """A `rekey` that counts, with the opener for each generation."""

    def __init__(self, record_limit: int) -> None:
        self.generation = 0
        self.record_limit = record_limit

    def __call__(self) -> tuple[bytes, object]:
        self.generation += 1
        return b"\x18\0\0\1\0", sealer(record_limit=self.record_limit, seed=self.generation)


def test_the_key_is_replaced_at_its_limit_in_the_middle_of_a_write() -> None:
    path, peer = send_path(record_limit=3), receive_path()
    keys = path.rekey = Keys(3)
    received = b""
    updates = 0
    out = memoryview(bytearray(300_000))

    def deliver() -> None:
        nonlocal received, updates
        peer.append(take(path))
        while (count := peer.open_into(out)) != -2:
            if count == CONTROL:
                assert peer.fragment == b"\x18\0\0\1\0"
                updates += 1
                peer.set_protection(opener(seed=updates))
            else:
                received += bytes(out[:count])

    while path.write(BIG) == WANT_WRITE:
        assert path.output_size <= limits.SEND_WINDOW
        deliver()
    deliver()
    for _ in range(10):
        assert path.write(b"small") == 5
        deliver()
    assert received == BIG + b"small" * 10
    assert updates == keys.generation == (62 + 10 - 1) // 3


def test_without_a_way_to_replace_the_key_nothing_more_is_sealed() -> None:
    path = send_path(record_limit=1)
    assert path.write(b"one") == 3
    with pytest.raises(CallerError, match="usage limit"):
        path.write(b"two")
    path.request_rekey()
    assert path._sealer.sequence == 1


def test_requested_rekeys_coalesce_while_output_waits() -> None:
    path = send_path()
    keys = path.rekey = Keys(1000)
    path.request_rekey()
    assert keys.generation == 1, "at once when nothing waits"
    for _ in range(100):
        path.request_rekey()
    assert keys.generation == 1
    size = path.output_size
    take(path)
    assert path.write(b"data") == 4
    assert keys.generation == 2, "before the next application record (RFC 9846 §4.7.3)"
    assert path.output_size < 2 * size + 100


def test_discard_drops_everything() -> None:
    path = send_path()
    path.write(BIG)
    path.seal_control(ContentType.ALERT, b"\1\0")
    path.discard()
    assert (path.output_size, path.has_output, bytes(path.output()), path.pending) == (0, False, b"", False)
    with pytest.raises(CallerError):
        path.write(b"x")


# ---- TLS 1.2 ------------------------------------------------------------------------------------------


def test_writes_of_tls_1_2_fit_the_window_too() -> None:
    path, peer = send_path12(), receive_path12()
    received = b""
    while (result := path.write(BIG)) == WANT_WRITE:
        assert WINDOW < path.output_size <= limits.SEND_WINDOW - limits.CONTROL_RESERVE
        received += open_all(peer, take(path))
    assert result == len(BIG)
    assert path.write(b"small") == 5
    assert received + open_all(peer, take(path)) == BIG + b"small"


@pytest.mark.parametrize("max_content", [64, 512, 4096])
def test_records_of_tls_1_2_are_as_long_as_was_agreed_on(max_content: int) -> None:
    # RFC 6066 §4, RFC 8449 §4: the limit is of plaintext, for every type of record.
    path, peer = send_path12(max_content=max_content), receive_path12()
    data = BIG[: 3 * max_content + 1]
    assert path.write(data) == len(data)
    path.seal_control(ContentType.HANDSHAKE, bytes(max_content + 1))
    records = split(take(path))
    sizes = [len(record) - 5 - 24 for record in records]
    assert sizes == [max_content] * 3 + [1] + [max_content, 1]
    assert open_all(peer, b"".join(records[: limits.WINDOW_RECORDS])) == data


def test_no_key_of_tls_1_2_is_replaced_on_the_way() -> None:
    # There is no KeyUpdate: at the usage limit writes end, and an alert still fits.
    path = send_path12(record_limit=2)
    assert path.write(b"one") == 3
    assert not path.exhausted
    assert path.write(b"two") == 3
    assert path.exhausted
    for data in (b"three", BIG):
        with pytest.raises(CallerError, match="usage limit"):
            path.write(data)
    assert path.seal_now(b"three") == b""
    path.seal_control(ContentType.ALERT, b"\x01\x00")
    assert len(split(take(path))) == 3


@pytest.mark.parametrize("data", [b"small", BIG], ids=["small", "large"])
def test_a_held_path_wants_read_and_goes_on_later(data: bytes) -> None:
    # SSL_write(3): a write may want READ, for a renegotiation; it is repeated with the same arguments.
    path, peer = send_path12(), receive_path12()
    path.hold()
    assert path.held
    for turn in range(3):
        assert path.write(data) == WANT_READ
        assert (path.committed, path.output_size, path.sealed_part) == (0, 0, 0)
        assert path.pending
        assert (path.read_wants, path.write_wants) == (turn + 1, 0)
    with pytest.raises(BadWriteRetry):
        path.write(b"other")
    path.go_on()
    assert not path.held
    received = b""
    while path.write(data) == WANT_WRITE:
        received += open_all(peer, take(path))
    assert received + open_all(peer, take(path)) == data
    assert path.committed == len(data)


def test_a_write_is_held_in_its_middle() -> None:
    path, peer = send_path12(), receive_path12()
    assert path.write(BIG) == WANT_WRITE
    committed = path.committed
    received = open_all(peer, take(path))
    path.hold()
    assert path.write(BIG) == WANT_READ
    assert (path.committed, path.sealed_part) == (committed, committed)
    # Handshake messages go out meanwhile, and the new key is for what comes behind it.
    path.seal_control(ContentType.HANDSHAKE, b"message")
    path.seal_control(ContentType.CHANGE_CIPHER_SPEC, b"\x01")
    path.set_protection(sealer12(seed=1))
    assert path.write(BIG) == WANT_READ, "a new key alone does not end it"
    peer.change_cipher_spec_expected = True
    peer.append(take(path))
    out = memoryview(bytearray(400_000))
    assert (peer.open_into(out), peer.fragment) == (CONTROL, b"message")
    assert (peer.open_into(out), peer.fragment) == (CONTROL, b"\x01")
    peer.set_protection(opener12(seed=1))
    path.go_on()
    while path.write(BIG) == WANT_WRITE:
        received += open_all(peer, take(path))
    assert received + open_all(peer, take(path)) == BIG


def test_partial_writes_are_held_too() -> None:
    path = send_path12(partial=True)
    path.hold()
    assert path.write(BIG) == WANT_READ
    path.go_on()
    assert path.write(BIG) == WINDOW


def test_a_held_path_seals_nothing_in_any_other_way() -> None:
    path = send_path12()
    path.hold()
    assert path.seal_now(b"small") == b""
    assert path.write(b"") == 0
    # What waits for the renegotiation may be withdrawn.
    assert path.write(BIG) == WANT_READ
    assert path.abandon() == 0
    assert not path.pending
    path.go_on()
    assert path.seal_now(b"small") != b""


def test_the_limit_of_the_key_counts_again_once_it_goes_on() -> None:
    path = send_path12(record_limit=1)
    path.hold()
    path.set_protection(sealer12(record_limit=1, seed=1))
    path.go_on()
    assert path.write(b"one") == 3
    with pytest.raises(CallerError, match="usage limit"):
        path.write(b"two")


def test_a_path_that_was_held_when_it_closed_refuses() -> None:
    path = send_path12()
    path.hold()
    assert path.write(b"data") == WANT_READ
    path.discard()
    with pytest.raises(CallerError, match="shutdown"):
        path.write(b"data")


@pytest.mark.parametrize("make", [send_path, send_path12])
def test_a_record_sealed_at_once_and_what_was_not_sent_of_it(make: Callable[..., SendPath]) -> None:
    path = make(record_limit=3)
    record = path.seal_now(b"hello")
    assert (path.committed, path.has_output) == (5, False)
    path.unsent(record[7:])
    assert take(path) == record[7:]
    # Where anything waits, or it is not one small record, `write` must see to it.
    path.unsent(record)
    assert path.seal_now(b"more") == b""
    take(path)
    for data in (b"", BIG):
        assert path.seal_now(data) == b""
    assert path.seal_now(b"two") != b"" and path.seal_now(b"three") != b""
    assert path.seal_now(b"four") == b"", "the usage limit of the key"
    path.closed = True
    assert path.seal_now(b"more") == b""


def test_a_large_record_sealed_at_once_is_padded() -> None:
    path, other = send_path(padding=lambda _: 300), receive_path()
    record = path.seal_now(BIG[:9000])
    assert len(record) == 9300 + limits.RECORD_OVERHEAD
    assert open_all(other, bytes(record)) == BIG[:9000]

"""Opening records where they lie: the same events as into a buffer, whatever comes and however it is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.records import receive_path, receive_path12, sealer, sealer12
from tlswrite import limits
from tlswrite.errors import BadRecordMAC, PeerError, RecordOverflow, TooMuchError, UnexpectedMessage
from tlswrite.iana import ContentType
from tlswrite.record.codes import CONTROL, WANT_READ
from tlswrite.record.receive import OUT_ROOM, ReceivePath
from tlswrite.record.window import whole_records

DATA = ContentType.APPLICATION_DATA
HANDSHAKE = ContentType.HANDSHAKE
ALERT = ContentType.ALERT
#: What happened, in order: plaintext, control records, and the class of the error that ended it.
Event = bytes | tuple[int, bytes] | type[PeerError]

both_versions = pytest.mark.parametrize("version", ["1.3", "1.2"])
MAKERS: dict[str, tuple[Callable[..., Any], Callable[..., ReceivePath]]] = {
    "1.3": (sealer, receive_path),
    "1.2": (sealer12, receive_path12),
}


def stream(version: str, records: list[tuple[int, bytes]], **options: Any) -> bytes:
    one = MAKERS[version][0](**options)
    return b"".join(one.seal(content_type, content) for content_type, content in records)


def pieces(wire: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(wire)) for cut in cuts} | {len(wire)})
    return [wire[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def events(path: ReceivePath, parts: list[bytes], *, in_place: bool, with_slots: bool = False) -> list[Event]:
    """All that comes of `parts`, each lent in a buffer that others spoil afterwards."""
    found: list[Event] = []
    buffer, out = memoryview(bytearray(200_000)), memoryview(bytearray(4 * OUT_ROOM))
    try:
        for part in parts:
            given = path.tail + part
            buffer[: len(given)] = given
            path.feed(buffer, len(given))
            slots = whole_records(buffer, 10) if with_slots else ()
            while True:
                data = path.open_run(slots) if in_place else b""
                if data:
                    found.append(data)
                    if not path.more:
                        break
                    continue
                count = path.open_into(out)
                if count > 0:
                    found.append(bytes(out[:count]))
                elif count == CONTROL:
                    found.append((path.content_type, path.fragment))
                else:
                    assert count == WANT_READ
                    break
            path.reclaim()
            buffer[:] = b"\xff" * len(buffer)
    except PeerError as exc:
        found.append(type(exc))
    return joined(found)


def joined(found: list[Event]) -> list[Event]:
    """Plaintext that follows on plaintext is one event: where it is cut is nobody's business."""
    result: list[Event] = []
    for event in found:
        if isinstance(event, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += event
        else:
            result.append(event)
    return result


def same(version: str, parts: list[bytes]) -> list[Event]:
    """The events of all ways, which are the same, and so is what the path counts."""
    make = MAKERS[version][1]
    other = make()
    found = events(other, parts, in_place=False)
    assert other._opener is not None
    for with_slots in (False, True):
        one = make()
        assert found == events(one, parts, in_place=True, with_slots=with_slots)
        assert (one.delivered, one.tail) == (other.delivered, other.tail)
        assert one._opener is not None
        assert one._opener.sequence == other._opener.sequence
    return found


RECORDS = st.lists(
    st.tuples(st.sampled_from([DATA, DATA, DATA, HANDSHAKE, ALERT]), st.integers(0, 20_000)), max_size=6
)


@both_versions
@settings(max_examples=60, deadline=None)
@given(records=RECORDS, cuts=st.lists(st.integers(0, 100_000), max_size=6))
def test_any_records_in_any_pieces(
    version: str, records: list[tuple[ContentType, int]], cuts: list[int]
) -> None:
    contents = [
        (kind, bytes([index + 1]) * (2 if kind == ALERT else min(size, 16384)))
        for index, (kind, size) in enumerate(records)
    ]
    found = same(version, pieces(stream(version, contents), cuts))
    if all(content for kind, content in contents if kind == HANDSHAKE):
        data = b"".join(event for event in found if isinstance(event, bytes))
        assert data == b"".join(content for kind, content in contents if kind == DATA)
        assert [event for event in found if isinstance(event, tuple)] == [
            (kind, content) for kind, content in contents if kind != DATA
        ]


@both_versions
def test_a_run_is_one_delivery(version: str) -> None:
    path = MAKERS[version][1]()
    wire = stream(version, [(DATA, b"a" * 16384), (DATA, b"b" * 16384), (DATA, b"c")])
    path.feed(memoryview(bytearray(wire)), len(wire))
    assert path.open_run() == b"a" * 16384 + b"b" * 16384 + b"c"
    assert not path.more
    assert path.open_run() == b""
    assert not path.more


@both_versions
@pytest.mark.parametrize("sizes", [(5, 7), (100, 3000, 50)])
def test_one_flipped_bit_anywhere(version: str, sizes: tuple[int, ...]) -> None:
    wire = stream(version, [(DATA, b"x" * size) for size in sizes])
    for at in range(0, len(wire), max(1, len(wire) // 150)):
        forged = bytearray(wire)
        forged[at] ^= 0x10
        found = same(version, [bytes(forged)])
        # A length that grew is waited for; everything else ends it, and nothing forged is delivered.
        data = b"".join(event for event in found if isinstance(event, bytes))
        assert b"x" * sum(sizes) != data
        assert data == b"x" * len(data)


@both_versions
@pytest.mark.parametrize("cut", range(1, 60))
def test_cut_anywhere(version: str, cut: int) -> None:
    wire = stream(version, [(DATA, b"one"), (HANDSHAKE, b"message"), (DATA, b"two")])
    assert same(version, [wire[:cut], wire[cut:]]) == [b"one", (HANDSHAKE, b"message"), b"two"]


WHOLE = 16384 + limits.RECORD_OVERHEAD


def test_whole_records_of_every_kind() -> None:
    """Inner plaintexts of the largest size: content alone, with padding, of another type, and padding alone."""
    kinds: list[tuple[int, bytes, int]] = [
        (DATA, b"a" * 16384, 0),
        (DATA, b"b" * 16000, 384),
        (DATA, b"", 16384),
        (DATA, b"c" * 16384, 0),
        (HANDSHAKE, b"d" * 16384, 0),
        (DATA, b"e" * 16383, 1),
        (ALERT, b"\1\0", 16382),
        (DATA, b"f" * 16384, 0),
    ]
    lengths = iter([padding for _, _, padding in kinds])
    one = sealer(padding=lambda _: next(lengths))
    wire = b"".join(one.seal(kind, content) for kind, content, _ in kinds)
    assert len(wire) == len(kinds) * WHOLE
    data = b"a" * 16384 + b"b" * 16000 + b"c" * 16384
    expected = [data, (HANDSHAKE, b"d" * 16384), b"e" * 16383, (ALERT, b"\1\0"), b"f" * 16384]
    assert same("1.3", [wire]) == expected
    for cut in (1, 5, WHOLE - 1, WHOLE, WHOLE + 4, 4 * WHOLE, 5 * WHOLE + 7):
        assert same("1.3", [wire[:cut], wire[cut:]]) == expected
    one = sealer()
    wire = one.seal(DATA, b"a" * 16384) + one.seal(0, bytes(16384)) + one.seal(DATA, b"b")
    assert same("1.3", [wire]) == [b"a" * 16384, UnexpectedMessage]


@both_versions
def test_a_forged_whole_record_among_others(version: str) -> None:
    wire = stream(version, [(DATA, bytes([97 + number]) * 16384) for number in range(4)])
    size = len(wire) // 4
    for at in (0, 1, 3, 4, 5, 20, size - 17, size - 1):
        for number in range(4):
            forged = bytearray(wire)
            forged[number * size + at] ^= 1
            found = same(version, [bytes(forged)])
            if number:
                assert found[0] == wanted(number)
            assert (wanted(4) not in found) and all(type(event) is not tuple for event in found)


def wanted(count: int) -> bytes:
    return b"".join(bytes([97 + number]) * 16384 for number in range(count))


def test_padding() -> None:
    # RFC 9846 §5.4.
    wire = stream(
        "1.3", [(DATA, b"one"), (DATA, b""), (ALERT, b"\x01\x00"), (DATA, b"two")], padding=lambda _: 40
    )
    assert same("1.3", [wire]) == [b"one", (ALERT, b"\x01\x00"), b"two"]


def test_nothing_but_padding_is_refused() -> None:
    one = sealer()
    wire = one.seal(DATA, b"intact") + one.seal(0, bytes(30))
    found = same("1.3", [wire])
    assert found[0] == b"intact"
    assert isinstance(found[1], type)


@both_versions
def test_a_flood_without_content_is_refused(version: str) -> None:
    wire = stream(version, [(DATA, b"")] * (limits.MAX_EMPTY_RECORDS + 1))
    assert same(version, [wire]) == [TooMuchError]


@both_versions
@pytest.mark.parametrize("size", range(26))
def test_a_fragment_too_short_for_its_tag(version: str, size: int) -> None:
    wire = b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size)
    assert same(version, [wire]) == [BadRecordMAC]


@both_versions
def test_what_is_over_the_agreed_limit_is_refused(version: str) -> None:
    for content in (b"x" * 1000, b"x" * 1001):
        found = []
        for in_place in (True, False):
            path = MAKERS[version][1](**({"max_inner": 1001} if version == "1.3" else {"max_content": 1000}))
            found.append(events(path, [stream(version, [(DATA, content)])], in_place=in_place))
        assert found[0] == found[1]
        assert (found[0] == [content]) is (len(content) == 1000)


def test_whole_records_over_the_agreed_limit_are_refused() -> None:
    # RFC 8449 §4.
    wire = stream("1.3", [(DATA, bytes(16384))] * 3)
    for most in (16385, 16384):
        found = events(receive_path(max_inner=most), [wire], in_place=True, with_slots=True)
        assert found == ([bytes(3 * 16384)] if most == 16385 else [RecordOverflow])


def test_nothing_is_opened_where_application_data_may_not_come() -> None:
    wire = bytearray(stream("1.3", [(DATA, b"early")]))
    for spoil in ("application_data_allowed", "early_data_room", "_opener"):
        path = receive_path()
        setattr(
            path, spoil, {"application_data_allowed": False, "early_data_room": 100, "_opener": None}[spoil]
        )
        path.feed(memoryview(wire), len(wire))
        before = bytes(wire)
        assert path.open_run() == b""
        assert path.more
        assert bytes(wire) == before

"""The receive path: records in any pieces, control records in their place, floods refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.records import open_all, receive_path, sealer
from tlswrite import limits
from tlswrite.errors import (
    BadRecordMAC,
    DecodeError,
    PeerError,
    RecordOverflow,
    TooMuchError,
    UnexpectedMessage,
)
from tlswrite.iana import ContentType
from tlswrite.record.codes import CONTROL, WANT_READ
from tlswrite.record.receive import OUT_ROOM, ReceivePath

DATA = ContentType.APPLICATION_DATA
OUT = memoryview(bytearray(8 * OUT_ROOM))


def stream(*records: tuple[int, bytes]) -> bytes:
    one = sealer()
    return b"".join(one.seal(content_type, content) for content_type, content in records)


def test_consecutive_records_are_opened_back_to_back() -> None:
    path = receive_path()
    path.append(stream((DATA, b"one "), (DATA, b"two "), (DATA, b"three")))
    assert path.open_into(OUT) == 13
    assert bytes(OUT[:13]) == b"one two three"
    assert path.open_into(OUT) == WANT_READ
    assert (path.delivered, path.unread) == (13, 0)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 16384), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 20000), min_size=1),
)
def test_any_fragmentation_gives_the_same_bytes(sizes: list[int], cuts: list[int]) -> None:
    contents = [bytes([index + 1]) * size for index, size in enumerate(sizes)]
    wire = stream(*((DATA, content) for content in contents))
    appended, lent = receive_path(), receive_path()
    shared = memoryview(bytearray(100_000))
    first = second = b""
    turn = 0
    while wire:
        piece, wire = wire[: cuts[turn % len(cuts)]], wire[cuts[turn % len(cuts)] :]
        turn += 1
        first += open_all(appended, piece)
        kept = lent.tail
        shared[: len(kept)] = kept
        shared[len(kept) : len(kept) + len(piece)] = piece
        lent.feed(shared, len(kept) + len(piece))
        while (count := lent.open_into(OUT)) > 0:
            second += bytes(OUT[:count])
        lent.reclaim()
        shared[:] = bytes(len(shared))
    assert first == second == b"".join(contents)
    assert (lent.tail, lent.unread, appended.unread) == (b"", 0, 0)


def test_one_byte_at_a_time() -> None:
    path = receive_path()
    wire = stream((DATA, b"a" * 300), (DATA, b"b"))
    assert b"".join(open_all(path, wire[at : at + 1]) for at in range(len(wire))) == b"a" * 300 + b"b"


def test_control_stops_delivery_and_comes_behind_it() -> None:
    path = receive_path()
    path.append(stream((DATA, b"before"), (ContentType.HANDSHAKE, b"message"), (DATA, b"after")))
    assert path.open_into(OUT) == 6
    assert path.open_into(OUT) == CONTROL
    assert (path.content_type, path.fragment) == (ContentType.HANDSHAKE, b"message")
    assert (path.take_fragment(), path.fragment) == (b"message", b"")
    assert path.open_into(OUT) == 5
    assert path.open_into(OUT) == WANT_READ


def test_small_output_takes_records_in_turn() -> None:
    path = receive_path()
    path.append(stream((DATA, b"x" * 16384), (DATA, b"y" * 16384)))
    out = OUT[:OUT_ROOM]
    assert path.open_into(out) == 16384
    assert path.open_into(out) == 16384
    assert bytes(out[:1]) == b"y"


def test_application_data_in_a_handshake_is_refused() -> None:
    path = receive_path()
    path.application_data_allowed = False
    path.append(stream((DATA, b"early")))
    with pytest.raises(UnexpectedMessage, match="middle of a handshake"):
        path.open_into(OUT)


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"\x17\x03\x03\x00\x20" + bytes(32), BadRecordMAC),
        (b"\x17\x03\x03\x41\x01", RecordOverflow),
        (b"\x16\x03\x03\x41\x01", RecordOverflow),
        (b"\x16\x03\x03\x00\x01\x00", UnexpectedMessage),
        (b"\x15\x03\x03\x00\x02\x02\x28", UnexpectedMessage),
        (b"\x14\x03\x03\x00\x01\x01", UnexpectedMessage),
        (b"GET / HTTP/1.1\r\n", UnexpectedMessage),
        (b"GET\x00\x01x", UnexpectedMessage),
        (b"\x00\x03\x03\x00\x01x", UnexpectedMessage),
        (b"\x18\x03\x03\x00\x01x", UnexpectedMessage),
    ],
)
def test_what_is_not_a_protected_record(wire: bytes, error: type[PeerError]) -> None:
    path = receive_path()
    path.append(wire)
    with pytest.raises(error) as caught:
        path.open_into(OUT)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("content_type", "content", "error"),
    [
        (ContentType.HANDSHAKE, b"", UnexpectedMessage),
        (ContentType.ALERT, b"", UnexpectedMessage),
        (ContentType.ALERT, b"\x01", DecodeError),
        (ContentType.ALERT, b"\x01\x00\x01\x00", DecodeError),
        (ContentType.CHANGE_CIPHER_SPEC, b"\x01", UnexpectedMessage),
        (24, b"heartbeat", UnexpectedMessage),
    ],
)
def test_control_records_that_are_illegal(content_type: int, content: bytes, error: type[PeerError]) -> None:
    # RFC 9846 §5, §5.1, §5.4
    path = receive_path()
    path.append(stream((content_type, content)))
    with pytest.raises(error):
        path.open_into(OUT)


def test_change_cipher_spec_is_dropped_where_it_is_allowed() -> None:
    path = receive_path()
    path.compatibility_ccs_allowed = True
    path.append(b"\x14\x03\x03\x00\x01\x01" + stream((DATA, b"data")))
    assert path.open_into(OUT) == 4
    # RFC 9846 §5: any other value is refused.
    path.append(b"\x14\x03\x03\x00\x01\x02")
    with pytest.raises(UnexpectedMessage):
        path.open_into(OUT)


def test_an_alert_in_the_clear_counts_only_before_the_first_protected_record() -> None:
    alert = b"\x15\x03\x03\x00\x02\x02\x28"
    path = receive_path()
    path.plaintext_alert_allowed = True
    path.append(alert)
    assert path.open_into(OUT) == CONTROL
    assert (path.content_type, path.fragment) == (ContentType.ALERT, b"\x02\x28")
    path = receive_path()
    path.plaintext_alert_allowed = True
    path.append(stream((DATA, b"one")) + alert)
    with pytest.raises(UnexpectedMessage):
        path.open_into(OUT)
        path.open_into(OUT)


def test_unprotected_handshake() -> None:
    path = ReceivePath()
    path.append(b"\x16\x03\x01\x00\x03abc\x15\x03\x03\x00\x02\x01\x00")
    assert path.open_into(OUT) == CONTROL
    assert path.fragment == b"abc"
    assert path.open_into(OUT) == CONTROL
    assert path.content_type == ContentType.ALERT
    path.append(b"\x17\x03\x03\x00\x01x")
    with pytest.raises(UnexpectedMessage):
        path.open_into(OUT)


@pytest.mark.parametrize("record", ["empty", "change_cipher_spec"])
def test_a_flood_without_progress_is_refused(record: str) -> None:
    path = receive_path()
    path.compatibility_ccs_allowed = True
    one = sealer()
    for turn in range(3 * limits.MAX_EMPTY_RECORDS):
        # Data in between is progress, and the count begins again.
        path.append(b"\x14\x03\x03\x00\x01\x01" if record == "change_cipher_spec" else one.seal(DATA, b""))
        if turn % 8 == 0:
            path.append(one.seal(DATA, b"x"))
        path.open_into(OUT)
    with pytest.raises(TooMuchError):
        for _ in range(limits.MAX_EMPTY_RECORDS + 1):
            path.append(
                b"\x14\x03\x03\x00\x01\x01" if record == "change_cipher_spec" else one.seal(DATA, b"")
            )
            path.open_into(OUT)


def test_discard_forgets_all_input() -> None:
    path = receive_path()
    path.append(stream((DATA, b"data")))
    path.discard()
    assert (path.unread, path.open_into(OUT)) == (0, WANT_READ)


def test_more_tells_why_it_stopped() -> None:
    path = receive_path()
    wire = stream((DATA, b"x" * 16384), (DATA, b"y" * 300), (ContentType.HANDSHAKE, b"message"))
    path.append(wire[:-1])
    assert (path.open_into(OUT[:OUT_ROOM]), path.more) == (16384, True)
    assert (path.open_into(OUT), path.more) == (300, False)
    path.append(wire[-1:] + b"\x17\x03\x03\x00\x13" + bytes(19))
    assert (path.open_into(OUT), path.more) == (CONTROL, False)
    path = receive_path()
    path.append(wire)
    assert (path.open_into(OUT), path.more) == (16684, True)


def test_what_came_before_a_fault_is_delivered() -> None:
    path = receive_path()
    path.append(stream((DATA, b"intact")) + b"\x17\x03\x03\x00\x13" + bytes(19))
    assert (path.open_into(OUT), path.more) == (6, True)
    assert bytes(OUT[:6]) == b"intact"
    with pytest.raises(BadRecordMAC):
        path.open_into(OUT)


def test_a_fault_does_not_deliver_what_an_earlier_call_left_in_the_buffer() -> None:
    path = receive_path()
    path.append(stream((DATA, b"one"), (DATA, b"two")))
    assert path.open_into(OUT) == 6
    # The buffer is shared: by now it holds what another connection read.
    path.append(b"\x16\x03\x03\x00\x01\x00")
    with pytest.raises(UnexpectedMessage):
        path.open_into(OUT)
    assert path.delivered == 6


def single(path: ReceivePath, buffer: memoryview, end: int) -> bytes:
    """`open_single` of `buffer[:end]`."""
    return path.open_single(buffer[:5], buffer[5:end])


def test_open_single_opens_just_one_application_record() -> None:
    one = sealer()
    path = receive_path()
    lent = memoryview(bytearray(40_000))

    def lend(wire: bytes) -> int:
        lent[: len(wire)] = wire
        return len(wire)

    path.tail = b"the beginning of it"
    assert single(path, lent, lend(one.seal(DATA, b"hello"))) == b"hello"
    assert (path.tail, path.delivered) == (b"", 5)
    assert single(path, lent, lend(one.seal(DATA, b"x" * 16384))) == b"x" * 16384
    # Whatever is not just that is left as it was, for `feed`.
    for wire in (
        b"\x17\x03",
        one.seal(DATA, b""),
        one.seal(ContentType.HANDSHAKE, b"message"),
        one.seal(DATA, b"one") + one.seal(DATA, b"two"),
        one.seal(DATA, b"cut")[:-1],
    ):
        sequence = path._opener.sequence if path._opener is not None else 0
        assert single(path, lent, lend(wire)) == b""
        path.feed(lent, len(wire))
        opened = path.open_into(OUT)
        assert opened in (WANT_READ, CONTROL, 6)
        path.reclaim()
        assert path._opener is not None
        assert path._opener.sequence >= sequence
        path.tail = b""


def test_open_single_refuses_what_is_not_to_be_delivered() -> None:
    path, one = receive_path(), sealer()
    path.append(one.seal(DATA, b"data") + one.seal(ContentType.HANDSHAKE, b"message"))
    wire = memoryview(one.seal(DATA, b"data"))
    path.application_data_allowed = False
    assert single(path, wire, len(wire)) == b""
    path.application_data_allowed = True
    assert path.open_into(OUT) == 4
    assert single(path, wire, len(wire)) == b"", "a control record comes first"
    assert path.open_into(OUT) == CONTROL
    assert single(ReceivePath(), wire, len(wire)) == b""
    forged = memoryview(bytes(wire[:-1]) + b"\0")
    assert single(path, forged, len(forged)) == b""
    assert single(path, wire, len(wire)) == b"data"

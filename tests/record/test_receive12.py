"""The receive path under keys of TLS 1.2, whose records show their type, and at its change_cipher_spec."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.records import open_all, opener12, receive_path, receive_path12, sealer, sealer12
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
CCS = ContentType.CHANGE_CIPHER_SPEC
OUT = memoryview(bytearray(8 * OUT_ROOM))
CCS_RECORD = b"\x14\x03\x03\x00\x01\x01"


def stream12(*records: tuple[int, bytes], seed: int = 0) -> bytes:
    one = sealer12(seed=seed)
    return b"".join(one.seal(content_type, content) for content_type, content in records)


def test_tls_1_2_protects_every_type() -> None:
    # RFC 5246 §6.2.3: the outer type is the real one, and all of them are protected.
    path = receive_path12()
    path.append(
        stream12((DATA, b"one "), (DATA, b"two"), (ContentType.ALERT, b"\x01\x00"), (DATA, b"three"))
        + b"\x16\x03\x03\x00\x04\x00\x00\x00\x00"
    )
    assert path.open_into(OUT) == 7
    assert bytes(OUT[:7]) == b"one two"
    assert path.open_into(OUT) == CONTROL
    assert (path.content_type, path.fragment) == (ContentType.ALERT, b"\x01\x00")
    assert path.open_into(OUT) == 5
    with pytest.raises(BadRecordMAC):
        path.open_into(OUT)


@pytest.mark.parametrize("cut", range(1, 37))
def test_a_typed_record_of_tls_1_2_is_waited_for(cut: int) -> None:
    wire = stream12((ContentType.HANDSHAKE, b"message"))
    assert len(wire) == 36
    path = receive_path12()
    path.append(wire[:cut])
    if cut < len(wire):
        assert path.open_into(OUT) == WANT_READ
        path.append(wire[cut:])
    assert path.open_into(OUT) == CONTROL
    assert (path.content_type, path.fragment) == (ContentType.HANDSHAKE, b"message")


@pytest.mark.parametrize(
    ("content_type", "content", "error"),
    [
        # RFC 5246 §6.2.1: no zero-length fragments of these types.
        (ContentType.HANDSHAKE, b"", UnexpectedMessage),
        (ContentType.ALERT, b"", UnexpectedMessage),
        (ContentType.ALERT, b"\x01", DecodeError),
        (ContentType.ALERT, b"\x01\x00\x01\x00", DecodeError),
        # RFC 5246 §7.1: change_cipher_spec is expected behind a key exchange alone.
        (CCS, b"\x01", UnexpectedMessage),
        (CCS, b"", UnexpectedMessage),
    ],
)
def test_control_records_of_tls_1_2_that_are_illegal(
    content_type: int, content: bytes, error: type[PeerError]
) -> None:
    for allowed in (False, True):
        path = receive_path12()
        path.compatibility_ccs_allowed = allowed
        path.append(stream12((content_type, content)))
        with pytest.raises(error) as caught:
            path.open_into(OUT)
        assert type(caught.value) is error


def test_a_type_unknown_to_tls_1_2_is_unexpected() -> None:
    path = receive_path12()
    path.append(stream12((24, b"heartbeat")))
    with pytest.raises(UnexpectedMessage, match="is this TLS"):
        path.open_into(OUT)


@pytest.mark.parametrize("content_type", [DATA, ContentType.HANDSHAKE, ContentType.ALERT, CCS])
def test_a_record_too_long_for_tls_1_2_is_refused_by_its_header(content_type: int) -> None:
    # RFC 5246 §6.2.3, §7.2.2: "record_overflow"; nothing of it is waited for.
    longest = limits.MAX_PLAINTEXT + 24
    path = receive_path12()
    path.append(bytes((content_type, 3, 3)) + longest.to_bytes(2, "big"))
    assert path.open_into(OUT) == WANT_READ
    path = receive_path12()
    path.append(bytes((content_type, 3, 3)) + (longest + 1).to_bytes(2, "big"))
    with pytest.raises(RecordOverflow):
        path.open_into(OUT)


def single(path: ReceivePath, wire: bytes) -> bytes:
    """`open_single` of all that there is."""
    return path.open_single(memoryview(wire)[:5], memoryview(wire)[5:])


def test_application_data_of_tls_1_2_in_a_handshake_is_refused() -> None:
    path = receive_path12()
    path.application_data_allowed = False
    path.append(stream12((DATA, b"early")))
    assert single(path, stream12((DATA, b"early"))) == b""
    with pytest.raises(UnexpectedMessage, match="middle of a handshake"):
        path.open_into(OUT)


def test_change_cipher_spec_is_a_control_record_where_it_is_expected() -> None:
    # RFC 5246 §7.1: what follows it is under the new keys.
    path = ReceivePath()
    path.change_cipher_spec_expected = True
    path.append(CCS_RECORD + stream12((ContentType.HANDSHAKE, b"finished")))
    assert path.open_into(OUT) == CONTROL
    assert (path.content_type, path.fragment) == (CCS, b"\x01")
    path.change_cipher_spec_expected = False
    path.set_protection(opener12())
    assert path.open_into(OUT) == CONTROL
    assert (path.content_type, path.fragment) == (ContentType.HANDSHAKE, b"finished")


def test_change_cipher_spec_of_a_renegotiation_is_protected() -> None:
    # RFC 5246 §7.1: encrypted and compressed under the current connection state.
    path = receive_path12()
    path.change_cipher_spec_expected = True
    path.append(stream12((DATA, b"data"), (CCS, b"\x01")) + stream12((DATA, b"more"), seed=1))
    assert path.open_into(OUT) == 4
    assert path.open_into(OUT) == CONTROL
    assert (path.content_type, path.fragment) == (CCS, b"\x01")
    path.change_cipher_spec_expected = False
    path.set_protection(opener12(seed=1))
    assert path.open_into(OUT) == 4
    assert bytes(OUT[:4]) == b"more"
    # In the clear it is a record that does not authenticate.
    path = receive_path12()
    path.change_cipher_spec_expected = True
    path.append(CCS_RECORD)
    with pytest.raises(BadRecordMAC):
        path.open_into(OUT)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x02", b"\x01\x01"])
@pytest.mark.parametrize("protected", [False, True])
def test_change_cipher_spec_is_one_byte_of_one_value(content: bytes, protected: bool) -> None:
    # RFC 5246 §7.1: enum { change_cipher_spec(1), (255) } type.
    path = receive_path12() if protected else ReceivePath()
    path.change_cipher_spec_expected = True
    path.append(
        stream12((CCS, content)) if protected else CCS_RECORD[:3] + bytes((0, len(content))) + content
    )
    with pytest.raises(UnexpectedMessage, match="change_cipher_spec"):
        path.open_into(OUT)


def test_before_the_version_is_known_change_cipher_spec_is_dropped_or_refused() -> None:
    path = ReceivePath()
    path.append(CCS_RECORD)
    with pytest.raises(UnexpectedMessage):
        path.open_into(OUT)
    path = ReceivePath()
    path.compatibility_ccs_allowed = True
    path.append(CCS_RECORD + b"\x16\x03\x03\x00\x03abc")
    assert path.open_into(OUT) == CONTROL
    assert path.fragment == b"abc"


def test_the_outside_of_a_record_of_tls_1_2_tells_whether_it_is_data() -> None:
    path = receive_path12()
    assert not path.typed_waits, "nothing is there"
    wire = stream12((DATA, b"data"), (ContentType.HANDSHAKE, b"message"))
    path.append(wire[:40])
    assert not path.typed_waits, "application data comes first"
    assert path.open_into(OUT) == 4
    assert path.typed_waits, "its first byte is enough"
    path.append(wire[40:])
    assert path.typed_waits
    assert path.open_into(OUT) == CONTROL
    assert not path.typed_waits
    path.append(stream12((DATA, b"data"))[:1])
    assert not path.typed_waits


def test_a_control_record_behind_data_waits_in_the_path() -> None:
    path = receive_path12()
    path.append(stream12((DATA, b"data"), (ContentType.HANDSHAKE, b"message")))
    assert path.open_into(OUT) == 4
    assert path.typed_waits
    assert path.open_into(OUT) == CONTROL


def test_no_other_version_tells_from_outside() -> None:
    for path in (receive_path(), ReceivePath()):
        path.append(sealer().seal(ContentType.HANDSHAKE, b"message"))
        assert not path.typed_waits
    path = ReceivePath()
    path.append(b"\x16\x03\x03\x00\x03abc")
    assert not path.typed_waits


def test_open_single_of_tls_1_2() -> None:
    one = sealer12()
    path = receive_path12()
    path.tail = b"the beginning of it"
    wire = one.seal(DATA, b"hello")
    assert single(path, wire) == b"hello"
    assert (path.tail, path.delivered) == (b"", 5)
    # Whatever is not just that is left as it was, for `feed`.
    for record in (
        one.seal(DATA, b"")[:5],
        stream12((ContentType.HANDSHAKE, b"message")),
        b"\x17\x03\x03\x00\x08" + bytes(8),
        b"\x17\x03\x03\x00\x00",
        b"\x17\x03\x03\x00\x20" + bytes(32),
    ):
        assert single(path, record) == b""
    limited = receive_path12(max_content=64)
    record = stream12((DATA, bytes(65)))
    assert single(limited, record) == b""
    limited.append(record)
    with pytest.raises(RecordOverflow):
        limited.open_into(OUT)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 16384), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 20000), min_size=1),
)
def test_any_fragmentation_of_tls_1_2_gives_the_same_bytes(sizes: list[int], cuts: list[int]) -> None:
    contents = [bytes([index + 1]) * size for index, size in enumerate(sizes)]
    wire = stream12(*((DATA, content) for content in contents))
    path = receive_path12()
    opened = b""
    turn = 0
    while wire:
        opened += open_all(path, wire[: cuts[turn % len(cuts)]])
        wire = wire[cuts[turn % len(cuts)] :]
        turn += 1
    assert opened == b"".join(contents)
    assert path.unread == 0


def test_empty_records_of_tls_1_2_are_counted() -> None:
    # RFC 5246 §6.2.1: legal, and a way to cause work.
    path = receive_path12()
    one = sealer12()
    path.append(b"".join(one.seal(DATA, b"") for _ in range(limits.MAX_EMPTY_RECORDS)))
    assert open_all(path, one.seal(DATA, b"x")) == b"x"
    path.append(b"".join(one.seal(DATA, b"") for _ in range(limits.MAX_EMPTY_RECORDS + 1)))
    with pytest.raises(TooMuchError):
        path.open_into(OUT)

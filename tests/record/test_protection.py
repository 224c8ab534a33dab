"""Protection of one direction, under every suite."""

from __future__ import annotations

import pytest

from tests.support.records import IV, key_for, opener, sealer
from tlswrite import limits
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.errors import BadRecordMAC, IllegalParameter, InternalError, RecordOverflow, UnexpectedMessage
from tlswrite.iana import ContentType
from tlswrite.record.protection import NullOpener, NullSealer, TLS13Opener, check_record_size_limit

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)


def open_one(record: bytes, with_: TLS13Opener | NullOpener) -> tuple[int, bytes]:
    out = memoryview(bytearray(limits.MAX_CIPHERTEXT))
    end = with_.open_into(memoryview(record), 0, len(record), out, 3)
    return with_.content_type, bytes(out[3:end])


@suites
@pytest.mark.parametrize("size", [0, 1, 64, 16384])
def test_seal_and_open(suite: Suite, size: int) -> None:
    content = bytes(at % 251 for at in range(size))
    record = sealer(suite).seal(ContentType.APPLICATION_DATA, content)
    # RFC 9846 §5.2: opaque type, legacy version, length of content, type and tag.
    assert record[:5] == b"\x17\x03\x03" + (size + 17).to_bytes(2, "big")
    assert open_one(record, opener(suite)) == (ContentType.APPLICATION_DATA, content)


@suites
def test_both_ways_of_sealing_agree(suite: Suite) -> None:
    content = b"the same bytes" * 100
    window = memoryview(bytearray(limits.SEND_WINDOW))
    end = sealer(suite).seal_into(ContentType.HANDSHAKE, memoryview(content), window, 7)
    assert bytes(window[7:end]) == sealer(suite).seal(ContentType.HANDSHAKE, content)
    assert sealer(suite).seal(ContentType.HANDSHAKE, memoryview(content)) == bytes(window[7:end])


def test_each_record_has_its_own_nonce() -> None:
    # RFC 9846 §5.3: sequence numbers count up, and so equal contents differ on the wire.
    one = sealer()
    records = [one.seal(ContentType.APPLICATION_DATA, b"same") for _ in range(3)]
    assert len(set(records)) == 3
    assert one.sequence == 3
    other = opener()
    assert [open_one(record, other)[1] for record in records] == [b"same"] * 3
    with pytest.raises(BadRecordMAC):
        open_one(records[0], opener_at(1))


def opener_at(sequence: int) -> TLS13Opener:
    made = opener()
    made.sequence = sequence
    return made


@suites
def test_a_flip_of_any_byte_is_bad_record_mac(suite: Suite) -> None:
    record = bytearray(sealer(suite).seal(ContentType.APPLICATION_DATA, b"content"))
    # The header is additional data (RFC 9846 §5.2), so its flips are found as well.
    for at in range(len(record)):
        record[at] ^= 1
        with pytest.raises(BadRecordMAC):
            open_one(bytes(record), opener(suite))
        record[at] ^= 1
    assert open_one(bytes(record), opener(suite))[1] == b"content"


@pytest.mark.parametrize("size", range(18))
def test_a_fragment_too_short_is_bad_record_mac(size: int) -> None:
    with pytest.raises(BadRecordMAC):
        open_one(b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size), opener())


@pytest.mark.parametrize("policy", [0, 1, 100, 10**6])
def test_padding_stays_within_the_record(policy: int) -> None:
    padded = sealer(padding=lambda length: policy)
    for content in (b"", b"x", b"x\0\0", bytes(16384)):
        record = padded.seal(ContentType.APPLICATION_DATA, content)
        # RFC 9846 §5.4: the whole inner plaintext stays within 2^14 + 1 bytes.
        assert len(record) == 5 + 17 + min(len(content) + policy, 16384)
        assert open_one(record, opener_at(padded.sequence - 1)) == (ContentType.APPLICATION_DATA, content)
    window = memoryview(bytearray(limits.SEND_WINDOW))
    end = padded.seal_into(ContentType.APPLICATION_DATA, memoryview(b"staged"), window, 0)
    assert open_one(bytes(window[:end]), opener_at(padded.sequence - 1))[1] == b"staged"


def test_nothing_but_padding_is_unexpected_message() -> None:
    # RFC 9846 §5.4
    for inner in (b"", b"\0", bytes(100)):
        with pytest.raises(UnexpectedMessage, match="padding"):
            open_one(raw_record(inner), opener())


def test_inner_plaintext_over_the_limit_is_record_overflow() -> None:
    # RFC 9846 §5.4: 2^14 + 1 bytes of inner plaintext, padding included.
    assert open_one(raw_record(b"x" * 16384 + b"\x17"), opener())[1] == b"x" * 16384
    with pytest.raises(RecordOverflow):
        open_one(raw_record(b"x" * 16384 + b"\x17\0"), opener())
    # RFC 8449 §4: a negotiated limit counts the same way.
    assert open_one(raw_record(b"x" * 63 + b"\x17"), opener(max_inner=64))[1] == b"x" * 63
    with pytest.raises(RecordOverflow):
        open_one(raw_record(b"x" * 63 + b"\x17\0"), opener(max_inner=64))


def raw_record(inner: bytes) -> bytes:
    """A record around any inner plaintext, legal or not."""
    from tlswrite.crypto.aead import new_aead

    suite = SUITES[0x1301]
    header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
    return header + new_aead(suite, key_for(suite)).encrypt(IV, inner, header)


def test_null_protection() -> None:
    record = NullSealer(0x0301).seal(ContentType.HANDSHAKE, b"hello")
    assert record == b"\x16\x03\x01\x00\x05hello"
    assert open_one(record, NullOpener()) == (ContentType.HANDSHAKE, b"hello")
    with pytest.raises(UnexpectedMessage):
        open_one(b"\x17\x03\x03\x00\x01x", NullOpener())
    with pytest.raises(InternalError):
        NullSealer().seal_into(ContentType.APPLICATION_DATA, memoryview(b"x"), memoryview(bytearray(9)), 0)


def test_record_limit_comes_from_the_suite_or_the_caller() -> None:
    for suite in SUITES.values():
        assert sealer(suite).record_limit == suite.record_limit
    assert sealer(record_limit=5).record_limit == 5


def test_check_record_size_limit() -> None:
    # RFC 8449 §4: below 64 is illegal_parameter; above the protocol's maximum is no error.
    assert check_record_size_limit(64) == 64
    assert check_record_size_limit(65535) == 16385
    with pytest.raises(IllegalParameter):
        check_record_size_limit(63)

"""Protection of one direction, under every suite."""

from __future__ import annotations

import pytest

from tests.support.records import IV, key_for, opener, sealer
from tlswrite import limits
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.errors import BadRecordMAC, IllegalParameter, InternalError, RecordOverflow, UnexpectedMessage
from tlswrite.iana import ContentType
from tlswrite.record.protection import NullSealer, TLS13Opener, check_record_size_limit
from tlswrite.record.window import Window

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)


def open_one(record: bytes, with_: TLS13Opener) -> tuple[int, bytes]:
    out = memoryview(bytearray(3 + limits.MAX_CIPHERTEXT))
    start, end = with_.open_run(memoryview(record), 0, len(record), out, 3)
    assert (start, with_.mark) == (len(record), 3)
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
    window = Window()
    end = sealer(suite).seal_run(memoryview(b"..." + content), 3, window, 7, 1)
    assert bytes(window.view[7:end]) == sealer(suite).seal(ContentType.APPLICATION_DATA, content)
    assert sealer(suite).seal(ContentType.APPLICATION_DATA, memoryview(content)) == bytes(window.view[7:end])


@suites
def test_a_run_is_whole_blocks_and_the_rest(suite: Suite) -> None:
    content = bytes(at % 249 for at in range(16384 * 2 + 5))
    window = Window()
    one, other = sealer(suite), sealer(suite)
    end = one.seal_run(memoryview(content), 0, window, 0, 2)
    assert end == 2 * (16384 + limits.RECORD_OVERHEAD)
    end = one.seal_run(memoryview(content), 32768, window, end, 9)
    expected = b"".join(
        other.seal(ContentType.APPLICATION_DATA, content[at : at + 16384]) for at in (0, 16384, 32768)
    )
    assert bytes(window.view[:end]) == expected
    assert one.sequence == 3


@suites
def test_single_records_and_runs_have_the_same_nonces(suite: Suite) -> None:
    """Whatever numbers follow one another: the nonce is of the number alone (RFC 9846 §5.3)."""
    one, other, run = sealer(suite), opener(suite), opener(suite)
    numbers = (
        0,
        1,
        254,
        255,
        256,
        257,
        511,
        512,
        0,
        255,
        65535,
        65536,
        2**24 - 1,
        2**24,
        2**40 + 255,
        2**40 + 256,
    )
    seen = set()
    for number in numbers:
        one.sequence = other.sequence = run.sequence = number
        record = one.seal(ContentType.APPLICATION_DATA, b"content")
        assert open_one(record, run) == (ContentType.APPLICATION_DATA, b"content")
        assert other.open_single(memoryview(record)[:5], memoryview(record)[5:]) == b"content"
        assert one.sequence == other.sequence == run.sequence == number + 1
        seen.add(record)
    assert len(seen) == len(set(numbers))


@pytest.mark.parametrize("small", [(), (100,), (0, 16384, 7)])
def test_a_run_begins_anywhere_in_a_window(small: tuple[int, ...]) -> None:
    """Where a window has views of whole records, and where it has none."""
    content = bytes(at % 247 for at in range(16384 * 4 + 5))
    window = Window()
    one, other = sealer(), sealer()
    end = 0
    for size in small:
        end = one.seal_run(memoryview(bytes(size)), 0, window, end, 1)
    end = one.seal_run(memoryview(b"..." + content), 3, window, end, 3)
    end = one.seal_run(memoryview(content), 3 * 16384, window, end, 9)
    expected = [bytes(size) for size in small if size]
    expected += [content[at : at + 16384] for at in range(0, len(content), 16384)]
    assert bytes(window.view[:end]) == b"".join(other.seal(23, part) for part in expected)
    assert one.sequence == other.sequence


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
    # The header is additional data (RFC 9846 §5.2), so flips of the version are found as well.
    for at in (1, 2, *range(5, len(record))):
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
    window = Window()
    end = padded.seal_run(memoryview(b"staged"), 0, window, 0, 1)
    assert open_one(bytes(window.view[:end]), opener_at(padded.sequence - 1))[1] == b"staged"


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
    with pytest.raises(InternalError):
        NullSealer().seal_run(memoryview(b"x"), 0, Window(), 0, 1)


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

"""Limits: what must hold between them, and against the RFC, whatever their values."""

from __future__ import annotations

from tlswrite import limits


def test_record_sizes_are_the_rfcs() -> None:
    # RFC 9846 §5.1 and §5.2.
    assert limits.MAX_PLAINTEXT == 2**14
    assert limits.MAX_CIPHERTEXT == 2**14 + 256
    assert limits.RECORD_HEADER == 5
    # A full record with its inner content type and tag is not larger than the RFC allows.
    assert limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD - limits.RECORD_HEADER <= limits.MAX_CIPHERTEXT


def test_window_holds_whole_records() -> None:
    record = limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD
    assert limits.WINDOW_RECORDS * record < limits.SEND_WINDOW < (limits.WINDOW_RECORDS + 1) * record
    assert limits.WINDOW_RECORDS >= 1
    assert record <= limits.READ_BUDGET


def test_key_limits_end_before_the_rfcs_limits() -> None:
    # RFC 9846 §5.5: 2^24.5 full-size records for AES-GCM; §5.3: a sequence number must not wrap.
    assert 2**20 < limits.AES_GCM_RECORDS < 2**24.5
    assert limits.CHACHA20_POLY1305_RECORDS < limits.MAX_SEQUENCE_NUMBER == 2**64 - 1


def test_messages_fit_their_length_and_extensions_fit_a_message() -> None:
    assert limits.MAX_PLAINTEXT < limits.MAX_HANDSHAKE_MESSAGE < limits.MAX_CERTIFICATE_MESSAGE < 2**24
    # The smallest extension has 4 bytes, the smallest CertificateEntry 6.
    assert limits.MAX_EXTENSIONS * 4 < limits.MAX_HANDSHAKE_MESSAGE
    assert limits.MAX_CHAIN_LENGTH * 6 < limits.MAX_CERTIFICATE_MESSAGE
    # A response with its type and length is one extension.
    assert limits.MAX_OCSP_RESPONSE + 4 < 2**16 <= limits.MAX_HANDSHAKE_MESSAGE


def test_smallest_record_size_limit_is_the_rfcs() -> None:
    # RFC 8449 §4.
    assert limits.MIN_RECORD_SIZE_LIMIT == 64


def test_bounds_are_positive() -> None:
    numbers = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert numbers
    assert all(value > 0 for value in numbers.values())

"""Cipher suites: what RFC 9846 appendix B.4 and §5.5 say of each."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from tlswrite import limits
from tlswrite.crypto.suites import DEFAULT_SUITES, SUITES
from tlswrite.iana import CipherSuite


@pytest.mark.parametrize(
    ("code", "hash_name", "hash_length", "key_length"),
    [
        (0x1301, "sha256", 32, 16),
        (0x1302, "sha384", 48, 32),
        (0x1303, "sha256", 32, 32),
    ],
)
def test_suite(code: int, hash_name: str, hash_length: int, key_length: int) -> None:
    suite = SUITES[code]
    assert (suite.hash_name, suite.hash_length, suite.key_length) == (hash_name, hash_length, key_length)
    # RFC 9846 §5.3: iv_length is 12 for all of them; §5.2: a tag of 16 bytes.
    assert (suite.iv_length, suite.tag) == (12, 16)
    assert suite.name == CipherSuite(code).name == suite.id.name
    assert hashlib.new(hash_name).digest_size == hash_length


def test_usage_limits() -> None:
    # RFC 9846 §5.5: 2^24.5 full-size records under one AES-GCM key.
    for code in (0x1301, 0x1302):
        assert SUITES[code].record_limit < 2**24.5
    # For ChaCha20-Poly1305 the sequence number would wrap before the limit (§5.3 forbids that it does).
    assert SUITES[0x1303].record_limit < limits.MAX_SEQUENCE_NUMBER


def test_mandatory_suite_is_preferred() -> None:
    # RFC 9846 §9.1: MUST implement TLS_AES_128_GCM_SHA256.
    assert DEFAULT_SUITES[0] == CipherSuite.TLS_AES_128_GCM_SHA256
    assert set(DEFAULT_SUITES) == set(SUITES)


def test_suites_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SUITES[0x1301].key_length = 1

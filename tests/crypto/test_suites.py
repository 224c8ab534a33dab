"""Cipher suites: what RFC 9846 appendix B.4 and §5.5, RFC 5289 and RFC 7905 say of each."""

from __future__ import annotations

import dataclasses
import hashlib
import ssl

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tlswrite import limits
from tlswrite.crypto.suites import DEFAULT_SUITES, SUITES, TLS12_SUITES, TLS13_SUITES
from tlswrite.iana import CipherSuite, ProtocolVersion

# RFC 5289 §3.2, RFC 7905 §2: code, kind of key, hash, AEAD, length of its key, OpenSSL's name.
TLS12 = [
    (0xC02B, "ECDSA", "sha256", AESGCM, 16, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (0xC02F, "RSA", "sha256", AESGCM, 16, "ECDHE-RSA-AES128-GCM-SHA256"),
    (0xC02C, "ECDSA", "sha384", AESGCM, 32, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (0xC030, "RSA", "sha384", AESGCM, 32, "ECDHE-RSA-AES256-GCM-SHA384"),
    (0xCCA9, "ECDSA", "sha256", ChaCha20Poly1305, 32, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (0xCCA8, "RSA", "sha256", ChaCha20Poly1305, 32, "ECDHE-RSA-CHACHA20-POLY1305"),
]


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


@pytest.mark.parametrize(
    ("code", "authentication", "hash_name", "aead", "key_length", "alias"), TLS12, ids=lambda part: str(part)
)
def test_suite_of_tls_1_2(
    code: int, authentication: str, hash_name: str, aead: type, key_length: int, alias: str
) -> None:
    suite = SUITES[code]
    assert (suite.version, suite.authentication) == (ProtocolVersion.TLS_1_2, authentication)
    assert (suite.hash_name, suite.aead, suite.key_length) == (hash_name, aead, key_length)
    assert suite.hash_length == hashlib.new(hash_name).digest_size
    # RFC 5288 §3: a salt of 4 bytes, and 8 bytes sent in each record; RFC 7905 §2: 12 bytes, and none sent.
    assert (suite.iv_length, suite.explicit_nonce) == ((4, 8) if aead is AESGCM else (12, 0))
    # RFC 5116 §5.1, RFC 8439 §2.8: a tag of 16 bytes, and a nonce of 12.
    assert (suite.tag, suite.iv_length + suite.explicit_nonce) == (16, 12)
    assert suite.name == CipherSuite(code).name == suite.id.name
    assert suite.openssl_name == alias


def test_every_suite_is_of_one_version() -> None:
    assert set(TLS12_SUITES) == {code for code, *_ in TLS12}
    assert DEFAULT_SUITES == TLS13_SUITES + TLS12_SUITES
    for code in TLS13_SUITES:
        suite = SUITES[code]
        # RFC 9846 §B.4: the suite names neither key exchange nor authentication, and nothing is sent of a nonce.
        assert (suite.version, suite.authentication) == (ProtocolVersion.TLS_1_3, "")
        assert (suite.explicit_nonce, suite.openssl_name) == (0, suite.name)


def test_the_names_are_openssls() -> None:
    # The very code points under these names in Python's `ssl`.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(":".join(SUITES[code].openssl_name for code in TLS12_SUITES))
    theirs = {cipher["id"] & 0xFFFF: cipher["name"] for cipher in context.get_ciphers()}
    for code, suite in SUITES.items():
        assert theirs[code] == suite.openssl_name


def test_no_suite_of_tls_1_2_is_weak() -> None:
    # RFC 9325 §4.1, §4.2: AEAD and forward secrecy; no static RSA, no CBC.
    for code in TLS12_SUITES:
        assert SUITES[code].name.startswith("TLS_ECDHE_")
        assert "_CBC_" not in SUITES[code].name
        # No key is replaced without a handshake, and the sequence number does not wrap (RFC 5246 §6.1).
        assert SUITES[code].record_limit < limits.MAX_SEQUENCE_NUMBER


def test_suites_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SUITES[0x1301].key_length = 1

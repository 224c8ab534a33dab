"""Cipher suites of TLS 1.3: hash, AEAD, lengths and usage limits (RFC 9846 appendix B.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tlswrite import limits
from tlswrite.iana import CipherSuite

__all__ = ["DEFAULT_SUITES", "SUITES", "Suite"]


@dataclass(frozen=True, slots=True)
class Suite:
    """What one cipher suite means.

    Lengths in bytes; `record_limit` in records under one key (RFC 9846 §5.5).
    """

    id: CipherSuite
    name: str
    hash_name: str
    hash_length: int
    aead: type[AESGCM] | type[ChaCha20Poly1305]
    key_length: int
    record_limit: int
    iv_length: int = 12
    tag: int = limits.TAG


_ALL: Final = (
    Suite(
        CipherSuite.TLS_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
        hash_name="sha256",
        hash_length=32,
        aead=AESGCM,
        key_length=16,
        record_limit=limits.AES_GCM_RECORDS,
    ),
    Suite(
        CipherSuite.TLS_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
        hash_name="sha384",
        hash_length=48,
        aead=AESGCM,
        key_length=32,
        record_limit=limits.AES_GCM_RECORDS,
    ),
    Suite(
        CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
        hash_name="sha256",
        hash_length=32,
        aead=ChaCha20Poly1305,
        key_length=32,
        record_limit=limits.CHACHA20_POLY1305_RECORDS,
    ),
)

#: Every suite known here, by code point.
SUITES: Final[dict[int, Suite]] = {int(suite.id): suite for suite in _ALL}

#: The suites offered and accepted unless told otherwise, most preferred first.
#: RFC 9846 §9.1: TLS_AES_128_GCM_SHA256 MUST be implemented, the other two SHOULD be.
DEFAULT_SUITES: Final = (
    CipherSuite.TLS_AES_128_GCM_SHA256,
    CipherSuite.TLS_AES_256_GCM_SHA384,
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
)

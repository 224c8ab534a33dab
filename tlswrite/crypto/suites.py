"""Cipher suites: hash, AEAD, lengths and usage limits (RFC 9846 appendix B.4, RFC 5289, RFC 7905).

Those of TLS 1.2 are ECDHE with an AEAD, and no others: no CBC, no RSA key exchange, no compression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tlswrite import limits
from tlswrite.iana import CipherSuite, ProtocolVersion

__all__ = ["DEFAULT_SUITES", "SUITES", "TLS12_SUITES", "TLS13_SUITES", "Suite"]


@dataclass(frozen=True)
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
    version: ProtocolVersion = ProtocolVersion.TLS_1_3
    #: The kind of the server's key, "ECDSA" or "RSA", in TLS 1.2, whose suites name it; else empty.
    authentication: str = ""
    #: The part of the nonce that comes from the key schedule, and the part that is sent in each record.
    iv_length: int = 12
    explicit_nonce: int = 0
    tag: int = limits.TAG
    #: OpenSSL's name of a suite of TLS 1.2, where it differs; see `openssl_name`.
    alias: str = ""

    @property
    def openssl_name(self) -> str:
        """The name that OpenSSL, and so Python's `ssl`, has for it."""
        return self.alias or self.name


_TLS13: Final = (
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


def _tls12(
    code: CipherSuite,
    alias: str,
    hash_name: str,
    aead: type[AESGCM] | type[ChaCha20Poly1305],
    key_length: int,
) -> Suite:
    gcm = aead is AESGCM
    return Suite(
        code,
        code.name,
        hash_name=hash_name,
        hash_length=48 if hash_name == "sha384" else 32,
        aead=aead,
        key_length=key_length,
        record_limit=limits.CHACHA20_POLY1305_RECORDS,
        version=ProtocolVersion.TLS_1_2,
        authentication="ECDSA" if "_ECDSA_" in code.name else "RSA",
        # RFC 5288 §3: salt[4], nonce_explicit[8]; RFC 7905 §2: the sequence number is masked, nothing is sent.
        iv_length=4 if gcm else 12,
        explicit_nonce=8 if gcm else 0,
        alias=alias,
    )


_TLS12: Final = (
    _tls12(
        CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "sha256",
        AESGCM,
        16,
    ),
    _tls12(
        CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "sha256", AESGCM, 16
    ),
    _tls12(
        CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "sha384",
        AESGCM,
        32,
    ),
    _tls12(
        CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "sha384", AESGCM, 32
    ),
    _tls12(
        CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "sha256",
        ChaCha20Poly1305,
        32,
    ),
    _tls12(
        CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        "sha256",
        ChaCha20Poly1305,
        32,
    ),
)

#: Every suite known here, by code point.
SUITES: Final[dict[int, Suite]] = {int(suite.id): suite for suite in (*_TLS13, *_TLS12)}

#: Code points by version, most preferred first.
TLS13_SUITES: Final = tuple(suite.id for suite in _TLS13)
TLS12_SUITES: Final = tuple(suite.id for suite in _TLS12)

#: The suites offered and accepted unless told otherwise, most preferred first, TLS 1.3's before TLS 1.2's.
#: RFC 9846 §9.1: TLS_AES_128_GCM_SHA256 MUST be implemented, the other two SHOULD be.
DEFAULT_SUITES: Final = TLS13_SUITES + TLS12_SUITES

"""Which signature schemes the certificates of a chain are signed with (RFC 9846 §4.3.3, §4.5.1.2).

A server with several chains picks one that the client says it can verify. A certificate names its algorithm
and hash, not the curve of its issuer's key: an ECDSA signature counts as the scheme of its hash.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import SignatureAlgorithmOID as OID

from tlswrite.iana import SignatureScheme

__all__ = ["LEGACY_SCHEMES", "chain_schemes"]

#: SHA-1: not to be sent to a client that does not ask for it (RFC 9846 §4.5.1.2).
LEGACY_SCHEMES: Final = frozenset({SignatureScheme.rsa_pkcs1_sha1, SignatureScheme.ecdsa_sha1})


@lru_cache(maxsize=64)
def chain_schemes(chain: tuple[bytes, ...]) -> frozenset[SignatureScheme]:
    """The schemes of the signatures in one's own chain, as far as they have a code point.

    Self-signed certificates do not count: nobody verifies those (RFC 9846 §4.3.3).
    """
    found: set[SignatureScheme] = set()
    for der in chain:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.issuer == certificate.subject:
            continue
        scheme = _scheme_of(certificate)
        if scheme is not None:
            found.add(scheme)
    return frozenset(found)


def _scheme_of(certificate: x509.Certificate) -> SignatureScheme | None:
    oid = certificate.signature_algorithm_oid
    if oid != OID.RSASSA_PSS:
        return _SCHEMES.get(oid.dotted_string)
    # Whether the issuer's key is under rsaEncryption or RSASSA-PSS is not said here; the former is usual.
    digest = certificate.signature_hash_algorithm
    return _PSS.get(digest.name if digest is not None else "")


_SCHEMES: Final = {
    OID.RSA_WITH_SHA1.dotted_string: SignatureScheme.rsa_pkcs1_sha1,
    OID.RSA_WITH_SHA256.dotted_string: SignatureScheme.rsa_pkcs1_sha256,
    OID.RSA_WITH_SHA384.dotted_string: SignatureScheme.rsa_pkcs1_sha384,
    OID.RSA_WITH_SHA512.dotted_string: SignatureScheme.rsa_pkcs1_sha512,
    OID.ECDSA_WITH_SHA1.dotted_string: SignatureScheme.ecdsa_sha1,
    OID.ECDSA_WITH_SHA256.dotted_string: SignatureScheme.ecdsa_secp256r1_sha256,
    OID.ECDSA_WITH_SHA384.dotted_string: SignatureScheme.ecdsa_secp384r1_sha384,
    OID.ECDSA_WITH_SHA512.dotted_string: SignatureScheme.ecdsa_secp521r1_sha512,
    OID.ED25519.dotted_string: SignatureScheme.ed25519,
    OID.ED448.dotted_string: SignatureScheme.ed448,
    # FIPS 204 in certificates: RFC 9881 §2.
    "2.16.840.1.101.3.4.3.17": SignatureScheme.mldsa44,
    "2.16.840.1.101.3.4.3.18": SignatureScheme.mldsa65,
    "2.16.840.1.101.3.4.3.19": SignatureScheme.mldsa87,
}

_PSS: Final = {
    "sha256": SignatureScheme.rsa_pss_rsae_sha256,
    "sha384": SignatureScheme.rsa_pss_rsae_sha384,
    "sha512": SignatureScheme.rsa_pss_rsae_sha512,
}

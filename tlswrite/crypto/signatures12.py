"""Signatures in the handshakes of TLS 1.2 (RFC 5246 §7.4.1.4.1, RFC 8422 §5.10, RFC 9846 §4.3.3).

The code points are those of TLS 1.3, with two differences. An ECDSA scheme names only its hash there: any
curve goes with it. And RSASSA-PKCS1-v1_5 may sign, beside RSASSA-PSS, which a peer of both versions prefers.
SHA-1 signs nothing here, in any version (RFC 9155).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from tlswrite.crypto.signatures import (
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    PrivateKey,
    PSSPrivateKey,
    PSSPublicKey,
    PublicKey,
    describe,
)
from tlswrite.crypto.signatures import sign as sign13
from tlswrite.crypto.signatures import verify as verify13
from tlswrite.errors import ConfigurationError, DecryptError, IllegalParameter
from tlswrite.iana import NamedGroup, SignatureScheme, name_of

__all__ = ["PKCS1_SCHEMES", "authentication_of", "curve_of", "schemes_for", "sign", "verify"]

#: RSASSA-PKCS1-v1_5, which signs handshakes in TLS 1.2 alone; most preferred first.
PKCS1_SCHEMES: Final[tuple[SignatureScheme, ...]] = (
    SignatureScheme.rsa_pkcs1_sha256,
    SignatureScheme.rsa_pkcs1_sha384,
    SignatureScheme.rsa_pkcs1_sha512,
)


def authentication_of(key: PublicKey | PrivateKey) -> str:
    """ "ECDSA" or "RSA": the kind of cipher suite that a key of the server fits; "" for none of TLS 1.2."""
    if isinstance(
        key,
        (
            ec.EllipticCurvePublicKey,
            ec.EllipticCurvePrivateKey,
            # RFC 8422 §5.10: EdDSA keys go with the ECDHE_ECDSA suites.
            ed25519.Ed25519PublicKey,
            ed25519.Ed25519PrivateKey,
            ed448.Ed448PublicKey,
            ed448.Ed448PrivateKey,
        ),
    ):
        return "ECDSA"
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey, PSSPublicKey, PSSPrivateKey)):
        return "RSA"
    return ""


def curve_of(key: PublicKey | PrivateKey) -> NamedGroup | None:
    """The group of an EC key, which a peer must support to verify it (RFC 8422 §5.1); None for others."""
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        return _CURVES.get(key.curve.name)
    return None


def schemes_for(key: PrivateKey | PublicKey) -> tuple[SignatureScheme, ...]:
    """The schemes that fit a key in TLS 1.2, most preferred first; () for none."""
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        own = _OWN_SCHEME.get(key.curve.name)
        return () if own is None else (own, *(scheme for scheme in _ECDSA_HASHES if scheme != own))
    if isinstance(key, (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey)):
        return (SignatureScheme.ed25519,)
    if isinstance(key, (ed448.Ed448PublicKey, ed448.Ed448PrivateKey)):
        return (SignatureScheme.ed448,)
    if isinstance(key, (PSSPublicKey, PSSPrivateKey)):
        if not MIN_RSA_BITS <= key.key.key_size <= MAX_RSA_BITS:
            return ()
        return tuple(scheme for scheme, name in _PSS_HASHES if key.hash_name in (None, name))
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return _RSA_SCHEMES if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS else ()
    return ()


def sign(private_key: PrivateKey, scheme: int, data: bytes) -> bytes:
    """The signature of `data`; ConfigurationError where the scheme does not fit the key."""
    if scheme not in schemes_for(private_key):
        raise ConfigurationError(
            f"{name_of(SignatureScheme, scheme)} does not fit {describe(private_key)} in TLS 1.2"
        )
    algorithm = _ALGORITHMS.get(scheme)
    if algorithm is None:
        return sign13(private_key, scheme, data)
    return algorithm.sign(private_key, data)


def verify(public_key: PublicKey, scheme: int, signature: bytes, data: bytes) -> None:
    """Checks a peer's signature of `data`.

    Raises DecryptError where it does not verify, IllegalParameter where the scheme does not fit the key.
    """
    if scheme not in schemes_for(public_key):
        # RFC 5246 §7.4.3, §7.4.8: the algorithm MUST be compatible with the key of the certificate.
        raise IllegalParameter(
            f"a signature with {name_of(SignatureScheme, scheme)} by {describe(public_key)}"
        )
    algorithm = _ALGORITHMS.get(scheme)
    if algorithm is None:
        verify13(public_key, scheme, signature, data)
        return
    try:
        algorithm.verify(public_key, signature, data)
    except InvalidSignature:
        # RFC 5246 §7.2.2: unable to correctly verify a signature: "decrypt_error".
        raise DecryptError(f"a {name_of(SignatureScheme, scheme)} signature that does not verify") from None


# ---- what differs from TLS 1.3 ----------------------------------------------------------------------


class _Algorithm(Protocol):
    def sign(self, key: Any, data: bytes, /) -> bytes: ...

    def verify(self, key: Any, signature: bytes, data: bytes, /) -> None: ...


class _ECDSA:
    def __init__(self, hash_algorithm: hashes.HashAlgorithm) -> None:
        self._ecdsa = ec.ECDSA(hash_algorithm)

    def sign(self, key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
        return key.sign(data, self._ecdsa)

    def verify(self, key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
        key.verify(signature, data, self._ecdsa)


class _PKCS1:
    def __init__(self, hash_algorithm: hashes.HashAlgorithm) -> None:
        self._hash = hash_algorithm

    def sign(self, key: rsa.RSAPrivateKey, data: bytes) -> bytes:
        return key.sign(data, _PKCS1_PADDING, self._hash)

    def verify(self, key: rsa.RSAPublicKey, signature: bytes, data: bytes) -> None:
        key.verify(signature, data, _PKCS1_PADDING, self._hash)


_PKCS1_PADDING: Final = padding.PKCS1v15()

_ECDSA_HASHES: Final[dict[SignatureScheme, hashes.HashAlgorithm]] = {
    SignatureScheme.ecdsa_secp256r1_sha256: hashes.SHA256(),
    SignatureScheme.ecdsa_secp384r1_sha384: hashes.SHA384(),
    SignatureScheme.ecdsa_secp521r1_sha512: hashes.SHA512(),
}
_ALGORITHMS: Final[dict[int, _Algorithm]] = {
    **{scheme: _ECDSA(algorithm) for scheme, algorithm in _ECDSA_HASHES.items()},
    SignatureScheme.rsa_pkcs1_sha256: _PKCS1(hashes.SHA256()),
    SignatureScheme.rsa_pkcs1_sha384: _PKCS1(hashes.SHA384()),
    SignatureScheme.rsa_pkcs1_sha512: _PKCS1(hashes.SHA512()),
}
_OWN_SCHEME: Final = {
    "secp256r1": SignatureScheme.ecdsa_secp256r1_sha256,
    "secp384r1": SignatureScheme.ecdsa_secp384r1_sha384,
    "secp521r1": SignatureScheme.ecdsa_secp521r1_sha512,
}
_CURVES: Final = {
    "secp256r1": NamedGroup.secp256r1,
    "secp384r1": NamedGroup.secp384r1,
    "secp521r1": NamedGroup.secp521r1,
}
_PSS_HASHES: Final = (
    (SignatureScheme.rsa_pss_pss_sha256, "sha256"),
    (SignatureScheme.rsa_pss_pss_sha384, "sha384"),
    (SignatureScheme.rsa_pss_pss_sha512, "sha512"),
)
_RSA_SCHEMES: Final = (
    SignatureScheme.rsa_pss_rsae_sha256,
    SignatureScheme.rsa_pss_rsae_sha384,
    SignatureScheme.rsa_pss_rsae_sha512,
    *PKCS1_SCHEMES,
)

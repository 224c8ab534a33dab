"""CertificateVerify: signing, verification, and which scheme fits which key (RFC 9846 §4.3.3, §4.5.2).

A scheme is one algorithm with everything fixed: hash, curve, padding, salt. A key fits a scheme only if it
is of that algorithm and, for ECDSA, on that curve. RSA has two families that differ in the OID of the
key in its certificate, which the key objects of `cryptography` do not tell: a key under the RSASSA-PSS OID
is therefore carried as `PSSPublicKey` or `PSSPrivateKey`, and only the rsa_pss_pss schemes fit those.

Not usable here, whatever a peer says: RSASSA-PKCS1-v1_5 and SHA-1 (RFC 9846 §4.5.2); they are for
signatures in certificates only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa

from tlswrite.crypto.backend import available
from tlswrite.errors import ConfigurationError, DecryptError, IllegalParameter
from tlswrite.iana import SignatureScheme, name_of

__all__ = [
    "CERT_SCHEMES",
    "CLIENT_CONTEXT",
    "DEFAULT_SCHEMES",
    "MAX_RSA_BITS",
    "MIN_RSA_BITS",
    "SERVER_CONTEXT",
    "PSSPrivateKey",
    "PSSPublicKey",
    "PrivateKey",
    "PublicKey",
    "certificate_verify_content",
    "describe",
    "schemes_for",
    "sign",
    "verify",
]

#: Bits of an RSA modulus. Below, a signature proves nothing today; above, verification is a burden that
#: a peer lays on us with a few bytes.
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192

#: Context strings of CertificateVerify (RFC 9846 §4.5.2).
SERVER_CONTEXT: Final = b"TLS 1.3, server CertificateVerify"
CLIENT_CONTEXT: Final = b"TLS 1.3, client CertificateVerify"


@dataclass(frozen=True, slots=True)
class PSSPublicKey:
    """An RSA public key under the RSASSA-PSS OID; `hash_name` where its parameters fix the hash."""

    key: rsa.RSAPublicKey
    hash_name: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class PSSPrivateKey:
    """An RSA private key whose certificate has the RSASSA-PSS OID; `hash_name` as in that certificate."""

    key: rsa.RSAPrivateKey
    hash_name: str | None = None

    def public_key(self) -> PSSPublicKey:
        """The public half."""
        return PSSPublicKey(self.key.public_key(), self.hash_name)


PublicKey: TypeAlias = (
    rsa.RSAPublicKey
    | PSSPublicKey
    | ec.EllipticCurvePublicKey
    | ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)
PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey
    | PSSPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)


def certificate_verify_content(context_string: bytes, transcript_hash: bytes) -> bytes:
    """What a CertificateVerify signs (RFC 9846 §4.5.2): 64 spaces, context string, a zero byte, hash."""
    return _PADDING + context_string + b"\x00" + transcript_hash


def sign(private_key: PrivateKey, scheme: int, data: bytes) -> bytes:
    """The signature of `data`; ConfigurationError where the scheme does not fit the key."""
    algorithm = _ALGORITHMS.get(scheme)
    if algorithm is None or not algorithm.fits(private_key):
        raise ConfigurationError(
            f"{name_of(SignatureScheme, scheme)} does not fit {describe(private_key)}; "
            f"what does: {', '.join(fit.name for fit in schemes_for(private_key)) or 'nothing'}"
        )
    signature: bytes = algorithm.sign(private_key, data)
    return signature


def verify(public_key: PublicKey, scheme: int, signature: bytes, data: bytes) -> None:
    """Checks a peer's signature of `data`.

    Raises DecryptError where it does not verify, IllegalParameter where the scheme is not one of TLS 1.3's
    or does not fit the key (RFC 9846 §4.5.2).
    """
    algorithm = _ALGORITHMS.get(scheme)
    if algorithm is None:
        # RFC 9846 §4.5.2: SHA-1 MUST NOT be used in any signatures of CertificateVerify messages;
        # §4.3.3: RSASSA-PKCS1-v1_5 is not defined for use in signed TLS handshake messages.
        raise IllegalParameter(f"a CertificateVerify with {name_of(SignatureScheme, scheme)}")
    if not algorithm.fits(public_key):
        # RFC 9846 §4.5.2: the algorithm MUST be compatible with the key in the certificate.
        raise IllegalParameter(
            f"a CertificateVerify with {name_of(SignatureScheme, scheme)} by {describe(public_key)}"
        )
    try:
        algorithm.verify(public_key, signature, data)
    except InvalidSignature:
        # RFC 9846 §4.5.2: MUST terminate the handshake with a "decrypt_error" alert.
        raise DecryptError(f"a {name_of(SignatureScheme, scheme)} signature that does not verify") from None


def schemes_for(key: PrivateKey | PublicKey) -> tuple[SignatureScheme, ...]:
    """The schemes that fit a private or public key in TLS 1.3, most preferred first; () for none."""
    return tuple(scheme for scheme, algorithm in _SCHEMES if algorithm.fits(key))


def describe(key: object) -> str:
    """A key in words for a message: "an RSA key of 1024 bits", "an EC key on secp256k1"."""
    if isinstance(key, (PSSPublicKey, PSSPrivateKey)):
        fixed = f" and {key.hash_name}" if key.hash_name else ""
        return f"an RSA key of {key.key.key_size} bits for RSASSA-PSS{fixed}"
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        return f"an RSA key of {key.key_size} bits"
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)):
        return f"an EC key on {key.curve.name}"
    name = type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey")
    return f"{'an' if name[0] in 'EMX' else 'a'} {name} key"


# ---- algorithms -----------------------------------------------------------------------------------

_PADDING: Final = b" " * 64


class _Algorithm(Protocol):
    def fits(self, key: object) -> bool: ...

    def sign(self, key: Any, data: bytes, /) -> bytes: ...

    def verify(self, key: Any, signature: bytes, data: bytes, /) -> None: ...


class _ECDSA:
    """ECDSA; the curve is bound to the scheme (RFC 9846 §4.3.3)."""

    def __init__(self, curve: type[ec.EllipticCurve], hash_algorithm: hashes.HashAlgorithm) -> None:
        self._curve = curve
        self._hash = ec.ECDSA(hash_algorithm)

    def fits(self, key: object) -> bool:
        return isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)) and isinstance(
            key.curve, self._curve
        )

    def sign(self, key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
        return key.sign(data, self._hash)

    def verify(self, key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
        key.verify(signature, data, self._hash)


class _RSAPSS:
    """RSASSA-PSS with MGF1 of the same hash and a salt of its length (RFC 9846 §4.3.3)."""

    def __init__(self, hash_algorithm: hashes.HashAlgorithm) -> None:
        self._hash = hash_algorithm
        self._padding = padding.PSS(padding.MGF1(hash_algorithm), hash_algorithm.digest_size)

    def fits(self, key: object) -> bool:
        return isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)) and _size_fits(key)

    def sign(self, key: rsa.RSAPrivateKey, data: bytes) -> bytes:
        return key.sign(data, self._padding, self._hash)

    def verify(self, key: rsa.RSAPublicKey, signature: bytes, data: bytes) -> None:
        key.verify(signature, data, self._padding, self._hash)


class _RSAPSSWithPSSKey:
    """The same with a key under the RSASSA-PSS OID, whose parameters may fix the hash."""

    def __init__(self, hash_algorithm: hashes.HashAlgorithm) -> None:
        self._hash_name = hash_algorithm.name
        self._pss = _RSAPSS(hash_algorithm)

    def fits(self, key: object) -> bool:
        return (
            isinstance(key, (PSSPublicKey, PSSPrivateKey))
            and key.hash_name in (None, self._hash_name)
            and _size_fits(key.key)
        )

    def sign(self, key: PSSPrivateKey, data: bytes) -> bytes:
        return self._pss.sign(key.key, data)

    def verify(self, key: PSSPublicKey, signature: bytes, data: bytes) -> None:
        self._pss.verify(key.key, signature, data)


class _Pure:
    """EdDSA and ML-DSA: nothing to choose; ML-DSA with an empty context (draft-ietf-tls-mldsa §3)."""

    def __init__(self, public: type[Any], private: type[Any]) -> None:
        self._types = (public, private)

    def fits(self, key: object) -> bool:
        return isinstance(key, self._types)

    def sign(self, key: Any, data: bytes) -> bytes:
        signature: bytes = key.sign(data)
        return signature

    def verify(self, key: Any, signature: bytes, data: bytes) -> None:
        key.verify(signature, data)


def _size_fits(key: rsa.RSAPublicKey | rsa.RSAPrivateKey) -> bool:
    return MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS


_HAS_MLDSA: Final = available(lambda: mldsa.MLDSA44PublicKey.from_public_bytes(bytes(1312)))

#: The schemes of TLS 1.3, most preferred first: what is cheap and small before what is not.
_SCHEMES: Final[tuple[tuple[SignatureScheme, _Algorithm], ...]] = (
    (SignatureScheme.ecdsa_secp256r1_sha256, _ECDSA(ec.SECP256R1, hashes.SHA256())),
    (SignatureScheme.ed25519, _Pure(ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey)),
    (SignatureScheme.ecdsa_secp384r1_sha384, _ECDSA(ec.SECP384R1, hashes.SHA384())),
    (SignatureScheme.ecdsa_secp521r1_sha512, _ECDSA(ec.SECP521R1, hashes.SHA512())),
    (SignatureScheme.ed448, _Pure(ed448.Ed448PublicKey, ed448.Ed448PrivateKey)),
    (SignatureScheme.rsa_pss_rsae_sha256, _RSAPSS(hashes.SHA256())),
    (SignatureScheme.rsa_pss_rsae_sha384, _RSAPSS(hashes.SHA384())),
    (SignatureScheme.rsa_pss_rsae_sha512, _RSAPSS(hashes.SHA512())),
    (SignatureScheme.rsa_pss_pss_sha256, _RSAPSSWithPSSKey(hashes.SHA256())),
    (SignatureScheme.rsa_pss_pss_sha384, _RSAPSSWithPSSKey(hashes.SHA384())),
    (SignatureScheme.rsa_pss_pss_sha512, _RSAPSSWithPSSKey(hashes.SHA512())),
    (SignatureScheme.mldsa44, _Pure(mldsa.MLDSA44PublicKey, mldsa.MLDSA44PrivateKey)),
    (SignatureScheme.mldsa65, _Pure(mldsa.MLDSA65PublicKey, mldsa.MLDSA65PrivateKey)),
    (SignatureScheme.mldsa87, _Pure(mldsa.MLDSA87PublicKey, mldsa.MLDSA87PrivateKey)),
)
_ALGORITHMS: Final[dict[int, _Algorithm]] = dict(_SCHEMES)

_MLDSA: Final = frozenset({SignatureScheme.mldsa44, SignatureScheme.mldsa65, SignatureScheme.mldsa87})

#: What signature_algorithms says unless told otherwise: the schemes accepted in CertificateVerify.
DEFAULT_SCHEMES: Final[tuple[SignatureScheme, ...]] = tuple(
    scheme for scheme, _ in _SCHEMES if _HAS_MLDSA or scheme not in _MLDSA
)

#: What signature_algorithms_cert says: the same, and RSASSA-PKCS1-v1_5, which most certificates in
#: the world are still signed with. No SHA-1: not offered, and so never a reason to be sent it.
CERT_SCHEMES: Final[tuple[SignatureScheme, ...]] = (
    *DEFAULT_SCHEMES,
    SignatureScheme.rsa_pkcs1_sha256,
    SignatureScheme.rsa_pkcs1_sha384,
    SignatureScheme.rsa_pkcs1_sha512,
)

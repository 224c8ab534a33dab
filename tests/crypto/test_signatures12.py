"""Signatures of TLS 1.2's handshakes: which scheme fits which key, and that nothing else is accepted."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from tests.support.keys import damaged, private_key
from tlswrite.crypto import signatures
from tlswrite.crypto.signatures12 import (
    PKCS1_SCHEMES,
    authentication_of,
    curve_of,
    schemes_for,
    sign,
    verify,
)
from tlswrite.errors import ConfigurationError, DecryptError, IllegalParameter
from tlswrite.iana import AlertDescription, NamedGroup, SignatureScheme

RSA = (
    "rsa_pss_rsae_sha256",
    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",
    "rsa_pkcs1_sha256",
    "rsa_pkcs1_sha384",
    "rsa_pkcs1_sha512",
)
P256, P384, P521 = "ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512"

# RFC 5246 §7.4.1.4.1, RFC 8422 §5.10, RFC 9846 §4.3.3: an ECDSA key signs with any hash, that of its curve first.
FITS = {
    "ecdsa_secp256r1": (P256, P384, P521),
    "ecdsa_secp384r1": (P384, P256, P521),
    "ecdsa_secp521r1": (P521, P256, P384),
    "rsa": RSA,
    "pss": ("rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"),
    "pss_sha384": ("rsa_pss_pss_sha384",),
    "pss_sha1": (),
    "pss1024": (),
    "rsa1024": (),
    "secp256k1": (),
    "ed25519": ("ed25519",),
    "ed448": ("ed448",),
    "mldsa44": (),
    "mldsa65": (),
}
USABLE = [(name, SignatureScheme[scheme]) for name, schemes in FITS.items() for scheme in schemes]


@pytest.mark.parametrize("name", FITS)
def test_schemes_for(name: str) -> None:
    key = private_key(name)
    expected = tuple(SignatureScheme[scheme] for scheme in FITS[name])
    assert schemes_for(key) == schemes_for(key.public_key()) == expected


@pytest.mark.parametrize(("name", "scheme"), USABLE, ids=lambda part: getattr(part, "name", part))
def test_sign_and_verify(name: str, scheme: SignatureScheme) -> None:
    key = private_key(name)
    signature = sign(key, int(scheme), b"content")
    verify(key.public_key(), int(scheme), signature, b"content")
    for bad_signature, content in damaged(signature, b"content"):
        with pytest.raises(DecryptError, match=f"{scheme.name} signature that does not verify") as caught:
            verify(key.public_key(), scheme, bad_signature, content)
        # RFC 5246 §7.2.2: unable to correctly verify a signature.
        assert caught.value.alert is AlertDescription.DECRYPT_ERROR


@pytest.mark.parametrize("name", ["ecdsa_secp256r1", "rsa", "ed25519"])
def test_every_changed_byte_of_a_signature_is_noticed(name: str) -> None:
    key = private_key(name)
    for scheme in schemes_for(key):
        signature = bytearray(sign(key, scheme, b"content"))
        for at in range(len(signature)):
            signature[at] ^= 0x10
            with pytest.raises(DecryptError):
                verify(key.public_key(), scheme, bytes(signature), b"content")
            signature[at] ^= 0x10
        verify(key.public_key(), scheme, bytes(signature), b"content")


@pytest.mark.parametrize("name", FITS)
def test_no_other_scheme_is_accepted_for_a_key(name: str) -> None:
    # RFC 5246 §7.4.3, §7.4.8: the algorithm MUST be compatible with the key of the certificate; RFC 9155 §3, §4:
    # signatures with SHA-1 MUST NOT be made nor accepted.
    key = private_key(name)
    for scheme in SignatureScheme:
        if scheme.name in FITS[name]:
            continue
        with pytest.raises(IllegalParameter, match=scheme.name) as caught:
            verify(key.public_key(), scheme, b"signature", b"content")
        assert caught.value.alert is AlertDescription.ILLEGAL_PARAMETER
        with pytest.raises(ConfigurationError, match=scheme.name):
            sign(key, scheme, b"content")


def test_a_sha_1_signature_that_would_verify_is_refused() -> None:
    # RFC 9155 §4.
    key = private_key("rsa")
    by_rsa = key.sign(b"content", padding.PKCS1v15(), hashes.SHA1())
    with pytest.raises(IllegalParameter, match="rsa_pkcs1_sha1"):
        verify(key.public_key(), SignatureScheme.rsa_pkcs1_sha1, by_rsa, b"content")
    key = private_key("ecdsa_secp256r1")
    by_ecdsa = key.sign(b"content", ec.ECDSA(hashes.SHA1()))
    with pytest.raises(IllegalParameter, match="ecdsa_sha1"):
        verify(key.public_key(), SignatureScheme.ecdsa_sha1, by_ecdsa, b"content")


def test_the_scheme_names_the_hash() -> None:
    # RFC 9846 §4.3.3: ecdsa_secp384r1_sha384 is ECDSA with SHA-384 on any curve in TLS 1.2.
    key = private_key("ecdsa_secp256r1")
    signature = key.sign(b"content", ec.ECDSA(hashes.SHA384()))
    verify(key.public_key(), SignatureScheme.ecdsa_secp384r1_sha384, signature, b"content")
    with pytest.raises(DecryptError):
        verify(key.public_key(), SignatureScheme.ecdsa_secp256r1_sha256, signature, b"content")
    ours = sign(key, SignatureScheme.ecdsa_secp521r1_sha512, b"content")
    key.public_key().verify(ours, b"content", ec.ECDSA(hashes.SHA512()))


def test_pkcs1_is_pkcs1() -> None:
    # RFC 5246 §4.7: RSASSA-PKCS1-v1_5; the two paddings of RSA do not stand in for each other.
    key = private_key("rsa")
    ours = sign(key, SignatureScheme.rsa_pkcs1_sha384, b"content")
    key.public_key().verify(ours, b"content", padding.PKCS1v15(), hashes.SHA384())
    with pytest.raises(DecryptError):
        verify(key.public_key(), SignatureScheme.rsa_pss_rsae_sha384, ours, b"content")
    pss = sign(key, SignatureScheme.rsa_pss_rsae_sha384, b"content")
    with pytest.raises(DecryptError):
        verify(key.public_key(), SignatureScheme.rsa_pkcs1_sha384, pss, b"content")


def test_what_both_versions_sign_with_is_the_same() -> None:
    for name, scheme in (
        ("ecdsa_secp256r1", SignatureScheme.ecdsa_secp256r1_sha256),
        ("rsa", SignatureScheme.rsa_pss_rsae_sha256),
        ("pss", SignatureScheme.rsa_pss_pss_sha512),
        ("ed448", SignatureScheme.ed448),
    ):
        key = private_key(name)
        signatures.verify(key.public_key(), scheme, sign(key, scheme, b"content"), b"content")
        verify(key.public_key(), scheme, signatures.sign(key, scheme, b"content"), b"content")


@pytest.mark.parametrize("scheme", [0x0A0A, 0xFE00, 0xFFFF, 0x0101, 0x0402])
def test_an_unknown_scheme(scheme: int) -> None:
    for name in ("ecdsa_secp256r1", "rsa"):
        with pytest.raises(IllegalParameter, match=f"SignatureScheme\\(0x{scheme:04x}\\)"):
            verify(private_key(name).public_key(), scheme, b"", b"")


@pytest.mark.parametrize(
    ("name", "authentication", "curve"),
    [
        ("ecdsa_secp256r1", "ECDSA", NamedGroup.secp256r1),
        ("ecdsa_secp384r1", "ECDSA", NamedGroup.secp384r1),
        ("ecdsa_secp521r1", "ECDSA", NamedGroup.secp521r1),
        ("secp256k1", "ECDSA", None),
        # RFC 8422 §5.10: EdDSA keys go with the ECDHE_ECDSA suites.
        ("ed25519", "ECDSA", None),
        ("ed448", "ECDSA", None),
        ("rsa", "RSA", None),
        ("pss", "RSA", None),
        ("mldsa44", "", None),
    ],
)
def test_kind_and_curve_of_a_key(name: str, authentication: str, curve: NamedGroup | None) -> None:
    key = private_key(name)
    for each in (key, key.public_key()):
        assert authentication_of(each) == authentication
        assert curve_of(each) == curve


def test_pkcs1_is_for_tls_1_2_alone() -> None:
    # RFC 9846 §4.3.3: in TLS 1.3 RSASSA-PKCS1-v1_5 is for certificates alone; no SHA-1 in either (RFC 9155).
    assert not set(PKCS1_SCHEMES) & set(signatures.DEFAULT_SCHEMES)
    assert not any("sha1" in scheme.name for scheme in PKCS1_SCHEMES)

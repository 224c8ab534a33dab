"""CertificateVerify: which scheme fits which key, and that nothing else is accepted."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa, x25519

from tests.support.keys import damaged, private_key
from tlswrite.crypto.signatures import (
    CERT_SCHEMES,
    CLIENT_CONTEXT,
    DEFAULT_SCHEMES,
    SERVER_CONTEXT,
    PSSPrivateKey,
    PSSPublicKey,
    certificate_verify_content,
    describe,
    schemes_for,
    sign,
    verify,
)
from tlswrite.errors import ConfigurationError, DecryptError, IllegalParameter
from tlswrite.iana import AlertDescription, SignatureScheme

# RFC 9846 §4.3.3: what each key may sign with.
FITS = {
    "ecdsa_secp256r1": ("ecdsa_secp256r1_sha256",),
    "ecdsa_secp384r1": ("ecdsa_secp384r1_sha384",),
    "ecdsa_secp521r1": ("ecdsa_secp521r1_sha512",),
    "rsa": ("rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"),
    "pss": ("rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"),
    "pss_sha384": ("rsa_pss_pss_sha384",),
    "pss_sha1": (),
    "rsa1024": (),
    "secp256k1": (),
    "ed25519": ("ed25519",),
    "ed448": ("ed448",),
    "mldsa44": ("mldsa44",),
    "mldsa65": ("mldsa65",),
    "mldsa87": ("mldsa87",),
}
USABLE = [
    (name, SignatureScheme[scheme])
    for name, schemes in FITS.items()
    for scheme in schemes
    if SignatureScheme[scheme] in DEFAULT_SCHEMES
]


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
    # RFC 9846 §4.5.2: if the verification fails, MUST terminate with a "decrypt_error" alert.
    for bad_signature, content in damaged(signature, b"content"):
        with pytest.raises(DecryptError, match=f"{scheme.name} signature that does not verify") as caught:
            verify(key.public_key(), scheme, bad_signature, content)
        assert caught.value.alert is AlertDescription.DECRYPT_ERROR


@pytest.mark.parametrize("name", FITS)
def test_no_other_scheme_is_accepted_for_a_key(name: str) -> None:
    # RFC 9846 §4.5.2: the signature algorithm MUST be compatible with the key, and SHA-1 MUST NOT be used;
    # §4.3.3: RSASSA-PKCS1-v1_5 is not defined for signed handshake messages.
    key = private_key(name)
    for scheme in SignatureScheme:
        if scheme.name in FITS[name]:
            continue
        with pytest.raises(IllegalParameter, match=scheme.name) as caught:
            verify(key.public_key(), scheme, b"signature", b"content")
        assert caught.value.alert is AlertDescription.ILLEGAL_PARAMETER
        with pytest.raises(ConfigurationError, match=scheme.name):
            sign(key, scheme, b"content")


def test_a_pkcs1_signature_that_would_verify_is_refused() -> None:
    key = private_key("rsa")
    signature = key.sign(b"content", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(IllegalParameter, match="rsa_pkcs1_sha256"):
        verify(key.public_key(), SignatureScheme.rsa_pkcs1_sha256, signature, b"content")
    with pytest.raises(DecryptError):
        verify(key.public_key(), SignatureScheme.rsa_pss_rsae_sha256, signature, b"content")


def test_an_ecdsa_signature_with_the_hash_of_another_scheme_is_refused() -> None:
    # RFC 9846 §4.3.3: curve and hash are fixed by the scheme.
    key = private_key("ecdsa_secp256r1")
    signature = key.sign(b"content", ec.ECDSA(hashes.SHA384()))
    with pytest.raises(IllegalParameter):
        verify(key.public_key(), SignatureScheme.ecdsa_secp384r1_sha384, signature, b"content")
    with pytest.raises(DecryptError):
        verify(key.public_key(), SignatureScheme.ecdsa_secp256r1_sha256, signature, b"content")


@pytest.mark.parametrize("salt", [0, 20, 48, 222])
def test_the_salt_has_the_length_of_the_digest(salt: int) -> None:
    # RFC 9846 §4.3.3: the length of the Salt MUST be equal to the length of the digest.
    key = private_key("rsa")
    signature = key.sign(b"content", padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    with pytest.raises(DecryptError):
        verify(key.public_key(), SignatureScheme.rsa_pss_rsae_sha256, signature, b"content")


def test_our_pss_signatures_are_of_that_salt() -> None:
    key = private_key("rsa")
    signature = sign(key, SignatureScheme.rsa_pss_rsae_sha384, b"content")
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    key.public_key().verify(signature, b"content", pss, hashes.SHA384())
    with pytest.raises(InvalidSignature):
        wrong = padding.PSS(padding.MGF1(hashes.SHA384()), 32)
        key.public_key().verify(signature, b"content", wrong, hashes.SHA384())


@pytest.mark.parametrize("scheme", [0x0A0A, 0xFE00, 0xFFFF, 0x0101, 0x0402])
def test_an_unknown_scheme(scheme: int) -> None:
    with pytest.raises(IllegalParameter, match=f"SignatureScheme\\(0x{scheme:04x}\\)"):
        verify(private_key("ed25519").public_key(), scheme, b"", b"")


def test_content() -> None:
    # RFC 9846 §4.5.2, the example there.
    assert certificate_verify_content(SERVER_CONTEXT, b"\x01" * 32) == bytes.fromhex(
        "2020202020202020202020202020202020202020202020202020202020202020"
        "2020202020202020202020202020202020202020202020202020202020202020"
        "544c5320312e332c207365727665722043657274696669636174655665726966"
        "79"
        "00"
        "0101010101010101010101010101010101010101010101010101010101010101"
    )
    assert (
        certificate_verify_content(CLIENT_CONTEXT, b"") == b" " * 64 + b"TLS 1.3, client CertificateVerify\0"
    )


def test_what_is_offered() -> None:
    # RFC 9846 §9.1: MUST support rsa_pkcs1_sha256 (for certificates), rsa_pss_rsae_sha256 and
    # ecdsa_secp256r1_sha256.
    assert {SignatureScheme.rsa_pss_rsae_sha256, SignatureScheme.ecdsa_secp256r1_sha256} <= set(
        DEFAULT_SCHEMES
    )
    assert SignatureScheme.rsa_pkcs1_sha256 in CERT_SCHEMES
    assert not [scheme for scheme in DEFAULT_SCHEMES if "pkcs1" in scheme.name]
    assert not [scheme for scheme in CERT_SCHEMES if scheme.name.endswith("sha1")]
    assert {scheme.name for scheme in DEFAULT_SCHEMES} == {name for names in FITS.values() for name in names}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("rsa1024", "an RSA key of 1024 bits"),
        ("pss", "an RSA key of 2048 bits for RSASSA-PSS"),
        ("pss_sha384", "an RSA key of 2048 bits for RSASSA-PSS and sha384"),
        ("secp256k1", "an EC key on secp256k1"),
        ("ed25519", "an Ed25519 key"),
        ("mldsa44", "an MLDSA44 key"),
    ],
)
def test_describe(key: str, words: str) -> None:
    assert describe(private_key(key)) == describe(private_key(key).public_key()) == words


def test_keys_of_other_kinds_fit_nothing() -> None:
    for key in (dsa.generate_private_key(2048), x25519.X25519PrivateKey.generate()):
        assert schemes_for(key.public_key()) == ()
    assert describe(x25519.X25519PrivateKey.generate()) == "an X25519 key"


def test_a_giant_modulus_fits_nothing() -> None:
    # Verification with it would be work that a peer makes us do with a few bytes.
    numbers = rsa.RSAPublicNumbers(65537, (1 << 8192) | 1)
    assert schemes_for(numbers.public_key()) == ()


def test_no_secret_in_a_repr() -> None:
    assert "RSAPrivateKey" not in repr(PSSPrivateKey(private_key("rsa")))
    assert PSSPrivateKey(private_key("rsa")).public_key() == PSSPublicKey(private_key("rsa").public_key())

"""Credentials: what people have in their PEM files, and what they are told where it does not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tlswrite.crypto.credentials import load_credentials
from tlswrite.crypto.selfsigned import make_certificate
from tlswrite.crypto.signatures import PSSPrivateKey, sign, verify
from tlswrite.crypto.x509 import public_key
from tlswrite.errors import ConfigurationError
from tlswrite.iana import SignatureScheme

VECTORS = Path(__file__).parent.parent / "vectors" / "certificates"

ROOT = make_certificate([], common_name="Root", is_ca=True)
MIDDLE = make_certificate([], common_name="Middle", is_ca=True, issuer=ROOT)
LEAF = make_certificate(["a.example", "127.0.0.1"], issuer=MIDDLE)
OTHER = make_certificate(["b.example"], key_type="ed25519")


def test_chain_key_schemes_and_names() -> None:
    credentials = load_credentials(LEAF.chain_pem, LEAF.key_pem)
    assert credentials.chain == (LEAF.der, MIDDLE.der)
    assert credentials.schemes == (SignatureScheme.ecdsa_secp256r1_sha256,)
    assert credentials.names == ("a.example", "127.0.0.1")
    signature = sign(credentials.private_key, credentials.schemes[0], b"content")
    verify(public_key(credentials.chain[0]), credentials.schemes[0], signature, b"content")


def test_they_are_frozen_and_keep_the_key_to_themselves() -> None:
    credentials = LEAF.credentials()
    assert repr(credentials) == "<Credentials for a.example, 127.0.0.1>"
    assert repr(make_certificate([]).credentials()) == "<Credentials for no name>"
    with pytest.raises(dataclasses.FrozenInstanceError):
        credentials.names = ()


def test_one_file_with_everything_in_any_order() -> None:
    for pem in (LEAF.key_pem + LEAF.chain_pem, LEAF.chain_pem + LEAF.key_pem):
        assert load_credentials(pem).chain == (LEAF.der, MIDDLE.der)
    text = b"subject=CN = a.example\nissuer=CN = Middle\n" + LEAF.chain_pem + b"\n# the key\n" + LEAF.key_pem
    assert load_credentials(text).names == ("a.example", "127.0.0.1")


@pytest.mark.parametrize("format_", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_forms_of_a_key(format_: PrivateFormat) -> None:
    plain = LEAF.private_key.private_bytes(Encoding.PEM, format_, NoEncryption())
    assert load_credentials(LEAF.chain_pem, plain).schemes
    locked = LEAF.private_key.private_bytes(Encoding.PEM, format_, BestAvailableEncryption(b"opensesame"))
    for password in ("opensesame", b"opensesame", lambda: "opensesame", lambda: b"opensesame"):
        assert load_credentials(LEAF.chain_pem, locked, password).schemes
    with pytest.raises(ConfigurationError, match="encrypted: give its password"):
        load_credentials(LEAF.chain_pem, locked)
    with pytest.raises(ConfigurationError, match=r"could not be read \(is the password right\?\)"):
        load_credentials(LEAF.chain_pem, locked, "sesame")


def test_parameters_before_the_key() -> None:
    """`openssl ecparam -genkey` writes the curve first."""
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key = LEAF.private_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert load_credentials(LEAF.chain_pem, parameters + key).schemes


def test_a_password_that_is_not_needed_is_not_asked_for() -> None:
    def ask() -> str:
        raise AssertionError("asked")

    assert load_credentials(LEAF.chain_pem, LEAF.key_pem, ask).schemes


@pytest.mark.parametrize(
    ("file", "schemes", "hash_name"),
    [
        ("rsa_pss.pem", ("rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"), None),
        ("rsa_pss_sha384.pem", ("rsa_pss_pss_sha384",), "sha384"),
    ],
)
def test_keys_under_the_pss_oid(file: str, schemes: tuple[str, ...], hash_name: str | None) -> None:
    # RFC 9846 §4.3.3: the rsa_pss_pss schemes, and not the rsa_pss_rsae ones.
    credentials = load_credentials((VECTORS / file).read_bytes())
    assert credentials.schemes == tuple(SignatureScheme[scheme] for scheme in schemes)
    assert isinstance(credentials.private_key, PSSPrivateKey)
    assert credentials.private_key.hash_name == hash_name
    signature = sign(credentials.private_key, credentials.schemes[0], b"content")
    verify(public_key(credentials.chain[0]), credentials.schemes[0], signature, b"content")


def test_mldsa() -> None:
    credentials = load_credentials((VECTORS / "mldsa44.pem").read_bytes())
    assert credentials.schemes == (SignatureScheme.mldsa44,)


def test_a_tutorials_certificate() -> None:
    credentials = load_credentials((VECTORS / "openssl_req_x509.pem").read_bytes())
    assert credentials.names == ("tutorial.example", "127.0.0.1")


# ---- what does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (b"", LEAF.key_pem, "no certificate could be read from the certificate file"),
        (LEAF.key_pem, LEAF.key_pem, "no certificate could be read from the certificate file"),
        (LEAF.chain_pem.replace(b"MII", b"MIX"), LEAF.key_pem, "no certificate could be read"),
        (LEAF.chain_pem, b"", "no private key in the key file"),
        (LEAF.chain_pem, None, "no private key in the key file"),
        (LEAF.chain_pem, LEAF.chain_pem, "no private key in the key file"),
        (LEAF.chain_pem, LEAF.key_pem.replace(b"MI", b"AA"), "the private key could not be read: "),
        (
            LEAF.chain_pem,
            OTHER.key_pem,
            r"the private key \(an Ed25519 key\) does not belong to the certificate of 'a.example'",
        ),
        (
            MIDDLE.certificate_pem + LEAF.certificate_pem,
            LEAF.key_pem,
            "belongs to the certificate of 'a.example', which must come first",
        ),
    ],
)
def test_files_that_do_not_fit(certificate: bytes, key: bytes | None, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_credentials(certificate, key)


def test_another_key_for_a_pss_certificate() -> None:
    pem = x509.load_pem_x509_certificate((VECTORS / "rsa_pss.pem").read_bytes()).public_bytes(Encoding.PEM)
    stranger = make_certificate(["x.example"], key_type="rsa")
    with pytest.raises(ConfigurationError, match=r"2048 bits\) does not belong to .*'pss.example'"):
        load_credentials(pem, stranger.key_pem)
    with pytest.raises(ConfigurationError, match="does not belong"):
        load_credentials(pem, OTHER.key_pem)


def test_a_key_usage_without_signatures() -> None:
    # RFC 9846 §4.5.1.2: the digitalSignature bit MUST be set if the Key Usage extension is present.
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    old = make_certificate(["old.example"], key_type="rsa", extensions=[(usage, True)])
    with pytest.raises(ConfigurationError, match=r"of 'old\.example' does not allow digital signatures"):
        old.credentials()


def test_a_weak_key() -> None:
    weak = make_certificate(["weak.example"], private_key=rsa.generate_private_key(65537, 1024))
    with pytest.raises(
        ConfigurationError, match=r"of no use: .* 1024 bits; an RSA key must have at least 2048"
    ):
        load_credentials(weak.chain_pem, weak.key_pem)

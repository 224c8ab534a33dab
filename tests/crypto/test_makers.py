"""Certificates as other programs make them: trustme, openssl, mkcert; and the bundles that programs bring along."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import certifi
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support.chains import SERVER, Cert, authority, issue, leaf, root
from tlswrite.crypto.credentials import load_credentials
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.crypto.x509 import verify_server
from tlswrite.errors import CertificateError, ConfigurationError

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl program here")


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, check=True, timeout=60)


def test_trustme() -> None:
    top = trustme.CA()
    middle = top.create_child_ca()
    anchors = TrustAnchors.from_pem(top.cert_pem.bytes())
    for issuer in (top, middle):
        made = issuer.issue_cert("a.example", "*.w.example", "127.0.0.1", "::1")
        pem = made.private_key_and_cert_chain_pem.bytes()
        credentials = load_credentials(pem)
        for name in ("a.example", "x.w.example", "127.0.0.1", "::1"):
            assert verify_server(credentials.chain, anchors, name)
        with pytest.raises(CertificateError, match="is not for"):
            verify_server(credentials.chain, anchors, "b.example")


@needs_openssl
@pytest.mark.parametrize(
    "key",
    [("rsa:2048",), ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"), ("ed25519",)],
    ids=lambda key: key[0],
)
def test_openssl_req_x509(key: tuple[str, ...], tmp_path: Path) -> None:
    """The self-signed certificate that every tutorial makes; it says that it is an authority."""
    openssl(
        tmp_path,
        *("req", "-x509", "-newkey", *key, "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "30"),
        *("-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example,IP:127.0.0.1"),
    )
    pem = (tmp_path / "cert.pem").read_bytes()
    credentials = load_credentials(pem, (tmp_path / "key.pem").read_bytes())
    for name in ("a.example", "127.0.0.1"):
        assert verify_server(credentials.chain, TrustAnchors.from_pem(pem), name)


@needs_openssl
def test_a_private_authority_without_key_identifiers(tmp_path: Path) -> None:
    """`openssl req`, then `openssl x509 -req` with a file of extensions, as in many a Makefile."""
    (tmp_path / "ca.cnf").write_text(
        "[req]\ndistinguished_name=dn\nx509_extensions=ca\nprompt=no\n[dn]\nO=Home\nCN=Home CA\n"
        "[ca]\nbasicConstraints=CA:TRUE\n[leaf]\nsubjectAltName=critical,DNS:a.example\n"
    )
    openssl(
        tmp_path,
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem"),
        *("-config", "ca.cnf", "-days", "30"),
    )
    openssl(
        tmp_path,
        *("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "req.pem", "-subj", "/CN=x"),
    )
    openssl(
        tmp_path,
        *("x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-extfile", "ca.cnf", "-extensions", "leaf", "-out", "cert.pem", "-days", "30"),
    )
    credentials = load_credentials((tmp_path / "cert.pem").read_bytes(), (tmp_path / "key.pem").read_bytes())
    assert verify_server(credentials.chain, TrustAnchors.from_file(tmp_path / "ca.pem"), "a.example")


def test_the_shape_that_mkcert_makes() -> None:
    """A root with a long subject and pathlen 0; a leaf without common name, with key encipherment too."""
    who = (
        (NameOID.ORGANIZATION_NAME, "mkcert development CA"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "me@here"),
    )
    top = root(
        "mkcert me@here",
        attributes=who,
        path_length=0,
        usage=("key_cert_sign",),
        kind="rsa2048",
        days=(-1, 3650),
    )
    shown = leaf(
        top,
        "a.example",
        "*.a.example",
        "127.0.0.1",
        subject="",
        attributes=((NameOID.ORGANIZATION_NAME, "mkcert development certificate"), who[1]),
        usage=("digital_signature", "key_encipherment"),
        purposes=SERVER,
        kind="rsa2048",
        days=(-1, 825),
    )
    anchors = TrustAnchors([top.certificate])
    for name in ("a.example", "b.a.example", "127.0.0.1"):
        assert verify_server([shown.der], anchors, name)


def test_certifi() -> None:
    """Every certificate of Mozilla's bundle is an anchor here."""
    path = certifi.where()
    anchors = TrustAnchors.from_file(path)
    assert len(anchors.certificates) == Path(path).read_text(encoding="utf-8").count(
        "-----BEGIN CERTIFICATE-----"
    )
    assert len(anchors.certificates) > 100


# ---- forms ----


def make() -> tuple[Cert, Cert]:
    top = root()
    return top, authority("second", top)


def test_der_one_behind_the_other() -> None:
    first, second = make()
    assert TrustAnchors.from_der(first.der + second.der).certificates == (
        first.certificate,
        second.certificate,
    )


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 100, -1])
def test_der_that_is_cut_short(cut: int) -> None:
    first, second = make()
    data = first.der + second.der
    with pytest.raises(ConfigurationError, match="of the DER data cannot be read"):
        TrustAnchors.from_der(data[: len(first.der) + cut] if cut > 0 else data[:cut])


@pytest.mark.parametrize("data", [b"", b"\0" * 10, b"no certificate at all", b"\x30\x84\xff\xff\xff\xff"])
def test_what_is_no_der(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match="DER data"):
        TrustAnchors.from_der(data)


def test_pem_with_words_around_it() -> None:
    own = issue("own", san=("a.example",), usage=())
    text = b"Subject: own\n" + own.pem + b"trailing words\n" + own.pem
    anchors = TrustAnchors.from_pem(text)
    assert anchors.certificates == (own.certificate,)
    assert isinstance(anchors.certificates[0], x509.Certificate)
    assert own.certificate.public_bytes(Encoding.PEM) in text


@needs_openssl
@pytest.mark.parametrize("form", ["pkcs8", "traditional"])
def test_keys_that_are_encrypted(form: str, tmp_path: Path) -> None:
    own = issue("own", san=("a.example",), kind="rsa2048", usage=())
    from cryptography.hazmat.primitives import serialization

    (tmp_path / "plain.pem").write_bytes(
        own.key.private_bytes(
            Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    secret = ("-passout", "pass:open sesame")
    if form == "pkcs8":
        openssl(tmp_path, "pkcs8", "-topk8", "-in", "plain.pem", "-out", "key.pem", *secret)
    else:
        openssl(tmp_path, "rsa", "-aes256", "-traditional", "-in", "plain.pem", "-out", "key.pem", *secret)
    key = (tmp_path / "key.pem").read_bytes()
    assert b"ENCRYPTED" in key
    for password in ("open sesame", b"open sesame", lambda: "open sesame"):
        assert load_credentials(own.pem, key, password).names == ("a.example",)
    with pytest.raises(ConfigurationError, match="give its password"):
        load_credentials(own.pem, key)
    with pytest.raises(ConfigurationError, match="is the password right"):
        load_credentials(own.pem, key, "another")


@needs_openssl
def test_parameters_in_front_of_a_key(tmp_path: Path) -> None:
    """`openssl ecparam -genkey` writes EC PARAMETERS first; key and certificate may share a file, in any order."""
    openssl(tmp_path, "ecparam", "-name", "prime256v1", "-genkey", "-out", "key.pem")
    openssl(
        tmp_path,
        *("req", "-x509", "-new", "-key", "key.pem", "-out", "cert.pem", "-subj", "/CN=x"),
        *("-addext", "subjectAltName=DNS:a.example"),
    )
    key, certificate = (tmp_path / "key.pem").read_bytes(), (tmp_path / "cert.pem").read_bytes()
    assert b"EC PARAMETERS" in key
    for together in (key + certificate, certificate + key):
        assert load_credentials(together).names == ("a.example",)

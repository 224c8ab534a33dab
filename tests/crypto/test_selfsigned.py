"""Certificates made on the spot: as asked for, and such that others take them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlswrite.crypto.selfsigned import KEY_TYPES, make_certificate
from tlswrite.crypto.x509 import verify_client, verify_server
from tlswrite.errors import CertificateError, ConfigurationError


def test_self_signed() -> None:
    issued = make_certificate(["localhost", "127.0.0.1"])
    assert issued.issuers == () and issued.root is issued.certificate
    assert issued.chain == (issued.der,)
    assert issued.chain_pem == issued.certificate_pem == issued.root_pem
    assert verify_server(issued.chain, issued.anchors(), "127.0.0.1")
    assert verify_client(issued.chain, issued.anchors())
    assert repr(issued) == "<Issued CN=localhost>"


def test_issued_through_an_intermediate() -> None:
    root = make_certificate([], common_name="Root", is_ca=True)
    middle = make_certificate([], common_name="Middle", is_ca=True, issuer=root, path_length=0)
    leaf = make_certificate(["a.example"], issuer=middle)
    assert leaf.chain == (leaf.der, middle.der)
    assert leaf.chain_pem == leaf.certificate_pem + middle.certificate_pem
    assert leaf.root is root.certificate and leaf.root_pem == root.certificate_pem
    assert len(verify_server(leaf.chain, leaf.anchors(), "a.example")) == 3
    constraints = middle.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.ca and constraints.path_length == 0


@pytest.mark.parametrize("key_type", [name for name in KEY_TYPES if name not in ("rsa3072", "rsa4096")])
def test_key_types(key_type: str) -> None:
    try:
        issued = make_certificate(["a.example"], key_type=key_type)
    except ConfigurationError as error:
        assert key_type.startswith("mldsa"), error  # cryptography 48 has the keys and not the certificates
        pytest.skip(str(error))
    assert verify_server(issued.chain, issued.anchors(), "a.example")
    assert (
        issued.credentials().schemes[0].name.startswith(key_type.removeprefix("ecdsa_")[:3])
        or key_type[:5] == "ecdsa"
    )


def test_a_key_that_signs_nothing() -> None:
    with pytest.raises(ConfigurationError, match="signs no certificate with an X25519 key"):
        make_certificate(["a.example"], private_key=X25519PrivateKey.generate())


def test_an_unknown_key_type() -> None:
    with pytest.raises(ConfigurationError, match="no key type 'dsa'; there is ecdsa_secp256r1, "):
        make_certificate(["a.example"], key_type="dsa")


def test_purposes() -> None:
    both = make_certificate(["a.example"])
    usage = both.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    server = make_certificate(["a.example"], client=False)
    with pytest.raises(CertificateError):
        verify_client(server.chain, server.anchors())
    client = make_certificate(["a.example"], server=False)
    with pytest.raises(CertificateError):
        verify_server(client.chain, client.anchors(), "a.example")
    neither = make_certificate(["a.example"], server=False, client=False)
    with pytest.raises(x509.ExtensionNotFound):
        neither.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)


def test_dates() -> None:
    issued = make_certificate(["a.example"])
    now = datetime.now(UTC)
    assert issued.certificate.not_valid_before_utc < now - timedelta(minutes=59)
    assert now + timedelta(days=29) < issued.certificate.not_valid_after_utc < now + timedelta(days=31)
    start, end = datetime(2001, 2, 3, tzinfo=UTC), datetime(2004, 5, 6, tzinfo=UTC)
    issued = make_certificate(["a.example"], not_before=start, not_after=end)
    assert (issued.certificate.not_valid_before_utc, issued.certificate.not_valid_after_utc) == (start, end)


def test_names_of_every_kind() -> None:
    issued = make_certificate(["*.a.example", "bücher.example", "::1", "10.0.0.1"])
    names = issued.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.a.example", "xn--bcher-kva.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["::1", "10.0.0.1"]
    assert (
        make_certificate(["n" * 60 + ".example"]).certificate.subject.rfc4514_string() == f"CN={'n' * 60}.exa"
    )


def test_an_extension_of_ones_own_replaces_the_usual_one() -> None:
    plain = x509.BasicConstraints(False, None)
    issued = make_certificate([], is_ca=True, extensions=[(plain, False)])
    found = issued.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert not found.value.ca and not found.critical


def test_an_encrypted_key() -> None:
    issued = make_certificate(["a.example"])
    pem = issued.encrypted_key_pem(b"password")
    assert b"ENCRYPTED" in pem
    assert load_pem_private_key(pem, b"password").public_key() == issued.private_key.public_key()


def test_openssl_takes_them(tmp_path: Path) -> None:
    """A handshake of `ssl` with itself, in memory."""
    root = make_certificate([], common_name="Root", is_ca=True)
    leaf = make_certificate(["a.example"], issuer=make_certificate([], is_ca=True, issuer=root))
    file = tmp_path / "leaf.pem"
    file.write_bytes(leaf.chain_pem + leaf.key_pem)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    client_context = ssl.create_default_context(cadata=root.certificate_pem.decode())
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="a.example")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"
    assert client.getpeercert(True) == leaf.der

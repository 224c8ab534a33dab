"""What a certificate says, beside what Python's `ssl` says of it; and that no bytes break the reading."""

from __future__ import annotations

import hashlib
import random
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tlswrite import limits
from tlswrite.crypto.certificates import (
    _pss_hash,
    load_certificate,
    load_chain,
    names_of,
    peercert_dict,
    public_key,
    public_key_of,
    server_end_point,
    subject_of,
    text,
)
from tlswrite.crypto.selfsigned import Issued, make_certificate
from tlswrite.crypto.signatures import PSSPublicKey, schemes_for
from tlswrite.errors import CertificateError
from tlswrite.iana import AlertDescription, SignatureScheme

VECTORS = Path(__file__).parent.parent / "vectors" / "certificates"


def vector(name: str) -> list[bytes]:
    """The certificates of a file, DER form."""
    certificates = x509.load_pem_x509_certificates((VECTORS / name).read_bytes())
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates]


LEAF = make_certificate(["a.example", "127.0.0.1"])


# ---- loading ----------------------------------------------------------------------------------------


def test_load_chain() -> None:
    assert [certificate.public_bytes(Encoding.DER) for certificate in load_chain([LEAF.der] * 2)] == [
        LEAF.der
    ] * 2


def test_load_chain_of_nothing() -> None:
    with pytest.raises(CertificateError, match="without a certificate"):
        load_chain([])


def test_load_chain_too_long() -> None:
    load_chain([LEAF.der] * limits.MAX_CHAIN_LENGTH)
    with pytest.raises(CertificateError, match="17 certificates; at most 16"):
        load_chain([LEAF.der] * (limits.MAX_CHAIN_LENGTH + 1))


@pytest.mark.parametrize(
    "der", [b"", b"\x30", b"\x30\x00", b"not DER at all", b"\x00" * 100, LEAF.der + b"\x00"]
)
def test_bytes_that_are_no_certificate(der: bytes) -> None:
    for read in (load_certificate, public_key, peercert_dict, server_end_point):
        with pytest.raises(CertificateError, match="cannot be read") as caught:
            read(der)
        assert caught.value.alert is AlertDescription.BAD_CERTIFICATE


# ---- public keys ------------------------------------------------------------------------------------


def test_public_key() -> None:
    assert public_key(LEAF.der) == LEAF.private_key.public_key()
    assert public_key(LEAF.der) is public_key(bytes(bytearray(LEAF.der))), "remembered"


def test_the_key_of_a_giant_is_not_remembered() -> None:
    padding = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.1"), b"\x04\x82\x27\x10" + bytes(10000)
    )
    giant = make_certificate(["giant.example"], extensions=[(padding, False)])
    assert public_key(giant.der) == giant.private_key.public_key()
    assert public_key(giant.der) is not public_key(giant.der)


@pytest.mark.parametrize(
    ("file", "hash_name", "schemes"),
    [
        ("rsa_pss.pem", None, ("rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512")),
        ("rsa_pss_sha384.pem", "sha384", ("rsa_pss_pss_sha384",)),
    ],
)
def test_keys_under_the_pss_oid(file: str, hash_name: str | None, schemes: tuple[str, ...]) -> None:
    # RFC 9846 §4.3.3: rsa_pss_pss MUST use the RSASSA-PSS OID, rsa_pss_rsae the rsaEncryption OID.
    key = public_key(vector(file)[0])
    assert isinstance(key, PSSPublicKey) and key.hash_name == hash_name
    assert schemes_for(key) == tuple(SignatureScheme[scheme] for scheme in schemes)


def test_a_pss_key_that_is_fixed_to_sha1() -> None:
    with pytest.raises(CertificateError, match="RSASSA-PSS and sha1; no signature scheme"):
        public_key(vector("rsa_pss_sha1.pem")[0])


def test_parameters_of_a_pss_key_without_a_hash_mean_sha1() -> None:
    # RFC 4055 §3.1: hashAlgorithm [0] HashAlgorithm DEFAULT sha1Identifier; here only a saltLength [2].
    def element(tag: int, *content: bytes) -> bytes:
        body = b"".join(content)
        return bytes([tag, len(body)]) + body

    parameters = element(0x30, element(0xA2, element(0x02, b"\x20")))
    algorithm = element(0x30, element(0x06, bytes.fromhex("2a864886f70d01010a")), parameters)
    empty = element(0x30)
    version, serial = element(0xA0, element(0x02, b"\x02")), element(0x02, b"\x01")
    key = element(0x30, algorithm, element(0x03, b"\x00"))
    for head in ((version, serial), (serial,)):
        assert _pss_hash(element(0x30, *head, empty, empty, empty, empty, key)) == "sha1"


def test_mldsa() -> None:
    assert schemes_for(public_key(vector("mldsa44.pem")[0])) == (SignatureScheme.mldsa44,)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (
            lambda: rsa.generate_private_key(65537, 1024),
            "an RSA key of 1024 bits; an RSA key must have at least 2048 bits",
        ),
        (
            lambda: ec.generate_private_key(ec.SECP256K1()),
            "an EC key on secp256k1; no signature scheme of TLS 1.3",
        ),
        (lambda: dsa.generate_private_key(2048), "a DSA key; no signature scheme of TLS 1.3"),
    ],
)
def test_keys_of_no_use(key: Any, words: str) -> None:
    certificate = make_certificate(["a.example"], private_key=key(), issuer=make_certificate([], is_ca=True))
    with pytest.raises(CertificateError, match=words) as caught:
        public_key_of(certificate.certificate)
    # RFC 9846 §4.5.1.3: a certificate-related alert, by default "unsupported_certificate".
    assert caught.value.alert is AlertDescription.UNSUPPORTED_CERTIFICATE


class Forged:
    """Stands for a private key where only its public half is asked for."""

    def __init__(self, exponent: int, modulus: int) -> None:
        self.public = rsa.RSAPublicNumbers(exponent, modulus).public_key()

    def public_key(self) -> rsa.RSAPublicKey:
        return self.public


@pytest.mark.parametrize(
    ("exponent", "modulus", "words"),
    [
        (65537, (1 << 8192) | 1, "an RSA key of 8193 bits and an exponent of 17; at most 8192 and 64 here"),
        ((1 << 3000) | 1, (1 << 3071) | 1, "an RSA key of 3072 bits and an exponent of 3001; at most"),
    ],
)
def test_keys_that_are_a_burden(exponent: int, modulus: int, words: str) -> None:
    """A few bytes from a peer must not become seconds of work."""
    authority = make_certificate([], is_ca=True)
    giant = make_certificate(["a.example"], private_key=Forged(exponent, modulus), issuer=authority)
    for read in (lambda: public_key(giant.der), lambda: load_chain([LEAF.der, giant.der])):
        with pytest.raises(CertificateError, match=words) as caught:
            read()
        assert caught.value.alert is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_an_issuer_whose_key_cannot_be_read_is_only_of_no_use() -> None:
    # RFC 9846 §4.5.1: SHOULD be prepared to handle potentially extraneous certificates.
    der = bytearray(vector("openssl_req_x509.pem")[0])
    curve = bytes.fromhex("06082a8648ce3d030107")  # prime256v1
    position = der.index(curve)
    der[position : position + len(curve)] = bytes.fromhex("06082a8648ce3d030163")  # no such curve
    assert len(load_chain([LEAF.der, bytes(der)])) == 2
    with pytest.raises(CertificateError, match="cannot be read"):
        public_key(bytes(der))


# ---- names for messages -----------------------------------------------------------------------------


def test_names_of() -> None:
    leaf = make_certificate(["b.example", "*.c.example", "::1", "10.0.0.1"])
    assert names_of(leaf.certificate) == ("b.example", "*.c.example", "::1", "10.0.0.1")
    assert names_of(make_certificate([]).certificate) == ()


def test_subject_of() -> None:
    assert subject_of(make_certificate([], common_name="Somebody").certificate) == "'Somebody'"
    assert subject_of(make_certificate([], common_name="a\nb\x1b[31m").certificate) == "'a?b?[31m'"
    organisation = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")])
    assert subject_of(_with_subject(organisation)) == "'O=Acme'"
    assert subject_of(_with_subject(x509.Name([]))) == "'a.example, b.example, c.example'"


def _with_subject(name: x509.Name, ca: bool = False) -> x509.Certificate:
    key = LEAF.private_key
    names = [x509.DNSName(f"{letter}.example") for letter in "abcd"]
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2050, 1, 1, tzinfo=UTC),
    )
    san = x509.SubjectAlternativeName(names)
    builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
    return builder.add_extension(san, False).sign(key, hashes.SHA256())


def test_text() -> None:
    assert text("short", 10) == "short"
    assert text("much too long", 10) == "much too …"
    assert text("\x00\x1b\u202e", 10) == "???"


# ---- getpeercert ------------------------------------------------------------------------------------

FULL = make_certificate(
    ["placeholder.example"],
    is_ca=True,  # `ssl` shows the certificates of authorities only
    extensions=[
        (
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("a.example"),
                    x509.DNSName("*.b.example"),
                    x509.IPAddress(ip_address("192.0.2.1")),
                    x509.IPAddress(ip_address("2001:db8::a:1")),
                    x509.RFC822Name("someone@example.com"),
                    x509.UniformResourceIdentifier("https://example.com/x"),
                    x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
                    x509.DirectoryName(
                        x509.Name(
                            [
                                x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
                                x509.NameAttribute(NameOID.COMMON_NAME, "Directory"),
                            ]
                        )
                    ),
                ]
            ),
            False,
        ),
        (
            x509.AuthorityInformationAccess(
                [
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.OCSP,
                        x509.UniformResourceIdentifier("http://ocsp.example/"),
                    ),
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.CA_ISSUERS,
                        x509.UniformResourceIdentifier("http://ca.example/1.der"),
                    ),
                    x509.AccessDescription(
                        AuthorityInformationAccessOID.CA_ISSUERS,
                        x509.UniformResourceIdentifier("http://ca.example/2.der"),
                    ),
                ]
            ),
            False,
        ),
        (
            x509.CRLDistributionPoints(
                [
                    x509.DistributionPoint(
                        [x509.UniformResourceIdentifier("http://crl.example/1.crl")], None, None, None
                    ),
                    x509.DistributionPoint(
                        None,
                        x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "crl")]),
                        None,
                        None,
                    ),
                ]
            ),
            False,
        ),
    ],
)


def in_ssl(der: bytes) -> dict[str, Any]:
    """What `ssl` makes of a certificate of an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=der)
    return context.get_ca_certs()[0]


@pytest.mark.parametrize(
    "der",
    [
        FULL.der,
        make_certificate([], is_ca=True, common_name="Plain").der,
        make_certificate([], is_ca=True, not_before=datetime(2003, 2, 1, 4, 5, 6, tzinfo=UTC)).der,
        make_certificate([], is_ca=True, not_after=datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)).der,
        vector("openssl_req_x509.pem")[0],
        vector("rsa_pss.pem")[0],
    ],
    ids=["full", "plain", "early", "late", "openssl", "pss"],
)
def test_peercert_is_what_ssl_says(der: bytes) -> None:
    ours, theirs = peercert_dict(der), in_ssl(der)
    if "crlDistributionPoints" in theirs:
        assert theirs["crlDistributionPoints"] == ("http://crl.example/1.crl",)
    assert ours == theirs
    assert list(ours) == list(theirs)


def test_peercert_of_names_of_every_kind() -> None:
    attributes = [
        x509.NameAttribute(oid, "DE" if "COUNTRY" in name else f"value of {name.replace('_', ' ')}")
        for name, oid in vars(NameOID).items()
        if name.isupper() and name not in ("SNILS", "INN", "OGRN", "UNSIGNED", "X500_UNIQUE_IDENTIFIER")
    ]
    der = _with_subject(x509.Name(attributes), ca=True).public_bytes(Encoding.DER)
    assert len(peercert_dict(der)["subject"]) == len(attributes)
    ours, theirs = dict(sum(peercert_dict(der)["subject"], ())), dict(sum(in_ssl(der)["subject"], ()))
    # Names that OpenSSL 3.0 lacks come as numbers there.
    assert {name: value for name, value in ours.items() if name in theirs} == {
        name: value for name, value in theirs.items() if not name[0].isdigit()
    }


def test_peercert_of_an_unsupported_general_name() -> None:
    other = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x05other")
    certificate = make_certificate([], extensions=[(x509.SubjectAlternativeName([other]), False)])
    assert peercert_dict(certificate.der)["subjectAltName"] == (("othername", "<unsupported>"),)


# ---- tls-server-end-point ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("der", "hash_name"),
    [
        (LEAF.der, "sha256"),
        (make_certificate(["a.example"], key_type="ecdsa_secp384r1").der, "sha384"),
        (make_certificate(["a.example"], key_type="rsa").der, "sha256"),
        (vector("rsa_pss_sha384.pem")[0], "sha384"),
        # RFC 5929 §4.1: SHA-256 in the place of MD5 and SHA-1.
        (vector("signed_sha1.pem")[0], "sha256"),
        (vector("signed_md5.pem")[0], "sha256"),
    ],
)
def test_server_end_point(der: bytes, hash_name: str) -> None:
    assert server_end_point(der) == hashlib.new(hash_name, der).digest()


def test_server_end_point_is_not_defined_for_every_signature() -> None:
    assert server_end_point(make_certificate(["a.example"], key_type="ed25519").der) is None


# ---- fuzz -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("issued", [FULL, LEAF], ids=["full", "leaf"])
def test_a_flip_at_every_offset_reads_or_is_refused(issued: Issued) -> None:
    """Whatever is read of an altered certificate: a result or CertificateError, and no other exception."""
    noise = random.Random(1)
    for offset in range(len(issued.der)):
        altered = bytearray(issued.der)
        altered[offset] ^= 1 << noise.randrange(8)
        for read in (public_key, peercert_dict, server_end_point, _names):
            try:
                read(bytes(altered))
            except CertificateError as error:
                assert error.alert in (
                    AlertDescription.BAD_CERTIFICATE,
                    AlertDescription.UNSUPPORTED_CERTIFICATE,
                )


def _names(der: bytes) -> object:
    certificate = load_certificate(der)
    return names_of(certificate), subject_of(certificate)


@pytest.mark.parametrize("file", ["rsa_pss.pem", "rsa_pss_sha384.pem", "rsa_pss_sha1.pem"])
def test_a_flip_at_every_offset_of_a_pss_certificate(file: str) -> None:
    """Its key is read by a parser of our own."""
    der = vector(file)[0]
    for offset in range(len(der)):
        for mask in (0x01, 0x80, 0xFF):
            altered = bytearray(der)
            altered[offset] ^= mask
            try:
                public_key(bytes(altered))
            except CertificateError:
                continue


def test_a_cut_at_every_offset_is_refused() -> None:
    for end in range(len(LEAF.der)):
        with pytest.raises(CertificateError):
            load_certificate(LEAF.der[:end])

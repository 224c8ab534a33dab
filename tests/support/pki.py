"""Certificates for tests: one authority a process, leaves of every key type, each made once.

    authority().certificate_pem                       # the trust anchor
    issue(("localhost", "127.0.0.1"))                 # a server's certificate, ECDSA P-256
    issue(("localhost",), key_type="ed25519")
    issue(("client",), client=True)                   # for client authentication
    expired(), not_yet_valid(), wrong_name(), wrong_usage(), from_stranger(), through_intermediate()
    write(directory, issue())                         # PEM files for peers that want paths

All functions are cached: equal arguments give the same object. Nothing here is a secret.
"""

from __future__ import annotations

import base64
import ipaddress
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key; `chain_pem` is the leaf and any intermediates, without the root."""

    certificate_pem: bytes
    key_pem: bytes
    chain_pem: bytes
    key_type: str
    key: Any
    issuer_pem: bytes

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem)

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def chain_der(self) -> list[bytes]:
        certificates = x509.load_pem_x509_certificates(self.chain_pem)
        return [certificate.public_bytes(Encoding.DER) for certificate in certificates]


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of PEM files, for peers that are other programs."""

    certfile: Path
    keyfile: Path
    cafile: Path


@cache
def key_types() -> tuple[str, ...]:
    """The key types this machine's `cryptography` can make; ML-DSA is not everywhere."""
    return tuple(name for name in KEY_MAKERS if _can_make(name))


@cache
def authority(name: str = "tlswrite test authority", key_type: str = "ecdsa_secp256r1") -> Issued:
    return _make(
        subject=name,
        key_type=key_type,
        extensions=_authority_extensions(path_length=1),
        not_before=NOW - 365 * DAY,
        not_after=NOW + 365 * DAY,
        issuer=None,
    )


@cache
def issue(
    names: tuple[str, ...] = LOCAL,
    *,
    key_type: str = "ecdsa_secp256r1",
    client: bool = False,
    not_before: datetime = NOW - DAY,
    not_after: datetime = NOW + 30 * DAY,
    issuer: Issued | None = None,
) -> Issued:
    """A leaf for DNS names and IP addresses, for server (default) or client authentication."""
    usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    return _make(
        subject=names[0],
        key_type=key_type,
        extensions=_leaf_extensions(names, usage, key_type),
        not_before=not_before,
        not_after=not_after,
        issuer=issuer or authority(),
    )


def expired(names: tuple[str, ...] = LOCAL, **options: Any) -> Issued:
    return issue(names, not_before=NOW - 30 * DAY, not_after=NOW - DAY, **options)


def not_yet_valid(names: tuple[str, ...] = LOCAL, **options: Any) -> Issued:
    return issue(names, not_before=NOW + DAY, not_after=NOW + 30 * DAY, **options)


def wrong_name() -> Issued:
    return issue(("elsewhere.example", "192.0.2.1"))


@cache
def common_name_alone() -> Issued:
    """The right name, but in the subject alone."""
    return _make(
        subject=LOCAL[0],
        key_type="ecdsa_secp256r1",
        extensions=_leaf_extensions(
            ("elsewhere.example",), ExtendedKeyUsageOID.SERVER_AUTH, "ecdsa_secp256r1"
        ),
        not_before=NOW - DAY,
        not_after=NOW + 30 * DAY,
        issuer=authority(),
    )


def wrong_usage() -> Issued:
    """Good for a client, shown by a server."""
    return issue(LOCAL, client=True)


def stranger() -> Issued:
    """An authority that nobody trusts."""
    return authority("an authority nobody trusts")


def from_stranger(**options: Any) -> Issued:
    return issue(LOCAL, issuer=stranger(), **options)


@cache
def intermediate(key_type: str = "ecdsa_secp384r1") -> Issued:
    return _make(
        subject="tlswrite test intermediate",
        key_type=key_type,
        extensions=_authority_extensions(path_length=0),
        not_before=NOW - 365 * DAY,
        not_after=NOW + 365 * DAY,
        issuer=authority(),
    )


def through_intermediate(names: tuple[str, ...] = LOCAL, **options: Any) -> Issued:
    return issue(names, issuer=intermediate(), **options)


def write(directory: Path, issued: Issued, name: str = "leaf") -> Files:
    """Write chain, key and root as PEM files into a directory of the test."""
    files = Files(directory / f"{name}.pem", directory / f"{name}.key", directory / f"{name}-ca.pem")
    files.certfile.write_bytes(issued.chain_pem)
    files.keyfile.write_bytes(issued.key_pem)
    files.cafile.write_bytes(authority().certificate_pem)
    return files


# ---- making ----------------------------------------------------------------------------------------


def _generate_mldsa(bits: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    return getattr(mldsa, f"MLDSA{bits}PrivateKey").generate()


KEY_MAKERS: dict[str, Callable[[], Any]] = {
    "ecdsa_secp256r1": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa_secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ecdsa_secp521r1": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa_pss": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "mldsa44": lambda: _generate_mldsa(44),
    "mldsa65": lambda: _generate_mldsa(65),
    "mldsa87": lambda: _generate_mldsa(87),
}


def _can_make(key_type: str) -> bool:
    try:
        _key(key_type)
    except Exception:  # whatever an older `cryptography` says about a primitive it does not have
        return False
    return True


@cache
def _key(key_type: str) -> Any:
    """One key a type is enough for leaves; authorities get their own below."""
    return KEY_MAKERS[key_type]()


def _make(
    *,
    subject: str,
    key_type: str,
    extensions: list[tuple[x509.ExtensionType, bool]],
    not_before: datetime,
    not_after: datetime,
    issuer: Issued | None,
) -> Issued:
    is_ca = any(isinstance(value, x509.BasicConstraints) and value.ca for value, _ in extensions)
    key = KEY_MAKERS[key_type]() if is_ca else _key(key_type)
    issuer_key = issuer.key if issuer else key
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
    )
    certificate = builder.sign(issuer_key, _hash_for(issuer_key))
    der = certificate.public_bytes(Encoding.DER)
    key_der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if key_type == "rsa_pss":
        der, key_der = _as_rsassa_pss(der, issuer_key), _pss_key(key_der)
    certificate_pem = _pem(der, "CERTIFICATE")
    between = issuer.certificate_pem if issuer and issuer.issuer_pem != issuer.certificate_pem else b""
    return Issued(
        certificate_pem=certificate_pem,
        key_pem=_pem(key_der, "PRIVATE KEY"),
        chain_pem=certificate_pem + between,
        key_type=key_type,
        key=key,
        issuer_pem=issuer.certificate_pem if issuer else certificate_pem,
    )


def _hash_for(key: Any) -> hashes.HashAlgorithm | None:
    return hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) else None


def _authority_extensions(path_length: int) -> list[tuple[x509.ExtensionType, bool]]:
    usage = _key_usage(key_cert_sign=True, crl_sign=True)
    return [(x509.BasicConstraints(ca=True, path_length=path_length), True), (usage, True)]


def _leaf_extensions(
    names: tuple[str, ...], usage: x509.ObjectIdentifier, key_type: str
) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(digital_signature=True, key_encipherment=key_type == "rsa"), True),
        (x509.ExtendedKeyUsage([usage]), False),
        (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
    ]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(**on: bool) -> x509.KeyUsage:
    fields = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{field: on.get(field, False) for field in fields.split()})


def _pem(der: bytes, label: str) -> bytes:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()


# ---- id-RSASSA-PSS: `cryptography` writes rsaEncryption only, so the identifier is changed in the DER ----

RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
RSASSA_PSS = bytes.fromhex("300b06092a864886f70d01010a")  # no parameters: any hash (RFC 4055 §1.2)


def _as_rsassa_pss(der: bytes, issuer_key: Any) -> bytes:
    """The certificate with id-RSASSA-PSS as its key's algorithm, signed again."""
    (certificate,) = _split(der)
    _, algorithm, _ = _split(certificate[1])
    fields = _split(_split(certificate[1])[0][1])
    index = next(i for i, (tag, body) in enumerate(fields) if tag == 0x30 and RSA_ENCRYPTION in body[:20])
    fields[index] = (0x30, fields[index][1].replace(RSA_ENCRYPTION, RSASSA_PSS, 1))
    to_be_signed = _tlv(0x30, b"".join(_tlv(tag, body) for tag, body in fields))
    signature = issuer_key.sign(to_be_signed, ec.ECDSA(hashes.SHA256()))
    return _tlv(0x30, to_be_signed + _tlv(*algorithm) + _tlv(0x03, b"\0" + signature))


def _pss_key(der: bytes) -> bytes:
    return _tlv(0x30, _split(der)[0][1].replace(RSA_ENCRYPTION, RSASSA_PSS, 1))


def _split(der: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            octets = length & 0x7F
            length, at = int.from_bytes(der[at : at + octets]), at + octets
        found.append((tag, der[at : at + length]))
        at += length
    return found


def _tlv(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | octets]) + size.to_bytes(octets) + body

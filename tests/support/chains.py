"""Chains of every kind, right and wrong, for a table of verdicts.

    chain = Chain(leaf, middle).under(root)         # what a server sends, and who is trusted
    leaf = issue("leaf", by=root, san=("a.example",))

Keys are made once and shared; nothing here is a secret.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)

SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


@dataclass(frozen=True, eq=False)
class Cert:
    """A certificate with the key that it certifies."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, eq=False)
class Chain:
    """What a server shows, its own first, and the anchors of the client, which looks for `name`."""

    shown: Sequence[Cert]
    anchors: Sequence[Cert]
    name: str | None = "a.example"


@cache
def key(kind: str, number: int = 0) -> Any:
    """A key; `number` tells keys of one kind apart."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


_numbers: dict[str, int] = {}


def _new_key(kind: str) -> Any:
    _numbers[kind] = _numbers.get(kind, 0) + 1
    return key(kind, _numbers[kind] % 8 if kind.startswith("rsa") else _numbers[kind])


@dataclass(frozen=True)
class Plan:
    """What a certificate is to say; None and empty leave an extension out."""

    subject: str = ""
    attributes: tuple[tuple[x509.ObjectIdentifier, str], ...] = ()
    san: tuple[Any, ...] = ()
    san_critical: bool = False
    ca: bool | None = None
    path_length: int | None = None
    constraints_critical: bool = True
    usage: tuple[str, ...] | None = ()
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    permitted: tuple[x509.GeneralName, ...] = ()
    excluded: tuple[x509.GeneralName, ...] = ()
    key_identifiers: bool = True
    days: tuple[float, float] = (-1, 30)
    kind: str = "p256"
    hash: Any = field(default_factory=hashes.SHA256)
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    version: int = 3


_USAGES = [
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
]


def issue(subject: str, by: Cert | None = None, *, own_key: Any = None, **fields: Any) -> Cert:
    """A certificate as `Plan(subject, **fields)` has it, by an issuer or by itself."""
    plan = Plan(subject, **fields)
    made_key = own_key or _new_key(plan.kind)
    signer = made_key if by is None else by.key
    name = _name(plan)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if by is None else by.certificate.subject)
        .public_key(made_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + plan.days[0] * DAY)
        .not_valid_after(NOW + plan.days[1] * DAY)
    )
    for value, critical in _extensions(plan, made_key, signer):
        builder = builder.add_extension(value, critical)
    hashed = plan.hash if isinstance(signer, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) else None
    return Cert(builder.sign(signer, hashed), made_key)


def root(subject: str = "Root", **fields: Any) -> Cert:
    """An authority of its own."""
    return authority(subject, None, **fields)


def authority(subject: str, by: Cert | None, **fields: Any) -> Cert:
    """One that may issue others."""
    return issue(
        subject, by, **{"ca": True, "usage": ("key_cert_sign", "crl_sign"), "days": (-300, 300), **fields}
    )


def leaf(by: Cert | None, *names: Any, **fields: Any) -> Cert:
    """A server's, for names and addresses (for a.example unless told otherwise)."""
    defaults: dict[str, Any] = {
        "san": names or ("a.example",),
        "usage": ("digital_signature",),
        "purposes": SERVER,
    }
    return issue(fields.pop("subject", "a server"), by, **{**defaults, **fields})


def general_name(name: Any) -> x509.GeneralName:
    if isinstance(name, x509.GeneralName):
        return name
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(plan: Plan) -> x509.Name:
    attributes = [x509.NameAttribute(oid, value) for oid, value in plan.attributes]
    if plan.subject:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, plan.subject))
    return x509.Name(attributes)


def _extensions(plan: Plan, own: Any, signer: Any) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if plan.ca is not None:
        constraints = x509.BasicConstraints(ca=plan.ca, path_length=plan.path_length)
        found.append((constraints, plan.constraints_critical))
    if plan.usage:
        found.append((x509.KeyUsage(**{each: each in plan.usage for each in _USAGES}), True))
    if plan.purposes:
        found.append((x509.ExtendedKeyUsage(plan.purposes), False))
    if plan.san:
        found.append((x509.SubjectAlternativeName(map(general_name, plan.san)), plan.san_critical))
    if plan.permitted or plan.excluded:
        found.append((x509.NameConstraints(plan.permitted or None, plan.excluded or None), True))
    if plan.key_identifiers:
        found.append((x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False))
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False))
    return [*found, *plan.extra]

"""Certificates made on the spot, for demos, benchmarks and tests: never for anyone else to trust."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tlswrite.crypto.credentials import Credentials, load_credentials
from tlswrite.crypto.identity import identity_of
from tlswrite.crypto.signatures import describe
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import ConfigurationError

__all__ = ["KEY_TYPES", "Issued", "make_certificate"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Issued:
    """A certificate with its private key, and the certificates above it up to, and with, its root."""

    certificate: x509.Certificate
    private_key: Any
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        """The certificate in DER form."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM form."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain(self) -> tuple[bytes, ...]:
        """What a TLS peer sends, DER form: the certificate and its issuers but for the root."""
        return tuple(
            certificate.public_bytes(Encoding.DER) for certificate in (self.certificate, *self.issuers[:-1])
        )

    @property
    def chain_pem(self) -> bytes:
        """The same in PEM form."""
        return b"".join(
            certificate.public_bytes(Encoding.PEM) for certificate in (self.certificate, *self.issuers[:-1])
        )

    @property
    def key_pem(self) -> bytes:
        """The private key in PEM form (PKCS #8), unencrypted."""
        return self._key(NoEncryption())

    def encrypted_key_pem(self, password: bytes) -> bytes:
        """The private key in PEM form (PKCS #8), encrypted."""
        return self._key(BestAvailableEncryption(password))

    @property
    def root(self) -> x509.Certificate:
        """The self-signed certificate at the top: itself where there is no issuer."""
        return self.issuers[-1] if self.issuers else self.certificate

    @property
    def root_pem(self) -> bytes:
        """The same in PEM form: what a peer is to trust."""
        return self.root.public_bytes(Encoding.PEM)

    def anchors(self) -> TrustAnchors:
        """Trust anchors that hold the root alone."""
        return TrustAnchors((self.root,))

    def credentials(self) -> Credentials:
        """Credentials that send `chain`."""
        return load_credentials(self.chain_pem, self.key_pem)

    def __repr__(self) -> str:
        return f"<Issued {self.certificate.subject.rfc4514_string()}>"

    def _key(self, encryption: KeySerializationEncryption) -> bytes:
        pem: bytes = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        return pem


#: What `key_type` may be, and how such a key is made.
KEY_TYPES: Final[dict[str, Callable[[], Any]]] = {
    "ecdsa_secp256r1": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa_secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ecdsa_secp521r1": lambda: ec.generate_private_key(ec.SECP521R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
    "rsa4096": lambda: rsa.generate_private_key(65537, 4096),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "mldsa44": mldsa.MLDSA44PrivateKey.generate,
    "mldsa65": mldsa.MLDSA65PrivateKey.generate,
    "mldsa87": mldsa.MLDSA87PrivateKey.generate,
}


def make_certificate(
    names: Sequence[str],
    *,
    key_type: str = "ecdsa_secp256r1",
    issuer: Issued | None = None,
    is_ca: bool = False,
    path_length: int | None = None,
    common_name: str | None = None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    client: bool = True,
    server: bool = True,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    private_key: Any = None,
    hash_algorithm: Any = None,
) -> Issued:
    """A new key and a certificate of it, for DNS names and IP addresses, issued by `issuer` or by itself.

    Valid from an hour ago for 30 days unless told otherwise (aware datetimes). A CA gets the key usage of
    one; any other certificate digitalSignature and, as told, the extended key usages of `client` and
    `server` (none at all where neither). `extensions` are added, each with whether it is critical, and stand
    in the place of those of their kind. `private_key` and `hash_algorithm` replace the ones of `key_type`.
    """
    if private_key is None:
        if key_type not in KEY_TYPES:
            raise ConfigurationError(f"no key type {key_type!r}; there is {', '.join(KEY_TYPES)}")
        private_key = KEY_TYPES[key_type]()
    signer = private_key if issuer is None else issuer.private_key
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, (common_name or (names[0] if names else "tlswrite"))[:64])]
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=subject if issuer is None else issuer.certificate.subject,
        subject_name=subject,
        public_key=private_key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=not_before or now - timedelta(hours=1),
        not_valid_after=not_after or now + timedelta(days=30),
    )
    chosen: dict[x509.ObjectIdentifier, tuple[x509.ExtensionType, bool]] = {
        extension.oid: (extension, critical)
        for extension, critical in (
            *_extensions(names, private_key, signer, is_ca, path_length, client, server),
            *extensions,
        )
    }
    for extension, critical in chosen.values():
        builder = builder.add_extension(extension, critical)
    try:
        certificate = builder.sign(signer, hash_algorithm or _hash_for(signer))
    except TypeError as error:
        raise ConfigurationError(
            f"this release of cryptography signs no certificate with {describe(signer)}: {error}"
        ) from error
    above = () if issuer is None else (issuer.certificate, *issuer.issuers)
    return Issued(certificate, private_key, above)


def _extensions(
    names: Sequence[str],
    private_key: Any,
    signer: Any,
    is_ca: bool,
    path_length: int | None,
    client: bool,
    server: bool,
) -> Iterable[tuple[x509.ExtensionType, bool]]:
    yield x509.BasicConstraints(is_ca, path_length if is_ca else None), True
    yield x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()), False
    yield x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
    yield (
        x509.KeyUsage(
            digital_signature=not is_ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=is_ca,
            crl_sign=is_ca,
            encipher_only=False,
            decipher_only=False,
        ),
        True,
    )
    if names:
        yield x509.SubjectAlternativeName([_general_name(name) for name in names]), False
    purposes = [
        purpose
        for wanted, purpose in (
            (server, ExtendedKeyUsageOID.SERVER_AUTH),
            (client, ExtendedKeyUsageOID.CLIENT_AUTH),
        )
        if wanted and not is_ca
    ]
    if purposes:
        yield x509.ExtendedKeyUsage(purposes), False


def _general_name(name: str) -> x509.GeneralName:
    if name.startswith("*."):
        return x509.DNSName(name)
    identity = identity_of(name)
    return x509.DNSName(identity) if isinstance(identity, str) else x509.IPAddress(identity)


def _hash_for(signer: Any) -> Any:
    """The hash that goes with a key: of its strength for ECDSA, none where the algorithm has its own."""
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        by_size: dict[int, Any] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
        return by_size[signer.curve.key_size]
    return hashes.SHA256() if isinstance(signer, rsa.RSAPrivateKey) else None

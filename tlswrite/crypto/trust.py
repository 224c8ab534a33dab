"""Trust anchors, the profile under which chains to them are verified, and the chains that were."""

from __future__ import annotations

import os
import re
import ssl
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlswrite.errors import ConfigurationError

__all__ = ["TrustAnchors", "VerifiedChain"]

#: A chain that verified: end-entity certificate first, a trust anchor last.
VerifiedChain = tuple[x509.Certificate, ...]


#: Size of the names of authorities that are sent to a client. Bytes.
_MAX_AUTHORITIES: Final = 4096


class TrustAnchors:
    """Certificates trusted a priori; immutable, made once and shared by any number of configurations."""

    __slots__ = (
        "__weakref__",
        "_client",
        "_lock",
        "_named",
        "_nameless",
        "_strictly",
        "_subjects",
        "_verified",
        "certificates",
        "strict",
    )

    def __init__(self, certificates: Iterable[x509.Certificate], *, strict: bool = False) -> None:
        """`strict`: hold the certificates of a path to RFC 5280, as `VERIFY_X509_STRICT` does (`strict.py`)."""
        self.certificates: Final = tuple(dict.fromkeys(certificates))
        self.strict: Final = strict
        self._strictly: TrustAnchors | None = None
        self._subjects: tuple[bytes, ...] | None = None
        self._lock = threading.Lock()
        self._verified: dict[object, tuple[datetime, datetime, VerifiedChain]] = {}
        if self.certificates:
            builder = verification.PolicyBuilder().store(verification.Store(list(self.certificates)))
            self._named = builder.extension_policies(ca_policy=_SERVER_CA, ee_policy=_NAMED_SERVER)
            self._nameless = builder.extension_policies(ca_policy=_SERVER_CA, ee_policy=_NAMELESS_SERVER)
            self._client = builder.extension_policies(ca_policy=_CLIENT_CA, ee_policy=_CLIENT)

    @classmethod
    def from_pem(cls, pem: bytes | str) -> TrustAnchors:
        """The certificates in PEM text; ConfigurationError where there is none, or one is unreadable."""
        return cls(_load_pem(pem.encode() if isinstance(pem, str) else pem, "the PEM text"))

    @classmethod
    def from_der(cls, der: bytes) -> TrustAnchors:
        """The certificates in DER form, one behind the other; ConfigurationError as from_pem."""
        return cls(_load_der(der))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> TrustAnchors:
        """The certificates in a PEM file; ConfigurationError as from_pem, OSError as `open`."""
        return cls(_load_pem(Path(path).read_bytes(), str(path)))

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> TrustAnchors:
        """The certificates of a directory that `openssl rehash` made; what cannot be read is skipped."""
        return cls(_load_directory(Path(path)))

    @classmethod
    def system(cls) -> TrustAnchors:
        """The system's, from where `ssl` takes them: SSL_CERT_FILE and SSL_CERT_DIR, or OpenSSL's paths.

        Read at the first call, then shared; none at all is not an error before a chain is verified.
        """
        return _system(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))

    @property
    def strictly(self) -> TrustAnchors:
        """The same certificates with `strict`; one object for all who ask."""
        if self.strict:
            return self
        if self._strictly is None:
            self._strictly = TrustAnchors(self.certificates, strict=True)
        return self._strictly

    @property
    def subjects(self) -> tuple[bytes, ...]:
        """The subjects' distinguished names in DER form (for certificate_authorities, RFC 9846 §4.3.4)."""
        if self._subjects is None:
            self._subjects = tuple(certificate.subject.public_bytes() for certificate in self.certificates)
        return self._subjects

    @property
    def brief_subjects(self) -> tuple[bytes, ...]:
        """`subjects` to be sent to a client; none where they are so many that they help nobody choose."""
        return self.subjects if sum(map(len, self.subjects)) <= _MAX_AUTHORITIES else ()

    # No __len__: no anchors at all must not be taken for anchors not given.

    def __repr__(self) -> str:
        return f"<TrustAnchors: {len(self.certificates)} certificates>"

    # ---- for x509.py: verifiers, and what they verified ----

    def server_verifier(self, subject: verification.Subject, time: datetime) -> verification.ServerVerifier:
        """Verifies a server's chain for a name or address."""
        return self._named.time(time).build_server_verifier(subject)

    def nameless_verifier(self, time: datetime) -> verification.ClientVerifier:
        """Verifies a server's chain for no name in particular."""
        return self._nameless.time(time).build_client_verifier()

    def client_verifier(self, time: datetime) -> verification.ClientVerifier:
        """Verifies a client's chain."""
        return self._client.time(time).build_client_verifier()

    def recall(self, key: object, time: datetime) -> VerifiedChain | None:
        """A chain remembered under `key` whose certificates are all within their dates."""
        found = self._verified.get(key)
        return found[2] if found is not None and found[0] <= time <= found[1] else None

    def remember(self, key: object, chain: VerifiedChain) -> None:
        """Remembers a verified chain; the oldest is forgotten where there are too many."""
        entry = (
            max(certificate.not_valid_before_utc for certificate in chain),
            min(certificate.not_valid_after_utc for certificate in chain),
            chain,
        )
        with self._lock:
            if key not in self._verified and len(self._verified) >= _REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[key] = entry


#: Verified chains remembered with one set of anchors.
_REMEMBERED: Final = 32


# ---- the profile ------------------------------------------------------------------------------------


def _leaf_usage(_: verification.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    # RFC 9846 §4.5.1.2: the digitalSignature bit MUST be set if the Key Usage extension is present.
    if usage is not None and not usage.digital_signature:
        raise ValueError("its key usage does not allow digital signatures")


def _ca_usage(_: verification.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    # RFC 5280 §6.1.4 (n): if a key usage extension is present, keyCertSign must be set.
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the key usage of an issuer does not allow it to sign certificates")


def _server_purpose(
    _: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise ValueError("its extended key usage does not allow TLS servers")


def _client_purpose(
    _: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("its extended key usage does not allow TLS clients")


def _server_ca_purpose(
    _: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and not {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    } & set(usage):
        raise ValueError("the extended key usage of an issuer does not allow TLS servers")


def _client_ca_purpose(
    _: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage is not None and not {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    } & set(usage):
        raise ValueError("the extended key usage of an issuer does not allow TLS clients")


_ANY: Final = verification.Criticality.AGNOSTIC

_EE: Final = (
    verification.ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(x509.AuthorityKeyIdentifier, _ANY, None)
    .may_be_present(x509.BasicConstraints, _ANY, None)
    .may_be_present(x509.KeyUsage, _ANY, _leaf_usage)
)
_SERVER: Final = _EE.may_be_present(x509.ExtendedKeyUsage, _ANY, _server_purpose)
_NAMED_SERVER: Final = _SERVER.require_present(x509.SubjectAlternativeName, _ANY, None)
_NAMELESS_SERVER: Final = _SERVER.may_be_present(x509.SubjectAlternativeName, _ANY, None)
_CLIENT: Final = _EE.may_be_present(x509.ExtendedKeyUsage, _ANY, _client_purpose).may_be_present(
    x509.SubjectAlternativeName, _ANY, None
)

#: That a CA says it is one, and how long a path may be, is checked beneath any extension policy.
_CA: Final = (
    verification.ExtensionPolicy.webpki_defaults_ca()
    .may_be_present(x509.AuthorityKeyIdentifier, _ANY, None)
    .require_present(x509.BasicConstraints, _ANY, None)
    .may_be_present(x509.KeyUsage, _ANY, _ca_usage)
)
_SERVER_CA: Final = _CA.may_be_present(x509.ExtendedKeyUsage, _ANY, _server_ca_purpose)
_CLIENT_CA: Final = _CA.may_be_present(x509.ExtendedKeyUsage, _ANY, _client_ca_purpose)


# ---- reading them -----------------------------------------------------------------------------------

_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)

#: What the parser raises for a certificate that cannot be read; the second is no ValueError.
_UNREADABLE: Final = (ValueError, x509.InvalidVersion)

#: Names that `openssl rehash` gives to the certificates of a directory.
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def _load_pem(data: bytes, source: str) -> list[x509.Certificate]:
    certificates = []
    for number, block in enumerate(_BLOCK.findall(data), 1):
        try:
            with _tolerating_age():
                certificates.append(x509.load_pem_x509_certificate(block))
        except _UNREADABLE as error:
            raise ConfigurationError(f"certificate {number} of {source} cannot be read: {error}") from error
    if not certificates:
        raise ConfigurationError(f"no certificate in {source} (no PEM block with CERTIFICATE)")
    return certificates


@contextmanager
def _tolerating_age() -> Iterator[None]:
    """Some anchors have served for decades and break rules that are younger; the user cannot mend them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def _load_der(data: bytes) -> list[x509.Certificate]:
    certificates = []
    position = 0
    while position < len(data):
        end = position + _der_length(data[position:])
        try:
            with _tolerating_age():
                certificates.append(x509.load_der_x509_certificate(data[position:end]))
        except _UNREADABLE as error:
            number = len(certificates) + 1
            raise ConfigurationError(
                f"certificate {number} of the DER data cannot be read: {error}"
            ) from error
        position = end
    if not certificates:
        raise ConfigurationError("no certificate in the DER data: it is empty")
    return certificates


def _der_length(data: bytes) -> int:
    """The size of the first element of DER data, header included; as much as there is where that says more."""
    octets = data[1] & 0x7F if len(data) > 1 and data[1] & 0x80 else 0
    size = int.from_bytes(data[2 : 2 + octets], "big") if octets else (data[1] if len(data) > 1 else 0)
    return 2 + octets + size


def _load_lenient(data: bytes) -> list[x509.Certificate]:
    """As many of a system's certificates as can be read: one that cannot is no reason to trust none."""
    try:
        return x509.load_pem_x509_certificates(data)
    except _UNREADABLE:
        pass
    certificates = []
    for block in _BLOCK.findall(data):
        try:
            certificates.append(x509.load_pem_x509_certificate(block))
        except _UNREADABLE:
            continue
    return certificates


def _load_directory(path: Path) -> list[x509.Certificate]:
    certificates: list[x509.Certificate] = []
    for name in sorted(os.listdir(path)):
        if _HASHED.fullmatch(name):
            with suppress(OSError):
                certificates += _load_lenient((path / name).read_bytes())
    return certificates


@lru_cache(maxsize=4)
def _system(cert_file: str | None, cert_dir: str | None) -> TrustAnchors:
    """The system's anchors for one setting of the environment, which `ssl` looks up again."""
    paths = ssl.get_default_verify_paths()
    certificates: list[x509.Certificate] = []
    with _tolerating_age():
        if paths.cafile is not None:
            with suppress(OSError):
                certificates += _load_lenient(Path(paths.cafile).read_bytes())
        if paths.capath is not None:
            with suppress(OSError):
                certificates += _load_directory(Path(paths.capath))
        return TrustAnchors(certificates)

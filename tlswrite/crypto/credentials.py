"""Credentials: a certificate chain and its private key, shared by every connection that uses them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tlswrite.crypto import ocsp
from tlswrite.crypto.certificates import names_of, public_key_of, subject_of
from tlswrite.crypto.ocsp import OCSPSource
from tlswrite.crypto.signatures import PrivateKey, PSSPrivateKey, PSSPublicKey, describe, schemes_for
from tlswrite.errors import CertificateError, ConfigurationError
from tlswrite.iana import SignatureScheme

__all__ = ["Credentials", "OCSPSource", "Password", "load_credentials"]

#: A password, or what asks for it (called only where the key is encrypted).
Password: TypeAlias = str | bytes | Callable[[], str | bytes]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Credentials:
    """A chain in DER form, end-entity certificate first, and the private key of that certificate.

    `schemes` are the signature schemes that the key fits, most preferred first; `names` the DNS names and
    IP addresses of the certificate. `ocsp_response` is stapled for peers that ask (RFC 6066 §8): an OCSPResponse in
    DER form, or a function that has the newest, which is called in the handshake and so must not wait for anything.

    Raises ConfigurationError for a response that cannot be stapled.
    """

    chain: tuple[bytes, ...]
    private_key: PrivateKey
    schemes: tuple[SignatureScheme, ...]
    names: tuple[str, ...]
    ocsp_response: OCSPSource | None = None

    def __post_init__(self) -> None:
        if not callable(self.ocsp_response):
            self.staple()

    def staple(self, time: datetime | None = None) -> bytes | None:
        """The OCSP response to staple at `time` (aware; now unless given), in DER form.

        None where there is none, or one that has expired. Raises ConfigurationError for one that cannot be stapled.
        """
        return ocsp.staple(self.ocsp_response, self.chain[0], time)

    def __repr__(self) -> str:
        return f"<Credentials for {', '.join(self.names[:3]) or 'no name'}>"


def load_credentials(
    certfile_pem: bytes,
    keyfile_pem: bytes | None = None,
    password: Password | None = None,
    *,
    ocsp_response: OCSPSource | None = None,
) -> Credentials:
    """Credentials from PEM text: the chain (end-entity certificate first), and the private key.

    Without `keyfile_pem` the key is looked for beside the certificates, as `ssl.SSLContext.load_cert_chain`
    does. `ocsp_response` is as in `Credentials`. Raises ConfigurationError, saying what to mend.
    """
    try:
        certificates = x509.load_pem_x509_certificates(certfile_pem)
    except Exception as error:
        raise ConfigurationError(
            f"no certificate could be read from the certificate file: {error}"
        ) from error
    key = _load_key(certfile_pem if keyfile_pem is None else keyfile_pem, password)
    leaf = certificates[0]
    try:
        public = public_key_of(leaf)
        names = names_of(leaf)
        usage = _key_usage(leaf)
    except CertificateError as error:
        raise ConfigurationError(f"the certificate is of no use: {error.message}") from error
    if key.public_key() != (public.key if isinstance(public, PSSPublicKey) else public):
        raise ConfigurationError(_mismatch(key, certificates))
    if isinstance(public, PSSPublicKey):
        key = PSSPrivateKey(key, public.hash_name)
    if usage is not None and not usage.digital_signature:
        # RFC 9846 §4.5.1.2: the digitalSignature bit MUST be set if the Key Usage extension is present.
        raise ConfigurationError(
            f"the certificate of {subject_of(leaf)} does not allow digital signatures (its key usage), "
            "which TLS 1.3 needs: have it issued with digitalSignature"
        )
    return Credentials(
        tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates),
        key,
        schemes_for(key),
        names,
        ocsp_response,
    )


_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S
)


def _load_key(pem: bytes, password: Password | None) -> Any:
    found = _PRIVATE_KEY.search(pem)
    if found is None:
        raise ConfigurationError("no private key in the key file (no PEM block with PRIVATE KEY)")
    block = found.group() + b"\n"
    encrypted = b"BEGIN ENCRYPTED" in block or b"Proc-Type: 4,ENCRYPTED" in block
    secret: bytes | None = None
    if encrypted:
        if password is None:
            raise ConfigurationError("the private key is encrypted: give its password")
        plain = password() if callable(password) else password
        secret = plain.encode() if isinstance(plain, str) else plain
    try:
        return load_pem_private_key(block, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        hint = " (is the password right?)" if encrypted else ""
        raise ConfigurationError(f"the private key could not be read{hint}: {error}") from error


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _mismatch(key: Any, certificates: list[x509.Certificate]) -> str:
    for certificate in certificates[1:]:
        if key.public_key() == certificate.public_key():
            return (
                f"the private key belongs to the certificate of {subject_of(certificate)}, "
                "which must come first in the certificate file"
            )
    subject = subject_of(certificates[0])
    return f"the private key ({describe(key)}) does not belong to the certificate of {subject}"

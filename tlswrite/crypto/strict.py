"""What `VERIFY_X509_STRICT` asks of a path besides: that its certificates are made as RFC 5280 has it.

The checks are OpenSSL's (X509_V_FLAG_X509_STRICT, X509_VERIFY_PARAM_set_flags(3)), and as there a certificate that
is an anchor itself, and so a path of one, is not held to them (RFC 6818 §2). They are made of a path that has
verified, and so of certificates of version 3.
"""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509

from tlswrite.crypto.certificates import reading_certificate, subject_of
from tlswrite.errors import CertificateError

__all__ = ["check_strict"]

_E = TypeVar("_E", bound=x509.ExtensionType)


def check_strict(path: tuple[x509.Certificate, ...]) -> None:
    """Raises CertificateError where a certificate of `path`, end-entity first, is not made as RFC 5280 has it."""
    if len(path) == 1:
        return
    for number, certificate in enumerate(path):
        with reading_certificate():
            fault = _fault(certificate, is_anchor=number == len(path) - 1)
        if fault is not None:
            raise CertificateError(f"{subject_of(certificate)} {fault}, and verification is strict")


def _fault(certificate: x509.Certificate, *, is_anchor: bool) -> str | None:
    return (
        _fault_of_use(certificate) or _fault_of_names(certificate) or _fault_of_keys(certificate, is_anchor)
    )


def _fault_of_use(certificate: x509.Certificate) -> str | None:
    basic = _find(certificate, x509.BasicConstraints)
    usage = _find(certificate, x509.KeyUsage)
    signs = usage is not None and usage.value.key_cert_sign
    if not _is_ca(certificate):
        return "is of no authority, and its key usage has keyCertSign (§4.2.1.3)" if signs else None
    if basic is not None and not basic.critical:
        return "is of an authority, and its basic constraints are not critical (§4.2.1.9)"
    if usage is None:
        return "is of an authority, and has no key usage (§4.2.1.3)"
    if basic is not None and basic.value.path_length is not None and not signs:
        return "limits the length of a path, and its key usage has no keyCertSign (§4.2.1.9)"
    return None


def _fault_of_names(certificate: x509.Certificate) -> str | None:
    if not list(certificate.issuer):
        return "does not name its issuer (§4.1.2.4)"
    names = _find(certificate, x509.SubjectAlternativeName)
    if names is not None and not list(names.value):
        return "has a subjectAltName without a name (§4.2.1.6)"
    if list(certificate.subject):
        return None
    usage = _find(certificate, x509.KeyUsage)
    if names is None or _is_ca(certificate) or (usage is not None and usage.value.crl_sign):
        return "does not name its subject (§4.1.2.6)"
    return None if names.critical else "names its subject in a subjectAltName that is not critical (§4.2.1.6)"


def _fault_of_keys(certificate: x509.Certificate, is_anchor: bool) -> str | None:
    authority = _find(certificate, x509.AuthorityKeyIdentifier)
    if authority is not None and authority.critical:
        return "has a critical authority key identifier (§4.2.1.1)"
    if not is_anchor and (authority is None or authority.value.key_identifier is None):
        return "has no authority key identifier (§4.2.1.1)"
    subject = _find(certificate, x509.SubjectKeyIdentifier)
    if subject is not None and subject.critical:
        return "has a critical subject key identifier (§4.2.1.2)"
    if subject is None and _is_ca(certificate):
        return "is of an authority, and has no subject key identifier (§4.2.1.2)"
    return None


def _is_ca(certificate: x509.Certificate) -> bool:
    basic = _find(certificate, x509.BasicConstraints)
    return basic is not None and basic.value.ca


def _find(certificate: x509.Certificate, kind: type[_E]) -> x509.Extension[_E] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None

"""Why a chain did not verify, for the person who must mend it.

The verifier's own message names the rule that was broken. Here the chain is looked at again, slowly and
only after a failure, for what that person needs: which name was asked for and which the certificate has,
when it expired, whose issuer is unknown. The order is that of the questions: is anyone trusted at all, are
the dates right, does the path reach an anchor, is the use allowed.

Each reason has its alert (RFC 9846 §6.2).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from tlswrite.crypto.certificates import names_of, reading_certificate, subject_of, text
from tlswrite.crypto.signatures import MIN_RSA_BITS
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import CertificateError, VerifyError
from tlswrite.iana import AlertDescription

__all__ = ["NO_NAME", "NO_PATH", "explain_chain", "explain_name"]

#: What the verifier says where the end-entity certificate is in order and no path leads to an anchor.
NO_PATH: Final = "candidates exhausted"

#: What it says, among other things, where the name is not among those of the certificate.
NO_NAME: Final = "subjectAltName"


def explain_name(leaf: x509.Certificate, asked: str) -> CertificateError:
    """The chain is fine, and not for the name or address that was asked for."""
    names = names_of(leaf)
    code = VerifyError.IP_ADDRESS_MISMATCH if _is_address(asked) else VerifyError.HOSTNAME_MISMATCH
    if not names:
        return CertificateError(
            f"the certificate of {subject_of(leaf)} has no subjectAltName, and so is not for {asked!r} "
            "(a common name does not count)",
            code=code,
        )
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = ", ".join(text(name, 80) for name in names[:_SHOWN])
    return CertificateError(f"the certificate is not for {asked!r}: it is for {shown}{more}", code=code)


def explain_chain(
    chain: Sequence[x509.Certificate], anchors: TrustAnchors, time: datetime, reason: str
) -> CertificateError:
    """The chain does not verify; `reason` is the verifier's message."""
    with reading_certificate():
        return (
            _dates(chain[0], time)
            or _use(chain[0], reason)
            or _path(chain, anchors, time)
            or _issuers(chain, anchors, reason)
            or CertificateError(
                f"no acceptable path leads from the certificate of {subject_of(chain[0])} to a trust anchor: "
                f"{_words(reason)}",
                AlertDescription.UNSUPPORTED_CERTIFICATE,
                _code(reason),
            )
        )


#: Names of a certificate that a message shows.
_SHOWN: Final = 8

#: Candidates tried as the issuer of one certificate: each costs a signature check.
_CANDIDATES: Final = 4

# RFC 9846 §4.5.1.3: MD5 MUST, and SHA-1 is RECOMMENDED to, end the handshake with bad_certificate.
_WEAK: Final = {
    SignatureAlgorithmOID.RSA_WITH_MD5: "MD5",
    SignatureAlgorithmOID.RSA_WITH_SHA1: "SHA-1",
    SignatureAlgorithmOID._RSA_WITH_SHA1: "SHA-1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: "SHA-1",
    SignatureAlgorithmOID.DSA_WITH_SHA1: "SHA-1",
}


def _dates(certificate: x509.Certificate, time: datetime) -> CertificateError | None:
    if time > certificate.not_valid_after_utc:
        date, verb, code = certificate.not_valid_after_utc, "expired on", VerifyError.CERT_HAS_EXPIRED
    elif time < certificate.not_valid_before_utc:
        date, verb = certificate.not_valid_before_utc, "is not valid before"
        code = VerifyError.CERT_NOT_YET_VALID
    else:
        return None
    return CertificateError(
        f"the certificate of {subject_of(certificate)} {verb} {date:%Y-%m-%d %H:%M:%S} UTC "
        f"(it is {time:%Y-%m-%d %H:%M:%S} UTC here)",
        AlertDescription.CERTIFICATE_EXPIRED,
        code,
    )


def _use(leaf: x509.Certificate, reason: str) -> CertificateError | None:
    if NO_PATH in reason:
        return None  # The leaf alone is in order.
    return CertificateError(
        f"the certificate of {subject_of(leaf)} is not acceptable: {_words(reason)}",
        AlertDescription.UNSUPPORTED_CERTIFICATE,
        _code(reason),
    )


def _path(
    chain: Sequence[x509.Certificate], anchors: TrustAnchors, time: datetime
) -> CertificateError | None:
    """Walks from the end-entity certificate towards the anchors, to the first step that fails."""
    current = chain[0]
    seen = [current]
    while current not in anchors.certificates:
        if current.signature_algorithm_oid in _WEAK:
            return CertificateError(
                f"the certificate of {subject_of(current)} is signed with "
                f"{_WEAK[current.signature_algorithm_oid]}, which is no longer safe: have it issued anew",
                code=VerifyError.CA_MD_TOO_WEAK,
            )
        named = [
            candidate
            for candidate in (*anchors.certificates, *chain[1:])
            if candidate.subject == current.issuer and candidate not in seen
        ]
        if not named:
            return _unknown_issuer(current, chain, anchors)
        issuer = next((one for one in named[:_CANDIDATES] if _signed_by(current, one)), None)
        if issuer is None:
            return _other_issuer(current, named[0])
        problem = _dates(issuer, time)
        if problem is not None:
            return problem
        seen.append(issuer)
        current = issuer
    return None


def _unknown_issuer(
    certificate: x509.Certificate, shown: Sequence[x509.Certificate], anchors: TrustAnchors
) -> CertificateError:
    subject = subject_of(certificate)
    code = VerifyError.UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    if not anchors.certificates:
        message = (
            f"the certificate of {subject} cannot be verified: there are no trust anchors "
            "(give a cafile, or install the system's ca-certificates)"
        )
    elif certificate.issuer == certificate.subject:
        message = f"the certificate of {subject} is self-signed and not among the trust anchors"
        own = certificate == shown[0]
        code = VerifyError.DEPTH_ZERO_SELF_SIGNED_CERT if own else VerifyError.SELF_SIGNED_CERT_IN_CHAIN
    else:
        issuer = repr(text(certificate.issuer.rfc4514_string(), 120))
        message = (
            f"the issuer {issuer} of the certificate of {subject} is neither among the trust anchors "
            "nor in the chain that the peer sent"
        )
    return CertificateError(message, AlertDescription.UNKNOWN_CA, code)


def _other_issuer(certificate: x509.Certificate, named: x509.Certificate) -> CertificateError:
    """An issuer of the right name whose key did not sign the certificate."""
    wanted, there = _authority_key(certificate), _subject_key(named)
    if wanted is not None and there is not None and wanted != there:
        return CertificateError(
            f"the certificate of {subject_of(certificate)} was issued by another {subject_of(named)} than "
            "the one known here: same name, different key",
            AlertDescription.UNKNOWN_CA,
            VerifyError.UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        )
    return CertificateError(
        f"the signature of the certificate of {subject_of(certificate)} does not verify with the key of "
        f"its issuer {subject_of(named)}",
        code=VerifyError.CERT_SIGNATURE_FAILURE,
    )


def _issuers(
    chain: Sequence[x509.Certificate], anchors: TrustAnchors, reason: str
) -> CertificateError | None:
    """The path is there, and something in it forbids it: an authority is the one to be named."""
    leaf = subject_of(chain[0])
    authorities = [*chain[1:], *anchors.certificates]
    code = _code(reason)
    if code is VerifyError.CA_KEY_TOO_SMALL:
        for one in authorities:
            key = one.public_key()
            if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
                return CertificateError(
                    f"the certificate of {leaf} is issued under {subject_of(one)}, which has an RSA key of "
                    f"{key.key_size} bits: {MIN_RSA_BITS} are needed for a signature to be worth anything",
                    AlertDescription.UNSUPPORTED_CERTIFICATE,
                    code,
                )
    if code in (VerifyError.PERMITTED_VIOLATION, VerifyError.EXCLUDED_VIOLATION):
        names = ", ".join(text(name, 80) for name in names_of(chain[0])[:_SHOWN])
        limited = [subject_of(one) for one in authorities if _has_name_constraints(one)]
        by = f" {' or '.join(limited[:3])}" if limited else " an issuer"
        may = (
            "may certify other names only"
            if code is VerifyError.PERMITTED_VIOLATION
            else "may not certify such"
        )
        return CertificateError(
            f"the certificate of {leaf} is for {names}, and the name constraints of{by} forbid that: it {may}",
            AlertDescription.UNSUPPORTED_CERTIFICATE,
            code,
        )
    return None


def _has_name_constraints(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return True


#: What the verifier's messages are about; the first that is found.
_CODES: Final = (
    ("excluded name constraint", VerifyError.EXCLUDED_VIOLATION),
    ("name constraint", VerifyError.PERMITTED_VIOLATION),
    ("nameConstraints", VerifyError.PERMITTED_VIOLATION),
    ("too weak", VerifyError.CA_KEY_TOO_SMALL),
    ("path length", VerifyError.PATH_LENGTH_EXCEEDED),
    ("unaccounted-for critical", VerifyError.UNHANDLED_CRITICAL_EXTENSION),
    ("of an issuer does not allow it to sign", VerifyError.INVALID_CA),
    ("basicConstraints", VerifyError.INVALID_CA),
    ("2.5.29.19", VerifyError.INVALID_CA),
    ("key usage", VerifyError.INVALID_PURPOSE),
    ("EKU", VerifyError.INVALID_PURPOSE),
    ("Forbidden", VerifyError.UNSUPPORTED_SIGNATURE_ALGORITHM),
)


def _code(reason: str) -> VerifyError:
    return next((code for words, code in _CODES if words in reason), VerifyError.UNSPECIFIED)


def _is_address(asked: str) -> bool:
    try:
        ipaddress.ip_address(asked)
    except ValueError:
        return False
    return True


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        # InvalidSignature, or an algorithm or key that cannot be: it is not the issuer either way.
        return False
    return True


def _authority_key(certificate: x509.Certificate) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return None
    return found.value.key_identifier


def _subject_key(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _words(reason: str) -> str:
    """The verifier's message without its framework."""
    reason = re.sub(r" \(encountered processing .*", "", reason, flags=re.S)
    reason = re.sub(
        r"algorithm: AlgorithmIdentifier \{.*params: (\w+).*", r"algorithm \1", reason, flags=re.S
    )
    return text(
        re.sub(r"validation failed: |candidates exhausted: |Python .* failed: \w+: ", "", reason), 200
    )

"""Why a chain did not verify, for the person who must mend it.

The verifier's own message names the rule that was broken. Here the chain is looked at again, slowly and
only after a failure, for what that person needs: which name was asked for and which the certificate has,
when it expired, whose issuer is unknown. The order is that of the questions: is anyone trusted at all, are
the dates right, does the path reach an anchor, is the use allowed.

Each reason has its alert (RFC 9846 §6.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import SignatureAlgorithmOID

from tlswrite.crypto.certificates import names_of, reading_certificate, subject_of, text
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import CertificateError
from tlswrite.iana import AlertDescription

__all__ = ["NO_PATH", "explain_chain", "explain_name"]

#: What the verifier says where the end-entity certificate is in order and no path leads to an anchor.
NO_PATH: Final = "candidates exhausted"


def explain_name(leaf: x509.Certificate, asked: str) -> CertificateError:
    """The chain is fine, and not for the name or address that was asked for."""
    names = names_of(leaf)
    if not names:
        return CertificateError(
            f"the certificate of {subject_of(leaf)} has no subjectAltName, and so is not for {asked!r} "
            "(a common name does not count)"
        )
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = ", ".join(text(name, 80) for name in names[:_SHOWN])
    return CertificateError(f"the certificate is not for {asked!r}: it is for {shown}{more}")


def explain_chain(
    chain: Sequence[x509.Certificate], anchors: TrustAnchors, time: datetime, reason: str
) -> CertificateError:
    """The chain does not verify; `reason` is the verifier's message."""
    with reading_certificate():
        return (
            _dates(chain[0], time)
            or _use(chain[0], reason)
            or _path(chain, anchors, time)
            or CertificateError(
                f"no acceptable path leads from the certificate of {subject_of(chain[0])} to a trust anchor: "
                f"{_words(reason)}",
                AlertDescription.UNSUPPORTED_CERTIFICATE,
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
        date, verb = certificate.not_valid_after_utc, "expired on"
    elif time < certificate.not_valid_before_utc:
        date, verb = certificate.not_valid_before_utc, "is not valid before"
    else:
        return None
    return CertificateError(
        f"the certificate of {subject_of(certificate)} {verb} {date:%Y-%m-%d %H:%M:%S} UTC "
        f"(it is {time:%Y-%m-%d %H:%M:%S} UTC here)",
        AlertDescription.CERTIFICATE_EXPIRED,
    )


def _use(leaf: x509.Certificate, reason: str) -> CertificateError | None:
    if NO_PATH in reason:
        return None  # The leaf alone is in order.
    return CertificateError(
        f"the certificate of {subject_of(leaf)} is not acceptable: {_words(reason)}",
        AlertDescription.UNSUPPORTED_CERTIFICATE,
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
                f"{_WEAK[current.signature_algorithm_oid]}, which is no longer safe"
            )
        named = [
            candidate
            for candidate in (*anchors.certificates, *chain[1:])
            if candidate.subject == current.issuer and candidate not in seen
        ]
        if not named:
            return _unknown_issuer(current, anchors)
        issuer = next((one for one in named[:_CANDIDATES] if _signed_by(current, one)), None)
        if issuer is None:
            return _other_issuer(current, named[0])
        problem = _dates(issuer, time)
        if problem is not None:
            return problem
        seen.append(issuer)
        current = issuer
    return None


def _unknown_issuer(certificate: x509.Certificate, anchors: TrustAnchors) -> CertificateError:
    subject = subject_of(certificate)
    if not anchors.certificates:
        message = (
            f"the certificate of {subject} cannot be verified: there are no trust anchors "
            "(give a cafile, or install the system's ca-certificates)"
        )
    elif certificate.issuer == certificate.subject:
        message = f"the certificate of {subject} is self-signed and not among the trust anchors"
    else:
        issuer = repr(text(certificate.issuer.rfc4514_string(), 120))
        message = (
            f"the issuer {issuer} of the certificate of {subject} is neither among the trust anchors "
            "nor in the chain that the peer sent"
        )
    return CertificateError(message, AlertDescription.UNKNOWN_CA)


def _other_issuer(certificate: x509.Certificate, named: x509.Certificate) -> CertificateError:
    """An issuer of the right name whose key did not sign the certificate."""
    wanted, there = _authority_key(certificate), _subject_key(named)
    if wanted is not None and there is not None and wanted != there:
        return CertificateError(
            f"the certificate of {subject_of(certificate)} was issued by another {subject_of(named)} than "
            "the one known here: same name, different key",
            AlertDescription.UNKNOWN_CA,
        )
    return CertificateError(
        f"the signature of the certificate of {subject_of(certificate)} does not verify with the key of "
        f"its issuer {subject_of(named)}"
    )


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

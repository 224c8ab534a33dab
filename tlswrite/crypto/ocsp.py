"""OCSP responses that a peer staples to its certificate (RFC 6960, RFC 6066 §8, RFC 9846 §4.5.1.1).

A response says of one certificate that it is good, and is worth what its signature is worth. Who may sign is
narrow: the key that issued the certificate, or a responder whose own certificate that key issued directly, for
this purpose (RFC 6960 §4.2.2.2). The issuer is that of the path that was verified, never one that the response
brings. The order of the checks: what can be read, who signed it, whether it is about this certificate, what it
says, when it says so. A certificate that its authority calls revoked is refused as such, even where that word is
old; anything else that is wrong makes the response no good, which is another error with another alert.

Refused on purpose: SHA-1 in a signature. In a CertID it names a certificate, no more, and nearly every response has
it there. A responder's own certificate is not looked up in turn: authorities make those short-lived instead (RFC
6960 §4.2.2.2.1). Nothing is ever fetched from here: what a server does not staple is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from tlswrite import limits
from tlswrite.crypto.certificates import (
    der_content,
    der_elements,
    load_certificate,
    pss_hash_of,
    public_key_of,
    reading_certificate,
    subject_of,
    text,
)
from tlswrite.crypto.signatures import PSSPublicKey, describe
from tlswrite.crypto.trust import VerifiedChain
from tlswrite.errors import BadCertificateStatusResponse, CertificateError, ConfigurationError, VerifyError
from tlswrite.iana import AlertDescription

__all__ = ["OCSPSource", "check_response", "check_status", "staple"]

#: A server's own response in DER form, or what has the newest at any time (None: none at the moment).
OCSPSource = bytes | Callable[[], bytes | None]


# ---- a peer's response ------------------------------------------------------------------------------


def check_status(
    path: VerifiedChain,
    sent: Sequence[bytes],
    response: bytes | None,
    *,
    asked: bool,
    required: bool,
    time: datetime | None = None,
) -> bytes | None:
    """What is to be made of the status that came with a certificate, or did not; returns the response.

    `path` is the path that was verified, `sent` the chain as the peer sent it, `response` an OCSPResponse in DER
    form, or None where there was none. `asked` tells whether the peer was asked for one, `required` whether there
    must be one in any case. `time` (aware) is now unless given.

    Raises CertificateError for a certificate that is revoked, or that has no status and must have one, and
    BadCertificateStatusResponse for a response that says nothing good of it (RFC 6066 §8).
    """
    if response is not None:
        check_response(response, path[0], _issuers_of(path, sent), time or datetime.now(UTC))
        return _shared(response)
    if required or (asked and _must_staple(path[0])):
        # RFC 7633 §4.2.3: the certificate says that its server has this feature.
        why = "which is required here" if required else "which it says it must have (RFC 7633)"
        raise CertificateError(
            f"the certificate of {subject_of(path[0])} came without its OCSP status, {why}"
        )
    return None


def check_response(
    response: bytes, certificate: x509.Certificate, issuers: Sequence[x509.Certificate], time: datetime
) -> None:
    """An OCSPResponse in DER form says, at `time` (aware), that the certificate is good (RFC 6960 §3.2).

    `issuers` are the certificates that may be the issuer's: one, but for a certificate that is itself trusted.
    Raises as `check_status`.
    """
    with _reading():
        parsed = ocsp.load_der_ocsp_response(response)
        if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise BadCertificateStatusResponse(f"an OCSP response that is none: {_status_name(parsed)}")
        _check_extensions(parsed)
        single, issuer = _find_single(parsed, certificate, issuers)
        _check_signature(parsed, issuer, certificate, time)
        _check_single(single, certificate, time)


@contextmanager
def _reading() -> Iterator[None]:
    """Turns whatever goes wrong while a peer's response is read into BadCertificateStatusResponse."""
    try:
        yield
    except BadCertificateStatusResponse:
        raise
    except CertificateError as error:
        if error.alert == AlertDescription.CERTIFICATE_REVOKED:
            raise
        # A certificate that the response brings.
        raise BadCertificateStatusResponse(f"an OCSP response with {error.message}") from None
    except Exception as error:
        # As with certificates, the parser has many ways to complain, and some come late.
        words = text(str(error), 200)
        raise BadCertificateStatusResponse(f"an OCSP response that cannot be read: {words}") from None


def _issuers_of(path: VerifiedChain, sent: Sequence[bytes]) -> Sequence[x509.Certificate]:
    leaf = path[0]
    if len(path) > 1:
        return path[1:2]
    # The certificate is itself trusted. Whose key signed it is its issuer all the same: the certificate says so.
    with reading_certificate():
        candidates = [leaf, *map(load_certificate, sent[1 : 1 + limits.MAX_OCSP_RESPONDERS])]
        return [each for each in candidates if _issued_by(leaf, each)]


@lru_cache(maxsize=64)
def _must_staple(certificate: x509.Certificate) -> bool:
    with reading_certificate():
        try:
            features = certificate.extensions.get_extension_for_class(x509.TLSFeature).value
        except x509.ExtensionNotFound:
            return False
        return x509.TLSFeatureType.status_request in features


@lru_cache(maxsize=64)
def _shared(response: bytes) -> bytes:
    """The same response, in one copy for all connections to one peer."""
    return response


# ---- what it is about -------------------------------------------------------------------------------


def _find_single(
    parsed: ocsp.OCSPResponse, certificate: x509.Certificate, issuers: Sequence[x509.Certificate]
) -> tuple[ocsp.OCSPSingleResponse, x509.Certificate]:
    """The answer about the certificate, and the issuer by whom it is identified (RFC 6960 §3.2, 1)."""
    if not issuers:
        raise BadCertificateStatusResponse(
            f"an OCSP response for the certificate of {subject_of(certificate)}, whose issuer is not known here"
        )
    found: tuple[ocsp.OCSPSingleResponse, x509.Certificate] | None = None
    for number, single in enumerate(parsed.responses, 1):
        if number > limits.MAX_OCSP_ANSWERS:
            raise BadCertificateStatusResponse(
                f"an OCSP response with more than {limits.MAX_OCSP_ANSWERS} answers"
            )
        if single.serial_number != certificate.serial_number:
            continue
        for issuer in issuers:
            named = (single.issuer_name_hash, single.issuer_key_hash)
            if named == _id_hashes(certificate, issuer, single.hash_algorithm) and (
                found is None or single.certificate_status is ocsp.OCSPCertStatus.REVOKED
            ):
                # Of several answers the worst one counts.
                found = single, issuer
    if found is None:
        raise BadCertificateStatusResponse(
            f"an OCSP response for another certificate than that of {subject_of(certificate)}"
        )
    return found


def _id_hashes(
    certificate: x509.Certificate, issuer: x509.Certificate, algorithm: hashes.HashAlgorithm
) -> tuple[bytes, bytes]:
    """issuerNameHash and issuerKeyHash of a CertID (RFC 6960 §4.1.1), over the bytes of the certificates."""
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()
    return request.issuer_name_hash, request.issuer_key_hash


def _check_extensions(parsed: ocsp.OCSPResponse) -> None:
    """Refuses extensions that are critical: none is understood here (RFC 6960 §4.4)."""
    # ResponseData: [0] version, responderID, producedAt, responses, [1] responseExtensions; SingleResponse:
    # certID, certStatus, thisUpdate, [0] nextUpdate, [1] singleExtensions (§4.2.1). `cryptography` shows the
    # latter of a response with one answer only.
    fields = der_elements(der_content(parsed.tbs_response_bytes))
    at = next(at for at, (tag, _) in enumerate(fields) if tag == 0x30)
    blocks = [inner for _, inner in fields[at + 1 :]]
    for _, answer in der_elements(fields[at][1]):
        blocks += [inner for tag, inner in der_elements(answer)[3:] if tag == 0xA1]
    for block in blocks:
        for _, extension in der_elements(der_content(block)):
            if der_elements(extension)[1] == (0x01, b"\xff"):
                raise BadCertificateStatusResponse("an OCSP response with a critical extension")


# ---- what it says, and when -------------------------------------------------------------------------


def _check_single(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, time: datetime) -> None:
    subject = subject_of(certificate)
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        since, reason = single.revocation_time_utc, single.revocation_reason
        raise CertificateError(
            f"the certificate of {subject} was revoked"
            + (f" on {since:%Y-%m-%d %H:%M:%S} UTC" if since is not None else "")
            + (f" ({reason.value})" if reason is not None else ""),
            AlertDescription.CERTIFICATE_REVOKED,
            VerifyError.CERT_REVOKED,
        )
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise BadCertificateStatusResponse(
            f"the OCSP responder does not know the certificate of {subject} (status unknown)"
        )
    if single.this_update_utc > time + _SKEW:
        # RFC 6960 §4.2.2.1: responses whose thisUpdate is later than the local time SHOULD be unreliable.
        raise BadCertificateStatusResponse(
            f"the OCSP status of {subject} is not valid before {_words(single.this_update_utc, time)}"
        )
    end = _end_of(single)
    if end < single.this_update_utc:
        raise BadCertificateStatusResponse("an OCSP response whose nextUpdate is before its thisUpdate")
    if end < time - _SKEW:
        # RFC 6960 §3.2, 6, §4.2.2.1: responses whose nextUpdate is past SHOULD be unreliable.
        raise BadCertificateStatusResponse(f"the OCSP status of {subject} expired on {_words(end, time)}")


def _end_of(single: ocsp.OCSPSingleResponse) -> datetime:
    # RFC 6960 §4.2.2.1: without nextUpdate there is always something newer: it is no word to be kept for long.
    return single.next_update_utc or single.this_update_utc + _NO_NEXT_UPDATE


def _words(then: datetime, now: datetime) -> str:
    return f"{then:%Y-%m-%d %H:%M:%S} UTC (it is {now:%Y-%m-%d %H:%M:%S} UTC here)"


def _status_name(parsed: ocsp.OCSPResponse) -> str:
    return parsed.response_status.name.lower()


#: How far the clocks of a responder and of this side may be apart.
_SKEW: Final = timedelta(seconds=limits.OCSP_SKEW)

#: How long a response without nextUpdate is good.
_NO_NEXT_UPDATE: Final = timedelta(seconds=limits.OCSP_LIFETIME)


# ---- who signed it ----------------------------------------------------------------------------------


def _check_signature(
    parsed: ocsp.OCSPResponse, issuer: x509.Certificate, certificate: x509.Certificate, time: datetime
) -> None:
    """The response is signed by the issuer, or by a responder of the issuer's (RFC 6960 §3.2, 2 to 4)."""
    reason = "an OCSP response whose responder is not known here"
    candidates = [each for each in (issuer, *parsed.certificates) if _is_responder(parsed, each)]
    for candidate in candidates[: limits.MAX_OCSP_RESPONDERS]:
        problem = None if candidate == issuer else _problem_of(candidate, issuer, time)
        if problem is None:
            if _signed_by(parsed, candidate):
                return
            problem = "did not sign it"
        reason = (
            f"an OCSP response for the certificate of {subject_of(certificate)} whose responder "
            f"{subject_of(candidate)} {problem}"
        )
    raise BadCertificateStatusResponse(reason)


def _is_responder(parsed: ocsp.OCSPResponse, candidate: x509.Certificate) -> bool:
    """Whether a certificate is that of the responderID (RFC 6960 §4.2.1)."""
    if parsed.responder_name is not None:
        return candidate.subject == parsed.responder_name
    # KeyHash: SHA-1 of the key, as in a CertID with SHA-1.
    return _id_hashes(candidate, candidate, hashes.SHA1())[1] == parsed.responder_key_hash


def _problem_of(responder: x509.Certificate, issuer: x509.Certificate, time: datetime) -> str | None:
    """Why a certificate may not sign responses for the issuer, in words; None where it may."""
    if not _issued_by(responder, issuer):
        # RFC 6960 §4.2.2.2: issued directly by the CA that issued the certificate in question.
        return "has no certificate of the issuer"
    if not responder.not_valid_before_utc <= time <= responder.not_valid_after_utc:
        return "has a certificate that is not valid now"
    usage = purposes = None
    for extension in responder.extensions:
        if isinstance(extension.value, x509.KeyUsage):
            usage = extension.value
        elif isinstance(extension.value, x509.ExtendedKeyUsage):
            purposes = extension.value
        elif extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            return "has a certificate with a critical extension that is not understood"
    if purposes is None or ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        # RFC 6960 §4.2.2.2: MUST include id-kp-OCSPSigning; any other usage, "any" included, does not do.
        return "has a certificate that is not for OCSP signing"
    if usage is not None and not usage.digital_signature:
        return "has a certificate that does not allow digital signatures"
    return None


#: Extensions of a responder's certificate that say nothing against it.
_UNDERSTOOD: Final = (
    x509.AuthorityKeyIdentifier,
    x509.BasicConstraints,
    x509.CertificatePolicies,
    x509.OCSPNoCheck,
    x509.SubjectAlternativeName,
    x509.SubjectKeyIdentifier,
)


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed a certificate, soundly."""
    if certificate.issuer != issuer.subject or not _is_sound(
        certificate.signature_algorithm_oid, lambda: certificate.signature_hash_algorithm
    ):
        return False
    try:
        public_key_of(issuer)  # of a size that is no burden to verify with
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        # InvalidSignature, or an algorithm or key that cannot be: it is not the issuer either way.
        return False
    return True


def _signed_by(parsed: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    oid = parsed.signature_algorithm_oid
    if not _is_sound(oid, lambda: _signature_hash(parsed)):
        raise BadCertificateStatusResponse(
            f"an OCSP response signed with {text(oid._name, 80)}, which is not safe or not known"
        )
    try:
        _verify(public_key_of(signer), oid, parsed)
    except InvalidSignature:
        return False
    return True


def _is_sound(oid: x509.ObjectIdentifier, digest: Callable[[], hashes.HashAlgorithm | None]) -> bool:
    """Whether a signature is of an algorithm that is safe. `digest` may raise for a hash that is not known."""
    if oid in _PURE:
        return True
    try:
        return isinstance(digest(), _HASHES)
    except Exception:
        return False


def _signature_hash(parsed: ocsp.OCSPResponse) -> hashes.HashAlgorithm | None:
    """The hash of the signature; None where it has none to choose, or one that is not known."""
    if parsed.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return parsed.signature_hash_algorithm
    # `cryptography` does not tell it of a response. OCSPResponse: responseStatus, [0] responseBytes: responseType,
    # response, which is BasicOCSPResponse: tbsResponseData, signatureAlgorithm (RFC 6960 §4.2.1).
    wrapped = der_elements(der_content(parsed.public_bytes(Encoding.DER)))[1][1]
    basic = der_elements(der_content(wrapped))[1][1]
    name = pss_hash_of(der_elements(der_content(basic))[1][1])
    return next((known() for known in _HASHES if known.name == name), None)


def _verify(key: Any, oid: x509.ObjectIdentifier, parsed: ocsp.OCSPResponse) -> None:
    """Raises InvalidSignature, also for a key of another kind than the signature's."""
    signature, signed, digest = parsed.signature, parsed.tbs_response_bytes, _signature_hash(parsed)
    pss = oid == SignatureAlgorithmOID.RSASSA_PSS
    if isinstance(key, PSSPublicKey) and pss and digest is not None and key.hash_name in (None, digest.name):
        key = key.key
    if isinstance(key, rsa.RSAPublicKey) and pss and digest is not None:
        key.verify(signature, signed, padding.PSS(padding.MGF1(digest), padding.PSS.AUTO), digest)
    elif isinstance(key, rsa.RSAPublicKey) and oid in _PKCS1 and digest is not None:
        key.verify(signature, signed, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and oid in _ECDSA and digest is not None:
        key.verify(signature, signed, ec.ECDSA(digest))
    elif (pure := _PURE.get(oid)) is not None and isinstance(key, pure):
        key.verify(signature, signed)
    else:
        raise InvalidSignature(f"{oid._name} by {describe(key)}")


_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_PKCS1: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
    }
)
_ECDSA: Final = frozenset(
    {
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    }
)
#: Algorithms that have no hash of their own to choose.
_PURE: Final[dict[x509.ObjectIdentifier, type[Any]]] = {
    SignatureAlgorithmOID.ED25519: ed25519.Ed25519PublicKey,
    SignatureAlgorithmOID.ED448: ed448.Ed448PublicKey,
}


# ---- one's own response -----------------------------------------------------------------------------


def staple(source: OCSPSource | None, certificate: bytes, time: datetime | None = None) -> bytes | None:
    """The response to staple to a certificate (DER form) now; None where there is none, or only a stale one.

    A response that every client would refuse as expired is better kept back. Raises ConfigurationError for one that
    is malformed, unsuccessful, too large, or for another certificate: each would end the client's handshake.
    """
    response = source() if callable(source) else source
    if response is None:
        return None
    own = _own(response, certificate)
    return own.response if (time or datetime.now(UTC)) <= own.end else None


@dataclass(frozen=True, slots=True)
class _Own:
    response: bytes
    end: datetime


@lru_cache(maxsize=64)
def _own(response: bytes, certificate: bytes) -> _Own:
    if not isinstance(response, bytes):
        raise ConfigurationError(f"an OCSP response is bytes in DER form, not {type(response).__name__}")
    if len(response) > limits.MAX_OCSP_RESPONSE:
        raise ConfigurationError(
            f"the OCSP response has {len(response)} bytes, more than {limits.MAX_OCSP_RESPONSE}"
        )
    serial_number = x509.load_der_x509_certificate(certificate).serial_number
    try:
        parsed = ocsp.load_der_ocsp_response(response)
        if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise ConfigurationError(f"the OCSP response is none: {_status_name(parsed)}")
        ends = [_end_of(single) for single in parsed.responses if single.serial_number == serial_number]
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"the OCSP response cannot be read (it must be an OCSPResponse in DER form): {error}"
        ) from error
    if not ends:
        raise ConfigurationError("the OCSP response is for another certificate than that of the credentials")
    return _Own(response, max(ends))

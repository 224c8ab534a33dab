"""OCSP responses for tests: of one authority, about one server, of every quality.

leaf(), leaf_credentials(), trust()       # the server, and who trusts it
respond(status=REVOKED)                   # a response by the authority
respond(signer=delegate())                # by a responder of the authority's
cases()                                   # name -> what comes, and what is to be made of it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.engine import HOST
from tests.support.handshakes import Handshake, client_refuses
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto.credentials import Credentials, OCSPSource, load_credentials
from tlswrite.crypto.selfsigned import Issued, make_certificate
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import (
    BadCertificateStatusResponse,
    CertificateError,
    DecodeError,
    IllegalParameter,
    TLSError,
)
from tlswrite.iana import AlertDescription
from tlswrite.limits import MAX_OCSP_RESPONSE, OCSP_LIFETIME, OCSP_SKEW

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
BY_KEY, BY_NAME = ocsp.OCSPResponderEncoding.HASH, ocsp.OCSPResponderEncoding.NAME


# ---- who is who ------------------------------------------------------------------------------------


@cache
def root(key_type: str = "ecdsa_secp256r1") -> Issued:
    return make_certificate([], common_name="OCSP test authority", is_ca=True, key_type=key_type)


@cache
def namesake() -> Issued:
    """An authority of the same name, with another key."""
    return make_certificate([], common_name="OCSP test authority", is_ca=True)


def leaf(*, must_staple: bool = False, client: bool = False, key_type: str = "ecdsa_secp256r1") -> Issued:
    """A certificate of the authority's; equal arguments give the same one."""
    return _leaf(must_staple, client, key_type)


@cache
def _leaf(must_staple: bool, client: bool, key_type: str) -> Issued:
    features = [(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)] if must_staple else []
    names = ["client.example"] if client else [HOST]
    return make_certificate(names, issuer=root(), extensions=features, key_type=key_type)


def leaf_credentials(
    ocsp_response: OCSPSource | None = None, *, must_staple: bool = False, client: bool = False
) -> Credentials:
    made = leaf(must_staple=must_staple, client=client)
    return load_credentials(made.chain_pem, made.key_pem, ocsp_response=ocsp_response)


def trust() -> TrustAnchors:
    return root().anchors()


@cache
def delegate(
    *,
    purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.OCSP_SIGNING,),
    issuer: Issued | None = None,
    days: tuple[int, int] = (-1, 1),
    key_type: str = "ecdsa_secp256r1",
    key_bits: int | None = None,
    signs: bool = True,
    odd: bool = False,
) -> Issued:
    """A responder's certificate of the authority, valid from and to so many days from now."""
    usage = x509.KeyUsage(signs, not signs, False, False, False, False, False, False, False)
    extensions: list[tuple[x509.ExtensionType, bool]] = [(usage, True), (x509.OCSPNoCheck(), False)]
    if purposes:
        extensions.append((x509.ExtendedKeyUsage(purposes), False))
    if odd:
        extensions.append((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True))
    private_key = None if key_bits is None else rsa.generate_private_key(65537, key_bits)
    return make_certificate(
        [],
        common_name="OCSP test responder",
        issuer=issuer or root(),
        client=False,
        server=False,
        not_before=NOW + days[0] * DAY,
        not_after=NOW + days[1] * DAY,
        extensions=extensions,
        key_type=key_type,
        private_key=private_key,
    )


# ---- what they say ---------------------------------------------------------------------------------


def respond(
    *,
    about: Issued | None = None,
    issuer: Issued | None = None,
    status: ocsp.OCSPCertStatus = GOOD,
    this_update: datetime = NOW - HOUR,
    next_update: datetime | None = NOW + DAY,
    signer: Issued | None = None,
    certificates: Sequence[Issued] | None = None,
    encoding: ocsp.OCSPResponderEncoding = BY_KEY,
    algorithm: hashes.HashAlgorithm | None = None,
    signature_hash: hashes.HashAlgorithm | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """An OCSPResponse in DER form, about the leaf, by the authority, unless told otherwise.

    A signer other than the authority brings its certificate along, unless `certificates` says what is brought.
    """
    issuer, signer = issuer or root(), signer or root()
    revoked = status is REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            (about or leaf()).certificate,
            issuer.certificate,
            algorithm or hashes.SHA1(),
            status,
            this_update,
            next_update,
            NOW - 2 * DAY if revoked else None,
            x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(encoding, signer.certificate)
    )
    brought = certificates if certificates is not None else [signer] if signer is not root() else []
    if brought:
        builder = builder.certificates([each.certificate for each in brought])
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    key = signer.private_key
    pure = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(key, None if pure else signature_hash or hashes.SHA256()).public_bytes(Encoding.DER)


def unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


#: Bodies of a CertificateStatus structure (RFC 6066 §8) that are none, and the error of each.
MALFORMED: dict[str, tuple[bytes, type[TLSError]]] = {
    "empty": (b"", DecodeError),
    "no length": (b"\1", DecodeError),
    "no response": (b"\1\0\0\0", DecodeError),
    "short": (b"\1\0\0\2x", DecodeError),
    "long": (b"\1\0\0\1xx", DecodeError),
    "other type": (b"\2\0\0\1x", IllegalParameter),
    "too large": (b"\1\0\x80\1" + bytes(MAX_OCSP_RESPONSE + 1), DecodeError),
    "large": (b"\1\0\x80\0" + bytes(MAX_OCSP_RESPONSE), BadCertificateStatusResponse),
}


def check_absent(client: ClientConfig, server: ServerConfig, *, refused: bool) -> None:
    """Asserts that the client refuses, or takes, the server's certificate without a status."""
    if refused:
        error = client_refuses(None, CertificateError, "without its OCSP", client=client, server=server)
        assert error.alert == AlertDescription.BAD_CERTIFICATE
    else:
        made = Handshake(client, server)
        assert made.complete, (made.client.error, made.server.error)
        assert made.client.io.result is not None and made.client.io.result.ocsp_response is None


# ---- of every quality ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A response to the leaf, and the error it ends in with words of its message; None where it is good."""

    response: bytes
    error: type[TLSError] | None = None
    words: str = ""

    @property
    def alert(self) -> AlertDescription | None:
        if self.error is None:
            return None
        return (
            AlertDescription.CERTIFICATE_REVOKED
            if self.error is CertificateError
            else AlertDescription.BAD_CERTIFICATE_STATUS_RESPONSE
        )


@cache
def cases() -> dict[str, Case]:
    bad = BadCertificateStatusResponse
    good = respond()
    skew, old = timedelta(seconds=OCSP_SKEW), timedelta(seconds=OCSP_LIFETIME)
    minute = timedelta(minutes=1)
    any_purpose = (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.SERVER_AUTH)
    nonce = x509.OCSPNonce(b"12345678")
    return {
        "good": Case(good),
        "good, by name": Case(respond(encoding=BY_NAME)),
        "good, SHA-256 in the certID": Case(respond(algorithm=hashes.SHA256())),
        "good, SHA-384 in the signature": Case(respond(signature_hash=hashes.SHA384())),
        "good, without nextUpdate": Case(respond(next_update=None)),
        "good, clocks apart": Case(respond(this_update=NOW + skew - minute)),
        "good, with a nonce": Case(respond(extensions=[(nonce, False)])),
        "good, with its issuer": Case(respond(certificates=[leaf(), root()])),
        "revoked": Case(
            respond(status=REVOKED), CertificateError, f"{HOST}' was revoked on {NOW - 2 * DAY:%Y-%m-%d}"
        ),
        "revoked, long ago": Case(
            respond(status=REVOKED, this_update=NOW - 9 * DAY, next_update=NOW - 8 * DAY),
            CertificateError,
            "UTC (keyCompromise)",
        ),
        "unknown": Case(respond(status=UNKNOWN), bad, "does not know the certificate of 'localhost'"),
        "expired": Case(respond(next_update=NOW - skew - minute), bad, "'localhost' expired on"),
        "old, without nextUpdate": Case(
            respond(this_update=NOW - old - skew - minute, next_update=None), bad, "expired on"
        ),
        "not yet valid": Case(
            respond(this_update=NOW + DAY, next_update=NOW + 2 * DAY), bad, "is not valid before"
        ),
        "ends before it begins": Case(
            respond(this_update=NOW + minute, next_update=NOW - minute), bad, "nextUpdate is before"
        ),
        "wrong serial": Case(respond(about=leaf(must_staple=True)), bad, "for another certificate"),
        "wrong issuer": Case(respond(issuer=namesake()), bad, "for another certificate"),
        "by a namesake": Case(respond(signer=namesake()), bad, "has no certificate of the issuer"),
        "by a namesake, by name": Case(
            respond(signer=namesake(), encoding=BY_NAME, certificates=[]), bad, "sign it"
        ),
        "by the certificate itself": Case(respond(signer=leaf()), bad, "is not for OCSP signing"),
        "delegated": Case(respond(signer=delegate())),
        "delegated, by name": Case(respond(signer=delegate(), encoding=BY_NAME)),
        "delegated, behind others": Case(
            respond(signer=delegate(), certificates=[leaf(), root(), delegate()])
        ),
        "delegated, not brought": Case(
            respond(signer=delegate(), certificates=[root()]), bad, "responder is not known here"
        ),
        "delegated, too many of its name": Case(
            respond(
                signer=delegate(),
                encoding=BY_NAME,
                certificates=[*[delegate(days=(-9, -day)) for day in (5, 6, 7, 8)], delegate()],
            ),
            bad,
            "not valid now",
        ),
        "delegated, for nothing": Case(respond(signer=delegate(purposes=())), bad, "not for OCSP signing"),
        "delegated, for anything": Case(
            respond(signer=delegate(purposes=any_purpose)), bad, "not for OCSP signing"
        ),
        "delegated, expired": Case(respond(signer=delegate(days=(-9, -1))), bad, "not valid now"),
        "delegated, not yet valid": Case(respond(signer=delegate(days=(1, 9))), bad, "not valid now"),
        "delegated, may not sign": Case(
            respond(signer=delegate(signs=False)), bad, "does not allow digital signatures"
        ),
        "delegated, with something critical": Case(
            respond(signer=delegate(odd=True)), bad, "critical extension that is not understood"
        ),
        "delegated by a stranger": Case(
            respond(signer=delegate(issuer=namesake())), bad, "has no certificate of the issuer"
        ),
        "delegated by a delegate": Case(
            respond(
                signer=delegate(issuer=delegate()), certificates=[delegate(issuer=delegate()), delegate()]
            ),
            bad,
            "has no certificate of the issuer",
        ),
        "delegated, with a weak key": Case(
            respond(signer=delegate(key_bits=1024)), bad, "an RSA key must have at least 2048 bits"
        ),
        "tampered": Case(bytes((*good[:-1], good[-1] ^ 1)), bad, "did not sign it"),
        "signed with SHA-224": Case(respond(signature_hash=hashes.SHA224()), bad, "not safe"),
        "with a critical extension": Case(respond(extensions=[(nonce, True)]), bad, "a critical extension"),
        "later": Case(unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER), bad, "is none: try_later"),
        "unauthorized": Case(
            unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED), bad, "is none: unauthorized"
        ),
        "garbage": Case(b"<html>504</html>", bad, "cannot be read"),
        "cut": Case(good[:-1], bad, "cannot be read"),
        "trailed": Case(good + b"\0", bad, "cannot be read"),
    }

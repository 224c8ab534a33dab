"""Certificates of peers and of our own: verification of chains, credentials, trust anchors.

The path itself is found and checked by `cryptography.x509.verification`; what is laid down around it here
is the profile (`trust.py`), the names (`identity.py`), the memory and the words (`explain.py`).

The profile is RFC 5280's as TLS peers have come to expect it, which is a little wider than the CA/Browser
Forum's that is that library's default: a certificate made with `openssl req -x509` is usable as an anchor
and, where it is itself an anchor, as a server's; AuthorityKeyIdentifier and the KeyUsage of a CA may be
missing; BasicConstraints need not be critical; a client need not have a subjectAltName. Not widened: a CA
must say that it is one, a server must carry the name in its subjectAltName (never the common name), an
extended key usage that is present must allow the purpose; SHA-1, and RSA keys under 2048 bits, are refused.
Anchors that are `strict` widen it in nothing that RFC 5280 has (`strict.py`).

Verification of a chain is several signature checks, and a client meets the same few chains again and
again: chains that verified are remembered with their anchors, up to a bound, and taken as verified for as
long as every certificate in them is within its dates. Revocation is told by stapled OCSP responses alone, which are
verified each time (`ocsp.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from tlswrite.crypto.certificates import (
    load_certificate,
    load_chain,
    names_of,
    peercert_dict,
    public_key,
    public_key_of,
    reading_certificate,
    server_end_point,
    subject_of,
)
from tlswrite.crypto.credentials import Credentials, Password, load_credentials
from tlswrite.crypto.explain import NO_NAME, NO_PATH, explain_chain, explain_name
from tlswrite.crypto.identity import Identity, identity_of, matches, sni_name
from tlswrite.crypto.ocsp import check_status
from tlswrite.crypto.strict import check_strict
from tlswrite.crypto.trust import TrustAnchors, VerifiedChain
from tlswrite.errors import CertificateError, VerifyError
from tlswrite.iana import AlertDescription

__all__ = [
    "Credentials",
    "Password",
    "TrustAnchors",
    "VerifiedChain",
    "check_status",
    "der_chain",
    "identity_of",
    "load_certificate",
    "load_chain",
    "load_credentials",
    "peercert_dict",
    "public_key",
    "server_end_point",
    "sni_name",
    "verify_client",
    "verify_server",
]


def verify_server(
    chain: Sequence[bytes],
    anchors: TrustAnchors,
    server_hostname: str | None,
    *,
    time: datetime | None = None,
) -> VerifiedChain:
    """Verifies a server's chain (DER form, end-entity certificate first) for `server_hostname`.

    With None for the name only the chain is verified. `time` (aware) is now unless given. Returns the path to
    the anchor; raises CertificateError with the alert of the reason, and ConfigurationError for a
    `server_hostname` that names nothing.
    """
    now = time or datetime.now(UTC)
    key = (server_hostname, *chain)
    known = anchors.recall(key, now)
    if known is not None:
        return known
    identity = None if server_hostname is None else identity_of(server_hostname)
    certificates = load_chain(chain)
    if identity is None:
        path = _verify(certificates, anchors, now, anchors.nameless_verifier)
    else:
        path = _verify_named(certificates, anchors, now, identity)
    return _accept(path, anchors, key)


def verify_client(
    chain: Sequence[bytes], anchors: TrustAnchors, *, time: datetime | None = None
) -> VerifiedChain:
    """Verifies a client's chain, as `verify_server` does a server's; no name is expected of it."""
    now = time or datetime.now(UTC)
    key = (_CLIENT, *chain)
    known = anchors.recall(key, now)
    if known is not None:
        return known
    return _accept(_verify(load_chain(chain), anchors, now, anchors.client_verifier), anchors, key)


def der_chain(path: VerifiedChain) -> list[bytes]:
    """The certificates of a verified path in DER form."""
    return [certificate.public_bytes(Encoding.DER) for certificate in path]


#: In the place of a server's name where a client's chain is remembered.
_CLIENT: Final = object()

#: Bytes of the largest chain that is remembered.
_REMEMBERED_SIZE: Final = 16384


def _verify(
    certificates: list[x509.Certificate],
    anchors: TrustAnchors,
    now: datetime,
    new_verifier: Callable[[datetime], verification.ClientVerifier],
) -> VerifiedChain:
    if anchors.certificates:
        try:
            return tuple(new_verifier(now).verify(certificates[0], certificates[1:]).chain)
        except Exception as error:
            # VerificationError, or what the parser makes of a part that was not looked at before.
            reason = str(error)
    else:
        reason = NO_PATH
    raise explain_chain(certificates, anchors, now, reason)


def _verify_named(
    certificates: list[x509.Certificate], anchors: TrustAnchors, now: datetime, identity: Identity
) -> VerifiedChain:
    leaf = certificates[0]
    if anchors.certificates and not (isinstance(identity, str) and "_" in identity):
        subject = x509.DNSName(identity) if isinstance(identity, str) else x509.IPAddress(identity)
        try:
            return tuple(anchors.server_verifier(subject, now).verify(leaf, certificates[1:]))
        except Exception as error:
            # Either the chain or the name is at fault, and what follows tells which.
            path = _verify(certificates, anchors, now, anchors.nameless_verifier)
            if NO_NAME not in str(error):
                # Neither of the two: then it is for the verifier to say.
                raise explain_chain(certificates, anchors, now, str(error)) from None
    else:
        # A name with an underscore is none to the library, which takes only host names.
        path = _verify(certificates, anchors, now, anchors.nameless_verifier)
        if isinstance(identity, str) and matches(identity, names_of(leaf)):
            return path
    raise explain_name(leaf, str(identity))


def _accept(path: VerifiedChain, anchors: TrustAnchors, key: tuple[object, ...]) -> VerifiedChain:
    # The library looks at the keys of issuers only.
    public_key_of(path[0])
    _check_constraints(path)
    if anchors.strict:
        check_strict(path)
    if sum(len(part) for part in key if isinstance(part, bytes)) <= _REMEMBERED_SIZE:
        anchors.remember(key, path)
    return path


def _check_constraints(path: VerifiedChain) -> None:
    """Raises CertificateError for a name constraint that is critical and of a kind that is not checked here.

    RFC 5280 §4.2.1.10: such a certificate is to be refused; the library's releases before 50 pass over it.
    """
    for authority in path[1:]:
        with reading_certificate():
            try:
                constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
            except x509.ExtensionNotFound:
                continue
        value = constraints.value
        for name in (*(value.permitted_subtrees or ()), *(value.excluded_subtrees or ())):
            if constraints.critical and not isinstance(name, x509.DNSName | x509.IPAddress):
                raise CertificateError(
                    f"{subject_of(authority)} limits its certificates by a name constraint that is not "
                    f"checked here ({type(name).__name__}): only those on DNS names and IP addresses are",
                    AlertDescription.UNSUPPORTED_CERTIFICATE,
                    VerifyError.PERMITTED_VIOLATION,
                )

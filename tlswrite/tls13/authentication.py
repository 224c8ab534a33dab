"""Certificate, CertificateVerify and Finished, as both sides send and receive them (RFC 9846 §4.5).

The three messages are computed alike wherever they occur: by the server, by the client, and by a client
after the handshake. What differs is the transcript, the base key and the context string, and these are
arguments. Whatever makes a message, or finds a received one right, adds it to the transcript, so that the
transcript is always the one the next message is computed over. A side's messages leave together, in as few
records as hold them (RFC 9846 §5.1).
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass
from functools import lru_cache

from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto import signatures, x509
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.signatures import CERT_SCHEMES, PublicKey, certificate_verify_content
from tlswrite.crypto.suites import Suite
from tlswrite.errors import IllegalParameter, MissingExtension
from tlswrite.handshake.entropy import Entropy
from tlswrite.handshake.offer import check_solicited
from tlswrite.handshake.runner import Message, Wait
from tlswrite.handshake.select import common_scheme
from tlswrite.iana import ExtensionType, HandshakeType, SignatureScheme, name_of
from tlswrite.messages import extensions as ext
from tlswrite.messages.certificate import Certificate, CertificateEntry, CertificateRequest, CertificateVerify
from tlswrite.messages.extensions import Place, check_allowed
from tlswrite.messages.finish import Finished
from tlswrite.tls13.schedule import finished_mac, verify_finished
from tlswrite.transcript import Transcript

__all__ = [
    "WAIT_CERT",
    "WAIT_CV",
    "WAIT_FINISHED",
    "Request",
    "certificate_messages",
    "certificate_request",
    "client_credentials",
    "finished_message",
    "may_answer",
    "parse_certificate",
    "parse_certificate_request",
    "receive_certificate_verify",
    "receive_finished",
    "shared_chain",
    "verify_client",
]

# States that both sides have (RFC 9846 §A).
WAIT_CERT = Wait("WAIT_CERT", HandshakeType.CERTIFICATE)
WAIT_CV = Wait("WAIT_CV", HandshakeType.CERTIFICATE_VERIFY)
WAIT_FINISHED = Wait("WAIT_FINISHED", HandshakeType.FINISHED)


# ---- CertificateRequest -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """What a CertificateRequest asks for."""

    context: bytes
    #: What the server verifies.
    schemes: tuple[int, ...]
    #: Whether an OCSP response is welcome.
    status: bool


def certificate_request(context: bytes, config: ServerConfig) -> bytes:
    """A CertificateRequest (RFC 9846 §4.4.2); `context` is empty in the handshake itself."""
    schemes, anchors = config.tls13_schemes, config.trust_anchors
    extensions = [
        # RFC 9846 §4.4.2: signature_algorithms MUST be specified.
        (ExtensionType.SIGNATURE_ALGORITHMS, ext.encode_signature_algorithms(schemes)),
        (ExtensionType.SIGNATURE_ALGORITHMS_CERT, ext.encode_signature_algorithms(CERT_SCHEMES)),
    ]
    if config.status_request:
        # RFC 9846 §4.5.1.1: an empty extension.
        extensions.append((ExtensionType.STATUS_REQUEST, ext.encode_status_request_empty()))
    if anchors is not None and anchors.brief_subjects:
        # RFC 9846 §4.3.4: which authorities the client's certificate should be of.
        authorities = ext.encode_certificate_authorities(anchors.brief_subjects)
        extensions.append((ExtensionType.CERTIFICATE_AUTHORITIES, authorities))
    return CertificateRequest(context, tuple(extensions)).encode()


def parse_certificate_request(raw: bytes) -> Request:
    """What a server asks for; raises PeerError."""
    request = CertificateRequest.parse(raw[4:])
    check_allowed(request.extensions, Place.CR)
    schemes = request.extension(ExtensionType.SIGNATURE_ALGORITHMS)
    if schemes is None:
        # RFC 9846 §4.4.2: MUST be specified; §6.2: what is mandatory and absent is "missing_extension".
        raise MissingExtension("the CertificateRequest has no signature_algorithms")
    status = request.extension(ExtensionType.STATUS_REQUEST)
    if status is not None:
        ext.parse_status_request_empty(status)
    return Request(request.request_context, ext.parse_signature_algorithms(schemes), status is not None)


def client_credentials(
    config: ClientConfig, schemes: Collection[int]
) -> tuple[Credentials, SignatureScheme] | tuple[None, None]:
    """What a client answers a CertificateRequest with: credentials and the scheme, or nothing.

    There is one set of credentials to choose from, so certificate_authorities (RFC 9846 §4.3.4) guides
    nothing: whether it is good enough is for the server to say.
    """
    credentials = config.credentials
    if credentials is not None:
        # RFC 9846 §4.5.2: the algorithm MUST be one of the request's signature_algorithms.
        scheme = common_scheme(credentials.schemes, schemes, config.tls13_schemes)
        if scheme is not None:
            return credentials, scheme
    # RFC 9846 §4.5.1: without a suitable certificate the client MUST send an empty Certificate.
    return None, None


# ---- Certificate and CertificateVerify --------------------------------------------------------------


def certificate_messages(
    transcript: Transcript,
    credentials: Credentials | None,
    scheme: SignatureScheme | None,
    context_string: bytes,
    entropy: Entropy,
    request_context: bytes = b"",
    *,
    status: bool,
) -> bytes:
    """Certificate and CertificateVerify to send; without credentials an empty Certificate alone.

    `status` tells whether the peer asks for the certificate's OCSP status.
    """
    if credentials is None or scheme is None:
        certificate = certificate_message((), request_context)
        transcript.add(certificate)
        return certificate
    staple = credentials.staple() if status else None
    certificate = certificate_message(credentials.chain, request_context, staple)
    transcript.add(certificate)
    content = certificate_verify_content(context_string, transcript.digest())
    signature = entropy.sign(credentials.private_key, scheme, content)
    verify = CertificateVerify(scheme, signature).encode()
    transcript.add(verify)
    return certificate + verify


@lru_cache(maxsize=64)
def certificate_message(
    chain: tuple[bytes, ...], request_context: bytes, staple: bytes | None = None
) -> bytes:
    """An encoded Certificate; a server sends the same few over and over."""
    entries = [CertificateEntry(der) for der in chain]
    if staple is not None:
        # RFC 9846 §4.5.1.1: in the CertificateEntry of the certificate that it is about.
        status = (ExtensionType.STATUS_REQUEST, ext.encode_certificate_status(staple))
        entries[0] = CertificateEntry(chain[0], (status,))
    return Certificate(request_context, tuple(entries)).encode()


def parse_certificate(
    raw: bytes, request_context: bytes, offered: Collection[int]
) -> tuple[tuple[bytes, ...], bytes | None]:
    """The chain of a Certificate that answers `request_context`, and the OCSP response to its first certificate.

    `offered` are the extension types that its entries may answer.
    """
    certificate = Certificate.parse(raw[4:])
    if certificate.request_context != request_context:
        # RFC 9846 §4.5.1: the context of the request, empty for a server's certificate.
        raise IllegalParameter("a Certificate whose certificate_request_context answers no request")
    for entry in certificate.entries:
        if entry.extensions:
            # RFC 9846 §4.5.1: extensions MUST correspond to ones of the ClientHello or CertificateRequest.
            check_allowed(entry.extensions, Place.CT)
            check_solicited(entry.extensions, offered)
    # Responses to the certificates of authorities are looked at for their syntax alone.
    statuses = [entry.extension(ExtensionType.STATUS_REQUEST) for entry in certificate.entries]
    responses = [None if each is None else ext.parse_certificate_status(each) for each in statuses]
    return tuple(entry.der for entry in certificate.entries), responses[0] if responses else None


def may_answer(config: ServerConfig) -> tuple[ExtensionType, ...]:
    """What the entries of a client's Certificate may answer: the extensions of the CertificateRequest."""
    return (ExtensionType.STATUS_REQUEST,) if config.status_request else ()


def verify_client(config: ServerConfig, chain: tuple[bytes, ...], response: bytes | None) -> bytes | None:
    """Verifies the chain of a client and the OCSP response that came with it, which is returned."""
    assert config.trust_anchors is not None, "nobody is asked without them"
    path = x509.verify_client(chain, config.trust_anchors)
    return x509.check_status(
        path, chain, response, asked=config.status_request, required=config.require_ocsp_status
    )


def shared_chain(chain: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The same chain, in one copy for all connections to one peer; for chains that were verified."""
    return _shared_chain(chain) if sum(map(len, chain)) <= _MAX_SHARED_CHAIN else chain


#: Bytes of a chain, and chains, that are kept to be shared.
_MAX_SHARED_CHAIN = 16384
_SHARED_CHAINS = 64


@lru_cache(maxsize=_SHARED_CHAINS)
def _shared_chain(chain: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return chain


def receive_certificate_verify(
    transcript: Transcript, public_key: PublicKey, accepted: Collection[int], context_string: bytes
) -> Generator[Wait, Message, int]:
    """WAIT_CV: the peer proves that the key of its certificate is its own; returns the scheme."""
    _, raw = yield WAIT_CV
    verify = CertificateVerify.parse(raw[4:])
    if verify.scheme not in accepted:
        # RFC 9846 §4.5.2: the algorithm MUST be one of our signature_algorithms.
        raise IllegalParameter(
            f"a CertificateVerify with {name_of(SignatureScheme, verify.scheme)}, which was not offered"
        )
    content = certificate_verify_content(context_string, transcript.digest())
    signatures.verify(public_key, verify.scheme, verify.signature, content)
    transcript.add(raw)
    return verify.scheme


# ---- Finished ---------------------------------------------------------------------------------------


def finished_message(transcript: Transcript, suite: Suite, base_key: bytes) -> bytes:
    """The Finished to send over the transcript so far."""
    finished = Finished(finished_mac(suite, base_key, transcript.digest())).encode()
    transcript.add(finished)
    return finished


def receive_finished(transcript: Transcript, suite: Suite, base_key: bytes) -> Generator[Wait, Message, None]:
    """WAIT_FINISHED: the peer has seen the same messages and has the same keys."""
    _, raw = yield WAIT_FINISHED
    verify_finished(suite, base_key, transcript.digest(), Finished.parse(raw[4:]).verify_data)
    transcript.add(raw)

"""The client's handshake in TLS 1.2 (RFC 5246 §7.3, RFC 8422 §2), from the ServerHello on.

WAIT_SH -> WAIT_CERT -> WAIT_SKE -> WAIT_CR_SHD [-> WAIT_SHD] [-> WAIT_NST] -> WAIT_FINISHED -> CONNECTED, or, where
the server resumes a session, WAIT_SH [-> WAIT_NST] -> WAIT_FINISHED.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from tlswrite import limits
from tlswrite.config import ClientConfig
from tlswrite.crypto import certificates, signatures12, x509
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.signatures import PublicKey
from tlswrite.crypto.suites import SUITES
from tlswrite.crypto.trust import VerifiedChain
from tlswrite.errors import DecodeError, HandshakeFailure, IllegalParameter, ProtocolVersionError
from tlswrite.handshake.entropy import Entropy
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.offer import Offer, check_solicited, chosen_protocol, make_offer
from tlswrite.handshake.resumption import client_context, session_key
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO, Message, Wait
from tlswrite.handshake.select import common_scheme, version_name
from tlswrite.handshake.verify import verify_server
from tlswrite.iana import (
    CipherSuite,
    ClientCertificateType,
    ECPointFormat,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
    name_of,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.certificate import CertificateVerify
from tlswrite.messages.extensions import Place, check_allowed
from tlswrite.messages.hello import ServerHello
from tlswrite.messages.tls12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    NewSessionTicket12,
    ServerHelloDone,
    ServerKeyExchange,
)
from tlswrite.session import Session
from tlswrite.tls12.handshake import HELLO_REQUEST, Handshake12, Last
from tlswrite.tls12.renegotiation import AfterHandshake12

__all__ = ["ClientHandshake"]

WAIT_SH: Final = Wait("WAIT_SH", HandshakeType.SERVER_HELLO, ignored=HELLO_REQUEST)
WAIT_CERT: Final = Wait("WAIT_CERT", HandshakeType.CERTIFICATE, ignored=HELLO_REQUEST)
WAIT_SKE: Final = Wait("WAIT_SKE", HandshakeType.SERVER_KEY_EXCHANGE, ignored=HELLO_REQUEST)
WAIT_CS_SKE: Final = Wait(
    "WAIT_CS_SKE",
    HandshakeType.CERTIFICATE_STATUS,
    HandshakeType.SERVER_KEY_EXCHANGE,
    ignored=HELLO_REQUEST,
)
WAIT_CR_SHD: Final = Wait(
    "WAIT_CR_SHD",
    HandshakeType.CERTIFICATE_REQUEST,
    HandshakeType.SERVER_HELLO_DONE,
    ignored=HELLO_REQUEST,
)
WAIT_SHD: Final = Wait("WAIT_SHD", HandshakeType.SERVER_HELLO_DONE, ignored=HELLO_REQUEST)
WAIT_NST: Final = Wait("WAIT_NST", HandshakeType.NEW_SESSION_TICKET, ignored=HELLO_REQUEST)


class ClientHandshake(Handshake12):
    """What the steps of one handshake share.

    `offer` was sent in the ClientHello. `last` is the handshake before it where this one renegotiates.
    """

    __slots__ = (
        "config",
        "credentials",
        "entropy",
        "group",
        "local_scheme",
        "ocsp_response",
        "offer",
        "path",
        "public",
        "request",
        "server_hostname",
        "session_id",
        "status_due",
        "ticket",
        "ticket_due",
    )

    #: Of the ServerHello.
    session_id: bytes
    #: The server's share of the key exchange.
    public: bytes

    def __init__(
        self,
        io: HandshakeIO,
        config: ClientConfig,
        server_hostname: str | None,
        entropy: Entropy,
        offer: Offer,
        last: Last | None = None,
    ) -> None:
        super().__init__(io, last)
        self.config = config
        self.server_hostname = server_hostname
        self.entropy = entropy
        self.offer = offer
        self.request: CertificateRequest12 | None = None
        self.credentials: Credentials | None = None
        self.local_scheme: SignatureScheme | None = None
        self.group: NamedGroup | None = None
        #: The path by which the server's certificate was verified.
        self.path: VerifiedChain | None = None
        #: Whether the server announced a CertificateStatus, and what came.
        self.status_due = False
        self.ocsp_response: bytes | None = None
        #: Whether the server announced a ticket, and what came.
        self.ticket_due = False
        self.ticket: NewSessionTicket12 | None = None
        self.client_random = offer.hello.random
        self.add(offer.message)

    def run(self, hello: ServerHello, raw: bytes) -> HandshakeGenerator:
        """All steps, in the order of RFC 5246 §7.3, from the ServerHello on; `raw` is its bytes."""
        self.io.enter_tls12()
        self.take_server_hello(hello, raw)
        if self.session is not None:
            yield from self.resume(self.session)
        else:
            public_key = yield from self.receive_certificate()
            yield from self.receive_key_exchange(public_key)
            yield from self.receive_done()
            self.send_flight()
            yield from self.receive_ticket()
            yield from self.receive_finished(client=False)
        self.finish()

    # ---- ServerHello --------------------------------------------------------------------------------

    def take_server_hello(self, hello: ServerHello, raw: bytes) -> None:
        """What the server chose (RFC 5246 §7.4.1.3)."""
        if hello.legacy_version != ProtocolVersion.TLS_1_2:
            # RFC 5246 §E.1; in a renegotiation too the version stays (RFC 9846 §4.2.2).
            raise ProtocolVersionError(
                f"the server chose {version_name(hello.legacy_version)} instead of TLS 1.2"
            )
        suite = SUITES.get(hello.cipher_suite)
        if (
            suite is None
            or suite.version != ProtocolVersion.TLS_1_2
            or hello.cipher_suite not in self.config.cipher_suites
        ):
            # RFC 5246 §7.4.1.3: a suite that was not offered, or not one of this version.
            name = name_of(CipherSuite, hello.cipher_suite)
            raise IllegalParameter(f"the server chose {name}, which was not offered for TLS 1.2")
        if hello.compression_method != 0:
            raise IllegalParameter(f"the server chose the compression method {hello.compression_method}")
        # RFC 5246 §7.4.1.4: an extension that was not asked for: "unsupported_extension".
        check_solicited(hello.extensions, self.offer.extension_types)
        check_allowed(hello.extensions, Place.SH12)
        self.suite = suite
        self.server_random = hello.random
        self.take_extensions(hello)
        self.take_session(hello)
        self.add(raw)
        self.transcript.start(suite.hash_name)

    def take_extensions(self, hello: ServerHello) -> None:
        config, data = self.config, dict(hello.extensions)
        self.take_renegotiation_info(data.get(ExtensionType.RENEGOTIATION_INFO))
        extended = data.get(ExtensionType.EXTENDED_MAIN_SECRET)
        if extended is not None:
            ext12.parse_extended_main_secret(extended)
            self.extended = True
        elif config.require_extended_main_secret:
            # RFC 7627 §5.3: a client that insists aborts the handshake: "handshake_failure".
            raise HandshakeFailure(
                "the server has no extended main secret (RFC 7627), without which keys are not bound to "
                "the handshake (require_extended_main_secret=False does without)"
            )
        status = data.get(ExtensionType.STATUS_REQUEST)
        if status is not None:
            ext.parse_status_request_empty(status)
            self.status_due = True
        ticket = data.get(ExtensionType.SESSION_TICKET)
        if ticket:
            # RFC 5077 §3.2: extension_data of the server's answer is empty.
            raise DecodeError("session_ticket of the server is not empty")
        self.ticket_due = ticket is not None
        protocol = data.get(ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION)
        if protocol is not None:
            self.alpn = chosen_protocol(config, ext.parse_alpn_server(protocol))
        if data.get(ExtensionType.SERVER_NAME):
            # RFC 6066 §3: extension_data of the server's answer SHALL be empty.
            raise DecodeError("server_name of the server is not empty")
        formats = data.get(ExtensionType.EC_POINT_FORMATS)
        if formats is not None and ECPointFormat.uncompressed not in ext12.parse_ec_point_formats(formats):
            # RFC 8422 §5.1.2: a list without uncompressed: "illegal_parameter".
            raise IllegalParameter("the server's ec_point_formats lack uncompressed")
        self.take_limits(
            data.get(ExtensionType.RECORD_SIZE_LIMIT), data.get(ExtensionType.MAX_FRAGMENT_LENGTH)
        )

    def take_session(self, hello: ServerHello) -> None:
        """Whether the server resumes the session that was offered (RFC 5246 §7.4.1.3, RFC 5077 §3.4)."""
        self.session_id = hello.session_id
        if not hello.session_id or hello.session_id != self.offer.hello.session_id:
            return
        session = self.offer.session
        if session is None or session.version != ProtocolVersion.TLS_1_2:
            # RFC 9846 §4.2.3: the id was for middleboxes alone, and no server can know it.
            raise IllegalParameter("the server resumes a session that was not offered")
        if hello.cipher_suite != session.suite:
            # RFC 5246 §7.4.1.3: the suite of the session.
            raise IllegalParameter("the server resumes a session with another cipher suite")
        if not self.extended:
            # RFC 7627 §5.3: a session with the extension resumed without it: MUST abort.
            raise HandshakeFailure("the server resumes a session without its extended main secret")
        self.session = session
        self.peer_chain = session.peer_chain

    def take_renegotiation_info(self, received: bytes | None) -> None:
        last = self.last
        if last is not None:
            # RFC 5746 §3.5: both verify_data, the client's first.
            info = None if received is None else ext12.parse_renegotiation_info(received)
            self.check_renegotiation_info(info, last.client_verify_data + last.server_verify_data)
        elif received is not None:
            # RFC 5746 §3.4: in the first handshake it MUST be empty.
            self.check_renegotiation_info(ext12.parse_renegotiation_info(received), b"")
        elif not self.config.legacy_server_connect:
            # RFC 5746 §4.1: clients that want to be safe MUST NOT go on.
            raise HandshakeFailure(
                "the server has no secure renegotiation (RFC 5746): a handshake with it can be spliced into "
                "somebody else's (legacy_server_connect=True accepts that)"
            )

    def take_limits(self, limit: bytes | None, fragment_length: bytes | None) -> None:
        config = self.config
        if limit is not None:
            if fragment_length is not None:
                # RFC 8449 §5: an answer with both: "illegal_parameter".
                raise IllegalParameter("the server answers record_size_limit and max_fragment_length")
            # RFC 8449 §4: in TLS 1.2 the plaintext of a record counts.
            self.max_send = min(ext.parse_record_size_limit(limit), limits.MAX_PLAINTEXT)
            self.max_receive = min(config.record_size_limit or limits.MAX_PLAINTEXT, limits.MAX_PLAINTEXT)
        elif fragment_length is not None:
            length = ext12.parse_max_fragment_length(fragment_length)
            if length != config.max_fragment_length:
                # RFC 6066 §4: a length other than the one asked for: "illegal_parameter".
                raise IllegalParameter(
                    f"the server chose a max_fragment_length of {length}, which was not asked for"
                )
            self.max_send = self.max_receive = length

    # ---- the server's identity and key exchange ---------------------------------------------------------

    def receive_certificate(self) -> Generator[Wait, Message, PublicKey]:
        """WAIT_CERT: the server's chain, verified; returns its key."""
        config = self.config
        _, raw = yield WAIT_CERT
        chain = Certificate12.parse(raw[4:]).entries
        if not chain:
            # RFC 5246 §7.4.2: a server MUST send a certificate.
            raise DecodeError("the server sent no certificate")
        public_key = certificates.public_key(chain[0])
        self.path = verify_server(config, chain, self.server_hostname)
        if signatures12.authentication_of(public_key) != self.suite.authentication:
            # RFC 5246 §7.4.2: the key MUST be of the kind that the suite names.
            raise IllegalParameter(
                f"the server's certificate has another kind of key than {self.suite.name} is for"
            )
        self.peer_chain = chain
        self.check_identity(config.allow_identity_change)
        self.add(raw)
        return public_key

    def receive_status(self) -> Generator[Wait, Message, bytes]:
        """WAIT_CS_SKE: the CertificateStatus, if it was announced and comes; returns the ServerKeyExchange."""
        config = self.config
        # RFC 6066 §8: immediately after the Certificate, and only where it was announced.
        message_type, raw = yield WAIT_CS_SKE if self.status_due else WAIT_SKE
        if message_type == HandshakeType.CERTIFICATE_STATUS:
            self.ocsp_response = CertificateStatus.parse(raw[4:]).response
            self.add(raw)
        if self.path is not None:
            self.ocsp_response = x509.check_status(
                self.path,
                self.peer_chain,
                self.ocsp_response,
                asked=config.status_request,
                required=config.require_ocsp_status,
            )
        if message_type == HandshakeType.CERTIFICATE_STATUS:
            _, raw = yield WAIT_SKE
        return raw

    def receive_key_exchange(self, public_key: PublicKey) -> Generator[Wait, Message, None]:
        """WAIT_SKE: the server's share, signed."""
        config = self.config
        raw = yield from self.receive_status()
        exchange = ServerKeyExchange.parse(raw[4:])
        if exchange.group not in self.offer.groups:
            # RFC 8422 §5.4: a curve that was not offered: "illegal_parameter".
            raise IllegalParameter(
                f"the server's key exchange is in {name_of(NamedGroup, exchange.group)}, which was not offered"
            )
        if exchange.scheme not in config.signature_schemes:
            # RFC 5246 §7.4.3: the algorithm MUST be one that was offered.
            raise IllegalParameter(
                f"a ServerKeyExchange with {name_of(SignatureScheme, exchange.scheme)}, which was not offered"
            )
        signed = self.client_random + self.server_random + exchange.params
        signatures12.verify(public_key, exchange.scheme, exchange.signature, signed)
        self.group = NamedGroup(exchange.group)
        self.public = exchange.public
        self.peer_scheme = exchange.scheme
        self.add(raw)

    def receive_done(self) -> Generator[Wait, Message, None]:
        """WAIT_CR_SHD, and WAIT_SHD behind a CertificateRequest."""
        message_type, raw = yield WAIT_CR_SHD
        if message_type == HandshakeType.CERTIFICATE_REQUEST:
            self.request = CertificateRequest12.parse(raw[4:])
            self.add(raw)
            _, raw = yield WAIT_SHD
        ServerHelloDone.parse(raw[4:])
        self.add(raw)

    # ---- sessions ---------------------------------------------------------------------------------------

    def resume(self, session: Session) -> Generator[Wait, Message, None]:
        """The abbreviated handshake (RFC 5246 §7.3, RFC 5077 §3.1): the server's Finished comes first."""
        self.use_main_secret(session.secret, self.config, client=True)
        yield from self.receive_ticket()
        yield from self.receive_finished(client=False)
        self.io.change_write_protection(self.sealer)
        self.io.send(self.finished_message(client=True))

    def receive_ticket(self) -> Generator[Wait, Message, None]:
        """WAIT_NST, where the server announced a ticket."""
        if self.ticket_due:
            # RFC 5077 §3.3: the message MUST be sent if the server included the extension.
            _, raw = yield WAIT_NST
            self.ticket = NewSessionTicket12.parse(raw[4:])
            self.add(raw)

    def keep_session(self) -> tuple[bytes, Session] | None:
        """Put what can be resumed later into the cache; the session with its key there."""
        config, resumed, ticket = self.config, self.session, self.ticket
        if config.session_cache is None or not self.extended:
            # RFC 7627 §5.3: without the extension a session is better not resumed.
            return None
        now = self.entropy.time()
        key = session_key(config, self.server_hostname)
        if ticket is not None and 0 < len(ticket.ticket) <= limits.MAX_TICKET:
            # RFC 5077 §3.3: a lifetime of zero: unspecified; §3.4: the session id is of no use besides.
            hint, shown, session_id = ticket.lifetime_hint, ticket.ticket, b""
        elif self.last is not None:
            # The id of a renegotiation's session is of no use: servers resume those of first handshakes.
            return None
        elif resumed is not None:
            # What was resumed may be resumed again.
            config.session_cache.put(key, resumed)
            return key, resumed
        elif self.session_id:
            hint, shown, session_id = 0, b"", self.session_id
        else:
            return None
        session = Session(
            version=ProtocolVersion.TLS_1_2,
            suite=self.suite.id,
            secret=self.main.secret,
            context=client_context(config),
            server_name=self.server_hostname,
            alpn=self.alpn,
            peer_chain=self.peer_chain,
            authenticated_at=now if resumed is None else resumed.authenticated_at,
            issued_at=now,
            lifetime=min(hint or limits.TICKET_LIFETIME, limits.MAX_TICKET_LIFETIME),
            ticket=shown,
            session_id=session_id,
        )
        config.session_cache.put(key, session)
        return key, session

    # ---- the second flight ------------------------------------------------------------------------------

    def send_flight(self) -> None:
        """[Certificate,] ClientKeyExchange, [CertificateVerify,] change_cipher_spec, Finished."""
        io = self.io
        flight = b""
        if self.request is not None:
            self.choose_credentials(self.request)
            chain = () if self.credentials is None else self.credentials.chain
            flight = Certificate12(chain).encode()
            self.add(flight)
        assert self.group is not None, "the ServerKeyExchange has it"
        share = self.entropy.generate(self.group)
        shared_secret = share.finish(self.public)
        exchange = ClientKeyExchange(share.public).encode()
        self.add(exchange)
        flight += exchange
        self.make_keys(shared_secret, self.config, client=True)
        if self.credentials is not None and self.local_scheme is not None:
            key = self.credentials.private_key
            signature = signatures12.sign(key, self.local_scheme, bytes(self.messages))
            verify = CertificateVerify(self.local_scheme, signature).encode()
            self.add(verify)
            flight += verify
        io.send(flight)
        io.change_write_protection(self.sealer)
        io.send(self.finished_message(client=True))

    def choose_credentials(self, request: CertificateRequest12) -> None:
        """Credentials that the server can verify, or none (RFC 5246 §7.4.6)."""
        credentials = self.config.credentials
        if credentials is None:
            return
        key = credentials.private_key
        kind = _CERTIFICATE_TYPES.get(signatures12.authentication_of(key))
        if kind not in request.certificate_types:
            return
        self.local_scheme = common_scheme(
            signatures12.schemes_for(key), request.schemes, self.config.signature_schemes
        )
        if self.local_scheme is not None:
            self.credentials = credentials

    def finish(self) -> None:
        """CONNECTED."""
        credentials = self.credentials
        facts = Negotiated(
            version=ProtocolVersion.TLS_1_2,
            suite=self.suite,
            group=self.group,
            alpn=self.alpn,
            server_name=self.offer.server_name,
            peer_chain=self.peer_chain,
            ocsp_response=self.ocsp_response,
            extended_main_secret=self.extended,
            local_certificate=None if credentials is None else credentials.chain[0],
            signature_scheme=self.peer_scheme,
            local_signature_scheme=self.local_scheme,
            session_reused=self.session is not None,
        )
        after = AfterHandshake12(
            self.config,
            facts,
            self.main,
            self.outcome(self.keep_session()),
            self.first_finished,
            _Again(self.config, self.server_hostname, self.entropy),
        )
        self.io.complete(facts, after)


class _Again:
    """Begins another handshake of the same client."""

    __slots__ = ("_config", "_entropy", "_server_hostname")

    def __init__(self, config: ClientConfig, server_hostname: str | None, entropy: Entropy) -> None:
        self._config = config
        self._server_hostname = server_hostname
        self._entropy = entropy

    def __call__(self, io: HandshakeIO, last: Last, raw: bytes) -> HandshakeGenerator:
        offer = make_offer(self._config, self._server_hostname, self._entropy, last.client_verify_data)
        io.send(offer.message)
        _, raw = yield WAIT_SH
        handshake = ClientHandshake(io, self._config, self._server_hostname, self._entropy, offer, last)
        yield from handshake.run(ServerHello.parse(raw[4:]), raw)


_CERTIFICATE_TYPES: Final = {
    "ECDSA": ClientCertificateType.ecdsa_sign,
    "RSA": ClientCertificateType.rsa_sign,
}

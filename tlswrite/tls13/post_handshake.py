"""After the handshake: KeyUpdate, NewSessionTicket, authentication of the client (RFC 9846 §4.7).

One small object holds what a connection needs for the rest of its life: the two traffic secrets, the exporter
secret and the facts. It has no reference to the connection: `handle` is lent the io for one message.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator
from dataclasses import replace

from tlswrite import limits
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto import certificates
from tlswrite.crypto.signatures import CLIENT_CONTEXT
from tlswrite.errors import (
    CallerError,
    CertificateRequired,
    IllegalParameter,
    TooMuchError,
    UnexpectedMessage,
)
from tlswrite.handshake.entropy import Entropy
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.resumption import client_context, session_key
from tlswrite.handshake.runner import HandshakeIO, Message, Runner, Wait
from tlswrite.iana import HandshakeType, KeyUpdateRequest, name_of
from tlswrite.messages.certificate import Certificate
from tlswrite.messages.extensions import Place, check_allowed
from tlswrite.messages.finish import KeyUpdate, NewSessionTicket
from tlswrite.record.protection import Sealer
from tlswrite.session import Session
from tlswrite.tls13.authentication import (
    WAIT_CERT,
    certificate_messages,
    certificate_request,
    client_credentials,
    finished_message,
    may_answer,
    parse_certificate,
    parse_certificate_request,
    receive_certificate_verify,
    receive_finished,
    verify_client,
)
from tlswrite.tls13.protection import new_opener, new_sealer
from tlswrite.tls13.schedule import export, next_application_secret, resumption_psk
from tlswrite.transcript import Transcript

__all__ = ["MAX_EPOCH", "PostHandshake", "Tickets"]

#: A sender's key updates MUST NOT exceed this number (RFC 9846 §4.7.3).
MAX_EPOCH = 2**48 - 1


class Tickets:
    """What a client needs to make a session of a ticket (RFC 9846 §4.7.1)."""

    __slots__ = ("authenticated_at", "resumption_secret", "server_hostname")

    def __init__(
        self, resumption_secret: bytes, server_hostname: str | None, authenticated_at: float
    ) -> None:
        self.resumption_secret = resumption_secret
        self.server_hostname = server_hostname
        #: When the server proved its identity, in seconds since the epoch.
        self.authenticated_at = authenticated_at


class PostHandshake:
    """What a connection is after its handshake; implements AfterHandshake.

    `transcript`, ClientHello to client Finished, is given where the client may be authenticated later on.
    """

    __slots__ = (
        "_answering",
        "_asked",
        "_awaiting_update",
        "_config",
        "_delivered",
        "_entropy",
        "_epoch",
        "_exporter_secret",
        "_facts",
        "_in_a_row",
        "_max_receive",
        "_max_send",
        "_receive_secret",
        "_send_secret",
        "_ticket_count",
        "_tickets",
        "_tickets_at",
        "_transcript",
        "session",
    )

    def __init__(
        self,
        config: ClientConfig | ServerConfig,
        facts: Negotiated,
        *,
        send_secret: bytes,
        receive_secret: bytes,
        exporter_secret: bytes,
        max_send: int,
        max_receive: int,
        transcript: Transcript | None,
        entropy: Entropy,
        tickets: Tickets | None = None,
    ) -> None:
        self._config = config
        self._facts = facts
        self._send_secret = send_secret
        self._receive_secret = receive_secret
        self._exporter_secret = exporter_secret
        self._max_send = max_send
        self._max_receive = max_receive
        self._transcript = transcript
        self._entropy = entropy
        self._epoch = 0
        self._awaiting_update = False
        self._delivered = 0
        self._in_a_row = 0
        self._tickets = tickets
        self._ticket_count = 0
        self._tickets_at = 0
        #: Client: the newest session that the server gave.
        self.session: Session | None = None
        #: Server: CertificateRequests not yet answered, by context.
        self._asked: dict[bytes, bytes] | None = None
        #: Server: the answer that is coming in.
        self._answering: Runner | None = None

    def handle(self, message_type: int, raw: bytes, io: HandshakeIO) -> None:
        """One message after the handshake. Raises PeerError."""
        if self._answering is not None:
            # RFC 9846 §4.7.2: the messages of one answer come consecutively.
            self._answering.receive(message_type, raw)
            if self._answering.done:
                self._answering = None
            return
        client = isinstance(self._config, ClientConfig)
        if message_type == HandshakeType.KEY_UPDATE:
            self._receive_key_update(KeyUpdate.parse(raw[4:]), io)
        elif message_type == HandshakeType.NEW_SESSION_TICKET and client:
            self._receive_ticket(NewSessionTicket.parse(raw[4:]), io)
        elif message_type == HandshakeType.CERTIFICATE_REQUEST and client and self._transcript is not None:
            self._count(io)
            self._authenticate(raw, io)
        elif message_type == HandshakeType.CERTIFICATE and self._asked:
            self._answering = Runner(self._receive_answer(io))
            self._answering.start()
            self._answering.receive(message_type, raw)
        else:
            # RFC 9846 §4: a handshake message out of order; §4.2.2: a ClientHello after the handshake,
            # for TLS 1.3 has no renegotiation; §4.7.2: a CertificateRequest to a client that did not offer
            # post_handshake_auth.
            name = name_of(HandshakeType, message_type).lower()
            raise UnexpectedMessage(f"{name} received in state CONNECTED")

    def export(self, label: bytes, length: int, context: bytes | None) -> bytes:
        """Exported keying material (RFC 9846 §7.5), `length` bytes; no context is an empty one."""
        return export(self._facts.suite, self._exporter_secret, label, context or b"", length)

    @property
    def finished(self) -> None:
        """None: "tls-unique" is not defined for TLS 1.3 (RFC 9846 §C.5)."""
        return None

    def renegotiate(self, io: HandshakeIO) -> None:
        """Raises CallerError: TLS 1.3 has no renegotiation."""
        raise CallerError(
            "TLS 1.3 has no renegotiation: key_update() changes keys, and "
            "verify_client_post_handshake() asks a client for its certificate"
        )

    # ---- KeyUpdate ------------------------------------------------------------------------------------

    def rekey(self, request_peer: bool = False) -> tuple[bytes, Sealer]:
        """The KeyUpdate to send under the present write key, and the sealer under the next.

        With `request_peer` the peer is asked to do the same, unless it was asked already and has not yet done
        so. Raises CallerError when there may be no further key.
        """
        if self._epoch >= MAX_EPOCH:
            # RFC 9846 §4.7.3: the number of key updates MUST NOT exceed 2^48-1.
            raise CallerError("no further key update: 2^48-1 were made on this connection")
        self._epoch += 1
        # RFC 9846 §4.7.3: no second update_requested before the peer's KeyUpdate has come.
        request = KeyUpdateRequest(request_peer and not self._awaiting_update)
        self._awaiting_update = self._awaiting_update or request_peer
        suite = self._facts.suite
        self._send_secret = next_application_secret(suite, self._send_secret)
        return KeyUpdate(request).encode(), new_sealer(suite, self._send_secret, self._config, self._max_send)

    def _receive_key_update(self, update: KeyUpdate, io: HandshakeIO) -> None:
        if self._awaiting_update:
            # It may be the answer to our own request: that is no flood.
            self._awaiting_update = False
        else:
            self._count(io)
        suite = self._facts.suite
        # RFC 9846 §4.7.3: upon receiving a KeyUpdate, the receiver MUST update its receiving keys.
        self._receive_secret = next_application_secret(suite, self._receive_secret)
        io.set_read_protection(new_opener(suite, self._receive_secret, self._max_receive))
        if update.request_update and self._epoch < MAX_EPOCH:
            # RFC 9846 §4.7.3: a KeyUpdate of our own before the next application data; at the limit the
            # request is ignored.
            io.request_write_key_update()

    def _count(self, io: HandshakeIO) -> None:
        """Refuse a peer that keeps us busy and sends no data."""
        if io.delivered != self._delivered:
            self._delivered = io.delivered
            self._in_a_row = 0
        self._in_a_row += 1
        if self._in_a_row > limits.MAX_KEY_UPDATES_IN_A_ROW:
            raise TooMuchError("a flood of post-handshake messages without application data between them")

    # ---- NewSessionTicket -------------------------------------------------------------------------------

    def _receive_ticket(self, ticket: NewSessionTicket, io: HandshakeIO) -> None:
        check_allowed(ticket.extensions, Place.NST)
        if io.delivered != self._tickets_at:
            # A server may go on sending tickets for as long as the connection is of use.
            self._tickets_at = io.delivered
            self._ticket_count = 0
        self._ticket_count += 1
        if self._ticket_count > limits.MAX_TICKETS:
            raise TooMuchError(f"more than {limits.MAX_TICKETS} session tickets without application data")
        self._keep(ticket)

    def _keep(self, ticket: NewSessionTicket) -> None:
        """Client: a ticket becomes a session in the cache."""
        config, tickets, facts = self._config, self._tickets, self._facts
        if tickets is None or not ticket.lifetime or len(ticket.ticket) > limits.MAX_TICKET:
            # RFC 9846 §4.7.1: clients without resumption MUST silently ignore this message; a lifetime of zero
            # asks for that.
            return
        assert isinstance(config, ClientConfig) and config.session_cache is not None
        session = self.session = Session(
            version=facts.version,
            suite=facts.suite.id,
            secret=resumption_psk(facts.suite, tickets.resumption_secret, ticket.nonce),
            context=client_context(config),
            server_name=tickets.server_hostname,
            alpn=facts.alpn,
            peer_chain=facts.peer_chain,
            authenticated_at=tickets.authenticated_at,
            issued_at=self._entropy.time(),
            lifetime=min(ticket.lifetime, limits.MAX_TICKET_LIFETIME),
            ticket=ticket.ticket,
            age_add=ticket.age_add,
        )
        config.session_cache.put(session_key(config, tickets.server_hostname), session)

    def forget_session(self) -> None:
        """The connection failed, which in TLS 1.3 says nothing about sessions."""

    # ---- authentication of the client -------------------------------------------------------------------

    def _authenticate(self, raw: bytes, io: HandshakeIO) -> None:
        """Client: answer a CertificateRequest (RFC 9846 §4.7.2)."""
        assert self._transcript is not None and isinstance(self._config, ClientConfig)
        request = parse_certificate_request(raw)
        credentials, scheme = client_credentials(self._config, request.schemes)
        # RFC 9846 §4.5: the context is ClientHello ... client Finished, and the request; later requests
        # are not part of it.
        transcript = self._transcript.fork()
        transcript.add(raw)
        answer = certificate_messages(
            transcript,
            credentials,
            scheme,
            CLIENT_CONTEXT,
            self._entropy,
            request.context,
            status=request.status,
        )
        # RFC 9846 §4.5: the base key is client_application_traffic_secret_N. §4.7.2: all messages of a
        # response appear consecutively on the wire.
        io.send(answer + finished_message(transcript, self._facts.suite, self._send_secret))

    def request_certificate(self, io: HandshakeIO) -> None:
        """Server: ask the client for a certificate (RFC 9846 §4.7.2); the answer comes through `handle`.

        Raises CallerError where the client did not offer it or nobody is trusted.
        """
        if self._transcript is None or not isinstance(self._config, ServerConfig):
            raise CallerError(
                "no certificate can be asked for: the client did not offer post_handshake_auth, "
                "or the server has no trust_anchors"
            )
        # RFC 9846 §4.4.2: unique on this connection, and unpredictable to the client.
        context = self._entropy.random(16)
        request = certificate_request(context, self._config)
        self._asked = {**(self._asked or {}), context: request}
        io.send(request)

    def _receive_answer(self, io: HandshakeIO) -> Generator[Wait, Message, None]:
        """Server: WAIT_CERT, WAIT_CV where the client has a certificate, WAIT_FINISHED."""
        assert self._transcript is not None and self._asked is not None
        assert isinstance(self._config, ServerConfig)
        config, suite = self._config, self._facts.suite
        _, raw = yield WAIT_CERT
        context = Certificate.parse(raw[4:]).request_context
        request = self._asked.pop(context, None)
        if request is None:
            # RFC 9846 §4.5.1: the context echoes that of a CertificateRequest.
            raise IllegalParameter("a Certificate that answers no CertificateRequest")
        chain, response = parse_certificate(raw, context, may_answer(config))
        transcript = self._transcript.fork()
        transcript.add(request)
        transcript.add(raw)
        scheme = None
        if chain:
            public_key = certificates.public_key(chain[0])
            response = verify_client(config, chain, response)
            scheme = yield from receive_certificate_verify(
                transcript, public_key, config.tls13_schemes, CLIENT_CONTEXT
            )
        yield from receive_finished(transcript, suite, self._receive_secret)
        if not chain and config.verify_mode == ssl.CERT_REQUIRED:
            # RFC 9846 §4.5.1.3: "certificate_required", at the server's discretion.
            raise CertificateRequired("a client certificate was asked for and the client sent none")
        self._facts = replace(self._facts, peer_chain=chain, ocsp_response=response, signature_scheme=scheme)
        io.complete(self._facts, self)

"""The server's handshake in TLS 1.2 (RFC 5246 §7.3, RFC 8422 §2), from the ClientHello on.

START [-> WAIT_CERT] -> WAIT_CKE [-> WAIT_CV] -> WAIT_FINISHED -> CONNECTED
"""

from __future__ import annotations

import ssl
from collections.abc import Generator
from typing import Final

from tlswrite import limits
from tlswrite.config import ServerConfig
from tlswrite.crypto import certificates, signatures12, x509
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.groups import ECDHE_GROUPS, KeyShare
from tlswrite.errors import HandshakeFailure, IllegalParameter, ProtocolVersionError
from tlswrite.handshake.entropy import Entropy
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.resumption import fits, issue, redeem, server_context
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO, Message, Wait
from tlswrite.handshake.select import (
    ClientOffer,
    chosen_config,
    common_scheme,
    rank_credentials,
    select_alpn,
    select_group,
    select_suite,
    suites_in_words,
)
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
from tlswrite.messages.hello import DOWNGRADE_TLS12, ClientHello, ServerHello
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
from tlswrite.tls12.handshake import Handshake12, Last
from tlswrite.tls12.renegotiation import AfterHandshake12

__all__ = ["ServerHandshake"]

WAIT_CERT: Final = Wait("WAIT_CERT", HandshakeType.CERTIFICATE)
WAIT_CKE: Final = Wait("WAIT_CKE", HandshakeType.CLIENT_KEY_EXCHANGE)
WAIT_CV: Final = Wait("WAIT_CV", HandshakeType.CERTIFICATE_VERIFY)

_UNCOMPRESSED: Final = ext12.encode_ec_point_formats((ECPointFormat.uncompressed,))


class ServerHandshake(Handshake12):
    """What the steps of one handshake share; `last` is the one before it where this one renegotiates."""

    __slots__ = (
        "config",
        "credentials",
        "entropy",
        "group",
        "knows_tls13",
        "offer",
        "scheme",
        "session_id",
        "share",
        "staple",
        "ticket_due",
    )

    offer: ClientOffer
    group: NamedGroup
    credentials: Credentials
    scheme: SignatureScheme
    share: KeyShare

    def __init__(
        self, io: HandshakeIO, config: ServerConfig, entropy: Entropy, last: Last | None = None
    ) -> None:
        super().__init__(io, last)
        self.config = config
        #: Whether the version could have been TLS 1.3: what an SNI callback chooses later has no part in that.
        self.knows_tls13 = ProtocolVersion.TLS_1_3 in config.versions
        self.entropy = entropy
        #: Of the ServerHello, and whether a ticket is announced in it.
        self.session_id = b""
        #: The OCSP response to send behind the certificate.
        self.staple: bytes | None = None
        self.ticket_due = False

    def run(self, hello: ClientHello, raw: bytes) -> HandshakeGenerator:
        """All steps, in the order of RFC 5246 §7.3, from the ClientHello on; `raw` is its bytes."""
        self.io.enter_tls12()
        self.take_client_hello(hello, raw)
        self.choose_session(hello)
        if self.session is not None:
            yield from self.resume(hello, self.session)
            self.complete(self.session)
            return
        self.send_flight(hello)
        if self.config.verify_mode != ssl.CERT_NONE:
            yield from self.receive_certificate()
        yield from self.receive_key_exchange()
        if self.peer_chain:
            yield from self.receive_certificate_verify()
        yield from self.receive_finished(client=True)
        self.complete(self.finish())

    # ---- ClientHello --------------------------------------------------------------------------------

    def take_client_hello(self, hello: ClientHello, raw: bytes) -> None:
        """Check the hello, and choose everything."""
        if hello.legacy_version < ProtocolVersion.TLS_1_2:
            # RFC 5246 §E.1; a renegotiation may not fall back either.
            raise ProtocolVersionError("the ClientHello asks for a version below TLS 1.2")
        if 0 not in hello.compression_methods:
            # RFC 5246 §7.4.1.2: all implementations MUST support, and a hello MUST list, null.
            raise IllegalParameter("a ClientHello that insists on compression")
        check_allowed(hello.extensions, Place.CH)
        self.client_random = hello.random
        self.check_renegotiation(hello)
        formats = hello.extension(ExtensionType.EC_POINT_FORMATS)
        if formats is not None and ECPointFormat.uncompressed not in ext12.parse_ec_point_formats(formats):
            # RFC 8422 §5.1.2: a list without uncompressed: "illegal_parameter".
            raise IllegalParameter("the client's ec_point_formats lack uncompressed")
        self.offer = ClientOffer.read_tls12(hello)
        self.config, preferred = chosen_config(self.config, self.offer)
        self.take_extended_main_secret(hello)
        self.select(preferred)
        self.take_limits()
        self.add(raw)
        self.transcript.start(self.suite.hash_name)

    def check_renegotiation(self, hello: ClientHello) -> None:
        received = hello.extension(ExtensionType.RENEGOTIATION_INFO)
        info = None if received is None else ext12.parse_renegotiation_info(received)
        signalled = CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites
        if self.last is not None:
            if signalled:
                # RFC 5746 §3.7: the signalling suite in a renegotiation: MUST abort.
                raise HandshakeFailure("a renegotiation that says it is a first handshake")
            self.check_renegotiation_info(info, self.last.client_verify_data)
        elif info is not None:
            # RFC 5746 §3.6: in the first handshake it MUST be empty.
            self.check_renegotiation_info(info, b"")

    def take_extended_main_secret(self, hello: ClientHello) -> None:
        extended = hello.extension(ExtensionType.EXTENDED_MAIN_SECRET)
        if extended is not None:
            ext12.parse_extended_main_secret(extended)
            self.extended = True
        elif self.config.require_extended_main_secret:
            # RFC 7627 §5.3: a server that insists aborts the handshake: "handshake_failure".
            raise HandshakeFailure(
                "the client has no extended main secret (RFC 7627), without which keys are not bound to "
                "the handshake (require_extended_main_secret=False does without)"
            )

    def select(self, preferred: tuple[Credentials, ...]) -> None:
        """Credentials, then the suite and the group that go with them."""
        offer, config = self.offer, self.config
        able = [
            (each, scheme)
            for each in preferred
            if (scheme := self.scheme_of(each)) is not None and self.suite_fits(each)
        ]
        if not able:
            # RFC 5246 §7.4.1.3: no acceptable set of security parameters: "handshake_failure".
            raise HandshakeFailure(
                "no cipher suite, signature algorithm and certificate in common with the client in TLS 1.2: "
                "only ECDHE with AES-GCM or ChaCha20-Poly1305 and SHA-2 signatures are done here; "
                f"the client offers {suites_in_words(offer)}"
            )
        self.credentials, self.scheme = rank_credentials(able, offer)
        kind = signatures12.authentication_of(self.credentials.private_key)
        self.suite = select_suite(offer, config, ProtocolVersion.TLS_1_2, kind)
        self.group = select_group(offer, config, ECDHE_GROUPS)
        self.alpn = select_alpn(offer, config)

    def scheme_of(self, credentials: Credentials) -> SignatureScheme | None:
        """The scheme to sign with, best by the key; None where the client cannot verify."""
        key = credentials.private_key
        curve = signatures12.curve_of(key)
        if curve is not None and curve not in self.offer.groups:
            # RFC 8422 §5.1: the server's ECDSA key MUST be on a curve that the client lists.
            return None
        return common_scheme(signatures12.schemes_for(key), self.offer.schemes, self.config.signature_schemes)

    def suite_fits(self, credentials: Credentials) -> bool:
        kind = signatures12.authentication_of(credentials.private_key)
        try:
            select_suite(self.offer, self.config, ProtocolVersion.TLS_1_2, kind)
        except HandshakeFailure:
            return False
        return True

    def take_limits(self) -> None:
        limit, fragment_length = self.offer.record_size_limit, self.offer.max_fragment_length
        if limit is not None:
            # RFC 8449 §4: in TLS 1.2 the plaintext of a record counts. §5: it goes before the other.
            self.max_send = min(limit, limits.MAX_PLAINTEXT)
            self.max_receive = min(
                self.config.record_size_limit or limits.MAX_PLAINTEXT, limits.MAX_PLAINTEXT
            )
        elif fragment_length is not None:
            self.max_send = self.max_receive = fragment_length

    # ---- sessions -----------------------------------------------------------------------------------

    def choose_session(self, hello: ClientHello) -> None:
        """Resume the session of the client's ticket or id if there is one that fits; else plan for a new one."""
        config, ticket = self.config, hello.extension(ExtensionType.SESSION_TICKET)
        session = self.offered_session(hello, ticket)
        if session is not None:
            if not self.extended:
                # RFC 7627 §5.3: a session with the extension resumed without it: MUST abort.
                raise HandshakeFailure("the client resumes a session without its extended main secret")
            self.session = session
            # RFC 5077 §3.4, RFC 5246 §7.4.1.3: the client's id, by which it knows.
            self.session_id = hello.session_id
            self.peer_chain = session.peer_chain
        elif self.extended:
            # RFC 7627 §5.3: without the extension a session is better not resumed.
            if ticket is not None and config.ticket_keys is not None and config.tickets:
                self.ticket_due = True
            elif self.last is None and config.session_cache is not None:
                self.session_id = self.entropy.random(32)

    def offered_session(self, hello: ClientHello, ticket: bytes | None) -> Session | None:
        """The session of the client's ticket or id, if it fits what was selected."""
        if self.last is not None:
            # A renegotiation is there for what a resumption leaves out. It may bring a new ticket all the same,
            # which GnuTLS waits for if it had one before.
            return None
        config, now = self.config, self.entropy.time()
        session: Session | None = None
        if ticket:
            session = redeem(config, ticket, now)
        elif hello.session_id and config.session_cache is not None:
            session = config.session_cache.take(hello.session_id)
        if session is not None and fits(
            session,
            config,
            now,
            version=ProtocolVersion.TLS_1_2,
            suite=self.suite,
            server_name=self.offer.server_name,
            alpn=self.alpn,
            certificate=self.credentials.chain[0],
        ):
            return session
        return None

    def resume(self, hello: ClientHello, session: Session) -> Generator[Wait, Message, None]:
        """The abbreviated handshake (RFC 5246 §7.3): ServerHello, change_cipher_spec, Finished; then the client's.

        The client's ticket is not replaced: the key of a session does not outlive its lifetime.
        """
        io = self.io
        server_hello = self.server_hello(hello)
        self.add(server_hello)
        io.send(server_hello)
        self.use_main_secret(session.secret, self.config, client=False)
        io.change_write_protection(self.sealer)
        io.send(self.finished_message(client=False))
        yield from self.receive_finished(client=True)

    def new_session(self) -> Session:
        """What this handshake made."""
        now = self.entropy.time()
        return Session(
            version=ProtocolVersion.TLS_1_2,
            suite=self.suite.id,
            secret=self.main.secret,
            context=server_context(self.config, self.credentials.chain[0]),
            server_name=self.offer.server_name,
            alpn=self.alpn,
            peer_chain=self.peer_chain,
            authenticated_at=now,
            issued_at=now,
            lifetime=self.config.ticket_lifetime,
        )

    # ---- the first flight ---------------------------------------------------------------------------

    def send_flight(self, hello: ClientHello) -> None:
        """ServerHello to ServerHelloDone."""
        config = self.config
        self.staple = self.credentials.staple() if self.offer.status_request else None
        flight = self.server_hello(hello)
        flight += Certificate12(self.credentials.chain).encode()
        if self.staple is not None:
            flight += CertificateStatus(self.staple).encode()
        flight += self.key_exchange()
        if config.verify_mode != ssl.CERT_NONE:
            flight += CertificateRequest12(
                _CERTIFICATE_TYPES,
                config.signature_schemes,
                () if config.trust_anchors is None else config.trust_anchors.brief_subjects,
            ).encode()
        flight += ServerHelloDone().encode()
        self.add(flight)
        self.io.send(flight)

    def server_hello(self, hello: ClientHello) -> bytes:
        self.server_random = self.make_random()
        extensions = tuple(self.extensions(hello))
        return ServerHello(
            random=self.server_random,
            session_id=self.session_id,
            cipher_suite=self.suite.id,
            extensions=extensions,
            has_extensions=bool(extensions),
        ).encode()

    def make_random(self) -> bytes:
        random = self.entropy.random(32)
        if self.knows_tls13:
            # RFC 9846 §4.2.3: a TLS 1.3 server that negotiates TLS 1.2 MUST say so in its last 8 bytes.
            return random[:-8] + DOWNGRADE_TLS12
        return random

    def key_exchange(self) -> bytes:
        self.share = self.entropy.generate(self.group)
        unsigned = ServerKeyExchange(self.group, self.share.public, self.scheme, b"")
        signed = self.client_random + self.server_random + unsigned.params
        signature = signatures12.sign(self.credentials.private_key, self.scheme, signed)
        return ServerKeyExchange(self.group, self.share.public, self.scheme, signature).encode()

    def extensions(self, hello: ClientHello) -> Generator[tuple[int, bytes], None, None]:
        """Answers to what the client asked for, and nothing else (RFC 5246 §7.4.1.4)."""
        offer = self.offer
        if (
            self.last is not None
            or hello.extension(ExtensionType.RENEGOTIATION_INFO) is not None
            or CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites
        ):
            # RFC 5746 §3.6: empty in a first handshake; §3.7: both verify_data, the client's first.
            last = self.last
            info = b"" if last is None else last.client_verify_data + last.server_verify_data
            yield ExtensionType.RENEGOTIATION_INFO, ext12.encode_renegotiation_info(info)
        if self.extended:
            yield ExtensionType.EXTENDED_MAIN_SECRET, ext12.encode_extended_main_secret()
        if self.ticket_due:
            # RFC 5077 §3.2: empty: a NewSessionTicket follows.
            yield ExtensionType.SESSION_TICKET, b""
        if self.staple is not None:
            # RFC 6066 §8: empty: a CertificateStatus follows the Certificate.
            yield ExtensionType.STATUS_REQUEST, ext.encode_status_request_empty()
        if offer.server_name is not None and self.session is None:
            # RFC 6066 §3: the name was used, which an empty extension says; not where a session is resumed.
            yield ExtensionType.SERVER_NAME, b""
        if hello.extension(ExtensionType.EC_POINT_FORMATS) is not None:
            yield ExtensionType.EC_POINT_FORMATS, _UNCOMPRESSED
        if self.alpn is not None:
            yield (
                ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
                ext.encode_alpn_server(self.alpn.encode()),
            )
        if offer.record_size_limit is not None:
            yield ExtensionType.RECORD_SIZE_LIMIT, ext.encode_record_size_limit(self.max_receive)
        elif offer.max_fragment_length is not None:
            yield (
                ExtensionType.MAX_FRAGMENT_LENGTH,
                ext12.encode_max_fragment_length(offer.max_fragment_length),
            )

    # ---- the client's flight ------------------------------------------------------------------------

    def receive_certificate(self) -> Generator[Wait, Message, None]:
        """WAIT_CERT: the client's chain, verified; it may be empty."""
        config = self.config
        _, raw = yield WAIT_CERT
        chain = Certificate12.parse(raw[4:]).entries
        if chain:
            assert config.trust_anchors is not None, "ServerConfig sees to it"
            if not signatures12.authentication_of(certificates.public_key(chain[0])):
                # RFC 5246 §7.4.6: of a kind that the CertificateRequest lists.
                raise IllegalParameter("the client's certificate has a key that signs nothing in TLS 1.2")
            path = x509.verify_client(chain, config.trust_anchors)
            # RFC 6066 §8: a client has no way to send its status.
            x509.check_status(path, chain, None, asked=False, required=config.require_ocsp_status)
        elif config.verify_mode == ssl.CERT_REQUIRED:
            # RFC 5246 §7.4.6: without one the server MAY abort: "handshake_failure".
            raise HandshakeFailure("a client certificate is required and the client sent none")
        self.peer_chain = chain
        self.check_identity(config.allow_identity_change)
        self.add(raw)

    def receive_key_exchange(self) -> Generator[Wait, Message, None]:
        """WAIT_CKE: the client's share; the keys follow from it."""
        _, raw = yield WAIT_CKE
        public = ClientKeyExchange.parse(raw[4:]).public
        self.add(raw)
        self.make_keys(self.share.finish(public), self.config, client=False)

    def receive_certificate_verify(self) -> Generator[Wait, Message, None]:
        """WAIT_CV: the client proves that the key of its certificate is its own."""
        _, raw = yield WAIT_CV
        verify = CertificateVerify.parse(raw[4:])
        if verify.scheme not in self.config.signature_schemes:
            # RFC 5246 §7.4.8: one of the algorithms of the CertificateRequest.
            raise IllegalParameter(
                f"a CertificateVerify with {name_of(SignatureScheme, verify.scheme)}, which was not asked for"
            )
        public_key = certificates.public_key(self.peer_chain[0])
        signatures12.verify(public_key, verify.scheme, verify.signature, bytes(self.messages))
        self.peer_scheme = verify.scheme
        self.add(raw)

    def finish(self) -> Session | None:
        """[NewSessionTicket,] change_cipher_spec, Finished; the session, where there is one."""
        session = self.new_session() if self.ticket_due or self.session_id else None
        if session is not None and self.ticket_due:
            # RFC 5077 §3.3: MUST be sent where it was announced; it may be empty.
            ticket = issue(self.config, session) or b""
            message = NewSessionTicket12(session.lifetime, ticket).encode()
            self.add(message)
            self.io.send(message)
        self.io.change_write_protection(self.sealer)
        self.io.send(self.finished_message(client=False))
        return session

    def complete(self, session: Session | None) -> None:
        """CONNECTED; a session with an id is kept."""
        resumed = self.session is not None
        kept = None
        if session is not None and self.session_id and self.config.session_cache is not None:
            kept = self.session_id, session
            if not resumed:
                self.config.session_cache.put(*kept)
        facts = Negotiated(
            version=ProtocolVersion.TLS_1_2,
            suite=self.suite,
            group=None if resumed else self.group,
            alpn=self.alpn,
            server_name=self.offer.server_name,
            peer_chain=self.peer_chain,
            extended_main_secret=self.extended,
            local_certificate=self.credentials.chain[0],
            signature_scheme=self.peer_scheme,
            local_signature_scheme=None if resumed else self.scheme,
            session_reused=resumed,
        )
        after = AfterHandshake12(
            self.config,
            facts,
            self.main,
            self.outcome(kept),
            self.first_finished,
            _Again(self.config, self.entropy, self.knows_tls13),
        )
        self.io.complete(facts, after)


class _Again:
    """Answers another ClientHello of the same client."""

    __slots__ = ("_config", "_entropy", "_knows_tls13")

    def __init__(self, config: ServerConfig, entropy: Entropy, knows_tls13: bool) -> None:
        self._config = config
        self._entropy = entropy
        #: Of the first handshake: the configuration may be one that an SNI callback chose.
        self._knows_tls13 = knows_tls13

    def __call__(self, io: HandshakeIO, last: Last, raw: bytes) -> HandshakeGenerator:
        hello = ClientHello.parse(raw[4:])
        handshake = ServerHandshake(io, self._config, self._entropy, last)
        handshake.knows_tls13 = self._knows_tls13
        yield from handshake.run(hello, raw)


#: Kinds of keys that a client's certificate may have (RFC 8422 §5.5: EdDSA counts as ECDSA).
_CERTIFICATE_TYPES: Final = (ClientCertificateType.ecdsa_sign, ClientCertificateType.rsa_sign)

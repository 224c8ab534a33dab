"""The client's handshake (RFC 9846 §2, §A.1).

START -> WAIT_SH -> WAIT_EE -> WAIT_CERT_CR [-> WAIT_CERT] -> WAIT_CV -> WAIT_FINISHED -> CONNECTED, or, where the
server resumes a session, WAIT_EE -> WAIT_FINISHED.
"""

from __future__ import annotations

from collections.abc import Generator

from tlswrite.compiled import mypyc_attr
from tlswrite.config import ClientConfig
from tlswrite.crypto import certificates, x509
from tlswrite.crypto.signatures import CLIENT_CONTEXT, SERVER_CONTEXT
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.errors import (
    DecodeError,
    IllegalParameter,
    MissingExtension,
    ProtocolVersionError,
    UnexpectedMessage,
)
from tlswrite.handshake.entropy import Entropy
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.offer import Offer, check_solicited, chosen_protocol
from tlswrite.handshake.opening import WAIT_SH
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO, Message, Wait
from tlswrite.handshake.verify import verify_server
from tlswrite.iana import (
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
    name_of,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.extensions import Place, check_allowed
from tlswrite.messages.finish import EncryptedExtensions
from tlswrite.messages.hello import ServerHello
from tlswrite.messages.resumption import parse_selected_identity
from tlswrite.record.protection import TLS13Opener, TLS13Sealer
from tlswrite.session import Session
from tlswrite.tls13.authentication import (
    WAIT_CERT,
    Request,
    certificate_messages,
    client_credentials,
    finished_message,
    parse_certificate,
    parse_certificate_request,
    receive_certificate_verify,
    receive_finished,
    shared_chain,
)
from tlswrite.tls13.post_handshake import PostHandshake, Tickets
from tlswrite.tls13.protection import (
    NO_LIMIT,
    log_application_secrets,
    log_handshake_secrets,
    new_opener,
    new_sealer,
)
from tlswrite.tls13.psk import bind
from tlswrite.tls13.schedule import EarlySecrets, KeySchedule
from tlswrite.transcript import Transcript

__all__ = ["ClientHandshake"]

# States of RFC 9846 §A.1; those that both sides have are in `authentication`.
WAIT_EE = Wait("WAIT_EE", HandshakeType.ENCRYPTED_EXTENSIONS)
WAIT_CERT_CR = Wait("WAIT_CERT_CR", HandshakeType.CERTIFICATE_REQUEST, HandshakeType.CERTIFICATE)


@mypyc_attr(allow_interpreted_subclasses=True)
class ClientHandshake:
    """What the steps of one handshake share. It lives as long as its generator.

    `offer` was sent in the ClientHello, `early` comes from its pre-shared key. `run` begins with the answer.
    """

    __slots__ = (
        "alpn",
        "config",
        "early",
        "entropy",
        "group",
        "io",
        "local_scheme",
        "max_receive",
        "max_send",
        "ocsp_response",
        "offer",
        "opener",
        "peer_chain",
        "peer_scheme",
        "request",
        "schedule",
        "sealer",
        "server_hostname",
        "session",
        "suite",
        "transcript",
    )

    suite: Suite
    group: NamedGroup
    schedule: KeySchedule
    sealer: TLS13Sealer
    opener: TLS13Opener

    def __init__(
        self,
        io: HandshakeIO,
        config: ClientConfig,
        server_hostname: str | None,
        entropy: Entropy,
        offer: Offer,
        early: EarlySecrets | None = None,
    ) -> None:
        self.io = io
        self.offer = offer
        self.early = early
        self.config = config
        self.server_hostname = server_hostname
        self.entropy = entropy
        self.transcript = Transcript()
        self.transcript.add(offer.message)
        self.alpn: str | None = None
        self.max_send = self.max_receive = NO_LIMIT
        #: The server's CertificateRequest.
        self.request: Request | None = None
        self.peer_chain: tuple[bytes, ...] = ()
        self.ocsp_response: bytes | None = None
        self.peer_scheme: int | None = None
        self.local_scheme: SignatureScheme | None = None
        #: The session that the server resumes.
        self.session: Session | None = None

    def run(self, hello: ServerHello, raw: bytes) -> HandshakeGenerator:
        """All steps, in the order of RFC 9846 §2, from the server's first message on; `raw` is its bytes."""
        yield from self.receive_server_hello(hello, raw)
        yield from self.receive_encrypted_extensions()
        if self.session is None:
            yield from self.receive_server_identity()
        yield from receive_finished(self.transcript, self.suite, self.schedule.server_handshake)
        self.finish()

    # ---- hellos -------------------------------------------------------------------------------------

    def receive_server_hello(self, hello: ServerHello, raw: bytes) -> Generator[Wait, Message, None]:
        """WAIT_SH once more where the first answer is a HelloRetryRequest; leaves with handshake keys."""
        io = self.io
        retried = hello.is_hello_retry_request
        if retried:
            self.follow_retry_request(hello, raw)
            _, raw = yield WAIT_SH
            hello = ServerHello.parse(raw[4:])
            if hello.is_hello_retry_request:
                # RFC 9846 §4.2.4: a second HelloRetryRequest: "unexpected_message".
                raise UnexpectedMessage("a second HelloRetryRequest")
            if hello.extension(ExtensionType.SUPPORTED_VERSIONS) is None:
                # RFC 9846 §4.2.4: selected_version MUST be retained: "illegal_parameter".
                raise IllegalParameter("the ServerHello has another version than the HelloRetryRequest")
        suite = self.check_server_hello(hello, Place.SH)
        if retried and suite is not self.suite:
            # RFC 9846 §4.2.4: the suite of the HelloRetryRequest: "illegal_parameter".
            raise IllegalParameter("the ServerHello has another cipher suite than the HelloRetryRequest")
        self.take_selected_psk(hello, suite)
        shared_secret = self.finish_key_exchange(hello)
        if not retried:
            self.suite = suite
            self.transcript.start(suite.hash_name)
        self.transcript.add(raw)
        schedule = self.schedule = KeySchedule(suite, None if self.session is None else self.early)
        schedule.enter_handshake(shared_secret, self.transcript.digest())
        log_handshake_secrets(self.config.keylog, self.offer.hello.random, schedule)
        self.opener = new_opener(suite, schedule.server_handshake)
        io.set_read_protection(self.opener)
        if self.config.middlebox_compatibility and not retried:
            # RFC 9846 §E.4: immediately before the second flight, whose keys are set now: alerts for
            # what follows are protected (§A.1).
            io.send_change_cipher_spec()
        self.sealer = new_sealer(suite, schedule.client_handshake, self.config)
        io.set_write_protection(self.sealer)

    def follow_retry_request(self, request: ServerHello, raw: bytes) -> None:
        """Send the second ClientHello (RFC 9846 §4.2.4)."""
        io = self.io
        self.suite = self.check_server_hello(request, Place.HRR)
        key_share = request.extension(ExtensionType.KEY_SHARE)
        cookie = request.extension(ExtensionType.COOKIE)
        offer = self.offer.retry(
            self.suite,
            None if key_share is None else ext.parse_key_share_hello_retry(key_share),
            None if cookie is None else ext.parse_cookie(cookie),
            self.entropy,
        )
        self.transcript.start(self.suite.hash_name)
        self.transcript.retry()
        self.transcript.add(raw)
        self.offer, self.early = bind(offer, self.transcript)
        self.transcript.add(self.offer.message)
        if self.config.middlebox_compatibility:
            # RFC 9846 §E.4: immediately before the second flight, here the second ClientHello.
            io.send_change_cipher_spec()
        io.send(self.offer.message)

    def check_server_hello(self, hello: ServerHello, place: Place) -> Suite:
        """What a ServerHello and a HelloRetryRequest have in common (RFC 9846 §4.2.3, §4.2.4)."""
        offer = self.offer.hello
        # RFC 9846 §4.3.1: supported_versions first, before the rest is processed.
        version = hello.extension(ExtensionType.SUPPORTED_VERSIONS)
        if version is None:
            # RFC 9846 §4.2.4: the extensions of a HelloRetryRequest MUST contain supported_versions. A
            # ServerHello without it does not come here.
            raise MissingExtension("the HelloRetryRequest has no supported_versions")
        if ext.parse_supported_versions_server(version) != ProtocolVersion.TLS_1_3:
            # RFC 9846 §4.3.1: a version not offered, or prior to TLS 1.3: "illegal_parameter".
            raise IllegalParameter("the server's supported_versions has a version that was not offered")
        if hello.legacy_version != ProtocolVersion.TLS_1_2:
            # RFC 9846 §4.2.3: a TLS 1.3 ServerHello with another legacy_version: "protocol_version".
            raise ProtocolVersionError(f"the server's hello has legacy_version 0x{hello.legacy_version:04x}")
        if hello.session_id != offer.session_id:
            # RFC 9846 §4.2.3: a legacy_session_id_echo that does not match: "illegal_parameter".
            raise IllegalParameter("the server's hello does not echo the session id")
        suite = SUITES.get(hello.cipher_suite)
        if suite is None or hello.cipher_suite not in self.config.cipher_suites:
            # RFC 9846 §4.2.3: a suite that was not offered: "illegal_parameter".
            raise IllegalParameter(
                f"the server chose {name_of(CipherSuite, hello.cipher_suite)}, which was not offered"
            )
        if hello.compression_method != 0:
            # RFC 9846 §4.2.3: any other value: "illegal_parameter".
            raise IllegalParameter(f"the server chose the compression method {hello.compression_method}")
        check_allowed(hello.extensions, place)
        # RFC 9846 §4.3: the cookie of a HelloRetryRequest is the one extension that comes unasked.
        unasked = {ExtensionType.COOKIE} if place is Place.HRR else set()
        check_solicited(hello.extensions, self.offer.extension_types | unasked)
        return suite

    def take_selected_psk(self, hello: ServerHello, suite: Suite) -> None:
        """Whether the server resumes the session that was offered (RFC 9846 §4.3.11)."""
        selected = hello.extension(ExtensionType.PRE_SHARED_KEY)
        if selected is None:
            return
        session = self.offer.session
        assert session is not None, "nobody answers pre_shared_key who was not offered it"
        if parse_selected_identity(selected) != 0:
            # RFC 9846 §4.3.11: within the range that was offered, which is one: "illegal_parameter".
            raise IllegalParameter("the server selected a pre-shared key that was not offered")
        if SUITES[session.suite].hash_name != suite.hash_name:
            # RFC 9846 §4.3.11: a suite with the hash of the key: "illegal_parameter".
            raise IllegalParameter(
                f"the server chose {suite.name}, which does not go with the pre-shared key"
            )
        self.session = session
        self.peer_chain = session.peer_chain

    def finish_key_exchange(self, hello: ServerHello) -> bytes:
        """The shared secret with the server's share."""
        key_share = hello.extension(ExtensionType.KEY_SHARE)
        if key_share is None:
            if self.session is not None:
                # RFC 9846 §4.3.11: a pre-shared key without the key exchange asked for: "illegal_parameter".
                raise IllegalParameter("the server resumes without a key exchange, which was not offered")
            # RFC 9846 §9.2: key_share is REQUIRED for (EC)DHE; without a PSK there is nothing else.
            raise MissingExtension("the ServerHello has no key_share")
        group, public = ext.parse_key_share_server(key_share)
        share = self.offer.shares.get(group)
        if share is None:
            # RFC 9846 §4.3.8: the group of one of our shares; after a HelloRetryRequest for a group there is
            # only that one.
            name = name_of(NamedGroup, group)
            raise IllegalParameter(f"the server's key share is for {name}, of which none was sent")
        self.group = share.group
        return share.finish(public)

    # ---- the server's parameters and identity -----------------------------------------------------------

    def receive_encrypted_extensions(self) -> Generator[Wait, Message, None]:
        """WAIT_EE."""
        _, raw = yield WAIT_EE
        message = EncryptedExtensions.parse(raw[4:])
        # RFC 9846 §4.4.1: forbidden extensions: "illegal_parameter".
        check_allowed(message.extensions, Place.EE)
        check_solicited(message.extensions, self.offer.extension_types)
        fragment_length = None
        for code, data in message.extensions:
            if code == ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION:
                self.alpn = chosen_protocol(self.config, ext.parse_alpn_server(data))
            elif code == ExtensionType.RECORD_SIZE_LIMIT:
                self.take_record_size_limit(ext.parse_record_size_limit(data))
            elif code == ExtensionType.SERVER_NAME:
                # RFC 6066 §3: extension_data of the server's answer SHALL be empty.
                if data:
                    raise DecodeError("server_name of the server is not empty")
            elif code == ExtensionType.MAX_FRAGMENT_LENGTH:
                fragment_length = ext12.parse_max_fragment_length(data)
            else:
                # supported_groups is what remains of the offered ones that may stand here. RFC 9846 §4.3.7:
                # not to be acted upon in this handshake; it must still be well-formed.
                ext.parse_supported_groups(data)
        if fragment_length is not None:
            self.take_max_fragment_length(fragment_length, message)
        self.transcript.add(raw)

    def take_record_size_limit(self, limit: int) -> None:
        if limit > NO_LIMIT:
            # RFC 8449 §4: a client may refuse a value that the protocol does not have.
            raise IllegalParameter(f"record_size_limit of the server is {limit}, more than {NO_LIMIT}")
        # RFC 8449 §4: both have sent the extension, so both limits hold for all protected records.
        self.max_send = limit
        self.max_receive = self.config.record_size_limit or NO_LIMIT
        self.opener.max_inner = self.max_receive
        self.sealer.max_content = limit - 1

    def take_max_fragment_length(self, length: int, message: EncryptedExtensions) -> None:
        if message.extension(ExtensionType.RECORD_SIZE_LIMIT) is not None:
            # RFC 8449 §5: an answer with both: "illegal_parameter".
            raise IllegalParameter("the server answers record_size_limit and max_fragment_length")
        if length != self.config.max_fragment_length:
            # RFC 6066 §4: a length other than the one asked for: "illegal_parameter".
            raise IllegalParameter(
                f"the server chose a max_fragment_length of {length}, which was not asked for"
            )
        # The type's byte is not counted (RFC 6066 §4 limits TLSPlaintext.fragment).
        self.max_send = self.max_receive = length + 1
        self.opener.max_inner = self.max_receive
        self.sealer.max_content = length

    def receive_server_identity(self) -> Generator[Wait, Message, None]:
        """WAIT_CERT_CR, WAIT_CERT after a CertificateRequest, WAIT_CV."""
        config = self.config
        message_type, raw = yield WAIT_CERT_CR
        if message_type == HandshakeType.CERTIFICATE_REQUEST:
            self.request = parse_certificate_request(raw)
            if self.request.context:
                # RFC 9846 §4.4.2: zero length unless used after the handshake.
                raise IllegalParameter("a CertificateRequest with a context in the handshake")
            self.transcript.add(raw)
            _, raw = yield WAIT_CERT
        chain, response = parse_certificate(raw, b"", self.offer.extension_types)
        if not chain:
            # RFC 9846 §4.5.1.3: an empty Certificate of a server: "decode_error".
            raise DecodeError("the server sent no certificate")
        public_key = certificates.public_key(chain[0])
        path = verify_server(config, chain, self.server_hostname)
        if path is not None:
            response = x509.check_status(
                path, chain, response, asked=config.status_request, required=config.require_ocsp_status
            )
            chain = shared_chain(chain)
        self.transcript.add(raw)
        self.peer_chain = chain
        self.ocsp_response = response
        self.peer_scheme = yield from receive_certificate_verify(
            self.transcript, public_key, config.tls13_schemes, SERVER_CONTEXT
        )

    # ---- the second flight ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Send [Certificate, CertificateVerify,] Finished; go over to application keys."""
        io, config, suite, schedule = self.io, self.config, self.suite, self.schedule
        transcript = self.transcript
        schedule.enter_application(transcript.digest())
        log_application_secrets(config.keylog, self.offer.hello.random, schedule)
        io.set_read_protection(new_opener(suite, schedule.server_application, self.max_receive))
        flight = b""
        credentials = None
        if self.request is not None:
            credentials, self.local_scheme = client_credentials(config, self.request.schemes)
            flight = certificate_messages(
                transcript,
                credentials,
                self.local_scheme,
                CLIENT_CONTEXT,
                self.entropy,
                status=self.request.status,
            )
        io.send(flight + finished_message(transcript, suite, schedule.client_handshake))
        io.set_write_protection(new_sealer(suite, schedule.client_application, config, self.max_send))
        facts = Negotiated(
            version=ProtocolVersion.TLS_1_3,
            suite=suite,
            group=self.group,
            alpn=self.alpn,
            server_name=self.offer.server_name,
            peer_chain=self.peer_chain,
            ocsp_response=self.ocsp_response,
            local_certificate=None if credentials is None else credentials.chain[0],
            signature_scheme=self.peer_scheme,
            local_signature_scheme=self.local_scheme,
            session_reused=self.session is not None,
        )
        after = PostHandshake(
            config,
            facts,
            send_secret=schedule.client_application,
            receive_secret=schedule.server_application,
            exporter_secret=schedule.exporter,
            max_send=self.max_send,
            max_receive=self.max_receive,
            transcript=transcript if config.post_handshake_auth else None,
            entropy=self.entropy,
            tickets=self.make_tickets(),
        )
        io.complete(facts, after)

    def make_tickets(self) -> Tickets | None:
        """What makes sessions of the tickets that may come, if anybody wants them."""
        if self.config.session_cache is None:
            return None
        session = self.session
        return Tickets(
            self.schedule.resumption(self.transcript.digest()),
            self.server_hostname,
            self.entropy.time() if session is None else session.authenticated_at,
        )

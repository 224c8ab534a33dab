"""The server's handshake (RFC 9846 §2, §A.2).

START [-> START] -> (RECVD_CH -> NEGOTIATED -> WAIT_FLIGHT2) [-> WAIT_CERT [-> WAIT_CV]] -> WAIT_FINISHED
-> CONNECTED. The states in parentheses are passed through: nothing is waited for in them. A session that is
resumed has proved both identities: no certificate is sent or asked for.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator

from tlswrite.compiled import mypyc_attr
from tlswrite.config import ServerConfig
from tlswrite.crypto import certificates
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.kdf import compare, hmac_digest
from tlswrite.crypto.signatures import CLIENT_CONTEXT, SERVER_CONTEXT
from tlswrite.crypto.suites import Suite
from tlswrite.errors import CertificateRequired, IllegalParameter, MissingExtension, ProtocolVersionError
from tlswrite.handshake.entropy import Entropy
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.opening import START
from tlswrite.handshake.resumption import fits, server_context
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO, Message, Wait
from tlswrite.handshake.select import (
    ClientOffer,
    chosen_config,
    select_alpn,
    select_credentials,
    select_group,
    select_suite,
    select_version,
)
from tlswrite.iana import (
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    PskKeyExchangeMode,
    SignatureScheme,
)
from tlswrite.limits import MAX_TICKET_LIFETIME
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.extensions import Place, check_allowed
from tlswrite.messages.finish import EncryptedExtensions
from tlswrite.messages.hello import HELLO_RETRY_REQUEST_RANDOM, ClientHello, ServerHello
from tlswrite.messages.resumption import encode_selected_identity
from tlswrite.session import Session
from tlswrite.tls13.authentication import (
    WAIT_CERT,
    certificate_messages,
    certificate_request,
    finished_message,
    may_answer,
    parse_certificate,
    receive_certificate_verify,
    receive_finished,
    verify_client,
)
from tlswrite.tls13.post_handshake import PostHandshake
from tlswrite.tls13.protection import (
    NO_LIMIT,
    log_application_secrets,
    log_handshake_secrets,
    new_opener,
    new_sealer,
)
from tlswrite.tls13.psk import choose_psk, ticket_messages
from tlswrite.tls13.schedule import EarlySecrets, KeySchedule
from tlswrite.transcript import Transcript

__all__ = ["ServerHandshake"]

#: supported_versions of every hello of the server (RFC 9846 §4.3.1).
_TLS_1_3 = (
    ExtensionType.SUPPORTED_VERSIONS,
    ext.encode_supported_versions_server(ProtocolVersion.TLS_1_3),
)

#: What a second ClientHello may change, besides the answers to the HelloRetryRequest (RFC 9846 §4.2.2).
_MAY_CHANGE = frozenset({ExtensionType.EARLY_DATA, ExtensionType.PRE_SHARED_KEY, ExtensionType.PADDING})


@mypyc_attr(allow_interpreted_subclasses=True)
class ServerHandshake:
    """What the steps of one handshake share. It lives as long as its generator."""

    __slots__ = (
        "alpn",
        "ccs_sent",
        "client_random",
        "config",
        "credentials",
        "early",
        "entropy",
        "group",
        "io",
        "max_receive",
        "max_send",
        "ocsp_response",
        "offer",
        "peer_chain",
        "peer_scheme",
        "schedule",
        "scheme",
        "selected_psk",
        "session",
        "suite",
        "transcript",
    )

    offer: ClientOffer
    client_random: bytes
    suite: Suite
    group: NamedGroup
    credentials: Credentials
    scheme: SignatureScheme
    schedule: KeySchedule

    def __init__(self, io: HandshakeIO, config: ServerConfig, entropy: Entropy) -> None:
        self.io = io
        self.config = config
        self.entropy = entropy
        self.transcript = Transcript()
        self.alpn: str | None = None
        self.max_send = self.max_receive = NO_LIMIT
        self.peer_chain: tuple[bytes, ...] = ()
        self.ocsp_response: bytes | None = None
        self.peer_scheme: int | None = None
        self.ccs_sent = False
        #: The session that is resumed, and the index of its key in the client's list.
        self.session: Session | None = None
        self.selected_psk = 0
        self.early: EarlySecrets | None = None

    def run(self, hello: ClientHello, raw: bytes) -> HandshakeGenerator:
        """All steps, in the order of RFC 9846 §2, from the ClientHello on; `raw` is its bytes."""
        hello = yield from self.receive_client_hello(hello, raw)
        self.send_server_hello(hello)
        self.send_parameters()
        if self.session is None and _asks(self.config):
            yield from self.receive_client_identity()
        yield from receive_finished(self.transcript, self.suite, self.schedule.client_handshake)
        self.finish()

    # ---- hellos -------------------------------------------------------------------------------------

    def receive_client_hello(self, hello: ClientHello, raw: bytes) -> Generator[Wait, Message, ClientHello]:
        """START once more where a HelloRetryRequest is needed; leaves with everything selected."""
        io = self.io
        io.allow_compatibility_ccs(True)
        self.offer = check_client_hello(hello)
        early_data = hello.extension(ExtensionType.EARLY_DATA)
        if early_data is not None:
            # RFC 9846 §4.3.10: not accepted here: the extension is ignored, what was sent for it skipped.
            ext.parse_early_data(early_data)
            io.skip_early_data()
        self.client_random = hello.random
        self.select()
        self.transcript.start(self.suite.hash_name)
        missing = self.group not in self.offer.shares
        if missing or self.config.hello_retry_cookie:
            self.transcript.add(raw)
            cookie = self.make_cookie() if self.config.hello_retry_cookie else None
            self.send_retry_request(hello, self.group if missing else None, cookie)
            _, raw = yield START
            retried = ClientHello.parse(raw[4:])
            check_retried(hello, retried, self.group if missing else None, cookie)
            self.offer = check_client_hello(retried)
            hello = retried
        self.choose_session(raw)
        self.transcript.add(raw)
        return hello

    def select(self) -> None:
        """RECVD_CH: choose everything, once: the second ClientHello differs in nothing that counts."""
        offer = self.offer
        self.config, preferred = chosen_config(self.config, offer)
        config = self.config
        self.suite = select_suite(offer, config, ProtocolVersion.TLS_1_3)
        self.group = select_group(offer, config)
        self.credentials, self.scheme = select_credentials(preferred, offer, config.tls13_schemes)
        self.alpn = select_alpn(offer, config)

    def choose_session(self, raw: bytes) -> None:
        """Resume the session of a ticket, if there is one that fits what was selected."""
        offer, config = self.offer, self.config
        if offer.psks is None or PskKeyExchangeMode.psk_dhe_ke not in offer.psk_modes:
            # RFC 9846 §4.3.9: a mode that the client does not list MUST NOT be chosen.
            return
        now = self.entropy.time()
        found = choose_psk(offer.psks, raw, self.transcript, self.suite, config, now, self.session_fits)
        if found is not None:
            self.selected_psk, self.session, self.early = found
            self.peer_chain = self.session.peer_chain

    def session_fits(self, session: Session) -> bool:
        return fits(
            session,
            self.config,
            self.entropy.time(),
            version=ProtocolVersion.TLS_1_3,
            suite=self.suite,
            server_name=self.offer.server_name,
            alpn=self.alpn,
            certificate=self.credentials.chain[0],
        )

    def make_cookie(self) -> bytes:
        """A cookie that is good for this ClientHello on this connection alone."""
        # RFC 9846 §4.3.2: integrity-protected, over the hash of the ClientHello. The key is this
        # handshake's own: state is kept anyway.
        return hmac_digest(self.suite.hash_name, self.entropy.random(32), self.transcript.digest())

    def send_retry_request(self, hello: ClientHello, group: NamedGroup | None, cookie: bytes | None) -> None:
        """A HelloRetryRequest for a share of `group`, the return of `cookie`, or both (RFC 9846 §4.2.4)."""
        extensions: list[tuple[int, bytes]] = []
        if group is not None:
            extensions.append((ExtensionType.KEY_SHARE, ext.encode_key_share_hello_retry(group)))
        if cookie is not None:
            extensions.append((ExtensionType.COOKIE, ext.encode_cookie(cookie)))
        # RFC 9846 §4.2.4: the server's extensions MUST contain supported_versions.
        extensions.append(_TLS_1_3)
        request = ServerHello(
            random=HELLO_RETRY_REQUEST_RANDOM,
            session_id=hello.session_id,
            cipher_suite=self.suite.id,
            extensions=tuple(extensions),
        ).encode()
        self.transcript.retry()
        self.transcript.add(request)
        self.io.send(request)
        self.send_compatibility_ccs(hello)

    def send_server_hello(self, hello: ClientHello) -> None:
        """NEGOTIATED: ServerHello, then handshake keys."""
        io, suite = self.io, self.suite
        public, shared_secret = self.entropy.respond(self.group, self.offer.shares[self.group])
        extensions: tuple[tuple[int, bytes], ...] = (
            (ExtensionType.KEY_SHARE, ext.encode_key_share_server(self.group, public)),
            _TLS_1_3,
        )
        if self.session is not None:
            selected = encode_selected_identity(self.selected_psk)
            extensions = (*extensions, (ExtensionType.PRE_SHARED_KEY, selected))
        server_hello = ServerHello(
            # RFC 9846 §4.2.3: independent of the client's; TLS 1.3 leaves the last 8 bytes random.
            random=self.entropy.random(32),
            session_id=hello.session_id,
            cipher_suite=suite.id,
            extensions=extensions,
        ).encode()
        self.transcript.add(server_hello)
        io.send(server_hello)
        self.send_compatibility_ccs(hello)
        schedule = self.schedule = KeySchedule(suite, self.early)
        schedule.enter_handshake(shared_secret, self.transcript.digest())
        log_handshake_secrets(self.config.keylog, self.client_random, schedule)
        if self.offer.record_size_limit is not None:
            # RFC 8449 §4: both send the extension, so both limits hold for all protected records.
            self.max_send = min(self.offer.record_size_limit, NO_LIMIT)
            self.max_receive = self.config.record_size_limit or NO_LIMIT
        elif self.offer.max_fragment_length is not None:
            # RFC 8449 §5: record_size_limit goes before it; RFC 6066 §4: the type's byte is not counted.
            self.max_send = self.max_receive = self.offer.max_fragment_length + 1
        io.set_read_protection(new_opener(suite, schedule.client_handshake, self.max_receive))
        # RFC 9846 §A.1: a client that could not make its keys sends its alert in the clear.
        io.allow_plaintext_alert(True)
        io.set_write_protection(new_sealer(suite, schedule.server_handshake, self.config, self.max_send))

    def send_compatibility_ccs(self, hello: ClientHello) -> None:
        """The dummy record right after the first handshake message, once, for a client that asks for it."""
        # RFC 9846 §E.4: a client with a non-empty session id does, and obliges the server.
        if hello.session_id and not self.ccs_sent:
            self.ccs_sent = True
            self.io.send_change_cipher_spec()

    # ---- parameters, identity, Finished -----------------------------------------------------------------

    def send_parameters(self) -> None:
        """EncryptedExtensions to Finished, then application keys for sending."""
        io, config, suite, schedule = self.io, self.config, self.suite, self.schedule
        transcript = self.transcript
        flight = EncryptedExtensions(tuple(self.extensions())).encode()
        # RFC 9846 §4.4.2: with a resumed session, no CertificateRequest.
        full = self.session is None
        if full and _asks(config):
            flight += self.certificate_request()
        transcript.add(flight)
        if full:
            flight += certificate_messages(
                transcript,
                self.credentials,
                self.scheme,
                SERVER_CONTEXT,
                self.entropy,
                status=self.offer.status_request,
            )
        flight += finished_message(transcript, suite, schedule.server_handshake)
        io.send(flight)
        schedule.enter_application(transcript.digest())
        log_application_secrets(config.keylog, self.client_random, schedule)
        # RFC 9846 §4.5.3: what follows the Finished, alerts about the client's flight included, is under the
        # application key.
        io.set_write_protection(new_sealer(suite, schedule.server_application, config, self.max_send))

    def extensions(self) -> Generator[tuple[int, bytes], None, None]:
        """EncryptedExtensions: answers to what the client asked for, and nothing else (RFC 9846 §4.3)."""
        offer, config = self.offer, self.config
        if offer.server_name is not None:
            # RFC 6066 §3: the name was used, which an empty extension says.
            yield ExtensionType.SERVER_NAME, b""
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
        if config.groups[0] not in offer.shares:
            # RFC 9846 §4.3.7: there is a group that the server prefers to those of the shares.
            yield ExtensionType.SUPPORTED_GROUPS, ext.encode_supported_groups(config.groups)

    def certificate_request(self) -> bytes:
        """The CertificateRequest of the handshake."""
        # RFC 9846 §4.4.2: the context is empty in the handshake.
        return certificate_request(b"", self.config)

    def receive_client_identity(self) -> Generator[Wait, Message, None]:
        """WAIT_CERT, and WAIT_CV where the client has a certificate."""
        config = self.config
        _, raw = yield WAIT_CERT
        chain, response = parse_certificate(raw, b"", may_answer(config))
        if chain:
            public_key = certificates.public_key(chain[0])
            self.ocsp_response = verify_client(config, chain, response)
        elif config.verify_mode == ssl.CERT_REQUIRED:
            # RFC 9846 §4.5.1.3: at the server's discretion: "certificate_required".
            raise CertificateRequired("a client certificate is required and the client sent none")
        self.transcript.add(raw)
        if chain:
            self.peer_chain = chain
            self.peer_scheme = yield from receive_certificate_verify(
                self.transcript, public_key, config.tls13_schemes, CLIENT_CONTEXT
            )

    def finish(self) -> None:
        """CONNECTED: application keys for receiving too."""
        suite, schedule = self.suite, self.schedule
        self.io.set_read_protection(new_opener(suite, schedule.client_application, self.max_receive))
        facts = Negotiated(
            version=ProtocolVersion.TLS_1_3,
            suite=suite,
            group=self.group,
            alpn=self.alpn,
            server_name=self.offer.server_name,
            peer_chain=self.peer_chain,
            ocsp_response=self.ocsp_response,
            local_certificate=self.credentials.chain[0],
            signature_scheme=self.peer_scheme,
            local_signature_scheme=self.scheme if self.session is None else None,
            session_reused=self.session is not None,
        )
        may_ask = self.offer.post_handshake_auth and self.config.trust_anchors is not None
        after = PostHandshake(
            self.config,
            facts,
            send_secret=schedule.server_application,
            receive_secret=schedule.client_application,
            exporter_secret=schedule.exporter,
            max_send=self.max_send,
            max_receive=self.max_receive,
            transcript=self.transcript if may_ask else None,
            entropy=self.entropy,
        )
        self.io.complete(facts, after)
        self.send_tickets()

    def send_tickets(self) -> None:
        """NewSessionTickets (RFC 9846 §4.7.1), for a client that can use them."""
        config, resumed = self.config, self.session
        if (
            not config.tickets
            or config.ticket_keys is None
            or PskKeyExchangeMode.psk_dhe_ke not in self.offer.psk_modes
        ):
            return
        now = self.entropy.time()
        authenticated_at = now if resumed is None else resumed.authenticated_at
        # RFC 9846 §4.7.1: a limit on the total lifetime of what one full handshake made.
        lifetime = min(config.ticket_lifetime, int(authenticated_at + MAX_TICKET_LIFETIME - now))
        session = Session(
            version=ProtocolVersion.TLS_1_3,
            suite=self.suite.id,
            secret=b"",
            context=server_context(config, self.credentials.chain[0]),
            server_name=self.offer.server_name,
            alpn=self.alpn,
            peer_chain=self.peer_chain,
            authenticated_at=authenticated_at,
            issued_at=now,
            lifetime=lifetime,
        )
        secret = self.schedule.resumption(self.transcript.digest())
        count = config.tickets if resumed is None else 1
        messages = ticket_messages(config, session, secret, count if lifetime > 0 else 0, self.entropy)
        if messages:
            self.io.send(messages)


# ---- checks of a ClientHello ------------------------------------------------------------------------


def check_client_hello(hello: ClientHello) -> ClientOffer:
    """A ClientHello that is legal in TLS 1.3, as an offer (RFC 9846 §4.2.2, §9.2)."""
    select_version(hello, (ProtocolVersion.TLS_1_3,))
    if hello.legacy_version != ProtocolVersion.TLS_1_2:
        # RFC 9846 §4.2.2: another legacy_version: "protocol_version".
        raise ProtocolVersionError(f"legacy_version of the ClientHello is 0x{hello.legacy_version:04x}")
    if hello.compression_methods != b"\0":
        # RFC 9846 §4.2.2: exactly one byte, set to zero, or "illegal_parameter".
        raise IllegalParameter("a TLS 1.3 ClientHello that offers compression")
    check_allowed(hello.extensions, Place.CH)
    return ClientOffer.read(hello)


def check_retried(
    first: ClientHello, second: ClientHello, group: NamedGroup | None, cookie: bytes | None
) -> None:
    """The second ClientHello is the first with what the HelloRetryRequest asked for (RFC 9846 §4.2.2)."""
    before, after = dict(first.extensions), dict(second.extensions)
    if cookie is not None:
        # RFC 9846 §4.3.2: the client MUST copy the cookie.
        returned = after.pop(ExtensionType.COOKIE, None)
        if returned is None:
            raise MissingExtension("the second ClientHello has no cookie")
        if not compare(ext.parse_cookie(returned), cookie):
            raise IllegalParameter("the cookie of the second ClientHello is not the one that was sent")
        before.pop(ExtensionType.COOKIE, None)
    if group is not None:
        # RFC 9846 §4.3.8: one share, of the group that was asked for.
        shares = ext.parse_key_share_client(after.pop(ExtensionType.KEY_SHARE, b"\0\0"))
        if [share[0] for share in shares] != [group]:
            raise IllegalParameter(f"the second ClientHello has not one key share, for {group.name}")
        del before[ExtensionType.KEY_SHARE]
    if ExtensionType.EARLY_DATA in after:
        # RFC 9846 §4.2.2: early data is not permitted after a HelloRetryRequest.
        raise IllegalParameter("the second ClientHello offers early data")
    for code in _MAY_CHANGE:
        before.pop(code, None)
        after.pop(code, None)
    # RFC 9846 §4.2.2: everything else MUST be the same; the order of extensions means nothing.
    if before != after or _plain(first) != _plain(second):
        raise IllegalParameter("the second ClientHello differs from the first in what must not change")


def _plain(hello: ClientHello) -> tuple[object, ...]:
    """Everything but the extensions."""
    return (
        hello.legacy_version,
        hello.random,
        hello.session_id,
        hello.cipher_suites,
        hello.compression_methods,
    )


def _asks(config: ServerConfig) -> bool:
    """Whether a client is asked for its certificate in the handshake."""
    return config.verify_mode != ssl.CERT_NONE and not config.post_handshake_auth

"""What both sides of a TLS 1.2 handshake share: the transcript, the keys, and the Finished messages.

The transcript is kept twice: as a hash for Finished and the main secret, and as bytes, since a CertificateVerify
signs the messages themselves under a hash of its own (RFC 5246 §7.4.8). HelloRequest is no part of it (§7.4.1.1).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from tlswrite import limits
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto.certificates import holder_of
from tlswrite.crypto.kdf import compare
from tlswrite.crypto.suites import Suite
from tlswrite.errors import CertificateError, HandshakeFailure, TooMuchError
from tlswrite.handshake.runner import HandshakeIO, Message, Wait
from tlswrite.iana import AlertDescription, HandshakeType
from tlswrite.messages.finish import Finished
from tlswrite.record.protection12 import TLS12Opener, TLS12Sealer
from tlswrite.session import Session
from tlswrite.tls12.schedule import (
    CLIENT_FINISHED,
    SERVER_FINISHED,
    MainSecret,
    extended_main_secret,
    finished_data,
    key_block,
    main_secret,
    verify_finished,
)
from tlswrite.transcript import Transcript

__all__ = ["HELLO_REQUEST", "Handshake12", "Last", "Progress"]

#: A client passes over these while it negotiates (RFC 5246 §7.4.1.1).
HELLO_REQUEST: Final = (HandshakeType.HELLO_REQUEST,)


class Progress:
    """Counts handshakes between which no application data went either way."""

    __slots__ = ("_at", "_in_a_row")

    def __init__(self) -> None:
        self._at = 0
        self._in_a_row = 0

    def count(self, io: HandshakeIO) -> None:
        """Refuse a peer that keeps us busy for nothing."""
        if io.progress != self._at:
            self._at = io.progress
            self._in_a_row = 0
        self._in_a_row += 1
        if self._in_a_row > limits.MAX_RENEGOTIATIONS_IN_A_ROW:
            raise TooMuchError("a flood of renegotiations without application data between them")


class Last:
    """What a renegotiation must know of the handshake before it (RFC 5746 §3.1).

    `kept` is the session of the connection's first handshake, with its key in the cache, where it is in one.
    """

    __slots__ = ("client_verify_data", "kept", "peer_chain", "progress", "server_verify_data")

    def __init__(
        self,
        client_verify_data: bytes,
        server_verify_data: bytes,
        peer_chain: tuple[bytes, ...],
        progress: Progress,
        kept: tuple[bytes, Session] | None,
    ) -> None:
        self.client_verify_data = client_verify_data
        self.server_verify_data = server_verify_data
        self.peer_chain = peer_chain
        self.progress = progress
        self.kept = kept


class Handshake12:
    """The common part of one handshake, of either side. It lives as long as its generator."""

    __slots__ = (
        "alpn",
        "client_random",
        "client_verify_data",
        "extended",
        "io",
        "last",
        "main",
        "max_receive",
        "max_send",
        "messages",
        "opener",
        "peer_chain",
        "peer_scheme",
        "sealer",
        "server_random",
        "server_verify_data",
        "session",
        "suite",
        "transcript",
    )

    suite: Suite
    main: MainSecret
    sealer: TLS12Sealer
    opener: TLS12Opener
    client_random: bytes
    server_random: bytes

    def __init__(self, io: HandshakeIO, last: Last | None) -> None:
        self.io = io
        #: None in the first handshake of a connection.
        self.last = last
        self.transcript = Transcript()
        self.messages = bytearray()
        self.alpn: str | None = None
        self.extended = False
        self.max_send = self.max_receive = limits.MAX_PLAINTEXT
        self.peer_chain: tuple[bytes, ...] = ()
        self.peer_scheme: int | None = None
        self.client_verify_data = b""
        self.server_verify_data = b""
        #: The session that is resumed.
        self.session: Session | None = None

    def add(self, raw: bytes) -> None:
        """A message that was sent or received joins the transcript."""
        self.transcript.add(raw)
        self.messages += raw

    # ---- keys ---------------------------------------------------------------------------------------

    def make_keys(self, shared_secret: bytes, config: ClientConfig | ServerConfig, *, client: bool) -> None:
        """The main secret, from the messages up to ClientKeyExchange, and the protection of both directions."""
        suite = self.suite
        if self.extended:
            # RFC 7627 §4: over ClientHello...ClientKeyExchange.
            secret = extended_main_secret(suite, shared_secret, self.transcript.digest())
        else:
            secret = main_secret(suite, shared_secret, self.client_random, self.server_random)
        self.use_main_secret(secret, config, client=client)

    def use_main_secret(self, secret: bytes, config: ClientConfig | ServerConfig, *, client: bool) -> None:
        main = self.main = MainSecret(
            self.suite, secret, self.client_random, self.server_random, self.extended
        )
        if config.keylog is not None:
            config.keylog(f"CLIENT_RANDOM {self.client_random.hex()} {secret.hex()}")
        keys = key_block(main)
        to_server = (keys.client_key, keys.client_iv)
        to_client = (keys.server_key, keys.server_iv)
        sending, receiving = (to_server, to_client) if client else (to_client, to_server)
        self.sealer = TLS12Sealer(self.suite, *sending, max_content=self.max_send)
        self.opener = TLS12Opener(self.suite, *receiving, max_content=self.max_receive)

    # ---- Finished -----------------------------------------------------------------------------------

    def finished_message(self, *, client: bool) -> bytes:
        """One's own Finished over the transcript so far (RFC 5246 §7.4.9)."""
        label = CLIENT_FINISHED if client else SERVER_FINISHED
        verify_data = finished_data(self.main, label, self.transcript.digest())
        self._keep(verify_data, client)
        message = Finished(verify_data).encode()
        self.add(message)
        return message

    def receive_finished(self, *, client: bool) -> Generator[Wait, Message, None]:
        """WAIT_FINISHED, behind the peer's change_cipher_spec; `client` tells whose Finished it is."""
        self.io.expect_change_cipher_spec(self.opener)
        _, raw = yield WAIT_FINISHED_OF_CLIENT if client else WAIT_FINISHED_OF_SERVER
        verify_data = Finished.parse(raw[4:]).verify_data
        label = CLIENT_FINISHED if client else SERVER_FINISHED
        verify_finished(self.main, label, self.transcript.digest(), verify_data)
        self._keep(verify_data, client)
        self.add(raw)

    def outcome(self, kept: tuple[bytes, Session] | None) -> Last:
        """What the next handshake on this connection must know of this one."""
        progress = Progress()
        if self.last is not None:
            # A renegotiation makes no session.
            progress, kept = self.last.progress, self.last.kept
        return Last(self.client_verify_data, self.server_verify_data, self.peer_chain, progress, kept)

    @property
    def first_finished(self) -> bytes:
        """The first Finished of this handshake (RFC 5929 §3): the server's, where a session is resumed."""
        return self.client_verify_data if self.session is None else self.server_verify_data

    def _keep(self, verify_data: bytes, client: bool) -> None:
        if client:
            self.client_verify_data = verify_data
        else:
            self.server_verify_data = verify_data

    # ---- checks that both sides make -------------------------------------------------------------------

    def check_renegotiation_info(self, received: bytes | None, expected: bytes) -> None:
        """The peer speaks of the same connection (RFC 5746 §3.4 to §3.7)."""
        if received is None or not compare(received, expected):
            # RFC 5746 §3.4, §3.5, §3.6, §3.7: MUST abort the handshake: "handshake_failure".
            what = "no" if received is None else "a wrong"
            raise HandshakeFailure(
                f"{what} renegotiation_info: this handshake and the peer's are not of one connection"
            )

    def check_identity(self, allowed: bool) -> None:
        """Whoever was known before the renegotiation is still the one who speaks, unless that is allowed."""
        before = self.last.peer_chain if self.last is not None else ()
        now = self.peer_chain
        if (
            allowed
            or not before
            or before[:1] == now[:1]
            or (now and holder_of(before[0]) == holder_of(now[0]))
        ):
            return
        raise CertificateError(
            "the peer shows a certificate for somebody else in a renegotiation, or none any more "
            "(allow_identity_change permits it)",
            AlertDescription.ACCESS_DENIED,
        )


#: Both sides wait for the other's Finished under one name; a client passes over a HelloRequest meanwhile
#: (RFC 5246 §7.4.1.1).
WAIT_FINISHED_OF_CLIENT: Final = Wait("WAIT_FINISHED", HandshakeType.FINISHED)
WAIT_FINISHED_OF_SERVER: Final = Wait("WAIT_FINISHED", HandshakeType.FINISHED, ignored=HELLO_REQUEST)

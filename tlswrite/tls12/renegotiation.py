"""After a TLS 1.2 handshake: renegotiation (RFC 5246 §7.4.1, RFC 5746), exporters.

Theory of operation. A renegotiation is a handshake like the first one, under the keys of the last. The side that
must answer it sends no application data until it is over, so a write in the middle wants READ (SSL_write(3): "as
at any time a re-negotiation is possible, a call to SSL_write() can also cause read operations"); what the peer
sent before it changed its keys is delivered in order. Both hellos carry the verify_data of the last handshake, so
that nobody can splice a connection of his own into another's (RFC 5746 §3).

Who may begin, as OpenSSL 3 has it by default: the server, when its application says so (HelloRequest); a client
that is asked. A client of its own accord only where the server allows it. A refusal is a warning that both sides
survive.
"""

from __future__ import annotations

from typing import Protocol

from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.errors import CallerError, UnexpectedMessage
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO
from tlswrite.iana import HandshakeType, name_of
from tlswrite.messages.tls12 import HelloRequest
from tlswrite.record.protection import Sealer
from tlswrite.session import Session
from tlswrite.tls12.handshake import Last
from tlswrite.tls12.schedule import MainSecret

__all__ = ["AfterHandshake12"]


class Again(Protocol):
    """Begins another handshake on the same connection."""

    def __call__(self, io: HandshakeIO, last: Last, raw: bytes, /) -> HandshakeGenerator:
        """The handshake behind `last`; `raw` is the ClientHello that a server answers."""


class AfterHandshake12:
    """What a connection is after its handshake; implements AfterHandshake.

    `finished` is the first Finished of the handshake (RFC 5929 §3).
    """

    __slots__ = ("_again", "_asked", "_config", "_facts", "_last", "_main", "finished")

    def __init__(
        self,
        config: ClientConfig | ServerConfig,
        facts: Negotiated,
        main: MainSecret,
        last: Last,
        finished: bytes,
        again: Again,
    ) -> None:
        self._config = config
        self._facts = facts
        self._main = main
        self._last = last
        self._again = again
        #: Server: a HelloRequest was sent and not yet answered.
        self._asked = False
        self.finished: bytes | None = finished

    def handle(self, message_type: int, raw: bytes, io: HandshakeIO) -> None:
        """A HelloRequest, or a ClientHello: everything else belongs into a handshake. Raises PeerError."""
        config = self._config
        if message_type == HandshakeType.HELLO_REQUEST and isinstance(config, ClientConfig):
            HelloRequest.parse(raw[4:])
            self._last.progress.count(io)
            if config.renegotiation:
                self._begin(io, b"")
            else:
                # RFC 5246 §7.4.1.1: a client that does not wish to renegotiate may say so.
                io.refuse_renegotiation()
        elif message_type == HandshakeType.CLIENT_HELLO and isinstance(config, ServerConfig):
            self._last.progress.count(io)
            if self._asked or (config.renegotiation and config.allow_client_renegotiation):
                self._begin(io, raw)
            else:
                io.refuse_renegotiation()
        else:
            name = name_of(HandshakeType, message_type).lower()
            raise UnexpectedMessage(f"{name} received in state CONNECTED")

    def renegotiate(self, io: HandshakeIO) -> None:
        """Begin: a client by a ClientHello, a server by a HelloRequest (RFC 5246 §7.4.1.1).

        Raises CallerError where the configuration has `renegotiation` off.
        """
        if not self._config.renegotiation:
            raise CallerError("no renegotiation: the configuration has renegotiation=False")
        if isinstance(self._config, ClientConfig):
            self._begin(io, b"")
        elif not self._asked:
            # RFC 5246 §7.4.1.1: not to be repeated before the handshake that it asks for.
            self._asked = True
            io.send(HelloRequest().encode())

    @property
    def session(self) -> Session | None:
        """Client: the session of this connection, to be resumed later."""
        kept = self._last.kept
        return kept[1] if kept is not None and isinstance(self._config, ClientConfig) else None

    def forget_session(self) -> None:
        """RFC 5246 §7.2.2: the session of a connection that failed MUST NOT be resumed."""
        cache, kept = self._config.session_cache, self._last.kept
        if cache is not None and kept is not None:
            cache.discard(*kept)

    def export(self, label: bytes, length: int, context: bytes | None) -> bytes:
        """Exported keying material (RFC 5705), `length` bytes."""
        return self._main.export(label, length, context)

    def rekey(self, request_peer: bool = False) -> tuple[bytes, Sealer]:
        """Raises CallerError: TLS 1.2 has no KeyUpdate."""
        raise CallerError("TLS 1.2 has no KeyUpdate: renegotiate() makes new keys")

    def request_certificate(self, io: HandshakeIO) -> None:
        """Raises CallerError: in TLS 1.2 a certificate is asked for by a renegotiation."""
        raise CallerError("TLS 1.2 asks for a certificate in a handshake only: use renegotiate()")

    def _begin(self, io: HandshakeIO, raw: bytes) -> None:
        self._asked = False
        io.renegotiate(self._again(io, self._last, raw))

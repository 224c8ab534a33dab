"""Which version's handshake runs: a hello leaves and arrives here, and goes on to `tls13`."""

from __future__ import annotations

from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.handshake.entropy import SYSTEM, Entropy
from tlswrite.handshake.offer import make_offer
from tlswrite.handshake.opening import START, WAIT_SH, send_client_hello
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO
from tlswrite.tls13.client import ClientHandshake
from tlswrite.tls13.server import ServerHandshake

__all__ = ["client_handshake", "negotiate", "server_handshake"]


def negotiate(
    io: HandshakeIO, config: ClientConfig | ServerConfig, server_hostname: str | None
) -> HandshakeGenerator:
    """The handshake that `config` asks for: its class tells the role."""
    if isinstance(config, ClientConfig):
        return client_handshake(io, config, server_hostname)
    return server_handshake(io, config)


def client_handshake(
    io: HandshakeIO, config: ClientConfig, server_hostname: str | None, entropy: Entropy = SYSTEM
) -> HandshakeGenerator:
    """The handshake of one connection to `server_hostname`, a name or an address."""
    offer = make_offer(config, server_hostname, entropy)
    send_client_hello(io, offer)
    _, raw = yield WAIT_SH
    yield from ClientHandshake(io, config, server_hostname, entropy, offer).run(raw)


def server_handshake(io: HandshakeIO, config: ServerConfig, entropy: Entropy = SYSTEM) -> HandshakeGenerator:
    """The handshake of one accepted connection."""
    _, raw = yield START
    yield from ServerHandshake(io, config, entropy).run(raw)

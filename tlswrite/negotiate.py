"""Which version's handshake runs: a hello leaves or arrives here, and goes on to `tls13`."""

from __future__ import annotations

from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO
from tlswrite.tls13.client import client_handshake
from tlswrite.tls13.server import server_handshake

__all__ = ["negotiate"]


def negotiate(
    io: HandshakeIO, config: ClientConfig | ServerConfig, server_hostname: str | None
) -> HandshakeGenerator:
    """The handshake that `config` asks for: its class tells the role."""
    if isinstance(config, ClientConfig):
        return client_handshake(io, config, server_hostname)
    return server_handshake(io, config)

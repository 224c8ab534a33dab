"""Configurations and connected pairs of engines, for tests that need no more than one."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.support import pki
from tests.support.pump import Pair
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.x509 import Credentials, TrustAnchors, load_credentials
from tlswrite.iana import NamedGroup

HOST = "localhost"

#: One cheap group, for tests whose subject is not the key exchange.
X25519 = (NamedGroup.x25519,)


@cache
def anchors() -> TrustAnchors:
    return TrustAnchors.from_pem(pki.authority().certificate_pem)


def issued(key_type: str = "ecdsa_secp256r1", client: bool = False) -> pki.Issued:
    """The certificate behind `credentials`."""
    return pki.issue(key_type=key_type, client=client)


@cache
def credentials(key_type: str = "ecdsa_secp256r1", client: bool = False) -> Credentials:
    made = issued(key_type, client)
    return load_credentials(made.chain_pem, made.key_pem, None)


def client_config(**fields: Any) -> ClientConfig:
    return ClientConfig(**{"trust_anchors": anchors(), "groups": X25519, **fields})


def server_config(**fields: Any) -> ServerConfig:
    return ServerConfig(**{"credentials": (credentials(),), **fields})


def client(**fields: Any) -> TLSConnection:
    return TLSConnection(client_config(**fields), server_hostname=HOST)


def server(**fields: Any) -> TLSConnection:
    return TLSConnection(server_config(**fields))


def connected(
    client_fields: dict[str, Any] | None = None,
    server_fields: dict[str, Any] | None = None,
    *,
    fragment: int | None = None,
) -> Pair:
    """A pair whose handshake is complete."""
    pair = Pair(client(**(client_fields or {})), server(**(server_fields or {})), fragment=fragment)
    pair.handshake()
    return pair

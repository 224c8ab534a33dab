"""Configurations and connected pairs of engines, for tests that need no more than one."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.support import pki
from tests.support.pump import Pair
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.x509 import Credentials, TrustAnchors, load_credentials
from tlswrite.iana import NamedGroup, ProtocolVersion

HOST = "localhost"

TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
#: Fields of a configuration for TLS 1.2 alone.
ONLY_1_2 = {"maximum_version": TLS_1_2}
#: Fields of one for both versions.
BOTH = {"minimum_version": TLS_1_2}

#: The groups of TLS 1.2, where a certificate's key must be in one of them too.
ECDHE = (NamedGroup.x25519, NamedGroup.secp256r1, NamedGroup.secp384r1, NamedGroup.secp521r1)

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
    """Of TLS 1.3 alone, and without resumption, unless `fields` say otherwise."""
    defaults = {
        "trust_anchors": anchors(),
        "groups": X25519,
        "minimum_version": TLS_1_3,
        "session_cache": None,
    }
    return ClientConfig(**{**defaults, **_of_tls12(fields)})


def server_config(**fields: Any) -> ServerConfig:
    """Of TLS 1.3 alone, and without tickets, unless `fields` say otherwise."""
    return ServerConfig(
        **{"credentials": (credentials(),), "minimum_version": TLS_1_3, "tickets": 0, **_of_tls12(fields)}
    )


def _of_tls12(fields: dict[str, Any]) -> dict[str, Any]:
    """What a maximum of TLS 1.2 brings along: the minimum, and the groups of the certificates' keys."""
    if fields.get("maximum_version") != TLS_1_2:
        return fields
    return {"minimum_version": TLS_1_2, "groups": ECDHE, **fields}


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

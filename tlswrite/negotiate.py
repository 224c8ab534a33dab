"""Which version's handshake runs: a hello leaves and arrives here, and goes on to `tls13` or `tls12`."""

from __future__ import annotations

from typing import Final

from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.errors import IllegalParameter, ProtocolVersionError
from tlswrite.handshake.entropy import SYSTEM, Entropy
from tlswrite.handshake.offer import Offer, make_offer
from tlswrite.handshake.opening import START, WAIT_SH, send_client_hello
from tlswrite.handshake.resumption import find_session, session_key, still_good
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO
from tlswrite.handshake.select import select_version, version_name
from tlswrite.iana import ExtensionType, ProtocolVersion
from tlswrite.messages.hello import DOWNGRADE_TLS11, DOWNGRADE_TLS12, ClientHello, ServerHello
from tlswrite.session import Session
from tlswrite.tls12 import client as tls12_client
from tlswrite.tls12 import server as tls12_server
from tlswrite.tls13 import client as tls13_client
from tlswrite.tls13 import server as tls13_server
from tlswrite.tls13.psk import bind
from tlswrite.tls13.schedule import EarlySecrets

__all__ = ["client_handshake", "negotiate", "server_handshake"]


# By names of their own: until Python 3.12 each look-up of a member in its class takes a call, 0.1 us.
_TLS_1_2: Final = ProtocolVersion.TLS_1_2
_TLS_1_3: Final = ProtocolVersion.TLS_1_3
_SUPPORTED_VERSIONS: Final = ExtensionType.SUPPORTED_VERSIONS


def negotiate(
    io: HandshakeIO,
    config: ClientConfig | ServerConfig,
    server_hostname: str | None,
    session: Session | None = None,
) -> HandshakeGenerator:
    """The handshake that `config` asks for: its class tells the role."""
    if isinstance(config, ClientConfig):
        return client_handshake(io, config, server_hostname, session=session)
    return server_handshake(io, config)


def client_handshake(
    io: HandshakeIO,
    config: ClientConfig,
    server_hostname: str | None,
    entropy: Entropy = SYSTEM,
    session: Session | None = None,
) -> HandshakeGenerator:
    """The handshake of one connection to `server_hostname`, a name or an address.

    It offers to resume `session` if that fits, else one of the configuration's cache.
    """
    now = entropy.time()
    if session is None or not still_good(session, config, server_hostname, now):
        session = find_session(config, server_hostname, now)
    offer, early = bind(make_offer(config, server_hostname, entropy, session=session))
    try:
        yield from _client_handshake(io, config, server_hostname, entropy, offer, early)
    except BaseException:
        if session is not None and config.session_cache is not None:
            # RFC 5246 §7.2.2: a session whose handshake failed MUST NOT be resumed; nor is one of TLS 1.3 that
            # a server stumbles over offered to it again.
            config.session_cache.discard(session_key(config, server_hostname), session)
        raise


def _client_handshake(
    io: HandshakeIO,
    config: ClientConfig,
    server_hostname: str | None,
    entropy: Entropy,
    offer: Offer,
    early: EarlySecrets | None,
) -> HandshakeGenerator:
    send_client_hello(io, offer)
    _, raw = yield WAIT_SH
    hello = ServerHello.parse(raw[4:])
    if _chosen_version(hello, config) == _TLS_1_3:
        handshake = tls13_client.ClientHandshake(io, config, server_hostname, entropy, offer, early)
        yield from handshake.run(hello, raw)
    else:
        yield from tls12_client.ClientHandshake(io, config, server_hostname, entropy, offer).run(hello, raw)


def server_handshake(io: HandshakeIO, config: ServerConfig, entropy: Entropy = SYSTEM) -> HandshakeGenerator:
    """The handshake of one accepted connection."""
    _, raw = yield START
    hello = ClientHello.parse(raw[4:])
    if select_version(hello, config.versions) == _TLS_1_3:
        yield from tls13_server.ServerHandshake(io, config, entropy).run(hello, raw)
    else:
        yield from tls12_server.ServerHandshake(io, config, entropy).run(hello, raw)


def _chosen_version(hello: ServerHello, config: ClientConfig) -> ProtocolVersion:
    """The version of a server's first message; raises the error of one that must not be followed."""
    versions = config.versions
    if _TLS_1_3 in versions and (
        hello.is_hello_retry_request or hello.extension(_SUPPORTED_VERSIONS) is not None
    ):
        # What supported_versions says is for TLS 1.3 to judge (RFC 9846 §4.3.1).
        return _TLS_1_3
    if _TLS_1_3 in versions and hello.random[-8:] in (DOWNGRADE_TLS12, DOWNGRADE_TLS11):
        # RFC 9846 §4.2.3: the server could do TLS 1.3, so somebody meddled: "illegal_parameter".
        raise IllegalParameter(
            "the server supports TLS 1.3 but was made to choose an older version: "
            "a downgrade attack, or a meddling middlebox"
        )
    if hello.legacy_version != _TLS_1_2 or _TLS_1_2 not in versions:
        # RFC 9846 §E.1, RFC 5246 §E.1: a version that the client does not support: "protocol_version".
        accepted = " and ".join(version_name(version) for version in versions)
        raise ProtocolVersionError(
            f"the server chose {version_name(hello.legacy_version)}; this client accepts {accepted} only"
        )
    return _TLS_1_2

"""What sessions are bound to, and whether one fits: the decisions of both versions, on both sides.

A client asks `find_session`, a server `redeem`; both return None where anything does not fit, and the handshake is
a full one. A session that is foreign, expired, altered or of other settings is never an error.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Final

from tlswrite import limits
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto import x509
from tlswrite.crypto.kdf import compare, new_hash
from tlswrite.crypto.suites import Suite
from tlswrite.errors import CertificateError, ConfigurationError
from tlswrite.handshake.verify import verify_server
from tlswrite.iana import ProtocolVersion
from tlswrite.session import Session

__all__ = [
    "client_context",
    "find_session",
    "fits",
    "issue",
    "redeem",
    "server_context",
    "session_key",
    "still_good",
]

_HASH: Final = "sha256"


# ---- what a session is bound to ---------------------------------------------------------------------


def client_context(config: ClientConfig) -> bytes:
    """The settings under which a client's session was made: identity, protocols, verification. 32 bytes."""
    own = b"" if config.credentials is None else config.credentials.chain[0]
    flags = bytes((config.verify_mode, config.check_hostname, config.require_ocsp_status))
    return _digest(b"client", own, flags, *(protocol.encode() for protocol in config.alpn_protocols))


def server_context(config: ServerConfig, certificate: bytes) -> bytes:
    """The settings under which a server's session was made, and the certificate it showed. 32 bytes."""
    flags = bytes((config.verify_mode, config.require_ocsp_status))
    return _digest(b"server", certificate, flags, config.session_id_context)


def session_key(config: ClientConfig, server_hostname: str | None) -> bytes:
    """The key under which a client keeps its sessions with a server."""
    return client_context(config) + (server_hostname or "").encode()


@lru_cache(maxsize=128)
def _digest(*parts: bytes) -> bytes:
    digest = new_hash(_HASH)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


# ---- the client -------------------------------------------------------------------------------------


def find_session(config: ClientConfig, server_hostname: str | None, now: float) -> Session | None:
    """A session with `server_hostname` from the cache of the configuration, if one fits."""
    if config.session_cache is None:
        return None
    session = config.session_cache.take(session_key(config, server_hostname))
    return session if session is not None and still_good(session, config, server_hostname, now) else None


def still_good(session: Session, config: ClientConfig, server_hostname: str | None, now: float) -> bool:
    """Whether a client may offer a session."""
    if (
        session.version not in config.versions
        # RFC 9846 §4.7.1: a ticket is resumed with a suite of the same hash; RFC 5246 §7.4.1.2: with the same one.
        or session.suite not in config.cipher_suites
        or session.server_name != server_hostname
        or session.context != client_context(config)
        or not session.good_at(now)
    ):
        return False
    try:
        # RFC 9846 §4.7.1: the name MUST be valid for the certificate of the original session. That it still is
        # trusted, and valid now, is verified as it was then.
        verify_server(config, session.peer_chain, server_hostname)
    except CertificateError:
        return False
    return True


# ---- the server -------------------------------------------------------------------------------------


def issue(config: ServerConfig, session: Session, secret: bytes | None = None) -> bytes | None:
    """The ticket of a session, with `secret` for its own where given; None where none is issued."""
    if config.ticket_keys is None or not config.tickets:
        return None
    plaintext = session.to_bytes(secret)
    if len(plaintext) > limits.MAX_TICKET - _TICKET_OVERHEAD:
        # A client with a chain this long does without: it would show the ticket in every hello.
        return None
    return config.ticket_keys.seal(plaintext, session.issued_at, config.ticket_lifetime)


def redeem(config: ServerConfig, ticket: bytes, now: float) -> Session | None:
    """The session in a ticket that a client shows, whatever it is for; `fits` has the say."""
    if config.ticket_keys is None or len(ticket) > limits.MAX_TICKET:
        return None
    plaintext = config.ticket_keys.open(ticket, now, config.ticket_lifetime)
    if plaintext is None:
        return None
    try:
        return Session.from_bytes(plaintext)
    except ConfigurationError:
        # Sealed by another version of this software, under shared keys.
        return None


def fits(
    session: Session,
    config: ServerConfig,
    now: float,
    *,
    version: ProtocolVersion,
    suite: Suite,
    server_name: str | None,
    alpn: str | None,
    certificate: bytes,
) -> bool:
    """Whether a server may resume a session in a handshake that has chosen all this."""
    if (
        session.version != version
        or session.suite != suite.id
        # RFC 6066 §3: a server MUST NOT resume under another name.
        or session.server_name != server_name
        or session.alpn != alpn
        or not compare(session.context, server_context(config, certificate))
        or not session.good_at(now)
        or now >= session.issued_at + config.ticket_lifetime
    ):
        return False
    if config.verify_mode == ssl.CERT_NONE:
        return not session.peer_chain
    if not session.peer_chain:
        return config.verify_mode != ssl.CERT_REQUIRED
    try:
        assert config.trust_anchors is not None, "ServerConfig sees to it"
        x509.verify_client(session.peer_chain, config.trust_anchors)
    except CertificateError:
        return False
    return True


#: Bytes that sealing adds, and a margin.
_TICKET_OVERHEAD: Final = 64

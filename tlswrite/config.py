"""Frozen configuration: what a client or a server offers, demands and logs.

A configuration is checked when it is made, so a setting that cannot work fails where it was written,
with words that say what to do; it is shared by any number of connections and never changes.
`dataclasses.replace` makes a variant.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass, field
from enum import IntFlag
from pathlib import Path
from typing import Any, Final

from tlswrite.crypto.credentials import Credentials, OCSPSource, Password, load_credentials
from tlswrite.crypto.groups import DEFAULT_GROUPS, ECDHE_GROUPS, GROUPS
from tlswrite.crypto.signatures import DEFAULT_SCHEMES as TLS13_SCHEMES
from tlswrite.crypto.signatures12 import PKCS1_SCHEMES, schemes_for
from tlswrite.crypto.suites import DEFAULT_SUITES, SUITES
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import ConfigurationError
from tlswrite.iana import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme, name_of
from tlswrite.limits import (
    MAX_PLAINTEXT,
    MAX_TICKET_LIFETIME,
    MAX_TICKETS_SENT,
    MIN_RECORD_SIZE_LIMIT,
    TICKET_LIFETIME,
)
from tlswrite.session import SessionCache, SessionStore

__all__ = ["ClientConfig", "Mode", "RecordPadding", "ServerConfig"]

#: `int`: pad the content of a record up to a multiple of it. Callable: content length to padding
#: length, both in bytes (RFC 9846 §5.4). None: no padding.
RecordPadding = int | Callable[[int], int] | None

_Path = str | os.PathLike[str]

#: What signature_algorithms says unless told otherwise; RSASSA-PKCS1-v1_5 is for TLS 1.2 alone.
DEFAULT_SCHEMES: Final = (*TLS13_SCHEMES, *PKCS1_SCHEMES)

#: Sizes of max_fragment_length (RFC 6066 §4). Bytes.
_FRAGMENT_LENGTHS: Final = (512, 1024, 2048, 4096)


class Mode(IntFlag):
    """Bits of `SSL_CTX_set_mode(3)`, with OpenSSL's values."""

    ENABLE_PARTIAL_WRITE = 1
    ACCEPT_MOVING_WRITE_BUFFER = 2
    AUTO_RETRY = 4
    #: Say in the ClientHello that this is a second try with a lower maximum_version (RFC 7507).
    SEND_FALLBACK_SCSV = 128


@dataclass(frozen=True, slots=True, eq=False)
class _Config:
    """What both sides have."""

    _: KW_ONLY
    #: Versions to negotiate, TLS 1.2 and TLS 1.3 at most. A version of which no cipher suite is chosen is left
    #: out: `versions` has what remains, the highest first.
    minimum_version: ProtocolVersion = ProtocolVersion.TLS_1_2
    maximum_version: ProtocolVersion = ProtocolVersion.TLS_1_3
    versions: tuple[ProtocolVersion, ...] = field(init=False)
    #: Offered (client) or accepted (server), of both versions, best first (RFC 9846 §B.4, RFC 8422 §6).
    cipher_suites: tuple[CipherSuite, ...] = DEFAULT_SUITES
    #: Key exchange groups, best first (RFC 9846 §4.3.7).
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    #: Schemes accepted in the peer's signatures and used in one's own, best first (RFC 9846 §4.3.3); those of
    #: RSASSA-PKCS1-v1_5 are for TLS 1.2 alone. `tls13_schemes` has the others.
    signature_schemes: tuple[SignatureScheme, ...] = DEFAULT_SCHEMES
    tls13_schemes: tuple[SignatureScheme, ...] = field(init=False)
    #: Application protocols, best first (RFC 7301).
    alpn_protocols: tuple[str, ...] = ()
    #: Largest protected record taken from the peer, 64 to 16385 bytes (RFC 8449 §4): in TLS 1.3 plaintext with
    #: content type and padding, in TLS 1.2 plaintext. None: no limit of one's own.
    record_size_limit: int | None = None
    record_padding: RecordPadding = None
    mode: Mode = Mode.AUTO_RETRY
    #: Receives each line of an NSS key log, without line end.
    keylog: Callable[[str], None] | None = None
    #: Records under one key before it is updated; None: the AEAD's limit (RFC 9846 §5.5).
    key_update_records: int | None = None
    #: Certificates to trust. None: the system's (client), nobody (server).
    trust_anchors: TrustAnchors | None = None
    #: Refuse a peer's certificate that comes without its OCSP status; clients can send theirs in TLS 1.3 alone.
    require_ocsp_status: bool = False
    #: TLS 1.2: insist on the extension that binds the keys to the handshake (RFC 7627 §5.3).
    require_extended_main_secret: bool = True
    #: TLS 1.2: take part in renegotiations that this side's peer may ask for (RFC 5746, always secure): as a
    #: client those of the server, as a server those of `renegotiate()`. False: refuse them by a warning.
    renegotiation: bool = True
    #: TLS 1.2: let the peer show a certificate for somebody else in a renegotiation.
    allow_identity_change: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ClientConfig(_Config):
    """Configuration of clients.

    Raises `ConfigurationError` for settings that cannot work.
    """

    _: KW_ONLY
    #: For servers that ask for a client certificate.
    credentials: Credentials | None = None
    #: CERT_OPTIONAL means CERT_REQUIRED here, as in OpenSSL: a server always sends a certificate.
    verify_mode: ssl.VerifyMode = ssl.CERT_REQUIRED
    #: Verify that the certificate is for `server_hostname`.
    check_hostname: bool = True
    #: Ask for the certificate's OCSP status (RFC 6066 §8). A response that comes is verified if the certificate is;
    #: that one comes is insisted on where the certificate (RFC 7633) or `require_ocsp_status` says so.
    status_request: bool = True
    #: Groups for which the first ClientHello carries shares; None: the best group, and x25519 where it is
    #: among the groups; empty: let the server choose, at the cost of a round trip (RFC 9846 §4.3.8).
    key_shares: tuple[NamedGroup, ...] | None = None
    #: Send reserved values at random places so that servers stay tolerant (RFC 8701).
    grease: bool = True
    #: Send a session id and change_cipher_spec records that look like TLS 1.2 (RFC 9846 §E.4). A server has
    #: no such setting: it follows the client.
    middlebox_compatibility: bool = True
    #: Answer CertificateRequests after the handshake (RFC 9846 §4.3.6).
    post_handshake_auth: bool = False
    #: TLS 1.2: connect to servers without secure renegotiation (RFC 5746 §4.1).
    legacy_server_connect: bool = False
    #: Ask for records of at most 512, 1024, 2048 or 4096 bytes of plaintext, in both directions (RFC 6066
    #: §4); servers that know record_size_limit go by that instead (RFC 8449 §5).
    max_fragment_length: int | None = None
    #: Sessions to resume: each config has a cache of its own unless one is given; None: no resumption.
    session_cache: SessionStore | None = field(default_factory=SessionCache)
    #: What handshakes work out of the fields, and keep here so that they do so once. No field of an application's.
    memo: dict[Any, Any] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        _check_common(self)
        if self.max_fragment_length not in (None, *_FRAGMENT_LENGTHS):
            raise ConfigurationError(
                f"max_fragment_length must be 512, 1024, 2048 or 4096 bytes, not {self.max_fragment_length}"
            )
        if self.key_shares is not None:
            _freeze(self, "key_shares")
            _check_choice("key_shares", self.key_shares, self.groups, NamedGroup, may_be_empty=True)
        if self.check_hostname and self.verify_mode == ssl.CERT_NONE:
            raise ConfigurationError(
                "check_hostname needs a verified certificate: with verify_mode=CERT_NONE "
                "set check_hostname=False"
            )
        if self.require_ocsp_status and not (self.status_request and self.verify_mode != ssl.CERT_NONE):
            raise ConfigurationError(
                "require_ocsp_status needs status_request, and a certificate that is verified (verify_mode)"
            )
        if self.credentials is not None:
            _check_credentials(self.credentials, self)

    @classmethod
    def from_files(
        cls,
        cafile: _Path | None = None,
        certfile: _Path | None = None,
        keyfile: _Path | None = None,
        password: Password | None = None,
        **fields: Any,
    ) -> ClientConfig:
        """Read PEM files: anchors to trust, and credentials for servers that ask for them.

        Without `keyfile` the private key is in `certfile`. Raises `OSError` for a file that cannot be read,
        `ConfigurationError` for one that does not hold what it should.
        """
        if cafile is not None:
            fields["trust_anchors"] = TrustAnchors.from_file(cafile)
        if certfile is not None:
            fields["credentials"] = _read_credentials(certfile, keyfile, password)
        elif keyfile is not None:
            raise ConfigurationError("keyfile was given without certfile: name the certificate's file too")
        return cls(**fields)


#: Chooses by the name in the client's server_name extension (None: the client sent none): credentials,
#: another configuration for the rest of the handshake, or None to go on as configured. May raise
#: `UnrecognizedName`.
SNICallback = Callable[[str | None], "Credentials | ServerConfig | None"]


@dataclass(frozen=True, slots=True, eq=False)
class ServerConfig(_Config):
    """Configuration of servers: `credentials` must be given.

    Raises `ConfigurationError` for settings that cannot work.
    """

    _: KW_ONLY
    #: Certificates with their keys; for each client the first that fits its server name and its schemes.
    credentials: tuple[Credentials, ...] = ()
    #: Ask clients for a certificate: not (CERT_NONE), take what comes (CERT_OPTIONAL), insist on it
    #: (CERT_REQUIRED).
    verify_mode: ssl.VerifyMode = ssl.CERT_NONE
    #: Where a client is asked for a certificate, ask for its OCSP status too (TLS 1.3, RFC 9846 §4.5.1.1). A
    #: response that comes is verified; few clients have one.
    status_request: bool = False
    #: Make every client return a cookie before anything costly is done for it (RFC 9846 §4.3.2).
    hello_retry_cookie: bool = False
    #: TLS 1.3: ask clients for a certificate by `verify_client_post_handshake` alone, not in the handshake
    #: (SSL_VERIFY_POST_HANDSHAKE of SSL_CTX_set_verify(3)).
    post_handshake_auth: bool = False
    sni_callback: SNICallback | None = None
    #: TLS 1.2: let clients begin a renegotiation of their own accord.
    allow_client_renegotiation: bool = False
    #: Session tickets that a client gets at the end of a full handshake in TLS 1.3, after a resumption it is one
    #: (RFC 9846 §4.7.1); in TLS 1.2 there is never more than one. 0: none are issued.
    tickets: int = 2
    #: What seals and opens tickets; None: neither. Each config has random keys of its own unless some are given.
    ticket_keys: TicketKeys | None = field(default_factory=TicketKeys)
    #: Seconds for which a session may be resumed, 604800 (7 days) at most.
    ticket_lifetime: int = TICKET_LIFETIME
    #: Sessions are resumed only where this is the same: give applications that share keys different ones.
    session_id_context: bytes = b""
    #: TLS 1.2: sessions of clients that do not know tickets; None: those get full handshakes.
    session_cache: SessionStore | None = field(default_factory=SessionCache)

    def __post_init__(self) -> None:
        _check_common(self)
        if not 0 <= self.tickets <= MAX_TICKETS_SENT:
            raise ConfigurationError(f"tickets must be 0 to {MAX_TICKETS_SENT}, not {self.tickets}")
        if not 1 <= self.ticket_lifetime <= MAX_TICKET_LIFETIME:
            # RFC 9846 §4.7.1: servers MUST NOT use any value greater than 604800 seconds.
            raise ConfigurationError(
                f"ticket_lifetime must be 1 to {MAX_TICKET_LIFETIME} seconds, not {self.ticket_lifetime}"
            )
        if isinstance(self.credentials, Credentials):
            raise ConfigurationError("credentials must be a tuple: write credentials=(credentials,)")
        _freeze(self, "credentials")
        if not self.credentials:
            raise ConfigurationError(
                "a server needs credentials: use ServerConfig.from_files(certfile, keyfile), "
                "or give credentials=(load_credentials(...),)"
            )
        for credentials in self.credentials:
            _check_credentials(credentials, self)
        if self.require_ocsp_status and not self.status_request:
            raise ConfigurationError("require_ocsp_status needs status_request")
        if self.verify_mode != ssl.CERT_NONE and self.trust_anchors is None:
            raise ConfigurationError(
                "client certificates are asked for but nobody is trusted: give trust_anchors or cafile"
            )

    @classmethod
    def from_files(
        cls,
        certfile: _Path,
        keyfile: _Path | None = None,
        password: Password | None = None,
        cafile: _Path | None = None,
        *,
        ocsp_response: OCSPSource | None = None,
        **fields: Any,
    ) -> ServerConfig:
        """Read PEM files: the certificate chain, its key, and anchors for client certificates.

        Without `keyfile` the private key is in `certfile`. `ocsp_response` is as in `Credentials`. Raises
        `OSError` for a file that cannot be read, `ConfigurationError` for one that does not hold what it should.
        """
        fields["credentials"] = (_read_credentials(certfile, keyfile, password, ocsp_response),)
        if cafile is not None:
            fields["trust_anchors"] = TrustAnchors.from_file(cafile)
        return cls(**fields)


# ---- checks -----------------------------------------------------------------------------------------


def _check_common(config: _Config) -> None:
    for name in ("cipher_suites", "groups", "signature_schemes", "alpn_protocols"):
        _freeze(config, name)
    _check_choice("cipher_suites", config.cipher_suites, SUITES, CipherSuite)
    _check_choice("groups", config.groups, GROUPS, NamedGroup)
    # RFC 9155: SHA-1 never signs a handshake, so it is no choice here.
    _check_choice("signature_schemes", config.signature_schemes, DEFAULT_SCHEMES, SignatureScheme)
    # RFC 9846 §4.5.2: nor does RSASSA-PKCS1-v1_5 in TLS 1.3.
    tls13_schemes = tuple(scheme for scheme in config.signature_schemes if scheme not in PKCS1_SCHEMES)
    object.__setattr__(config, "tls13_schemes", tls13_schemes)
    object.__setattr__(config, "versions", _versions(config))
    _check_alpn(config.alpn_protocols)
    limit = config.record_size_limit
    if limit is not None and not MIN_RECORD_SIZE_LIMIT <= limit <= MAX_PLAINTEXT + 1:
        # RFC 8449 §4: not below 64, and in TLS 1.3 not above 2^14 + 1.
        raise ConfigurationError(
            f"record_size_limit must be {MIN_RECORD_SIZE_LIMIT} to {MAX_PLAINTEXT + 1} bytes, not {limit}"
        )
    padding = config.record_padding
    if padding is not None and not callable(padding) and not 1 <= padding <= MAX_PLAINTEXT:
        raise ConfigurationError(f"record_padding must be 1 to {MAX_PLAINTEXT} bytes, not {padding}")
    records = config.key_update_records
    if records is not None and records < 1:
        raise ConfigurationError(f"key_update_records must be at least 1, not {records}")


def _versions(config: _Config) -> tuple[ProtocolVersion, ...]:
    """The versions of the configured range that can be negotiated, the highest first."""
    for name in ("minimum_version", "maximum_version"):
        value = getattr(config, name)
        if value not in (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3):
            raise ConfigurationError(f"{name} must be TLS 1.2 or TLS 1.3, not {value!r}")
        object.__setattr__(config, name, ProtocolVersion(value))
    if config.minimum_version > config.maximum_version:
        raise ConfigurationError("minimum_version is above maximum_version: no version is left")
    versions = []
    for version in (ProtocolVersion.TLS_1_3, ProtocolVersion.TLS_1_2):
        if config.minimum_version <= version <= config.maximum_version and any(
            SUITES[suite].version == version for suite in config.cipher_suites
        ):
            versions.append(version)
    if ProtocolVersion.TLS_1_2 in versions and not any(group in ECDHE_GROUPS for group in config.groups):
        versions.remove(ProtocolVersion.TLS_1_2)
    if ProtocolVersion.TLS_1_3 in versions and not config.tls13_schemes:
        versions.remove(ProtocolVersion.TLS_1_3)
    if not versions:
        raise ConfigurationError(
            "no version is left: cipher_suites, groups and signature_schemes have nothing for the versions from "
            "minimum_version to maximum_version"
        )
    return tuple(versions)


def _freeze(config: _Config, name: str) -> None:
    value = getattr(config, name)
    if isinstance(value, str):
        raise ConfigurationError(f"{name} must be a tuple: write {name}=({value!r},)")
    object.__setattr__(config, name, tuple(value))


def _check_choice(
    field: str,
    chosen: tuple[int, ...],
    supported: Collection[int],
    registry: type[CipherSuite] | type[NamedGroup] | type[SignatureScheme],
    *,
    may_be_empty: bool = False,
) -> None:
    if not chosen and not may_be_empty:
        raise ConfigurationError(f"{field} must not be empty")
    if len(set(chosen)) < len(chosen):
        raise ConfigurationError(f"{field} names something twice")
    for value in chosen:
        if value not in supported:
            choices = ", ".join(name_of(registry, each) for each in supported)
            raise ConfigurationError(
                f"{field}: {name_of(registry, value)} cannot be used here; choose from {choices}"
            )


def _check_alpn(protocols: tuple[str, ...]) -> None:
    for protocol in protocols:
        # RFC 7301 §3.1: opaque ProtocolName<1..2^8-1>.
        if not isinstance(protocol, str) or not 1 <= len(protocol.encode()) <= 255:
            raise ConfigurationError(f"alpn_protocols: a name is a str of 1 to 255 bytes, not {protocol!r}")
    if len(set(protocols)) < len(protocols):
        raise ConfigurationError("alpn_protocols names something twice")


def _check_credentials(credentials: Credentials, config: _Config) -> None:
    fitting: dict[SignatureScheme, None] = {}
    if ProtocolVersion.TLS_1_3 in config.versions:
        fitting |= dict.fromkeys(credentials.schemes)
    if ProtocolVersion.TLS_1_2 in config.versions:
        fitting |= dict.fromkeys(schemes_for(credentials.private_key))
    if not fitting:
        raise ConfigurationError("the private key is of a kind that signs in TLS 1.3 alone")
    if not any(scheme in config.signature_schemes for scheme in fitting):
        raise ConfigurationError(
            "the private key can sign with none of signature_schemes: add one of "
            + ", ".join(scheme.name for scheme in fitting)
        )


def _read_credentials(
    certfile: _Path,
    keyfile: _Path | None,
    password: Password | None,
    ocsp_response: OCSPSource | None = None,
) -> Credentials:
    certificate = Path(certfile).read_bytes()
    key = None if keyfile is None else Path(keyfile).read_bytes()
    return load_credentials(certificate, key, password, ocsp_response=ocsp_response)

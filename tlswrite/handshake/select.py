"""The server's choices: version, suite, group, credentials with a signature scheme, application protocol.

`ClientOffer` is a ClientHello as far as it matters to a choice, read once. Each `select_…` takes the offer
and the configuration and returns what both can do, best by the server's order, or raises the error whose
alert the RFC has for it. Values that are not known here, GREASE (RFC 8701) among them, match nothing and
so are passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from tlswrite.config import ServerConfig
from tlswrite.crypto.certificates import text
from tlswrite.crypto.chain_schemes import LEGACY_SCHEMES, chain_schemes
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.groups import ECDHE_GROUPS, GROUPS
from tlswrite.crypto.identity import matches
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.errors import (
    HandshakeFailure,
    IllegalParameter,
    InappropriateFallback,
    MissingExtension,
    NoApplicationProtocol,
    ProtocolVersionError,
)
from tlswrite.iana import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, SignatureScheme, name_of
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.hello import ClientHello
from tlswrite.messages.resumption import OfferedPsks

__all__ = [
    "ClientOffer",
    "chosen_config",
    "common_scheme",
    "rank_credentials",
    "select_alpn",
    "select_credentials",
    "select_group",
    "select_suite",
    "select_version",
    "suites_in_words",
    "version_name",
]

#: Groups with a post-quantum part, for which a round trip is a fair price.
HYBRIDS: Final = frozenset(
    {NamedGroup.X25519MLKEM768, NamedGroup.SecP256r1MLKEM768, NamedGroup.SecP384r1MLKEM1024}
)


_VERSION_NAMES: Final[dict[int, str]] = {
    ProtocolVersion.SSL_3_0: "SSL 3.0",
    ProtocolVersion.TLS_1_0: "TLS 1.0",
    ProtocolVersion.TLS_1_1: "TLS 1.1",
    ProtocolVersion.TLS_1_2: "TLS 1.2",
    ProtocolVersion.TLS_1_3: "TLS 1.3",
}


@dataclass(frozen=True)
class ClientOffer:
    """What a ClientHello offers."""

    cipher_suites: tuple[int, ...]
    groups: tuple[int, ...]
    #: key_exchange by group.
    shares: dict[int, bytes] = field(repr=False)
    schemes: tuple[int, ...]
    #: Of signature_algorithms_cert; `schemes` where that is absent (RFC 9846 §4.3.3).
    certificate_schemes: tuple[int, ...]
    alpn: tuple[bytes, ...]
    server_name: str | None
    record_size_limit: int | None
    #: In bytes.
    max_fragment_length: int | None
    #: Whether an OCSP response is welcome (RFC 6066 §8).
    status_request: bool
    post_handshake_auth: bool
    #: TLS 1.3: the pre-shared keys, and how the client would use them (RFC 9846 §4.3.9, §4.3.11).
    psks: OfferedPsks | None = field(default=None, repr=False)
    psk_modes: tuple[int, ...] = ()

    @classmethod
    def read(cls, hello: ClientHello) -> ClientOffer:
        """What a TLS 1.3 hello offers.

        Raises the error of whatever is missing, malformed or contradictory in the extensions.
        """
        data = dict(hello.extensions)
        groups = _required(data, ExtensionType.SUPPORTED_GROUPS)
        schemes = ext.parse_signature_algorithms(_required(data, ExtensionType.SIGNATURE_ALGORITHMS))
        # RFC 9846 §9.2: supported_groups and key_share come together.
        key_share = _required(data, ExtensionType.KEY_SHARE)
        psks, modes = data.get(ExtensionType.PRE_SHARED_KEY), data.get(ExtensionType.PSK_KEY_EXCHANGE_MODES)
        if psks is not None:
            # RFC 9846 §4.3.9: pre_shared_key without psk_key_exchange_modes MUST be refused.
            _required(data, ExtensionType.PSK_KEY_EXCHANGE_MODES)
        post_handshake_auth = data.get(ExtensionType.POST_HANDSHAKE_AUTH)
        if post_handshake_auth is not None:
            ext.parse_post_handshake_auth(post_handshake_auth)
        offer = cls(
            groups=ext.parse_supported_groups(groups),
            shares=dict(ext.parse_key_share_client(key_share)),
            schemes=schemes,
            post_handshake_auth=post_handshake_auth is not None,
            psks=None if psks is None else OfferedPsks.parse(psks),
            psk_modes=() if modes is None else ext.parse_psk_key_exchange_modes(modes),
            **_common(hello, data, schemes),
        )
        # RFC 9846 §4.3.8: no shares for groups not listed in supported_groups. By sets: both lists may hold
        # thousands, and one pass through the other for each would be a peer's to abuse.
        unlisted = offer.shares.keys() - set(offer.groups)
        if unlisted:
            raise IllegalParameter(
                f"a key share for {name_of(NamedGroup, min(unlisted))}, "
                "which is not among the supported groups"
            )
        return offer

    @classmethod
    def read_tls12(cls, hello: ClientHello) -> ClientOffer:
        """What a hello offers to a server that chose TLS 1.2; errors as `read`."""
        data = dict(hello.extensions)
        groups = data.get(ExtensionType.SUPPORTED_GROUPS)
        schemes = data.get(ExtensionType.SIGNATURE_ALGORITHMS)
        # RFC 5246 §7.4.1.4.1: without the extension it is SHA-1 alone, which nothing here signs with.
        parsed = () if schemes is None else ext.parse_signature_algorithms(schemes)
        return cls(
            # RFC 8422 §4: without the extension the server is free to choose.
            groups=tuple(ECDHE_GROUPS) if groups is None else ext.parse_supported_groups(groups),
            shares={},
            schemes=parsed,
            post_handshake_auth=False,
            **_common(hello, data, parsed),
        )


def _common(hello: ClientHello, data: dict[int, bytes], schemes: tuple[int, ...]) -> dict[str, Any]:
    """The fields of an offer that mean the same in both versions."""
    certificate_schemes = data.get(ExtensionType.SIGNATURE_ALGORITHMS_CERT)
    alpn = data.get(ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION)
    server_name = data.get(ExtensionType.SERVER_NAME)
    status_request = data.get(ExtensionType.STATUS_REQUEST)
    limit = data.get(ExtensionType.RECORD_SIZE_LIMIT)
    fragment_length = data.get(ExtensionType.MAX_FRAGMENT_LENGTH)
    return {
        "cipher_suites": hello.cipher_suites,
        "certificate_schemes": (
            schemes if certificate_schemes is None else ext.parse_signature_algorithms(certificate_schemes)
        ),
        "alpn": () if alpn is None else ext.parse_alpn(alpn),
        "server_name": None if server_name is None else ext.parse_server_name(server_name),
        # RFC 6066 §8: of any responder; requests for other kinds of status are ignored.
        "status_request": status_request is not None and ext.parse_status_request(status_request) is not None,
        # RFC 8449 §4: a server does not hold a client to the largest value that TLS 1.3 has.
        "record_size_limit": None if limit is None else ext.parse_record_size_limit(limit),
        # RFC 6066 §4: another value: "illegal_parameter".
        "max_fragment_length": (
            None if fragment_length is None else ext12.parse_max_fragment_length(fragment_length)
        ),
    }


def select_version(hello: ClientHello, accepted: Collection[ProtocolVersion]) -> ProtocolVersion:
    """The highest version in common (RFC 9846 §4.3.1); ProtocolVersionError says what was offered."""
    data = hello.extension(ExtensionType.SUPPORTED_VERSIONS)
    if data is None:
        # RFC 9846 §E.2: without the extension the version is that of legacy_version, TLS 1.2 at most.
        offered: tuple[int, ...] = (min(hello.legacy_version, ProtocolVersion.TLS_1_2),)
    else:
        # RFC 9846 §4.3.1: only the extension counts, and unknown versions MUST be ignored.
        offered = ext.parse_supported_versions_client(data)
    common = [version for version in accepted if version in offered]
    if not common:
        known = [version for version in offered if version in _VERSION_NAMES]
        names = ", ".join(version_name(version) for version in known) or "no version known here"
        raise ProtocolVersionError(
            f"the client offers {names}; this server accepts "
            + ", ".join(version_name(version) for version in sorted(accepted, reverse=True))
        )
    version = max(common)
    if CipherSuite.TLS_FALLBACK_SCSV in hello.cipher_suites and version < max(accepted):
        # RFC 7507 §3: the client could do better before, and so could this server: somebody interfered.
        raise InappropriateFallback(
            f"the client fell back to {version_name(version)} although both sides can do "
            f"{version_name(max(accepted))}: a downgrade attack, or a meddling middlebox"
        )
    return version


def select_suite(
    offer: ClientOffer, config: ServerConfig, version: ProtocolVersion, authentication: str = ""
) -> Suite:
    """The first of the server's suites of `version` that the client offers (RFC 9846 §4.2.1).

    `authentication` is the kind of the server's key, which a suite of TLS 1.2 must be for.
    """
    for code in config.cipher_suites:
        suite = SUITES[code]
        if (
            code in offer.cipher_suites
            and suite.version == version
            and suite.authentication == authentication
        ):
            return suite
    raise HandshakeFailure(f"no cipher suite in common: the client offers {suites_in_words(offer)}")


def select_group(
    offer: ClientOffer, config: ServerConfig, usable: Collection[NamedGroup] = GROUPS
) -> NamedGroup:
    """The group to use; one without a share means a HelloRetryRequest (RFC 9846 §4.2.1).

    The server's order decides, with a share already there going before a round trip; but a post-quantum
    hybrid that both support, and the server prefers, is worth the round trip.
    """
    common = [group for group in config.groups if group in offer.groups and group in usable]
    if not common:
        raise HandshakeFailure(
            "no key exchange group in common: the client supports "
            + _some(name_of(NamedGroup, group) for group in offer.groups)
        )
    hybrids = [group for group in common if group in HYBRIDS]
    candidates = hybrids if common[0] in HYBRIDS else common
    return next((group for group in candidates if group in offer.shares), candidates[0])


def chosen_config(config: ServerConfig, offer: ClientOffer) -> tuple[ServerConfig, tuple[Credentials, ...]]:
    """The configuration for the rest of the handshake, and its credentials, as the SNI callback has it."""
    chosen = None if config.sni_callback is None else config.sni_callback(offer.server_name)
    if isinstance(chosen, ServerConfig):
        return chosen, chosen.credentials
    return config, config.credentials if chosen is None else (chosen,)


def select_credentials(
    credentials: Sequence[Credentials], offer: ClientOffer, schemes: Collection[int]
) -> tuple[Credentials, SignatureScheme]:
    """Credentials, and the scheme to sign with (RFC 9846 §4.5.1.2): what both can do."""
    able = [
        (each, scheme)
        for each in credentials
        if (scheme := common_scheme(each.schemes, offer.schemes, schemes)) is not None
        # RFC 9846 §4.5.1.2: no SHA-1 in a chain, unless the client advertises it.
        and not chain_schemes(each.chain) & LEGACY_SCHEMES - frozenset(offer.certificate_schemes)
    ]
    if not able:
        raise HandshakeFailure(
            "no signature scheme in common: the client verifies "
            + _some(name_of(SignatureScheme, scheme) for scheme in offer.schemes)
        )
    return rank_credentials(able, offer)


def rank_credentials(
    able: Sequence[tuple[Credentials, SignatureScheme]], offer: ClientOffer
) -> tuple[Credentials, SignatureScheme]:
    """The best of several credentials that would do.

    A certificate for the server name wins, then a chain that the client says it can verify, then the server's
    order.
    """
    if len(able) == 1:
        return able[0]
    name = (offer.server_name or "").lower()
    verified = frozenset(offer.certificate_schemes)
    # RFC 9846 §4.5.1.2: signed by algorithms that the peer advertises, if there is such a chain; a chain of
    # the server's choice if there is none.
    return min(
        able,
        key=lambda each: (
            bool(name) and not matches(name, each[0].names),
            not chain_schemes(each[0].chain) <= verified,
        ),
    )


def common_scheme(
    fitting: Collection[SignatureScheme], peer: Collection[int], own: Collection[int]
) -> SignatureScheme | None:
    """Of the schemes that fit a key, best first, the one that the peer verifies and that is configured."""
    for scheme in fitting:
        if scheme in peer and scheme in own:
            return scheme
    return None


def select_alpn(offer: ClientOffer, config: ServerConfig) -> str | None:
    """The first of the server's protocols that the client offers (RFC 7301 §3.2)."""
    if not offer.alpn or not config.alpn_protocols:
        return None
    for protocol in config.alpn_protocols:
        if protocol.encode() in offer.alpn:
            return protocol
    # RFC 7301 §3.2: the server SHALL respond with a fatal "no_application_protocol" alert.
    raise NoApplicationProtocol(
        "no application protocol in common: the client offers "
        + _some(text(protocol.decode("utf-8", "backslashreplace"), 80) for protocol in offer.alpn)
    )


def version_name(version: int) -> str:
    """A version as people write it: "TLS 1.2"."""
    return _VERSION_NAMES.get(version) or name_of(ProtocolVersion, version)


def suites_in_words(offer: ClientOffer) -> str:
    """The cipher suites of an offer, the first of them at least, for a message."""
    return _some(name_of(CipherSuite, suite) for suite in offer.cipher_suites)


def _some(names: Iterable[str]) -> str:
    """The first of a peer's list, for a message that the peer cannot make long."""
    shown = list(islice(names, _SHOWN + 1))
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")


#: Values of a list of the peer's that a message shows.
_SHOWN: Final = 16


def _required(data: dict[int, bytes], extension: ExtensionType) -> bytes:
    found = data.get(extension)
    if found is None:
        # RFC 9846 §9.2: a ClientHello without what TLS 1.3 requires of it: "missing_extension".
        raise MissingExtension(f"the ClientHello has no {extension.name.lower()}")
    return found

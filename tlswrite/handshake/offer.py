"""What a client offers: build a ClientHello, and build it again after a HelloRetryRequest.

An offer is the hello with what must be remembered to judge the answer: the key shares, and what was
really offered as against what was sent only to keep servers tolerant. GREASE (RFC 8701) is drawn once an
offer, at random places and with random values, and stays the same in the second ClientHello.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

from tlswrite.config import ClientConfig, Mode
from tlswrite.crypto.groups import ECDHE_GROUPS, KeyShare
from tlswrite.crypto.identity import sni_name
from tlswrite.crypto.signatures import CERT_SCHEMES
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.errors import IllegalParameter, UnsupportedExtension
from tlswrite.handshake.entropy import Entropy
from tlswrite.iana import (
    GREASE,
    CipherSuite,
    ECPointFormat,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    PskKeyExchangeMode,
    name_of,
)
from tlswrite.limits import MAX_PLAINTEXT
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.base import Extensions
from tlswrite.messages.hello import ClientHello
from tlswrite.messages.resumption import OfferedPsks
from tlswrite.session import Session

__all__ = ["Offer", "check_solicited", "chosen_protocol", "key_share_groups", "make_offer"]

_T = TypeVar("_T")

#: RFC 8449 §4: advertised even without a limit of one's own, so that the server may ask for one.
_NO_LIMIT: Final = MAX_PLAINTEXT + 1
_TLS_1_2: Final = ProtocolVersion.TLS_1_2
_PSK_WITH_DHE: Final = ext.encode_psk_key_exchange_modes((PskKeyExchangeMode.psk_dhe_ke,))

_SERVER_NAME: Final = ExtensionType.SERVER_NAME
_SUPPORTED_GROUPS: Final = ExtensionType.SUPPORTED_GROUPS
_SIGNATURE_ALGORITHMS: Final = ExtensionType.SIGNATURE_ALGORITHMS
_ALPN: Final = ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION
_SUPPORTED_VERSIONS: Final = ExtensionType.SUPPORTED_VERSIONS
_KEY_SHARE: Final = ExtensionType.KEY_SHARE


@dataclass(frozen=True)
class Offer:
    """A ClientHello, and what it stands for."""

    hello: ClientHello
    #: The hello as it is sent, header included.
    message: bytes = field(repr=False)
    server_name: str | None
    groups: tuple[NamedGroup, ...]
    shares: Mapping[int, KeyShare] = field(repr=False)
    #: Extension types whose answers are welcome; GREASE is not among them.
    extension_types: frozenset[int] = field(repr=False)
    #: The session that the hello offers to resume.
    session: Session | None = None
    #: Bytes of the list of binders at the end of `message`, where zeros stand until `with_binder`.
    binders_size: int = 0

    def retry(self, suite: Suite, group: int | None, cookie: bytes | None, entropy: Entropy) -> Offer:
        """The second ClientHello, as a HelloRetryRequest asks for it (RFC 9846 §4.2.2, §4.2.4).

        `suite`, `group` and `cookie` are what the request says. Raises IllegalParameter for a request that must
        not be followed.
        """
        if group is None and cookie is None:
            # RFC 9846 §4.2.4: a request that would not change the ClientHello: "illegal_parameter".
            raise IllegalParameter("a HelloRetryRequest that asks for no change")
        shares = self.shares
        replaced: dict[int, bytes] = {}
        if group is not None:
            # RFC 9846 §4.3.8: (1) a group that was offered, (2) of which no share was sent.
            name = name_of(NamedGroup, group)
            if group not in self.groups:
                raise IllegalParameter(f"a HelloRetryRequest for {name}, which was not offered")
            if group in shares:
                raise IllegalParameter(f"a HelloRetryRequest for {name}, of which a share was sent")
            share = entropy.generate(group)
            shares = {group: share}
            replaced[ExtensionType.KEY_SHARE] = ext.encode_key_share_client(((group, share.public),))
        # RFC 9846 §4.2.2: the same ClientHello without modification, except for a single share of the
        # group asked for, and the cookie.
        extensions = tuple((code, replaced.get(code, data)) for code, data in self.hello.extensions)
        # RFC 9846 §4.3.11: pre_shared_key stays the last one.
        extensions, psk = _split(extensions, self.binders_size)
        if cookie is not None:
            extensions += ((ExtensionType.COOKIE, ext.encode_cookie(cookie)),)
        session, binders_size, extension_types = self.session, self.binders_size, self.extension_types
        if psk and session is not None and SUITES[session.suite].hash_name != suite.hash_name:
            # RFC 9846 §4.2.2: a pre-shared key that does not go with the suite of the request is left out.
            session, binders_size, psk = None, 0, ()
            extension_types -= {ExtensionType.PRE_SHARED_KEY}
        extensions += psk
        hello = ClientHello(self.hello.random, self.hello.session_id, self.hello.cipher_suites, extensions)
        try:
            message = hello.encode()
        except ValueError:
            # Extensions have 64 KiB in all; a cookie alone may have as much.
            raise IllegalParameter("a HelloRetryRequest whose cookie is too large to be returned") from None
        return Offer(
            hello, message, self.server_name, self.groups, shares, extension_types, session, binders_size
        )

    def with_binder(self, binder: bytes) -> Offer:
        """The same hello with the binder in its place (RFC 9846 §4.3.11.2)."""
        message = self.message[: -len(binder)] + binder
        return Offer(
            self.hello,
            message,
            self.server_name,
            self.groups,
            self.shares,
            self.extension_types,
            self.session,
            self.binders_size,
        )


def make_offer(
    config: ClientConfig,
    server_hostname: str | None,
    entropy: Entropy,
    renegotiation_info: bytes | None = None,
    session: Session | None = None,
) -> Offer:
    """A ClientHello to `server_hostname`, a name or an address, that offers to resume `session`.

    `renegotiation_info` is the client's last verify_data where this hello renegotiates: then the version stays
    what it is, TLS 1.2 (RFC 5746 §3.5), and nothing is resumed. A session of TLS 1.3 still wants its binder.
    """
    server_name = sni_name(server_hostname)
    tickets = config.session_cache is not None or session is not None
    plan = _plan(config, renegotiation_info is not None, server_name is not None, tickets)
    shares: dict[int, KeyShare] = {group: entropy.generate(group) for group in plan.share_groups}
    entries = [(int(group), share.public) for group, share in shares.items()]
    suites = plan.suites
    data: dict[int, bytes] = {}
    if server_name is not None:
        data[_SERVER_NAME] = ext.encode_server_name(server_name)
    if renegotiation_info:
        data[ExtensionType.RENEGOTIATION_INFO] = ext12.encode_renegotiation_info(renegotiation_info)
    if session is not None and session.version == _TLS_1_2:
        data[ExtensionType.SESSION_TICKET] = session.ticket
    grease = _Grease(entropy.random(20)) if config.grease else None
    if grease is not None:
        # RFC 8701 §3.1: reserved values where a server has a list to choose from.
        suites = grease.into(suites, grease.value())
        versions = grease.into(plan.versions, grease.value())
        schemes = grease.into(plan.schemes, grease.value())
        # RFC 9846 §4.3.8: shares are in the order of supported_groups.
        group = grease.value()
        groups = grease.into(plan.groups, group)
        before = groups[: groups.index(group)]
        entries.insert(sum(each in before for each, _ in entries), (group, b"\0"))
        data[_SUPPORTED_GROUPS] = ext.encode_supported_groups(groups)
        data[_SIGNATURE_ALGORITHMS] = ext.encode_signature_algorithms(schemes)
        data[_SUPPORTED_VERSIONS] = ext.encode_supported_versions_client(versions)
        if plan.protocols:
            protocols = grease.into(plan.protocols, grease.value().to_bytes(2, "big"))
            data[_ALPN] = ext.encode_alpn(protocols)
    data[_KEY_SHARE] = ext.encode_key_share_client(entries)
    extensions: Extensions = tuple([(code, data.get(code, constant)) for code, constant in plan.extensions])
    extension_types = plan.extension_types
    if grease is not None:
        # RFC 8701 §3.1: one extension without and one with content, of two types. Never in the last place:
        # there are servers that fail at a last extension that is empty.
        empty = grease.value()
        extensions = (*grease.into(extensions[:-1], (empty, b"")), extensions[-1])
        other = grease.value(unlike=empty)
        extensions = (*grease.into(extensions[:-1], (other, b"\0")), extensions[-1])
    binders_size = 0
    if session is not None and session.version == ProtocolVersion.TLS_1_3:
        # RFC 9846 §4.3.11: the last extension.
        psk = _pre_shared_key(session, entropy.time())
        binders_size = psk.binders_size
        extensions += ((ExtensionType.PRE_SHARED_KEY, psk.encode()),)
        extension_types |= {ExtensionType.PRE_SHARED_KEY}
    hello = ClientHello(
        random=entropy.random(32),
        session_id=_session_id(config, session, entropy, new=plan.new),
        cipher_suites=suites,
        extensions=extensions,
    )
    return Offer(
        hello, hello.encode(), server_name, plan.groups, shares, extension_types, session, binders_size
    )


class _Plan:
    """What the offers of one configuration have in common, worked out once.

    `extensions` are all in their order, with what they say unless the connection, or GREASE, has its own to say.
    """

    __slots__ = (
        "extension_types",
        "extensions",
        "groups",
        "new",
        "protocols",
        "schemes",
        "share_groups",
        "suites",
        "versions",
    )

    def __init__(self, config: ClientConfig, renegotiates: bool, named: bool, tickets: bool) -> None:
        # RFC 5746 §3.5: a hello that renegotiates keeps the version, TLS 1.2.
        self.versions = config.versions if not renegotiates else (_TLS_1_2,)
        #: Whether TLS 1.3 is among them.
        self.new = new = ProtocolVersion.TLS_1_3 in self.versions
        old = _TLS_1_2 in self.versions
        suites: tuple[int, ...] = tuple(
            each for each in config.cipher_suites if SUITES[each].version in self.versions
        )
        if config.mode & Mode.SEND_FALLBACK_SCSV and not renegotiates:
            suites = (*suites, CipherSuite.TLS_FALLBACK_SCSV)
        self.suites = suites
        self.groups = config.groups if new else tuple(each for each in config.groups if each in ECDHE_GROUPS)
        self.schemes = config.signature_schemes if old else config.tls13_schemes
        self.protocols = tuple(protocol.encode() for protocol in config.alpn_protocols)
        self.share_groups = key_share_groups(self.groups, config.key_shares) if new else ()
        self.extensions = tuple(self._extensions(config, named, tickets, new=new, old=old))
        self.extension_types = frozenset(code for code, _ in self.extensions)

    def _extensions(
        self, config: ClientConfig, named: bool, tickets: bool, *, new: bool, old: bool
    ) -> Iterator[tuple[int, bytes]]:
        if named:
            yield _SERVER_NAME, b""
        if old:
            # RFC 7627 §5.2: in every ClientHello that offers TLS 1.2.
            yield ExtensionType.EXTENDED_MAIN_SECRET, ext12.encode_extended_main_secret()
            # RFC 5746 §3.4: an empty extension, or the signalling suite, in an initial hello; §3.5: the
            # verify_data of the last handshake in one that renegotiates.
            yield ExtensionType.RENEGOTIATION_INFO, ext12.encode_renegotiation_info(b"")
            # RFC 8422 §5.1.2: a client that offers ECC suites and this extension MUST list uncompressed.
            yield ExtensionType.EC_POINT_FORMATS, ext12.encode_ec_point_formats((ECPointFormat.uncompressed,))
            if tickets:
                # RFC 5077 §3.2: the ticket, or nothing, which asks for one. In a renegotiation too, where nothing
                # is resumed: GnuTLS sends a ticket there if it did so before, asked or not.
                yield ExtensionType.SESSION_TICKET, b""
        if config.status_request:
            yield ExtensionType.STATUS_REQUEST, ext.encode_status_request()
        yield _SUPPORTED_GROUPS, ext.encode_supported_groups(self.groups)
        yield _SIGNATURE_ALGORITHMS, ext.encode_signature_algorithms(self.schemes)
        yield ExtensionType.SIGNATURE_ALGORITHMS_CERT, ext.encode_signature_algorithms(CERT_SCHEMES)
        if self.protocols:
            yield _ALPN, ext.encode_alpn(self.protocols)
        if config.max_fragment_length is not None:
            data = ext12.encode_max_fragment_length(config.max_fragment_length)
            yield ExtensionType.MAX_FRAGMENT_LENGTH, data
        limit = config.record_size_limit
        data = ext.encode_record_size_limit(_NO_LIMIT if limit is None else limit)
        yield ExtensionType.RECORD_SIZE_LIMIT, data
        if new:
            if config.post_handshake_auth:
                yield ExtensionType.POST_HANDSHAKE_AUTH, ext.encode_post_handshake_auth()
            yield _SUPPORTED_VERSIONS, ext.encode_supported_versions_client(self.versions)
            if tickets:
                # RFC 9846 §4.3.9: with a key exchange, or not at all; it also asks for tickets.
                yield ExtensionType.PSK_KEY_EXCHANGE_MODES, _PSK_WITH_DHE
            yield _KEY_SHARE, b""


def _plan(config: ClientConfig, renegotiates: bool, named: bool, tickets: bool) -> _Plan:
    kind = (renegotiates, named, tickets)
    plan: _Plan | None = config.memo.get(kind)
    if plan is None:
        plan = config.memo[kind] = _Plan(config, renegotiates, named, tickets)
    return plan


def _session_id(config: ClientConfig, session: Session | None, entropy: Entropy, *, new: bool) -> bytes:
    if session is not None and session.version == _TLS_1_2:
        # RFC 5077 §3.4: with a ticket, an id by whose echo the client knows that it was accepted.
        return session.session_id or entropy.random(32)
    # RFC 9846 §4.2.2: non-empty in compatibility mode, and unpredictable.
    return entropy.random(32) if new and config.middlebox_compatibility else b""


def _pre_shared_key(session: Session, now: float) -> OfferedPsks:
    """The one key that is offered, with zeros in the place of its binder."""
    binder = bytes(SUITES[session.suite].hash_length)
    return OfferedPsks(((session.ticket, session.obfuscated_age(now)),), (binder,))


def _split(extensions: Extensions, binders_size: int) -> tuple[Extensions, Extensions]:
    """The extensions, and pre_shared_key on its own where there is one."""
    return (extensions[:-1], extensions[-1:]) if binders_size else (extensions, ())


def check_solicited(extensions: Extensions, offered: Collection[int]) -> None:
    """Raise UnsupportedExtension for an answer to an extension that is not among the `offered` types."""
    for code, _ in extensions:
        if code not in offered:
            # RFC 9846 §4.3: MUST abort the handshake with "unsupported_extension". RFC 8701 §3.1: so MUST a
            # client that is answered with a reserved value it sent; those are never among `offered`.
            name = name_of(ExtensionType, code).lower()
            raise UnsupportedExtension(f"an answer to {name}, which was not offered")


def chosen_protocol(config: ClientConfig, protocol: bytes) -> str:
    """The application protocol that the server chose; raises IllegalParameter for one not offered."""
    for offered in config.alpn_protocols:
        if offered.encode() == protocol:
            return offered
    # RFC 7301 §3.2: a protocol that the client did not offer; RFC 9846 §6.2 has "illegal_parameter".
    raise IllegalParameter(f"the server chose the protocol {protocol!r}, which was not offered")


@lru_cache(maxsize=128)
def key_share_groups(
    groups: tuple[NamedGroup, ...], wanted: tuple[NamedGroup, ...] | None
) -> tuple[NamedGroup, ...]:
    """The groups to send shares of, in the order of `groups` (RFC 9846 §4.3.8)."""
    if wanted is None:
        wanted = (groups[0], NamedGroup.x25519)
    return tuple(group for group in groups if group in wanted)


class _Grease:
    """Reserved values and places for them, drawn from random bytes (RFC 8701 §3.1)."""

    __slots__ = ("_dice",)

    def __init__(self, random: bytes) -> None:
        self._dice = iter(random)

    def value(self, unlike: int | None = None) -> int:
        value = GREASE[next(self._dice) % 16]
        return value if value != unlike else GREASE[(GREASE.index(value) + 1) % 16]

    def into(self, values: tuple[_T, ...], value: _T) -> tuple[_T, ...]:
        at = next(self._dice) % (len(values) + 1)
        return (*values[:at], value, *values[at:])

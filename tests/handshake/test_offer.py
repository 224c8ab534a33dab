"""What a client offers."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.support.engine import BOTH, HOST, ONLY_1_2, TLS_1_2, TLS_1_3, client_config
from tlswrite.config import Mode
from tlswrite.crypto.groups import KeyShare, generate
from tlswrite.crypto.signatures import CERT_SCHEMES, DEFAULT_SCHEMES
from tlswrite.crypto.signatures12 import PKCS1_SCHEMES
from tlswrite.crypto.suites import DEFAULT_SUITES, SUITES, TLS12_SUITES, TLS13_SUITES
from tlswrite.errors import ConfigurationError, IllegalParameter, UnsupportedExtension
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import Offer, check_solicited, key_share_groups, make_offer
from tlswrite.iana import GREASE, CipherSuite, ExtensionType, NamedGroup
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.hello import ClientHello

SUITE = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]

RESERVED = frozenset(GREASE)
GROUPS = (NamedGroup.X25519MLKEM768, NamedGroup.x25519, NamedGroup.secp256r1)


class Dice:
    """Entropy whose bytes come from a seed: the same shape each time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).randbytes

    def generate(self, group: int) -> KeyShare:
        return generate(group)

    def respond(self, group: int, client_public: bytes) -> tuple[bytes, bytes]:
        raise NotImplementedError

    def sign(self, private_key: Any, scheme: int, data: bytes) -> bytes:
        raise NotImplementedError


def plain(**fields: Any) -> Offer:
    return make_offer(client_config(grease=False, **fields), HOST, SYSTEM)


def data(offer: Offer, extension: int) -> bytes:
    found = offer.hello.extension(extension)
    assert found is not None
    return found


# ---- the first ClientHello --------------------------------------------------------------------------


def test_a_plain_offer_says_what_the_configuration_says() -> None:
    offer = plain(
        groups=GROUPS, alpn_protocols=("h2", "http/1.1"), post_handshake_auth=True, record_size_limit=99
    )
    hello = offer.hello
    assert ClientHello.parse(offer.message[4:]) == hello
    # RFC 9846 §4.2.2.
    assert (hello.legacy_version, hello.compression_methods) == (0x0303, b"\0")
    assert hello.cipher_suites == tuple(CipherSuite)[1:4]
    assert [code for code, _ in hello.extensions] == [
        ExtensionType.SERVER_NAME,
        ExtensionType.STATUS_REQUEST,
        ExtensionType.SUPPORTED_GROUPS,
        ExtensionType.SIGNATURE_ALGORITHMS,
        ExtensionType.SIGNATURE_ALGORITHMS_CERT,
        ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
        ExtensionType.RECORD_SIZE_LIMIT,
        ExtensionType.POST_HANDSHAKE_AUTH,
        ExtensionType.SUPPORTED_VERSIONS,
        ExtensionType.KEY_SHARE,
    ]
    assert offer.extension_types == {code for code, _ in hello.extensions}
    assert ext.parse_server_name(data(offer, ExtensionType.SERVER_NAME)) == HOST == offer.server_name
    # RFC 6066 §8: of any responder, and nothing in particular.
    assert ext.parse_status_request(data(offer, ExtensionType.STATUS_REQUEST)) == ((), b"")
    assert ext.parse_supported_groups(data(offer, ExtensionType.SUPPORTED_GROUPS)) == GROUPS
    schemes = ext.parse_signature_algorithms(data(offer, ExtensionType.SIGNATURE_ALGORITHMS))
    assert schemes == DEFAULT_SCHEMES
    # RFC 9846 §4.3.3: RSASSA-PKCS1-v1_5 for certificates alone.
    for_certificates = data(offer, ExtensionType.SIGNATURE_ALGORITHMS_CERT)
    assert ext.parse_signature_algorithms(for_certificates) == CERT_SCHEMES
    protocols = data(offer, ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION)
    assert ext.parse_alpn(protocols) == (b"h2", b"http/1.1")
    assert ext.parse_record_size_limit(data(offer, ExtensionType.RECORD_SIZE_LIMIT)) == 99
    versions = data(offer, ExtensionType.SUPPORTED_VERSIONS)
    assert ext.parse_supported_versions_client(versions) == (0x0304,)
    shares = dict(ext.parse_key_share_client(data(offer, ExtensionType.KEY_SHARE)))
    assert shares == {group: share.public for group, share in offer.shares.items()}
    assert list(shares) == [NamedGroup.X25519MLKEM768, NamedGroup.x25519]
    assert "secret" not in repr(offer) and "private" not in repr(offer).lower()


def test_the_offers_of_one_configuration_do_not_mix() -> None:
    # What they have in common is kept with the configuration: each kind of offer again, in any order.
    config = client_config(grease=False, minimum_version=TLS_1_2, maximum_version=TLS_1_3, session_cache=None)
    kinds: list[tuple[str | None, bytes | None]] = [
        (HOST, None),
        (None, None),
        (HOST, b"v" * 12),
        (HOST, b""),
    ]

    def shape(hostname: str | None, info: bytes | None, fresh: bool) -> list[tuple[int, bytes]]:
        used = replace(config, grease=False) if fresh else config
        hello = make_offer(used, hostname, SYSTEM, info).hello
        varying = ExtensionType.KEY_SHARE
        return [(code, b"" if code == varying else content) for code, content in hello.extensions]

    alone = [shape(*kind, True) for kind in kinds]
    assert len({tuple(each) for each in alone}) == 4
    for _ in range(2):
        assert [shape(*kind, False) for kind in kinds] == alone


def test_what_was_not_configured_is_not_sent() -> None:
    offer = make_offer(client_config(grease=False), None, SYSTEM)
    for extension in (
        ExtensionType.SERVER_NAME,
        ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
        ExtensionType.POST_HANDSHAKE_AUTH,
    ):
        assert extension not in offer.extension_types
    # RFC 8449 §4: advertised all the same.
    assert data(offer, ExtensionType.RECORD_SIZE_LIMIT) == b"\x40\x01"


@pytest.mark.parametrize(
    ("hostname", "sent"),
    [
        # RFC 6066 §3: A-labels, without a trailing dot; no literal addresses.
        ("example.org", "example.org"),
        ("example.org.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("127.0.0.1", None),
        ("::1", None),
        (None, None),
    ],
)
def test_server_names(hostname: str | None, sent: str | None) -> None:
    offer = make_offer(client_config(), hostname, SYSTEM)
    assert offer.server_name == sent
    assert (ExtensionType.SERVER_NAME in offer.extension_types) == (sent is not None)


@pytest.mark.parametrize("hostname", ["", "a b", "a..b", "x" * 64, "http://example.org/"])
def test_names_that_are_none(hostname: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a host name nor an"):
        make_offer(client_config(), hostname, SYSTEM)


@pytest.mark.parametrize(
    ("groups", "wanted", "expected"),
    [
        (GROUPS, None, GROUPS[:2]),
        (GROUPS[1:], None, GROUPS[1:2]),
        (GROUPS[2:], None, GROUPS[2:]),
        (GROUPS, (), ()),
        # RFC 9846 §4.3.8: in the order of supported_groups.
        (GROUPS, (GROUPS[2], GROUPS[0]), (GROUPS[0], GROUPS[2])),
    ],
)
def test_groups_of_the_key_shares(groups: Any, wanted: Any, expected: Any) -> None:
    assert key_share_groups(groups, wanted) == expected


def test_key_shares_are_fresh() -> None:
    # RFC 9846 §4.3.8: MUST NOT reuse a key share for multiple connections.
    assert data(plain(), ExtensionType.KEY_SHARE) != data(plain(), ExtensionType.KEY_SHARE)
    assert plain().hello.random != plain().hello.random


# ---- GREASE -----------------------------------------------------------------------------------------


def greased(seed: int) -> Offer:
    config = client_config(groups=GROUPS, key_shares=(NamedGroup.x25519,), alpn_protocols=("h2", "h3"))
    return make_offer(config, HOST, Dice(seed))


@pytest.mark.parametrize("seed", range(40))
def test_grease_is_where_rfc_8701_has_it_and_takes_nothing_away(seed: int) -> None:
    # RFC 8701 §3.1.
    offer = greased(seed)
    hello = ClientHello.parse(offer.message[4:])
    groups = ext.parse_supported_groups(data(offer, ExtensionType.SUPPORTED_GROUPS))
    shares = ext.parse_key_share_client(data(offer, ExtensionType.KEY_SHARE))
    schemes = ext.parse_signature_algorithms(data(offer, ExtensionType.SIGNATURE_ALGORITHMS))
    versions = ext.parse_supported_versions_client(data(offer, ExtensionType.SUPPORTED_VERSIONS))
    for values, real in (
        (hello.cipher_suites, tuple(CipherSuite)[1:4]),
        (groups, GROUPS),
        (schemes, DEFAULT_SCHEMES),
        (versions, (0x0304,)),
        ([group for group, _ in shares], (NamedGroup.x25519,)),
    ):
        assert len(RESERVED.intersection(values)) == 1
        assert tuple(value for value in values if value not in RESERVED) == real
    # RFC 9846 §4.3.8: the shares are in the order of the groups.
    assert [group for group, _ in shares] == [group for group in groups if group in dict(shares)]
    protocols = ext.parse_alpn(data(offer, ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION))
    unreal = [name for name in protocols if name not in (b"h2", b"h3")]
    assert len(unreal) == 1 and int.from_bytes(unreal[0], "big") in RESERVED
    codes = [code for code, _ in hello.extensions]
    reserved = [(code, content) for code, content in hello.extensions if code in RESERVED]
    assert len({code for code, _ in reserved}) == 2
    assert sorted(len(content) for _, content in reserved) == [0, 1]
    assert codes[-1] not in RESERVED
    assert not RESERVED & offer.extension_types
    assert offer.extension_types == set(codes) - RESERVED


def test_values_and_places_of_grease_are_drawn_anew() -> None:
    suites: Counter[int] = Counter()
    places: Counter[int] = Counter()
    for seed in range(200):
        hello = greased(seed * 7919).hello
        value = next(suite for suite in hello.cipher_suites if suite in RESERVED)
        suites[value] += 1
        places[hello.cipher_suites.index(value)] += 1
    assert len(suites) == 16
    assert set(places) == {0, 1, 2, 3}


def test_there_is_randomness_for_every_draw() -> None:
    # The dice run out with a StopIteration when a draw is added and no byte for it.
    for seed in range(300):
        greased(seed)


# ---- the second ClientHello ------------------------------------------------------------------------


def test_a_retry_changes_what_was_asked_for_alone() -> None:
    # RFC 9846 §4.2.2.
    offer = greased(1)
    again = offer.retry(SUITE, NamedGroup.secp256r1, b"cookie", SYSTEM)
    assert list(again.shares) == [NamedGroup.secp256r1]
    changed = dict(again.hello.extensions)
    assert changed.pop(ExtensionType.COOKIE) == b"\0\6cookie"
    shares = ext.parse_key_share_client(changed.pop(ExtensionType.KEY_SHARE))
    assert shares == ((NamedGroup.secp256r1, again.shares[NamedGroup.secp256r1].public),)
    before = dict(offer.hello.extensions)
    del before[ExtensionType.KEY_SHARE]
    assert changed == before
    assert ClientHello.parse(again.message[4:]) == again.hello
    assert (again.hello.random, again.hello.session_id) == (offer.hello.random, offer.hello.session_id)
    assert again.extension_types == offer.extension_types


def test_a_retry_for_a_cookie_keeps_the_shares() -> None:
    offer = plain()
    again = offer.retry(SUITE, None, b"c", SYSTEM)
    assert again.shares is offer.shares
    assert again.hello.extensions == (*offer.hello.extensions, (ExtensionType.COOKIE, b"\0\1c"))


@pytest.mark.parametrize("group", [None, NamedGroup.x25519, NamedGroup.secp521r1, GREASE[0]])
def test_retries_that_must_not_be_followed(group: int | None) -> None:
    with pytest.raises(IllegalParameter):
        greased(1).retry(SUITE, group, None, SYSTEM)


def test_a_cookie_that_does_not_fit_is_the_servers_fault() -> None:
    with pytest.raises(IllegalParameter, match="too large to be returned"):
        plain().retry(SUITE, None, bytes(65530), SYSTEM)


def test_answers_must_have_been_asked_for() -> None:
    # RFC 9846 §4.3: "unsupported_extension".
    check_solicited(((0, b""), (16, b"")), (0, 16))
    with pytest.raises(UnsupportedExtension, match="server_name"):
        check_solicited(((16, b""), (0, b"")), (16,))


# ---- TLS 1.2 ------------------------------------------------------------------------------------------

E = ExtensionType
#: What TLS 1.2 alone answers, and what TLS 1.3 alone does.
OLD = (E.EXTENDED_MAIN_SECRET, E.RENEGOTIATION_INFO, E.EC_POINT_FORMATS)
NEW = (E.SUPPORTED_VERSIONS, E.KEY_SHARE)
SHARED = (
    E.SERVER_NAME,
    E.STATUS_REQUEST,
    E.SUPPORTED_GROUPS,
    E.SIGNATURE_ALGORITHMS,
    E.SIGNATURE_ALGORITHMS_CERT,
    E.RECORD_SIZE_LIMIT,
)
MIXED = (NamedGroup.X25519MLKEM768, NamedGroup.x25519, NamedGroup.secp256r1)


@pytest.mark.parametrize(
    ("fields", "extensions", "suites"),
    [
        (BOTH, {*SHARED, *OLD, *NEW}, DEFAULT_SUITES),
        (ONLY_1_2, {*SHARED, *OLD}, TLS12_SUITES),
        ({}, {*SHARED, *NEW}, TLS13_SUITES),
    ],
    ids=["both", "1.2", "1.3"],
)
def test_extensions_and_suites_are_those_of_the_versions(
    fields: dict[str, Any], extensions: set[int], suites: tuple[int, ...]
) -> None:
    offer = plain(**fields)
    hello = offer.hello
    assert {code for code, _ in hello.extensions} == extensions == offer.extension_types
    assert hello.cipher_suites == suites
    # RFC 5246 §7.4.1.2, RFC 9846 §4.2.2.
    assert (hello.legacy_version, hello.compression_methods) == (0x0303, b"\0")
    assert ClientHello.parse(offer.message[4:]) == hello


def test_both_versions_are_named_the_highest_first() -> None:
    versions = data(plain(**BOTH), E.SUPPORTED_VERSIONS)
    assert ext.parse_supported_versions_client(versions) == (0x0304, 0x0303)
    # RFC 9846 §4.3.1: without the extension it is legacy_version that says TLS 1.2.
    assert plain(**ONLY_1_2).hello.extension(E.SUPPORTED_VERSIONS) is None


@pytest.mark.parametrize("fields", [BOTH, ONLY_1_2], ids=["both", "1.2"])
def test_what_tls_1_2_asks_of_every_hello(fields: dict[str, Any]) -> None:
    offer = plain(**fields)
    # RFC 7627 §5.1: extension_data is empty.
    assert data(offer, E.EXTENDED_MAIN_SECRET) == b""
    # RFC 5746 §3.4: empty, or the signalling suite, and not both needed.
    assert ext12.parse_renegotiation_info(data(offer, E.RENEGOTIATION_INFO)) == b""
    assert CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV not in offer.hello.cipher_suites
    # RFC 8422 §5.1.2: uncompressed(0) MUST be listed; no other is known here.
    assert ext12.parse_ec_point_formats(data(offer, E.EC_POINT_FORMATS)) == (0,)


def test_groups_and_schemes_are_those_of_the_versions() -> None:
    groups = {
        name: ext.parse_supported_groups(data(plain(groups=MIXED, **fields), E.SUPPORTED_GROUPS))
        for name, fields in (
            ("both", {"minimum_version": TLS_1_2}),
            ("old", {"minimum_version": TLS_1_2, "maximum_version": TLS_1_2}),
            ("new", {"minimum_version": TLS_1_3}),
        )
    }
    # RFC 8422 §5.1.1 has no groups with a post-quantum part.
    assert groups == {"both": MIXED, "old": MIXED[1:], "new": MIXED}
    schemes = {
        name: ext.parse_signature_algorithms(data(plain(**fields), E.SIGNATURE_ALGORITHMS))
        for name, fields in (("both", BOTH), ("old", ONLY_1_2), ("new", {}))
    }
    # RFC 9846 §4.3.3: RSASSA-PKCS1-v1_5 is offered where TLS 1.2 may be negotiated, behind the others.
    assert schemes["both"] == schemes["old"] == (*DEFAULT_SCHEMES, *PKCS1_SCHEMES)
    assert schemes["new"] == DEFAULT_SCHEMES


def test_a_hello_for_tls_1_2_alone_carries_nothing_of_tls_1_3() -> None:
    offer = plain(post_handshake_auth=True, key_shares=(NamedGroup.x25519,), **ONLY_1_2)
    assert offer.shares == {}
    assert E.POST_HANDSHAKE_AUTH not in offer.extension_types
    # RFC 9846 §E.4: the session id of compatibility mode is TLS 1.3's.
    assert offer.hello.session_id == b""
    assert len(plain(**BOTH).hello.session_id) == 32
    assert plain(middlebox_compatibility=False, **BOTH).hello.session_id == b""


def test_suites_of_a_version_that_is_left_out_are_not_offered() -> None:
    mixed = (TLS12_SUITES[1], TLS13_SUITES[0], TLS12_SUITES[0])
    assert plain(cipher_suites=mixed, **BOTH).hello.cipher_suites == mixed
    assert plain(cipher_suites=mixed, **ONLY_1_2).hello.cipher_suites == (mixed[0], mixed[2])
    assert plain(cipher_suites=mixed).hello.cipher_suites == mixed[1:2]


@pytest.mark.parametrize("fields", [BOTH, ONLY_1_2, {}], ids=["both", "1.2", "1.3"])
def test_the_fallback_signal(fields: dict[str, Any]) -> None:
    # RFC 7507 §4: behind the suites that the client means; never in a renegotiation, which is no fallback.
    config = client_config(grease=False, mode=Mode.SEND_FALLBACK_SCSV, **fields)
    suites = make_offer(config, HOST, SYSTEM).hello.cipher_suites
    assert suites[-1] == CipherSuite.TLS_FALLBACK_SCSV
    assert suites[:-1] == plain(**fields).hello.cipher_suites
    assert CipherSuite.TLS_FALLBACK_SCSV not in plain(**fields).hello.cipher_suites


def test_a_renegotiating_hello() -> None:
    # RFC 5746 §3.5: renegotiation_info holds the client's verify_data; the version stays what it is.
    config = client_config(grease=False, mode=Mode.SEND_FALLBACK_SCSV, groups=MIXED, **BOTH)
    offer = make_offer(config, HOST, SYSTEM, b"verify data!")
    hello = offer.hello
    assert ext12.parse_renegotiation_info(data(offer, E.RENEGOTIATION_INFO)) == b"verify data!"
    assert hello.cipher_suites == TLS12_SUITES
    assert not {*NEW} & offer.extension_types
    # RFC 7627 §5.2: in every hello.
    assert E.EXTENDED_MAIN_SECRET in offer.extension_types
    assert (hello.session_id, offer.shares, offer.groups) == (b"", {}, MIXED[1:])


@pytest.mark.parametrize("fields", [BOTH, ONLY_1_2, {}], ids=["both", "1.2", "1.3"])
@pytest.mark.parametrize("length", [512, 4096])
def test_max_fragment_length_is_offered_in_every_version(fields: dict[str, Any], length: int) -> None:
    # RFC 6066 §4; RFC 8449 §5: beside record_size_limit, which goes first where a server knows it.
    offer = plain(max_fragment_length=length, **fields)
    assert ext12.parse_max_fragment_length(data(offer, E.MAX_FRAGMENT_LENGTH)) == length
    assert E.RECORD_SIZE_LIMIT in offer.extension_types
    assert E.MAX_FRAGMENT_LENGTH not in plain(**fields).extension_types


@pytest.mark.parametrize("seed", range(20))
def test_grease_in_a_hello_for_tls_1_2(seed: int) -> None:
    # RFC 8701 §3.1: reserved values in the lists of both versions; what is meant remains in its order.
    for fields in (BOTH, ONLY_1_2):
        offer = make_offer(client_config(**fields), HOST, Dice(seed))
        hello = offer.hello
        meant = plain(**fields).hello
        assert tuple(each for each in hello.cipher_suites if each not in RESERVED) == meant.cipher_suites
        assert len(hello.cipher_suites) == len(meant.cipher_suites) + 1
        codes = [code for code, _ in hello.extensions]
        assert [code for code in codes if code not in RESERVED] == [code for code, _ in meant.extensions]
        assert len(codes) == len(meant.extensions) + 2
        assert not RESERVED & offer.extension_types

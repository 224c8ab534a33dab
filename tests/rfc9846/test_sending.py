"""The rules for senders: hellos, records, compatibility mode, padding, key shares."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import anchors, client, client_config, credentials, server
from tests.support.hostile import APPLICATION, CCS, HANDSHAKE, PLAIN, Hostile, HostileClient, HostileServer
from tests.support.pump import take
from tests.support.records import split
from tests.support.verdicts import connected
from tlswrite.connection import TLSConnection
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.groups import DEFAULT_GROUPS
from tlswrite.crypto.suites import TLS13_SUITES
from tlswrite.errors import WantReadError
from tlswrite.iana import (
    GREASE,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from tlswrite.limits import MAX_PLAINTEXT
from tlswrite.messages import extensions as ext
from tlswrite.messages.extensions import ALLOWED, Place
from tlswrite.messages.hello import ClientHello

E = ExtensionType
S = SignatureScheme
SPEC = ContentType.CHANGE_CIPHER_SPEC


def hello_of(connection: TLSConnection) -> ClientHello:
    connection.start_handshake()
    return ClientHello.parse(b"".join(record[5:] for record in split(take(connection)))[4:])


def defaults(**fields: Any) -> TLSConnection:
    return client(**{"groups": DEFAULT_GROUPS, "alpn_protocols": ("h2", "http/1.1"), **fields})


# ---- ClientHello -----------------------------------------------------------------------------------------


def test_the_fields_of_a_client_hello() -> None:
    hello = hello_of(defaults())
    # RFC 9846 §4.2.2: legacy_version MUST be 0x0303; exactly one byte of compression, zero; in compatibility
    # mode a new session id of 32 bytes.
    assert (hello.legacy_version, hello.compression_methods, len(hello.session_id)) == (0x0303, b"\0", 32)
    # RFC 9846 §9.2: supported_versions with 0x0304; with it supported_groups, signature_algorithms,
    # key_share.
    offered = dict(hello.extensions)
    assert 0x0304 in ext.parse_supported_versions_client(offered[E.SUPPORTED_VERSIONS])
    assert {E.SUPPORTED_GROUPS, E.SIGNATURE_ALGORITHMS, E.KEY_SHARE} <= offered.keys()
    # RFC 9846 §4.3: each once, and none that is for other messages.
    assert len(offered) == len(hello.extensions)
    assert all(Place.CH in ALLOWED[E(code)] for code in offered if code not in GREASE)
    # RFC 9846 §4.3.2, §4.3.9, §4.3.11: no cookie from before; no PSK, so no modes.
    assert not {E.COOKIE, E.PRE_SHARED_KEY, E.PSK_KEY_EXCHANGE_MODES, E.EARLY_DATA} & offered.keys()


def test_nothing_old_is_offered() -> None:
    hello = hello_of(defaults(grease=False))
    # RFC 9846 §4.3.1: all versions it is prepared to negotiate, and §E.5: none that MUST NOT be; RC4, export
    # and weak ciphers neither.
    assert ext.parse_supported_versions_client(dict(hello.extensions)[E.SUPPORTED_VERSIONS]) == (0x0304,)
    assert set(hello.cipher_suites) <= set(CipherSuite)
    assert all(0x1301 <= suite <= 0x1305 for suite in hello.cipher_suites)
    # RFC 9846 §4.3.3: MD5, SHA-224 and DSA MUST NOT be offered; SHA-1 is not either.
    for code in (E.SIGNATURE_ALGORITHMS, E.SIGNATURE_ALGORITHMS_CERT):
        schemes = ext.parse_signature_algorithms(dict(hello.extensions)[code])
        assert all(scheme in list(S) for scheme in schemes)
        assert not {S.rsa_pkcs1_sha1, S.ecdsa_sha1} & set(schemes)
    # RFC 9846 §E.5: truncated_hmac MUST NOT be used.
    assert 4 not in dict(hello.extensions)


def test_what_is_offered_is_supported() -> None:
    # RFC 9846 §9.1: mandatory to implement; §9.3: MUST support all non-GREASE parameters that are advertised.
    hello = hello_of(defaults())
    offered = dict(hello.extensions)
    assert CipherSuite.TLS_AES_128_GCM_SHA256 in hello.cipher_suites
    groups = ext.parse_supported_groups(offered[E.SUPPORTED_GROUPS])
    assert {NamedGroup.secp256r1, NamedGroup.x25519} <= set(groups)
    schemes = ext.parse_signature_algorithms(offered[E.SIGNATURE_ALGORITHMS])
    assert {S.rsa_pss_rsae_sha256, S.ecdsa_secp256r1_sha256} <= set(schemes)
    assert S.rsa_pkcs1_sha256 in ext.parse_signature_algorithms(offered[E.SIGNATURE_ALGORITHMS_CERT])
    for suite in [suite for suite in hello.cipher_suites if suite not in GREASE]:
        hostile = HostileServer(client(), suite=suite)
        hostile.run()
        connected(hostile)
    for group in [group for group in groups if group not in GREASE]:
        hostile = HostileServer(client(groups=(NamedGroup(group),)), group=group)
        hostile.run()
        connected(hostile)


@pytest.mark.parametrize("key_shares", [None, DEFAULT_GROUPS, DEFAULT_GROUPS[::-1], ()])
def test_shares(key_shares: tuple[NamedGroup, ...] | None) -> None:
    # RFC 9846 §4.3.8: of groups that are listed, in the same order, one each; none is reused, neither on
    # another connection nor in a hybrid beside it.
    seen: set[bytes] = set()
    for _ in range(3):
        offered = dict(hello_of(defaults(key_shares=key_shares)).extensions)
        groups = ext.parse_supported_groups(offered[E.SUPPORTED_GROUPS])
        shares = ext.parse_key_share_client(offered[E.KEY_SHARE])
        assert len(set(groups)) == len(groups)
        places = [groups.index(group) for group, _ in shares]
        assert places == sorted(places)
        for group, share in shares:
            if group in GREASE:
                continue
            parts = {share, share[-32:], share[:65]}
            assert not parts & seen
            seen |= parts
        wanted = {DEFAULT_GROUPS[0], NamedGroup.x25519} if key_shares is None else set(key_shares)
        assert {group for group, _ in shares if group not in GREASE} == wanted


def test_what_differs_from_connection_to_connection() -> None:
    hellos = [hello_of(defaults()) for _ in range(8)]
    assert len({hello.random for hello in hellos}) == len({hello.session_id for hello in hellos}) == 8
    # RFC 8701 §3.1: values and places are drawn anew.
    assert len({hello.cipher_suites for hello in hellos}) > 1


def test_grease_is_where_it_may_be() -> None:
    # RFC 8701 §3.1: suites, extensions, groups, schemes, versions, ALPN; a share with it one.
    for _ in range(20):
        hello = hello_of(defaults())
        offered = dict(hello.extensions)
        groups = ext.parse_supported_groups(offered[E.SUPPORTED_GROUPS])
        assert set(GREASE) & set(hello.cipher_suites)
        assert set(GREASE) & set(groups)
        assert set(GREASE) & set(ext.parse_signature_algorithms(offered[E.SIGNATURE_ALGORITHMS]))
        assert set(GREASE) & set(ext.parse_supported_versions_client(offered[E.SUPPORTED_VERSIONS]))
        protocols = ext.parse_alpn(offered[E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION])
        assert {value.to_bytes(2, "big") for value in GREASE} & set(protocols)
        reserved = [code for code in offered if code in GREASE]
        # RFC 8701 §3.1: extensions of two types, so none stands twice.
        assert len(reserved) == 2 and sorted(len(offered[code]) for code in reserved) == [0, 1]
        shares = dict(ext.parse_key_share_client(offered[E.KEY_SHARE]))
        assert [group for group in shares if group in GREASE] == [
            group for group in groups if group in GREASE
        ]
    plain = hello_of(defaults(grease=False))
    assert not set(GREASE) & (set(plain.cipher_suites) | dict(plain.extensions).keys())


def test_grease_stays_the_same_in_the_second_hello() -> None:
    # RFC 8701 §3.1, RFC 9846 §4.2.2.
    victim = client(groups=(NamedGroup.x25519, NamedGroup.secp256r1), key_shares=(NamedGroup.x25519,))
    hostile = HostileServer(victim, group=NamedGroup.secp256r1, retry=((E.KEY_SHARE, b"\0\x17"),))
    hostile.run()
    connected(hostile)
    first, second = hostile.heard(HandshakeType.CLIENT_HELLO)
    for code in [code for code, _ in first.extensions if code in GREASE]:
        assert first.extension(code) == second.extension(code)
    assert not [g for g, _ in ext.parse_key_share_client(second.extension(E.KEY_SHARE)) if g in GREASE]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
        (None, None),
    ],
)
def test_names(name: str | None, sent: str | None) -> None:
    # RFC 6066 §3: A-labels, no trailing dot, no literal addresses; RFC 9846 §9.2: MUST be sent where
    # applicable.
    config = client_config(check_hostname=name is not None)
    data = hello_of(TLSConnection(config, server_hostname=name)).extension(E.SERVER_NAME)
    assert (None if data is None else ext.parse_server_name(data)) == sent


# ---- records ---------------------------------------------------------------------------------------------


def wire(hostile: Hostile) -> Callable[[], list[bytes]]:
    """Keeps the records of the victim as they are on the wire."""
    kept: list[bytes] = []
    bio_read = hostile.victim.bio_read

    def reading(size: int) -> bytes:
        data = bio_read(size)
        kept.append(data)
        return data

    hostile.end.connection = _Tapped(hostile.victim, reading)
    return lambda: split(b"".join(kept))


class _Tapped:
    """A connection whose output is overheard."""

    def __init__(self, connection: TLSConnection, bio_read: Callable[[int], bytes]) -> None:
        self._connection = connection
        self.bio_read = bio_read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_the_versions_of_records() -> None:
    # RFC 9846 §5.1: an initial ClientHello in 0x0301; MUST be 0x0303 in all other records, a second one's
    # too.
    victim = client(groups=(NamedGroup.x25519, NamedGroup.secp256r1), key_shares=(NamedGroup.x25519,))
    victim.start_handshake()
    assert split(take(victim))[0][1:3] == b"\3\1"
    for hostile in (
        HostileServer(
            client(groups=(NamedGroup.x25519, NamedGroup.secp256r1), key_shares=(NamedGroup.x25519,)),
            group=NamedGroup.secp256r1,
            retry=((E.KEY_SHARE, b"\0\x17"),),
        ),
        HostileClient(server(groups=(NamedGroup.secp256r1,)), offered=(NamedGroup.secp256r1,), shared=()),
    ):
        records = wire(hostile)
        hostile.run()
        connected(hostile)
        hostile.victim.shutdown()
        hostile.listen()
        assert {record[1:3] for record in records()} == {b"\3\3"}
        # RFC 9846 §5.2: opaque_type is 23 wherever there is protection.
        kinds = [record[0] for record in records()]
        protected = kinds.index(ContentType.APPLICATION_DATA)
        assert set(kinds[protected:]) == {ContentType.APPLICATION_DATA}


def test_no_data_before_the_handshake() -> None:
    # RFC 9846 §5.1: Application Data MUST NOT be written unprotected; §4.5.3: nor before the peer's Finished.
    for hostile in (HostileServer(client()), HostileClient(server())):
        for step in hostile.STEPS:
            with pytest.raises(WantReadError):
                hostile.victim.write(b"too early")
            hostile.step(step)
        hostile.flush()
        assert ContentType.APPLICATION_DATA not in [record.content_type for record in hostile.records]
        connected(hostile)


def test_messages_and_their_records() -> None:
    # RFC 9846 §5.1: ServerHello, Finished and KeyUpdate end with their record; no empty fragments.
    for hostile in (HostileServer(client()), HostileClient(server())):
        hostile.run()
        hostile.victim.key_update()
        hostile.listen()
        connected(hostile)
        assert all(record.content for record in hostile.records)
        ends = {b"".join(hostile.messages)[: sum(map(len, hostile.messages[: i + 1]))] for i in range(9)}
        joined = b""
        for record in hostile.records:
            if record.content_type == ContentType.HANDSHAKE:
                joined += record.content
                before_change = record.content[0] in (HandshakeType.SERVER_HELLO, HandshakeType.KEY_UPDATE)
                assert joined in ends or not before_change
        assert hostile.messages[-1][0] == HandshakeType.KEY_UPDATE
        update = [r for r in hostile.records if r.content == hostile.messages[-1]]
        assert len(update) == 1


@pytest.mark.parametrize("compatible", [True, False])
@pytest.mark.parametrize("retry", [True, False])
def test_change_cipher_spec_of_a_client(compatible: bool, retry: bool) -> None:
    # RFC 9846 §E.4: immediately before its second flight, the second ClientHello or the encrypted one; once.
    victim = client(
        groups=(NamedGroup.x25519, NamedGroup.secp256r1),
        key_shares=(NamedGroup.x25519,),
        middlebox_compatibility=compatible,
    )
    more: dict[str, Any] = (
        {"group": NamedGroup.secp256r1, "retry": ((E.KEY_SHARE, b"\0\x17"),)} if retry else {}
    )
    hostile = HostileServer(victim, **more)
    hostile.run()
    connected(hostile)
    kinds = [(record.content_type, record.under) for record in hostile.records[:4]]
    hello, spec = (ContentType.HANDSHAKE, PLAIN), [(SPEC, PLAIN)] if compatible else []
    finished = (ContentType.HANDSHAKE, HANDSHAKE)
    expected = [hello, *spec, hello, finished] if retry else [hello, *spec, finished]
    assert kinds[: len(expected)] == expected
    assert len(hostile.hello.session_id) == (32 if compatible else 0)


def test_change_cipher_spec_of_a_server() -> None:
    # RFC 9846 §E.4: immediately after its first handshake message, for a client with a session id.
    for session_id in (b"", b"x"):
        for retry in (False, True):
            hostile = HostileClient(server(hello_retry_cookie=retry), session_id=session_id)
            hostile.run()
            connected(hostile)
            kinds = [record.content_type for record in hostile.records]
            assert kinds.count(CCS[0]) == len(session_id)
            assert not session_id or kinds[1] == SPEC


@pytest.fixture(scope="module")
def large() -> Credentials:
    """A chain of more than one record."""
    leaf = credentials()
    return Credentials(leaf.chain * 40, leaf.private_key, leaf.schemes, leaf.names)


def test_a_message_over_many_records(large: Credentials) -> None:
    # RFC 9846 §C.3: do you fragment handshake messages that exceed the maximum fragment size?
    hostile = HostileClient(server(credentials=(large,)))
    hostile.run()
    connected(hostile)
    sizes = [len(record.content) for record in hostile.records if record.under == HANDSHAKE]
    assert max(sizes) == MAX_PLAINTEXT and len(sizes) > 1
    (certificate,) = [message for message in hostile.messages if message[0] == HandshakeType.CERTIFICATE]
    assert len(certificate) > MAX_PLAINTEXT


@pytest.mark.parametrize(
    "padding", [16, 1000, 16384, lambda length: 10**9, lambda length: -5, lambda length: 3]
)
def test_padding(padding: int | Callable[[int], int]) -> None:
    # RFC 9846 §5.4: zeros, never beyond the size of a record; of all protected records.
    hostile = HostileServer(client(record_padding=padding))
    hostile.run()
    for size in (1, 999, 16384, 20_000):
        hostile.victim.write(bytes(size))
        hostile.listen()
    connected(hostile)
    sent = sum(len(r.content) for r in hostile.records if r.content_type == ContentType.APPLICATION_DATA)
    assert sent == 1 + 999 + 16384 + 20_000 + len(b"pong")


# ---- the server's answers --------------------------------------------------------------------------------


def test_a_server_answers_only_what_it_was_asked() -> None:
    # RFC 9846 §4.3: MUST NOT send extension responses if the remote endpoint did not send the request.
    hostile = HostileClient(server(alpn_protocols=("h2",), record_size_limit=2000, groups=DEFAULT_GROUPS[1:]))
    hostile.run()
    connected(hostile)
    assert hostile.heard(HandshakeType.ENCRYPTED_EXTENSIONS)[0].extensions == ()
    # RFC 9846 §4.5.1: nor in a Certificate.
    assert all(not entry.extensions for entry in hostile.heard(HandshakeType.CERTIFICATE)[0].entries)
    # RFC 9846 §4.7.1: tickets are for clients with suitable psk_key_exchange_modes.
    assert not hostile.heard(HandshakeType.NEW_SESSION_TICKET)


@pytest.mark.parametrize("ask", [False, True])
def test_the_order_of_a_servers_messages(ask: bool) -> None:
    # RFC 9846 §4.4.1: EncryptedExtensions immediately after ServerHello; §4.4.2: CertificateRequest behind
    # it; §4.5: the rest as the last messages of the flight, Finished at the end of all.
    victim = server(**({"verify_mode": ssl.CERT_OPTIONAL, "trust_anchors": anchors()} if ask else {}))
    hostile = HostileClient(victim)
    hostile.run()
    connected(hostile)
    request = [HandshakeType.CERTIFICATE_REQUEST] if ask else []
    assert [message[0] for message in hostile.messages] == [
        HandshakeType.SERVER_HELLO,
        HandshakeType.ENCRYPTED_EXTENSIONS,
        *request,
        HandshakeType.CERTIFICATE,
        HandshakeType.CERTIFICATE_VERIFY,
        HandshakeType.FINISHED,
    ]
    if ask:
        # RFC 9846 §4.4.2: signature_algorithms MUST be specified, the context is empty.
        (asked,) = hostile.heard(HandshakeType.CERTIFICATE_REQUEST)
        assert asked.request_context == b"" and asked.extension(E.SIGNATURE_ALGORITHMS)


def test_a_server_signs_with_a_scheme_that_was_offered() -> None:
    # RFC 9846 §4.5.2: MUST be one offered in signature_algorithms, and compatible with the key.
    hostile = HostileClient(server(credentials=tuple(credentials(kind) for kind in pki.key_types())))
    hostile.run()
    connected(hostile)
    assert hostile.heard(HandshakeType.CERTIFICATE_VERIFY)[0].scheme == S.ecdsa_secp256r1_sha256


def test_a_server_prefers_its_own_order() -> None:
    for suite in TLS13_SUITES:
        hostile = HostileClient(server(cipher_suites=(suite,)))
        hostile.edits = {"client_hello": lambda message: with_suites(message, TLS13_SUITES)}
        hostile.run()
        connected(hostile)
        assert hostile.victim.cipher() is not None and hostile.suite.id == suite


def with_suites(message: bytes, suites: tuple[int, ...]) -> bytes:
    hello = ClientHello.parse(message[4:])
    return ClientHello(hello.random, hello.session_id, suites, hello.extensions).encode()


def test_the_keys_of_both_directions_are_used_in_order() -> None:
    # RFC 9846 §5.3: sequence numbers from 0 under each key; hostile ends open strictly in order, so that a
    # nonce used twice, or left out, would show.
    hostile = HostileServer(client(key_update_records=5))
    hostile.run()
    total = 0
    for turn, size in enumerate((1, 5000, 16384, 16385, 3, 50_000, 0, 7)):
        hostile.victim.write(bytes(size))
        if turn % 3 == 0:
            hostile.victim.key_update()
        hostile.listen()
        total += size
    received = b"".join(
        record.content
        for record in hostile.records
        if record.content_type == ContentType.APPLICATION_DATA and record.under == APPLICATION
    )
    assert received == bytes(total)

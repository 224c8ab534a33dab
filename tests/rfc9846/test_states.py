"""§4: messages that the state does not allow, and messages that are not well-formed, on both sides.

Each is refused with the alert that the RFC names, under the keys of the moment.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from tests.support.edits import Edit, behind, dropped, instead, trailed, truncated, twice
from tests.support.engine import anchors, client, credentials, server
from tests.support.hostile import APPLICATION, HANDSHAKE, PLAIN, Hostile, HostileClient, HostileServer
from tests.support.verdicts import refused
from tlswrite.errors import BadRecordMAC, DecodeError, TLSError, UnexpectedMessage
from tlswrite.iana import ContentType, HandshakeType, NamedGroup
from tlswrite.limits import MAX_CERTIFICATE_MESSAGE, MAX_HANDSHAKE_MESSAGE
from tlswrite.messages import extensions as ext
from tlswrite.messages.framing import frame

CH, SH = HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO
EE, CR = HandshakeType.ENCRYPTED_EXTENSIONS, HandshakeType.CERTIFICATE_REQUEST
CT, CV = HandshakeType.CERTIFICATE, HandshakeType.CERTIFICATE_VERIFY
FIN, KU = HandshakeType.FINISHED, HandshakeType.KEY_UPDATE
NST = HandshakeType.NEW_SESSION_TICKET

#: All that are known, and some that are not: hello_request and two more of TLS 1.2, one of no version.
TYPES = sorted({0, 14, 16, 99, *HandshakeType})

RETRY = ((0x0033, ext.encode_key_share_hello_retry(NamedGroup.secp256r1)),)


def asking() -> HostileServer:
    return HostileServer(client(), ask=True)


def facing_client(*steps: str) -> Callable[[], Hostile]:
    def make() -> Hostile:
        hostile = asking() if "certificate_request" in steps else HostileServer(client())
        hostile.run(*steps) if steps else hostile.flush()
        return hostile

    return make


def facing_server(*steps: str, authenticate: bool = False, retry: bool = False) -> Callable[[], Hostile]:
    def make() -> Hostile:
        fields = {"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": anchors()} if authenticate else {}
        groups = (NamedGroup.x25519, NamedGroup.secp256r1)
        hostile = HostileClient(
            server(**fields, **({"groups": groups} if retry else {})),
            owner=credentials(client=True),
            offered=groups,
            shared=() if retry else (NamedGroup.x25519,),
        )
        hostile.run(*steps) if steps else hostile.flush()
        return hostile

    return make


#: State: how a hostile peer brings its victim there, what is legal in it, the key of the victim's alerts.
CLIENT_STATES = {
    "WAIT_SH": (facing_client(), {SH}, PLAIN),
    "WAIT_EE": (facing_client("server_hello"), {EE}, HANDSHAKE),
    "WAIT_CERT_CR": (facing_client("server_hello", "encrypted_extensions"), {CT, CR}, HANDSHAKE),
    "WAIT_CERT": (
        facing_client("server_hello", "encrypted_extensions", "certificate_request"),
        {CT},
        HANDSHAKE,
    ),
    "WAIT_CV": (facing_client("server_hello", "encrypted_extensions", "certificate"), {CV}, HANDSHAKE),
    "WAIT_FINISHED": (
        facing_client("server_hello", "encrypted_extensions", "certificate", "certificate_verify"),
        {FIN},
        HANDSHAKE,
    ),
    "CONNECTED": (facing_client(*HostileServer(client()).STEPS), {KU, NST}, APPLICATION),
}
SERVER_STATES = {
    "START": (facing_server(), {CH}, PLAIN),
    # The server that has sent a HelloRetryRequest.
    "START again": (facing_server("client_hello", retry=True), {CH}, PLAIN),
    "WAIT_CERT": (facing_server("client_hello", authenticate=True), {CT}, APPLICATION),
    "WAIT_CV": (facing_server("client_hello", "certificate", authenticate=True), {CV}, APPLICATION),
    "WAIT_FINISHED": (facing_server("client_hello"), {FIN}, APPLICATION),
    "CONNECTED": (facing_server("client_hello", "finished"), {KU}, APPLICATION),
}
STATES = [("client", *item) for item in CLIENT_STATES.items()] + [
    ("server", *item) for item in SERVER_STATES.items()
]
in_each_state = pytest.mark.parametrize(
    ("state", "make", "legal", "under"),
    [(state.split()[0], *rest) for _, state, rest in STATES],
    ids=[f"{side} {state}" for side, state, _ in STATES],
)


@in_each_state
@pytest.mark.parametrize("kind", TYPES)
def test_what_the_state_does_not_allow(
    kind: int, state: str, make: Callable[[], Hostile], legal: set[int], under: str
) -> None:
    # RFC 9846 §4: MUST abort the handshake with an "unexpected_message" alert. §4.7.3: a KeyUpdate before
    # Finished; §4.6: EndOfEarlyData to a client; §4.2.2: a ClientHello at any other time (no renegotiation);
    # §4.7.2: a CertificateRequest that was not offered to be answered: all the same alert.
    if kind in legal:
        return
    hostile = make()
    assert hostile.victim.state == state
    hostile.handshake(frame(kind, b"" if kind == HandshakeType.END_OF_EARLY_DATA else b"\0"))
    hostile.flush()
    refused(hostile, UnexpectedMessage, f"received in state {state}", under=under)


@in_each_state
def test_a_message_that_is_too_large_is_refused_by_its_header(
    state: str, make: Callable[[], Hostile], legal: set[int], under: str
) -> None:
    kind = sorted(legal)[0]
    limit = MAX_CERTIFICATE_MESSAGE if kind == CT else 1 if kind == KU else MAX_HANDSHAKE_MESSAGE
    hostile = make()
    hostile.record(ContentType.HANDSHAKE, bytes((kind,)) + (limit + 1).to_bytes(3, "big"))
    hostile.flush()
    refused(hostile, DecodeError, f"more than {limit}", under=under)


@in_each_state
def test_a_message_that_is_not_allowed_is_not_waited_for(
    state: str, make: Callable[[], Hostile], legal: set[int], under: str
) -> None:
    # A Certificate may have 256 KiB: not of a peer that has none to send.
    hostile = make()
    hostile.record(ContentType.HANDSHAKE, bytes((HandshakeType.MESSAGE_HASH, 0, 0, 32)))
    hostile.flush()
    if state == "CONNECTED":
        assert hostile.end.error is None
        hostile.record(ContentType.HANDSHAKE, bytes(32))
        hostile.flush()
    refused(hostile, UnexpectedMessage, f"message_hash received in state {state}", under=under)


# ---- one message more, one less, another order ------------------------------------------------------------

WHOLE = ("server_hello", "encrypted_extensions", "certificate_request", "certificate", "certificate_verify")


@pytest.mark.parametrize(
    ("name", "edit", "expected", "under"),
    [
        ("server_hello", dropped, UnexpectedMessage, PLAIN),
        ("encrypted_extensions", dropped, UnexpectedMessage, HANDSHAKE),
        ("certificate", dropped, UnexpectedMessage, HANDSHAKE),
        ("certificate_verify", dropped, UnexpectedMessage, HANDSHAKE),
        ("server_hello", twice, UnexpectedMessage, HANDSHAKE),
        ("encrypted_extensions", twice, UnexpectedMessage, HANDSHAKE),
        ("certificate_request", twice, UnexpectedMessage, HANDSHAKE),
        ("certificate", twice, UnexpectedMessage, HANDSHAKE),
        ("certificate_verify", twice, UnexpectedMessage, HANDSHAKE),
        # What comes second is under a key that is no more.
        ("finished", twice, BadRecordMAC, APPLICATION),
    ],
)
def test_a_servers_message_is_dropped_or_said_twice(
    name: str, edit: Edit, expected: type[TLSError], under: str
) -> None:
    hostile = asking()
    hostile.edits = {name: edit}
    hostile.run()
    refused(hostile, expected, under=under)


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        ("certificate", dropped, UnexpectedMessage),
        ("certificate_verify", dropped, UnexpectedMessage),
        ("client_hello", twice, UnexpectedMessage),
        ("certificate", twice, UnexpectedMessage),
        ("certificate_verify", twice, UnexpectedMessage),
        ("finished", twice, BadRecordMAC),
    ],
)
def test_a_clients_message_is_dropped_or_said_twice(name: str, edit: Edit, expected: type[TLSError]) -> None:
    hostile = facing_server(authenticate=True)()
    assert isinstance(hostile, HostileClient)
    hostile.edits = {name: edit}
    hostile.run()
    refused(hostile, expected, under=APPLICATION)


def test_a_finished_that_does_not_come_is_waited_for() -> None:
    hostile = HostileServer(client(), {"finished": dropped})
    hostile.run()
    assert not hostile.end.handshaken
    # Data under the next key does not pass for anything.
    hostile.record(ContentType.APPLICATION_DATA, b"early")
    hostile.flush()
    refused(hostile, BadRecordMAC, under=HANDSHAKE)


@pytest.mark.parametrize(
    "order",
    [
        ("server_hello", "certificate", "encrypted_extensions"),
        ("server_hello", "certificate_request"),
        ("server_hello", "encrypted_extensions", "certificate_verify"),
        ("server_hello", "encrypted_extensions", "finished"),
        ("server_hello", "encrypted_extensions", "certificate", "finished"),
        ("server_hello", "encrypted_extensions", "certificate", "certificate_request"),
        ("server_hello", "encrypted_extensions", "certificate_request", "certificate_verify"),
        ("server_hello", "finished"),
    ],
)
def test_a_server_in_another_order(order: tuple[str, ...]) -> None:
    # RFC 9846 §4.4.1: EncryptedExtensions immediately after ServerHello; §4.4.2: CertificateRequest after
    # EncryptedExtensions; §4.5.2: CertificateVerify immediately after Certificate, before Finished.
    hostile = asking()
    hostile.run(*order)
    refused(hostile, UnexpectedMessage, under=HANDSHAKE)


def test_a_client_with_a_certificate_that_nobody_asked_for() -> None:
    # RFC 9846 §4.5.1: if and only if the server has requested it.
    hostile = facing_server("client_hello", "certificate")()
    refused(hostile, UnexpectedMessage, "certificate received in state WAIT_FINISHED", under=APPLICATION)


def test_a_certificate_verify_behind_an_empty_certificate() -> None:
    hostile = HostileClient(server(verify_mode=ssl.CERT_OPTIONAL, trust_anchors=anchors()))
    hostile.step("client_hello", "certificate")
    hostile.owner = credentials(client=True)
    hostile.run("certificate_verify")
    refused(hostile, UnexpectedMessage, "received in state WAIT_FINISHED", under=APPLICATION)


# ---- not well-formed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", [truncated, trailed])
@pytest.mark.parametrize(
    ("name", "under"),
    [("hello_retry_request", PLAIN), ("server_hello", PLAIN)] + [(n, HANDSHAKE) for n in WHOLE[1:]],
)
def test_a_servers_message_that_is_cut_or_has_a_rest(name: str, edit: Edit, under: str) -> None:
    # RFC 9846 §6: cannot be parsed according to the syntax: MUST terminate with "decode_error".
    victim = client(groups=(NamedGroup.x25519, NamedGroup.secp256r1), key_shares=(NamedGroup.x25519,))
    group = NamedGroup.secp256r1 if name == "hello_retry_request" else NamedGroup.x25519
    retry = RETRY if name == "hello_retry_request" else None
    hostile = HostileServer(victim, {name: edit}, ask=True, retry=retry, group=group)
    steps = hostile.STEPS
    hostile.run(*steps[: steps.index(name) + 1])
    refused(hostile, DecodeError, under=under)


@pytest.mark.parametrize("edit", [truncated, trailed])
@pytest.mark.parametrize(
    ("name", "under"),
    [("client_hello", PLAIN), ("certificate", APPLICATION), ("certificate_verify", APPLICATION)],
)
def test_a_clients_message_that_is_cut_or_has_a_rest(name: str, edit: Edit, under: str) -> None:
    hostile = facing_server(authenticate=True)()
    hostile.edits = {name: edit}
    hostile.run()
    refused(hostile, DecodeError, under=under)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_length_that_does_not_match(change: int) -> None:
    # The length in the header says otherwise than the fields inside; what follows is taken for part of it.
    def edit(message: bytes) -> bytes:
        return message[:1] + (len(message) - 4 + change).to_bytes(3, "big") + message[4:]

    hostile = HostileServer(client(), {"encrypted_extensions": edit})
    hostile.step("server_hello")
    hostile.record(ContentType.HANDSHAKE, hostile.make("encrypted_extensions") + b"\0")
    hostile.flush()
    refused(hostile, DecodeError, under=HANDSHAKE)


def test_an_empty_client_hello_and_an_empty_server_hello() -> None:
    to_server = HostileClient(server(), {"client_hello": instead(frame(CH, b""))})
    to_server.run()
    refused(to_server, DecodeError, under=PLAIN)
    to_client = HostileServer(client(), {"server_hello": instead(frame(SH, b""))})
    to_client.run("server_hello")
    refused(to_client, DecodeError, under=PLAIN)


def test_a_second_client_hello_in_a_record_of_its_own_right_behind_the_first() -> None:
    # RFC 9846 §4.2.2: MUST terminate with "unexpected_message"; here it is also without protection.
    hostile = HostileClient(server())
    hello = hostile.client_hello()
    hostile.edits = {"client_hello": behind(hello)}
    hostile.run()
    refused(hostile, UnexpectedMessage, under=APPLICATION)

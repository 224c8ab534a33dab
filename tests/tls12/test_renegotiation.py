"""Renegotiation: who may begin, what both sides survive, and data in the middle of it."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import (
    BOTH,
    ECDHE,
    ONLY_1_2,
    anchors,
    client,
    client_config,
    connected,
    credentials,
    server,
    server_config,
)
from tests.support.handshakes import Handshake
from tests.support.pump import Pair, take
from tests.support.records import split
from tlswrite import limits
from tlswrite.crypto.x509 import load_credentials
from tlswrite.errors import (
    AlertReceived,
    CallerError,
    CertificateError,
    HandshakeFailure,
    TooMuchError,
    UnexpectedMessage,
    WantReadError,
    WantWriteError,
)
from tlswrite.iana import AlertDescription, ContentType
from tlswrite.messages.hello import DOWNGRADE_TLS12, ServerHello
from tlswrite.messages.tls12 import HelloRequest
from tlswrite.record.protection12 import TLS12Opener

BIG = bytes(at * 11 % 253 for at in range(300_001))
HELLO_REQUEST = HelloRequest().encode()


def pair(client_fields: dict[str, Any] | None = None, server_fields: dict[str, Any] | None = None) -> Pair:
    return connected({**ONLY_1_2, **(client_fields or {})}, {**ONLY_1_2, **(server_fields or {})})


def keys(joined: Pair) -> tuple[object, object]:
    """What opens records on both sides: other objects after each handshake."""
    return joined.client.connection.receive_path._opener, joined.server.connection.receive_path._opener


def renegotiated(joined: Pair, before: tuple[object, object]) -> bool:
    now = keys(joined)
    assert (now[0] is before[0]) == (now[1] is before[1])
    return now[0] is not before[0]


def exchange(joined: Pair) -> None:
    """Data both ways, whole and in order."""
    for sender, receiver in ((joined.client, joined.server), (joined.server, joined.client)):
        start = len(receiver.received)
        joined.transfer(sender, BIG)
        assert receiver.received[start:] == BIG


# ---- who may begin ----


@pytest.mark.parametrize("fragment", [None, 1])
def test_the_server_asks_and_the_client_follows(fragment: int | None) -> None:
    joined = pair()
    joined.fragment = fragment
    for _ in range(3):
        before = keys(joined)
        joined.server.connection.renegotiate()
        joined.server.connection.renegotiate()  # it is asked for already
        joined.pump()
        joined.check()
        assert renegotiated(joined, before)
    joined.fragment = None
    exchange(joined)
    joined.close()


def test_the_client_begins_where_the_server_allows_it() -> None:
    joined = pair({}, {"allow_client_renegotiation": True})
    before = keys(joined)
    joined.client.connection.renegotiate()
    assert joined.client.connection.state == "WAIT_SH"
    joined.client.connection.renegotiate()  # it is under way
    joined.pump()
    joined.check()
    assert renegotiated(joined, before)
    exchange(joined)


def test_a_client_s_own_is_refused_by_default_and_both_survive() -> None:
    joined = pair()
    before = keys(joined)
    joined.client.connection.renegotiate()
    joined.pump()
    joined.check()
    assert not renegotiated(joined, before)
    assert joined.client.connection.state == joined.server.connection.state == "CONNECTED"
    exchange(joined)
    # The server may still ask for one.
    joined.server.connection.renegotiate()
    joined.pump()
    joined.check()
    assert renegotiated(joined, before)


def test_a_client_that_will_not_says_so_and_both_survive() -> None:
    joined = pair({"renegotiation": False})
    before = keys(joined)
    joined.server.connection.renegotiate()
    joined.pump()
    joined.check()
    assert not renegotiated(joined, before)
    exchange(joined)


def test_a_configuration_without_renegotiation_begins_none() -> None:
    for end in pair({"renegotiation": False}, {"renegotiation": False}).ends:
        with pytest.raises(CallerError, match="renegotiation=False"):
            end.connection.renegotiate()


def test_tls_1_3_has_none() -> None:
    for end in connected().ends:
        with pytest.raises(CallerError, match="key_update"):
            end.connection.renegotiate()
    joined = pair()
    for end in joined.ends:
        with pytest.raises(CallerError, match="renegotiate"):
            end.connection.key_update()
    with pytest.raises(CallerError, match="renegotiate"):
        joined.server.connection.verify_client_post_handshake()


def test_before_the_handshake_and_after_shutdown_there_is_none() -> None:
    for fresh in (client(**ONLY_1_2), server(**ONLY_1_2)):
        with pytest.raises(CallerError, match="handshake is complete"):
            fresh.renegotiate()
    joined = pair()
    for end in joined.ends:
        end.connection.shutdown()
        with pytest.raises(CallerError, match="open connection"):
            end.connection.renegotiate()


def test_a_request_behind_close_notify_stays_unanswered() -> None:
    joined = pair()
    joined.client.connection.shutdown()
    take(joined.client.connection)
    joined.server.connection.renegotiate()
    joined.client.put(joined.server.take())
    joined.client.advance()
    assert joined.client.error is None
    assert take(joined.client.connection) == b""


# ---- secure: RFC 5746, identity ----


def test_another_connection_s_verify_data_is_refused() -> None:
    # RFC 5746 §3.5, §3.7: MUST abort the handshake.
    for field, victim, other in (
        ("client_verify_data", "server", "client"),
        ("server_verify_data", "client", "server"),
    ):
        joined = pair({}, {"allow_client_renegotiation": True})
        setattr(joined.server.connection._control.after._last, field, bytes(12))
        joined.client.connection.renegotiate()
        joined.pump()
        assert type(getattr(joined, victim).error) is HandshakeFailure
        assert type(getattr(joined, other).error) is AlertReceived


def test_a_certificate_for_somebody_else_is_refused_unless_allowed() -> None:
    other = pki.issue(("other.example",), client=True)
    chosen = [credentials(client=True)]
    for allowed in (False, True):
        asking = {
            "verify_mode": ssl.CERT_OPTIONAL,
            "trust_anchors": anchors(),
            "allow_identity_change": allowed,
        }
        joined = pair({"credentials": chosen[0]}, asking)
        again = joined.client.connection._control.after._again
        changed = load_credentials(other.chain_pem, other.key_pem)
        again._config = type(again._config)(
            trust_anchors=anchors(),
            credentials=changed,
            **ONLY_1_2,
            groups=joined.client.connection.config.groups,
        )
        joined.server.connection.renegotiate()
        joined.pump()
        if allowed:
            joined.check()
            assert joined.server.connection.getpeercert(True) == changed.chain[0]
        else:
            assert type(joined.server.error) is CertificateError
            assert joined.server.error.alert == AlertDescription.ACCESS_DENIED


def test_a_client_shows_its_certificate_later() -> None:
    joined = pair({"credentials": credentials(client=True)}, {})
    assert joined.server.connection.getpeercert() is None
    again = joined.server.connection._control.after._again
    again._config = server(**ONLY_1_2, verify_mode=ssl.CERT_REQUIRED, trust_anchors=anchors()).config
    joined.server.connection.renegotiate()
    joined.pump()
    joined.check()
    assert joined.server.connection.getpeercert(True) == credentials(client=True).chain[0]


def test_channel_bindings_follow_the_latest_handshake() -> None:
    joined = pair()
    seen = set()
    for _ in range(2):
        for kind in ("tls-unique", "tls-exporter", "tls-server-end-point"):
            binding = joined.client.connection.get_channel_binding(kind)
            assert binding and binding == joined.server.connection.get_channel_binding(kind)
            seen.add(binding)
        joined.server.connection.renegotiate()
        joined.pump()
    assert len(seen) == 5  # all but tls-server-end-point are new


# ---- data in the middle of it ----


def test_data_sent_before_the_peer_changed_its_keys_is_delivered_in_order() -> None:
    joined = pair()
    server, client = joined.server, joined.client
    server.connection.renegotiate()
    server.connection.write(b"one ")
    client.put(server.take())
    client.advance()
    assert client.connection.state == "WAIT_SH"
    # The server has not seen the ClientHello, and goes on.
    server.connection.write(b"two ")
    joined.pump()
    joined.check()
    server.connection.write(b"three")
    joined.pump()
    assert client.received == b"one two three"
    exchange(joined)


def test_writes_of_both_sides_wait_for_the_handshake() -> None:
    joined = pair()
    joined.server.connection.renegotiate()
    joined.client.put(joined.server.take())
    with pytest.raises(WantReadError):
        joined.client.connection.write(b"waits")
    assert joined.client.connection.send_path.read_wants == 1
    with pytest.raises(WantReadError):
        joined.client.connection.write(b"")  # clause W18
    joined.server.put(joined.client.take())
    with pytest.raises(WantReadError):
        joined.server.connection.write(b"waits too")
    joined.client.put(joined.server.take())
    # The same write goes on, and so does the other side's.
    with pytest.raises(WantReadError):
        joined.client.connection.write(b"waits")
    joined.server.put(joined.client.take())
    assert joined.server.connection.write(b"waits too") == 9
    joined.client.put(joined.server.take())
    assert joined.client.connection.write(b"waits") == 5
    joined.pump()
    joined.check()
    assert (joined.server.received, joined.client.received) == (b"waits", b"waits too")


def test_what_is_kept_for_the_reader_in_a_write_is_bounded() -> None:
    joined = pair()
    joined.client.connection.renegotiate()
    joined.server.put(joined.client.take()[:20])  # the server has not seen all of it, and goes on writing
    for _ in range(40):
        with pytest.raises((WantReadError, WantWriteError)):
            while True:
                joined.server.connection.write(bytes(16384))
                joined.client.put(joined.server.take())
                with pytest.raises(WantReadError):
                    joined.client.connection.write(b"x")
                assert joined.client.connection.pending() <= limits.KEPT_IN_WRITE + 2 * limits.MAX_PLAINTEXT
                if joined.client.connection.pending() > limits.KEPT_IN_WRITE:
                    raise WantReadError
    assert joined.client.connection.pending() > limits.KEPT_IN_WRITE


def test_a_write_takes_up_what_the_peer_asks_for() -> None:
    # Clause W04: nobody reads at the client; a HelloRequest is in its input.
    joined = pair()
    before = keys(joined)
    joined.server.connection.renegotiate()
    joined.client.put(joined.server.take())
    written = False
    data = BIG[:1000]
    for _ in range(10):
        try:
            written = joined.client.connection.write(data) == 1000
            break
        except WantReadError:
            joined.server.put(joined.client.take())
            joined.server.advance()
            joined.client.put(joined.server.take())
    assert written and renegotiated(joined, before)
    joined.pump()
    assert joined.server.received == data


# ---- bad input ----


def test_floods() -> None:
    joined = pair({"renegotiation": False})
    for _ in range(limits.MAX_RENEGOTIATIONS_IN_A_ROW + 1):
        joined.server.connection._control.send(HELLO_REQUEST)
    joined.client.put(joined.server.take())
    joined.client.advance()
    assert type(joined.client.error) is TooMuchError
    joined = pair()
    for _ in range(limits.MAX_EMPTY_RECORDS + 1):
        joined.server.connection._control.send_alert(AlertDescription.NO_RENEGOTIATION)
    joined.client.put(joined.server.take())
    joined.client.advance()
    assert type(joined.client.error) is TooMuchError


def test_a_renegotiation_that_fails_ends_the_connection() -> None:
    joined = pair()
    joined.server.connection.renegotiate()
    joined.client.put(joined.server.take())
    joined.client.advance()
    hello = bytearray(joined.client.take())
    hello[-1] ^= 1
    joined.server.put(bytes(hello))
    joined.server.advance()
    assert joined.server.error is not None
    joined.client.put(joined.server.take())
    joined.client.advance()
    assert type(joined.client.error) is AlertReceived


@pytest.mark.parametrize(
    "message", [b"\x18\0\0\1\0", b"\x0e\0\0\0", b"\x14\0\0\x0c" + bytes(12), b"\2\0\0\0"]
)
def test_messages_that_belong_into_a_handshake(message: bytes) -> None:
    for victim, other in (("client", "server"), ("server", "client")):
        joined = pair()
        getattr(joined, other).connection._control.send(message)
        joined.pump()
        error = getattr(joined, victim).error
        assert type(error) is UnexpectedMessage and "state CONNECTED" in error.message


def test_a_hello_request_to_a_server_is_unexpected() -> None:
    joined = pair()
    joined.client.connection._control.send(HELLO_REQUEST)
    joined.pump()
    assert type(joined.server.error) is UnexpectedMessage


def test_a_warning_is_survived_and_a_fatal_alert_is_not() -> None:
    joined = pair()
    for level, over in ((1, False), (2, True)):
        path = joined.server.connection.send_path
        path.seal_control(ContentType.ALERT, bytes((level, AlertDescription.UNRECOGNIZED_NAME)))
        joined.pump()
        assert (joined.client.error is not None) is over


def test_handshakes_are_protected_by_the_keys_of_the_last() -> None:
    joined = pair()
    opener = joined.server.connection.receive_path._opener
    assert isinstance(opener, TLS12Opener)
    joined.client.connection.renegotiate()
    (hello,) = split(joined.client.take())
    assert hello[0] == ContentType.HANDSHAKE and b"localhost" not in hello


def test_application_data_between_change_cipher_spec_and_finished_is_unexpected() -> None:
    joined = pair()
    joined.server.connection.renegotiate()
    joined.client.put(joined.server.take())
    joined.client.advance()
    joined.server.put(joined.client.take())
    joined.server.advance()
    joined.client.put(joined.server.take())
    joined.client.advance()
    flight = split(joined.client.take())
    assert flight[-2][0] == ContentType.CHANGE_CIPHER_SPEC
    path = joined.client.connection.send_path
    path._sealer.sequence = 0
    path.go_on()
    path.write(b"too early")
    joined.server.put(b"".join(flight[:-1]) + joined.client.take())
    joined.server.advance()
    assert type(joined.server.error) is UnexpectedMessage
    assert not joined.server.received


def test_a_renegotiation_does_not_warn_of_a_downgrade_that_was_none() -> None:
    # The version was chosen by the first configuration; one that an SNI callback chose has no part in that.
    both = server_config(**BOTH, groups=ECDHE)
    for outer, warned in (
        (server_config(**ONLY_1_2, sni_callback=lambda name: both), False),
        (server_config(**BOTH, groups=ECDHE, sni_callback=lambda name: server_config(**ONLY_1_2)), True),
    ):
        made = Handshake(client_config(**ONLY_1_2), outer)
        assert made.complete
        ours, theirs = made.client.io, made.server.io
        assert ours.after is not None and theirs.after is not None
        theirs.after.renegotiate(theirs)
        (request,) = theirs.take()
        ours.after.handle(request[0], request, ours)
        (hello,) = ours.take()
        theirs.after.handle(hello[0], hello, theirs)
        answer = ServerHello.parse(theirs.take()[0][4:])
        assert (answer.random[-8:] == DOWNGRADE_TLS12) == warned

"""The control side: joined messages, alerts, and what a handshake may do through it."""

from __future__ import annotations

import pytest

from tests.support.after import After
from tests.support.records import (
    AES_128,
    ECDHE_AES_128,
    open_all,
    opener,
    opener12,
    receive_path,
    receive_path12,
    sealer,
    sealer12,
    split,
    take,
)
from tlswrite import limits
from tlswrite.errors import AlertReceived, PeerError, TooMuchError, UnexpectedMessage, ZeroReturnError
from tlswrite.handshake.control import Control
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.opening import WAIT_SH
from tlswrite.handshake.runner import HandshakeGenerator, Wait
from tlswrite.iana import AlertDescription, ContentType, HandshakeType, ProtocolVersion
from tlswrite.record.codes import CONTROL
from tlswrite.record.receive import OUT_ROOM, ReceivePath
from tlswrite.record.send import SendPath

WAIT_A = Wait("WAIT_A", HandshakeType.CERTIFICATE)
WAIT_B = Wait("WAIT_B", HandshakeType.FINISHED)
FACTS = Negotiated(version=ProtocolVersion.TLS_1_3, suite=AES_128, group=None)


def fresh() -> Control:
    return Control(SendPath(), ReceivePath())


def finished(after: After) -> Control:
    control = fresh()
    control.complete(FACTS, after)
    return control


def message(message_type: HandshakeType, body: bytes = b"") -> bytes:
    return bytes((message_type,)) + len(body).to_bytes(3, "big") + body


def waiting(control: Control, after: After | None = None) -> HandshakeGenerator:
    control.send(message(HandshakeType.CLIENT_HELLO, b"hello"))
    yield WAIT_A
    yield WAIT_B
    control.complete(FACTS, after or After())


def test_messages_are_joined_and_reach_the_runner_and_then_its_successor() -> None:
    control, after = fresh(), After()
    assert (control.started, control.state) == (False, "START")
    control.start(waiting(control, after))
    assert (control.started, control.state) == (True, "WAIT_A")
    assert take(control.send_path) == b"\x16\x03\x03\x00\x09" + message(HandshakeType.CLIENT_HELLO, b"hello")
    certificate = message(HandshakeType.CERTIFICATE, b"chain")
    for at in range(len(certificate)):
        assert control.state == "WAIT_A"
        control.handle(ContentType.HANDSHAKE, certificate[at : at + 1])
    assert control.state == "WAIT_B"
    assert not control.receive_path.application_data_allowed
    control.handle(ContentType.HANDSHAKE, message(HandshakeType.FINISHED))
    assert (control.state, control.negotiated) == ("CONNECTED", FACTS)
    assert control.receive_path.application_data_allowed
    ticket = message(HandshakeType.NEW_SESSION_TICKET, b"ticket")
    control.handle(ContentType.HANDSHAKE, ticket + ticket[:3])
    # RFC 9846 §5.1: no other record between the fragments of a message.
    assert not control.receive_path.application_data_allowed
    control.handle(ContentType.HANDSHAKE, ticket[3:])
    assert control.receive_path.application_data_allowed
    assert after.seen == [(HandshakeType.NEW_SESSION_TICKET, ticket)] * 2


def test_several_messages_in_one_record() -> None:
    control = fresh()
    control.start(waiting(control))
    control.handle(
        ContentType.HANDSHAKE, message(HandshakeType.CERTIFICATE) + message(HandshakeType.FINISHED)
    )
    assert control.state == "CONNECTED"


def test_a_message_out_of_order_is_refused() -> None:
    control = fresh()
    control.start(waiting(control))
    with pytest.raises(UnexpectedMessage, match="finished received in state WAIT_A"):
        control.handle(ContentType.HANDSHAKE, message(HandshakeType.FINISHED))


def test_a_key_change_inside_a_record_is_refused() -> None:
    # RFC 9846 §5.1: messages before a key change align with a record boundary.
    control = fresh()

    def changing() -> HandshakeGenerator:
        yield WAIT_A
        control.set_read_protection(opener())

    control.start(changing())
    with pytest.raises(UnexpectedMessage, match="key change"):
        control.handle(
            ContentType.HANDSHAKE, message(HandshakeType.CERTIFICATE) + message(HandshakeType.FINISHED)
        )


def test_alerts() -> None:
    control = finished(After())
    control.handle(ContentType.ALERT, bytes((1, AlertDescription.USER_CANCELED)))
    assert not control.peer_closed
    control.handle(ContentType.ALERT, bytes((1, AlertDescription.CLOSE_NOTIFY)))
    assert control.peer_closed
    for level in (1, 2, 77):
        # RFC 9846 §6: the level is ignored, and unknown alerts are errors too.
        for description in (AlertDescription.HANDSHAKE_FAILURE, 200):
            with pytest.raises(AlertReceived) as caught:
                control.handle(ContentType.ALERT, bytes((level, description)))
            assert caught.value.received == description
            assert caught.value.alert is None


def test_close_notify_in_a_handshake_ends_it() -> None:
    control = fresh()
    control.start(waiting(control))
    with pytest.raises(ZeroReturnError, match="during the handshake"):
        control.handle(ContentType.ALERT, b"\x01\x00")


def test_an_alert_between_fragments_is_refused() -> None:
    control = finished(After())
    control.handle(ContentType.HANDSHAKE, b"\x04\x00")
    with pytest.raises(UnexpectedMessage, match="between the fragments"):
        control.handle(ContentType.ALERT, b"\x01\x00")


def test_a_flood_of_user_canceled_is_refused() -> None:
    control = finished(After())
    with pytest.raises(TooMuchError):
        for _ in range(limits.MAX_EMPTY_RECORDS + 1):
            control.handle(ContentType.ALERT, b"\x01\x5a")


@pytest.mark.parametrize(
    ("description", "level"),
    [
        (AlertDescription.CLOSE_NOTIFY, 1),
        (AlertDescription.USER_CANCELED, 1),
        (AlertDescription.DECODE_ERROR, 2),
    ],
)
def test_sent_alerts_have_the_level_of_their_class(description: AlertDescription, level: int) -> None:
    # RFC 9846 §6.1, §6.2
    control = fresh()
    control.send_alert(description)
    assert take(control.send_path) == b"\x15\x03\x03\x00\x02" + bytes((level, description))


def test_what_a_handshake_may_do() -> None:
    control = fresh()
    control.send_change_cipher_spec()
    assert take(control.send_path) == b"\x14\x03\x03\x00\x01\x01"
    control.set_write_protection(sealer())
    control.send(b"x" * 20_000)
    peer = receive_path()
    wire = take(control.send_path)
    assert len(split(wire)) == 2
    with pytest.raises(PeerError):
        open_all(ReceivePath(), wire)
    peer.append(wire)
    control.allow_compatibility_ccs(True)
    control.allow_plaintext_alert(True)
    assert control.receive_path.compatibility_ccs_allowed
    assert control.receive_path.plaintext_alert_allowed
    after = After()
    control.complete(FACTS, after)
    assert not control.receive_path.compatibility_ccs_allowed
    assert not control.receive_path.plaintext_alert_allowed
    assert control.delivered == 0
    control.request_write_key_update()
    assert control.send_path.output_size == 5 + 5 + 17


def test_answers_do_not_pile_up_for_a_peer_that_does_not_read() -> None:
    control = finished(After())
    control.set_write_protection(sealer())
    with pytest.raises(TooMuchError, match="more than it reads"):
        for _ in range(100):
            control.send(b"x" * 16000)
    assert control.send_path.output_size < 2 * limits.SEND_WINDOW + 17000


def test_close_forgets_everything() -> None:
    control = fresh()
    ended: list[bool] = []

    def endless() -> HandshakeGenerator:
        try:
            while True:
                yield WAIT_A
        finally:
            ended.append(True)

    control.start(endless())
    control.handle(ContentType.HANDSHAKE, b"\x0b\0\0")
    control.close()
    assert ended == [True]
    assert (control.started, control.after) == (False, None)


# ---- TLS 1.2 ------------------------------------------------------------------------------------------

FACTS12 = Negotiated(version=ProtocolVersion.TLS_1_2, suite=ECDHE_AES_128, group=None)
HELLO_REQUEST = message(HandshakeType.HELLO_REQUEST)
NO_RENEGOTIATION = b"\x15\x03\x03\x00\x02\x01\x64"


def finished12(after: After | None = None) -> Control:
    """In the open, after a handshake of TLS 1.2; records are in the clear to be seen."""
    control = fresh()
    control.enter_tls12()
    control.complete(FACTS12, after or After())
    return control


def test_tls_1_2_has_no_compatibility_records_and_no_key_update() -> None:
    control = fresh()
    control.allow_compatibility_ccs(True)
    control.enter_tls12()
    assert control.tls12
    assert not control.receive_path.compatibility_ccs_allowed
    control.complete(FACTS12, After())
    assert control.send_path.rekey is None
    control.request_write_key_update()
    assert not control.send_path.has_output
    assert finished(After()).send_path.rekey is not None


def test_a_key_is_changed_behind_change_cipher_spec() -> None:
    # RFC 5246 §7.1: under the current state, the new one is for what follows.
    control = fresh()
    control.set_write_protection(sealer12())
    control.change_write_protection(sealer12(seed=1))
    control.send(message(HandshakeType.FINISHED, b"verify data!"))
    first, second = split(take(control.send_path))
    peer = receive_path12()
    peer.change_cipher_spec_expected = True
    out = memoryview(bytearray(OUT_ROOM))
    peer.append(first)
    assert (peer.open_into(out), peer.content_type, peer.fragment) == (
        CONTROL,
        ContentType.CHANGE_CIPHER_SPEC,
        b"\x01",
    )
    peer.set_protection(opener12(seed=1))
    peer.append(second)
    assert (peer.open_into(out), peer.content_type) == (CONTROL, ContentType.HANDSHAKE)


def test_the_peers_key_changes_with_its_change_cipher_spec() -> None:
    control = fresh()
    control.enter_tls12()

    def steps() -> HandshakeGenerator:
        control.expect_change_cipher_spec(opener12())
        yield WAIT_B
        control.complete(FACTS12, After())

    control.start(steps())
    assert control.receive_path.change_cipher_spec_expected
    control.handle(ContentType.CHANGE_CIPHER_SPEC, b"\x01")
    assert not control.receive_path.change_cipher_spec_expected
    # RFC 5246 §7.1: Finished comes next; data under the new key only behind it.
    assert not control.receive_path.application_data_allowed
    control.handle(ContentType.HANDSHAKE, message(HandshakeType.FINISHED))
    assert control.receive_path.application_data_allowed
    data = sealer12().seal(ContentType.APPLICATION_DATA, b"data")
    assert open_all(control.receive_path, data) == b"data"


def test_a_finished_before_change_cipher_spec_is_refused() -> None:
    # RFC 5246 §7.4.9: a fatal error if a Finished is not preceded by a ChangeCipherSpec at its point.
    control = fresh()
    control.enter_tls12()

    def steps() -> HandshakeGenerator:
        control.expect_change_cipher_spec(opener12())
        yield Wait("WAIT_B", HandshakeType.FINISHED, ignored=(HandshakeType.HELLO_REQUEST,))

    control.start(steps())
    control.handle(ContentType.HANDSHAKE, HELLO_REQUEST)
    with pytest.raises(
        UnexpectedMessage, match="finished received in state WAIT_B before change_cipher_spec"
    ):
        control.handle(ContentType.HANDSHAKE, message(HandshakeType.FINISHED))


def test_a_message_across_change_cipher_spec_is_refused() -> None:
    # Its beginning would be under one key and its end under another.
    control = fresh()
    control.enter_tls12()

    def steps() -> HandshakeGenerator:
        control.expect_change_cipher_spec(opener12())
        yield WAIT_B

    control.start(steps())
    control.handle(ContentType.HANDSHAKE, message(HandshakeType.FINISHED, b"data")[:5])
    with pytest.raises(UnexpectedMessage, match="behind a key change"):
        control.handle(ContentType.CHANGE_CIPHER_SPEC, b"\x01")


def test_records_between_fragments_are_legal_in_tls_1_2() -> None:
    # RFC 5246 §6.2.1 has no such rule as RFC 9846 §5.1.
    after = After()
    control = finished12(after)
    control.handle(ContentType.HANDSHAKE, HELLO_REQUEST[:2])
    assert control.receive_path.application_data_allowed
    control.handle(ContentType.ALERT, bytes((1, AlertDescription.USER_CANCELED)))
    control.handle(ContentType.HANDSHAKE, HELLO_REQUEST[2:])
    assert after.seen == [(HandshakeType.HELLO_REQUEST, HELLO_REQUEST)]
    control.handle(ContentType.HANDSHAKE, HELLO_REQUEST[:2])
    control.handle(ContentType.ALERT, bytes((1, AlertDescription.CLOSE_NOTIFY)))
    assert control.peer_closed


@pytest.mark.parametrize("description", [112, 10, 255, 100])
def test_warnings_are_survived_in_tls_1_2_and_a_flood_is_not(description: int) -> None:
    # RFC 5246 §7.2: a warning may be followed by a connection that goes on.
    control = finished12()
    for _ in range(limits.MAX_EMPTY_RECORDS):
        control.handle(ContentType.ALERT, bytes((1, description)))
    with pytest.raises(TooMuchError, match="flood of warning alerts"):
        control.handle(ContentType.ALERT, bytes((1, description)))
    with pytest.raises(AlertReceived):
        finished12().handle(ContentType.ALERT, bytes((2, description)))
    # RFC 9846 §6: in TLS 1.3 the level is ignored.
    with pytest.raises(AlertReceived):
        finished(After()).handle(ContentType.ALERT, bytes((1, description)))


def test_warnings_with_data_between_them_are_no_flood() -> None:
    control = finished12()
    control.set_write_protection(sealer12())
    for turn in range(3 * limits.MAX_EMPTY_RECORDS):
        control.handle(ContentType.ALERT, bytes((1, AlertDescription.NO_RENEGOTIATION)))
        if turn % 20 == 0:
            assert control.send_path.write(b"data") == 4
            take(control.send_path)
    with pytest.raises(TooMuchError):
        for _ in range(limits.MAX_EMPTY_RECORDS + 1):
            control.handle(ContentType.ALERT, bytes((1, AlertDescription.NO_RENEGOTIATION)))


@pytest.mark.parametrize("offered", [False, True])
def test_a_warning_about_the_name_may_come_before_the_version(offered: bool) -> None:
    # RFC 6066 §3: unrecognized_name at the level of a warning, which servers of TLS 1.2 send.
    def steps() -> HandshakeGenerator:
        yield WAIT_SH
        yield WAIT_B

    warning = bytes((1, AlertDescription.UNRECOGNIZED_NAME))
    control = fresh()
    control.tls12_offered = offered
    control.start(steps())
    if not offered:
        with pytest.raises(AlertReceived):
            control.handle(ContentType.ALERT, warning)
        return
    control.handle(ContentType.ALERT, warning)
    for wrong in (bytes((1, AlertDescription.HANDSHAKE_FAILURE)), bytes((2, warning[1]))):
        with pytest.raises(AlertReceived):
            control.handle(ContentType.ALERT, wrong)
    control.handle(ContentType.HANDSHAKE, message(HandshakeType.SERVER_HELLO))
    with pytest.raises(AlertReceived):
        control.handle(ContentType.ALERT, warning)


# ---- renegotiation ----


def waiting_for(wait: Wait, ended: list[bool]) -> HandshakeGenerator:
    try:
        yield wait
    finally:
        ended.append(True)


def test_writes_are_held_while_a_renegotiation_is_under_way() -> None:
    control = finished12()
    assert not control.renegotiating
    control.renegotiate(waiting(control))
    assert (control.renegotiating, control.state, control.send_path.held) == (True, "WAIT_A", True)
    assert control.negotiated == FACTS12, "what was agreed on holds meanwhile"
    assert control.receive_path.application_data_allowed
    control.handle(ContentType.HANDSHAKE, message(HandshakeType.CERTIFICATE))
    control.handle(ContentType.HANDSHAKE, message(HandshakeType.FINISHED))
    assert (control.renegotiating, control.state, control.send_path.held) == (False, "CONNECTED", False)


@pytest.mark.parametrize("level", [1, 2])
def test_no_renegotiation_calls_one_off(level: int) -> None:
    # RFC 5246 §7.2.2: always a warning; the connection goes on as it was.
    control = finished12()
    ended: list[bool] = []
    control.renegotiate(waiting_for(WAIT_SH, ended))
    if level == 2:
        with pytest.raises(AlertReceived):
            control.handle(ContentType.ALERT, bytes((level, AlertDescription.NO_RENEGOTIATION)))
        assert control.renegotiating
        return
    # Any other warning has nothing to do with it.
    control.handle(ContentType.ALERT, bytes((1, AlertDescription.UNRECOGNIZED_NAME)))
    assert control.renegotiating
    control.handle(ContentType.ALERT, bytes((level, AlertDescription.NO_RENEGOTIATION)))
    assert ended == [True]
    assert (control.renegotiating, control.state, control.send_path.held) == (False, "CONNECTED", False)


def test_no_renegotiation_comes_too_late_once_it_was_answered() -> None:
    control = finished12()
    ended: list[bool] = []
    control.renegotiate(waiting_for(WAIT_A, ended))
    control.handle(ContentType.ALERT, bytes((1, AlertDescription.NO_RENEGOTIATION)))
    assert (control.renegotiating, ended) == (True, [])


def test_refusals_are_warnings_and_do_not_pile_up() -> None:
    control = finished12()
    control.refuse_renegotiation()
    assert take(control.send_path) == NO_RENEGOTIATION
    with pytest.raises(TooMuchError, match="more than it reads"):
        for _ in range(2 * limits.SEND_WINDOW // len(NO_RENEGOTIATION) + 2):
            control.refuse_renegotiation()
    assert control.send_path.output_size <= 2 * limits.SEND_WINDOW + len(NO_RENEGOTIATION)


def test_behind_close_notify_there_is_no_renegotiation_and_no_refusal() -> None:
    # RFC 5246 §7.2.1: nothing is sent behind close_notify.
    control = finished12()
    control.send_path.closed = True
    started: list[bool] = []

    def never() -> HandshakeGenerator:
        started.append(True)
        yield WAIT_A

    control.renegotiate(never())
    control.refuse_renegotiation()
    control.send(HELLO_REQUEST)
    assert (control.renegotiating, control.send_path.held, started) == (False, False, [])
    assert not control.send_path.has_output


def test_progress_is_data_in_both_directions() -> None:
    control = finished12()
    control.set_write_protection(sealer12())
    control.set_read_protection(opener12())
    assert control.send_path.write(b"12345") == 5
    open_all(control.receive_path, sealer12().seal(ContentType.APPLICATION_DATA, b"123"))
    assert (control.delivered, control.progress) == (3, 8)


def test_answers_count_towards_the_usage_limit_of_a_key() -> None:
    # RFC 9846 §5.5: a peer can ask without end, and each answer is a record.
    after = After()
    control = finished(after)
    control.set_write_protection(sealer(record_limit=1))
    control.send(message(HandshakeType.CERTIFICATE))
    assert control.send_path.exhausted
    take(control.send_path)
    control.handle(ContentType.HANDSHAKE, message(HandshakeType.KEY_UPDATE, b"\0"))
    assert len(after.seen) == 1
    assert not control.send_path.exhausted, "replaced before the answer"


def test_close_in_a_renegotiation_forgets_its_keys() -> None:
    after = After()
    control = finished12(after)
    ended: list[bool] = []
    control.renegotiate(waiting_for(WAIT_B, ended))
    control.expect_change_cipher_spec(opener12())
    control.close()
    assert ended == [True]
    assert after.forgotten
    assert (control._next_opener, control.after, control.renegotiating) == (None, None, False)

"""The control side: joined messages, alerts, and what a handshake may do through it."""

from __future__ import annotations

import pytest

from tests.support.records import AES_128, open_all, opener, receive_path, sealer, split, take
from tlswrite import limits
from tlswrite.errors import AlertReceived, PeerError, TooMuchError, UnexpectedMessage, ZeroReturnError
from tlswrite.handshake.control import Control
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.runner import HandshakeGenerator, HandshakeIO, Wait
from tlswrite.iana import AlertDescription, ContentType, HandshakeType, ProtocolVersion
from tlswrite.record.protection import Sealer
from tlswrite.record.receive import ReceivePath
from tlswrite.record.send import SendPath

WAIT_A = Wait("WAIT_A", HandshakeType.CERTIFICATE)
WAIT_B = Wait("WAIT_B", HandshakeType.FINISHED)
FACTS = Negotiated(version=ProtocolVersion.TLS_1_3, suite=AES_128, group=None)


class After:
    """Records post-handshake messages."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes]] = []

    def handle(self, message_type: int, raw: bytes, io: HandshakeIO) -> None:
        self.seen.append((message_type, raw))

    def rekey(self, request_peer: bool = False) -> tuple[bytes, Sealer]:
        return b"\x18\0\0\1\0", sealer(seed=1)

    def request_certificate(self, io: HandshakeIO) -> None:
        io.send(b"\x0d\0\0\0")

    def export(self, label: bytes, length: int, context: bytes) -> bytes:
        return bytes(length)


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

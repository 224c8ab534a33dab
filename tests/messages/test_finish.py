"""EncryptedExtensions, Finished, KeyUpdate, NewSessionTicket, EndOfEarlyData, message_hash."""

from __future__ import annotations

import pytest

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import ExtensionType, HandshakeType, KeyUpdateRequest
from tlswrite.messages.finish import (
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    KeyUpdate,
    NewSessionTicket,
    message_hash,
)
from tlswrite.messages.framing import HandshakeMessage

LIMIT = (int(ExtensionType.RECORD_SIZE_LIMIT), b"\x40\x01")
EE = EncryptedExtensions((LIMIT,))
UPDATE = KeyUpdate(KeyUpdateRequest.update_requested)
TICKET = NewSessionTicket(7200, 0x01020304, b"\x00", b"ticket", ((ExtensionType.EARLY_DATA, bytes(4)),))


@pytest.mark.parametrize(
    ("message", "message_type", "body"),
    [
        (EE, HandshakeType.ENCRYPTED_EXTENSIONS, "0006" + "001c0002" + "4001"),
        (EncryptedExtensions(()), HandshakeType.ENCRYPTED_EXTENSIONS, "0000"),
        (Finished(bytes(48)), HandshakeType.FINISHED, "00" * 48),
        (KeyUpdate(KeyUpdateRequest.update_not_requested), HandshakeType.KEY_UPDATE, "00"),
        (UPDATE, HandshakeType.KEY_UPDATE, "01"),
        (
            TICKET,
            HandshakeType.NEW_SESSION_TICKET,
            "00001c20" + "01020304" + "0100" + "0006" + b"ticket".hex() + "0008" + "002a0004" + "00000000",
        ),
        (EndOfEarlyData(), HandshakeType.END_OF_EARLY_DATA, ""),
    ],
)
def test_message_on_the_wire(message: HandshakeMessage, message_type: HandshakeType, body: str) -> None:
    raw = bytes.fromhex(body)
    assert message.TYPE is message_type
    assert message.encode() == bytes([message_type]) + len(raw).to_bytes(3, "big") + raw
    assert type(message).parse(raw) == message
    assert type(message).parse(memoryview(raw)) == message


@pytest.mark.parametrize("message", [EE, UPDATE, TICKET, EndOfEarlyData()])
def test_message_cut_anywhere_is_a_decode_error(message: HandshakeMessage) -> None:
    body = message.encode()[4:]
    for cut in range(len(body)):
        with pytest.raises(DecodeError):
            type(message).parse(body[:cut])
    with pytest.raises(DecodeError, match="1 bytes left over"):
        type(message).parse(body + b"\x00")


@pytest.mark.parametrize("value", [2, 255])
def test_other_request_update_is_an_illegal_parameter(value: int) -> None:
    # RFC 9846 §4.7.3.
    with pytest.raises(IllegalParameter) as caught:
        KeyUpdate.parse(bytes([value]))
    assert caught.value.message == f"request_update of a KeyUpdate is {value}"


def test_request_update_is_a_member_of_its_enum() -> None:
    assert KeyUpdate.parse(b"\x01").request_update is KeyUpdateRequest.update_requested


def test_empty_ticket_is_a_decode_error() -> None:
    # RFC 9846 §4.7.1: ticket<1..2^16-1>.
    with pytest.raises(DecodeError, match="vector of 0 bytes"):
        NewSessionTicket.parse(NewSessionTicket(1, 2, b"", b"").encode()[4:])


def test_ticket_is_in_no_repr() -> None:
    assert "ticket=" not in repr(TICKET)
    assert "lifetime=7200" in repr(TICKET)


@pytest.mark.parametrize(
    "message", [EncryptedExtensions((LIMIT, LIMIT)), NewSessionTicket(1, 2, b"", b"t", (LIMIT, LIMIT))]
)
def test_duplicate_extension_is_an_illegal_parameter(message: HandshakeMessage) -> None:
    with pytest.raises(IllegalParameter, match="an extension appears twice"):
        type(message).parse(message.encode()[4:])


def test_message_hash() -> None:
    # RFC 9846 §4.1 (and §4): type 254, length of the hash, hash of the first ClientHello.
    assert message_hash(b"\xab" * 32) == b"\xfe\x00\x00\x20" + b"\xab" * 32

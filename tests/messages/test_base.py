"""What the message classes share."""

from __future__ import annotations

import pytest

from tlswrite.iana import ExtensionType, HandshakeType
from tlswrite.messages.base import HEADER_SIZE, frame
from tlswrite.messages.finish import EncryptedExtensions


def test_frame_is_type_and_24_bit_length() -> None:
    assert frame(HandshakeType.FINISHED, b"") == b"\x14\x00\x00\x00"
    whole = frame(HandshakeType.CERTIFICATE, bytes(0x012345))
    assert whole[:HEADER_SIZE] == b"\x0b\x01\x23\x45"
    assert len(whole) == HEADER_SIZE + 0x012345


def test_frame_refuses_what_does_not_fit() -> None:
    assert len(frame(0, bytes(0xFFFFFF))) == 0x1000003
    with pytest.raises(ValueError, match=r"^a handshake message of 16777216 bytes does not fit"):
        frame(0, bytes(0x1000000))


def test_extension_is_found_by_its_type() -> None:
    message = EncryptedExtensions(((0x1A1A, b"grease"), (ExtensionType.RECORD_SIZE_LIMIT, b"\x40\x01")))
    assert message.extension(ExtensionType.RECORD_SIZE_LIMIT) == b"\x40\x01"
    assert message.extension(0x1A1A) == b"grease"
    assert message.extension(ExtensionType.SERVER_NAME) is None

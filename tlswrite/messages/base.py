"""What the message classes share: the handshake header, the interface, the look-up of an extension."""

from __future__ import annotations

from typing import ClassVar, Final, Protocol, Self

from tlswrite.iana import HandshakeType

__all__ = ["HEADER_SIZE", "Extensions", "HandshakeMessage", "WithExtensions", "frame"]

#: Handshake header: msg_type (1), length (3) (RFC 9846 §4). Bytes.
HEADER_SIZE: Final = 4

#: Extensions of one block in wire order: extension_type, extension_data (RFC 9846 §4.3).
Extensions = tuple[tuple[int, bytes], ...]


class HandshakeMessage(Protocol):
    """A handshake message as an object."""

    TYPE: ClassVar[HandshakeType]

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        """Read a message from its body, without the handshake header; `DecodeError` or `IllegalParameter`."""

    def encode(self) -> bytes:
        """The message with its handshake header; ValueError when a field is too long for its length."""


class WithExtensions:
    """A message with one block of extensions."""

    __slots__ = ()

    extensions: Extensions

    def extension(self, extension_type: int) -> bytes | None:
        """The extension_data of that type; None when the message has none."""
        for code, data in self.extensions:
            if code == extension_type:
                return data
        return None


def frame(message_type: int, body: bytes) -> bytes:
    """`body` under the handshake header of `message_type` (RFC 9846 §4)."""
    size = len(body)
    if size > 0xFFFFFF:
        raise ValueError(f"a handshake message of {size} bytes does not fit its 24-bit length")
    return (message_type << 24 | size).to_bytes(HEADER_SIZE, "big") + body

"""EncryptedExtensions, Finished, and what follows it: KeyUpdate, NewSessionTicket, EndOfEarlyData.

Also `message_hash`, the synthetic message that stands for the first ClientHello in a transcript with a
HelloRetryRequest (RFC 9846 §4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from tlswrite.codec import Reader, u8, u32, vector8, vector16
from tlswrite.errors import IllegalParameter
from tlswrite.iana import HandshakeType, KeyUpdateRequest
from tlswrite.messages.base import Extensions, WithExtensions, frame
from tlswrite.messages.extensions import encode_extensions, parse_extensions

__all__ = [
    "EncryptedExtensions",
    "EndOfEarlyData",
    "Finished",
    "KeyUpdate",
    "NewSessionTicket",
    "message_hash",
]


@dataclass(init=False)
class EncryptedExtensions(WithExtensions):
    """EncryptedExtensions (RFC 9846 §4.4.1)."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.ENCRYPTED_EXTENSIONS

    extensions: Extensions

    def __init__(self, extensions: Extensions) -> None:
        self.extensions = extensions

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        extensions = parse_extensions(reader.vector16())
        reader.finish()
        return cls(extensions)

    def encode(self) -> bytes:
        return frame(HandshakeType.ENCRYPTED_EXTENSIONS, encode_extensions(self.extensions))


@dataclass(init=False)
class Finished:
    """Finished (RFC 9846 §4.5.3); the length of verify_data is the hash's, which the handshake checks."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.FINISHED

    verify_data: Final[bytes]

    def __init__(self, verify_data: bytes) -> None:
        self.verify_data = verify_data

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        return cls(bytes(body))

    def encode(self) -> bytes:
        return frame(HandshakeType.FINISHED, self.verify_data)


@dataclass(frozen=True)
class KeyUpdate:
    """KeyUpdate (RFC 9846 §4.7.3)."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.KEY_UPDATE

    request_update: KeyUpdateRequest

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        value = reader.u8()
        reader.finish()
        # RFC 9846 §4.7.3: any other value MUST be refused with "illegal_parameter".
        if value > KeyUpdateRequest.update_requested:
            raise IllegalParameter(f"request_update of a KeyUpdate is {value}")
        return cls(KeyUpdateRequest(value))

    def encode(self) -> bytes:
        return frame(HandshakeType.KEY_UPDATE, u8(self.request_update))


@dataclass(init=False)
class NewSessionTicket(WithExtensions):
    """NewSessionTicket (RFC 9846 §4.7.1); `lifetime` in seconds."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.NEW_SESSION_TICKET

    lifetime: Final[int]
    age_add: Final[int]
    nonce: Final[bytes]
    ticket: bytes = field(repr=False)
    extensions: Extensions

    def __init__(
        self,
        lifetime: int,
        age_add: int,
        nonce: bytes,
        ticket: bytes,
        extensions: Extensions = (),
    ) -> None:
        self.lifetime = lifetime
        self.age_add = age_add
        self.nonce = nonce
        self.ticket = ticket
        self.extensions = extensions

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        lifetime = reader.u32()
        age_add = reader.u32()
        nonce = reader.vector8()
        ticket = reader.vector16(1)
        extensions = parse_extensions(reader.vector16())
        reader.finish()
        return cls(lifetime, age_add, nonce, ticket, extensions)

    def encode(self) -> bytes:
        body = (
            u32(self.lifetime),
            u32(self.age_add),
            vector8(self.nonce),
            vector16(self.ticket),
            encode_extensions(self.extensions),
        )
        return frame(HandshakeType.NEW_SESSION_TICKET, b"".join(body))


@dataclass(frozen=True)
class EndOfEarlyData:
    """EndOfEarlyData (RFC 9846 §4.6): empty."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.END_OF_EARLY_DATA

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        Reader(body).finish()
        return cls()

    def encode(self) -> bytes:
        return frame(HandshakeType.END_OF_EARLY_DATA, b"")


def message_hash(digest: bytes) -> bytes:
    """The message that replaces the first ClientHello, given its hash (RFC 9846 §4.1)."""
    return frame(HandshakeType.MESSAGE_HASH, digest)

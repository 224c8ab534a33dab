"""ClientHello, ServerHello and HelloRetryRequest (RFC 9846 §4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from tlswrite.codec import Reader, encode_u16s, parse_u16s, u8, u16, vector8, vector16
from tlswrite.errors import IllegalParameter
from tlswrite.iana import ExtensionType, HandshakeType, ProtocolVersion
from tlswrite.messages.base import Extensions, WithExtensions, frame
from tlswrite.messages.extensions import encode_extensions, parse_extensions

__all__ = ["DOWNGRADE_TLS11", "DOWNGRADE_TLS12", "HELLO_RETRY_REQUEST_RANDOM", "ClientHello", "ServerHello"]

#: ServerHello.random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC 9846 §4.2.3).
HELLO_RETRY_REQUEST_RANDOM: Final = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)

#: Last 8 bytes of ServerHello.random when a TLS 1.3 server negotiates TLS 1.2 (RFC 9846 §4.2.3).
DOWNGRADE_TLS12: Final = b"DOWNGRD\x01"

#: The same for TLS 1.1 and below.
DOWNGRADE_TLS11: Final = b"DOWNGRD\x00"


@dataclass(init=False)
class ClientHello(WithExtensions):
    """ClientHello (RFC 9846 §4.2.2).

    `has_extensions` is False for one that ends after the compression methods, as TLS 1.2 and before allow.
    """

    TYPE: ClassVar[HandshakeType] = HandshakeType.CLIENT_HELLO

    random: Final[bytes]
    session_id: Final[bytes]
    cipher_suites: Final[tuple[int, ...]]
    extensions: Extensions
    legacy_version: Final[int]
    compression_methods: Final[bytes]
    has_extensions: Final[bool]

    def __init__(
        self,
        random: bytes,
        session_id: bytes,
        cipher_suites: tuple[int, ...],
        extensions: Extensions,
        legacy_version: int = ProtocolVersion.TLS_1_2,
        compression_methods: bytes = b"\0",
        has_extensions: bool = True,
    ) -> None:
        self.random = random
        self.session_id = session_id
        self.cipher_suites = cipher_suites
        self.extensions = extensions
        self.legacy_version = legacy_version
        self.compression_methods = compression_methods
        self.has_extensions = has_extensions

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        legacy_version = reader.u16()
        random = reader.take(32)
        session_id = reader.vector8(0, 32)
        cipher_suites = parse_u16s(reader.vector16(2, 0xFFFE))
        compression_methods = reader.vector8(1)
        # RFC 9846 §4.2.2: hellos of earlier versions may end here; what follows must be a valid block of
        # extensions with nothing after it, or it is a "decode_error".
        has_extensions = not reader.at_end()
        extensions = parse_extensions(reader.vector16()) if has_extensions else ()
        reader.finish()
        _check_pre_shared_key_is_last(extensions)
        return cls(
            random, session_id, cipher_suites, extensions, legacy_version, compression_methods, has_extensions
        )

    def encode(self) -> bytes:
        body = (
            u16(self.legacy_version),
            self.random,
            vector8(self.session_id),
            vector16(encode_u16s(self.cipher_suites)),
            vector8(self.compression_methods),
            encode_extensions(self.extensions) if self.has_extensions else b"",
        )
        return frame(HandshakeType.CLIENT_HELLO, b"".join(body))


@dataclass(init=False)
class ServerHello(WithExtensions):
    """ServerHello, and HelloRetryRequest, which is one with a special random (RFC 9846 §4.2.3, §4.2.4).

    `has_extensions` is False for one that ends after the compression method, as TLS 1.2 and before allow.
    """

    TYPE: ClassVar[HandshakeType] = HandshakeType.SERVER_HELLO

    random: Final[bytes]
    session_id: Final[bytes]
    cipher_suite: Final[int]
    extensions: Extensions
    legacy_version: Final[int]
    compression_method: Final[int]
    has_extensions: Final[bool]

    def __init__(
        self,
        random: bytes,
        session_id: bytes,
        cipher_suite: int,
        extensions: Extensions,
        legacy_version: int = ProtocolVersion.TLS_1_2,
        compression_method: int = 0,
        has_extensions: bool = True,
    ) -> None:
        self.random = random
        self.session_id = session_id
        self.cipher_suite = cipher_suite
        self.extensions = extensions
        self.legacy_version = legacy_version
        self.compression_method = compression_method
        self.has_extensions = has_extensions

    @property
    def is_hello_retry_request(self) -> bool:
        """Whether this is a HelloRetryRequest."""
        return self.random == HELLO_RETRY_REQUEST_RANDOM

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        legacy_version = reader.u16()
        random = reader.take(32)
        session_id = reader.vector8(0, 32)
        cipher_suite = reader.u16()
        compression_method = reader.u8()
        has_extensions = not reader.at_end()
        extensions = parse_extensions(reader.vector16()) if has_extensions else ()
        reader.finish()
        return cls(
            random, session_id, cipher_suite, extensions, legacy_version, compression_method, has_extensions
        )

    def encode(self) -> bytes:
        body = (
            u16(self.legacy_version),
            self.random,
            vector8(self.session_id),
            u16(self.cipher_suite),
            u8(self.compression_method),
            encode_extensions(self.extensions) if self.has_extensions else b"",
        )
        return frame(HandshakeType.SERVER_HELLO, b"".join(body))


def _check_pre_shared_key_is_last(extensions: Extensions) -> None:
    # RFC 9846 §4.3.11: servers MUST check that pre_shared_key is the last extension of the ClientHello and
    # otherwise refuse it with "illegal_parameter".
    for code, _ in extensions[:-1]:
        if code == _PRE_SHARED_KEY:
            raise IllegalParameter("pre_shared_key is not the last extension of the ClientHello")


_PRE_SHARED_KEY: Final = ExtensionType.PRE_SHARED_KEY

"""Certificate, CertificateRequest and CertificateVerify (RFC 9846 §4.4.2, §4.5.1, §4.5.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from tlswrite.codec import Reader, u16, vector8, vector16, vector24
from tlswrite.errors import DecodeError
from tlswrite.iana import HandshakeType
from tlswrite.limits import MAX_CHAIN_LENGTH
from tlswrite.messages.base import Extensions, WithExtensions, frame
from tlswrite.messages.extensions import encode_extensions, parse_extensions

__all__ = ["Certificate", "CertificateEntry", "CertificateRequest", "CertificateVerify"]


@dataclass(init=False)
class CertificateEntry(WithExtensions):
    """One certificate of a chain, in DER, and its extensions (RFC 9846 §4.5.1)."""

    der: Final[bytes]
    extensions: Extensions

    def __init__(self, der: bytes, extensions: Extensions = ()) -> None:
        self.der = der
        self.extensions = extensions


@dataclass(init=False)
class Certificate:
    """Certificate (RFC 9846 §4.5.1): the chain, the sender's own first; empty when a client has none."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE

    request_context: Final[bytes]
    entries: Final[tuple[CertificateEntry, ...]]

    def __init__(self, request_context: bytes, entries: tuple[CertificateEntry, ...]) -> None:
        self.request_context = request_context
        self.entries = entries

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        request_context = reader.vector8()
        chain = reader.sub24()
        reader.finish()
        entries: list[CertificateEntry] = []
        while not chain.at_end():
            if len(entries) == MAX_CHAIN_LENGTH:
                raise DecodeError(f"more than {MAX_CHAIN_LENGTH} certificates in one chain")
            entries.append(CertificateEntry(chain.vector24(1), parse_extensions(chain.vector16())))
        return cls(request_context, tuple(entries))

    def encode(self) -> bytes:
        chain = b"".join(vector24(entry.der) + encode_extensions(entry.extensions) for entry in self.entries)
        return frame(HandshakeType.CERTIFICATE, vector8(self.request_context) + vector24(chain))


@dataclass(frozen=True)
class CertificateRequest(WithExtensions):
    """CertificateRequest (RFC 9846 §4.4.2)."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_REQUEST

    request_context: bytes
    extensions: Extensions

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        request_context = reader.vector8()
        extensions = parse_extensions(reader.vector16())
        reader.finish()
        return cls(request_context, extensions)

    def encode(self) -> bytes:
        return frame(
            HandshakeType.CERTIFICATE_REQUEST,
            vector8(self.request_context) + encode_extensions(self.extensions),
        )


@dataclass(init=False)
class CertificateVerify:
    """CertificateVerify (RFC 9846 §4.5.2)."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_VERIFY

    scheme: Final[int]
    signature: Final[bytes]

    def __init__(self, scheme: int, signature: bytes) -> None:
        self.scheme = scheme
        self.signature = signature

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        scheme = reader.u16()
        signature = reader.vector16()
        reader.finish()
        return cls(scheme, signature)

    def encode(self) -> bytes:
        return frame(HandshakeType.CERTIFICATE_VERIFY, u16(self.scheme) + vector16(self.signature))

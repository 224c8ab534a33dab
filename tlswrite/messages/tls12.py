"""The messages that TLS 1.2 has and TLS 1.3 has not, or has otherwise (RFC 5246 §7.4, RFC 8422 §5).

Finished and CertificateVerify have one layout in both versions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Self

from tlswrite.codec import Reader, encode_u16s, parse_u16s, u8, u16, u32, vector8, vector16, vector24
from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import ECCurveType, HandshakeType
from tlswrite.limits import MAX_CHAIN_LENGTH
from tlswrite.messages.base import frame
from tlswrite.messages.extensions import encode_certificate_status, parse_certificate_status

__all__ = [
    "Certificate12",
    "CertificateRequest12",
    "CertificateStatus",
    "ClientKeyExchange",
    "HelloRequest",
    "NewSessionTicket12",
    "ServerHelloDone",
    "ServerKeyExchange",
]


@dataclass(frozen=True)
class HelloRequest:
    """HelloRequest (RFC 5246 §7.4.1.1): empty."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.HELLO_REQUEST

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        Reader(body).finish()
        return cls()

    def encode(self) -> bytes:
        return frame(HandshakeType.HELLO_REQUEST, b"")


@dataclass(frozen=True)
class Certificate12:
    """Certificate (RFC 5246 §7.4.2): the chain in DER, the sender's own first; empty if a client has none."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE

    entries: tuple[bytes, ...]

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        chain = reader.sub24()
        reader.finish()
        entries: list[bytes] = []
        while not chain.at_end():
            if len(entries) == MAX_CHAIN_LENGTH:
                raise DecodeError(f"more than {MAX_CHAIN_LENGTH} certificates in one chain")
            entries.append(chain.vector24(1))
        return cls(tuple(entries))

    def encode(self) -> bytes:
        return frame(HandshakeType.CERTIFICATE, vector24(b"".join(map(vector24, self.entries))))


@dataclass(frozen=True)
class CertificateStatus:
    """CertificateStatus (RFC 6066 §8): an OCSP response in DER."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_STATUS

    response: bytes

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        return cls(parse_certificate_status(body))

    def encode(self) -> bytes:
        return frame(HandshakeType.CERTIFICATE_STATUS, encode_certificate_status(self.response))


@dataclass(frozen=True)
class ServerKeyExchange:
    """ServerKeyExchange of ECDHE (RFC 8422 §5.4): the server's share on a named curve, signed."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.SERVER_KEY_EXCHANGE

    group: int
    public: bytes
    scheme: int
    signature: bytes

    @property
    def params(self) -> bytes:
        """ServerECDHParams, which is what the signature covers, behind both randoms."""
        return u8(ECCurveType.named_curve) + u16(self.group) + vector8(self.public)

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        curve_type = reader.u8()
        if curve_type != ECCurveType.named_curve:
            # RFC 8422 §5.4: explicit curves are gone.
            raise IllegalParameter(f"a ServerKeyExchange with the curve type {curve_type}")
        message = cls(reader.u16(), reader.vector8(1), reader.u16(), reader.vector16())
        reader.finish()
        return message

    def encode(self) -> bytes:
        body = self.params + u16(self.scheme) + vector16(self.signature)
        return frame(HandshakeType.SERVER_KEY_EXCHANGE, body)


@dataclass(frozen=True)
class CertificateRequest12:
    """CertificateRequest (RFC 5246 §7.4.4); `authorities` are distinguished names in DER."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.CERTIFICATE_REQUEST

    certificate_types: tuple[int, ...]
    schemes: tuple[int, ...]
    authorities: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        certificate_types = tuple(reader.vector8(1))
        schemes = parse_u16s(reader.vector16(2, 0xFFFE))
        names = reader.sub16()
        reader.finish()
        authorities: list[bytes] = []
        while not names.at_end():
            authorities.append(names.vector16(1))
        return cls(certificate_types, schemes, tuple(authorities))

    def encode(self) -> bytes:
        body = (
            vector8(bytes(self.certificate_types)),
            vector16(encode_u16s(self.schemes)),
            vector16(b"".join(map(vector16, self.authorities))),
        )
        return frame(HandshakeType.CERTIFICATE_REQUEST, b"".join(body))


@dataclass(frozen=True)
class ServerHelloDone:
    """ServerHelloDone (RFC 5246 §7.4.5): empty."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.SERVER_HELLO_DONE

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        Reader(body).finish()
        return cls()

    def encode(self) -> bytes:
        return frame(HandshakeType.SERVER_HELLO_DONE, b"")


@dataclass(frozen=True)
class ClientKeyExchange:
    """ClientKeyExchange of ECDHE (RFC 8422 §5.7): the client's share."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.CLIENT_KEY_EXCHANGE

    public: bytes

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        public = reader.vector8(1)
        reader.finish()
        return cls(public)

    def encode(self) -> bytes:
        return frame(HandshakeType.CLIENT_KEY_EXCHANGE, vector8(self.public))


@dataclass(frozen=True)
class NewSessionTicket12:
    """NewSessionTicket (RFC 5077 §3.3); `lifetime_hint` in seconds, 0: unspecified. The ticket may be empty."""

    TYPE: ClassVar[HandshakeType] = HandshakeType.NEW_SESSION_TICKET

    lifetime_hint: int
    ticket: bytes = field(repr=False)

    @classmethod
    def parse(cls, body: bytes | memoryview) -> Self:
        reader = Reader(body)
        message = cls(reader.u32(), reader.vector16())
        reader.finish()
        return message

    def encode(self) -> bytes:
        return frame(HandshakeType.NEW_SESSION_TICKET, u32(self.lifetime_hint) + vector16(self.ticket))

"""pre_shared_key: the extension by which a session is resumed in TLS 1.3 (RFC 9846 §4.3.11).

The session_ticket extension of TLS 1.2 (RFC 5077 §3.2) is the ticket itself, and so needs no code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from tlswrite.codec import Reader, only_u16, u16, u32, vector8, vector16
from tlswrite.errors import IllegalParameter

__all__ = ["OfferedPsks", "encode_selected_identity", "parse_selected_identity"]


@dataclass(frozen=True)
class OfferedPsks:
    """OfferedPsks of a ClientHello; `identities` are tickets, each with its obfuscated_ticket_age."""

    identities: tuple[tuple[bytes, int], ...] = field(repr=False)
    binders: tuple[bytes, ...] = field(repr=False)

    @property
    def binders_size(self) -> int:
        """Bytes that the list of binders takes at the end of the ClientHello (RFC 9846 §4.3.11.2)."""
        return 2 + sum(1 + len(binder) for binder in self.binders)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        reader = Reader(data)
        entries = reader.sub16(7)
        macs = reader.sub16(33)
        reader.finish()
        identities = []
        while not entries.at_end():
            identities.append((entries.vector16(1), entries.u32()))
        binders = []
        while not macs.at_end():
            binders.append(macs.vector8(32))
        if len(identities) != len(binders):
            # RFC 9846 §4.3.11: one binder for each identity, in the same order.
            raise IllegalParameter(f"{len(binders)} binders for {len(identities)} pre-shared keys")
        return cls(tuple(identities), tuple(binders))

    def encode(self) -> bytes:
        """extension_data."""
        identities = b"".join(vector16(identity) + u32(age) for identity, age in self.identities)
        return vector16(identities) + vector16(b"".join(map(vector8, self.binders)))


def parse_selected_identity(data: bytes) -> int:
    """selected_identity of a ServerHello: the index of the key that the server chose."""
    return only_u16(data)


def encode_selected_identity(selected: int) -> bytes:
    return u16(selected)

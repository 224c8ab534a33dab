"""HKDF (RFC 5869), HKDF-Expand-Label (RFC 9846 §7.1), HMAC and transcript hashes.

A handshake derives some twenty secrets, nearly all of one hash length or less, each from one HMAC: that
case is a single `hmac.digest`, and the constant part of its input (HkdfLabel) is remembered.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final, Protocol

__all__ = [
    "Hash",
    "compare",
    "hash_empty",
    "hkdf_expand",
    "hkdf_expand_label",
    "hkdf_extract",
    "hmac_digest",
    "new_hash",
]


class Hash(Protocol):
    """A running hash (`hashlib`'s objects)."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Hashes more bytes."""

    def digest(self) -> bytes:
        """The hash of what was given so far; the object goes on."""

    def copy(self) -> Hash:
        """An independent running hash in the same state."""


def hkdf_extract(hash_name: str, salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract (RFC 5869 §2.2): a pseudorandom key of one hash length."""
    return hmac.digest(salt, ikm, hash_name)


def hkdf_expand(hash_name: str, prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869 §2.3): `length` bytes, at most 255 hash lengths (ValueError)."""
    block = hmac.digest(prk, info + b"\x01", hash_name)
    if length <= len(block):
        return block[:length]
    size = len(block)
    if length > 255 * size:
        raise ValueError(f"HKDF with {hash_name} yields at most {255 * size} bytes, not {length}")
    blocks = [block]
    for counter in range(2, -(-length // size) + 1):
        block = hmac.digest(prk, block + info + bytes((counter,)), hash_name)
        blocks.append(block)
    return b"".join(blocks)[:length]


def hkdf_expand_label(hash_name: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 9846 §7.1); `label` without the "tls13 " prefix. `length` in bytes."""
    prefix = _label_prefix(label, len(context), length)
    block = hmac.digest(secret, prefix + context + b"\x01", hash_name)
    size = len(block)
    if length == size:
        return block
    if length < size:
        return block[:length]
    return hkdf_expand(hash_name, secret, prefix + context, length)


def hmac_digest(hash_name: str, key: bytes, data: bytes) -> bytes:
    """HMAC (RFC 2104) in one go."""
    return hmac.digest(key, data, hash_name)


def compare(a: bytes, b: bytes) -> bool:
    """Whether two secrets or MACs are equal, in time that does not depend on where they differ."""
    return hmac.compare_digest(a, b)


def new_hash(hash_name: str) -> Hash:
    """A fresh running hash, for a transcript (RFC 9846 §4.1)."""
    return _CONSTRUCTORS[hash_name]()


def hash_empty(hash_name: str) -> bytes:
    """The hash of no bytes: Transcript-Hash("") of the key schedule (RFC 9846 §7.1)."""
    return _EMPTY[hash_name]


_CONSTRUCTORS: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384}
_EMPTY: Final = {name: new().digest() for name, new in _CONSTRUCTORS.items()}


@lru_cache(maxsize=128)
def _label_prefix(label: bytes, context_length: int, length: int) -> bytes:
    """HkdfLabel (RFC 9846 §7.1) up to its context: uint16 length, label<7..255>, length of the context."""
    full = b"tls13 " + label
    # RFC 9846 §7.1: opaque label<7..255>, opaque context<0..255>, uint16 length.
    if not 7 <= len(full) <= 255:
        raise ValueError(f"an HKDF label has 1 to 249 bytes, not {len(label)}")
    if context_length > 255:
        raise ValueError(f"an HKDF context has at most 255 bytes, not {context_length}")
    if not 0 <= length <= 0xFFFF:
        raise ValueError(f"an HKDF output has at most 65535 bytes, not {length}")
    return length.to_bytes(2, "big") + bytes((len(full),)) + full + bytes((context_length,))

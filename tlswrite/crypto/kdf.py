"""HKDF (RFC 5869), HKDF-Expand-Label (RFC 9846 §7.1), HMAC and transcript hashes.

A handshake derives some twenty secrets, nearly all of one hash length or less, each from one HMAC; two or
three of them hang on one secret. The key of an HMAC is half of its work, so it is set up once a secret
(`hkdf_expand_labels`), and the constant part of the input (HkdfLabel) is remembered. The HMAC is `cryptography`'s,
which is set up and copied in half the time that `hmac.digest` takes with OpenSSL 3.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.hmac import HMAC

__all__ = [
    "Hash",
    "compare",
    "hash_empty",
    "hkdf_expand",
    "hkdf_expand_label",
    "hkdf_expand_labels",
    "hkdf_extract",
    "hmac_digest",
    "hmac_key",
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
    return hmac_digest(hash_name, salt, ikm)


def hkdf_expand(hash_name: str, prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869 §2.3): `length` bytes, at most 255 hash lengths (ValueError)."""
    return _expand(hmac_key(hash_name, prk), info, length)


def hkdf_expand_label(hash_name: str, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 9846 §7.1); `label` without the "tls13 " prefix. `length` in bytes."""
    return hkdf_expand_labels(hash_name, secret, ((label, context, length),))[0]


def hkdf_expand_labels(
    hash_name: str, secret: bytes, outputs: Sequence[tuple[bytes, bytes, int]]
) -> list[bytes]:
    """HKDF-Expand-Label of one secret for several labels, each with its context and length in bytes."""
    algorithm = _HASHES[hash_name]
    size = algorithm.digest_size
    keyed = HMAC(secret, algorithm)
    last = len(outputs) - 1
    expanded = []
    for index, (label, context, length) in enumerate(outputs):
        info = _label_prefix(label, len(context), length) + context
        if length > size:
            expanded.append(_expand(keyed.copy(), info, length))
            continue
        mac = keyed.copy() if index < last else keyed
        mac.update(info + b"\x01")
        expanded.append(mac.finalize()[:length])
    return expanded


def hmac_digest(hash_name: str, key: bytes, data: bytes) -> bytes:
    """HMAC (RFC 2104) in one go."""
    mac = HMAC(key, _HASHES[hash_name])
    mac.update(data)
    return mac.finalize()


def hmac_key(hash_name: str, key: bytes) -> HMAC:
    """An HMAC whose key is set up: a copy of it for each of many inputs."""
    return HMAC(key, _HASHES[hash_name])


def compare(a: bytes, b: bytes) -> bool:
    """Whether two secrets or MACs are equal, in time that does not depend on where they differ."""
    return hmac.compare_digest(a, b)


def new_hash(hash_name: str) -> Hash:
    """A fresh running hash, for a transcript (RFC 9846 §4.1)."""
    return _CONSTRUCTORS[hash_name]()


def hash_empty(hash_name: str) -> bytes:
    """The hash of no bytes: Transcript-Hash("") of the key schedule (RFC 9846 §7.1)."""
    return _EMPTY[hash_name]


_HASHES: Final[dict[str, SHA256 | SHA384]] = {"sha256": SHA256(), "sha384": SHA384()}
_CONSTRUCTORS: Final = {"sha256": hashlib.sha256, "sha384": hashlib.sha384}
_EMPTY: Final = {name: new().digest() for name, new in _CONSTRUCTORS.items()}


def _expand(keyed: HMAC, info: bytes, length: int) -> bytes:
    """HKDF-Expand under a key that is set up; any length."""
    size = keyed.algorithm.digest_size
    if length > 255 * size:
        name = keyed.algorithm.name
        raise ValueError(f"HKDF with {name} yields at most {255 * size} bytes, not {length}")
    block = output = b""
    for counter in range(1, -(-length // size) + 1):
        mac = keyed.copy()
        mac.update(block + info + bytes((counter,)))
        block = mac.finalize()
        output += block
    return output[:length]


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

"""Record protection primitives: an AEAD object of a suite, under a key (RFC 9846 §5.2).

The classes of `cryptography` are used as they are, so that a caller binds their methods once a key
change and pays for nothing in between.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from cryptography.exceptions import InvalidTag

from tlswrite.crypto.suites import Suite

__all__ = ["AEAD", "INVALID_TAG", "new_aead"]

#: Raised by `decrypt` and `decrypt_into` when the tag does not fit: the record is to be refused with
#: bad_record_mac (RFC 9846 §5.2).
INVALID_TAG = InvalidTag

Buffer: TypeAlias = bytes | bytearray | memoryview


class AEAD(Protocol):
    """Authenticated encryption with associated data, under one key. The tag follows the ciphertext."""

    def encrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None) -> bytes:
        """Ciphertext and tag of `data`."""

    def decrypt(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None) -> bytes:
        """The plaintext; raises INVALID_TAG."""

    def encrypt_into(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None, buf: Buffer) -> int:
        """Writes ciphertext and tag into `buf`, which is exactly that long; the bytes written."""

    def decrypt_into(self, nonce: Buffer, data: Buffer, associated_data: Buffer | None, buf: Buffer) -> int:
        """Writes the plaintext into `buf`, which is exactly that long; raises INVALID_TAG."""


def new_aead(suite: Suite, key: bytes) -> AEAD:
    """The AEAD of `suite` under `key` (`suite.key_length` bytes; ValueError otherwise)."""
    if len(key) != suite.key_length:
        raise ValueError(f"{suite.name} takes a key of {suite.key_length} bytes, not {len(key)}")
    return suite.aead(key)

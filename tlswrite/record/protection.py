"""Protection of one direction: a sealer or an opener is made at each key change and dropped at the next.

What a key change decides (bound AEAD methods, nonce mask, limits) is fetched once here, never once a
record. A sealer and an opener own their sequence number; nothing can rewind it, so no nonce is used twice
(RFC 9846 §5.3).

A sealer grows a record by at most `limits.RECORD_OVERHEAD` bytes over its content and padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from tlswrite import limits
from tlswrite.crypto.aead import INVALID_TAG, new_aead
from tlswrite.crypto.suites import Suite
from tlswrite.errors import BadRecordMAC, IllegalParameter, InternalError, RecordOverflow, UnexpectedMessage
from tlswrite.iana import ContentType

__all__ = ["NullOpener", "NullSealer", "Opener", "Padding", "Sealer", "TLS13Opener", "TLS13Sealer"]

#: A record padding policy: content length in bytes -> zero bytes to add (RFC 9846 §5.4).
Padding = Callable[[int], int]

#: The outer type and legacy_record_version of every protected record (RFC 9846 §5.2).
_OPAQUE: Final = b"\x17\x03\x03"
_TYPES: Final = tuple(bytes((value,)) for value in range(256))


class Sealer(Protocol):
    """Protects the records of one direction under one key."""

    sequence: int
    record_limit: int
    #: Largest content of one record, in bytes.
    max_content: int
    padded: bool

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        """One whole record, header included."""

    def seal_into(self, content_type: int, content: memoryview, window: memoryview, at: int) -> int:
        """Stage `content` in `window` from `at` on and seal it in place; returns the end of the record."""


class Opener(Protocol):
    """Opens the records of one direction under one key."""

    sequence: int
    content_type: int
    #: Largest `length` field of a record header.
    max_fragment: int
    protects: bool

    def open_into(self, buffer: memoryview, start: int, stop: int, out: memoryview, at: int) -> int:
        """Open the record `buffer[start:stop]` into `out` from `at` on.

        Returns the end of the content in `out` and sets `content_type`. `out` needs room for the
        whole fragment.
        """


class NullSealer:
    """No protection: TLSPlaintext (RFC 9846 §5.1)."""

    __slots__ = ("legacy_version", "max_content", "padded", "record_limit", "sequence")

    def __init__(self, legacy_version: int = 0x0303) -> None:
        self.legacy_version = legacy_version
        self.max_content = limits.MAX_PLAINTEXT
        self.padded = False
        self.sequence = 0
        self.record_limit = limits.MAX_SEQUENCE_NUMBER

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        version = self.legacy_version.to_bytes(2, "big")
        return b"".join((_TYPES[content_type], version, len(content).to_bytes(2, "big"), content))

    def seal_into(self, content_type: int, content: memoryview, window: memoryview, at: int) -> int:
        # Application data is never sent unprotected (RFC 9846 §5).
        raise InternalError("application data cannot be sent without protection")


class NullOpener:
    """No protection: TLSPlaintext (RFC 9846 §5.1)."""

    __slots__ = ("content_type", "max_fragment", "protects", "sequence")

    def __init__(self) -> None:
        self.content_type = 0
        self.max_fragment = limits.MAX_PLAINTEXT
        self.protects = False
        self.sequence = 0

    def open_into(self, buffer: memoryview, start: int, stop: int, out: memoryview, at: int) -> int:
        content_type = buffer[start]
        # RFC 9846 §5.1: application data in the clear is refused like any other unexpected type.
        if content_type == ContentType.APPLICATION_DATA:
            raise UnexpectedMessage("application data without protection")
        self.content_type = content_type
        content = buffer[start + limits.RECORD_HEADER : stop]
        end = at + len(content)
        out[at:end] = content
        return end


class TLS13Sealer:
    """TLSCiphertext (RFC 9846 §5.2–5.4) under one traffic key.

    `max_inner` is the largest TLSInnerPlaintext in bytes: content, type and padding together, which is
    what record_size_limit counts (RFC 8449 §4).
    """

    __slots__ = (
        "_encrypt",
        "_encrypt_into",
        "_header",
        "_header_length",
        "_mask",
        "_padding",
        "max_content",
        "padded",
        "record_limit",
        "sequence",
    )

    def __init__(
        self,
        suite: Suite,
        key: bytes,
        iv: bytes,
        *,
        max_inner: int = limits.MAX_PLAINTEXT + 1,
        padding: Padding | None = None,
        record_limit: int | None = None,
    ) -> None:
        aead = new_aead(suite, key)
        self._encrypt = aead.encrypt
        self._encrypt_into = aead.encrypt_into
        self._mask = int.from_bytes(iv, "big")
        self._padding = padding
        self._header = b""
        self._header_length = 0
        self.padded = padding is not None
        self.max_content = max_inner - 1
        self.sequence = 0
        self.record_limit = suite.record_limit if record_limit is None else record_limit

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        if self._padding is not None:
            inner = b"".join((content, _TYPES[content_type], bytes(self._pad(len(content)))))
        elif type(content) is bytes:
            inner = content + _TYPES[content_type]
        else:
            inner = b"".join((content, _TYPES[content_type]))
        length = len(inner) + limits.TAG
        # One sender's records tend to be of one size: the last header is kept.
        if length != self._header_length:
            self._header = _OPAQUE + length.to_bytes(2, "big")
            self._header_length = length
        header = self._header
        sequence = self.sequence
        self.sequence = sequence + 1
        # RFC 9846 §5.3: the nonce is the sequence number, XORed with the static IV.
        return header + self._encrypt((self._mask ^ sequence).to_bytes(12, "big"), inner, header)

    def seal_into(self, content_type: int, content: memoryview, window: memoryview, at: int) -> int:
        body = at + limits.RECORD_HEADER
        end = body + len(content)
        window[body:end] = content
        window[end] = content_type
        end += 1
        if self._padding is not None:
            pad = self._pad(len(content))
            window[end : end + pad] = bytes(pad)
            end += pad
        stop = end + limits.TAG
        length = stop - body
        if length != self._header_length:
            self._header = _OPAQUE + length.to_bytes(2, "big")
            self._header_length = length
        header = self._header
        window[at:body] = header
        sequence = self.sequence
        self.sequence = sequence + 1
        nonce = (self._mask ^ sequence).to_bytes(12, "big")
        self._encrypt_into(nonce, window[body:end], header, window[body:stop])
        return stop

    def _pad(self, length: int) -> int:
        # RFC 9846 §5.4: padding never takes a record over its size limit.
        assert self._padding is not None
        return max(0, min(self._padding(length), self.max_content - length))


class TLS13Opener:
    """TLSCiphertext (RFC 9846 §5.2–5.4) under one traffic key."""

    __slots__ = (
        "_decrypt_into",
        "_mask",
        "_max_inner",
        "content_type",
        "max_fragment",
        "protects",
        "sequence",
    )

    def __init__(
        self,
        suite: Suite,
        key: bytes,
        iv: bytes,
        *,
        max_inner: int = limits.MAX_PLAINTEXT + 1,
    ) -> None:
        self._decrypt_into = new_aead(suite, key).decrypt_into
        self._mask = int.from_bytes(iv, "big")
        self._max_inner = max_inner
        # RFC 9846 §5.2: up to 2^14 + 256 bytes are a record; what it may hold is checked once opened.
        self.max_fragment = limits.MAX_CIPHERTEXT
        self.content_type = 0
        self.protects = True
        self.sequence = 0

    def open_into(self, buffer: memoryview, start: int, stop: int, out: memoryview, at: int) -> int:
        body = start + 5
        last = at + stop - body - 16
        sequence = self.sequence
        try:
            self._decrypt_into(
                (self._mask ^ sequence).to_bytes(12, "big"),
                buffer[body:stop],
                buffer[start:body],
                out[at:last],
            )
        except (INVALID_TAG, ValueError):
            # RFC 9846 §5.2: every deprotection failure is bad_record_mac, a fragment too short for
            # its tag included.
            raise BadRecordMAC("a record could not be deprotected") from None
        self.sequence = sequence + 1
        if last - at > self._max_inner:
            # RFC 9846 §5.4, RFC 8449 §4: the whole inner plaintext counts, padding included.
            raise RecordOverflow(f"a record of {last - at} bytes, over the limit of {self._max_inner}")
        last -= 1
        if last < at or not (content_type := out[last]):
            last, content_type = self._unpad(out, at, last)
        self.content_type = content_type
        return last

    @staticmethod
    def _unpad(out: memoryview, at: int, last: int) -> tuple[int, int]:
        inner = bytes(out[at : last + 1]).rstrip(b"\0")
        if not inner:
            # RFC 9846 §5.4: no non-zero octet: terminate with unexpected_message.
            raise UnexpectedMessage("a record of nothing but padding")
        return at + len(inner) - 1, inner[-1]


def check_record_size_limit(value: int) -> int:
    """A peer's record_size_limit as `max_inner` of its records (RFC 8449 §4)."""
    if value < limits.MIN_RECORD_SIZE_LIMIT:
        raise IllegalParameter(f"record_size_limit {value} is below 64")
    return min(value, limits.MAX_PLAINTEXT + 1)

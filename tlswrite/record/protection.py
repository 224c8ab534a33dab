"""Protection of one direction: a sealer or an opener is made at each key change and dropped at the next.

What a key change decides (AEAD, nonce mask, limits) is fetched once here, never once a record. The AEAD's method
for single records is bound; the one for runs of them is looked up once a run, which spares an idle connection two
bound methods. A sealer and an opener own their sequence number; nothing can rewind it, so no nonce is used twice
(RFC 9846 §5.3).

A sealer grows a record by its `overhead` over content and padding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tlswrite import limits
from tlswrite.crypto.aead import INVALID_TAG, new_aead
from tlswrite.crypto.suites import Suite
from tlswrite.errors import BadRecordMAC, IllegalParameter, InternalError, RecordOverflow, UnexpectedMessage
from tlswrite.record.window import Slot, Window

__all__ = ["NullSealer", "Opener", "Padding", "Sealer", "TLS13Opener", "TLS13Sealer"]

#: A record padding policy: content length in bytes -> zero bytes to add (RFC 9846 §5.4).
Padding = Callable[[int], int]

#: The outer type and legacy_record_version of every protected record (RFC 9846 §5.2).
_OPAQUE: Final = b"\x17\x03\x03"
#: The header of a record with `limits.MAX_PLAINTEXT` bytes of content.
_WHOLE_HEADER: Final = _OPAQUE + (limits.MAX_PLAINTEXT + 1 + limits.TAG).to_bytes(2, "big")
#: Length of that record.
_WHOLE: Final = limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD
_BYTES: Final = tuple(bytes((value,)) for value in range(256))


class Sealer(ABC):
    """Protects the records of one direction under one key."""

    __slots__ = ("max_content", "overhead", "padded", "record_limit", "sequence")

    sequence: int
    record_limit: int
    #: Largest content of one record, in bytes.
    max_content: int
    #: Growth of a record over its content and padding, header included, in bytes.
    overhead: int
    padded: bool

    @abstractmethod
    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        """One whole record, header included."""

    @abstractmethod
    def seal_run(self, content: memoryview, at: int, window: Window, end: int, records: int) -> int:
        """Stage application data `content[at:]` in `window` from `end` on and seal it in place.

        At most `records` records, each of `max_content` bytes but the last of the content. Returns the end of
        the last record in `window`.
        """

    def slots(self, window: Window, end: int) -> tuple[Slot, ...]:
        """The places in `window` from `end` on for `seal_slots`; none for padded, limited or TLS 1.2's records."""
        del window, end
        return ()

    def seal_slots(self, contents: Sequence[bytes | memoryview], slots: Iterable[Slot]) -> None:
        """Stage `contents`, of `limits.MAX_PLAINTEXT` bytes each, in the first of `slots` and seal them in place.

        That the key lasts for them (`record_limit`) is the caller's to see.
        """
        raise InternalError("these records are none that fit a slot")


class Opener(ABC):
    """Opens the records of one direction under one key."""

    __slots__ = ("content_type", "mark", "max_fragment", "protects_all", "sequence")

    sequence: int
    #: Type of the last record opened, and where its content begins in the output.
    content_type: int
    mark: int
    #: Largest `length` field of a record header.
    max_fragment: int
    #: Every record is protected and has its real type outside (TLS 1.2): see `open_record`.
    protects_all: bool

    @abstractmethod
    def open_run(self, buffer: memoryview, start: int, end: int, out: memoryview, at: int) -> tuple[int, int]:
        """Open the records of `buffer[start:end]` back to back into `out` from `at` on.

        It stops behind a record that is not application data or has no content, and before one that is
        incomplete, has another outer type, is over `max_fragment`, or might not fit into `out` (the whole
        fragment must). Returns where it stopped in `buffer` and in `out`. Raises PeerError; what was opened
        before it ends at `mark`.
        """

    @abstractmethod
    def open_in_place(
        self,
        buffer: memoryview,
        start: int,
        end: int,
        contents: list[memoryview],
        slots: tuple[Slot, ...] = (),
    ) -> int:
        """Open the records of `buffer[start:end]` where they lie and append the content of each to `contents`.

        `slots` are the views that there are of whole records from `buffer[start]` on: what they fit is not sliced
        anew. It stops where `open_run` does, but for room; returns where in `buffer`. The content of a record that
        is not application data, or has none, is the last of `contents`. Raises PeerError: `contents` then has what
        was opened before, and `buffer` is spoilt from there on.
        """

    @abstractmethod
    def open_single(self, header: memoryview, fragment: memoryview) -> bytes:
        """The content of one application record; empty, and nothing done, where it is anything else."""

    @abstractmethod
    def open_record(self, header: memoryview, fragment: memoryview) -> bytes:
        """The content of a record of any type, where `protects_all`. Raises PeerError."""


class NullSealer(Sealer):
    """No protection: TLSPlaintext (RFC 9846 §5.1)."""

    __slots__ = ("legacy_version",)

    def __init__(self, legacy_version: int = 0x0303) -> None:
        self.legacy_version = legacy_version
        self.max_content = limits.MAX_PLAINTEXT
        self.overhead = limits.RECORD_HEADER
        self.padded = False
        self.sequence = 0
        self.record_limit = limits.MAX_SEQUENCE_NUMBER

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        version = self.legacy_version.to_bytes(2, "big")
        return b"".join((_BYTES[content_type], version, len(content).to_bytes(2, "big"), content))

    def seal_run(self, content: memoryview, at: int, window: Window, end: int, records: int) -> int:
        # Application data is never sent unprotected (RFC 9846 §5).
        raise InternalError("application data cannot be sent without protection")


class TLS13Sealer(Sealer):
    """TLSCiphertext (RFC 9846 §5.2–5.4) under one traffic key.

    `max_inner` is the largest TLSInnerPlaintext in bytes: content, type and padding together, which is
    what record_size_limit counts (RFC 8449 §4).
    """

    __slots__ = (
        "_aead",
        "_beginning",
        "_block",
        "_encrypt",
        "_header",
        "_header_length",
        "_last",
        "_mask",
        "_padding",
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
        aead = self._aead = new_aead(suite, key)
        self._encrypt = aead.encrypt
        self._mask = int.from_bytes(iv, "big")
        #: For single records: the last byte of the IV; the sequence number without its last byte, and the nonce so.
        self._last = iv[-1]
        self._block = -1
        self._beginning = b""
        self._padding = padding
        self._header = b""
        self._header_length = 0
        self.padded = padding is not None
        self.max_content = max_inner - 1
        self.overhead = limits.RECORD_OVERHEAD
        self.sequence = 0
        self.record_limit = suite.record_limit if record_limit is None else record_limit

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        if self._padding is not None:
            inner = b"".join((content, _BYTES[content_type], bytes(self._pad(len(content)))))
        elif type(content) is bytes:
            inner = content + _BYTES[content_type]
        else:
            inner = b"".join((content, _BYTES[content_type]))
        length = len(inner) + limits.TAG
        # One sender's records tend to be of one size: the last header is kept.
        if length != self._header_length:
            self._header = _OPAQUE + length.to_bytes(2, "big")
            self._header_length = length
        header = self._header
        sequence = self.sequence
        self.sequence = sequence + 1
        # RFC 9846 §5.3: the nonce is the sequence number, XORed with the static IV. 256 of them differ in a byte.
        # (So in `open_single`: a call to share four lines would cost what they spare.)
        if sequence >> 8 != self._block:
            self._block = sequence >> 8
            self._beginning = (self._mask ^ sequence).to_bytes(12, "big")[:11]
        nonce = self._beginning + _BYTES[self._last ^ (sequence & 255)]
        return header + self._encrypt(nonce, inner, header)

    def seal_run(self, content: memoryview, at: int, window: Window, end: int, records: int) -> int:
        size = self.max_content
        left = len(content) - at
        mask = self._mask
        encrypt_into = self._aead.encrypt_into
        sequence = self.sequence
        view = window.view
        if left >= size and (slots := self.slots(window, end)):
            # Whole records where a window has them: nothing but the content is sliced. (A loop of its own beside
            # the one of `seal_slots`, which would have to be given the slices: that costs a twentieth of this.)
            slots = slots[: min(records, left // size)]
            # The numbers are used up before anything is sealed under them.
            self.sequence = sequence + len(slots)
            for header_view, body_view, inner, fragment in slots:
                header_view[:] = _WHOLE_HEADER
                body_view[:] = content[at : at + size]
                inner[-1] = 23
                encrypt_into((mask ^ sequence).to_bytes(12, "big"), inner, _WHOLE_HEADER, fragment)
                sequence += 1
                at += size
            left -= len(slots) * size
            end += len(slots) * _WHOLE
            records -= len(slots)
        while records and left:
            if left < size:
                size = left
            body = end + 5
            last = body + size
            view[body:last] = content[at : at + size]
            view[last] = 23
            last += 1
            if self._padding is not None:
                pad = self._pad(size)
                view[last : last + pad] = bytes(pad)
                last += pad
            stop = last + 16
            view[end:body] = header = _OPAQUE + (stop - body).to_bytes(2, "big")
            # The number is used up before anything is sealed under it.
            self.sequence = sequence + 1
            encrypt_into((mask ^ sequence).to_bytes(12, "big"), view[body:last], header, view[body:stop])
            sequence += 1
            at += size
            left -= size
            end = stop
            records -= 1
        return end

    def slots(self, window: Window, end: int) -> tuple[Slot, ...]:
        if self.max_content != limits.MAX_PLAINTEXT or self.padded:
            return ()
        return window.slots.get(end, ())

    def seal_slots(self, contents: Sequence[bytes | memoryview], slots: Iterable[Slot]) -> None:
        mask = self._mask
        encrypt_into = self._aead.encrypt_into
        sequence = self.sequence
        # The numbers are used up before anything is sealed under them.
        self.sequence = sequence + len(contents)
        for content, (header, body, inner, fragment) in zip(contents, slots, strict=False):
            header[:] = _WHOLE_HEADER
            body[:] = content
            inner[-1] = 23
            encrypt_into((mask ^ sequence).to_bytes(12, "big"), inner, _WHOLE_HEADER, fragment)
            sequence += 1

    def _pad(self, length: int) -> int:
        # RFC 9846 §5.4: padding never takes a record over its size limit.
        assert self._padding is not None
        return max(0, min(self._padding(length), self.max_content - length))


class TLS13Opener(Opener):
    """TLSCiphertext (RFC 9846 §5.2–5.4) under one traffic key."""

    __slots__ = (
        "_aead",
        "_beginning",
        "_block",
        "_decrypt",
        "_last",
        "_mask",
        "max_inner",
    )

    def __init__(
        self,
        suite: Suite,
        key: bytes,
        iv: bytes,
        *,
        max_inner: int = limits.MAX_PLAINTEXT + 1,
    ) -> None:
        aead = self._aead = new_aead(suite, key)
        self._decrypt = aead.decrypt
        self._mask = int.from_bytes(iv, "big")
        #: For single records: the last byte of the IV; the sequence number without its last byte, and the nonce so.
        self._last = iv[-1]
        self._block = -1
        self._beginning = b""
        #: Largest TLSInnerPlaintext accepted, in bytes: our record_size_limit once it is agreed on.
        self.max_inner = max_inner
        # RFC 9846 §5.2: up to 2^14 + 256 bytes are a record; what it may hold is checked once opened.
        self.max_fragment = limits.MAX_CIPHERTEXT
        self.protects_all = False
        self.content_type = 0
        self.mark = 0
        self.sequence = 0

    def open_run(self, buffer: memoryview, start: int, end: int, out: memoryview, at: int) -> tuple[int, int]:
        decrypt_into = self._aead.decrypt_into
        mask = self._mask
        sequence = self.sequence
        max_inner = self.max_inner
        room = len(out)
        content_type = self.content_type = 23
        while content_type == 23 and end - start >= 5 and buffer[start] == 23:
            length = (buffer[start + 3] << 8) | buffer[start + 4]
            body = start + 5
            stop = body + length
            if stop > end or at + length > room or length > 16640:
                break
            self.mark = at
            last = at + length - 16
            try:
                decrypt_into(
                    (mask ^ sequence).to_bytes(12, "big"), buffer[body:stop], buffer[start:body], out[at:last]
                )
            except (INVALID_TAG, ValueError):
                # RFC 9846 §5.2: every deprotection failure is bad_record_mac, a fragment too short for
                # its tag included.
                raise BadRecordMAC("a record could not be deprotected") from None
            self.sequence = sequence = sequence + 1
            if last - at > max_inner:
                # RFC 9846 §5.4, RFC 8449 §4: the whole inner plaintext counts, padding included.
                raise RecordOverflow(f"a record of {last - at} bytes, over the limit of {max_inner}")
            start = stop
            last -= 1
            if last < at or (content_type := out[last]) != 23:
                last, content_type = self._unpad(out, at, last)
                self.content_type = content_type
            if last == at:
                break
            at = last
        return start, at

    def open_in_place(
        self,
        buffer: memoryview,
        start: int,
        end: int,
        contents: list[memoryview],
        slots: tuple[Slot, ...] = (),
    ) -> int:
        decrypt_into = self._aead.decrypt_into
        mask = self._mask
        sequence = self.sequence
        max_inner = self.max_inner
        content_type = self.content_type = 23
        for header, content, inner, fragment in slots[: (end - start) // _WHOLE]:
            if header != _WHOLE_HEADER:
                break
            try:
                decrypt_into((mask ^ sequence).to_bytes(12, "big"), fragment, _WHOLE_HEADER, inner)
            except INVALID_TAG:
                raise BadRecordMAC("a record could not be deprotected") from None
            self.sequence = sequence = sequence + 1
            if max_inner <= limits.MAX_PLAINTEXT:
                raise RecordOverflow(f"a record of {len(inner)} bytes, over the limit of {max_inner}")
            start += _WHOLE
            if inner[-1] != 23:
                last, content_type = self._unpad(inner, 0, limits.MAX_PLAINTEXT)
                self.content_type = content_type
                content = inner[:last]
            contents.append(content)
            if content_type != 23 or not content:
                return start
        while content_type == 23 and end - start >= 5 and buffer[start] == 23:
            length = (buffer[start + 3] << 8) | buffer[start + 4]
            body = start + 5
            stop = body + length
            if stop > end or length > 16640:
                break
            fragment = buffer[body:stop]
            inner = fragment[:-16]
            try:
                decrypt_into((mask ^ sequence).to_bytes(12, "big"), fragment, buffer[start:body], inner)
            except (INVALID_TAG, ValueError):
                # RFC 9846 §5.2, as in open_run.
                raise BadRecordMAC("a record could not be deprotected") from None
            self.sequence = sequence = sequence + 1
            last = length - 17
            if last >= max_inner:
                # RFC 9846 §5.4, RFC 8449 §4, as in open_run.
                raise RecordOverflow(f"a record of {last + 1} bytes, over the limit of {max_inner}")
            start = stop
            if last < 0 or inner[last] != 23:
                last, content_type = self._unpad(inner, 0, last)
                self.content_type = content_type
            contents.append(inner[:last])
            if not last:
                break
        return start

    def open_single(self, header: memoryview, fragment: memoryview) -> bytes:
        sequence = self.sequence
        if sequence >> 8 != self._block:
            self._block = sequence >> 8
            self._beginning = (self._mask ^ sequence).to_bytes(12, "big")[:11]
        nonce = self._beginning + _BYTES[self._last ^ (sequence & 255)]
        try:
            inner = self._decrypt(nonce, fragment, header)
        except (INVALID_TAG, ValueError):
            return b""
        if not 1 < len(inner) <= self.max_inner or inner[-1] != 23:
            return b""
        self.sequence = sequence + 1
        return inner[:-1]

    def open_record(self, header: memoryview, fragment: memoryview) -> bytes:
        # In TLS 1.3 a protected record looks like application data (RFC 9846 §5.2).
        raise InternalError("a protected record of TLS 1.3 has its type inside")

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

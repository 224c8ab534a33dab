"""Protection of one direction in TLS 1.2 (RFC 5246 §6.2.3.3, RFC 5288 §3, RFC 7905 §2).

What differs from TLS 1.3: the outer type is the real one and every type is protected; there is no padding; the
additional data are sequence number, type, version and length of the plaintext; and AES-GCM sends eight bytes of its
nonce in front of each record, for which the sequence number is used, so that no nonce comes twice.

Type and version of the additional data are taken from the header as it came: a changed one is a wrong tag.
"""

from __future__ import annotations

from typing import Final

from tlswrite import limits
from tlswrite.crypto.aead import INVALID_TAG, new_aead
from tlswrite.crypto.suites import Suite
from tlswrite.errors import BadRecordMAC, RecordOverflow
from tlswrite.iana import ContentType
from tlswrite.record.protection import Opener, Sealer
from tlswrite.record.window import Slot, Window

__all__ = ["TLS12Opener", "TLS12Sealer"]

_APPLICATION_DATA: Final = int(ContentType.APPLICATION_DATA)
#: Type and version of a header.
_HEADS: Final = tuple(bytes((value, 3, 3)) for value in range(256))


class TLS12Sealer(Sealer):
    """Seals the records of one direction; `max_content` is the largest plaintext of a record, in bytes."""

    __slots__ = (
        "_aead",
        "_encrypt",
        "_explicit",
        "_iv",
        "_mask",
    )

    def __init__(
        self,
        suite: Suite,
        key: bytes,
        iv: bytes,
        *,
        max_content: int = limits.MAX_PLAINTEXT,
        record_limit: int | None = None,
    ) -> None:
        aead = self._aead = new_aead(suite, key)
        self._encrypt = aead.encrypt
        self._explicit = suite.explicit_nonce
        self._iv = iv
        self._mask = int.from_bytes(iv, "big")
        self.max_content = max_content
        self.overhead = limits.RECORD_HEADER + suite.explicit_nonce + limits.TAG
        self.padded = False
        self.sequence = 0
        self.record_limit = suite.record_limit if record_limit is None else record_limit

    def seal(self, content_type: int, content: bytes | memoryview) -> bytes:
        head = _HEADS[content_type]
        size = len(content)
        sequence = self.sequence
        # The number is used up before anything is sealed under it.
        self.sequence = sequence + 1
        number = sequence.to_bytes(8, "big")
        additional = number + head + size.to_bytes(2, "big")
        if self._explicit:
            # RFC 5288 §3: salt, and nonce_explicit, which is sent.
            fragment = self._encrypt(self._iv + number, content, additional)
            return b"".join((head, (len(fragment) + 8).to_bytes(2, "big"), number, fragment))
        # RFC 7905 §2: the padded sequence number, XORed with the IV.
        fragment = self._encrypt((self._mask ^ sequence).to_bytes(12, "big"), content, additional)
        return b"".join((head, len(fragment).to_bytes(2, "big"), fragment))

    def seal_run(self, content: memoryview, at: int, window: Window, end: int, records: int) -> int:
        size = self.max_content
        left = len(content) - at
        explicit = self._explicit
        iv, mask = self._iv, self._mask
        encrypt_into = self._aead.encrypt_into
        view = window.view
        head = _HEADS[_APPLICATION_DATA]
        while records and left:
            if left < size:
                size = left
            sequence = self.sequence
            self.sequence = sequence + 1
            number = sequence.to_bytes(8, "big")
            body = end + 5
            start = body + explicit
            last = start + size
            stop = last + 16
            view[end:body] = head + (stop - body).to_bytes(2, "big")
            if explicit:
                view[body:start] = number
                nonce = iv + number
            else:
                nonce = (mask ^ sequence).to_bytes(12, "big")
            view[start:last] = content[at : at + size]
            encrypt_into(nonce, view[start:last], number + head + size.to_bytes(2, "big"), view[start:stop])
            at += size
            left -= size
            end = stop
            records -= 1
        return end


class TLS12Opener(Opener):
    """Opens the records of one direction; `max_content` is the largest plaintext of a record, in bytes."""

    __slots__ = (
        "_aead",
        "_decrypt",
        "_explicit",
        "_iv",
        "_mask",
        "_overhead",
        "max_content",
    )

    def __init__(
        self, suite: Suite, key: bytes, iv: bytes, *, max_content: int = limits.MAX_PLAINTEXT
    ) -> None:
        aead = self._aead = new_aead(suite, key)
        self._decrypt = aead.decrypt
        self._explicit = suite.explicit_nonce
        self._iv = iv
        self._mask = int.from_bytes(iv, "big")
        self._overhead = suite.explicit_nonce + limits.TAG
        self.max_content = max_content
        # A fragment that is longer holds more than a record may (RFC 5246 §6.2.3): "record_overflow" as well.
        self.max_fragment = limits.MAX_PLAINTEXT + self._overhead
        self.protects_all = True
        self.content_type = _APPLICATION_DATA
        self.mark = 0
        self.sequence = 0

    def open_run(self, buffer: memoryview, start: int, end: int, out: memoryview, at: int) -> tuple[int, int]:
        decrypt_into = self._aead.decrypt_into
        explicit, overhead, most = self._explicit, self._overhead, self.max_content
        room = len(out)
        self.content_type = _APPLICATION_DATA
        while end - start >= 5 and buffer[start] == _APPLICATION_DATA:
            length = (buffer[start + 3] << 8) | buffer[start + 4]
            body = start + 5
            stop = body + length
            if stop > end or at + length > room or length > self.max_fragment:
                break
            self.mark = at
            size = length - overhead
            last = at + size
            try:
                decrypt_into(
                    self._nonce(buffer, body),
                    buffer[body + explicit : stop],
                    self._additional(buffer[start : start + 3], size),
                    out[at:last],
                )
            except (INVALID_TAG, ValueError, OverflowError):
                # RFC 5246 §7.2.2: "bad_record_mac", also for a fragment too short for its tag.
                raise BadRecordMAC("a record could not be deprotected") from None
            self.sequence += 1
            if size > most:
                raise RecordOverflow(f"a record of {size} bytes, over the limit of {most}")
            start = stop
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
        del slots  # they are TLS 1.3's
        decrypt_into = self._aead.decrypt_into
        explicit, overhead, most = self._explicit, self._overhead, self.max_content
        self.content_type = _APPLICATION_DATA
        while end - start >= 5 and buffer[start] == _APPLICATION_DATA:
            length = (buffer[start + 3] << 8) | buffer[start + 4]
            body = start + 5
            stop = body + length
            if stop > end or length > self.max_fragment:
                break
            size = length - overhead
            sealed = buffer[body + explicit : stop]
            content = sealed[:-16]
            try:
                decrypt_into(
                    self._nonce(buffer, body),
                    sealed,
                    self._additional(buffer[start : start + 3], size),
                    content,
                )
            except (INVALID_TAG, ValueError, OverflowError):
                # RFC 5246 §7.2.2, as in open_run.
                raise BadRecordMAC("a record could not be deprotected") from None
            self.sequence += 1
            if size > most:
                raise RecordOverflow(f"a record of {size} bytes, over the limit of {most}")
            start = stop
            contents.append(content)
            if not size:
                break
        return start

    def open_single(self, header: memoryview, fragment: memoryview) -> bytes:
        size = len(fragment) - self._overhead
        if not 0 < size <= self.max_content:
            return b""
        try:
            plaintext = self._decrypt(
                self._nonce(fragment, 0), fragment[self._explicit :], self._additional(header[:3], size)
            )
        except INVALID_TAG:
            return b""
        self.sequence += 1
        return plaintext

    def open_record(self, header: memoryview, fragment: memoryview) -> bytes:
        """The content of a record of any type. Raises BadRecordMAC, RecordOverflow."""
        size = len(fragment) - self._overhead
        try:
            content = self._decrypt(
                self._nonce(fragment, 0), fragment[self._explicit :], self._additional(header[:3], size)
            )
        except (INVALID_TAG, ValueError, OverflowError):
            raise BadRecordMAC("a record could not be deprotected") from None
        self.sequence += 1
        if size > self.max_content:
            raise RecordOverflow(f"a record of {size} bytes, over the limit of {self.max_content}")
        return content

    def _nonce(self, data: memoryview, at: int) -> bytes:
        """The nonce of a record whose fragment begins at `data[at]`."""
        if self._explicit:
            return self._iv + data[at : at + 8]
        return (self._mask ^ self.sequence).to_bytes(12, "big")

    def _additional(self, head: memoryview, size: int) -> bytes:
        return b"".join((self.sequence.to_bytes(8, "big"), head, size.to_bytes(2, "big")))

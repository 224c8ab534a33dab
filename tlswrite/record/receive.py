"""The receive path: ciphertext in, opened records out, one record at a time.

Theory of operation. The driver reads from its socket into a buffer that all connections of a loop share and
lends it (`feed`); records are opened where they lie, or into another buffer (`open_into`). What is left when no
whole record remains, the beginning of the next record, is copied into `tail` (`reclaim`), and that is all a
connection keeps between two reads. Whoever has no buffer to lend (the memory carrier) gives bytes (`append`).

Application data of consecutive records is opened back to back into one output buffer, since the inner type
byte of a record is overwritten by the next record. A control record stops it: its message may change the
key of the record behind it.

Invariants:
* a record is opened once, in order; what came intact before a fault is delivered, nothing behind it;
* `application_data_allowed` is false before the handshake is complete and while a handshake message is
  incomplete, since its fragments must not be interleaved with other records (RFC 9846 §5.1);
* records that make no progress are counted, and a flood of them is refused.

Refused: opening ahead of the driver (the key may change), a copy of the input to make it contiguous.
"""

from __future__ import annotations

from typing import Final

from tlswrite import limits
from tlswrite.errors import (
    BadRecordMAC,
    DecodeError,
    PeerError,
    RecordOverflow,
    TooMuchError,
    UnexpectedMessage,
)
from tlswrite.iana import ContentType, name_of
from tlswrite.record.codes import CONTROL, WANT_READ
from tlswrite.record.protection import Opener
from tlswrite.record.window import Slot

__all__ = ["OUT_ROOM", "ReceivePath"]

#: Room that `open_into` needs to be sure of opening one record, in bytes.
OUT_ROOM: Final = limits.MAX_CIPHERTEXT

_APPLICATION_DATA: Final = int(ContentType.APPLICATION_DATA)
_CHANGE_CIPHER_SPEC: Final = int(ContentType.CHANGE_CIPHER_SPEC)
_ALERT: Final = int(ContentType.ALERT)
_HANDSHAKE: Final = int(ContentType.HANDSHAKE)
_NOTHING: Final = memoryview(b"")


class ReceivePath:
    """One direction of a connection: ciphertext in, plaintext and control records out."""

    __slots__ = (
        "_buffer",
        "_control",
        "_end",
        "_failure",
        "_idle_records",
        "_opener",
        "_own",
        "_start",
        "application_data_allowed",
        "change_cipher_spec_expected",
        "compatibility_ccs_allowed",
        "content_type",
        "delivered",
        "early_data_room",
        "fragment",
        "more",
        "plaintext_alert_allowed",
        "tail",
    )

    def __init__(self) -> None:
        #: None: no protection, TLSPlaintext (RFC 9846 §5.1).
        self._opener: Opener | None = None
        self._buffer = _NOTHING
        self._own: bytearray | None = None
        self._start = 0
        self._end = 0
        self._control = False
        #: A fault behind application data that had to be delivered first.
        self._failure: PeerError | None = None
        self._idle_records = 0
        #: The beginning of an incomplete record, kept between reads.
        self.tail = b""
        #: Plaintext bytes of application data opened so far.
        self.delivered = 0
        #: Whether the last `open_into` stopped for another reason than the end of its input.
        self.more = False
        #: Type and content of the last control record.
        self.content_type = 0
        self.fragment = b""
        self.application_data_allowed = False
        self.compatibility_ccs_allowed = False
        #: The peer's change_cipher_spec comes next and is a control record (TLS 1.2).
        self.change_cipher_spec_expected = False
        self.plaintext_alert_allowed = False
        #: Bytes of early data that may still come and be skipped.
        self.early_data_room = 0

    # ---- ciphertext in --------------------------------------------------------------------------

    def feed(self, buffer: memoryview, end: int) -> None:
        """Lend `buffer[:end]`, which begins with `tail`; it is read until `reclaim`."""
        self.tail = b""
        self._buffer = buffer
        self._start = 0
        self._end = end

    def reclaim(self) -> None:
        """Give a lent buffer back: what was not consumed moves to `tail`."""
        start = self._start
        end = self._end
        if start < end:
            self.tail = bytes(self._buffer[start:end])
            self._start = self._end = 0

    def append(self, data: bytes | memoryview) -> None:
        """Give ciphertext to keep (the memory carrier). Linear, whatever the size of the pieces."""
        own = self._own
        if own is None:
            own = self._own = bytearray(self._buffer[self._start : self._end])
        else:
            self._buffer.release()
            del own[: self._start]
        own += data
        self._buffer = memoryview(own)
        self._start = 0
        self._end = len(own)

    def set_protection(self, opener: Opener) -> None:
        """Open all further records with `opener`."""
        self._opener = opener

    @property
    def unread(self) -> int:
        """Bytes of ciphertext given and not opened yet."""
        return self._end - self._start + len(self.tail)

    @property
    def typed_waits(self) -> bool:
        """Whether the next record is no application data, where that can be seen from outside (TLS 1.2)."""
        opener = self._opener
        return (
            opener is not None
            and opener.protects_all
            and (
                self._control or (self._end > self._start and self._buffer[self._start] != _APPLICATION_DATA)
            )
        )

    def discard(self) -> None:
        """Drop all input: nothing more will be opened."""
        self._own = None
        self._buffer = _NOTHING
        self._start = self._end = 0
        self.tail = b""
        self.fragment = b""
        self._control = False
        self._failure = None

    def forget(self) -> None:
        """Drop all input and the key."""
        self.discard()
        self._opener = None

    # ---- plaintext out --------------------------------------------------------------------------

    def open_single(self, header: memoryview, fragment: memoryview) -> bytes:
        """The plaintext of what was read, behind `tail` if there was one, if that is just one application record.

        `header` is its first 5 bytes, whether so many were read or not, `fragment` what is behind them. Empty, and
        nothing done, where it is anything else: then `feed` it. Much traffic is one record a read, and is opened
        here with the fewest steps.
        """
        opener = self._opener
        if (
            opener is None
            or header[0] != _APPLICATION_DATA
            or ((header[3] << 8) | header[4]) != len(fragment)
            or not self.application_data_allowed
            or self._control
            or self._failure is not None
        ):
            return b""
        plaintext = opener.open_single(header, fragment)
        if plaintext:
            self.tail = b""
            self.delivered += len(plaintext)
            self._idle_records = 0
        return plaintext

    def open_run(self, slots: tuple[Slot, ...] = ()) -> bytes:
        """The content of all application records at the beginning of what was fed, opened where they lie.

        `slots` are the views of the whole records that the buffer has room for, if nothing of it was opened yet.
        Where `more` is set behind it, or nothing comes, it is `open_into` that knows what else there is; it also
        raises what is wrong. What was fed is spoilt, so it must not be fed again.
        """
        self.more = True
        opener = self._opener
        if (
            opener is None
            or not self.application_data_allowed
            or self._control
            or self._failure is not None
            or self.early_data_room
        ):
            return b""
        buffer = self._buffer
        end = self._end
        contents: list[memoryview] = []
        try:
            if self._start:
                # The views are of the beginning.
                slots = ()
            self._start = start = opener.open_in_place(buffer, self._start, end, contents, slots)
            if opener.content_type != _APPLICATION_DATA:
                self._take_control(opener.content_type, bytes(contents.pop()))
                self._control = True
                self.plaintext_alert_allowed = False
            elif contents and not contents[-1]:
                contents.pop()
                # RFC 9846 §5.4: records without content are legal, and a way to cause work.
                self._count_idle("empty application data")
            elif end - start < 5:
                self.more = False
            elif buffer[start] == _APPLICATION_DATA:
                length = (buffer[start + 3] << 8) | buffer[start + 4]
                self._check_header(_APPLICATION_DATA, length)
                self.more = start + 5 + length <= end
        except PeerError as exc:
            # What came intact before the fault is delivered; the fault is met by `open_into`.
            self._failure = exc.with_traceback(None)
        if not contents:
            return b""
        data = bytes(contents[0]) if len(contents) == 1 else b"".join(contents)
        self.delivered += len(data)
        self._idle_records = 0
        return data

    def open_into(self, out: memoryview) -> int:
        """Open application records back to back into `out`, as long as a whole record is sure to fit.

        > 0: bytes written to `out`. CONTROL: a control record was opened, see `content_type` and
        `fragment`. WANT_READ: no whole record is there. `out` needs `OUT_ROOM` bytes at least.
        Raises PeerError.
        """
        self.more = False
        if self._control:
            self._control = False
            return CONTROL
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        buffer = self._buffer
        start = self._start
        end = self._end
        opener = self._opener
        at = 0
        if opener is not None:
            # A mark of an earlier call would make whatever is in `out` look like data opened by this one.
            opener.mark = 0
        try:
            while end - start >= 5:
                if self.early_data_room and (behind := self._skip_early_data(start, out)):
                    self._start = start = behind
                    continue
                if opener is None or buffer[start] != _APPLICATION_DATA:
                    stop = start + 5 + ((buffer[start + 3] << 8) | buffer[start + 4])
                    self._check_header(buffer[start], stop - start - 5)
                    if stop > end:
                        break
                    self._start = stop
                    if self._take_typed(buffer, start, stop):
                        return self._stop_at_control(at)
                    start = stop
                    continue
                before = start
                start, now = opener.open_run(buffer, start, end, out, at)
                if start == before:
                    length = (buffer[start + 3] << 8) | buffer[start + 4]
                    self._check_header(_APPLICATION_DATA, length)
                    self.more = start + 5 + length <= end
                    break
                self._start = start
                if opener.content_type != _APPLICATION_DATA:
                    at = opener.mark
                    self._take_control(opener.content_type, bytes(out[at:now]))
                    return self._stop_at_control(at)
                if not self.application_data_allowed:
                    at = 0
                    raise UnexpectedMessage("application data in the middle of a handshake")
                if now == opener.mark:
                    # RFC 9846 §5.4: records without content are legal, and a way to cause work.
                    self._count_idle("empty application data")
                at = now
        except PeerError as exc:
            if opener is not None and self.application_data_allowed:
                at = max(at, opener.mark)
            if not at:
                raise
            # What came intact before the fault is delivered; the fault is met by the next call.
            self._failure = exc.with_traceback(None)
            self.more = True
        if at:
            self.delivered += at
            self._idle_records = 0
            return at
        return WANT_READ

    def take_fragment(self) -> bytes:
        """The content of the last control record, which is not kept: an idle connection has no use for it."""
        fragment, self.fragment = self.fragment, b""
        return fragment

    # ---- helpers --------------------------------------------------------------------------------

    def _stop_at_control(self, at: int) -> int:
        """What was opened before a control record is delivered first, the control record next."""
        self.plaintext_alert_allowed = False
        self.early_data_room = 0
        if not at:
            return CONTROL
        self._control = self.more = True
        self.delivered += at
        self._idle_records = 0
        return at

    def _skip_early_data(self, start: int, out: memoryview) -> int:
        """Where the record at `start` ends if it is early data to skip, else 0: it is judged as any other."""
        buffer = self._buffer
        length = (buffer[start + 3] << 8) | buffer[start + 4]
        stop = start + 5 + length
        if buffer[start] != _APPLICATION_DATA or stop > self._end or not limits.TAG < length <= OUT_ROOM:
            return 0
        opener = self._opener
        # RFC 9846 §4.3.10: behind a HelloRetryRequest all records with this outer type are skipped, else
        # those that fail deprotection; the first that does not fail begins the client's second flight.
        if stop - start > self.early_data_room or (
            opener is not None and _can_open(opener, buffer, start, stop, out)
        ):
            self.early_data_room = 0
            return 0
        self.early_data_room -= stop - start
        return stop

    def _take_typed(self, buffer: memoryview, start: int, stop: int) -> bool:
        """A record whose type is the outer one; False where it is to be skipped.

        In TLS 1.3 that is one that the current key does not protect, in TLS 1.2 any but application data.
        """
        content_type = buffer[start]
        opener = self._opener
        if opener is not None and opener.protects_all:
            content = opener.open_record(buffer[start : start + 5], buffer[start + 5 : stop])
            if content_type == _CHANGE_CIPHER_SPEC:
                self._take_change_cipher_spec(content)
            else:
                self._take_control(content_type, content)
            return True
        content = bytes(buffer[start + 5 : stop])
        if content_type == _CHANGE_CIPHER_SPEC and self.change_cipher_spec_expected:
            self._take_change_cipher_spec(content)
            return True
        if content_type == _CHANGE_CIPHER_SPEC:
            # RFC 9846 §5: one byte 0x01, between the first ClientHello and the peer's Finished: dropped.
            if not self.compatibility_ccs_allowed or content != b"\x01":
                raise UnexpectedMessage("change_cipher_spec where it is not allowed")
            self._count_idle("change_cipher_spec")
            return False
        # RFC 9846 appendix A.1: a client that fails before it has keys sends its alert in the clear.
        if opener is not None and not (
            content_type == _ALERT and self.plaintext_alert_allowed and not opener.sequence
        ):
            raise UnexpectedMessage(f"an unprotected record of type {name_of(ContentType, content_type)}")
        # RFC 9846 §5.1: application data in the clear is refused like any other unexpected type.
        self._take_control(content_type, content)
        return True

    def _take_change_cipher_spec(self, content: bytes) -> None:
        # RFC 5246 §7.1: one byte 0x01; at any other time than before a Finished it is unexpected.
        if not self.change_cipher_spec_expected or content != b"\x01":
            raise UnexpectedMessage("change_cipher_spec where it is not allowed")
        self.content_type = _CHANGE_CIPHER_SPEC
        self.fragment = content

    def _take_control(self, content_type: int, fragment: bytes) -> None:
        if content_type not in (_HANDSHAKE, _ALERT):
            raise UnexpectedMessage(f"a record of type {name_of(ContentType, content_type)}")
        if not fragment:
            # RFC 9846 §5.1, §5.4: zero-length fragments of these types are refused.
            raise UnexpectedMessage(f"an empty {name_of(ContentType, content_type).lower()} record")
        if content_type == _ALERT and len(fragment) != 2:
            # RFC 9846 §5.1: one alert a record, never fragmented.
            raise DecodeError(f"an alert of {len(fragment)} bytes")
        self.content_type = content_type
        self.fragment = fragment

    def _count_idle(self, what: str) -> None:
        self._idle_records += 1
        if self._idle_records > limits.MAX_EMPTY_RECORDS:
            raise TooMuchError(f"more than {limits.MAX_EMPTY_RECORDS} records without progress ({what})")

    def _check_header(self, content_type: int, length: int) -> None:
        """Refuse what cannot become a record, before any of it is waited for."""
        if content_type not in (_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA):
            # RFC 9846 §5: an unexpected record type: terminate with unexpected_message.
            raise UnexpectedMessage(f"a record of type {name_of(ContentType, content_type)}: is this TLS?")
        limit = limits.MAX_PLAINTEXT if self._opener is None else self._opener.max_fragment
        if length > limit:
            # RFC 9846 §5.1, §5.2: record_overflow.
            raise RecordOverflow(f"a record of {length} bytes, over the limit of {limit}")


def _can_open(opener: Opener, buffer: memoryview, start: int, stop: int, out: memoryview) -> bool:
    """Whether the first record under a key is that of `buffer[start:stop]`; it remains to be opened."""
    try:
        opener.open_run(buffer, start, stop, out, 0)
    except BadRecordMAC:
        return False
    except PeerError:
        pass  # It was deprotected, and what it holds is wrong: that is met when it is opened.
    opener.sequence = 0
    return True

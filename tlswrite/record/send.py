"""The send path: application data and control messages in, records out. The SSL_write contract lives here.

Theory of operation. A write has two lengths: what the caller gave, and what has been sealed. Sealing is
irrevocable: a sealed record has used its sequence number, so its bytes leave exactly once, whatever the
caller does between retries. What is not sealed stays with the caller, by reference.

Sealed bytes wait in one of two places, always in this order:

* the *window*: a bytearray of `limits.SEND_WINDOW` bytes, taken from a pool when a write needs it and given
  back as soon as the carrier has taken its contents; large writes are staged in it and sealed in place;
* the *tail*: a bytes object behind it: one small record, sealed in one go, or control records.

A small write on an idle connection is one concatenation and one `encrypt`, straight into the tail, and never
touches a window; an idle connection owns none.

Invariants:
* application data is sealed only behind an empty tail (the tail is moved into the window first);
* ciphertext of application data never exceeds the window; then `write` answers WANT_WRITE and nothing grows;
* while a write is pending, only the same write continues it (`BadWriteRetry` otherwise, nothing is changed);
* a key is replaced before its usage limit, between two records, in the middle of a write if need be.

Refused: a queue of sealed records (unbounded, and stale keys), sealing ahead of the carrier, copying
plaintext to have it wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from tlswrite import limits
from tlswrite.errors import BadWriteRetry, CallerError
from tlswrite.iana import ContentType
from tlswrite.record.codes import WANT_READ, WANT_WRITE
from tlswrite.record.protection import NullSealer, Sealer
from tlswrite.record.window import Window, acquire, release

__all__ = ["Rekey", "SendPath"]

#: Makes the message that announces the next key (KeyUpdate) and the sealer under that key.
Rekey = Callable[[], tuple[bytes, Sealer]]

_APPLICATION_DATA: Final = int(ContentType.APPLICATION_DATA)
_FILL: Final = limits.SEND_WINDOW - limits.CONTROL_RESERVE

#: Below this size what waits is one concatenation and one `encrypt`, above it is staged in a window. Bytes.
_SMALL: Final = 8192


class SendPath:
    """One direction of a connection: plaintext in, ciphertext out.

    `partial` and `moving` are Mode.ENABLE_PARTIAL_WRITE and Mode.ACCEPT_MOVING_WRITE_BUFFER.
    """

    __slots__ = (
        "_end",
        "_offset",
        "_pending",
        "_pending_size",
        "_record_limit",
        "_sealer",
        "_start",
        "_tail",
        "_window",
        "closed",
        "committed",
        "held",
        "most_held",
        "moving",
        "partial",
        "read_wants",
        "rekey",
        "write_wants",
    )

    def __init__(self, *, partial: bool = False, moving: bool = False) -> None:
        self._sealer: Sealer = NullSealer()
        self._record_limit = self._sealer.record_limit
        self._tail = b""
        self._window: Window | None = None
        self._start = 0
        self._end = 0
        self._pending: object = None
        self._pending_size = 0
        self._offset = 0
        #: Plaintext bytes of application data sealed so far.
        self.committed = 0
        #: Times a write met WANT_WRITE, and times it met WANT_READ.
        self.write_wants = 0
        self.read_wants = 0
        #: The most the window ever held, in bytes: where a write stopped, or came to its end.
        self.most_held = 0
        #: Application data waits for a renegotiation to end (TLS 1.2).
        self.held = False
        #: Set once close_notify or a fatal alert was queued: nothing more may follow.
        self.closed = False
        self.partial = partial
        self.moving = moving
        self.rekey: Rekey | None = None

    # ---- application data -----------------------------------------------------------------------

    def write(self, data: bytes | memoryview, source: object = None) -> int:
        """Seal `data`; the return value is SSL_write(3)'s, as a code.

        >= 0: bytes written, all of `data` unless `partial`; WANT_WRITE: take output, then call again with
        the same arguments; WANT_READ: likewise once the renegotiation under way is over. `source` is the object
        whose identity a retry is checked by (`data` itself unless given); `data` is a flat view of its bytes.

        Raises BadWriteRetry, and CallerError once this direction is closed.
        """
        size = len(data)
        sealer = self._sealer
        if (
            self._pending is None
            and 0 < size <= _FILL
            and not self._tail
            and not self.closed
            and (records := -(-size // sealer.max_content)) <= self._record_limit - sealer.sequence
        ):
            # What needs no second look: the whole of it has room under one key.
            if size < _SMALL and self._window is None and records == 1:
                self._tail = sealer.seal(_APPLICATION_DATA, data)
                self.committed += size
                return size
            end = self._end
            if end + records * sealer.overhead + size <= _FILL and not sealer.padded:
                if self._window is None:
                    self._window = acquire()
                self._end = end = sealer.seal_run(memoryview(data), 0, self._window, end, records)
                self.committed += size
                if end - self._start > self.most_held:
                    self.most_held = end - self._start
                return size
        if self.closed:
            raise CallerError(
                "protocol is shutdown: close_notify or an alert was sent, nothing may follow it"
            )
        if source is None:
            source = data
        if self._pending is not None:
            self.check_retry(data, source)
        if not size:
            return 0
        return self._write_blocks(memoryview(data), source)

    def seal_now(self, data: bytes) -> bytes:
        """A write of one record on an idle path, without a stop in the output: the record, to be sent at once.

        Empty where `write` must be called instead. The carrier gives back by `unsent` what it could not send.
        """
        sealer = self._sealer
        size = len(data)
        if (
            self._pending is not None
            or self._window is not None
            or self._tail
            or self.closed
            or sealer.sequence >= self._record_limit
            or not 0 < size <= sealer.max_content
        ):
            return b""
        self.committed += size
        return sealer.seal(_APPLICATION_DATA, data)

    def write_each(self, chunks: deque[bytes | memoryview]) -> int:
        """Write the chunks at the head that fill a record each, as many as have room, and remove them; how many.

        0 where `write` must be called instead.
        """
        sealer = self._sealer
        if self._pending is not None or self._tail or self.closed:
            return 0
        window = acquire() if self._window is None else self._window
        slots = sealer.slots(window, self._end)
        # The last slot stays free: seven whole records are two segments of 64 KiB for the kernel, eight are two
        # and a third of a few hundred bytes, which costs what a full one does.
        most = min(len(slots) - 1, self._record_limit - sealer.sequence)
        contents: list[bytes | memoryview] = []
        while len(contents) < most and chunks and len(chunks[0]) == limits.MAX_PLAINTEXT:
            contents.append(chunks.popleft())
        count = len(contents)
        if not count:
            if self._window is None:
                release(window)
            return 0
        self._window = window
        sealer.seal_slots(contents, slots)
        self._end += count * (limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD)
        self.committed += count * limits.MAX_PLAINTEXT
        if self._end - self._start > self.most_held:
            self.most_held = self._end - self._start
        return count

    def unsent(self, record: bytes) -> None:
        """The end of what `seal_now` returned, which is the output now."""
        self._tail = record

    def abandon(self) -> int:
        """Forget the pending write; returns how many of its bytes were sealed and will be sent."""
        offset = self._offset if self._pending is not None else 0
        self._pending = None
        self._offset = 0
        return offset

    def check_retry(self, data: bytes | memoryview, source: object) -> None:
        """Raise BadWriteRetry where this is not the pending write again (clauses W15, W16)."""
        pending = self._pending
        if len(data) != self._pending_size:
            raise BadWriteRetry(
                f"bad write retry: a write of {self._pending_size} bytes is pending, not one of {len(data)}"
            )
        if source is pending or _same_memory(source, pending):
            return
        if not self.moving:
            raise BadWriteRetry(
                "bad write retry: a pending write must be repeated with the same object "
                "(Mode.ACCEPT_MOVING_WRITE_BUFFER allows an equal copy)"
            )
        if not isinstance(pending, bytes) or pending != data:
            raise BadWriteRetry("bad write retry: the data differs from the pending write's")

    def keep_pending(self, data: memoryview, source: object, offset: int) -> None:
        """A write that is sealed up to `offset` is to be repeated all the same: the carrier has not sent it yet.

        For carriers whose write is done when its bytes are gone; the repetition seals nothing again.
        """
        self._pending_size = len(data)
        self._pending = bytes(data) if self.moving and type(source) is not bytes else source
        self._offset = offset

    @property
    def sealed_part(self) -> int:
        """Bytes of the pending write that are sealed."""
        return self._offset if self._pending is not None else 0

    @property
    def pending(self) -> bool:
        """Whether a write waits to be repeated with the same arguments."""
        return self._pending is not None

    # ---- control --------------------------------------------------------------------------------

    def seal_control(self, content_type: int, payload: bytes) -> None:
        """Queue a handshake message or an alert behind what is already sealed."""
        sealer = self._sealer
        size = sealer.max_content
        if len(payload) <= size:
            self._tail += sealer.seal(content_type, payload)
            return
        # RFC 9846 §5.1: a handshake message may be fragmented over several records.
        self._tail += b"".join(
            sealer.seal(content_type, payload[at : at + size]) for at in range(0, len(payload), size)
        )

    def queue_record(self, record: bytes) -> None:
        """Queue a ready-made record (the compatibility change_cipher_spec of RFC 9846 appendix E.4)."""
        self._tail += record

    def set_protection(self, sealer: Sealer) -> None:
        """Seal all further records with `sealer`."""
        self._sealer = sealer
        self._record_limit = 0 if self.held else sealer.record_limit

    def hold(self) -> None:
        """Seal no application data until `go_on`: a renegotiation is under way."""
        # The limit is what every write looks at in any case.
        self.held = True
        self._record_limit = 0

    def go_on(self) -> None:
        """The renegotiation is over."""
        self.held = False
        self._record_limit = self._sealer.record_limit

    @property
    def exhausted(self) -> bool:
        """Whether the key's usage limit is reached; what is left is for control messages."""
        return self._sealer.sequence >= self._record_limit

    def request_rekey(self) -> None:
        """Replace the key before the next application record; at once when no output waits.

        A peer that asks often while it does not read is so answered once (RFC 9846 §4.7.3), and cannot
        make the output grow.
        """
        if self.rekey is None or self.closed:
            return
        if self._tail or self._window is not None:
            self._record_limit = 0
        else:
            self._replace_key()

    # ---- the carrier's side ---------------------------------------------------------------------

    @property
    def has_output(self) -> bool:
        """Whether sealed bytes wait for the carrier."""
        return self._window is not None or bool(self._tail)

    @property
    def output_size(self) -> int:
        """Sealed bytes that wait for the carrier."""
        return self._end - self._start + len(self._tail)

    def output(self) -> bytes | memoryview:
        """The next contiguous run of sealed bytes; empty when there are none. Not consumed: see `sent`."""
        if self._window is None:
            return self._tail
        return self._window.view[self._start : self._end]

    def sent(self, count: int) -> None:
        """The carrier took `count` bytes of `output()`."""
        if self._window is None:
            self._tail = self._tail[count:]
            return
        self._start += count
        if self._start >= self._end:
            self._release()

    def discard(self) -> None:
        """Drop everything that waits: the carrier is gone."""
        self.closed = True
        self.rekey = None
        self._pending = None
        self._tail = b""
        if self._window is not None:
            self._release()

    # ---- helpers --------------------------------------------------------------------------------

    def _write_blocks(self, view: memoryview, source: object) -> int:
        """Seal blocks of `view` from the pending offset on, as long as the window has room."""
        size = len(view)
        first = at = self._offset if self._pending is not None else 0
        want = WANT_WRITE
        while at < size:
            if self.held:
                want = WANT_READ
                break
            if self._sealer.sequence >= self._record_limit:
                self._replace_key()
            sealer = self._sealer
            block = sealer.max_content
            most = sealer.overhead + block
            # Whole blocks that have room, and the last one where it has.
            left = size - at
            room = self._make_room(most if sealer.padded or left >= block else sealer.overhead + left)
            if room < 0 or self._window is None:
                break
            # A padding policy is the application's: one that raises must not have used up records before.
            records = (
                1
                if sealer.padded
                else min(1 + room // most, -(-left // block), self._record_limit - sealer.sequence)
            )
            self._end = sealer.seal_run(view, at, self._window, self._end, records)
            at = min(size, at + records * block)
        self.committed += at - first
        self.most_held = max(self.most_held, self._end - self._start)
        if at == size or (self.partial and at > first):
            self._pending = None
            self._offset = 0
            return at
        if self._pending is None:
            self._pending_size = size
            # With a moving buffer the caller may reuse the old one: what it held is needed to tell
            # whether the data is the same.
            self._pending = bytes(view) if self.moving and type(source) is not bytes else source
        self._offset = at
        if want == WANT_WRITE:
            self.write_wants += 1
        else:
            self.read_wants += 1
        return want

    def _make_room(self, need: int) -> int:
        """See that the window, behind everything already sealed, has room for `need` more bytes.

        Returns the room beyond that; negative where there is none.
        """
        tail = self._tail
        room = _FILL - self._end - len(tail) - need
        if room < 0:
            return room
        if self._window is None:
            self._window = acquire()
        if tail:
            end = self._end + len(tail)
            self._window.view[self._end : end] = tail
            self._end = end
            self._tail = b""
        return room

    def _replace_key(self) -> None:
        if self.rekey is None:
            # Nothing else may be sealed under this key (RFC 9846 §5.5).
            raise CallerError("the key's usage limit is reached and it cannot be replaced")
        message, sealer = self.rekey()
        self.seal_control(ContentType.HANDSHAKE, message)
        self.set_protection(sealer)

    def _release(self) -> None:
        window = self._window
        self._window = None
        self._start = self._end = 0
        if window is not None:
            release(window)


def _same_memory(one: object, other: object) -> bool:
    """Whether two slices, made separately, are the same part of one object: then they are one argument."""
    return (
        isinstance(one, memoryview)
        and isinstance(other, memoryview)
        and one.obj is other.obj
        and one.tobytes() == other.tobytes()
    )

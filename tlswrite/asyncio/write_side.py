"""The write side of a transport: from `write` to the socket, and what waits in between.

Theory of operation. A write on an idle connection is sealed and handed to the socket before `write`
returns. What cannot go on waits as *plaintext*, by reference, in a deque; sealing stops as soon as the send
window is full, so ciphertext never piles up (clause A02). The head of the deque is the engine's pending
write: on readiness the ciphertext is flushed, then the same object is written again, until the engine has
all of it (clauses A01, W15).

Small writes are gathered without costing the first one anything (clause A05):

* the first write after an event leaves at once, but for what is said below. If it was made inside one of this
  transport's own callbacks, later ones in that callback wait until it returns, and leave together;
* outside of a callback the first write leaves a time stamp. A second one within `GATHER_TIME`, with no read
  or write event in between, is queued, with one `call_soon` for the flush; what follows only joins the
  queue. Request and response, or writes that are far apart, so never pay for an extra turn of the loop;
* a protocol that does so, outside of callbacks (the head of a response, then its body), is expected to do it
  again: where it answers the next input within `ANSWER_TIME`, the first write waits for the second one, and both
  are one record and one send. If none follows by the end of the turn, none is expected until the next such pair.

The queue is flushed earlier when it reaches a full window or the protocol's high-water mark: gathering is
never the reason why a protocol is paused.

Invariants:
* bytes leave in the order of the calls; nothing is sealed before what was queued earlier;
* `_direct` is true exactly while nothing waits and writes may be sealed;
* `_gather_until` is not 0 only while what is written can only wait, with a flush to come and the protocol not
  paused;
* while anything waits, a flush is certain to come: the end of a callback (`_in_callback`), a scheduled call
  (`_scheduled`), a writable socket (`_writing`), the end of the handshake (`_connected` false) or of a
  renegotiation (`_send_path.held`, with the socket watched for reading);
* a turn of the loop sends `_WRITE_BUDGET` bytes, and what is left of a window; the next goes on (`_yielding`);
* a mutable buffer is sealed before `write` returns, or copied (clause A04).

Refused: a queue of ciphertext; a corking timer; an asyncio task for each write.
"""

from __future__ import annotations

import asyncio
import socket
from abc import abstractmethod
from collections import deque
from time import monotonic
from typing import Any, Final

from tlswrite import limits
from tlswrite.asyncio.backlog import BLOCK, GATHER_SIZE, flat, gather
from tlswrite.asyncio.lifecycle import Lifecycle, logger
from tlswrite.asyncio.sending import Sending
from tlswrite.connection import Buffer, TLSConnection
from tlswrite.errors import TLSError
from tlswrite.record.codes import WANT_READ

__all__ = ["ANSWER_TIME", "GATHER_TIME", "WriteSide"]

#: A write that follows another one this soon is gathered. Seconds. (Not final, as the next: tests set them.)
GATHER_TIME = 0.001
#: A write answers input that came this long ago at most: a busy loop and a database take their time. Seconds.
ANSWER_TIME = 0.1

#: A mutable buffer up to this size is sealed in one go whatever else the window must take. Bytes.
_SEALED_AT_ONCE: Final = (limits.WINDOW_RECORDS - 1) * limits.MAX_PLAINTEXT
#: Bytes of large writes sent in one turn of the loop before other connections get theirs. As much as is read
#: at one wake-up, and sent behind the reads of a turn: a peer on this machine then finds the data still in the
#: processor's cache.
_WRITE_BUDGET: Final = limits.WRITE_BUDGET
#: Writes after the end before the log says so, asyncio's number.
_LOG_THRESHOLD: Final = 5
#: How moving bytes ended: nothing waits, the socket is full, the budget is used, a renegotiation goes first.
_ALL: Final = 0
_FULL: Final = 1
_ENOUGH: Final = 2
_HELD: Final = 3
#: The value of `_recent` for a write made inside a callback, where no clock is needed.
_IN_CALLBACK: Final = 1.0


class WriteSide(Lifecycle):
    """`write` and its relatives; flow control counts what waits here."""

    __slots__ = (
        "_accepted",
        "_allowance",
        "_backlog",
        "_budget",
        "_dropped_writes",
        "_eof",
        "_expecting",
        "_flushing",
        "_gather_most",
        "_gather_until",
        "_heard",
        "_in_callback",
        "_pairs",
        "_recent",
        "_scheduled",
        "_seal",
        "_send",
        "_send_path",
        "_sendings",
        "_yielding",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: Any,
        connection: TLSConnection,
        waiter: asyncio.Future[None] | None,
    ) -> None:
        super().__init__(loop, sock, protocol, connection, waiter)
        send_path = self._send_path = connection.send_path
        # Bound once: they belong to the engine and the socket, so no cycle comes of it.
        self._seal = send_path.write
        self._send = sock.send
        #: Plaintext that waits; None when there is none (an empty deque is 700 bytes).
        self._backlog: deque[bytes | memoryview] | None = None
        #: Position in the stream behind the last byte that waits; meaningful while `_backlog` is not None.
        self._accepted = 0
        #: Up to this position a write below that size only joins what waits; 0 where more is to be looked at.
        self._gather_until = 0
        self._gather_most = 0
        #: When the last direct write was made, 0.0 after an event.
        self._recent = 0.0
        #: A write outside of a callback was followed by another one that was gathered.
        self._pairs = False
        #: When input came that is not answered yet, as long as that is so.
        self._heard = 0.0
        #: A first write waits for a second one.
        self._expecting = False
        #: What large writes may still send in this turn.
        self._allowance = 0
        #: What a flush may still send, whatever resume_writing adds to it.
        self._budget = 0
        self._in_callback = False
        self._scheduled = False
        self._yielding = False
        self._flushing = False
        self._eof = False
        self._dropped_writes = 0
        self._sendings: deque[Sending] | None = None

    # ---- public -------------------------------------------------------------------------------------

    def write(self, data: Buffer) -> None:
        """Send `data`, any contiguous buffer; never blocks, and keeps no reference to a mutable buffer.

        Raises TypeError for what is no buffer, BufferError for a view that is not contiguous, RuntimeError
        after `write_eof`. After the connection is lost or closed the data is dropped; from the fifth time
        on a warning is logged, as asyncio does.
        """
        if (
            type(data) is bytes
            and self._direct
            and data
            and (
                (not self._recent and (not self._pairs or self._in_callback))
                or len(data) >= BLOCK
                or (not self._in_callback and not self._waits_for_another())
            )
        ):
            try:
                if record := self._send_path.seal_now(data):
                    # One record, which needs no stop in the engine's output unless the socket is full.
                    try:
                        count = self._send(record)
                    except (BlockingIOError, InterruptedError):
                        count = 0
                    if count == len(record):
                        self._recent = _IN_CALLBACK if self._in_callback else monotonic()
                        return
                    self._send_path.unsent(record[count:])
                else:
                    self._write_window(data)
            except OSError as exc:
                self._write_failed(exc)
                return
            except Exception as exc:
                self._application_failed(exc)
                return
            if not self._send_path.has_output and self._backlog is None:
                self._recent = _IN_CALLBACK if self._in_callback else monotonic()
                return
            self._direct = False
            if not self._yielding:
                self._flush()
            self._pause_protocol_if_full()
        elif (
            type(data) is bytes
            and 0 < len(data) < self._gather_most
            and (end := self._accepted + len(data)) <= self._gather_until
            and self._backlog is not None
        ):
            self._backlog.append(data)
            self._accepted = end
        else:
            self._write(data)

    @property
    def committed(self) -> int:
        """Plaintext bytes sealed so far: they were sent, or will be before anything else."""
        return self._send_path.committed

    def get_write_buffer_size(self) -> int:
        """Bytes that wait: plaintext not sealed and ciphertext not sent, each byte once (clause A03)."""
        size = self._send_path.output_size
        if self._backlog is not None:
            size += self._accepted - self._send_path.committed
        return size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._gather_until = 0
        if self._expecting:  # that is no reason for a pause
            self._flush()
        super().set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        """True in TLS 1.3, which closes the two directions one by one (clause A09, RFC 9846 §6.1)."""
        return self._connection.can_half_close

    def write_eof(self) -> None:
        """Close the write side: all that waits, then close_notify, then FIN; reading goes on (clause A09).

        Raises NotImplementedError in TLS 1.2, where a close_notify ends both directions (RFC 5246 §7.2.1).
        """
        if not self._connection.can_half_close:
            raise NotImplementedError("TLS 1.2 cannot close one direction alone: use close()")
        if self._closing or self._eof:
            return
        self._eof = True
        self._direct = False
        self._gather_until = 0
        if not self._flushing:
            self._flush()

    def _write_window(self, data: bytes) -> None:
        """Seal as much of `data` as a window holds and send it; the rest waits."""
        send_path = self._send_path
        before = send_path.committed
        if not self._recent:
            self._allowance = _WRITE_BUDGET
        elif self._allowance <= 0:
            self._queue(data, before + len(data))
            self._yield_turn()
            return
        self._allowance -= len(data)
        sealed = self._seal(data)
        if sealed != len(data):
            # Wanted: the same write again. In Mode.ENABLE_PARTIAL_WRITE: the rest as a new one.
            rest = data if sealed < 0 else memoryview(data)[sealed:]
            self._queue(rest, before + len(data))
            if sealed == WANT_READ:
                return
        try:
            send_path.sent(self._send(send_path.output()))
        except (BlockingIOError, InterruptedError):
            pass

    def _waits_for_another(self) -> bool:
        """Whether a small write is to wait: it follows one closely, or answers input and is likely one of two."""
        since, most = (self._recent, GATHER_TIME) if self._recent else (self._heard, ANSWER_TIME)
        return monotonic() - since <= most

    # ---- what waits ---------------------------------------------------------------------------------

    def _write(self, data: Buffer) -> None:
        """`write` where it is not the plain case: another type, or something waits."""
        view = None if type(data) is bytes else flat(data)
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not (len(data) if view is None else view.nbytes):
            return
        if self._closing:
            if self._dropped_writes >= _LOG_THRESHOLD:
                logger.warning("socket.send() raised exception.")
            self._dropped_writes += 1
            return
        if view is not None:
            if (
                self._direct
                and not self._recent
                and view.nbytes <= _SEALED_AT_ONCE
                and not self._send_path.has_output
            ):
                # It is sealed now, so no copy is needed; except where small records fill the window early.
                try:
                    if (sealed := self._seal(view)) < 0:
                        sealed = self._send_path.abandon()
                except OSError as exc:
                    self._write_failed(exc)
                    return
                except Exception as exc:
                    self._application_failed(exc)
                    return
                if sealed < view.nbytes:
                    self._queue(bytes(view[sealed:]), self._send_path.committed + view.nbytes - sealed)
                self._direct = False
                self._flush()
                self._recent = _IN_CALLBACK if self._in_callback else monotonic()
                self._pause_protocol_if_full()
                return
            data = bytes(view)
        size = len(data)
        blocked = self._writing or self._yielding or self._flushing or not self._connected
        waiting = 0
        first = self._backlog is None
        if not first:
            waiting = self._accepted - self._send_path.committed
            if not blocked and not self._protocol_paused and waiting + size > GATHER_SIZE:
                # What was gathered fills a window; the rest begins the next one. Not where it would call
                # resume_writing: what the protocol writes there belongs behind `data`.
                self._flush()
                if self._lost:
                    return
                blocked = self._writing or self._yielding
                waiting = 0 if self._backlog is None else self._accepted - self._send_path.committed
        self._queue(data, self._send_path.committed + waiting + size)
        send_path = self._send_path
        if blocked:
            self._gather_until = send_path.committed + self._high_water - send_path.output_size
            self._gather_most = self._high_water
        elif size >= BLOCK or waiting + size > self._high_water:
            self._flush()
        else:
            if not self._in_callback:
                if first:
                    self._expecting = not self._recent
                    self._pairs = True
                    self._heard = 0.0
                self._schedule()
            room = min(GATHER_SIZE, self._high_water - send_path.output_size)
            self._gather_until = send_path.committed + room
            self._gather_most = BLOCK
        self._pause_protocol_if_full()

    def _queue(self, data: bytes | memoryview, end: int) -> None:
        """Append to what waits; `end` is the position in the stream behind it."""
        if self._backlog is None:
            self._backlog = deque()
            self._direct = False
        self._backlog.append(data)
        self._accepted = end

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush_scheduled, context=self._context)

    def _yield_turn(self) -> None:
        """Enough for this turn of the loop: what waits goes on in the next."""
        self._yielding = True
        if not self._scheduled:
            self._scheduled = True
            # asyncio runs what is due behind the events of a turn, and what `call_soon` is given before them.
            self._loop.call_later(0, self._flush_scheduled, context=self._context)

    def _flush_scheduled(self) -> None:
        self._scheduled = self._yielding = False
        self._allowance = _WRITE_BUDGET
        if not self._writing:
            self._flush()

    def _on_writable(self) -> None:
        self._recent = 0.0
        self._flush()

    # ---- flush --------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Seal and send until nothing waits, the socket is full, or the budget of a wake-up is used."""
        if self._flushing or self._lost:
            return
        if self._expecting:
            self._expecting = False
            self._pairs = self._backlog is not None and len(self._backlog) > 1
        self._flushing = True
        self._budget = _WRITE_BUDGET
        try:
            while True:
                self._gather_until = 0
                moved = self._move()
                self._resume_protocol_if_drained()
                # What the protocol wrote in resume_writing goes too, as far as there is room.
                if moved != _ALL or self._lost or not self._connected or not self._has_work():
                    break
                if self._budget <= 0:
                    moved = _ENOUGH
                    break
        except OSError as exc:
            self._write_failed(exc)
            return
        except Exception as exc:
            self._application_failed(exc)
            return
        finally:
            self._flushing = False
        if self._lost:
            return
        if moved != _ALL:
            self._direct = False
            if moved == _FULL:
                self._watch_writes()
            elif moved == _HELD:
                # A write wants READ: the peer's handshake messages, while reading is paused too (clause W09).
                self._ignore_writes()
                self._want_read()
            elif not self._writing:
                self._yield_turn()
            return
        self._ignore_writes()
        if self._closing:
            self._finish()
        elif self._eof:
            self._shut_writes()
        else:
            self._direct = self._connected

    def _has_work(self) -> bool:
        if self._backlog is not None or self._send_path.has_output:
            return True
        return (self._closing or self._eof) and not self._send_path.closed

    def _move(self) -> int:
        """Move bytes from the backlog through the engine to the socket; how that ended."""
        send_path = self._send_path
        while True:
            # A write that waits behind sealed bytes found no room, and finds none before they are gone.
            if self._connected and not (send_path.pending and send_path.has_output):
                self._seal_backlog()
            while output := send_path.output():
                try:
                    count = self._send(output)
                except (BlockingIOError, InterruptedError):
                    return _FULL
                send_path.sent(count)
                if count < len(output):
                    return _FULL
                self._budget -= count
            if self._sendings is not None:
                self._settle_sendings()
            if self._backlog is None or not self._connected:
                return _ALL
            if send_path.held:
                return _HELD
            if self._budget <= 0:
                return _ENOUGH

    def _seal_backlog(self) -> None:
        """Seal what waits as far as the window has room, and close_notify behind the last byte."""
        backlog = self._backlog
        while backlog:
            if len(backlog) > 1 and len(backlog[0]) == BLOCK and self._send_path.write_each(backlog):
                if backlog and len(backlog[0]) == BLOCK:
                    # The next one has no room, or needs another key: what is sealed goes first.
                    return
                continue
            head = gather(backlog) if not self._send_path.pending else backlog[0]
            count = self._seal(head)
            if count < 0:
                return
            if count < len(head):
                # Mode.ENABLE_PARTIAL_WRITE: the rest is a new write.
                backlog[0] = memoryview(head)[count:]
            else:
                backlog.popleft()
        self._backlog = None
        if self._closing or self._eof:
            self._connection.close_notify()

    def _application_failed(self, exc: Exception) -> None:
        """A padding policy raised, perhaps behind records that are sealed: the stream would have a hole."""
        self._fatal_error(exc, "Fatal write error on TLS transport")

    def _write_failed(self, exc: OSError) -> None:
        """The socket takes no more. If the peer's alert is what came before, that is the true cause."""
        error = self._connection.fail(exc) if isinstance(exc, TLSError) else self._last_words()
        if error is not None:
            self._fail(error, "Fatal write error on socket transport")
        else:
            self._socket_failed(exc, "Fatal write error on socket transport")

    @abstractmethod
    def _settle_sendings(self, error: BaseException | None = None) -> None:
        """Tell the awaited writes how far the stream is; with `error` it ends here."""

    @abstractmethod
    def _want_read(self) -> None:
        """What waits can go on only once the peer's handshake messages came (TLS 1.2)."""

    @abstractmethod
    def _last_words(self) -> TLSError | None:
        """What the peer said before it went: the error that its unread input holds, if any."""

    def _drop_buffers(self, exc: BaseException | None) -> None:
        super()._drop_buffers(exc)
        self._backlog = None
        self._gather_until = 0
        if self._sendings is not None:
            self._settle_sendings(exc or ConnectionResetError("the connection was closed"))

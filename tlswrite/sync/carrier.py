"""The engine on a socket: what moves bytes between the two, and what waits.

Theory of operation. The file descriptor is non-blocking for good; the timeout that the application sets is kept
here, and waiting is a `poll` of our own. So every call into the kernel returns at once, and the lock around the
engine is never held while anything waits. A write is done when the kernel has all of it; until then it is the
engine's pending write, also where all of it is sealed already, so that a repetition with the same arguments
goes on exactly where the time ran out (clauses W06, W15, W17).

A blocked write waits for input too (clause W09): the peer may be waiting for an answer before it reads on, a
KeyUpdate or a renegotiation. Application data that comes then is kept for `recv`, up to a bound. With two
threads, the one that reads takes all input; the writer leaves it to it, and is woken when the engine's state
has changed. One reader and one writer at a time, as with `ssl.SSLSocket`.

Invariants:
* input is opened by the writer only while no reader is active: data is never put where a reader that waits for
  the socket would not see it;
* while one thread waits for input (`_polling`), no other takes any: what the other takes would not wake the one
  that waits, and it may be the last that the peer says. Who finds it so waits until the first one wakes him;
* the engine's output leaves in order, since it is sent under the lock, by whoever has it;
* a buffer that is lent to the receive path is taken back before the lock is given up.

Refused: a thread of our own; blocking calls under the lock.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from tlswrite import limits
from tlswrite.config import Mode
from tlswrite.connection import Buffer, TLSConnection
from tlswrite.errors import SyscallError, TLSError, TruncationError, WantReadError, WantWriteError
from tlswrite.record.codes import WANT_READ, WANT_WRITE, ZERO_RETURN
from tlswrite.record.receive import OUT_ROOM

__all__ = ["Carrier"]

#: Bytes taken from the kernel at once at most, and plaintext opened at once.
_READ_SIZE: Final = 128 * 1024
#: Plaintext opened at once for a reader that asks for less than a record.
_SMALL: Final = 2 * OUT_ROOM
#: What records are longer than their content, a few of them.
_MARGIN: Final = 256


#: What a socket does without TLS is asked of this class by name: a class that is a Carrier and something else too
#: must not get between.
_Socket: Final = socket.socket


class _Buffers(threading.local):
    """Buffers of one thread, shared by its sockets: a socket that is idle owns none."""

    def __init__(self) -> None:
        self.receive = memoryview(bytearray(_READ_SIZE + limits.READ_BUDGET))
        self.plain = memoryview(bytearray(_READ_SIZE))


_buffers: Final = _Buffers()


class Carrier(socket.socket):
    """A socket and the connection on it; see `TLSSocket` for what applications call."""

    def __init__(
        self,
        sock: socket.socket,
        connection: TLSConnection,
        suppress_ragged_eofs: bool,
    ) -> None:
        if not isinstance(sock, socket.socket):
            raise TypeError(f"a socket is needed, not {type(sock).__name__}")
        if sock.type != socket.SOCK_STREAM:
            raise ValueError("TLS needs a stream socket (SOCK_STREAM)")
        self._connection = connection
        _Socket.__init__(self, sock.family, sock.type, sock.proto, sock.fileno())
        self._timeout = sock.gettimeout()
        sock.detach()
        _Socket.settimeout(self, 0.0)
        self._send_path = self._connection.send_path
        self._receive_path = self._connection.receive_path
        self._auto_retry = bool(connection.config.mode & Mode.AUTO_RETRY)
        self._suppress_ragged_eofs = suppress_ragged_eofs
        #: Around every call into the engine; `_changed` wakes who waits for another thread's progress.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        #: Plaintext opened and not yet asked for.
        self._kept = bytearray()
        #: A reader is active and takes all input.
        self._reader = False
        #: A thread waits for input.
        self._polling = False

    # ---- reading ------------------------------------------------------------------------------------

    def _read_into(self, target: memoryview) -> int:
        """Some application data, at least a byte; 0 at the peer's close_notify.

        Raises TLSError, TimeoutError, WantReadError where the socket does not block.
        """
        deadline = self._deadline()
        with self._lock:
            self._reader = True
            try:
                while True:
                    if self._polling and not self._kept:
                        # A writer that waits for the peer: it keeps what comes, and wakes us.
                        self._await_change(deadline)
                        continue
                    count = self._deliver(target)
                    if count is not None:
                        return count
                    if self._timeout == 0:
                        # What waits to be sent is a write's affair.
                        raise self._want()
                    self._wait(deadline, reads=True, writes=self._send_path.has_output)
            finally:
                self._reader = False
                self._changed.notify_all()

    def _deliver(self, target: memoryview) -> int | None:
        """Move what is there into `target`; None where nothing is, and more input is needed."""
        if self._kept:
            count = min(len(self._kept), len(target))
            target[:count] = self._kept[:count]
            del self._kept[:count]
            return count
        direct = len(target) >= OUT_ROOM
        with self._failing():
            self._connection.start_handshake()  # it is done; this raises what ended the connection
            before = self._connection.handled
            count = self._open(target if direct else _buffers.plain[:_SMALL])
            self._flush()
            # Also for a writer that waits for a renegotiation.
            self._changed.notify_all()
        if count > 0:
            if direct:
                return count
            plain = _buffers.plain
            fits = min(count, len(target))
            target[:fits] = plain[:fits]
            self._kept += plain[fits:count]
            return fits
        if count == ZERO_RETURN:
            return 0
        if not self._auto_retry and self._connection.handled != before and self._settled:
            # SSL_CTX_set_mode(3): without SSL_MODE_AUTO_RETRY a read returns when a record that is no
            # application data was processed, on a blocking socket too.
            raise self._want()
        return None

    @property
    def _settled(self) -> bool:
        """Whether no handshake is under way."""
        return self._connection.handshake_complete and not self._send_path.held

    def _open(self, out: memoryview) -> int:
        """Open records into `out`, taking input as it is there: a count, WANT_READ, or ZERO_RETURN."""
        receive_path = self._receive_path
        buffer = _buffers.receive
        try:
            tail = receive_path.tail
            if tail or receive_path.more:
                buffer[: len(tail)] = tail
                receive_path.feed(buffer, len(tail))
                count = self._connection.receive_into(out)
                if count != WANT_READ:
                    return count
            while True:
                receive_path.reclaim()
                # Not much more than fits into `out`: what is left over is copied.
                if not self._fill(buffer, min(_READ_SIZE, len(out) + _MARGIN)):
                    return WANT_READ
                count = self._connection.receive_into(out)
                if count != WANT_READ:
                    return count
        finally:
            receive_path.reclaim()

    def _fill(self, buffer: memoryview, size: int) -> bool:
        """Take up to `size` bytes from the kernel and lend them to the engine; False where there are none now."""
        receive_path = self._receive_path
        kept = len(receive_path.tail)
        buffer[:kept] = receive_path.tail
        try:
            count = _Socket.recv_into(self, buffer[kept:], size)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            raise self._connection.fail(SyscallError(f"the connection under TLS failed: {exc}")) from exc
        if count:
            receive_path.feed(buffer, kept + count)
        else:
            self._connection.feed_eof()
        return True

    # ---- writing ------------------------------------------------------------------------------------

    def _write(self, data: Buffer, *, whole: bool) -> int:
        """Write `data`; returns when the kernel has it (clause W06).

        `whole`: all of it, whatever Mode.ENABLE_PARTIAL_WRITE says. Raises TLSError, TimeoutError, and where the
        socket does not block WantReadError or WantWriteError: then repeat it with the same arguments.
        """
        view = memoryview(data)
        if not view.c_contiguous:
            raise BufferError("the buffer is not contiguous: write a copy of it, bytes(view)")
        if view.format != "B" or view.ndim != 1:
            view = view.cast("B")
        deadline = self._deadline()
        if not self._connection.handshake_complete:
            self._handshake(deadline)
        held = False
        while True:
            with self._lock, self._failing():
                written = self._advance(view, data, whole)
                if written >= 0 and not self._send_path.has_output:
                    return written
                # Before it waits, a write looks at what the peer has to say (clause W09).
                self._take_input()
                if self._send_path.held:
                    held = True
                elif held and not self._auto_retry:
                    # SSL_write(3): a renegotiation took place, on a blocking socket without SSL_MODE_AUTO_RETRY.
                    raise self._want()
                writes = self._send_path.has_output
                if not writes and not (self._send_path.held and written == WANT_READ):
                    continue
                reads = self._may_take_input
                if not writes and not reads:
                    # The reader takes the peer's messages, or must take the data in front of them.
                    self._await_change(deadline)
                    continue
                self._wait(deadline, reads=reads, writes=writes)

    def _advance(self, view: memoryview, data: Buffer, whole: bool) -> int:
        """Seal and send as far as there is room; the result is `SendPath.write`'s.

        What could be sealed and not sent stays pending, as if it were not sealed.
        """
        send_path = self._send_path
        self._connection.start_handshake()  # it is done; this raises what ended the connection
        partial = send_path.partial and not whole
        if partial and send_path.sealed_part:
            # The part that was sealed and not sent is what this call is about.
            send_path.check_retry(view, data)
            return send_path.abandon() if self._flush() else WANT_WRITE
        configured, send_path.partial = send_path.partial, partial
        try:
            written = send_path.write(view, data)
            while written == WANT_WRITE and self._flush():
                written = send_path.write(view, data)
        finally:
            send_path.partial = configured
        if not view and send_path.held:
            # Clause W18: a write of nothing completes a handshake all the same.
            return WANT_READ
        if not self._flush() and written > 0:
            send_path.keep_pending(view, data, written)
        return written

    @property
    def _may_take_input(self) -> bool:
        """Whether a write may read: no reader is active, and there is room for what comes."""
        return not self._reader and not self._polling and len(self._kept) <= limits.KEPT_IN_WRITE

    def _take_input(self) -> None:
        """In a write: serve what the peer says; application data is kept for the reader, up to a bound."""
        while self._may_take_input:
            plain = _buffers.plain
            count = self._open(plain)
            if count <= 0:
                break
            self._kept += plain[:count]
        self._flush()

    def _flush(self) -> bool:
        """Send the engine's output; False where the kernel has no room for all of it."""
        send_path = self._send_path
        while output := send_path.output():
            try:
                count = _Socket.send(self, output)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as exc:
                raise self._broken(exc) from exc
            send_path.sent(count)
        return True

    def _broken(self, exc: OSError) -> TLSError:
        """A socket that takes nothing more: the peer's last words are the cause, if there are any."""
        connection = self._connection
        if connection.error is None:
            with suppress(OSError, TLSError):
                while self._open(_buffers.plain) > 0:
                    pass
        if connection.error is not None and not isinstance(connection.error, TruncationError):
            return connection.error.again()
        return connection.fail(SyscallError(f"the connection under TLS failed: {exc}"))

    # ---- handshake, waiting ---------------------------------------------------------------------------

    def _handshake(self, deadline: float | None) -> None:
        """Finish the handshake, or a renegotiation that is under way."""
        while True:
            with self._lock, self._failing():
                self._connection.start_handshake()
                while not self._settled and not self._polling:
                    self._flush()
                    count = self._open(_buffers.plain)
                    if count <= 0:
                        break
                    self._kept += _buffers.plain[:count]
                flushed = self._flush()
                if self._settled:
                    self._changed.notify_all()
                    if flushed:
                        return
                reads = not self._settled and not self._polling
                if not reads and flushed:
                    # Another thread waits for the peer, and goes on with the handshake.
                    self._await_change(deadline)
                    continue
                self._wait(deadline, reads=reads, writes=not flushed)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Where the engine fails, its alert is sent before the error is raised."""
        try:
            yield
        except TLSError:
            if self._connection.error is not None:
                with suppress(OSError, TLSError):
                    self._flush()
                self._changed.notify_all()
            raise

    def _deadline(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _remaining(self, deadline: float | None) -> float | None:
        """Seconds left, None for ever; raises TimeoutError."""
        if deadline is None:
            return None
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the operation timed out; a write can be repeated with the same arguments")
        return left

    def _wait(self, deadline: float | None, *, reads: bool, writes: bool) -> None:
        """Wait until the socket is ready for one of the two; the lock is held, and given up meanwhile.

        `reads` only where no other thread is `_polling`.
        """
        if self._timeout == 0:
            raise self._want(writes=writes)
        poll = select.poll()
        poll.register(self.fileno(), (select.POLLIN if reads else 0) | (select.POLLOUT if writes else 0))
        self._polling = self._polling or reads
        self._lock.release()
        try:
            while True:
                left = self._remaining(deadline)
                if poll.poll(None if left is None else left * 1000):
                    return
        finally:
            self._lock.acquire()
            if reads:
                self._polling = False
                self._changed.notify_all()

    def _want(self, *, writes: bool = False) -> ssl.SSLError:
        """What is raised where the socket does not block: the call is to be repeated when it is ready."""
        return WantWriteError() if writes else WantReadError()

    def _await_change(self, deadline: float | None) -> None:
        """Wait for the progress of another thread; the lock is held."""
        if self._timeout == 0:
            raise self._want()
        self._changed.wait(self._remaining(deadline))

    # ---- the socket itself ------------------------------------------------------------------------------

    @contextmanager
    def _blocking_socket(self) -> Iterator[None]:
        """The descriptor with the application's timeout, for calls of the socket's own."""
        _Socket.settimeout(self, self._timeout)
        try:
            yield
        finally:
            if self.fileno() >= 0:
                _Socket.settimeout(self, 0.0)

    def _accept_plain(self) -> tuple[socket.socket, Any]:
        """`socket.accept`. A listening socket keeps the application's timeout: several threads may wait here."""
        _Socket.settimeout(self, self._timeout)
        return _Socket.accept(self)

    def _say_goodbye(self) -> None:
        """close_notify, if the kernel takes it at once."""
        with self._lock, suppress(OSError, TLSError):
            self._connection.close_notify()
            self._flush()

    def _real_close(self, *args: Any) -> None:
        if self.fileno() >= 0:
            self._say_goodbye()
        _Socket._real_close(self, *args)  # type: ignore[attr-defined]  # what `socket.close` calls once no file is open on it

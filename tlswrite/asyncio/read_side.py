"""The read side of a transport: from the socket to the protocol.

Theory of operation. One wake-up is one `recv_into` the buffer that the loop's connections share, at most
`limits.READ_BUDGET` bytes; the socket stays registered, so what is left brings the next wake-up after other
connections had their turn. The records are opened back to back into the shared plaintext buffer and
delivered as one `data_received`, or opened straight into a BufferedProtocol's own buffer where a record is
sure to fit. After every callback the state is looked at again: paused, closing, another protocol?

While the protocol has paused reading, the engine goes on: control records are served, and plaintext is
held, up to `limits.PAUSED_READ_LIMIT`; only then the socket is left unread (clauses W09, A06). When reading
resumes, what piled up there is read without asking the loop. The end of the peer's bytes is delivered in order,
behind what is held.

Invariants:
* `_fast_read` is true exactly while plaintext may go to the protocol at once: connected, not paused, not
  closing, nothing held;
* plaintext is held, or whole records are left in the receive path, only with `_fast_read` false, and
  `resume_reading` then schedules `_resume`, which delivers without waiting for the socket;
* a shared buffer is never in the hands of the application.

Refused: reading until the socket is empty (starves the loop), calling `data_received` out of
`resume_reading`.
"""

from __future__ import annotations

import asyncio
import socket
from abc import abstractmethod
from time import monotonic
from typing import Any, Final, overload

from tlswrite import limits
from tlswrite.asyncio.awaited_writes import AwaitedWrites
from tlswrite.asyncio.buffers import LoopBuffers, lend
from tlswrite.asyncio.lifecycle import logger
from tlswrite.connection import TLSConnection
from tlswrite.errors import TLSError
from tlswrite.record.codes import WANT_READ
from tlswrite.record.receive import OUT_ROOM

__all__ = ["ReadSide"]

_READ_BUDGET: Final = limits.READ_BUDGET


class ReadSide(AwaitedWrites):
    """Reading, pausing, and the choice between the two kinds of protocol."""

    __slots__ = (
        "_buffered",
        "_discard_left",
        "_end_told",
        "_held",
        "_held_size",
        "_paused",
        "_receive_path",
        "_recv_into",
        "_resuming",
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
        self._receive_path = connection.receive_path
        self._recv_into = sock.recv_into
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        self._paused = False
        self._resuming = False
        #: Plaintext opened while the protocol pauses.
        self._held: list[bytes] | None = None
        self._held_size = 0
        #: eof_received was called.
        self._end_told = False
        #: Bytes that are still read and thrown away once it closes.
        self._discard_left = limits.LINGER_BYTES

    # ---- public -------------------------------------------------------------------------------------

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol  # type: ignore[no-any-return]  # the protocol is duck-typed here, as in asyncio

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from now on; allowed inside any callback (clause A07).

        If writing is paused, the new protocol is told so, and will be told when it goes on.
        """
        changed = protocol is not self._protocol
        self._protocol = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)
        if changed and self._protocol_paused:
            self._tell_protocol("pause_writing")

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`; writing goes on (clause A06). Idempotent."""
        if self._paused or self._closing:
            return
        self._paused = True
        self._fast_read = False
        if self._loop.get_debug():
            logger.debug("%r pauses reading", self._face)

    def resume_reading(self) -> None:
        """Deliver again; what was held comes first, from the loop and not out of this call. Idempotent."""
        if not self._paused or self._closing:
            return
        self._paused = False
        if self._held is None and self._reading:
            self._fast_read = self._connected
        elif not self._resuming:
            self._resuming = True
            self._loop.call_soon(self._resume, context=self._context)
        if self._loop.get_debug():
            logger.debug("%r resumes reading", self._face)

    # ---- events -------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        self._recent = 0.0
        if self._pairs:
            self._heard = monotonic()
        if self._fast_read:
            buffers = self._buffers
            if buffers.busy:
                self._read(_READ_BUDGET)
            else:
                self._read_run(buffers)
        elif self._closing:
            self._read_unwanted()
        elif self._held is not None and not self._paused:
            self._resume()
        else:
            self._read(limits.PAUSED_READ_LIMIT)

    def _read_run(self, buffers: LoopBuffers) -> None:
        """The short path of a byte: one recv, one call into the engine, one delivery.

        Whatever else is found is `_consume`'s.
        """
        receive_path = self._receive_path
        target = buffers.single
        end = 0
        if receive_path.tail:
            end = len(receive_path.tail)
            buffers.receive[:end] = receive_path.tail
            target = buffers.receive[end : end + _READ_BUDGET]
        try:
            count = self._recv_into(target)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            self._socket_failed(exc, "Fatal read error on socket transport")
            return
        end += count
        data = receive_path.open_single(buffers.header, buffers.fragment(end)) if count else b""
        if not data:
            if count:
                receive_path.feed(buffers.receive, end)
                # A BufferedProtocol gets a run opened straight into its own buffer.
                if not self._buffered:
                    data = receive_path.open_run(buffers.slots)
            if not data or receive_path.more:
                buffers.busy = True
                try:
                    if count or self._end_of_bytes():
                        self._deliver_run(data, buffers)
                finally:
                    buffers.busy = False
                return
            receive_path.reclaim()
        if self._buffered:
            self._fill_buffer(data)
        else:
            self._in_callback = True
            try:
                self._protocol.data_received(data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self._callback_failed(exc, "data_received")
            finally:
                self._in_callback = False
                self._recent = 0.0
        if self._backlog is not None and not self._writing:
            self._flush()

    def _resume(self) -> None:
        """Deliver what was held, then what is left in the receive path, then read on."""
        self._resuming = False
        if self._paused or self._closing:
            return
        held, self._held = self._held, None
        self._held_size = 0
        self._fast_read = True
        buffers = lend(self._buffers)
        buffers.busy = True
        try:
            if held is not None:
                self._deliver(held[0] if len(held) == 1 else b"".join(held))
            if self._receive_path.more or self._peer_done:
                tail = self._receive_path.tail
                buffers.receive[: len(tail)] = tail
                self._receive_path.feed(buffers.receive, len(tail))
                self._consume(buffers)
            elif self._backlog is not None and not self._writing:
                self._flush()
        finally:
            buffers.busy = False
        if self._reading or not self._wants_input():
            return
        # What came while the socket was left unread is there already, and a reader that pauses again and again
        # needs no registration.
        self._read(_READ_BUDGET if self._fast_read else limits.PAUSED_READ_LIMIT)
        if self._wants_input():
            self._watch_reads()

    def _wants_input(self) -> bool:
        """Whether the socket is to be read: for the protocol, or for what is held for it."""
        return not self._closing and not self._peer_done and self._held_size < limits.PAUSED_READ_LIMIT

    def _read(self, size: int) -> None:
        """One `recv_into` of up to `size` bytes, and all that comes of it."""
        buffers = lend(self._buffers)
        buffers.busy = True
        try:
            if self._receive(buffers, size):
                receive_path = self._receive_path
                if self._connected and not self._fast_read:
                    # For later: the object that is held is the one that is delivered.
                    data = receive_path.open_run(buffers.slots)
                    if (data and self._hold(data)) or not receive_path.more:
                        receive_path.reclaim()
                        return
                self._consume(buffers)
        finally:
            buffers.busy = False

    def _receive(self, buffers: LoopBuffers, size: int) -> bool:
        """One `recv_into`, given to the engine; False where there is nothing to do."""
        tail = self._receive_path.tail
        kept = len(tail)
        buffers.receive[:kept] = tail
        try:
            count = self._recv_into(buffers.receive[kept:], size)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as exc:
            self._socket_failed(exc, "Fatal read error on socket transport")
            return False
        if not count:
            return self._end_of_bytes()
        self._receive_path.feed(buffers.receive, kept + count)
        return True

    def _end_of_bytes(self) -> bool:
        """The peer sends nothing more; False where that is to be told later, behind what is held."""
        self._peer_done = True
        self._connection.feed_eof()
        self._ignore_reads()
        if self._paused or self._held is not None:
            self._fast_read = False
            return False
        return True

    # ---- delivery -----------------------------------------------------------------------------------

    def _deliver_run(self, data: bytes, buffers: LoopBuffers) -> None:
        """Deliver the beginning of what was fed, if it is `data`; what else there is is `_consume`'s."""
        if data:
            self._call_protocol("data_received", data)
        self._consume(buffers)

    def _consume(self, buffers: LoopBuffers) -> None:
        """Open all whole records of what was fed and deliver them; flush what that caused to be written."""
        plain = buffers.plain
        try:
            while not self._closing:
                target = plain
                if self._buffered and self._fast_read:
                    target = self._get_buffer(max(self._receive_path.unread, OUT_ROOM), plain)
                    if self._closing:
                        break
                count = self._connection.receive_into(target)
                if not self._connected and self._connection.handshake_complete:
                    self._handshake_done()
                    if self._closing:
                        break
                if count > 0:
                    if not self._fast_read:
                        if self._hold(bytes(target[:count])):
                            break
                    elif not self._buffered:
                        data = bytes(plain[:count])
                        self._in_callback = True
                        try:
                            self._protocol.data_received(data)
                        except (SystemExit, KeyboardInterrupt):
                            raise
                        except BaseException as exc:
                            self._callback_failed(exc, "data_received")
                        finally:
                            self._in_callback = False
                            self._recent = 0.0
                    elif target is plain:
                        self._copy_to_buffers(plain[:count])
                    else:
                        # The view must be gone, or the protocol could not resize its buffer.
                        target = plain
                        self._call_protocol("buffer_updated", count)
                    if not self._receive_path.more:
                        break
                elif count == WANT_READ:
                    break
                else:
                    self._end_of_input()
                    break
        except TLSError as exc:
            self._engine_failed(exc)
        finally:
            self._receive_path.reclaim()
        if not self._writing and (self._backlog is not None or self._send_path.has_output):
            self._flush()

    def _deliver(self, data: bytes) -> None:
        """Hand plaintext that was held to the protocol, of whichever kind."""
        if self._buffered:
            self._copy_to_buffers(memoryview(data))
        else:
            self._call_protocol("data_received", data)

    def _fill_buffer(self, data: bytes) -> None:
        """Deliver one record to a BufferedProtocol whose buffer takes it; else see `_copy_to_buffers`."""
        protocol = self._protocol
        size = len(data)
        call = "get_buffer"
        self._in_callback = True
        try:
            buffer = protocol.get_buffer(size)
            kind = type(buffer)
            if (
                self._fast_read
                and self._protocol is protocol
                and (kind is bytearray or (kind is memoryview and buffer.format == "B" and buffer.ndim == 1))
                and len(buffer) >= size
            ):
                buffer[:size] = data
                # The view must be gone, or the protocol could not resize its buffer.
                del buffer
                call = "buffer_updated"
                protocol.buffer_updated(size)
                return
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._callback_failed(exc, call)
            return
        finally:
            self._in_callback = False
            self._recent = 0.0
        del buffer
        self._copy_to_buffers(memoryview(data))

    def _copy_to_buffers(self, data: memoryview) -> None:
        """Deliver to a BufferedProtocol by copying, as often as its buffers need."""
        while data and not self._closing:
            if not self._fast_read:
                self._hold(bytes(data))
                return
            if not self._buffered:
                self._call_protocol("data_received", bytes(data))
                return
            buffer = self._get_buffer(len(data), None)
            if buffer is not None:
                count = min(len(buffer), len(data))
                buffer[:count] = data[:count]
                buffer = None
                data = data[count:]
                self._call_protocol("buffer_updated", count)

    @overload
    def _get_buffer(self, hint: int, otherwise: memoryview) -> memoryview: ...
    @overload
    def _get_buffer(self, hint: int, otherwise: None) -> memoryview | None: ...
    def _get_buffer(self, hint: int, otherwise: memoryview | None) -> memoryview | None:
        """The protocol's buffer, as a flat view.

        `otherwise` where it has too little room for a record (if `otherwise` is a buffer), or where the call
        changed the transport's state, so that nothing may be delivered now.
        """
        protocol = self._protocol
        self._in_callback = True
        try:
            view = memoryview(protocol.get_buffer(hint)).cast("B")
            if not view:
                raise RuntimeError("get_buffer() returned an empty buffer")
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._callback_failed(exc, "get_buffer")
            return otherwise
        finally:
            self._in_callback = False
            self._recent = 0.0
        if not self._fast_read or self._protocol is not protocol:
            return otherwise
        return view if otherwise is None or len(view) >= OUT_ROOM else otherwise

    def _call_protocol(self, name: str, argument: bytes | int) -> None:
        """One delivery; what the protocol raises ends the connection."""
        self._in_callback = True
        try:
            getattr(self._protocol, name)(argument)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._callback_failed(exc, name)
        finally:
            self._in_callback = False
            self._recent = 0.0

    def _hold(self, data: bytes) -> bool:
        """Keep plaintext for later; True where that is enough, and the socket is left unread."""
        if self._held is None:
            self._held = []
            self._fast_read = False
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size < limits.PAUSED_READ_LIMIT:
            return False
        self._ignore_reads()
        return True

    def _end_of_input(self) -> None:
        """The peer's close_notify: its side is closed, ours is not (RFC 9846 §6.1)."""
        self._peer_done = True
        self._fast_read = False
        self._ignore_reads()
        if self._paused or self._held is not None or self._end_told:
            return
        self._end_told = True
        keep_open = False
        self._in_callback = True
        try:
            keep_open = bool(self._protocol.eof_received())
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._callback_failed(exc, "eof_received")
        finally:
            self._in_callback = False
            self._recent = 0.0
        # RFC 5246 §7.2.1: in TLS 1.2 the other side closes too, whatever the protocol says.
        if not keep_open or not self._connection.can_half_close:
            self.close()

    def _drop_buffers(self, exc: BaseException | None) -> None:
        super()._drop_buffers(exc)
        self._held = None
        self._held_size = 0

    # ---- of the classes above ---------------------------------------------------------------------------

    @abstractmethod
    def _read_unwanted(self) -> None:
        """Readable, and closing."""

    @abstractmethod
    def close(self) -> None:
        """An orderly end, which the peer's may call for."""

    @abstractmethod
    def _handshake_done(self) -> None:
        """The engine's handshake is complete: tell the protocol and whoever waits."""

    @abstractmethod
    def _engine_failed(self, exc: TLSError) -> None:
        """The engine gave up: the connection ends with its alert."""

"""Movers of bytes: two connections in memory, and one connection on a blocking socket.

`Pair` joins a client and a server by two byte queues, with the fragmentation and the damage a test
wants. `Link` drives one connection over a real socket with `select`, under a deadline, for peers that
are other programs. Both use only the public face of a connection: `do_handshake`, `read`, `write`,
`shutdown`, `bio_read`, `bio_write`, `bio_write_eof`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from tlswrite.errors import SyscallError, TLSError, WantReadError, WantWriteError, ZeroReturnError

CHUNK = 65536

#: Sees every piece an end sends (the end's name, the piece); returns what arrives.
Tamper = Callable[[str, bytes], bytes]


def take(connection: Any) -> bytes:
    """All output waiting in a connection."""
    pieces = []
    while True:
        try:
            piece = connection.bio_read(CHUNK)
        except WantReadError:
            break
        if not piece:
            break
        pieces.append(bytes(piece))
    return b"".join(pieces)


class End:
    """One side of a `Pair`: its connection and what happened to it."""

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self.connection = connection
        self.received = bytearray()
        self.sent = bytearray()
        self.handshaken = False
        self.closed = False  # the peer's close_notify was seen
        self.error: TLSError | None = None

    def advance(self) -> None:
        """Go as far as the input allows: handshake, then read; the outcome is kept, not raised."""
        if self.error is not None:
            return
        try:
            if not self.handshaken:
                self.connection.do_handshake()
                self.handshaken = True
            while not self.closed:
                self.received += self.connection.read(CHUNK)
        except (WantReadError, WantWriteError):
            pass
        except ZeroReturnError:
            self.closed = True
        except TLSError as error:
            self.error = error

    def take(self) -> bytes:
        output = take(self.connection)
        self.sent += output
        return output

    def put(self, data: bytes) -> None:
        try:
            self.connection.bio_write(data)
        except TLSError as error:  # a connection that is over may refuse input
            self.error = self.error or error

    def put_eof(self) -> None:
        self.connection.bio_write_eof()
        self.advance()


class Pair:
    """A client and a server joined in memory.

    `fragment` delivers so many bytes at a time; `tamper` sees every piece before it arrives.
    """

    def __init__(
        self, client: Any, server: Any, *, fragment: int | None = None, tamper: Tamper | None = None
    ) -> None:
        self.client = End("client", client)
        self.server = End("server", server)
        self.fragment = fragment
        self.tamper = tamper

    @property
    def ends(self) -> tuple[End, End]:
        return self.client, self.server

    def pump(self) -> None:
        """Move bytes until both sides are quiet. Errors are kept at the ends."""
        moved = True
        while moved:
            moved = self._move(self.client, self.server)
            moved = self._move(self.server, self.client) or moved

    def handshake(self) -> None:
        """Pump, and raise what went wrong; both sides are through afterwards."""
        self.pump()
        self.check()
        assert self.client.handshaken, "the client is not through the handshake"
        assert self.server.handshaken, "the server is not through the handshake"

    def check(self) -> None:
        """Raise what one of the ends met, the cause before the alert it led to."""
        errors = [end.error for end in self.ends if end.error is not None]
        errors.sort(key=lambda error: error.alert is None)
        for error in errors:
            raise error

    def transfer(self, sender: End, data: Any) -> None:
        """Write all of `data` at one end and move it; the other end's `received` grows."""
        rest = memoryview(data)
        while len(rest):
            try:
                rest = rest[sender.connection.write(rest) :]
            except (WantReadError, WantWriteError):
                self.pump()
        self.pump()
        self.check()

    def close(self, first: str = "client") -> None:
        """Both sides send close_notify, the one named first."""
        for end in sorted(self.ends, key=lambda end: end.name != first):
            shutdown(end.connection)
            self.pump()
        self.check()

    def _move(self, source: End, target: End) -> bool:
        source.advance()
        data = source.take()
        if data and self.tamper is not None:
            data = self.tamper(source.name, data)
        step = self.fragment or len(data) or 1
        for at in range(0, len(data), step):
            target.put(data[at : at + step])
            target.advance()
        return bool(data)


def shutdown(connection: Any) -> bool:
    """Send close_notify; True when the peer's has been seen too."""
    try:
        connection.shutdown()
    except (WantReadError, WantWriteError):
        return False
    except ZeroReturnError:
        pass
    return True


class Link:
    """One connection on a socket, driven with `select`; nothing waits longer than `timeout` seconds."""

    def __init__(self, connection: Any, sock: socket.socket, timeout: float = 15.0) -> None:
        self.connection = connection
        self.sock = sock
        self.timeout = timeout
        self.closed = False  # the peer's close_notify was seen
        self.wire_in = bytearray()  # the beginning of what came, for tests that look at the handshake
        self.wire_out = bytearray()
        self._out = b""
        sock.setblocking(False)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def handshake(self) -> None:
        deadline = self._deadline()
        while True:
            try:
                self.connection.do_handshake()
            except (WantReadError, WantWriteError) as want:
                self._wait(deadline, reading=isinstance(want, WantReadError))
            except TLSError:
                self.flush()  # the alert
                raise
            else:
                return self.flush()

    def send(self, data: bytes) -> None:
        """Write all of it; what arrives in the meantime stays in the socket and the connection."""
        self.exchange(data, 0)

    def recv(self, size: int) -> bytes:
        """Exactly so many bytes of application data."""
        return self.exchange(b"", size)

    def recv_until(self, token: bytes) -> bytes:
        """Application data up to and with a token."""
        data = b""
        while not data.endswith(token):
            data += self.recv(1)
        return data

    def exchange(self, data: bytes, size: int | None) -> bytes:
        """Write `data` while reading `size` bytes, or up to close_notify with None; what was read."""
        deadline = self._deadline()
        received = bytearray()
        rest: memoryview | None = memoryview(data) if data else None
        while rest is not None or not self._has(received, size):
            reading = not self._has(received, size)
            progress = False
            if rest is not None:
                try:
                    rest = rest[self.connection.write(rest) :] or None
                    progress = True
                except WantWriteError:
                    pass
                except WantReadError:
                    reading = True
            if reading and not self._has(received, size):
                progress = self._read(received, size) or progress
            if not progress:
                self._wait(deadline, reading=reading)
        self.flush()
        return bytes(received)

    def flush(self) -> None:
        deadline = self._deadline()
        while self._fill():
            self._wait(deadline, reading=False)

    def until(self, done: Callable[[], bool]) -> None:
        """Move bytes until something has come about; no application data may come meanwhile."""
        deadline = self._deadline()
        received = bytearray()
        while not done():
            if not self._read(received, None) and not done():
                self._wait(deadline, reading=True)
            assert not received and not self.closed
        self.flush()

    def half_close(self) -> None:
        """Send close_notify; reading goes on."""
        shutdown(self.connection)
        self.flush()

    def close(self) -> bytes:
        """Send close_notify, read up to the peer's, end the connection: what it sent. A bare end raises."""
        self.half_close()
        rest = self.exchange(b"", None)
        with contextlib.suppress(OSError):  # the peer is gone, with all we had to say
            self.sock.shutdown(socket.SHUT_WR)
        return rest

    # ---- helpers -----------------------------------------------------------------------------------

    def _deadline(self) -> float:
        return time.monotonic() + self.timeout

    def _has(self, received: bytearray, size: int | None) -> bool:
        if size is None:
            return self.closed
        if self.closed and len(received) < size:
            raise AssertionError(f"close_notify after {len(received)} of {size} bytes")
        return len(received) >= size

    def _read(self, received: bytearray, size: int | None) -> bool:
        wanted = CHUNK if size is None else min(CHUNK, size - len(received))
        try:
            received += self.connection.read(wanted)
        except (WantReadError, WantWriteError):
            return False
        except ZeroReturnError:
            self.closed = True
        except TLSError:
            self.flush()  # the alert
            raise
        return True

    def _fill(self) -> bool:
        if not self._out:
            self._out = take(self.connection)
        return bool(self._out)

    def _wait(self, deadline: float, *, reading: bool) -> None:
        """Send or receive once, when the socket is ready for it."""
        writing = self._fill()
        left = deadline - time.monotonic()
        readers, writers = ([self.sock] if reading else []), ([self.sock] if writing else [])
        if not readers and not writers:
            raise AssertionError("nothing to wait for: the connection wants to write and has no output")
        readable, writable, _ = select.select(readers, writers, [], max(left, 0))
        if not readable and not writable:
            raise TimeoutError(f"no {'input' if reading else 'room for output'} in {self.timeout} s")
        if writable:
            sent = self.sock.send(self._out)
            self._note(self.wire_out, self._out[:sent])
            self._out = self._out[sent:]
        if readable:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self.sock.recv(CHUNK)
        except ConnectionError as error:
            raise SyscallError(f"the socket failed: {error}") from error
        self._note(self.wire_in, data)
        if data:
            self.connection.bio_write(data)
        else:
            self.connection.bio_write_eof()

    @staticmethod
    def _note(wire: bytearray, data: bytes) -> None:
        if len(wire) < CHUNK:
            wire += data

"""One file over one connection, the same way for every TLS library.

The client sends eight bytes of size and then the file, in pieces, heeding `pause_writing`; the server
hashes what arrives and answers with the 32 bytes of its SHA-256. A slow reader takes `READ_AT_ONCE` bytes,
then stops reading for `PAUSE` seconds, as one does that writes to a slow disk; meanwhile the small socket
buffers fill and the sender must wait.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from tlswrite.crypto.kdf import new_hash

__all__ = ["Transfer", "transfer"]

#: Bytes of the file in one `write`.
PIECE = 1024 * 1024

#: Send and receive buffer asked of the kernel for the sockets of a transfer. Bytes.
SOCKET_BUFFER = 64 * 1024

#: A slow reader's pattern: bytes read at a stretch, seconds of rest.
READ_AT_ONCE, PAUSE = 4 * 1024 * 1024, 0.005

HOST = "127.0.0.1"
HEADER = 8
HASH, DIGEST = "sha256", 32

Factory = Callable[[], asyncio.Protocol]
Serve = Callable[[Factory, socket.socket], Awaitable[asyncio.AbstractServer]]
Connect = Callable[[Factory, tuple[str, int]], Awaitable[tuple[asyncio.Transport, asyncio.Protocol]]]


@dataclass(frozen=True, slots=True)
class Transfer:
    """What one transfer showed. Sizes in bytes, times in seconds of wall-clock."""

    size: int
    seconds: float
    sent_digest: bytes
    received_digest: bytes
    pauses: int
    largest_write_buffer: int
    #: The TLS side of the client: a TLSConnection, or what `ssl` has in its place.
    tls: Any

    @property
    def equal(self) -> bool:
        return self.sent_digest == self.received_digest

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.size / self.seconds


async def transfer(
    file: BinaryIO,
    size: int,
    serve: Serve,
    connect: Connect,
    *,
    slow: bool,
    port: int = 0,
    report: Callable[[int], None] = lambda done: None,
) -> Transfer:
    """Send `size` bytes of `file`, from its beginning, to a server on `port`; wait for its hash.

    Raises OSError: the port, the file or the connection.
    """
    file.seek(0)
    receivers: list[Receiver] = []
    listener = _listening_socket(port)

    def receiver() -> Receiver:
        receivers.append(Receiver(slow=slow))
        return receivers[-1]

    server = await serve(receiver, listener)
    try:
        transport, sender = await connect(lambda: Sender(file, size, report), listener.getsockname())
        assert isinstance(sender, Sender)
        tls = transport.get_extra_info("ssl_object")
        begin = time.perf_counter()
        try:
            sender.begin()
            received_digest = await sender.answer
            seconds = time.perf_counter() - begin
            transport.close()
            await sender.lost
        finally:
            transport.abort()
    finally:
        server.close()
        listener.close()
    await asyncio.gather(*(receiver.lost for receiver in receivers))
    return Transfer(
        size=size,
        seconds=seconds,
        sent_digest=sender.digest(),
        received_digest=received_digest,
        pauses=sender.pauses,
        largest_write_buffer=sender.largest_write_buffer,
        tls=tls,
    )


def _listening_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)  # accepted sockets inherit it
        sock.bind((HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock


class Sender(asyncio.Protocol):
    """Writes the file as fast as the transport's flow control lets it."""

    def __init__(self, file: BinaryIO, size: int, report: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        self._file = file
        self._size = size
        self._left = size
        self._report = report
        self._hash = new_hash(HASH)
        self._received = b""
        self._paused = False
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.pauses = 0
        self.largest_write_buffer = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)

    def begin(self) -> None:
        self._transport.write(self._size.to_bytes(HEADER))
        self._write()

    def digest(self) -> bytes:
        return self._hash.digest()

    def pause_writing(self) -> None:
        self._paused = True
        self.pauses += 1

    def resume_writing(self) -> None:
        self._paused = False
        self._write()

    def _write(self) -> None:
        try:
            while self._left and not self._paused:
                piece = self._file.read(min(PIECE, self._left))
                if not piece:
                    raise OSError(f"the file ended {self._left} bytes short of its size")
                self._left -= len(piece)
                self._hash.update(piece)
                self._transport.write(piece)
                buffered = self._transport.get_write_buffer_size()
                self.largest_write_buffer = max(self.largest_write_buffer, buffered)
                self._report(max(0, self._size - self._left - buffered))
        except OSError as exc:
            if not self.answer.done():
                self.answer.set_exception(exc)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) == DIGEST and not self.answer.done():
            self.answer.set_result(self._received)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("the connection ended before the answer"))
        self.lost.set_result(None)


class Receiver(asyncio.Protocol):
    """Hashes what arrives, slowly where asked to, and answers with the hash once all is there."""

    def __init__(self, *, slow: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._hash = new_hash(HASH)
        self._header = b""
        self._left = 0
        self._until_pause = READ_AT_ONCE if slow else 0
        self._slow = slow
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if len(self._header) < HEADER:
            missing = HEADER - len(self._header)
            self._header, data = self._header + data[:missing], data[missing:]
            if len(self._header) < HEADER:
                return
            self._left = int.from_bytes(self._header)
        self._hash.update(data)
        self._left -= len(data)
        if not self._left:
            self._transport.write(self._hash.digest())
        elif self._slow:
            self._rest(len(data))

    def _rest(self, count: int) -> None:
        self._until_pause -= count
        if self._until_pause <= 0:
            self._until_pause = READ_AT_ONCE
            self._transport.pause_reading()
            self._loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)

"""Transports under test on real sockets: protocols that record, sockets that count, peers that are steered.

    joined = await join()                                    # two transports on a socket pair
    transport, recorder, peer = await face_server()          # a client transport; the test drives the server
    transport, recorder, peer = await face_client()          # a server transport; the test drives the client

Nothing here waits longer than `PATIENCE` seconds, and nothing sleeps: every wait is for something.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from tests.support import engine
from tlswrite.asyncio import Sending, Transport, connect_accepted_socket, create_connection
from tlswrite.connection import TLSConnection
from tlswrite.errors import WantReadError, WantWriteError, ZeroReturnError

PATIENCE = 15.0


class Complaints(list[dict[str, Any]]):
    """Contexts given to a loop's exception handler."""

    def take(self) -> dict[str, Any]:
        """The only one there is."""
        (context,) = self
        self.clear()
        return context


class Meter(socket.socket):
    """A real socket that counts its calls, and can be told to take less or to fail."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sends: list[int] = []  # bytes taken, call by call
        self.sent = bytearray()  # the bytes themselves
        self.refused = 0  # sends that would have blocked
        self.reads = 0
        self.room: int | None = None  # bytes taken before sends are refused; None: as the kernel says
        self.most: int | None = None  # most bytes taken by one send
        self.failure: OSError | None = None  # what the next send raises

    @classmethod
    def of(cls, sock: socket.socket) -> Meter:
        return cls(fileno=sock.detach())

    def send(self, data: Any, flags: int = 0) -> int:
        if self.failure is not None:
            raise self.failure
        piece = memoryview(data)[: self.most]
        if self.room is not None:
            piece = piece[: self.room]
        if data and not piece:
            self.refused += 1
            raise BlockingIOError
        try:
            count = super().send(piece, flags)
        except BlockingIOError:
            self.refused += 1
            raise
        if self.room is not None:
            self.room -= count
        self.sends.append(count)
        self.sent += piece[:count]
        return count

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.reads += 1
        return super().recv_into(*args, **kwargs)

    def reset(self) -> None:
        """Count from here."""
        self.sends.clear()
        self.sent.clear()
        self.refused = self.reads = 0


def socket_pair(*, tcp: bool = False, buffer: int | None = None) -> tuple[Meter, Meter]:
    """Two connected sockets; `buffer` bytes of room in the kernel for each direction, roughly."""
    if tcp:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if buffer is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            first = socket.socket()
            if buffer is not None:
                first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            first.connect(listener.getsockname())
            second, _ = listener.accept()
    else:
        first, second = socket.socketpair()
    for each in (first, second):
        if buffer is not None:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        each.setblocking(False)
    return Meter.of(first), Meter.of(second)


class Recorder(asyncio.Protocol):
    """A protocol that keeps what it was told; `on` holds what to do in a callback, by its name."""

    def __init__(self, **on: Callable[..., Any]) -> None:
        self.on = on
        self.calls: list[str] = []
        self.data = bytearray()
        self.pieces: list[bytes] = []
        self.transport: Any = None
        self.lost: BaseException | None = None
        self.keep_open = False
        self._waiters: list[asyncio.Future[None]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.note("connection_made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.pieces.append(data)
        self.data += data
        self.note("data_received", data)

    def eof_received(self) -> bool:
        self.note("eof_received")
        return self.keep_open

    def pause_writing(self) -> None:
        self.note("pause_writing")

    def resume_writing(self) -> None:
        self.note("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = exc
        self.note("connection_lost")

    def note(self, name: str, *arguments: Any) -> None:
        self.calls.append(name)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        action = self.on.get(name)
        if action is not None:
            action(self, *arguments)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for callbacks until `condition()` holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    async def got(self, size: int) -> bytes:
        """Wait for `size` bytes in all; more is an error."""
        await self.until(lambda: len(self.data) >= size)
        assert len(self.data) == size
        return bytes(self.data)

    async def gone(self) -> BaseException | None:
        """Wait for connection_lost; what it was told."""
        await self.until(lambda: "connection_lost" in self.calls)
        return self.lost


class BufferedRecorder(Recorder, asyncio.BufferedProtocol):
    """The same with a buffer of its own, of `size` bytes."""

    def __init__(self, size: int, **on: Callable[..., Any]) -> None:
        super().__init__(**on)
        self.buffer = bytearray(size)
        self.hints: list[int] = []

    def get_buffer(self, sizehint: int) -> Any:
        self.hints.append(sizehint)
        self.note("get_buffer")
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.pieces.append(bytes(self.buffer[:nbytes]))
        self.data += self.buffer[:nbytes]
        # A protocol may do with its buffer as it likes, as long as it is not lent.
        self.buffer += b"\0"
        del self.buffer[-1:]
        self.note("buffer_updated", nbytes)

    def data_received(self, data: bytes) -> None:
        raise AssertionError("data_received of a BufferedProtocol")


@dataclass
class Joined:
    """Two transports that talk to each other."""

    client: Any
    server: Any
    client_socket: Meter
    server_socket: Meter

    async def close(self) -> None:
        for recorder in (self.client, self.server):
            recorder.transport.abort()
        await self.client.gone()
        await self.server.gone()


async def join(
    client: Any = None,
    server: Any = None,
    *,
    client_fields: dict[str, Any] | None = None,
    server_fields: dict[str, Any] | None = None,
    tcp: bool = False,
    buffer: int | None = None,
    **options: Any,
) -> Joined:
    """A client and a server of this package on two sockets, handshake done; counters start at zero."""
    client = client or Recorder()
    server = server or Recorder()
    first, second = socket_pair(tcp=tcp, buffer=buffer)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(
            create_connection(
                lambda: client,
                sock=first,
                ssl=engine.client_config(**(client_fields or {})),
                server_hostname=engine.HOST,
                **options,
            ),
            connect_accepted_socket(
                lambda: server, second, ssl=engine.server_config(**(server_fields or {})), **options
            ),
        )
    first.reset()
    second.reset()
    return Joined(client, server, first, second)


class Peer:
    """An engine on a socket, moved by the test: it reads and writes when it is told to, and not before.

    Tests need not close it: `close_all` does, at the end of each.
    """

    _all: ClassVar[list[Peer]] = []

    @classmethod
    def close_all(cls) -> None:
        for peer in cls._all:
            peer.socket.close()
        cls._all.clear()

    def __init__(self, connection: TLSConnection, sock: socket.socket) -> None:
        self.connection = connection
        self.socket = sock
        self.loop = asyncio.get_running_loop()
        self._all.append(self)

    async def handshake(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    self.connection.do_handshake()
                except WantReadError:
                    await self.flush()
                    await self.receive()
                else:
                    break
            await self.flush()

    async def flush(self) -> None:
        """Send what the engine has sealed."""
        async with asyncio.timeout(PATIENCE):
            while output := self.connection.bio_read():
                await self.loop.sock_sendall(self.socket, output)

    async def receive(self, size: int = 65536) -> int:
        """Take one piece from the socket into the engine; its size, 0 at the end."""
        async with asyncio.timeout(PATIENCE):
            data = await self.loop.sock_recv(self.socket, size)
        if data:
            self.connection.bio_write(data)
        else:
            self.connection.bio_write_eof()
        return len(data)

    async def send(self, data: bytes) -> None:
        while True:
            try:
                self.connection.write(data)
            except WantWriteError:
                await self.flush()
            else:
                break
        await self.flush()

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes of application data."""
        data = bytearray()
        while len(data) < size:
            try:
                data += self.connection.read(size - len(data))
            except WantReadError:
                await self.receive()
        return bytes(data)

    async def read_to_end(self) -> bytes:
        """Application data up to close_notify; a connection that ends otherwise raises."""
        data = bytearray()
        while True:
            try:
                data += self.connection.read(65536)
            except WantReadError:
                await self.receive()
            except ZeroReturnError:
                return bytes(data)

    async def close(self) -> None:
        """close_notify, and the socket closed."""
        self.connection.shutdown()
        await self.flush()
        self.socket.close()


async def face_server(
    recorder: Any = None, *, tcp: bool = False, buffer: int | None = None, **fields: Any
) -> tuple[Transport, Any, Peer]:
    """A client transport, its protocol, and the server that the test drives."""
    recorder = recorder or Recorder()
    ours, theirs = socket_pair(tcp=tcp, buffer=buffer)
    peer = Peer(engine.server(**fields), theirs)
    async with asyncio.timeout(PATIENCE):
        (transport, _), _ = await asyncio.gather(
            create_connection(
                lambda: recorder, sock=ours, ssl=engine.client_config(), server_hostname=engine.HOST
            ),
            peer.handshake(),
        )
    assert isinstance(transport, Transport)
    return transport, recorder, peer


async def face_client(
    recorder: Any = None, *, tcp: bool = False, buffer: int | None = None, **fields: Any
) -> tuple[Transport, Any, Peer]:
    """A server transport, its protocol, and the client that the test drives."""
    recorder = recorder or Recorder()
    ours, theirs = socket_pair(tcp=tcp, buffer=buffer)
    peer = Peer(engine.client(**fields), theirs)
    async with asyncio.timeout(PATIENCE):
        (transport, _), _ = await asyncio.gather(
            connect_accepted_socket(lambda: recorder, ours, ssl=engine.server_config()),
            peer.handshake(),
        )
    assert isinstance(transport, Transport)
    return transport, recorder, peer


def meter_of(transport: Any) -> Meter:
    """The counting socket under a transport."""
    sock = transport.get_extra_info("socket")._sock
    assert isinstance(sock, Meter)
    return sock


async def turns(count: int = 5) -> None:
    """Let the loop turn so many times: what was scheduled by now has run."""
    for _ in range(count):
        await asyncio.sleep(0)


def is_reading(transport: Any) -> bool:
    return "read=polling" in repr(transport)


def reset(peer: Peer) -> None:
    """Close with a reset instead of an end."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


async def settled(sending: Sending) -> int:
    """The result of an awaited write, as what a task wants."""
    return await sending


async def cancel(task: asyncio.Task[int]) -> None:
    """Cancel a task, and see it end so."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

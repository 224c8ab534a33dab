"""What is measured. Each workload has one pair of protocol classes, the same for every variant.

* echo: the client writes a message, the server writes back what arrives, as it arrives; an operation is one
  round trip of the whole message;
* one-way: the client writes buffers of one size as fast as the transport's flow control lets it
  (`pause_writing` / `resume_writing`), the server counts; an operation is one `write`, delivered;
* handshake: an operation is a TCP connection with a full handshake, seen complete at both ends, and its end
  by `abort()`, seen at both ends;
* the AEAD alone: an operation is the sealing and opening of the same bytes in full records, without
  anything else.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, cast

from benchmarks.variants import SUITE, Bed
from tlswrite.crypto.aead import new_aead
from tlswrite.crypto.suites import SUITES
from tlswrite.limits import MAX_PLAINTEXT, TAG

KIB = 1024


class Session(ABC):
    """A workload under way on one bed."""

    @abstractmethod
    async def run(self, operations: int) -> None: ...

    @abstractmethod
    async def verify(self) -> None:
        """Raise unless the bytes that arrive are the bytes that were written."""

    @abstractmethod
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Workload(ABC):
    """`size` is in bytes; `aead_passes` how often an operation seals and opens that many."""

    size: int

    #: Whether servers send tickets and clients resume.
    resumes: ClassVar[bool] = False
    #: Whether tlswrite with its own defaults is measured beside the variants.
    shows_defaults: ClassVar[bool] = True

    @property
    @abstractmethod
    def family(self) -> str: ...

    @property
    @abstractmethod
    def aead_passes(self) -> int: ...

    @property
    def messages(self) -> tuple[int, ...]:
        """Sizes in bytes of what an operation moves, one way."""
        return (self.size,)

    @property
    def column(self) -> str:
        return size_name(self.size)

    @property
    def name(self) -> str:
        return f"{self.family} {self.column}".strip()

    @abstractmethod
    async def start(self, bed: Bed) -> Session: ...


class Echo(Workload):
    family = "echo"
    aead_passes = 2

    async def start(self, bed: Bed) -> EchoSession:
        await bed.serve(EchoServer)
        message = os.urandom(self.size)
        transport, client = await bed.connect_socket(lambda: EchoClient(message))
        assert isinstance(client, EchoClient)
        return EchoSession(transport, client)


class OneWay(Workload):
    family = "one-way"
    aead_passes = 1

    async def start(self, bed: Bed) -> OneWaySession:
        sink = Sink()
        await bed.serve(lambda: sink)
        message = os.urandom(self.size)
        transport, source = await bed.connect_socket(lambda: Source(message))
        assert isinstance(source, Source)
        return OneWaySession(transport, source, sink)


class Handshake(Workload):
    family = "handshake"
    aead_passes = 0
    column = ""

    async def start(self, bed: Bed) -> HandshakeSession:
        ends: asyncio.Queue[End] = asyncio.Queue()
        await bed.serve(lambda: End(ends))
        return HandshakeSession(bed, ends)


class AEADCost:
    """Sealing and opening of messages of `sizes` bytes in full records: what no TLS can do without."""

    def __init__(self, *sizes: int) -> None:
        suite = SUITES[SUITE]
        self._aead = new_aead(suite, os.urandom(suite.key_length))
        self._nonce = bytes(suite.iv_length)
        plain = memoryview(os.urandom(max(sizes)))
        self._pieces = [
            plain[at : min(at + MAX_PLAINTEXT, size)]
            for size in sizes
            for at in range(0, size, MAX_PLAINTEXT)
        ]
        self._sealed = [bytearray(len(piece) + TAG) for piece in self._pieces]
        self._opened = [bytearray(len(piece)) for piece in self._pieces]

    def run(self, operations: int) -> None:
        aead, nonce, header = self._aead, self._nonce, b"\x17\x03\x03\x40\x11"
        records = list(zip(self._pieces, self._sealed, self._opened, strict=True))
        for _ in range(operations):
            for piece, sealed, opened in records:
                aead.encrypt_into(nonce, piece, header, sealed)
                aead.decrypt_into(nonce, sealed, header, opened)


# ---- echo ------------------------------------------------------------------------------------------


class EchoServer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class EchoClient(asyncio.Protocol):
    def __init__(self, message: bytes) -> None:
        self.message = message
        self.missing = 0
        self.rounds = 0
        self.received: bytearray | None = None
        self.done: asyncio.Future[None]
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def begin(self, rounds: int) -> asyncio.Future[None]:
        self.done = asyncio.get_running_loop().create_future()
        self.rounds = rounds
        self._send()
        return self.done

    def _send(self) -> None:
        self.missing = len(self.message)
        self.transport.write(self.message)

    def data_received(self, data: bytes) -> None:
        if self.received is not None:
            self.received += data
        self.missing -= len(data)
        if self.missing > 0:
            return
        self.rounds -= 1
        if self.rounds:
            self._send()
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class EchoSession(Session):
    def __init__(self, transport: asyncio.Transport, client: EchoClient) -> None:
        self._transport = transport
        self._client = client

    async def run(self, operations: int) -> None:
        await self._client.begin(operations)

    async def verify(self) -> None:
        self._client.received = bytearray()
        await self._client.begin(2)
        if self._client.received != self._client.message * 2:
            raise RuntimeError("echo: what came back is not what was written")
        self._client.received = None

    async def close(self) -> None:
        self._transport.abort()
        await self._client.lost


# ---- one-way ---------------------------------------------------------------------------------------


class Source(asyncio.Protocol):
    """Writes one message over and over while the transport's flow control lets it."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.writes = 0
        self.paused = False
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def begin(self, writes: int) -> None:
        self.writes = writes
        self._pump()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._pump()

    def _pump(self) -> None:
        write, message = self.transport.write, self.message
        while self.writes and not self.paused:
            self.writes -= 1
            write(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class Counted:
    """Counts what arrives; keeps it where `received` is there."""

    def __init__(self) -> None:
        self.missing = 0
        self.received: bytearray | None = None
        self.done: asyncio.Future[None]

    def expect(self, size: int) -> asyncio.Future[None]:
        self.missing = size
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def arrived(self, data: bytes | memoryview) -> None:
        if self.received is not None:
            self.received += data
        self.missing -= len(data)
        if self.missing <= 0:
            self.done.set_result(None)


class Sink(Counted, asyncio.Protocol):
    data_received = Counted.arrived


class OneWaySession(Session):
    def __init__(self, transport: asyncio.Transport, source: Source, sink: Counted) -> None:
        self._transport = transport
        self._source = source
        self._sink = sink

    async def run(self, operations: int) -> None:
        done = self._sink.expect(operations * len(self._source.message))
        self._source.begin(operations)
        await done

    async def verify(self) -> None:
        self._sink.received = bytearray()
        await self.run(3)
        if self._sink.received != self._source.message * 3:
            raise RuntimeError("one-way: what arrived is not what was written")
        self._sink.received = None

    async def close(self) -> None:
        self._transport.abort()
        await self._source.lost


# ---- handshake -------------------------------------------------------------------------------------


class End(asyncio.Protocol):
    """One end of a connection; `ends` is told when its handshake is complete."""

    def __init__(self, ends: asyncio.Queue[End] | None = None) -> None:
        self._ends = ends
        self.received = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        if self._ends is not None:
            self._ends.put_nowait(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self._ends is not None:
            self.transport.write(data)
        elif self.received.endswith(b"\n"):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class HandshakeSession(Session):
    def __init__(self, bed: Bed, ends: asyncio.Queue[End]) -> None:
        self._bed = bed
        self._ends = ends

    async def run(self, operations: int) -> None:
        for _ in range(operations):
            _, client = await self._bed.connect(End)
            assert isinstance(client, End)
            server = await self._ends.get()
            client.transport.abort()
            await client.lost
            await server.lost

    async def verify(self) -> None:
        """What goes over the new connection comes back over it, and the negotiation is the agreed one."""
        _, client = await self._bed.connect(End)
        assert isinstance(client, End)
        self._bed.library.check(client.transport)
        client.transport.write(b"once there and back\n")
        await client.lost
        server = await self._ends.get()
        await server.lost
        if not client.received == server.received == b"once there and back\n":
            raise RuntimeError("handshake: what came back is not what was written")

    async def close(self) -> None:
        pass


def size_name(size: int) -> str:
    for unit, name in ((KIB * KIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"

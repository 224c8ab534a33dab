"""Slow readers: a server writes to several clients, of which one at a time reads, and only what comes at once.

The others stand still with full pipes meanwhile, so nearly every write meets a socket that takes a part of it or
nothing, waits for room, and is told when there is some: the way of a write that the quick workloads hardly take.
Sockets have small buffers for it. An operation is one write, delivered.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import cast

from benchmarks.variants import HIGH_WATER, LOW_WATER, Bed
from benchmarks.workloads import KIB, Session, Source, Workload, size_name

__all__ = ["Slow"]

#: Send buffer of the server's sockets and receive buffer of the clients', bytes (the kernel doubles it). With less,
#: loopback's segments no longer fit the window, and what is measured is TCP waiting for its timers.
PIPE = 64 * KIB


@dataclass(frozen=True, slots=True)
class Slow(Workload):
    """Writes of `size` bytes to `readers` clients in turn."""

    size: int = 256 * KIB
    readers: int = 8

    family = "slow"
    aead_passes = 1

    @property
    def column(self) -> str:
        return f"{size_name(self.size)} to {self.readers}"

    async def start(self, bed: Bed) -> SlowSession:
        message = os.urandom(self.size)
        sources: asyncio.Queue[SlowSource] = asyncio.Queue()
        await bed.serve(lambda: SlowSource(message, sources))
        pairs = []
        for _ in range(self.readers):
            _, reader = await bed.connect_socket(SlowReader)
            assert isinstance(reader, SlowReader)
            # Not before the server is there: uvloop's TLS sends the client's Finished with its first read.
            source = await sources.get()
            reader.transport.pause_reading()
            pairs.append((source, reader))
        return SlowSession(pairs, message)


class SlowSource(Source):
    def __init__(self, message: bytes, made: asyncio.Queue[SlowSource]) -> None:
        super().__init__(message)
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        _narrow(self.transport, socket.SO_SNDBUF)
        self._made.put_nowait(self)


class SlowReader(asyncio.Protocol):
    """Reads once each time it is let."""

    def __init__(self) -> None:
        self.missing = 0
        self.received: bytearray | None = None
        self.lost = asyncio.get_running_loop().create_future()
        self._turn: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        _narrow(self.transport, socket.SO_RCVBUF)

    def read_once(self) -> asyncio.Future[None]:
        """Done when something has come, and reading has ended again."""
        self._turn = asyncio.get_running_loop().create_future()
        self.transport.resume_reading()
        return self._turn

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.received is not None:
            self.received += data
        if self._turn is not None:  # a transport may hand over more that it had opened already
            self.transport.pause_reading()
            self._turn.set_result(None)
            self._turn = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class SlowSession(Session):
    def __init__(self, pairs: list[tuple[SlowSource, SlowReader]], message: bytes) -> None:
        self._pairs = pairs
        self._message = message
        self._next = 0

    async def run(self, operations: int) -> None:
        """So many writes, dealt out to the clients one by one, from whoever was left out last time."""
        count = len(self._pairs)
        for number, (source, reader) in enumerate(self._pairs):
            writes = (operations + count - 1 - (number - self._next) % count) // count
            reader.missing += writes * len(self._message)
            source.begin(writes)
        self._next = (self._next + operations) % count
        waiting = [reader for _, reader in self._pairs if reader.missing > 0]
        while waiting:
            for reader in waiting:
                if reader.missing > 0:
                    await reader.read_once()
            waiting = [reader for reader in waiting if reader.missing > 0]

    async def verify(self) -> None:
        for _, reader in self._pairs:
            reader.received = bytearray()
        await self.run(2 * len(self._pairs))
        for _, reader in self._pairs:
            if bytes(reader.received or b"") != self._message * 2:
                raise RuntimeError("slow: what arrived is not what was written")
            reader.received = None

    async def close(self) -> None:
        for source, reader in self._pairs:
            reader.transport.abort()
            await asyncio.gather(reader.lost, source.lost)


def _narrow(transport: asyncio.Transport, which: int) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, which, PIPE)

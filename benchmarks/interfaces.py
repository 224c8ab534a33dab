"""Echo and one-way through asyncio's other interfaces: streams (`write` and `drain`), and BufferedProtocol.

The bytes and the order of things are those of the workloads with plain protocols; what is added is what asyncio and
the transport make of the interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from typing import Any, cast

from benchmarks.variants import Bed
from benchmarks.workloads import KIB, Counted, OneWaySession, Session, Source, Workload

__all__ = ["BufferedEcho", "BufferedOneWay", "StreamEcho", "StreamOneWay"]

#: Bytes of a protocol's own buffer.
_ROOM = 256 * KIB


class StreamEcho(Workload):
    family = "streams"
    aead_passes = 2

    async def start(self, bed: Bed) -> StreamSession:
        size = self.size
        served: list[asyncio.Task[None]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(cast("asyncio.Task[None]", asyncio.current_task()))
            try:
                while True:
                    writer.write(await reader.readexactly(size))
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        reader, writer = await _streams(bed, serve)
        return StreamSession(reader, writer, os.urandom(size), served)


_Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def _streams(bed: Bed, serve: _Handler) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client's streams; `serve` has the server's."""
    await bed.serve(lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_ROOM), serve))
    reader = asyncio.StreamReader(limit=_ROOM)
    transport, protocol = await bed.connect_socket(lambda: asyncio.StreamReaderProtocol(reader))
    assert isinstance(protocol, asyncio.StreamReaderProtocol)
    return reader, asyncio.StreamWriter(transport, protocol, reader, bed.loop)


class StreamSession(Session):
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        message: bytes,
        served: list[asyncio.Task[None]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._message = message
        self._served = served

    async def run(self, operations: int) -> None:
        message, size = self._message, len(self._message)
        for _ in range(operations):
            self._writer.write(message)
            await self._writer.drain()
            await self._reader.readexactly(size)

    async def verify(self) -> None:
        for _ in range(2):
            self._writer.write(self._message)
            await self._writer.drain()
            if await self._reader.readexactly(len(self._message)) != self._message:
                raise RuntimeError("streams: what came back is not what was written")

    async def close(self) -> None:
        self._writer.transport.abort()
        await asyncio.gather(*self._served)


class StreamOneWay(Workload):
    """`write` and `drain` for each message, `read` of whatever is there at the other end."""

    family = "streams-one-way"
    aead_passes = 1

    async def start(self, bed: Bed) -> StreamOneWaySession:
        counted = Counted()
        served: list[asyncio.Task[None]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(cast("asyncio.Task[None]", asyncio.current_task()))
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(_ROOM):
                    counted.arrived(data)
            writer.close()

        _, writer = await _streams(bed, serve)
        return StreamOneWaySession(writer, os.urandom(self.size), counted, served)


class StreamOneWaySession(Session):
    def __init__(
        self,
        writer: asyncio.StreamWriter,
        message: bytes,
        counted: Counted,
        served: list[asyncio.Task[None]],
    ) -> None:
        self._writer = writer
        self._message = message
        self._counted = counted
        self._served = served

    async def run(self, operations: int) -> None:
        message, writer = self._message, self._writer
        done = self._counted.expect(operations * len(message))
        for _ in range(operations):
            writer.write(message)
            await writer.drain()
        await done

    async def verify(self) -> None:
        self._counted.received = bytearray()
        await self.run(3)
        if self._counted.received != self._message * 3:
            raise RuntimeError("streams-one-way: what arrived is not what was written")
        self._counted.received = None

    async def close(self) -> None:
        self._writer.transport.abort()
        await asyncio.gather(*self._served)


class _Buffered(asyncio.BufferedProtocol):
    """One buffer for the protocol's life, as a parser of frames has it."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_ROOM))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer


class BufferedServer(_Buffered):
    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(bytes(self.buffer[:nbytes]))


class BufferedClient(_Buffered):
    def __init__(self, message: bytes) -> None:
        super().__init__()
        self.message = message
        self.missing = 0
        self.rounds = 0
        self.received: bytearray | None = None
        self.done: asyncio.Future[None]
        self.lost = asyncio.get_running_loop().create_future()

    def begin(self, rounds: int) -> asyncio.Future[None]:
        self.done = asyncio.get_running_loop().create_future()
        self.rounds = rounds
        self.missing = len(self.message)
        self.transport.write(self.message)
        return self.done

    def buffer_updated(self, nbytes: int) -> None:
        if self.received is not None:
            self.received += self.buffer[:nbytes]
        self.missing -= nbytes
        if self.missing > 0:
            return
        self.rounds -= 1
        if self.rounds:
            self.missing = len(self.message)
            self.transport.write(self.message)
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class BufferedEcho(Workload):
    family = "buffered"
    aead_passes = 2

    async def start(self, bed: Bed) -> BufferedSession:
        await bed.serve(BufferedServer)
        message = os.urandom(self.size)
        transport, client = await bed.connect_socket(lambda: BufferedClient(message))
        assert isinstance(client, BufferedClient)
        return BufferedSession(transport, client)


class BufferedSession(Session):
    def __init__(self, transport: asyncio.Transport, client: BufferedClient) -> None:
        self._transport = transport
        self._client = client

    async def run(self, operations: int) -> None:
        await self._client.begin(operations)

    async def verify(self) -> None:
        self._client.received = bytearray()
        await self._client.begin(2)
        if self._client.received != self._client.message * 2:
            raise RuntimeError("buffered: what came back is not what was written")
        self._client.received = None

    async def close(self) -> None:
        self._transport.abort()
        await self._client.lost


class BufferedSink(Counted, _Buffered):
    def __init__(self) -> None:
        Counted.__init__(self)
        _Buffered.__init__(self)

    def buffer_updated(self, nbytes: int) -> None:
        self.arrived(self.buffer[:nbytes])


class BufferedOneWay(Workload):
    family = "buffered-one-way"
    aead_passes = 1

    async def start(self, bed: Bed) -> OneWaySession:
        sink = BufferedSink()
        await bed.serve(lambda: sink)
        message = os.urandom(self.size)
        transport, source = await bed.connect_socket(lambda: Source(message))
        assert isinstance(source, Source)
        return OneWaySession(transport, source, sink)

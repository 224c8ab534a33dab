"""A layered transport over a transport that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support import engine
from tests.support.wire import Recorder, turns
from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.asyncio.pipe import Pipe
from tlswrite.errors import WantReadError


class Lower(asyncio.Transport):
    """A transport that is moved by the test: it takes what it is told to take, and keeps it."""

    def __init__(self, protocol: Any, *, half_close: bool = True) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = bytearray()
        self.room: int | None = None  # bytes taken at once; None: all
        self.waiting = bytearray()
        self.reading = True
        self.closing = False
        self.calls: list[str] = []
        self.paused = False
        self.high = 64 * 1024
        self.half_close = half_close
        protocol.connection_made(self)

    # What a protocol asks.

    def write(self, data: Any) -> None:
        assert type(data) is bytes
        self.waiting += data
        self.take()

    def take(self, count: int | None = None) -> None:
        """Get rid of `count` bytes, or as many as there is room for."""
        size = len(self.waiting) if self.room is None else min(self.room, len(self.waiting))
        size = size if count is None else count
        self.written += self.waiting[:size]
        del self.waiting[:size]
        if len(self.waiting) > self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()
        elif self.paused and not self.waiting:
            self.paused = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self.high = high

    def can_write_eof(self) -> bool:
        return self.half_close

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.calls.append("close")
        self.lose(None)

    def abort(self) -> None:
        self.calls.append("abort")
        self.lose(None)

    def lose(self, exc: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, exc)


class Rig:
    """A client's layered transport over a transport that the test moves, and the server's engine."""

    def __init__(self, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        self.pipe = Pipe(loop)
        self.lower = Lower(self.pipe, **options)
        self.recorder = Recorder()
        self.server = engine.server()
        self.waiter = loop.create_future()
        self.transport = LayeredTransport(loop, self.pipe, self.recorder, engine.client(), waiter=self.waiter)

    async def connect(self) -> None:
        self.transport.start()
        for _ in range(3):
            self.to_server()
            try:
                self.server.do_handshake()
            except WantReadError:
                pass
            self.to_client()
            await turns()
        await self.waiter
        self.to_server()

    def to_server(self) -> None:
        self.server.bio_write(bytes(self.lower.written))
        self.lower.written.clear()

    def to_client(self) -> None:
        while data := self.server.bio_read():
            self.pipe.data_received(data)

    def server_reads(self) -> bytes:
        self.to_server()
        data = b""
        try:
            while True:
                data += self.server.read(65536)
        except WantReadError:
            return data

    async def end(self) -> None:
        self.transport.abort()
        await turns()

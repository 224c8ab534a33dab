"""Resumed handshakes: a TCP connection, a handshake that resumes a session, and the end by `abort()`.

Before the end the server sends one byte, behind which its new ticket is known to have come. Every server sends one
ticket a connection, and every client resumes with one. asyncio has no way to give a session to `create_connection`,
so under `ssl` the context does it where the connection is wrapped; a library that goes round that cannot resume,
and is left out.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, cast

from benchmarks.variants import Bed, Unsupported
from benchmarks.workloads import Session, Workload

__all__ = ["Resumed"]


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"!")


class Greeted(asyncio.Protocol):
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.greeted = loop.create_future()
        self.lost = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self.greeted.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


class Resumed(Workload):
    family = "resumed"
    aead_passes = 0
    column = ""
    resumes: ClassVar[bool] = True

    async def start(self, bed: Bed) -> ResumedSession:
        if not bed.library.can_resume:
            raise Unsupported(f"{bed.library.module} cannot resume here")
        await bed.serve(Greeter)
        return ResumedSession(bed)


class ResumedSession(Session):
    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    async def run(self, operations: int) -> None:
        for _ in range(operations):
            client = await self._connect()
            client.transport.abort()
            await client.lost
        # Of every slice the last one, which a broken line of tickets would have reached.
        tls: Any = client.transport.get_extra_info("ssl_object")
        if tls is not None and not tls.session_reused:
            raise RuntimeError("resumed: a handshake was a full one")

    async def verify(self) -> None:
        """The first one is a full handshake, whatever comes after it resumes."""
        for number in range(3):
            client = await self._connect()
            try:
                tls: Any = client.transport.get_extra_info("ssl_object")
                if tls is not None and number:
                    self._bed.library.check(client.transport)
                    if not tls.session_reused:
                        raise Unsupported(f"{self._bed.library.module} did not resume")
            finally:
                client.transport.abort()
                await client.lost

    async def _connect(self) -> Greeted:
        _, client = await self._bed.connect(Greeted)
        assert isinstance(client, Greeted)
        await client.greeted
        self._bed.keep_session(client.transport)
        return client

    async def close(self) -> None:
        pass

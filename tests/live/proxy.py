"""A proxy for CONNECT (RFC 9110 §9.3.6) that is itself reached by TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def connect_proxy(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[str]]]:
    """Its port on 127.0.0.1, and the targets that it was asked for."""
    targets: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        request = (await reader.readuntil(b"\r\n\r\n")).split()
        assert request[0] == b"CONNECT"
        targets.append(request[1].decode())
        host, port = targets[-1].split(":")
        there, onward = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, onward), pump(there, writer))
        for each in (writer, onward):
            with suppress(OSError):
                await each.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], targets
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=10)

"""Streams over TLS: asyncio's readers and writers, with half-close."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine
from tests.support.wire import turns
from tlswrite.asyncio import open_connection, open_unix_connection, start_server, start_unix_server
from tlswrite.errors import TruncationError

CLIENT: dict[str, Any] = {"ssl": engine.client_config(), "server_hostname": engine.HOST}
SERVER = engine.server_config()
BIG = bytes(at * 11 % 253 for at in range(1_000_003))


async def answer_the_whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read to the end of the peer's stream, and only then answer."""
    data = await reader.read()
    writer.write(b"%d bytes: " % len(data))
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(BIG)
    await writer.drain()
    assert writer.can_write_eof()
    writer.write_eof()
    assert await reader.read() == b"1000003 bytes: " + BIG
    writer.close()
    await writer.wait_closed()


async def test_a09_a_stream_can_be_answered_after_its_end() -> None:
    server = await start_server(answer_the_whole, "127.0.0.1", 0, ssl=SERVER)
    port = server.sockets[0].getsockname()[1]
    await converse(*await open_connection("127.0.0.1", port, **CLIENT))
    server.close()
    await server.wait_closed()


async def test_unix_streams(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = await start_unix_server(answer_the_whole, path, ssl=SERVER)
    await converse(*await open_unix_connection(path, **CLIENT))
    server.close()
    await server.wait_closed()


async def test_limit_is_the_readers() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(asyncio.LimitOverrunError):
            await reader.readuntil(b"\n")
        writer.write(b"too long\n")
        writer.close()

    server = await start_server(serve, "127.0.0.1", 0, ssl=SERVER, limit=100)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await open_connection("127.0.0.1", port, limit=50, **CLIENT)
    writer.write(bytes(1000))
    assert await reader.readline() == b"too long\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_w22_a_truncated_stream_raises_where_it_is_read() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half of it")
        await writer.drain()
        writer.transport.abort()

    server = await start_server(serve, "127.0.0.1", 0, ssl=SERVER)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await open_connection("127.0.0.1", port, **CLIENT)
    with pytest.raises(TruncationError):
        await reader.read()
    with pytest.raises(TruncationError):
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a03_drain_waits_for_a_slow_reader() -> None:
    go_on = asyncio.Event()
    total = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal total
        await go_on.wait()
        while data := await reader.read(50_000):
            total += len(data)
        writer.close()

    server = await start_server(serve, "127.0.0.1", 0, ssl=SERVER)
    port = server.sockets[0].getsockname()[1]
    _, writer = await open_connection("127.0.0.1", port, **CLIENT)
    writer.transport.set_write_buffer_limits(high=0)
    for _ in range(20):
        writer.write(BIG)
    drained = asyncio.create_task(writer.drain())
    await turns(50)
    assert not drained.done()
    go_on.set()
    await drained
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    assert total == 20 * len(BIG)

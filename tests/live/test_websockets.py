"""websockets, client and server."""

from __future__ import annotations

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

import tlswrite
from tests.live.roads import CHUNK, SIZES, check_road, data_of


async def echo(connection: ServerConnection) -> None:
    check_road(connection.transport)
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize("size", SIZES)
async def test_messages_there_and_back(
    size: int, server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    data = data_of(size)
    async with serve(echo, "127.0.0.1", 0, ssl=server_context, compression=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(
            f"wss://localhost:{port}", ssl=client_context, compression=None, max_size=None
        ) as connection:
            check_road(connection.transport)
            for at in range(0, size, 16 * CHUNK):
                message = data[at : at + 16 * CHUNK]
                await connection.send(message)
                assert await connection.recv() == message

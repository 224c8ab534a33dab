"""uvicorn and hypercorn."""

from __future__ import annotations

import hashlib
from typing import Any

import aiohttp
import pytest

import tlswrite
from tests.live.asgi import echo, serving_hypercorn, serving_uvicorn
from tests.live.roads import SIZES, data_of, digest_of, pieces

SERVERS: dict[str, Any] = {"uvicorn": serving_uvicorn, "hypercorn": serving_hypercorn}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("size", SIZES)
async def test_upload_and_download(
    server: str, size: int, server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    async with (
        SERVERS[server](echo, server_context) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context)) as session,
    ):
        url = f"https://localhost:{port}"
        async with session.post(f"{url}/up", data=pieces(data_of(size))) as response:
            assert await response.text() == digest_of(size)
        digest = hashlib.sha256()
        async with session.get(f"{url}/down/{size}") as response:
            async for piece in response.content.iter_any():
                digest.update(piece)
        assert digest.hexdigest() == digest_of(size)


@pytest.mark.parametrize("server", SERVERS)
async def test_it_stops_with_connections_open(
    server: str, server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    """No hang in the shutdown of a connection that its client keeps (hypercorn #202)."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context)) as session,
        SERVERS[server](echo, server_context) as port,
        session.post(f"https://localhost:{port}/", data=b"hello") as response,
    ):
        assert await response.read() == b"hello"

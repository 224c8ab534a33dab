"""aiohttp, client and server."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import tlswrite
from tests.live.proxy import connect_proxy
from tests.live.roads import SIZES, check_road, data_of, digest_of, on_fast_loop, pieces
from tests.live.web import application, serving


@pytest.mark.parametrize("size", SIZES)
async def test_upload_and_download(
    size: int, server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    seen: list[Any] = []
    async with (
        serving(application(seen), server_context) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context)) as session,
    ):
        url = f"https://localhost:{port}"
        async with session.post(f"{url}/up", data=pieces(data_of(size))) as response:
            assert await response.text() == digest_of(size)
        check_road(seen[0])
        digest = hashlib.sha256()
        async with session.get(f"{url}/down/{size}") as response:
            assert response.connection is not None
            check_road(response.connection.transport)
            async for piece in response.content.iter_any():
                digest.update(piece)
        assert digest.hexdigest() == digest_of(size)


async def test_websocket(server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext) -> None:
    async with (
        serving(application(), server_context) as port,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"wss://localhost:{port}/socket", ssl=client_context, max_msg_size=0) as ws,
    ):
        for size in (1, 1000, 1 << 20):
            await ws.send_bytes(data_of(size))
            assert await ws.receive_bytes() == data_of(size)


async def test_a_file_is_served(
    tmp_path: Path, server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data_of(1 << 20))
    app = web.Application()
    app.router.add_static("/files", tmp_path)
    async with (
        serving(app, server_context) as port,
        aiohttp.ClientSession() as session,
        session.get(f"https://localhost:{port}/files/file", ssl=client_context) as response,
    ):
        assert await response.read() == path.read_bytes()


async def test_many_requests_at_once(
    server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    """No response is mixed up with another (uvloop #645)."""
    async with (
        serving(application(), server_context) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context, limit=20)) as session,
    ):

        async def get(size: int) -> bytes:
            async with session.get(f"https://localhost:{port}/down/{size}") as response:
                return await response.read()

        sizes = [1000 + 777 * number for number in range(100)]
        for size, data in zip(sizes, await asyncio.gather(*map(get, sizes)), strict=True):
            assert data == data_of(size)


async def test_through_a_proxy_that_is_reached_by_tls(
    server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    """TLS in TLS: CONNECT through an https:// proxy."""
    size = 1 << 20
    async with (
        serving(application(), server_context) as port,
        connect_proxy(server_context) as (proxy, connected),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context)) as session,
    ):
        via = {"proxy": f"https://localhost:{proxy}"}
        url = f"https://localhost:{port}"
        async with session.get(f"{url}/down/{size}", **via) as response:
            assert await response.read() == data_of(size)
        async with session.post(f"{url}/up", data=data_of(size), **via) as response:
            assert await response.text() == digest_of(size)
    assert connected == [f"localhost:{port}"]


async def test_a_stranger_is_told_apart(server_context: tlswrite.SSLContext) -> None:
    """aiohttp's own exception classes for its two kinds of failure."""
    strangers = tlswrite.create_default_context()
    async with serving(application(), server_context) as port, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://localhost:{port}/down/1", ssl=strangers)
        if not on_fast_loop():
            return  # asyncio's own transport drops the alert of a failed handshake
        strangers.maximum_version = ssl.TLSVersion.TLSv1_2
        server_context.minimum_version = ssl.TLSVersion.TLSv1_3
        with pytest.raises(aiohttp.ClientConnectorSSLError):
            await session.get(f"https://localhost:{port}/down/1", ssl=strangers)

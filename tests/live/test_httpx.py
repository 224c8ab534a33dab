"""httpx, on asyncio, on trio, and blocking; HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import tlswrite
from tests.live import roads
from tests.live.asgi import echo, serving_hypercorn
from tests.live.roads import SIZES, data_of, digest_of, pieces
from tests.live.web import application, in_thread, serving


async def exchange(client: httpx.AsyncClient, url: str, size: int) -> None:
    response = await client.post(f"{url}/up", content=pieces(data_of(size)))
    assert response.text == digest_of(size)
    digest = hashlib.sha256()
    async with client.stream("GET", f"{url}/down/{size}") as response:
        async for piece in response.aiter_raw():
            digest.update(piece)
    assert digest.hexdigest() == digest_of(size)


@pytest.mark.parametrize("size", SIZES)
async def test_on_asyncio(
    size: int, server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    async with (
        serving(application(), server_context) as port,
        httpx.AsyncClient(verify=client_context, timeout=60) as client,
    ):
        await exchange(client, f"https://localhost:{port}", size)


async def test_http2(tmp_path: Path) -> None:
    server, client = roads.server_context(tmp_path, "h2", "http/1.1"), roads.client_context("h2", "http/1.1")
    async with (
        serving_hypercorn(echo, server) as port,
        httpx.AsyncClient(verify=client, http2=True, timeout=60) as session,
    ):
        responses = await asyncio.gather(
            *(session.post(f"https://localhost:{port}/", content=data_of(100_000 + n)) for n in range(10))
        )
    for number, response in enumerate(responses):
        assert response.http_version == "HTTP/2"
        assert response.content == data_of(100_000 + number)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a server on a fast loop, in a thread."""
    context = roads.server_context(tmp_path)
    with in_thread(lambda: serving(application(), context), tlswrite.new_event_loop) as port:
        yield port


@pytest.mark.parametrize("size", SIZES)
def test_on_trio(size: int, port: int, client_context: tlswrite.SSLContext) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(verify=client_context, timeout=60) as client:
            await exchange(client, f"https://localhost:{port}", size)

    trio.run(main)


@pytest.mark.parametrize("size", SIZES)
def test_blocking(size: int, port: int, client_context: tlswrite.SSLContext) -> None:
    url = f"https://localhost:{port}"
    with httpx.Client(verify=client_context, timeout=60) as client:
        assert client.post(f"{url}/up", content=data_of(size)).text == digest_of(size)
        digest = hashlib.sha256()
        with client.stream("GET", f"{url}/down/{size}") as response:
            for piece in response.iter_raw():
                digest.update(piece)
    assert digest.hexdigest() == digest_of(size)


def test_a_stranger_is_told_apart(port: int) -> None:
    strangers: Any = tlswrite.create_default_context()
    with httpx.Client(verify=strangers) as client, pytest.raises(httpx.ConnectError, match="trust anchors"):
        client.get(f"https://localhost:{port}/down/1")

"""nginx, as a server of our clients, and as a proxy in front of our server."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

import tlswrite
from tests.live import roads, services
from tests.live.roads import SIZES, check_road, data_of, digest_of, pieces
from tests.live.services import Service
from tests.live.web import application, serving
from tests.support import engine, pki

#: Files that are put and got; what nginx knows of a connection; and a server for clients with a certificate.
WEB = """
server {{
    listen 127.0.0.1:{web} ssl http2;
    root {directory}/www;
    location /files/ {{ dav_methods PUT; create_full_put_path on; }}
    location /session {{ return 200 "$ssl_protocol $ssl_session_reused $ssl_server_name"; }}
}}
server {{
    listen 127.0.0.1:{known} ssl;
    ssl_verify_client on;
    ssl_client_certificate {files.cafile};
    keepalive_requests 3;
    location / {{ return 200 "$ssl_client_verify $ssl_client_s_dn"; }}
}}
"""

PROXY = """
upstream ours {{ server 127.0.0.1:{upstream}; keepalive 4; }}
server {{
    listen 127.0.0.1:{front} ssl;
    location / {{
        proxy_pass https://ours;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate {files.cafile};
        proxy_ssl_name localhost;
        proxy_ssl_server_name on;
        proxy_ssl_protocols {protocols};
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with services.nginx(tmp_path_factory.mktemp("nginx"), WEB, ("web", "known")) as service:
        yield service


def http_session(context: ssl.SSLContext, **options: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, **options))


async def digest_from(response: aiohttp.ClientResponse) -> str:
    digest = hashlib.sha256()
    async for piece in response.content.iter_any():
        digest.update(piece)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- a server of our clients ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("size", SIZES)
async def test_aiohttp_puts_and_gets(
    size: int, version: str, nginx: Service, tmp_path: Path, client_context: tlswrite.SSLContext
) -> None:
    client_context.minimum_version = client_context.maximum_version = ssl.TLSVersion[version]
    url = f"https://localhost:{nginx.port}/files/{tmp_path.name}"
    async with http_session(client_context) as session:
        async with session.put(
            url, data=pieces(data_of(size)), headers={"Content-Length": str(size)}
        ) as answer:
            assert answer.status == 201
        assert digest_of_file(nginx.directory / "www/files" / tmp_path.name) == digest_of(size)
        async with session.get(url) as answer:
            assert answer.connection is not None
            check_road(answer.connection.transport)
            assert await digest_from(answer) == digest_of(size)


@pytest.mark.parametrize("size", SIZES)
async def test_httpx_with_http2(size: int, nginx: Service, tmp_path: Path) -> None:
    url = f"https://localhost:{nginx.port}/files/{tmp_path.name}"
    context = roads.client_context("h2", "http/1.1")
    async with httpx.AsyncClient(verify=context, http2=True, timeout=60) as client:
        answer = await client.put(url, content=pieces(data_of(size)), headers={"Content-Length": str(size)})
        assert (answer.status_code, answer.http_version) == (201, "HTTP/2")
        digest = hashlib.sha256()
        async with client.stream("GET", url) as answer:
            async for piece in answer.aiter_raw():
                digest.update(piece)
        assert digest.hexdigest() == digest_of(size)


@pytest.mark.parametrize("size", SIZES)
def test_http_client(size: int, nginx: Service, tmp_path: Path, client_context: tlswrite.SSLContext) -> None:
    path = tmp_path / "data"
    path.write_bytes(data_of(size))
    connection = http.client.HTTPSConnection("localhost", nginx.port, context=client_context)
    with path.open("rb") as file:
        connection.request("PUT", f"/files/{tmp_path.name}", body=file)
    answer = connection.getresponse()
    assert answer.status == 201
    answer.read()
    assert digest_of_file(nginx.directory / "www/files" / tmp_path.name) == digest_of(size)
    connection.request("GET", f"/files/{tmp_path.name}")
    assert hashlib.sha256(connection.getresponse().read()).hexdigest() == digest_of(size)
    connection.close()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_sessions_are_resumed(
    version: str, nginx: Service, client_context: tlswrite.SSLContext
) -> None:
    client_context.minimum_version = client_context.maximum_version = ssl.TLSVersion[version]
    async with http_session(client_context, force_close=True) as session:
        told = []
        for _ in range(3):
            async with session.get(f"https://localhost:{nginx.port}/session") as answer:
                told.append(await answer.text())
    name = version.replace("_", ".")
    assert told == [f"{name} . localhost", f"{name} r localhost", f"{name} r localhost"]


async def test_many_requests_at_once(nginx: Service, client_context: tlswrite.SSLContext) -> None:
    """Over connections that nginx closes after every third request."""
    files = pki.write(nginx.directory, engine.issued(client=True), "client")
    client_context.load_cert_chain(files.certfile, files.keyfile)
    async with http_session(client_context, limit=10) as session:

        async def get(_: int) -> str:
            async with session.get(f"https://localhost:{nginx.ports['known']}/") as answer:
                return await answer.text()

        assert set(await asyncio.gather(*map(get, range(100)))) == {"SUCCESS CN=localhost"}


async def test_without_the_certificate_that_is_wanted(
    nginx: Service, client_context: tlswrite.SSLContext
) -> None:
    """nginx lets the handshake pass, and says so in HTTP."""
    async with (
        http_session(client_context) as session,
        session.get(f"https://localhost:{nginx.ports['known']}/") as answer,
    ):
        assert answer.status == 400
        assert "No required SSL certificate was sent" in await answer.text()


# ---- a proxy in front of our server -----------------------------------------------------------------


@pytest.mark.parametrize("protocols", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_proxy_with_proxy_ssl(
    size: int,
    protocols: str,
    tmp_path: Path,
    server_context: tlswrite.SSLContext,
    client_context: tlswrite.SSLContext,
) -> None:
    seen: list[Any] = []
    async with serving(application(seen), server_context) as upstream:
        block = PROXY.replace("{upstream}", str(upstream)).replace("{protocols}", protocols)
        with services.nginx(tmp_path, block, ("front",)) as front:
            url = f"https://localhost:{front.port}"
            async with http_session(client_context) as session:
                async with session.post(f"{url}/up", data=pieces(data_of(size))) as answer:
                    assert await answer.text() == digest_of(size)
                async with session.get(f"{url}/down/{size}") as answer:
                    assert await digest_from(answer) == digest_of(size)
    (transport,) = seen
    check_road(transport)
    assert transport.get_extra_info("ssl_object").version() == protocols


async def test_a_proxy_passes_websockets(
    tmp_path: Path, server_context: tlswrite.SSLContext, client_context: tlswrite.SSLContext
) -> None:
    async with serving(application(), server_context) as upstream:
        block = PROXY.replace("{upstream}", str(upstream)).replace("{protocols}", "TLSv1.3")
        block = block.replace('Connection "";', "Connection upgrade; proxy_set_header Upgrade $http_upgrade;")
        with services.nginx(tmp_path, block, ("front",)) as front:
            async with (
                http_session(client_context) as session,
                session.ws_connect(f"wss://localhost:{front.port}/socket", max_msg_size=0) as ws,
            ):
                for size in (1, 1 << 20):
                    await ws.send_bytes(data_of(size))
                    assert await ws.receive_bytes() == data_of(size)


async def test_a_proxy_that_does_not_trust_us(tmp_path: Path, client_context: tlswrite.SSLContext) -> None:
    """It answers with an error of its own, and our server goes on."""
    files = pki.write(tmp_path, pki.from_stranger(), "strange")
    context = tlswrite.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certfile, files.keyfile)
    async with serving(application(), context) as upstream:
        block = PROXY.replace("{upstream}", str(upstream)).replace("{protocols}", "TLSv1.3")
        with services.nginx(tmp_path, block, ("front",)) as front:
            async with http_session(client_context) as session:
                for _ in range(2):
                    async with session.get(f"https://localhost:{front.port}/down/1") as answer:
                        assert answer.status == 502

"""curl, a client of our servers."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import tlswrite
from tests.live import roads
from tests.live.asgi import echo, serving_hypercorn
from tests.live.proxy import connect_proxy
from tests.live.roads import SIZES, check_road, data_of, digest_of, on_fast_loop
from tests.live.services import program
from tests.live.web import application, serving
from tests.support import engine, pki

LIMIT = 120.0


async def curl(directory: Path, *arguments: object) -> tuple[int, str, str]:
    """Its exit status and what it printed, on both pipes."""
    root = directory / "root.pem"
    root.write_bytes(pki.authority().certificate_pem)
    # -q: without what the user's own .curlrc says.
    words = [program("curl", "curl"), "-q", "-sS", "--cacert", root, *arguments]
    process = await asyncio.create_subprocess_exec(
        *map(str, words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={}
    )
    try:
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def good(directory: Path, *arguments: object) -> str:
    status, out, err = await curl(directory, *arguments)
    assert status == 0, err
    return out


def digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def noticing(facts: list[dict[str, Any]]) -> web.Application:
    """The application, and what it can know of the connection of each request."""

    @web.middleware
    async def notice(request: web.Request, handler: Any) -> Any:
        assert request.transport is not None
        check_road(request.transport)
        tls = request.transport.get_extra_info("ssl_object")
        peer = request.transport.get_extra_info("peercert")
        facts.append({"version": tls.version(), "reused": tls.session_reused, "peer": peer})
        return await handler(request)

    app = application()
    app.middlewares.append(notice)
    return app


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("size", SIZES)
async def test_up_and_down(
    size: int, version: str, tmp_path: Path, server_context: tlswrite.SSLContext
) -> None:
    path, back = tmp_path / "data", tmp_path / "back"
    path.write_bytes(data_of(size))
    facts: list[dict[str, Any]] = []
    async with serving(noticing(facts), server_context) as port:
        options = [f"--tlsv{version}", "--tls-max", version]
        url = f"https://localhost:{port}"
        assert await good(tmp_path, *options, "--data-binary", f"@{path}", f"{url}/up") == digest_of(size)
        await good(tmp_path, *options, "-o", back, f"{url}/down/{size}")
        assert digest_of_file(back) == digest_of(size)
    assert [fact["version"] for fact in facts] == [f"TLSv{version}"] * 2


@pytest.mark.parametrize("size", SIZES)
async def test_http2(size: int, tmp_path: Path) -> None:
    path, back = tmp_path / "data", tmp_path / "back"
    path.write_bytes(data_of(size))
    async with serving_hypercorn(echo, roads.server_context(tmp_path, "h2", "http/1.1")) as port:
        options = ["--http2", "-w", "|%{http_version}"]
        url = f"https://localhost:{port}"
        told = await good(tmp_path, *options, "--data-binary", f"@{path}", f"{url}/up")
        assert told == f"{digest_of(size)}|2"
        assert await good(tmp_path, *options, "-o", back, f"{url}/down/{size}") == "|2"
        assert digest_of_file(back) == digest_of(size)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_a_session_is_resumed(
    version: str, tmp_path: Path, server_context: tlswrite.SSLContext
) -> None:
    facts: list[dict[str, Any]] = []
    async with serving(noticing(facts), server_context) as port:
        url = f"https://localhost:{port}/up"
        options = ["--tls-max", version, "-H", "Connection: close", "-w", "|%{num_connects}\n"]
        told = await good(tmp_path, *options, "-d", "hello", url, url, url)
    assert told == f"{hashlib.sha256(b'hello').hexdigest()}|1\n" * 3
    assert [fact["reused"] for fact in facts] == [False, True, True]


async def test_one_connection_for_many_requests(tmp_path: Path, server_context: tlswrite.SSLContext) -> None:
    async with serving(application(), server_context) as port:
        url = f"https://localhost:{port}/down/[1000-1049]"
        told = await good(tmp_path, "-o", f"{tmp_path}/#1", "-w", "%{num_connects}", url)
    assert told == "1" + 49 * "0"
    for size in range(1000, 1050):
        assert (tmp_path / str(size)).read_bytes() == data_of(size)


async def test_a_certificate_of_the_client(tmp_path: Path, server_context: tlswrite.SSLContext) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(cadata=pki.authority().certificate_pem.decode())
    files = pki.write(tmp_path, engine.issued(client=True), "client")
    facts: list[dict[str, Any]] = []
    async with serving(noticing(facts), server_context) as port:
        url = f"https://localhost:{port}/up"
        mine = ["--cert", files.certfile, "--key", files.keyfile]
        assert await good(tmp_path, *mine, "-d", "hello", url) == hashlib.sha256(b"hello").hexdigest()
        assert facts[0]["peer"]["subject"] == ((("commonName", "localhost"),),)
        status, _, complaint = await curl(tmp_path, "-d", "hello", url)
        assert status != 0
        if on_fast_loop():  # asyncio's own transport drops the alert of a failed handshake
            assert "certificate required" in complaint


async def test_a_server_that_it_does_not_trust(tmp_path: Path) -> None:
    files = pki.write(tmp_path, pki.from_stranger(), "strange")
    context = tlswrite.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certfile, files.keyfile)
    async with serving(application(), context) as port:
        url = f"https://localhost:{port}/down/1"
        assert (await curl(tmp_path, url))[0] == 60
        assert await good(tmp_path, "--insecure", url) == data_of(1).decode("latin-1")


async def test_through_a_proxy_that_is_reached_by_tls(
    tmp_path: Path, server_context: tlswrite.SSLContext
) -> None:
    size, back = 1 << 20, tmp_path / "back"
    root = tmp_path / "root.pem"
    async with (
        serving(application(), server_context) as port,
        connect_proxy(server_context) as (proxy, connected),
    ):
        via = ["--proxy", f"https://localhost:{proxy}", "--proxy-cacert", root]
        await good(tmp_path, *via, "-o", back, f"https://localhost:{port}/down/{size}")
    assert digest_of_file(back) == digest_of(size)
    assert connected == [f"localhost:{port}"]

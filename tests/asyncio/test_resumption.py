"""Resumption on the transport: between connections, between servers that share keys, and at no cost to data."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import ECDHE, HOST, ONLY_1_2, client_config, issued, server_config
from tlswrite import ClientConfig, SessionCache, open_connection, start_server
from tlswrite.asyncio.settings import default_client_config

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = {"TLS 1.3": {}, "TLS 1.2": ONLY_1_2}
versions = pytest.mark.parametrize("version", VERSIONS)
DATA = bytes(range(256)) * 1000


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def visit(port: int, config: ClientConfig, data: bytes = DATA) -> Any:
    """Says something, and compares the echo; the engine of the connection."""
    reader, writer = await open_connection("127.0.0.1", port, ssl=config, server_hostname=HOST)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    engine = writer.get_extra_info("ssl_object")
    writer.close()
    await writer.wait_closed()
    return engine


@versions
async def test_one_connection_after_another(version: str) -> None:
    fields = VERSIONS[version]
    config = client_config(**fields, session_cache=SessionCache())
    server = await start_server(echo, "127.0.0.1", 0, ssl=server_config(**fields, tickets=2))
    async with server:
        port = server.sockets[0].getsockname()[1]
        reused = [(await visit(port, config)).session_reused for _ in range(4)]
    assert reused == [False, True, True, True]


@versions
async def test_many_at_once(version: str) -> None:
    fields = VERSIONS[version]
    config = client_config(**fields, session_cache=SessionCache())
    server = await start_server(echo, "127.0.0.1", 0, ssl=server_config(**fields, tickets=4))
    async with server:
        port = server.sockets[0].getsockname()[1]
        await visit(port, config)
        engines = await asyncio.gather(*(visit(port, config) for _ in range(8)))
    reused = sum(engine.session_reused for engine in engines)
    # A ticket of TLS 1.3 is used once, so four are for four; who comes late may find one of the new ones.
    # A session of TLS 1.2 does for all.
    assert reused >= 4 if version == "TLS 1.3" else reused == 8


async def test_tickets_for_a_client_that_only_writes_and_closes() -> None:
    # The server's tickets meet a client that does not read them: nothing of what it wrote is lost.
    received = asyncio.get_running_loop().create_future()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.set_result(await reader.read(-1))
        writer.close()

    server = await start_server(keep, "127.0.0.1", 0, ssl=server_config(tickets=16))
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await open_connection("127.0.0.1", port, ssl=client_config(), server_hostname=HOST)
        writer.write(DATA)
        writer.close()
        await writer.wait_closed()
        assert await received == DATA


def test_ssl_true_is_one_configuration() -> None:
    # So that connections made with ssl=True have their sessions in common.
    assert default_client_config() is default_client_config()
    assert default_client_config().session_cache is not None


# ---- two processes ------------------------------------------------------------------------------------------

SERVER = """
import asyncio, json, sys
import tlswrite

async def main():
    setup = json.loads(sys.argv[1])
    config = tlswrite.ServerConfig.from_files(
        setup["cert"], setup["key"], ticket_keys=tlswrite.TicketKeys(bytes.fromhex(setup["secret"]))
    )
    async def echo(reader, writer):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()
    server = await tlswrite.start_server(echo, "127.0.0.1", 0, ssl=config)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Any]:
    """Starts servers, each a process of its own with the same certificate; gives their ports."""
    made = issued()
    (tmp_path / "cert.pem").write_bytes(made.chain_pem)
    (tmp_path / "key.pem").write_bytes(made.key_pem)
    with ExitStack() as stack:

        def start(secret: bytes) -> int:
            setup = {
                "cert": str(tmp_path / "cert.pem"),
                "key": str(tmp_path / "key.pem"),
                "secret": secret.hex(),
            }
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", SERVER, json.dumps(setup)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            assert process.stdin is not None and process.stdout is not None
            # At the end of its input it ends.
            stack.enter_context(closing(process.stdin))
            return int(process.stdout.readline())

        yield start


@versions
async def test_two_processes_that_share_keys(version: str, servers: Any) -> None:
    first, second, stranger = servers(b"s" * 32), servers(b"s" * 32), servers(b"x" * 32)
    fields: dict[str, Any] = {**VERSIONS[version], "groups": ECDHE}
    config = client_config(**fields, session_cache=SessionCache())
    ports = (first, second, first, second, stranger, stranger)
    reused = [(await visit(port, config)).session_reused for port in ports]
    # Foreign tickets mean a full handshake; then the stranger's own are resumed.
    assert reused == [False, True, True, True, False, True]

"""anyio's own TLS streams, over asyncio and over trio."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.tls import TLSListener, TLSStream

from tests.live import roads
from tests.live.roads import CHUNK, SIZES, data_of, digest_of


@pytest.mark.parametrize("backend", ["asyncio", "asyncio+uvloop", "trio"])
@pytest.mark.parametrize("size", SIZES)
def test_there_and_back(size: int, backend: str, tmp_path: Path) -> None:
    server_context, client_context = roads.server_context(tmp_path), roads.client_context()
    data = data_of(size)

    async def echo(stream: TLSStream) -> None:
        async with stream:
            async for piece in stream:
                await stream.send(piece)

    async def main() -> None:
        tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = tcp.listeners[0].extra(anyio.abc.SocketAttribute.local_port)
        listener = TLSListener(tcp, server_context)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, echo)
            stream: Any = await anyio.connect_tcp("localhost", port, ssl_context=client_context)
            async with stream:
                tasks.start_soon(send, stream)
                digest, received = hashlib.sha256(), 0
                while received < size:
                    piece = await stream.receive(CHUNK)
                    received += len(piece)
                    digest.update(piece)
            assert digest.hexdigest() == digest_of(size)
            tasks.cancel_scope.cancel()

    async def send(stream: Any) -> None:
        for at in range(0, size, CHUNK):
            await stream.send(data[at : at + CHUNK])

    name, _, uvloop = backend.partition("+")
    anyio.run(main, backend=name, backend_options={"use_uvloop": bool(uvloop)} if name == "asyncio" else {})


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_end_of_the_stream(backend: str, tmp_path: Path) -> None:
    """close_notify is a clean end; a connection that is cut is an error that says so."""
    server_context, client_context = roads.server_context(tmp_path), roads.client_context()

    async def main() -> None:
        tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = tcp.listeners[0].extra(anyio.abc.SocketAttribute.local_port)
        listener = TLSListener(tcp, server_context, standard_compatible=True)

        async def serve(stream: TLSStream) -> None:
            if await stream.receive() == b"cut":
                await stream.transport_stream.aclose()
            else:
                await stream.aclose()

        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            for end, error in ((b"close", anyio.EndOfStream), (b"cut", anyio.BrokenResourceError)):
                stream: Any = await anyio.connect_tcp("localhost", port, ssl_context=client_context)
                await stream.send(end)
                with pytest.raises(error):
                    await stream.receive()
                if end == b"cut":
                    await anyio.aclose_forcefully(stream)
                else:
                    await stream.aclose()
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)

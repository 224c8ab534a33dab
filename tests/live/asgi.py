"""An ASGI application, and the servers that run it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import uvicorn

from tests.live.roads import CHUNK, data_of
from tests.support.ports import free_port


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """`/up` answers with the SHA-256 of the body, `/down/SIZE` with data, any other path with the body."""
    if scope["type"] == "lifespan":
        return
    assert scope["scheme"] == "https"
    path = scope["path"]
    digest = hashlib.sha256()
    body = b""
    more = True
    while more:
        message = await receive()
        piece = message.get("body", b"")
        if path == "/up":
            digest.update(piece)
        else:
            body += piece
        more = message.get("more_body", False)
    if path == "/up":
        body = digest.hexdigest().encode()
    elif path.startswith("/down/"):
        body = data_of(int(path.removeprefix("/down/")))
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for at in range(0, len(body) or 1, CHUNK):
        rest = at + CHUNK < len(body)
        await send({"type": "http.response.body", "body": body[at : at + CHUNK], "more_body": rest})


@asynccontextmanager
async def serving_uvicorn(app: Any, context: ssl.SSLContext) -> AsyncIterator[int]:
    """uvicorn on the running loop; the port."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_level="warning",
        ssl_context_factory=lambda config, default: context,
    )
    server = _Uvicorn(config)
    task = asyncio.ensure_future(server.serve())
    try:
        await asyncio.wait((task, asyncio.ensure_future(server.up.wait())), return_when="FIRST_COMPLETED")
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


class _Uvicorn(uvicorn.Server):
    """One that says when it is up, and leaves the signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.up.set()

    def capture_signals(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


class _Hypercorn(hypercorn.config.Config):
    """The one line that an application changes: where its context comes from."""

    context: Any = None

    def create_ssl_context(self) -> Any:
        return self.context

    @property
    def ssl_enabled(self) -> bool:
        return True


@asynccontextmanager
async def serving_hypercorn(app: Any, context: ssl.SSLContext) -> AsyncIterator[int]:
    """hypercorn on the running loop; the port."""
    port = free_port()
    config = _Hypercorn()
    config.context = context
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 1
    stop = asyncio.Event()
    task = asyncio.ensure_future(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))
    try:
        await _listening(port, task)
        yield port
    finally:
        stop.set()
        await task


async def _listening(port: int, task: asyncio.Future[Any]) -> None:
    """Wait until somebody listens; hypercorn does not say when it does."""
    async with asyncio.timeout(30):
        while not task.done():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                return
        await task

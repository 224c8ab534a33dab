"""A web application that takes and gives data, and a thread to run it beside clients of other kinds."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web

from tests.live.roads import CHUNK, data_of


def application(seen: list[Any] | None = None) -> web.Application:
    """`POST /up` answers with the SHA-256 of its body, `GET /down/SIZE` with data; `seen` gets the transports."""

    async def up(request: web.Request) -> web.Response:
        if seen is not None:
            seen.append(request.transport)
        digest = hashlib.sha256()
        async for piece in request.content.iter_any():
            digest.update(piece)
        return web.Response(text=digest.hexdigest())

    async def down(request: web.Request) -> web.StreamResponse:
        data = data_of(int(request.match_info["size"]))
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        for at in range(0, len(data), CHUNK):
            await response.write(data[at : at + CHUNK])
        await response.write_eof()
        return response

    async def socket(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse(max_msg_size=0)
        await answer.prepare(request)
        async for message in answer:
            await answer.send_bytes(message.data)
        return answer

    app = web.Application(client_max_size=0)
    app.router.add_post("/up", up)
    app.router.add_get("/down/{size}", down)
    app.router.add_get("/socket", socket)
    return app


@asynccontextmanager
async def serving(app: web.Application, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve on 127.0.0.1; the port."""
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextmanager
def in_thread(
    serve: Callable[[], Any], loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> Iterator[Any]:
    """Enter an asynchronous context manager on a loop of its own, in a thread; its value."""
    ready: list[Any] = []
    started = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    failures: list[BaseException] = []

    async def main() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        async with serve() as value:
            ready.append(value)
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(main())
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(30)
        if failures:
            raise failures[0]
        yield ready[0]
    finally:
        if loops and thread.is_alive():
            loop, stop = loops[0]
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()
    if failures:
        raise failures[0]

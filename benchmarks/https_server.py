"""A server of one page for the HTTPS benchmark: a program of its own, so that its CPU time is its own.

`python -m benchmarks.https_server FRAMEWORK VARIANT DIRECTORY`, the certificates being in DIRECTORY, tells its
port, and then the CPU time that it has taken as often as it is asked for it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import answer, tell
from benchmarks.variants import DEFAULTS_VARIANTS, VARIANTS, identity_in, listening_socket

#: The page, in bytes.
BODY = b"x" * 1024


def main(arguments: Sequence[str]) -> None:
    framework, name, directory = arguments
    # wrk's first connection only looks whether there is a server, which some libraries complain about.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    variant = next(each for each in (*VARIANTS, *DEFAULTS_VARIANTS) if each.name == name)
    context = variant.library.server_context(identity_in(Path(directory)))
    with asyncio.Runner(loop_factory=lambda: variant.library.application_loop(variant.loop)) as runner:
        runner.run(_FRAMEWORKS[framework](context))


async def serve_aiohttp(context: Any) -> None:
    web: Any = importlib.import_module("aiohttp.web")

    async def page(_: Any) -> Any:
        return web.Response(body=BODY)

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = listening_socket()
    await web.SockSite(runner, sock, ssl_context=context, backlog=1024).start()
    await _until_the_end(sock)
    await runner.cleanup()


async def serve_uvicorn(context: Any) -> None:
    uvicorn: Any = importlib.import_module("uvicorn")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(len(BODY)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY})

    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    config.load()
    config.ssl = context  # a factory of contexts may only give an `ssl.SSLContext`
    server = uvicorn.Server(config)
    sock, startup, tasks = listening_socket(), server.startup, []

    async def start(sockets: Any) -> None:
        await startup(sockets=sockets)
        tasks.append(asyncio.ensure_future(end()))

    async def end() -> None:
        await _until_the_end(sock)
        server.should_exit = True

    server.startup = start
    await server.serve(sockets=[sock])


async def _until_the_end(sock: socket.socket) -> None:
    tell(sock.getsockname()[1])
    await answer({"cpu": time.process_time})


_FRAMEWORKS = {"aiohttp": serve_aiohttp, "uvicorn": serve_uvicorn}

if __name__ == "__main__":
    main(sys.argv[1:])

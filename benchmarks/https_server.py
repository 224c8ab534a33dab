"""A server of one page for the HTTPS benchmark: a program of its own, so that its CPU time is its own.

`python -m benchmarks.https_server FRAMEWORK LIBRARY LOOP CERTFILE KEYFILE` prints its port, and serves until it is
ended.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Any

import tlswrite

#: The page, in bytes.
BODY = b"x" * 1024


def main(arguments: Sequence[str]) -> None:
    framework, library, kind, certfile, keyfile = arguments
    with asyncio.Runner(loop_factory=lambda: _new_loop(library, kind)) as runner:
        runner.run(_FRAMEWORKS[framework](_context(library, certfile, keyfile)))


def _new_loop(library: str, kind: str) -> asyncio.AbstractEventLoop:
    if library == "tlswrite":
        return tlswrite.new_event_loop(uvloop=kind == "uvloop")
    if kind == "uvloop":
        loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
        return loop
    return asyncio.SelectorEventLoop()


def _context(library: str, certfile: str, keyfile: str) -> ssl.SSLContext:
    """Server contexts alike: TLS 1.3, and what else their library has as its default."""
    context = (tlswrite.SSLContext if library == "tlswrite" else ssl.SSLContext)(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def serve_aiohttp(context: ssl.SSLContext) -> None:
    web: Any = importlib.import_module("aiohttp.web")

    async def answer(_: Any) -> Any:
        return web.Response(body=BODY)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = _listening()
    await web.SockSite(runner, sock, ssl_context=context, backlog=1024).start()
    print(sock.getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def serve_uvicorn(context: ssl.SSLContext) -> None:
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
        ssl_context_factory=lambda config, default: context,
    )
    sock = _listening()
    print(sock.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[sock])


def _listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


_FRAMEWORKS = {"aiohttp": serve_aiohttp, "uvicorn": serve_uvicorn}

if __name__ == "__main__":
    main(sys.argv[1:])

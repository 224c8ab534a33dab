"""The same program under `ssl` of the standard library and under this package: what asyncio makes of mistakes.

A `Bench` has the calls of one library on one loop, a pair of connected ends, and a look at what is left over.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import tlswrite
from tests.support import engine, pki
from tests.support.contexts import client_context, server_context
from tests.support.wire import PATIENCE, Recorder, socket_pair

HOST = engine.HOST


@dataclass(frozen=True)
class Library:
    """Whose TLS it is, how an application asks for it, and on which loop."""

    name: str
    new_loop: Callable[[], asyncio.AbstractEventLoop]
    contexts: Callable[[pki.Files], tuple[Any, Any]]
    #: create_connection, create_server, connect_accepted_socket, start_tls; of the loop where None.
    calls: Any = None


def _contexts_of(cls: Any) -> Callable[[pki.Files], tuple[Any, Any]]:
    return lambda files: (client_context(cls), server_context(cls, files))


REFERENCE = Library("ssl", asyncio.SelectorEventLoop, _contexts_of(ssl.SSLContext))
OURS = (
    Library(
        "functions",
        asyncio.SelectorEventLoop,
        lambda _: (engine.client_config(), engine.server_config()),
        tlswrite,
    ),
    Library("loop", tlswrite.new_event_loop, _contexts_of(tlswrite.SSLContext)),
    Library("uvloop", lambda: tlswrite.new_event_loop(uvloop=True), _contexts_of(tlswrite.SSLContext)),
)


class Bench:
    """One library at work on the running loop."""

    def __init__(self, library: Library, files: pki.Files) -> None:
        self.library = library
        self.loop = asyncio.get_running_loop()
        self.client_context, self.server_context = library.contexts(files)
        self.complaints: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))

    def connect(self, factory: Callable[[], Any] = Recorder, *where: Any, **options: Any) -> Awaitable[Any]:
        return self._call("create_connection")(factory, *where, **options)

    def serve(self, factory: Callable[[], Any] = Recorder, *where: Any, **options: Any) -> Awaitable[Any]:
        return self._call("create_server")(factory, *where, **options)

    def accept(self, factory: Callable[[], Any], sock: Any, **options: Any) -> Awaitable[Any]:
        return self._call("connect_accepted_socket")(factory, sock, **options)

    def start_tls(self, transport: Any, protocol: Any, context: Any, **options: Any) -> Awaitable[Any]:
        return self._call("start_tls")(transport, protocol, context, **options)

    @contextlib.asynccontextmanager
    async def pair(self, **options: Any) -> AsyncIterator[tuple[Any, Any]]:
        """A client and a server, Recorders, that are connected."""
        first, second = socket_pair(tcp=True)
        client, server = options.pop("client", None) or Recorder(), options.pop("server", None) or Recorder()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                self.connect(lambda: client, sock=first, ssl=self.client_context, server_hostname=HOST),
                self.accept(lambda: server, second, ssl=self.server_context),
            )
        try:
            yield client, server
        finally:
            for end in (client, server):
                # Old asyncio's fails so where the connection was lost before.
                with contextlib.suppress(AttributeError if self.library is REFERENCE else ()):
                    end.transport.abort()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(client.gone(), server.gone(), return_exceptions=True)

    @contextlib.asynccontextmanager
    async def plain(self) -> AsyncIterator[tuple[Any, Any]]:
        """The same without TLS."""
        first, second = socket_pair(tcp=True)
        client, server = Recorder(), Recorder()
        await self.loop.create_connection(lambda: client, sock=first)
        await self.loop.connect_accepted_socket(lambda: server, second)
        try:
            yield client, server
        finally:
            client.transport.abort()
            server.transport.abort()

    def _call(self, name: str) -> Any:
        return getattr(self.loop if self.library.calls is None else self.library.calls, name)


def run(
    library: Library, program: Callable[[Bench], Awaitable[Any]], files: pki.Files, *, debug: bool = False
) -> Any:
    """Run a program on a loop of its own; no task is left behind."""

    async def main() -> Any:
        bench = Bench(library, files)
        result = await program(bench)
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    with asyncio.Runner(loop_factory=library.new_loop, debug=debug) as runner:
        return runner.run(main())

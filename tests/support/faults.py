"""Known faults of TLS under asyncio: scenarios that show them, and the implementations to show them on.

A scenario gets a `Net`, which connects protocols by one implementation, and raises `Fault` where the fault shows.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import tlswrite
from tests.support import engine, pki
from tests.support.wire import Recorder

#: Long enough for whatever works; what hangs takes this long. Seconds.
PATIENCE: Final = 2.0


class Fault(AssertionError):
    """The fault shows."""


def expect(condition: Any, what: str) -> None:
    if not condition:
        raise Fault(what)


@dataclass
class Net:
    """Connects two protocols, by one implementation, on its loop."""

    connect: Callable[..., Awaitable[Any]]
    serve: Callable[..., Awaitable[Any]]
    client_context: Any
    server_context: Any
    #: What reached the loop's exception handler.
    complaints: list[dict[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def joined(
        self, client: Any = None, server: Any = None, *, context: Any = None
    ) -> AsyncIterator[tuple[Any, Any]]:
        """Two protocols with TLS between them; their `transport` attributes are set."""
        client, server = client or Recorder(), server or Recorder()
        listener = await self.serve(lambda: server, "127.0.0.1", 0, ssl=self.server_context)
        try:
            port = listener.sockets[0].getsockname()[1]
            await self.connect(
                lambda: client,
                "127.0.0.1",
                port,
                ssl=context or self.client_context,
                server_hostname=engine.HOST,
            )
            async with asyncio.timeout(PATIENCE):
                await server.until(lambda: server.transport is not None)
            yield client, server
        finally:
            listener.close()
            for recorder in (client, server):
                if recorder.transport is not None:
                    # Where TLS in TLS fell apart, asyncio's own transport cannot even do that.
                    with suppress(AttributeError):
                        recorder.transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@cache
def _stdlib_client() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pki.authority().certificate_pem.decode())


def stdlib_server(directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = pki.write(directory, engine.issued())
    context.load_cert_chain(files.certfile, files.keyfile)
    return context


def _own(loop: asyncio.AbstractEventLoop, directory: Path) -> Net:
    return Net(
        tlswrite.create_connection, tlswrite.create_server, engine.client_config(), engine.server_config()
    )


def _stdlib(loop: asyncio.AbstractEventLoop, directory: Path) -> Net:
    return Net(loop.create_connection, loop.create_server, _stdlib_client(), stdlib_server(directory))


def _aiofastnet(loop: asyncio.AbstractEventLoop, directory: Path) -> Net:
    import aiofastnet

    return Net(
        partial(aiofastnet.create_connection, loop),
        partial(aiofastnet.create_server, loop),
        _stdlib_client(),
        stdlib_server(directory),
    )


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


#: By name: a loop, and how to connect on it. Those of this package first.
IMPLEMENTATIONS: Final[dict[str, tuple[Callable[[], asyncio.AbstractEventLoop], Any]]] = {
    "tlswrite": (asyncio.SelectorEventLoop, _own),
    "tlswrite-uvloop": (_uvloop, _own),
    "asyncio": (asyncio.SelectorEventLoop, _stdlib),
    "uvloop": (_uvloop, _stdlib),
    "aiofastnet": (asyncio.SelectorEventLoop, _aiofastnet),
}
OWN: Final = ("tlswrite", "tlswrite-uvloop")


def run(name: str, scenario: Callable[[Net], Awaitable[None]], directory: Path) -> None:
    """Run a scenario on an implementation; raises Fault where it shows, a hang included."""
    loop_factory, make = IMPLEMENTATIONS[name]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        net = make(loop, directory)
        loop.set_exception_handler(lambda _, context: net.complaints.append(context))
        try:
            async with asyncio.timeout(5 * PATIENCE):
                await scenario(net)
        except TimeoutError:
            raise Fault("it hangs") from None

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())

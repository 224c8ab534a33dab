"""The same program under `ssl` of the standard library and under this package: what asyncio makes of mistakes.

A `Bench` has the calls of one library on one loop, a pair of connected ends, and a look at what is left over.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import tlswrite
from tests.support import engine, pki
from tests.support.contexts import client_context, server_context
from tests.support.wire import PATIENCE, Recorder, socket_pair

HOST = engine.HOST

Program = Callable[["Bench"], Awaitable[Any]]


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

    def serve_unix(self, factory: Callable[[], Any], *where: Any, **options: Any) -> Awaitable[Any]:
        return self._call("create_unix_server")(factory, *where, **options)

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


# ---- mistakes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    name: str
    program: Program
    #: What our message must say.
    words: str
    #: Our class, where it is not asyncio's, and why.
    differs: type[BaseException] | tuple[type[BaseException], ...] | None = None
    why: str = ""
    #: Whether asyncio itself, further down, may call the exception handler.
    complaints: bool = False


#: Why ours differs, and what it says, where several rows have it in common.
SOON = "asyncio connects first, or waits for a peer; here it is seen before anything is done"
SIDES = (
    r"this side is the (client|server)|Cannot create a (client|server) socket with a PROTOCOL_TLS_\w+ context"
)
OTHER_TYPE = "the functions take configurations: another type is a TypeError"
NAME = "server_hostname .* is neither a host name nor an IP address|cannot be an empty string or start with"


def outcome(library: Library, row: Row, files: pki.Files) -> BaseException | None:
    """What the program raises; with ours, a mistake is told to who made it and to nobody else."""
    complaints: list[dict[str, Any]] = []

    async def program(bench: Bench) -> None:
        try:
            await row.program(bench)
        finally:
            complaints.extend(bench.complaints)

    with warnings.catch_warnings():
        # What asyncio leaves unclosed after a mistake is its own affair.
        warnings.simplefilter("ignore" if library is REFERENCE else "error")
        try:
            run(library, program, files)
        except Exception as exc:
            return exc
        finally:
            assert library is REFERENCE or row.complaints or not complaints, complaints
    return None


def check(row: Row, library: Library, files: pki.Files) -> None:
    """The exception is asyncio's, or the one that the row says, and its words are clear."""
    ours = outcome(library, row, files)
    assert ours is not None, "the mistake passed"
    assert re.search(row.words, str(ours)), str(ours)
    if row.differs is not None:
        assert isinstance(ours, row.differs), repr(ours)
        assert row.why
        return
    theirs = outcome(REFERENCE, row, files)
    assert theirs is not None, "asyncio lets it pass: say what we do and why"
    assert isinstance(ours, type(theirs)), (theirs, ours)


def client(bench: Bench) -> Any:
    return bench.client_context


def server(bench: Bench) -> Any:
    return bench.server_context


def connect(*where: Any, **options: Any) -> Program:
    """`create_connection`; options that are functions are called with the bench."""

    async def program(bench: Bench) -> None:
        given = {name: value(bench) if callable(value) else value for name, value in options.items()}
        try:
            async with asyncio.timeout(PATIENCE):
                transport, _ = await bench.connect(asyncio.Protocol, *where, **given)
            transport.abort()
        finally:
            close_sockets(given)

    return program


def over_socket(**options: Any) -> Program:
    """`create_connection` over a connected socket whose other end is silent."""

    async def program(bench: Bench) -> None:
        ours, theirs = socket_pair(tcp=True)
        given = {"sock": ours, "ssl": bench.client_context, "server_hostname": HOST, **options}
        with theirs:
            await connect(**given)(bench)

    return program


def serve(*where: Any, **options: Any) -> Program:
    async def program(bench: Bench) -> None:
        given = {name: value(bench) if callable(value) else value for name, value in options.items()}
        try:
            server = await bench.serve(asyncio.Protocol, *where, **given)
            server.close()
            await server.wait_closed()
        finally:
            close_sockets(given)

    return program


def accept(**options: Any) -> Program:
    async def program(bench: Bench) -> None:
        given = {name: value(bench) if callable(value) else value for name, value in options.items()}
        ours, theirs = socket_pair(tcp=True)
        with given.pop("sock", ours) as sock, ours, theirs:
            await bench.accept(asyncio.Protocol, sock, **given)

    return program


def on_pair(call: Callable[[Bench, Any], Any]) -> Program:
    """A call on a connected client's transport."""

    async def program(bench: Bench) -> None:
        async with bench.pair() as (client_end, _):
            result = call(bench, client_end)
            if isinstance(result, Awaitable):
                await result

    return program


def on_plain(call: Callable[[Bench, Any, Any], Any]) -> Program:
    """A call on a transport without TLS, and the protocol of its peer."""

    async def program(bench: Bench) -> None:
        async with bench.plain() as (client_end, server_end):
            async with asyncio.timeout(1):
                await call(bench, client_end, server_end)

    return program


def close_sockets(given: dict[str, Any]) -> None:
    for value in given.values():
        if isinstance(value, socket.socket):
            value.close()

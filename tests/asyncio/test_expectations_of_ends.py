"""What asyncio's users expect of contexts, of servers, and of what is dropped, under `ssl` and under this package.

As in test_expectations the programs are the same for both, and differences are named with their reason.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from typing import Any

import pytest

from tests.support import pki
from tests.support.leftovers import resource_warnings
from tests.support.mistakes import HOST, OURS, REFERENCE, Bench, Library, run
from tests.support.wire import PATIENCE, Recorder, socket_pair, turns

ours = pytest.mark.parametrize("library", OURS, ids=lambda library: library.name)


# ---- contexts ----------------------------------------------------------------------------------------


@ours
def test_start_tls_calls_back_in_the_context_of_its_caller(library: Library, files: pki.Files) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def program(bench: Bench) -> Any:
        seen: list[str] = []
        variable.set("of the connection")
        async with bench.plain() as (client, server):
            for name in ("data_received", "eof_received", "connection_lost"):
                client.on[name] = lambda *_: seen.append(variable.get())
            variable.set("of start_tls")
            client.transport, server.transport = await asyncio.gather(
                bench.start_tls(client.transport, client, bench.client_context, server_hostname=HOST),
                bench.start_tls(server.transport, server, bench.server_context, server_side=True),
            )
            variable.set("of somebody else")
            server.transport.write(b"x")
            await client.got(1)
            server.transport.close()
            await client.gone()
        return seen

    found = run(library, program, files)
    assert found == ["of start_tls"] * 3
    assert found == run(REFERENCE, program, files)


@ours
def test_whoever_resumes_reading_leaves_the_context_as_it_was(library: Library, files: pki.Files) -> None:
    """asyncio's callbacks run in the context of whoever called resume_reading last: here they keep their own."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def program(bench: Bench) -> Any:
        seen: list[str] = []
        variable.set("of the connection")
        client = Recorder(data_received=lambda *_: seen.append(variable.get()))
        async with bench.pair(client=client) as (_, server):
            variable.set("of somebody else")
            client.transport.pause_reading()
            server.transport.write(b"x")
            await turns(20)
            client.transport.resume_reading()
            await client.got(1)
        return seen

    assert run(library, program, files) == ["of the connection"]


# ---- what is dropped, or used after its loop ----------------------------------------------------------


@ours
def test_a_stream_writer_that_is_dropped(library: Library, files: pki.Files) -> None:
    """What StreamWriter's destructor does is up to the version of asyncio; the transport is closed as it says."""

    async def program(bench: Bench) -> Any:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        first, second = socket_pair(tcp=True)
        server = Recorder()
        made, _ = await asyncio.gather(
            bench.connect(lambda: protocol, sock=first, ssl=bench.client_context, server_hostname=HOST),
            bench.accept(lambda: server, second, ssl=bench.server_context),
        )
        writer = asyncio.StreamWriter(made[0], protocol, reader, bench.loop)
        await turns(5)

        def drop() -> None:
            nonlocal writer, reader, protocol, made
            del writer, reader, protocol, made

        said = resource_warnings(drop)
        closes = hasattr(asyncio.StreamWriter, "__del__")
        if closes:
            await server.gone()
        return said, closes

    found = run(library, program, files)
    reference = run(REFERENCE, program, files)
    assert found[0] == [words for words in reference[0] if "StreamWriter" in words], (found, reference)


@ours
def test_a_server_that_is_dropped_goes_on_until_its_loop_ends(library: Library, files: pki.Files) -> None:
    def scenario(which: Library) -> Any:
        async def program(bench: Bench) -> Any:
            server_end = Recorder()
            server = await bench.serve(lambda: server_end, "127.0.0.1", 0, ssl=bench.server_context)
            address = server.sockets[0].getsockname()
            reference = weakref.ref(server)
            del server
            gc.collect()
            client = Recorder()
            await bench.connect(lambda: client, *address, ssl=bench.client_context, server_hostname=HOST)
            client.transport.close()
            await client.gone()
            await server_end.gone()
            return reference() is not None

        results: list[Any] = []
        said = resource_warnings(lambda: results.append(run(which, program, files)))
        return results, said

    found = scenario(library)
    assert found == ([True], ["unclosed <socket.socket"])
    assert found == scenario(REFERENCE)


@ours
@pytest.mark.parametrize("call", ["close", "abort"])
def test_a_transport_outlives_its_loop(library: Library, files: pki.Files, call: str) -> None:
    """Ending it then is the RuntimeError of the loop; the descriptor goes with the transport, which warns."""

    def scenario(which: Library) -> Any:
        kept: list[Any] = []

        async def program(bench: Bench) -> None:
            first, second = socket_pair(tcp=True)
            client, server = Recorder(), Recorder()
            await asyncio.gather(
                bench.connect(lambda: client, sock=first, ssl=bench.client_context, server_hostname=HOST),
                bench.accept(lambda: server, second, ssl=bench.server_context),
            )
            kept.extend((client, server, first, second))

        run(which, program, files)
        raised = None
        try:
            getattr(kept[0].transport, call)()
        except Exception as exc:
            raised = type(exc)
        repr(kept[0].transport)
        first, second = kept[2:]
        del kept[:]
        gc.collect()
        return raised, first.fileno(), second.fileno()

    results: list[Any] = []
    said = resource_warnings(lambda: results.append(scenario(library)))
    assert results == [(RuntimeError, -1, -1)]
    assert said.count("unclosed transport") == 2
    resource_warnings(lambda: results.append(scenario(REFERENCE)))
    assert results[1][0] is RuntimeError


# ---- servers -----------------------------------------------------------------------------------------


@ours
def test_serve_forever(library: Library, files: pki.Files) -> None:
    async def program(bench: Bench) -> Any:
        found: list[Any] = []
        async with await bench.serve(
            Recorder, "127.0.0.1", 0, ssl=bench.server_context, start_serving=False
        ) as server:
            serving = asyncio.ensure_future(server.serve_forever())
            await turns(5)
            found.append(server.is_serving())
            for _ in range(2):
                with pytest.raises(RuntimeError) as caught:
                    await server.serve_forever()
                found.append(str(caught.value).split(">")[-1])
                serving.cancel()
                await asyncio.wait([serving])
            found += [serving.cancelled(), server.is_serving(), server.sockets]
        return found

    found = run(library, program, files)
    assert found == run(REFERENCE, program, files)
    assert found[1:3] == [" is already being awaited on serve_forever()", " is closed"]


@ours
@pytest.mark.skipif(
    sys.version_info < (3, 13), reason="asyncio's own servers cannot end their clients before 3.13"
)
@pytest.mark.parametrize("call", ["close_clients", "abort_clients"])
def test_a_server_ends_its_clients(library: Library, files: pki.Files, call: str) -> None:
    async def program(bench: Bench) -> Any:
        server_end, client = Recorder(), Recorder()
        server = await bench.serve(lambda: server_end, "127.0.0.1", 0, ssl=bench.server_context)
        await bench.connect(
            lambda: client, *server.sockets[0].getsockname(), ssl=bench.client_context, server_hostname=HOST
        )
        await server_end.until(lambda: server_end.calls)
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await turns(5)
        found: list[Any] = [waiting.done()]
        getattr(server, call)()
        async with asyncio.timeout(PATIENCE):
            await waiting
            await client.gone()
            await server_end.gone()
        return [*found, server_end.calls, server_end.lost]

    found = run(library, program, files)
    assert found == [False, ["connection_made", "connection_lost"], None]
    if library.name != "uvloop" and call == "abort_clients":
        # Under `ssl` close_clients closes the plain transport, and the client's answer comes as eof_received.
        assert found == run(REFERENCE, program, files)

"""What asyncio's users expect of a transport and of a server, seen under `ssl` and under this package.

Each program returns what an application can observe. It must be the same under both, or the difference is named
with its reason.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import socket
import sys
import warnings
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import pki
from tests.support.mistakes import HOST, OURS, REFERENCE, Bench, Library, run
from tests.support.wire import PATIENCE, Recorder, socket_pair, turns

Program = Callable[[Bench], Awaitable[Any]]
ours = pytest.mark.parametrize("library", OURS, ids=lambda library: library.name)
both = pytest.mark.parametrize("library", (REFERENCE, *OURS), ids=lambda library: library.name)


def same(program: Program, library: Library, files: pki.Files) -> Any:
    found = run(library, program, files)
    assert found == run(REFERENCE, program, files)
    return found


# ---- what is told of a connection -------------------------------------------------------------------

NAMES = (
    "peername",
    "sockname",
    "socket",
    "compression",
    "cipher",
    "peercert",
    "sslcontext",
    "ssl_object",
    "pipe",
)


@ours
def test_extra_information_has_the_names_and_kinds_that_asyncio_documents(
    library: Library, files: pki.Files
) -> None:
    async def program(bench: Bench) -> Any:
        async with bench.pair() as ends:
            found = []
            for end in ends:
                info = {name: end.transport.get_extra_info(name, "none") for name in NAMES}
                assert info["peername"] == info["socket"].getpeername()
                assert info["sockname"] == info["socket"].getsockname()
                assert info["ssl_object"].version() == "TLSv1.3"
                # An empty dictionary or None: which one is up to how the certificate was asked for.
                keys = sorted(info["peercert"] or ())
                found.append((info["compression"], info["pipe"], keys, end.transport.get_extra_info("no")))
                assert info["sslcontext"] in (bench.client_context, bench.server_context)
                assert len(info["cipher"]) == 3
            return found

    client_info, server_info = same(program, library, files)
    assert "subjectAltName" in client_info[2]
    assert not server_info[2]


@ours
def test_the_life_of_a_transport_in_its_own_words(library: Library, files: pki.Files) -> None:
    async def program(bench: Bench) -> Any:
        async with bench.pair() as (client, server):
            found = [client.transport.is_closing(), client.transport.is_reading()]
            client.transport.pause_reading()
            found.append(client.transport.is_reading())
            client.transport.resume_reading()
            found += [client.transport.is_reading(), client.transport.get_write_buffer_size()]
            found.append(client.transport.get_protocol() is client)
            text = repr(client.transport)
            assert text.startswith("<")
            assert text.endswith(">")
            client.transport.close()
            found.append(client.transport.is_closing())
            await client.gone()
            await server.gone()
            found += [client.transport.is_closing(), server.transport.is_closing()]
            assert "closed" in repr(client.transport) or bench.library is REFERENCE
            # All of this is allowed on a transport that is over.
            for call in ("close", "abort", "pause_reading", "resume_reading", "get_write_buffer_size"):
                # `ssl` fails at the third with an AttributeError.
                if bench.library is not REFERENCE:
                    getattr(client.transport, call)()
            client.transport.write(b"")
            return found

    assert same(program, library, files) == [False, True, False, True, 0, True, True, True, True]


# ---- callbacks --------------------------------------------------------------------------------------


@ours
@pytest.mark.parametrize("end", ["close", "abort", "eof kept open"])
def test_callbacks_come_in_asyncios_order(library: Library, files: pki.Files, end: str) -> None:
    async def program(bench: Bench) -> Any:
        async with bench.pair() as (client, server):
            server.keep_open = end == "eof kept open"
            client.transport.write(b"hello")
            await server.got(5)
            server.transport.write(b"world")
            await client.got(5)
            client.transport.abort() if end == "abort" else client.transport.close()
            if server.keep_open:
                # With `ssl` nothing can be kept open: it is closed by then.
                await server.until(lambda: "eof_received" in server.calls)
                server.transport.close()
            await server.gone()
            await client.gone()
            return client.calls, server.calls, client.lost

    client_calls, server_calls, lost = run(library, program, files)
    reference = run(REFERENCE, program, files)
    assert lost is reference[2] is None
    # Under `ssl` eof_received comes after one's own close() too; asyncio's plain transports are done then.
    assert client_calls == [call for call in reference[0] if call != "eof_received"]
    if end == "abort":
        # `ssl` cannot tell an end from a cut (a bare FIN): here connection_lost says so, without eof_received.
        assert server_calls == ["connection_made", "data_received", "connection_lost"]
    else:
        assert server_calls == reference[1]


class Oops(Exception):
    """An application's own."""


@ours
@pytest.mark.parametrize("where", ["data_received", "eof_received", "connection_lost", "pause_writing"])
def test_an_exception_of_a_callback_goes_where_asyncio_sends_it(
    library: Library, files: pki.Files, where: str
) -> None:
    async def program(bench: Bench) -> Any:
        def fail(*_: Any) -> None:
            raise Oops(where)

        server = Recorder(**{where: fail})
        async with bench.pair(server=server) as (client, _):
            if where == "pause_writing":
                server.transport.set_write_buffer_limits(high=0)
                client.transport.pause_reading()
                server.transport.write(bytes(20_000_000))
            else:
                client.transport.write(b"hello")
            if where in ("eof_received", "connection_lost"):
                client.transport.close()
            await turns(20)
            client.transport.abort()
            await server.gone()
        told = [context for context in bench.complaints if isinstance(context.get("exception"), Oops)]
        if where == "connection_lost":
            # asyncio leaves it to the loop, which knows neither transport nor protocol.
            return len(told), "connection_lost" in server.calls
        keys = {"message", "exception", "transport", "protocol"}
        # `ssl` names its own protocol there, not the application's.
        assert bench.library is REFERENCE or all(context["protocol"] is server for context in told)
        return [keys <= context.keys() for context in told], server.calls.count("connection_lost")

    found = run(library, program, files)
    if where == "eof_received":
        # asyncio's ssl tells it twice on some versions.
        assert found == ([True], 1)
    else:
        assert found == run(REFERENCE, program, files)


@both
def test_callbacks_run_in_the_context_of_the_call_that_made_the_connection(
    library: Library, files: pki.Files
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def program(bench: Bench) -> Any:
        seen: dict[str, set[str]] = {"client": set(), "server": set()}

        def noting(name: str) -> dict[str, Callable[..., None]]:
            names = ("connection_made", "data_received", "eof_received", "connection_lost")
            return {callback: lambda *_: seen[name].add(variable.get()) for callback in names}

        server = Recorder(**noting("server"))
        variable.set("server's")
        serving = await bench.serve(lambda: server, "127.0.0.1", 0, ssl=bench.server_context)
        variable.set("client's")
        client = Recorder(**noting("client"))
        await bench.connect(
            lambda: client, *serving.sockets[0].getsockname(), ssl=bench.client_context, server_hostname=HOST
        )
        variable.set("later")
        client.transport.write(b"x")
        await server.got(1)
        server.transport.write(b"x")
        await client.got(1)
        client.transport.close()
        await server.gone()
        await client.gone()
        serving.close()
        await serving.wait_closed()
        return seen

    assert run(library, program, files) == {"client": {"client's"}, "server": {"server's"}}


# ---- writes after the end ---------------------------------------------------------------------------


@ours
def test_the_log_tells_of_writes_after_the_end(
    library: Library, files: pki.Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def program(bench: Bench) -> Any:
        async with bench.pair() as (client, _):
            client.transport.abort()
            await client.gone()
            caplog.clear()
            for _ in range(7):
                client.transport.write(b"late")
            return [record.getMessage() for record in caplog.records if record.name == "asyncio"]

    with caplog.at_level(logging.WARNING, "asyncio"):
        assert run(library, program, files) == ["socket.send() raised exception."] * 2


# ---- what is left behind ----------------------------------------------------------------------------


@ours
def test_a_transport_that_is_dropped_unclosed_warns(library: Library, files: pki.Files) -> None:
    async def main() -> list[str]:
        bench = Bench(library, files)
        first, second = socket_pair(tcp=True)
        await asyncio.gather(
            bench.connect(Recorder, sock=first, ssl=bench.client_context, server_hostname=HOST),
            bench.accept(Recorder, second, ssl=bench.server_context),
        )
        return [repr(sock) for sock in (first, second)]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with asyncio.Runner(loop_factory=library.new_loop) as runner:
            runner.run(main())
        gc.collect()
    said = [str(each.message) for each in caught if each.category is ResourceWarning]
    assert sum(text.startswith("unclosed transport <") for text in said) == 2, said


@both
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("stage", range(0, 60, 3))
def test_a_connect_that_is_cancelled_leaves_nothing(library: Library, files: pki.Files, stage: int) -> None:
    async def program(bench: Bench) -> Any:
        server = await bench.serve(Recorder, "127.0.0.1", 0, ssl=bench.server_context)
        address = server.sockets[0].getsockname()
        before = len(os.listdir("/proc/self/fd"))
        task = asyncio.ensure_future(
            bench.connect(Recorder, *address, ssl=bench.client_context, server_hostname=HOST)
        )
        await turns(stage)
        done = task.done()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            assert done
            task.result()[0].abort()
        async with asyncio.timeout(PATIENCE):
            # The server's end goes when it sees ours gone.
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0)
        server.close()
        await server.wait_closed()
        # A client that goes away in the handshake is no fault of the server's.
        return bench.complaints

    assert run(library, program, files) == []


@ours
@pytest.mark.parametrize("end", ["close", "abort", "reset", "peer closes", "peer aborts"])
def test_reference_counting_alone_frees_both_ends(library: Library, files: pki.Files, end: str) -> None:
    async def program(bench: Bench) -> Any:
        async with bench.pair() as (client, server):
            client.transport.write(b"x" * 100_000)
            await server.got(100_000)
            if end == "reset":
                sock = client.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            {
                "close": client.transport.close,
                "abort": client.transport.abort,
                "reset": client.transport.abort,
                "peer closes": server.transport.close,
                "peer aborts": server.transport.abort,
            }[end]()
            await client.gone()
            await server.gone()
            found = [weakref.ref(each) for each in (client, server, client.transport, server.transport)]
            found += [weakref.ref(each.transport.get_extra_info("ssl_object")) for each in (client, server)]
        del client, server
        await turns(5)
        return [ref() is None for ref in found]

    gc.collect()
    gc.disable()
    try:
        assert all(run(library, program, files))
    finally:
        gc.enable()


@ours
def test_debug_mode_has_nothing_to_say(
    library: Library, files: pki.Files, caplog: pytest.LogCaptureFixture
) -> None:
    async def program(bench: Bench) -> Any:
        bench.loop.slow_callback_duration = 60.0
        async with bench.pair() as (client, server):
            client.transport.write(b"x" * 1_000_000)
            await server.got(1_000_000)
            client.transport.close()
            await client.gone()
            await server.gone()
        return bench.complaints

    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(library, program, files, debug=True) == []
    assert caplog.records == []


# ---- servers ----------------------------------------------------------------------------------------


@ours
def test_the_life_of_a_server(library: Library, files: pki.Files) -> None:
    async def program(bench: Bench) -> Any:
        server = await bench.serve(Recorder, "127.0.0.1", 0, ssl=bench.server_context, start_serving=False)
        found = [
            server.is_serving(),
            isinstance(server, asyncio.AbstractServer),
            server.get_loop() is bench.loop,
        ]
        await server.start_serving()
        found += [server.is_serving(), len(server.sockets), "Server" in repr(server)]
        server.close()
        found += [server.is_serving(), len(server.sockets)]
        server.close()
        await server.wait_closed()
        return found

    assert same(program, library, files) == [False, True, True, True, 1, True, False, 0]


@ours
@pytest.mark.skipif(
    sys.version_info < (3, 12, 1), reason="before 3.12.1 wait_closed of asyncio waits for nothing"
)
def test_wait_closed_waits_for_connections(library: Library, files: pki.Files) -> None:
    async def program(bench: Bench) -> Any:
        recorder = Recorder()
        server = await bench.serve(lambda: recorder, "127.0.0.1", 0, ssl=bench.server_context)
        client = Recorder()
        await bench.connect(
            lambda: client, *server.sockets[0].getsockname(), ssl=bench.client_context, server_hostname=HOST
        )
        await recorder.until(lambda: recorder.calls)
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await turns(10)
        found = [waiting.done()]
        client.transport.close()
        async with asyncio.timeout(PATIENCE):
            await waiting
        return found

    assert run(library, program, files) == [False]


@ours
def test_a_client_that_speaks_no_tls_is_the_clients_affair(library: Library, files: pki.Files) -> None:
    async def program(bench: Bench) -> Any:
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        server = await bench.serve(factory, "127.0.0.1", 0, ssl=bench.server_context)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        writer.close()
        server.close()
        await server.wait_closed()
        return bench.complaints, [recorder.calls for recorder in made]

    assert same(program, library, files) == ([], [[]])


# ---- streams ----------------------------------------------------------------------------------------


async def open_streams(bench: Bench) -> tuple[Any, Any, Any]:
    """A client's StreamReader and StreamWriter, and the protocol at the other end."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    first, second = socket_pair(tcp=True)
    server = Recorder()
    (transport, _), _ = await asyncio.gather(
        bench.connect(lambda: protocol, sock=first, ssl=bench.client_context, server_hostname=HOST),
        bench.accept(lambda: server, second, ssl=bench.server_context),
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, bench.loop), server


@ours
@pytest.mark.parametrize("end", ["closed", "reset"])
def test_streams_when_the_peer_is_gone(library: Library, files: pki.Files, end: str) -> None:
    async def program(bench: Bench) -> Any:
        reader, writer, server = await open_streams(bench)
        server.transport.write(b"last words")
        if end == "closed":
            server.transport.close()
        else:
            sock = server.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await turns(5)
            server.transport.abort()
        await server.gone()
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            try:
                found.append(await reader.readexactly(100))
            except (asyncio.IncompleteReadError, ConnectionResetError) as exc:
                found.append(type(exc).__name__)
            for _ in range(3):
                try:
                    writer.write(b"x")
                    await writer.drain()
                except ConnectionError:
                    found.append("drain: ConnectionError")
                    break
                await turns(5)
            found.append(writer.is_closing())
            writer.close()
            try:
                await writer.wait_closed()
                found.append("closed")
            except ConnectionError:
                found.append("wait_closed: ConnectionError")
        return found

    assert same(program, library, files)


@both
def test_streams_of_a_connection_that_ends_well(library: Library, files: pki.Files) -> None:
    async def program(bench: Bench) -> Any:
        reader, writer, server = await open_streams(bench)
        writer.writelines([b"hello ", b"world"])
        await writer.drain()
        await server.got(11)
        server.transport.write(b"line\nrest")
        found = [await reader.readline(), await reader.readexactly(4)]
        server.transport.close()
        found += [await reader.read(), reader.at_eof()]
        writer.close()
        async with asyncio.timeout(PATIENCE):
            await writer.wait_closed()
        return found

    assert run(library, program, files) == [b"line\n", b"rest", b"", True]


@ours
@pytest.mark.parametrize("asked_before", [True, False])
def test_addresses_are_known_after_the_end(library: Library, files: pki.Files, asked_before: bool) -> None:
    async def program(bench: Bench) -> Any:
        async with bench.pair() as (client, server):
            names = [client.transport.get_extra_info("socket").getsockname()]
            names.append(client.transport.get_extra_info("socket").getpeername())
            if asked_before:
                client.transport.get_extra_info("sockname")
            client.transport.abort()
            await client.gone()
            await server.gone()
            found = [client.transport.get_extra_info(name) for name in ("sockname", "peername")]
            assert [tuple(each) for each in found] == names
            assert server.transport.get_extra_info("sockname") == names[1]
            return client.transport.get_extra_info("cipher") is not None

    # Under `ssl` there is nothing to be had any more; plain transports of asyncio tell it.
    assert run(library, program, files) is True

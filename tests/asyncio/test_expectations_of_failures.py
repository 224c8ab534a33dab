"""What asyncio's users expect where something goes wrong, seen under `ssl` and under this package.

Callbacks that raise, handshakes that fail: who is told, and what is left. As in test_expectations the programs are
the same for both, and differences are named with their reason.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import engine, pki
from tests.support.contexts import client_context
from tests.support.leftovers import alive, descriptors, needs_proc
from tests.support.mistakes import HOST, OURS, REFERENCE, Bench, Library, run
from tests.support.wire import PATIENCE, BufferedRecorder, Recorder, socket_pair, turns
from tlswrite.crypto.x509 import TrustAnchors

ours = pytest.mark.parametrize("library", OURS, ids=lambda library: library.name)


# ---- callbacks that raise ---------------------------------------------------------------------------


class Oops(Exception):
    """An application's own."""


def told(bench: Bench) -> list[bool]:
    """Of each call of the exception handler about an Oops: has it what asyncio puts there?"""
    keys = {"message", "exception", "transport", "protocol"}
    return [keys <= each.keys() for each in bench.complaints if isinstance(each.get("exception"), Oops)]


@ours
@pytest.mark.parametrize("side", ["client", "server"])
def test_connection_made_that_raises(library: Library, files: pki.Files, side: str) -> None:
    """Who waits for the connection gets the exception, the handler too; connection_lost follows."""

    async def program(bench: Bench) -> Any:
        def fail(*_: Any) -> None:
            raise Oops

        bad, good = Recorder(connection_made=fail), Recorder()
        client, server = (bad, good) if side == "client" else (good, bad)
        first, second = socket_pair(tcp=True)
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(
                bench.connect(lambda: client, sock=first, ssl=bench.client_context, server_hostname=HOST),
                bench.accept(lambda: server, second, ssl=bench.server_context),
                return_exceptions=True,
            )
            await bad.gone()
            if good.transport is not None:
                await good.gone()
        raised = results[0] if side == "client" else results[1]
        return type(raised), told(bench), bad.calls

    found = run(library, program, files)
    assert found == (Oops, [True], ["connection_made", "connection_lost"])
    assert found == run(REFERENCE, program, files)


@ours
@pytest.mark.parametrize("where", ["get_buffer", "buffer_updated"])
def test_a_buffered_protocol_that_raises(library: Library, files: pki.Files, where: str) -> None:
    async def program(bench: Bench) -> Any:
        def fail(*_: Any) -> None:
            raise Oops

        async with bench.pair(server=BufferedRecorder(4096, **{where: fail})) as (client, server):
            client.transport.write(b"hello")
            lost = await server.gone()
            # How often `ssl` asks for a buffer is its own affair.
        return type(lost), told(bench), [call for call in server.calls if call != "get_buffer"]

    found = run(library, program, files)
    assert found[:2] == (Oops, [True])
    assert found == run(REFERENCE, program, files)


@ours
def test_resume_writing_that_raises(library: Library, files: pki.Files) -> None:
    """It is reported, and harms nothing."""
    size = 20_000_000  # more than the kernel takes

    async def program(bench: Bench) -> Any:
        def fail(*_: Any) -> None:
            raise Oops

        async with bench.pair(server=Recorder(resume_writing=fail)) as (client, server):
            client.transport.pause_reading()
            # Or `ssl` would not count what its plain transport holds.
            server.transport.set_write_buffer_limits(high=0)
            server.transport.write(bytes(size))
            await turns(5)
            client.transport.resume_reading()
            await client.got(size)
            await server.until(lambda: "resume_writing" in server.calls)
            # `ssl` counts in two places, and may say it twice.
            return set(told(bench)), "connection_lost" in server.calls

    found = run(library, program, files)
    assert found == ({True}, False)
    assert found == run(REFERENCE, program, files)


# ---- handshakes that fail ---------------------------------------------------------------------------


async def untrusted(bench: Bench, client: Recorder, server: Recorder) -> Any:
    """The server's certificate is of an authority that the client does not trust."""
    listening = await bench.serve(lambda: server, "127.0.0.1", 0, ssl=bench.server_context)
    async with listening:
        await bench.connect(
            lambda: client, *listening.sockets[0].getsockname(), ssl=distrust(bench), server_hostname=HOST
        )


def distrust(bench: Bench) -> Any:
    if bench.library.calls is None:
        return client_context(type(bench.client_context), trusting=False)
    return engine.client_config(trust_anchors=TrustAnchors.from_pem(pki.stranger().certificate_pem))


async def another_name(bench: Bench, client: Recorder, server: Recorder) -> Any:
    listening = await bench.serve(lambda: server, "127.0.0.1", 0, ssl=bench.server_context)
    async with listening:
        await bench.connect(
            lambda: client,
            *listening.sockets[0].getsockname(),
            ssl=bench.client_context,
            server_hostname="other.example",
        )


def facing(answer: Callable[[socket.socket], Any], **options: Any) -> Any:
    """A client against a peer that does something else than a handshake."""

    async def program(bench: Bench, client: Recorder, server: Recorder) -> Any:
        first, second = socket_pair(tcp=True)
        with second:
            answer(second)
            await bench.connect(
                lambda: client, sock=first, ssl=bench.client_context, server_hostname=HOST, **options
            )

    return program


def accepting(answer: Callable[[socket.socket], Any], **options: Any) -> Any:
    """A server against such a client."""

    async def program(bench: Bench, client: Recorder, server: Recorder) -> Any:
        first, second = socket_pair(tcp=True)
        with second:
            answer(second)
            await bench.accept(lambda: server, first, ssl=bench.server_context, **options)

    return program


def end(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def talk(sock: socket.socket) -> None:
    sock.send(b"220 mail.example ESMTP, and this is a line that is long enough\r\n")


SOON = {"ssl_handshake_timeout": 0.02}
FAILURES = {
    "untrusted": untrusted,
    "another name": another_name,
    "a server that ends": facing(end),
    "a server that resets": facing(reset),
    "a server without TLS": facing(talk),
    "a silent server": facing(lambda _: None, **SOON),
    "a client that ends": accepting(end),
    "a client that resets": accepting(reset),
    "a client without TLS": accepting(talk),
    "a silent client": accepting(lambda _: None, **SOON),
}


def failing(name: str) -> Any:
    async def program(bench: Bench) -> Any:
        client, server = Recorder(), Recorder()
        error = None
        try:
            async with asyncio.timeout(PATIENCE):
                await FAILURES[name](bench, client, server)
        except Exception as exc:
            # Without its frames, or it would keep what is watched.
            error = exc.with_traceback(None)
        await turns(10)
        return error, client.calls + server.calls, bench.complaints

    return program


@ours
@needs_proc
@pytest.mark.parametrize("name", FAILURES)
def test_a_handshake_that_fails(library: Library, files: pki.Files, name: str, no_collector: None) -> None:
    """Its true cause is raised, protocols and the exception handler hear nothing, and nothing is left."""
    before = descriptors()
    error, calls, complaints = run(library, failing(name), files)
    assert (calls, complaints) == ([], [])
    assert descriptors() == before
    assert alive() == 0
    gc.enable()
    theirs, calls, complaints = run(REFERENCE, failing(name), files)
    assert (calls, complaints) == ([], [])
    if "without TLS" in name:
        # That the peer speaks no TLS is one reason here, and up to OpenSSL's reading of its bytes there.
        assert isinstance(theirs, ssl.SSLError)
        assert isinstance(error, ssl.SSLError)
        assert "is this TLS" in str(error)
    else:
        assert isinstance(error, type(theirs)), (theirs, error)


@ours
@pytest.mark.parametrize("name", FAILURES)
def test_debug_mode_has_nothing_to_say_of_a_failed_handshake(
    library: Library, files: pki.Files, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who called has the exception. asyncio's ssl warns of certificates; that is for the debug level here."""

    async def program(bench: Bench) -> Any:
        bench.loop.slow_callback_duration = 60.0
        return await failing(name)(bench)

    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("error")
        run(library, program, files, debug=True)
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []


# ---- what reference counting frees -------------------------------------------------------------------


@ours
def test_a_server_is_freed_with_its_connections(
    library: Library, files: pki.Files, no_collector: None
) -> None:
    async def program(bench: Bench) -> Any:
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        server = await bench.serve(factory, "127.0.0.1", 0, ssl=bench.server_context)
        _, client = await bench.connect(
            Recorder, *server.sockets[0].getsockname(), ssl=bench.client_context, server_hostname=HOST
        )
        client.transport.write(b"x")
        while not made or not made[0].data:
            await asyncio.sleep(0)
        client.transport.close()
        await made[0].gone()
        await client.gone()
        server.close()
        async with asyncio.timeout(PATIENCE):
            await server.wait_closed()
        watched = [weakref.ref(server), weakref.ref(client), weakref.ref(made.pop())]
        del server, client, factory
        await turns(3)
        return [reference() for reference in watched]

    assert run(library, program, files) == [None] * 3
    assert alive() == 0


@ours
@needs_proc
@pytest.mark.parametrize("inner", [False, True], ids=["plain below", "TLS below"])
@pytest.mark.parametrize("how", ["closed", "fails", "cancelled", "peer resets"])
def test_start_tls_leaves_nothing(
    library: Library, files: pki.Files, how: str, inner: bool, no_collector: None
) -> None:
    async def upgrade(bench: Bench, client: Recorder, server: Recorder, context: Any) -> None:
        client.transport, server.transport = await asyncio.gather(
            bench.start_tls(client.transport, client, context, server_hostname=HOST),
            bench.start_tls(server.transport, server, bench.server_context, server_side=True),
        )

    async def program(bench: Bench) -> Any:
        async with bench.plain() as (client, server), asyncio.timeout(PATIENCE):
            if inner:
                await upgrade(bench, client, server, bench.client_context)
            if how == "closed":
                await upgrade(bench, client, server, bench.client_context)
                client.transport.write(b"x" * 100_000)
                await server.got(100_000)
                client.transport.close()
            elif how == "fails":
                results = await asyncio.gather(
                    bench.start_tls(client.transport, client, distrust(bench), server_hostname=HOST),
                    bench.start_tls(server.transport, server, bench.server_context, server_side=True),
                    return_exceptions=True,
                )
                assert isinstance(results[0], ssl.SSLCertVerificationError)
                assert isinstance(results[1], ssl.SSLError)
                results.clear()
            else:
                waiting = asyncio.ensure_future(
                    bench.start_tls(client.transport, client, bench.client_context, server_hostname=HOST)
                )
                await turns(5)
                if how == "cancelled":
                    waiting.cancel()
                else:
                    sock = server.transport.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    server.transport.abort()
                await asyncio.wait([waiting])
                error = None if waiting.cancelled() else waiting.exception()
                assert how == "cancelled" or isinstance(error, ConnectionError | ssl.SSLError), error
                del waiting, error
                server.transport.abort()
            await client.gone()
            await server.gone()
        await turns(5)
        # No protocol is called again, and connection_made was the plain transport's.
        calls = [end.calls for end in (client, server)]
        return [(each.count("connection_made"), each.count("connection_lost")) for each in calls]

    before = descriptors()
    assert run(library, program, files) == [(1, 1)] * 2
    assert descriptors() == before
    assert alive() == 0

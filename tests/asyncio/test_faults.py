"""Faults that users of TLS under asyncio know, by the number under which they were reported.

Each is a scenario that runs here on asyncio's loop and on uvloop, and must not show it. On the implementations that
have the fault, in the versions that are installed, the same scenario must show it: so it is the fault that is
tested, and not something else. Where none of them shows it any more, or it cannot be made to happen reliably,
`elsewhere` says so.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import tracemalloc
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine, pki
from tests.support.faults import IMPLEMENTATIONS, OWN, PATIENCE, Fault, Net, expect, run
from tests.support.wire import BufferedRecorder, Recorder, turns
from tlswrite.config import ClientConfig
from tlswrite.crypto.x509 import TrustAnchors

BIG = bytes(at * 7 % 251 for at in range(1_000_003))

V = sys.version_info[:3]


async def soon(recorder: Recorder, condition: Callable[[], Any], what: str) -> None:
    """A Fault unless `condition` comes true by a callback within a moment."""
    try:
        async with asyncio.timeout(PATIENCE):
            await recorder.until(condition)
    except TimeoutError:
        raise Fault(what) from None


# ---- memory and time --------------------------------------------------------------------------------


async def cpython_109534_memory_of_an_idle_connection(net: Net) -> None:
    async with net.joined():
        pass  # what is made once
    tracemalloc.start()
    try:
        async with net.joined(), net.joined(), net.joined(), net.joined():
            gc.collect()
            size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    expect(size / 8 < 64 * 1024, f"{size // 8} bytes an endpoint")


async def cpython_98539_cycles_after_close(net: Net) -> None:
    """Also #78926: what is closed is freed without the garbage collector."""
    client = Recorder()
    async with net.joined(client) as (_, server):
        client.transport.write(b"x")
        await server.until(lambda: server.data)
        client.transport.close()
        await soon(server, lambda: "connection_lost" in server.calls, "the server never knew")
        await soon(client, lambda: "connection_lost" in client.calls, "the client never knew")
        reference = weakref.ref(client.transport)
        await turns(10)
        gc.disable()
        try:
            client.transport = None
            await turns(10)
            expect(reference() is None, "the transport is kept by a cycle")
        finally:
            gc.enable()


async def cpython_123954_exceptions_as_wants(net: Net) -> None:
    """Each delivery costs an exception that says there is no more."""
    raised = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal raised
        raised += event == "c_exception" and getattr(argument, "__name__", "") == "read"

    async with net.joined() as (client, server):
        for number in range(20):
            client.transport.write(b"ping")
            sys.setprofile(profile)
            try:
                await server.until(lambda wanted=4 * (number + 1): len(server.data) >= wanted)
            finally:
                sys.setprofile(None)
    expect(raised < 5, f"{raised} exceptions for 20 deliveries")


async def aiofastnet_62_a_greedy_reader(net: Net) -> None:
    """One busy connection lets the loop turn."""
    at_once = most = 0

    def received(_: Recorder, data: bytes) -> None:
        nonlocal at_once, most
        at_once += len(data)
        most = max(most, at_once)

    stop = False

    def turned() -> None:
        nonlocal at_once
        at_once = 0
        if not stop:
            asyncio.get_running_loop().call_soon(turned)

    async with net.joined(server=Recorder(data_received=received)) as (client, server):
        server.transport.pause_reading()
        client.transport.write(BIG * 8)
        await turns(200)
        turned()
        server.transport.resume_reading()
        await server.until(lambda: len(server.data) == 8 * len(BIG))
        stop = True
    expect(most <= 1 << 20, f"{most} bytes in one turn of the loop")


# ---- buffers and flow -------------------------------------------------------------------------------


async def cpython_156275_a_bytearray_as_buffer(net: Net) -> None:
    server = BufferedRecorder(100)
    async with net.joined(server=server) as (client, _):
        # Two records that arrive together.
        server.transport.pause_reading()
        client.transport.write(b"A" * 30)
        await turns(10)
        client.transport.write(b"B" * 30)
        await turns(10)
        server.transport.resume_reading()
        await server.until(lambda: len(server.data) >= 60)
    expect(bytes(server.data) == b"A" * 30 + b"B" * 30, f"{bytes(server.data)!r}")


async def cpython_102792_drain_with_a_high_mark_of_0(net: Net) -> None:
    async with net.joined() as (client, server):
        client.transport.set_write_buffer_limits(high=0)
        client.transport.write(b"x")
        await server.until(lambda: server.data)
        await turns(10)
        told = [call for call in client.calls if call.endswith("writing")]
        expect(not told or told[-1] == "resume_writing", f"the writer is told {told}, and waits for ever")


async def cpython_99277_limits_are_those_that_were_set(net: Net) -> None:
    async with net.joined() as (client, _):
        client.transport.set_write_buffer_limits(high=5000, low=300)
        limits = client.transport.get_write_buffer_limits()
        expect(limits == (300, 5000), f"{limits}")


async def cpython_118950_closing_after_the_connection_was_lost(net: Net) -> None:
    async with net.joined() as (client, server):
        sock = server.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.transport.abort()
        await soon(client, lambda: "connection_lost" in client.calls, "connection_lost is not called")
        expect(client.transport.is_closing(), "is_closing() is false of a connection that is lost")


async def cpython_106028_writing_while_told_to_pause_and_resume(net: Net) -> None:
    """Also #81407, picows #40: a write from inside of the callbacks about writing."""
    written = 0

    def write(recorder: Recorder) -> None:
        nonlocal written
        if written < 5:
            written += 1
            recorder.transport.write(BIG)

    client = Recorder(pause_writing=write, resume_writing=write)
    async with net.joined(client) as (_, server):
        client.transport.write(BIG)
        await server.until(lambda: len(server.data) >= len(BIG) * (written + 1))
        expect(bytes(server.data) == BIG * (written + 1), "the stream is broken")
    expect(not net.complaints, f"{net.complaints}")


async def cpython_89322_data_after_pause_reading(net: Net) -> None:
    paused: list[int] = []

    def received(recorder: Recorder, _: bytes) -> None:
        recorder.transport.pause_reading()
        paused.append(len(recorder.pieces))

    async with net.joined(server=Recorder(data_received=received)) as (client, server):
        for _ in range(3):
            client.transport.write(BIG)
        await server.until(lambda: paused)
        await turns(100)
        expect(len(server.pieces) == 1, f"{len(server.pieces)} deliveries while reading was paused")


async def cpython_80279_a_slow_reader(net: Net) -> None:
    async with net.joined() as (client, server):
        server.transport.pause_reading()
        for _ in range(4):
            client.transport.write(BIG)
        await turns(100)
        server.transport.resume_reading()
        await soon(server, lambda: len(server.data) >= 4 * len(BIG), "the rest does not come")
        expect(bytes(server.data) == BIG * 4, "the stream is broken")


async def aiofastnet_the_last_bytes_after_pause_and_resume(net: Net) -> None:
    """Paused in the middle of what arrived together, resumed when nothing more comes."""

    def received(recorder: Recorder, _: bytes) -> None:
        recorder.transport.pause_reading()

    async with net.joined(server=Recorder(data_received=received)) as (client, server):
        size = 60_000
        client.transport.write(BIG[:size])
        for _ in range(20):
            await turns(20)
            server.transport.resume_reading()
        await turns(50)
        expect(len(server.data) == size, f"{size - len(server.data)} bytes are stuck")


async def asyncpg_816_lines_without_a_length(net: Net) -> None:
    async with net.joined() as (client, server):
        try:
            client.transport.writelines(piece for piece in (b"a", b"b", b"c"))
        except TypeError as error:
            raise Fault(str(error)) from None
        await soon(server, lambda: len(server.data) >= 3, "nothing comes")
        expect(bytes(server.data) == b"abc", f"{bytes(server.data)!r}")


# ---- the end ----------------------------------------------------------------------------------------


async def cpython_83939_closing_with_a_peer_that_does_not_answer(net: Net) -> None:
    """Also hypercorn #202, aiohttp #11091: connection_lost does not wait for the peer's close_notify."""
    async with net.joined() as (client, server):
        server.transport.pause_reading()  # and so the peer's close_notify is not seen, nor answered
        for _ in range(3):
            server.transport.write(BIG)
        await turns(20)
        client.transport.pause_reading()
        client.transport.close()
        await soon(client, lambda: "connection_lost" in client.calls, "it waits for a close_notify")


async def cpython_125981_data_that_comes_after_the_close(net: Net) -> None:
    async with net.joined() as (client, server):
        client.transport.close()
        server.transport.write(b"what was on its way")
        await soon(client, lambda: "connection_lost" in client.calls, "it never ends")
        expect(client.lost is None, f"a clean close ends with {client.lost!r}")
    expect(not net.complaints, f"{net.complaints}")


async def uvloop_471_downloading_after_the_close(net: Net) -> None:
    """A client that closed is not to take gigabytes first."""

    def more(recorder: Recorder) -> None:
        recorder.transport.write(BIG)

    async with net.joined(server=Recorder(resume_writing=more)) as (client, server):
        more(server)
        await client.until(lambda: client.data)
        client.transport.close()
        await soon(client, lambda: "connection_lost" in client.calls, "it goes on downloading")


async def every_one_an_end_without_close_notify(net: Net) -> None:
    """A bare FIN must not look like a clean end."""
    async with net.joined() as (client, server):
        client.transport.write(b"half of a mess")
        await server.until(lambda: server.data)
        with socket.socket(fileno=os.dup(client.transport.get_extra_info("socket").fileno())) as sock:
            sock.shutdown(socket.SHUT_WR)
        await soon(server, lambda: "connection_lost" in server.calls, "it never ends")
        expect(server.lost is not None, "a stream that was cut off ends like a complete one")


async def cpython_113214_the_cause_of_a_failure_in_tls_in_tls(net: Net) -> None:
    """The inner handshake fails: its error is what is raised, and nothing else goes wrong."""
    loop: Any = asyncio.get_running_loop()
    own = isinstance(net.client_context, ClientConfig)
    if own:
        from tlswrite import start_tls

        strangers: Any = engine.client_config(
            trust_anchors=TrustAnchors.from_pem(pki.stranger().certificate_pem)
        )
    else:
        import ssl

        start_tls = loop.start_tls
        strangers = ssl.create_default_context(cadata=pki.stranger().certificate_pem.decode())
    async with net.joined() as (client, server):
        inner = asyncio.gather(
            start_tls(client.transport, client, strangers, server_hostname=engine.HOST),
            start_tls(server.transport, server, net.server_context, server_side=True),
            return_exceptions=True,
        )
        error, _ = await inner
        expect("certificate" in str(error), f"{error!r}")
        await turns(10)
    wrong = [each for each in net.complaints if "takes 1 positional" in str(each.get("exception"))]
    expect(not wrong, f"{wrong}")


async def asyncpg_1211_cancelled_in_the_handshake(net: Net) -> None:
    """The socket of a connection that was given up is closed."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        connecting = asyncio.ensure_future(
            net.connect(
                Recorder,
                "127.0.0.1",
                listener.getsockname()[1],
                ssl=net.client_context,
                server_hostname=engine.HOST,
            )
        )
        sock, _ = await loop.sock_accept(listener)
        with sock:
            assert await loop.sock_recv(sock, 65536)  # the ClientHello
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            try:
                async with asyncio.timeout(PATIENCE):
                    while await loop.sock_recv(sock, 65536):
                        pass
            except ConnectionResetError:
                pass
            except TimeoutError:
                raise Fault("the socket stays open") from None


async def trio_198_a_cancelled_send(net: Net) -> None:
    """The stream goes on behind it, and the writer can tell what the peer gets."""
    async with net.joined() as (client, server):
        server.transport.pause_reading()
        sending = client.transport.sendall(BIG * 8)
        task = asyncio.ensure_future(_wait_for(sending))
        await turns(20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        client.transport.write(b"end")
        server.transport.resume_reading()
        await server.until(lambda: len(server.data) >= sending.committed + 3)
        expect(bytes(server.data) == (BIG * 8)[: sending.committed] + b"end", "the stream is broken")


async def _wait_for(awaitable: Any) -> None:
    await awaitable


# ---- start_tls --------------------------------------------------------------------------------------


async def _plain(net: Net) -> Any:
    """asyncio's streams, to be upgraded: a server's and a client's."""
    accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result((reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return server, port, accepted


async def _upgrade(net: Net, writer: asyncio.StreamWriter, context: Any, **options: Any) -> None:
    """`writer.start_tls`, by this package where the context is its own."""
    if type(context).__module__.startswith("tlswrite"):
        from tlswrite import start_tls

        protocol: Any = writer.transport.get_protocol()
        new = await start_tls(writer.transport, protocol, context, **options)
        writer._transport = new  # type: ignore[attr-defined]
        return
    options.pop("server_side", None)
    await writer.start_tls(context, **options)


async def cpython_142352_bytes_that_the_reader_had(net: Net) -> None:
    """Also uvloop #707: the ClientHello came with the last plain line."""
    listener, port, accepted = await _plain(net)
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        client = engine.client()
        client.start_handshake()
        await loop.sock_sendall(sock, b"STARTTLS\n" + client.bio_read())
        reader, writer = await accepted
        expect(await reader.readline() == b"STARTTLS\n", "no plain line")
        await turns(10)
        upgrading = asyncio.ensure_future(_upgrade(net, writer, net.server_context, server_side=True))
        try:
            async with asyncio.timeout(PATIENCE):
                data = await loop.sock_recv(sock, 65536)
        except TimeoutError:
            raise Fault("the ClientHello is lost, and both wait") from None
        finally:
            upgrading.cancel()
            await asyncio.gather(upgrading, return_exceptions=True)
            writer.transport.abort()
            listener.close()
        expect(data[:1] == b"\x16", "no ServerHello")


async def cpython_152431_the_reader_of_an_upgraded_stream(net: Net) -> None:
    listener, port, accepted = await _plain(net)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _, other = await accepted
    await asyncio.gather(
        _upgrade(net, writer, net.client_context, server_hostname=engine.HOST),
        _upgrade(net, other, net.server_context, server_side=True),
    )
    same = reader._transport is writer.transport  # type: ignore[attr-defined]
    for each in (writer, other):
        each.transport.abort()
    listener.close()
    await turns(10)
    expect(same, "the reader pauses and resumes the plain transport")


async def cpython_109051_upgraded_while_writing_is_paused(net: Net) -> None:
    """Also uvloop #564."""
    loop: Any = asyncio.get_running_loop()
    first, second = Recorder(), Recorder()
    listener = await loop.create_server(lambda: second, "127.0.0.1", 0)
    await loop.create_connection(lambda: first, *listener.sockets[0].getsockname())
    await second.until(lambda: second.transport is not None)
    second.transport.pause_reading()
    plain = BIG * 8
    first.transport.write(plain)
    own = isinstance(net.client_context, ClientConfig)
    if own:
        from tlswrite import start_tls
    else:
        start_tls = loop.start_tls
    expect(first.calls[-1] == "pause_writing", "writing is not paused")
    starting = asyncio.ensure_future(
        start_tls(first.transport, first, net.client_context, server_hostname=engine.HOST)
    )
    await turns(10)
    second.transport.resume_reading()
    await second.until(lambda: len(second.data) > len(plain))  # the ClientHello behind it
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    for each in (first, second):
        each.transport.abort()
    listener.close()
    await turns(10)
    expect(not [each for each in net.complaints if "writing" in str(each)], f"{net.complaints}")


# ---- the table --------------------------------------------------------------------------------------

Scenario = Callable[[Net], Awaitable[None]]


@dataclass(frozen=True)
class Known:
    scenario: Scenario
    #: Implementations that show it here, and what is to be said where that is not all of it.
    shown: tuple[str, ...] = ()
    elsewhere: str = ""

    @property
    def name(self) -> str:
        return self.scenario.__name__


def before(*fixes: tuple[int, int, int], names: tuple[str, ...] = ("asyncio",)) -> tuple[str, ...]:
    """`names` on a CPython that lacks a fix: releases of each branch that are known to have it, or may have it."""
    fixed = [fix for fix in fixes if fix[:2] == V[:2]]
    missing = fixed[0] > V if fixed else V[:2] < fixes[-1][:2]
    return names if missing else ()


GONE = "fixed in the versions that are installed"

KNOWN = (
    Known(cpython_109534_memory_of_an_idle_connection, ("asyncio",)),
    Known(cpython_98539_cycles_after_close, (), GONE),
    Known(cpython_123954_exceptions_as_wants, ("asyncio",)),
    Known(aiofastnet_62_a_greedy_reader, ("uvloop",), "fixed in aiofastnet"),
    Known(cpython_156275_a_bytearray_as_buffer, ("asyncio",)),
    Known(cpython_102792_drain_with_a_high_mark_of_0, ("asyncio", "uvloop")),
    Known(cpython_99277_limits_are_those_that_were_set, (), GONE),
    Known(cpython_118950_closing_after_the_connection_was_lost, (), GONE),
    Known(cpython_106028_writing_while_told_to_pause_and_resume, (), GONE),
    Known(cpython_89322_data_after_pause_reading, (), GONE),
    Known(cpython_80279_a_slow_reader, (), GONE),
    Known(aiofastnet_the_last_bytes_after_pause_and_resume, (), "not seen again with such a peer"),
    Known(asyncpg_816_lines_without_a_length, ("aiofastnet",), "fixed in uvloop"),
    Known(cpython_83939_closing_with_a_peer_that_does_not_answer, ("asyncio", "uvloop", "aiofastnet")),
    Known(cpython_125981_data_that_comes_after_the_close, ("asyncio",)),
    Known(uvloop_471_downloading_after_the_close, (), GONE),
    Known(every_one_an_end_without_close_notify, ("asyncio", "uvloop", "aiofastnet")),
    Known(
        cpython_113214_the_cause_of_a_failure_in_tls_in_tls,
        before((3, 11, 8), (3, 12, 2), (3, 13, 0)),
        "fixed in CPython 3.11.8 and 3.12.2",
    ),
    Known(
        asyncpg_1211_cancelled_in_the_handshake, (), "asyncpg's own, which had no part in closing the socket"
    ),
    Known(trio_198_a_cancelled_send, (), "a transport elsewhere has no write to await"),
    Known(
        cpython_142352_bytes_that_the_reader_had,
        (*before((3, 13, 9), (3, 14, 0), (3, 15, 0)), "uvloop"),
    ),
    Known(
        cpython_152431_the_reader_of_an_upgraded_stream,
        before((3, 13, 9), (3, 14, 0), (3, 15, 0)),
        "fixed in newer CPythons",
    ),
    Known(cpython_109051_upgraded_while_writing_is_paused, ("asyncio", "uvloop")),
)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_it_does_not_show_here(known: Known, name: str, tmp_path: Path) -> None:
    run(name, known.scenario, tmp_path)


SHOWN = [pytest.param(known, name, id=f"{known.name}-{name}") for known in KNOWN for name in known.shown]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("known", "name"), SHOWN)
def test_it_shows_elsewhere(known: Known, name: str, tmp_path: Path) -> None:
    with pytest.raises(Fault):
        run(name, known.scenario, tmp_path)


def test_every_fault_is_shown_or_said_to_be_gone() -> None:
    assert all(known.shown or known.elsewhere for known in KNOWN)
    assert all(name in IMPLEMENTATIONS and name not in OWN for known in KNOWN for name in known.shown)

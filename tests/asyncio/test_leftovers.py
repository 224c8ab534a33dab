"""What is left of a connection when it is gone, and what an idle one takes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import engine
from tests.support.wire import (
    Joined,
    Peer,
    Recorder,
    face_server,
    join,
    meter_of,
    socket_pair,
    turns,
)
from tlswrite import limits
from tlswrite.asyncio import create_connection
from tlswrite.iana import AlertDescription

BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192


async def connect(sock: socket.socket, recorder: Recorder, **options: Any) -> Any:
    config = options.pop("ssl", engine.client_config())
    return await create_connection(
        lambda: recorder, sock=sock, ssl=config, server_hostname=engine.HOST, **options
    )


class Handler(asyncio.Protocol):
    """Keeps its transport and the error, as applications do."""

    transport: Any
    error: BaseException | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: BaseException | None) -> None:
        self.error = exc


async def end_orderly(transport: Any, peer: Peer) -> None:
    transport.close()
    await peer.read_to_end()


async def end_by_peer(transport: Any, peer: Peer) -> None:
    peer.connection.shutdown()
    await peer.flush()


async def end_by_abort(transport: Any, peer: Peer) -> None:
    transport.write(BIG)
    transport.abort()


async def end_by_truncation(transport: Any, peer: Peer) -> None:
    peer.socket.close()


async def end_by_bad_record(transport: Any, peer: Peer) -> None:
    await peer.loop.sock_sendall(peer.socket, b"\x17\x03\x03\x00\x20" + bytes(32))


async def end_by_alert(transport: Any, peer: Peer) -> None:
    peer.connection._control.send_alert(AlertDescription.INTERNAL_ERROR)
    await peer.flush()


async def end_by_failed_write(transport: Any, peer: Peer) -> None:
    meter_of(transport).failure = BrokenPipeError("gone")
    transport.write(b"x")


@pytest.mark.parametrize(
    "end",
    [
        end_orderly,
        end_by_peer,
        end_by_abort,
        end_by_truncation,
        end_by_bad_record,
        end_by_alert,
        end_by_failed_write,
    ],
)
async def test_a_closed_connection_is_freed_by_reference_counting(end: Any, no_collector: None) -> None:
    transport, handler, peer = await face_server(Handler())
    transport.set_write_buffer_limits(high=100)
    await peer.send(b"data")
    transport.pause_reading()
    await turns()
    transport.resume_reading()
    await turns()
    await end(transport, peer)
    while not hasattr(handler, "error"):
        await asyncio.sleep(0)
    peer.socket.close()
    await turns(10)
    watched = [weakref.ref(handler), weakref.ref(transport), weakref.ref(transport._core._connection)]
    del transport, handler
    assert [reference() for reference in watched] == [None, None, None]


async def test_a_failed_handshake_is_freed_by_reference_counting(no_collector: None) -> None:
    handler = Handler()
    watched = weakref.ref(handler)
    ours, theirs = socket_pair()
    theirs.close()
    with pytest.raises(BrokenPipeError):
        await create_connection(
            lambda kept=handler: kept, sock=ours, ssl=engine.client_config(), server_hostname=engine.HOST
        )
    await turns()
    del handler
    assert watched() is None


async def test_callbacks_run_in_the_context_of_the_connect() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: dict[str, str] = {}

    def look(name: str) -> Callable[..., None]:
        return lambda recorder, *_: seen.__setitem__(name, variable.get())

    names = (
        "connection_made",
        "data_received",
        "pause_writing",
        "resume_writing",
        "eof_received",
        "connection_lost",
    )
    variable.set("of the connect")
    transport, recorder, peer = await face_server(
        Recorder(**{name: look(name) for name in names}), buffer=SMALL_BUFFER
    )
    variable.set("of somebody else")
    transport.pause_reading()
    await peer.send(b"held")
    await turns()
    await peer.send(bytes(limits.PAUSED_READ_LIMIT))
    transport.resume_reading()
    await recorder.got(4 + limits.PAUSED_READ_LIMIT)
    transport.write(BIG)
    # pause_writing is called by write, and so in the writer's context, as asyncio does.
    assert seen.pop("pause_writing") == "of somebody else"
    await peer.read(len(BIG))
    peer.connection.shutdown()
    await peer.flush()
    await recorder.gone()
    assert seen == dict.fromkeys((set(names) - {"pause_writing"}), "of the connect")


async def test_an_idle_endpoint_is_small() -> None:
    def count() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    pairs: list[Joined] = [await join()]
    tracemalloc.start()
    before = count()
    for _ in range(10):
        pairs.append(await join())
    size = (count() - before) / 20
    tracemalloc.stop()
    for pair in pairs:
        await pair.close()
    # The protocols and counting sockets of the test are in it, the memory of the AEAD contexts is not.
    assert size < 12 * 1024

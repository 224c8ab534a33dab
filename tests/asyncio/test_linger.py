"""Lingering close: how long a socket is kept, and what ends it."""

from __future__ import annotations

import asyncio
import socket
import weakref

import pytest

from tests.support.wire import Meter, socket_pair, turns
from tlswrite import limits
from tlswrite.asyncio.buffers import LoopBuffers, loop_buffers
from tlswrite.asyncio.linger import _expire, _Lingering, linger


async def begin(
    *, budget: int = limits.LINGER_BYTES, time: float = limits.LINGER_TIME, unread: bytes = b""
) -> tuple[Meter, Meter]:
    """A lingering socket, and the peer's."""
    ours, theirs = socket_pair()
    theirs.sendall(unread)
    loop = asyncio.get_running_loop()
    ours.shutdown(socket.SHUT_WR)
    linger(loop, ours, loop_buffers(loop), budget, time)
    return ours, theirs


async def closed(sock: Meter) -> None:
    async with asyncio.timeout(10):
        while sock.fileno() != -1:
            await asyncio.sleep(0)


async def test_a08_the_peers_end_ends_it() -> None:
    ours, theirs = await begin(unread=b"unread")
    assert ours.fileno() != -1
    theirs.sendall(b"late")
    await turns()
    assert ours.fileno() != -1
    theirs.close()
    await closed(ours)


async def test_a08_a_peer_that_has_closed_already_is_not_waited_for() -> None:
    ours, theirs = socket_pair()
    theirs.close()
    loop = asyncio.get_running_loop()
    linger(loop, ours, loop_buffers(loop))
    assert ours.fileno() == -1


async def test_a08_it_is_bounded_in_time() -> None:
    ours, theirs = await begin(time=0.01)
    await closed(ours)
    theirs.close()


async def test_a08_it_is_bounded_in_bytes() -> None:
    ours, theirs = await begin(budget=1000, unread=bytes(10))
    assert ours.fileno() != -1
    theirs.sendall(bytes(1000))
    await closed(ours)
    theirs.close()


async def test_a08_more_unread_than_the_budget_is_not_waited_for() -> None:
    ours, theirs = await begin(budget=1000, unread=bytes(1000))
    assert ours.fileno() == -1
    theirs.close()


async def test_a_socket_that_fails_is_closed() -> None:
    class Failing(Meter):
        def recv_into(self, *args: object, **kwargs: object) -> int:
            raise ConnectionResetError

    ours, theirs = socket_pair()
    failing = Failing.of(ours)
    loop = asyncio.get_running_loop()
    linger(loop, failing, loop_buffers(loop))
    assert failing.fileno() == -1
    theirs.close()


def test_a_timer_that_outlives_its_socket_does_nothing() -> None:
    class Gone(_Lingering):
        def __init__(self) -> None:
            pass

        def __del__(self) -> None:
            pass

    reference: weakref.ref[_Lingering] = weakref.ref(Gone())
    _expire(reference)


async def test_buffers_in_use_are_left_alone() -> None:
    """It begins inside a callback that may be working in the loop's buffers."""
    buffers = LoopBuffers()
    buffers.busy = True
    ours, theirs = socket_pair()
    theirs.sendall(b"overwritten")
    linger(asyncio.get_running_loop(), ours, buffers)
    assert bytes(buffers.receive[:11]) == bytes(11)
    theirs.close()
    await closed(ours)


@pytest.mark.filterwarnings("error")
def test_a_closed_loop_closes_the_socket() -> None:
    ours, theirs = socket_pair()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        linger(loop, ours, loop_buffers(loop))

    fd = ours.fileno()
    asyncio.run(main())
    assert ours.fileno() == -1, fd
    theirs.close()

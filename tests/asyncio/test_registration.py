"""Readers that a loop lets go of: what is in front of a reset, and the reset, both arrive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import Any

import pytest

from tests.support import engine
from tests.support.threads import Aside
from tests.support.wire import PATIENCE, Recorder, socket_pair, turns
from tlswrite.asyncio import create_connection
from tlswrite.asyncio.buffers import loop_buffers
from tlswrite.asyncio.linger import linger
from tlswrite.asyncio.registration import registered
from tlswrite.sync import TLSSocket


def reset(sock: socket.socket) -> None:
    """Close it with a reset, which on loopback is at the peer when this returns."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(sock.detach())


async def usable(fd: int) -> None:
    """The loop takes a new socket of this number, which is free."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        numbered: dict[int, tuple[socket.socket, socket.socket]] = {}
        while fd not in numbered:
            one, other = socket.socketpair()
            stack.enter_context(one)
            stack.enter_context(other)
            numbered |= {one.fileno(): (one, other), other.fileno(): (other, one)}
            assert len(numbered) < 40
        one, other = numbered[fd]
        read = loop.create_future()
        loop.add_reader(one, lambda: read.done() or read.set_result(None))
        other.send(b"x")
        async with asyncio.timeout(PATIENCE):
            await read
        loop.remove_reader(one)


@pytest.mark.parametrize("size", [100, 100_000])
async def test_data_and_a_reset_that_come_together(size: int) -> None:
    ours, theirs = socket_pair(tcp=True, buffer=4 << 20)
    fd = ours.fileno()
    theirs.setblocking(True)
    server = TLSSocket(theirs, engine.server_config())
    shaking = Aside(server.do_handshake)
    recorder = Recorder()
    async with asyncio.timeout(PATIENCE):
        await create_connection(
            lambda: recorder, sock=ours, ssl=engine.client_config(), server_hostname=engine.HOST
        )
    shaking.result()
    server.sendall(bytes(size))
    reset(server)
    assert isinstance(await recorder.gone(), ConnectionResetError)
    assert recorder.data == bytes(size)
    await turns()
    await usable(fd)


async def test_a_socket_that_lingers_meets_both() -> None:
    ours, theirs = socket_pair(tcp=True)
    fd = ours.fileno()
    loop = asyncio.get_running_loop()
    ours.shutdown(socket.SHUT_WR)
    linger(loop, ours, loop_buffers(loop))
    theirs.send(b"late")
    reset(theirs)
    async with asyncio.timeout(PATIENCE):
        while ours.fileno() != -1:
            await asyncio.sleep(0)
    await usable(fd)


async def test_asyncios_own_loops_need_no_watch() -> None:
    class Owner:
        def read(self) -> None:
            pass

        def _reader_dropped(self) -> None:
            pass

    owner = Owner()
    loop: Any = asyncio.get_running_loop()
    own = isinstance(loop, asyncio.BaseEventLoop)
    assert (registered(loop, owner.read, owner) is None) is own

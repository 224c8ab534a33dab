from __future__ import annotations

import asyncio
import hashlib
import io
import socket
from collections.abc import Callable

import pytest

from tlswrite.cli.transfer import HEADER, PIECE, READ_AT_ONCE, Factory, Receiver, Sender, transfer


async def serve(factory: Factory, sock: socket.socket) -> asyncio.AbstractServer:
    return await asyncio.get_running_loop().create_server(factory, sock=sock)


async def connect(factory: Factory, address: tuple[str, int]) -> tuple[asyncio.Transport, asyncio.Protocol]:
    return await asyncio.get_running_loop().create_connection(factory, *address)


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * PIECE + 1])
@pytest.mark.parametrize("slow", [False, True])
async def test_both_ends_hash_the_same_file(size: int, slow: bool) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    told: list[int] = []
    done = await transfer(io.BytesIO(content), size, serve, connect, slow=slow, report=told.append)
    assert done.sent_digest == done.received_digest == hashlib.sha256(content).digest()
    assert done.equal
    assert done.size == size
    assert done.rate >= 0
    assert told == sorted(told)
    assert all(0 <= each <= size for each in told)


async def test_the_file_is_sent_from_its_beginning_each_time() -> None:
    file = io.BytesIO(b"once more")
    first = await transfer(file, 9, serve, connect, slow=False)
    second = await transfer(file, 9, serve, connect, slow=False)
    assert first.sent_digest == second.sent_digest == hashlib.sha256(b"once more").digest()


async def test_a_slow_reader_makes_the_sender_wait() -> None:
    size = READ_AT_ONCE + 8 * PIECE
    done = await transfer(io.BytesIO(bytes(size)), size, serve, connect, slow=True)
    assert done.pauses > 1
    assert done.largest_write_buffer > 0
    assert done.equal


async def test_a_file_that_ends_too_early_is_an_error_in_words() -> None:
    with pytest.raises(OSError, match="the file ended 5 bytes short"):
        await transfer(io.BytesIO(b"short"), 10, serve, connect, slow=False)


async def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await transfer(io.BytesIO(b""), 0, serve, connect, slow=False, port=port)


async def test_a_server_that_goes_away_is_an_error() -> None:
    class Quitter(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.close()

    async def quit_at_once(factory: Factory, sock: socket.socket) -> asyncio.AbstractServer:
        return await serve(Quitter, sock)

    with pytest.raises(ConnectionError):
        await transfer(io.BytesIO(b"unheard"), 7, quit_at_once, connect, slow=False)


class Wire(asyncio.Transport):
    """Keeps what is written, and counts pauses."""

    def __init__(self) -> None:
        super().__init__({"socket": socket.socket()})
        self.written = bytearray()
        self.calls: list[str] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
def wire() -> Wire:
    wire = Wire()
    yield wire
    wire.get_extra_info("socket").close()


@pytest.mark.parametrize("cut", range(1, HEADER + 3))
async def test_the_receiver_takes_its_header_in_any_pieces(wire: Wire, cut: int) -> None:
    receiver = Receiver(slow=False)
    receiver.connection_made(wire)
    stream = (2).to_bytes(HEADER) + b"ab"
    receiver.data_received(stream[:cut])
    if stream[cut:]:
        receiver.data_received(stream[cut:])
    assert bytes(wire.written) == hashlib.sha256(b"ab").digest()


async def test_a_slow_reader_rests_after_its_stretch_and_not_once_closed(wire: Wire) -> None:
    receiver = Receiver(slow=True)
    receiver.connection_made(wire)
    receiver.data_received((3 * READ_AT_ONCE).to_bytes(HEADER))
    receiver.data_received(bytes(READ_AT_ONCE - 1))
    assert wire.calls == []
    receiver.data_received(b"\0")
    assert wire.calls == ["pause"]
    receiver._resume()
    assert wire.calls == ["pause", "resume"]
    wire.closing = True
    receiver._resume()
    assert wire.calls == ["pause", "resume"]


async def test_the_sender_stops_while_it_is_paused(wire: Wire) -> None:
    sender = Sender(io.BytesIO(bytes(10)), 10, lambda done: None)
    sender.connection_made(wire)
    sender.pause_writing()
    sender.begin()
    assert len(wire.written) == HEADER
    sender.resume_writing()
    assert len(wire.written) == HEADER + 10


def answered(sender: Sender) -> None:
    sender.data_received(bytes(31))
    assert not sender.answer.done()
    sender.data_received(b"\1")


def lost(sender: Sender) -> None:
    sender.connection_lost(ConnectionResetError("reset"))


@pytest.mark.parametrize("first", [answered, lost])
async def test_the_answer_comes_once(wire: Wire, first: Callable[[Sender], None]) -> None:
    sender = Sender(io.BytesIO(b""), 1, lambda done: None)
    sender.connection_made(wire)
    first(sender)
    if first is lost:
        with pytest.raises(ConnectionResetError):
            await sender.answer
    else:
        assert await sender.answer == bytes(31) + b"\1"
        sender.connection_lost(None)
        await sender.lost
    sender.data_received(bytes(1))
    sender.begin()  # the file is shorter than its size: too late to matter
    assert sender.answer.done()

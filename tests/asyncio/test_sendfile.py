"""loop.sendfile over TLS."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tlswrite
from tests.support.wire import join, turns

DATA = bytes(at * 7 % 251 for at in range(1_000_003))


LOOP_FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "plain": asyncio.SelectorEventLoop,
    "fast": tlswrite.new_event_loop,
    "fast-uvloop": partial(tlswrite.new_event_loop, uvloop=True),
}


@pytest.fixture
def file(tmp_path: Path) -> Any:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as opened:
        yield opened


@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, None), (0, 1000), (123, None), (123, 500_000), (999_999, 100), (2_000_000, None)],
)
async def test_a_file_or_a_part_of_it(file: Any, offset: int, count: int | None) -> None:
    joined = await join()
    loop = asyncio.get_running_loop()
    wanted = DATA[offset:] if count is None else DATA[offset : offset + count]
    assert await loop.sendfile(joined.client.transport, file, offset, count) == len(wanted)
    assert file.tell() == (
        offset + len(wanted) if wanted or type(loop).__name__ == "EventLoop" else file.tell()
    )
    joined.client.transport.write(b"end")
    assert await joined.server.got(len(wanted) + 3) == wanted + b"end"
    await joined.close()


def own_loop() -> bool:
    return type(asyncio.get_running_loop()).__name__ == "EventLoop"


async def test_arguments_that_cannot_work(file: Any, tmp_path: Path) -> None:
    if not own_loop():
        pytest.skip("asyncio's own sendfile checks on its own")
    joined = await join()
    loop: Any = asyncio.get_running_loop()
    transport = joined.client.transport
    with (tmp_path / "file").open() as text, pytest.raises(ValueError, match="binary mode"):
        await loop.sendfile(transport, text)
    for arguments, error in (
        ((-1,), ValueError),
        ((0, 0), ValueError),
        ((0, -5), ValueError),
        ((0.5,), TypeError),
        ((0, "all"), TypeError),
    ):
        with pytest.raises(error, match="integer"):
            await loop.sendfile(transport, file, *arguments)
    with pytest.raises(RuntimeError, match="fallback is disabled"):
        await loop.sendfile(transport, file, fallback=False)
    await joined.close()
    with pytest.raises(RuntimeError, match="is closing"):
        await loop.sendfile(transport, file)


async def test_cancelled_in_the_middle(file: Any) -> None:
    """The stream goes on, and the file's position tells how much of it was sent."""
    if not own_loop():
        pytest.skip("asyncio's own sendfile does not know what was sent")
    joined = await join(tcp=True, buffer=4096)
    joined.server.transport.pause_reading()
    loop = asyncio.get_running_loop()
    sending = asyncio.ensure_future(loop.sendfile(joined.client.transport, file))
    async with asyncio.timeout(10):
        while not joined.client.transport.committed:
            await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    sent = file.tell()
    assert sent == joined.client.transport.committed
    assert 0 < sent < len(DATA)
    joined.client.transport.write(b"end")
    joined.server.transport.resume_reading()
    assert await joined.server.got(sent + 3) == DATA[:sent] + b"end"
    await joined.close()


class Slow(io.BytesIO):
    """A file whose reading takes until it is told to end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.entered, self.released, self.left = (threading.Event() for _ in range(3))

    def read(self, size: int | None = -1, /) -> bytes:
        self.entered.set()
        assert self.released.wait(10)
        data = super().read(size)
        self.left.set()
        return data


async def test_cancelled_while_the_file_is_read() -> None:
    """The thread that reads cannot be stopped, and moves the position when it ends."""
    if not own_loop():
        pytest.skip("asyncio's own sendfile does not know what was sent")
    joined = await join()
    loop = asyncio.get_running_loop()
    file = Slow(DATA)
    sending = asyncio.ensure_future(loop.sendfile(joined.client.transport, file))
    assert await loop.run_in_executor(None, file.entered.wait, 10)
    sending.cancel()
    await turns()
    file.released.set()
    assert await loop.run_in_executor(None, file.left.wait, 10)
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert file.tell() == 0
    joined.client.transport.write(b"end")
    assert await joined.server.got(3) == b"end"
    await joined.close()


async def test_the_connection_is_lost(file: Any) -> None:
    joined = await join(tcp=True, buffer=4096)
    joined.server.transport.pause_reading()
    loop = asyncio.get_running_loop()
    sending = asyncio.ensure_future(loop.sendfile(joined.client.transport, file))
    async with asyncio.timeout(10):
        while not joined.client.transport.committed:
            await asyncio.sleep(0)
    joined.client.transport.abort()
    with pytest.raises(ConnectionError):
        await sending
    await joined.close()


async def test_a_plain_transport_is_the_loops_affair(file: Any) -> None:
    loop = asyncio.get_running_loop()
    if "uvloop" in str(type(loop).__mro__):
        pytest.skip("uvloop has no sendfile")
    received = io.BytesIO()

    class Server(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            received.write(data)

    server = await loop.create_server(Server, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    assert await loop.sendfile(transport, file) == len(DATA)
    transport.close()
    async with asyncio.timeout(10):
        while received.tell() < len(DATA):
            await asyncio.sleep(0)
    assert received.getvalue() == DATA
    server.close()
    await turns()

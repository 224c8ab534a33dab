from __future__ import annotations

import asyncio

import pytest

from benchmarks.slow import Slow, SlowReader, SlowSession, SlowSource
from benchmarks.variants import Identity, Variant
from tests.benchmarks.conftest import carry_out, every_variant


@every_variant
def test_it_runs_on_every_variant_and_verifies(variant: Variant, identity: Identity) -> None:
    carry_out(Slow(size=200_000, readers=3), variant, identity)


class Socket:
    def setsockopt(self, *args: int) -> None:
        self.option = args


class Pipe(asyncio.Transport):
    """Both ends of a connection: what is written waits until the reader may read, and comes in pieces of 4."""

    pieces = 4

    def __init__(self, log: list[object], number: int) -> None:
        super().__init__(extra={"socket": Socket()})
        self.waiting = bytearray()
        self.log = log
        self.number = number
        self.writes = 0
        self.reading = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.waiting += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self.log.append(self.number)
        piece = bytes(self.waiting[: self.pieces])
        del self.waiting[: self.pieces]
        self.reader.data_received(piece)


def pipes(count: int, kind: type[Pipe] = Pipe) -> tuple[list[Pipe], SlowSession, list[object]]:
    log: list[object] = []
    made: asyncio.Queue[SlowSource] = asyncio.Queue()
    all_of_them, pairs = [], []
    for number in range(count):
        pipe = kind(log, number)
        source, pipe.reader = SlowSource(b"message", made), SlowReader()
        source.connection_made(pipe)
        pipe.reader.connection_made(pipe)
        pairs.append((source, pipe.reader))
        all_of_them.append(pipe)
    return all_of_them, SlowSession(pairs, b"message"), log


async def test_one_reader_at_a_time_reads_and_once() -> None:
    all_of_them, session, log = pipes(3)
    await session.run(3)
    assert log == [0, 1, 2, 0, 1, 2]
    assert not any(pipe.reading or pipe.waiting for pipe in all_of_them)


async def test_writes_are_dealt_out_and_nobody_is_left_out_for_good() -> None:
    all_of_them, session, _ = pipes(3)
    for operations in (1, 1, 1, 4, 2):
        await session.run(operations)
    assert [pipe.writes for pipe in all_of_them] == [3, 3, 3]
    await session.verify()


async def test_what_comes_unasked_is_counted() -> None:
    class Eager(Pipe):
        """Hands over the rest after it was told to pause."""

        def _deliver(self) -> None:
            super()._deliver()
            rest, self.waiting = bytes(self.waiting), bytearray()
            self.reader.data_received(rest)

    _, session, log = pipes(2, Eager)
    await session.verify()
    assert log == [0, 1]


async def test_a_delivery_that_is_not_the_message_is_noticed() -> None:
    class Liar(Pipe):
        def write(self, data: bytes) -> None:
            super().write(data[::-1])

    _, session, _ = pipes(1, Liar)
    with pytest.raises(RuntimeError, match="not what was written"):
        await session.verify()

"""Tail latency: how long single round trips take by the wall clock, not on average but at the far end.

Every variant echoes the same message; they take turns in slices, so that what the machine does meanwhile falls on
all of them. Percentiles are of all round trips of a variant in a part of the run, one figure a part.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Callable, Sequence

from benchmarks.report import Result
from benchmarks.schedule import turned
from benchmarks.variants import Bed, Identity, Variant
from benchmarks.workloads import EchoClient, EchoServer

__all__ = ["PERCENTILES", "Timed", "measure_latency", "percentile"]

PERCENTILES = (50.0, 99.0, 99.9)
#: Round trips of a slice; the first few of each are not counted: others ran before it.
SLICE, UNCOUNTED = 500, 10
#: Parts of a run: eight slices of forty are 3920 round trips, four of which lie beyond the last percentile.
PARTS = 5

FAMILY = "latency"


class Timed(EchoClient):
    """An EchoClient that takes the time of each round trip, in seconds."""

    def __init__(self, message: bytes, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(message)
        self.times: list[float] = []
        self._clock = clock
        self._began = 0.0

    def begin(self, rounds: int) -> asyncio.Future[None]:
        self._began = self._clock()
        return super().begin(rounds)

    def data_received(self, data: bytes) -> None:
        if self.missing <= len(data):
            now = self._clock()
            self.times.append(now - self._began)
            self._began = now
        super().data_received(data)


def measure_latency(
    variants: Sequence[Variant],
    identity: Identity,
    slices: int,
    size: int,
    tick: Callable[[], None] = lambda: None,
) -> list[Result]:
    """One result a percentile, in microseconds, of round trips of `size` bytes, a figure a part of the run."""
    parts = min(PARTS, slices)
    times: dict[str, list[list[float]]] = {variant.name: [[] for _ in range(parts)] for variant in variants}
    with contextlib.ExitStack() as stack:
        ends: list[tuple[str, Bed, Timed]] = []
        for variant in variants:
            bed = variant.open(identity)
            stack.callback(bed.close)
            ends.append((variant.name, bed, bed.run(_connect(bed, os.urandom(size)))))
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        for number in range(slices):
            for name, bed, client in turned(ends, number):
                client.times.clear()
                bed.run(_echo(client, SLICE))
                times[name][number * parts // slices] += client.times[UNCOUNTED:]
            tick()
        for _, bed, client in ends:
            client.transport.abort()
            bed.run(_gone(client))
    return [
        Result(
            FAMILY,
            f"p{share:g}",
            {name: [1e6 * percentile(part, share) for part in of] for name, of in times.items()},
        )
        for share in PERCENTILES
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` per cent of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 100))
    return ordered[min(len(ordered), int(rank)) - 1]


async def _connect(bed: Bed, message: bytes) -> Timed:
    await bed.serve(EchoServer)
    _, client = await bed.connect_socket(lambda: Timed(message))
    assert isinstance(client, Timed)
    client.received = bytearray()
    await client.begin(2)
    if client.received != message * 2:
        raise RuntimeError("latency: what came back is not what was written")
    client.received = None
    return client


async def _echo(client: Timed, rounds: int) -> None:
    await client.begin(rounds)


async def _gone(client: Timed) -> None:
    await client.lost

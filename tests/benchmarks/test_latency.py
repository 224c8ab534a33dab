from __future__ import annotations

import asyncio

import pytest

from benchmarks.latency import PARTS, PERCENTILES, SLICE, UNCOUNTED, Timed, measure_latency, percentile
from benchmarks.variants import VARIANTS, Identity


@pytest.mark.parametrize(
    ("share", "value"), [(50.0, 50), (99.0, 99), (99.9, 100), (100.0, 100), (0.1, 1), (1.0, 1)]
)
def test_percentiles_are_of_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value
    assert percentile([7.0], share) == 7.0


async def test_the_time_of_each_round_trip_is_taken() -> None:
    now = [0.0]
    client = Timed(b"message", clock=lambda: now[0])

    class Echo(asyncio.Transport):
        def write(self, data: bytes) -> None:
            def arrive() -> None:
                now[0] += 0.5
                client.data_received(data[:3])
                now[0] += 1.0
                client.data_received(data[3:])

            asyncio.get_running_loop().call_soon(arrive)

    client.connection_made(Echo())
    await client.begin(3)
    assert client.times == [1.5, 1.5, 1.5]


def test_all_percentiles_of_every_variant(identity: Identity) -> None:
    variants = [variant for variant in VARIANTS if variant.missing() is None][:2]
    ticks: list[None] = []
    results = measure_latency(variants, identity, 7, 100, tick=lambda: ticks.append(None))
    assert [result.column for result in results] == [f"p{share:g}" for share in PERCENTILES]
    assert len(ticks) == 7
    assert {len(series) for result in results for series in result.figures.values()} == {PARTS}
    assert SLICE > UNCOUNTED
    for variant in variants:
        series = [result.median(variant.name) for result in results]
        assert 0 < series[0] <= series[1] <= series[2]

from __future__ import annotations

import asyncio

import pytest

from benchmarks.variants import Identity, Variant
from benchmarks.workloads import (
    AEADCost,
    Echo,
    EchoClient,
    EchoSession,
    Handshake,
    OneWay,
    OneWaySession,
    Sink,
    Source,
    Workload,
    size_name,
)
from tests.benchmarks.conftest import carry_out, every_variant

TINY: list[Workload] = [Echo(64), Echo(20000), OneWay(1024), OneWay(300_000), Handshake(0)]


@pytest.mark.parametrize("workload", TINY, ids=lambda workload: workload.name)
@every_variant
def test_every_workload_runs_on_every_variant_and_verifies(
    workload: Workload, variant: Variant, identity: Identity
) -> None:
    carry_out(workload, variant, identity)


class Mangler(asyncio.Transport):
    """Takes every write to `target`, one byte changed."""

    def __init__(self, target: asyncio.Protocol) -> None:
        super().__init__()
        self.target = target

    def write(self, data: bytes) -> None:
        self.target.data_received(bytes([data[0] ^ 1]) + data[1:])


async def test_an_echo_that_is_not_the_message_is_noticed() -> None:
    client = EchoClient(b"message")
    client.connection_made(Mangler(client))
    with pytest.raises(RuntimeError, match="not what was written"):
        await EchoSession(client.transport, client).verify()


async def test_a_delivery_that_is_not_the_message_is_noticed() -> None:
    source, sink = Source(b"message"), Sink()
    source.connection_made(Mangler(sink))
    with pytest.raises(RuntimeError, match="not what was written"):
        await OneWaySession(source.transport, source, sink).verify()


class Counter(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1


async def test_the_source_heeds_flow_control() -> None:
    source, transport = Source(b"message"), Counter()
    source.connection_made(transport)
    source.pause_writing()
    source.begin(5)
    assert transport.writes == 0
    source.resume_writing()
    assert transport.writes == 5


@pytest.mark.parametrize("size", [64, 16384, 40000])
def test_the_aead_alone_seals_and_opens_all_bytes(size: int) -> None:
    cost = AEADCost(size)
    cost.run(1)
    assert b"".join(cost._opened) == b"".join(cost._pieces)
    assert sum(map(len, cost._opened)) == size


def test_names_and_sizes() -> None:
    assert [size_name(size) for size in (64, 1000, 1024, 1 << 20)] == ["64 B", "1000 B", "1 KiB", "1 MiB"]

from __future__ import annotations

import asyncio

import pytest

from benchmarks.interfaces import (
    BufferedClient,
    BufferedEcho,
    BufferedOneWay,
    BufferedSession,
    BufferedSink,
    StreamEcho,
    StreamOneWay,
    StreamOneWaySession,
    StreamSession,
)
from benchmarks.variants import Identity, Variant
from benchmarks.workloads import Counted, OneWaySession, Source, Workload
from tests.benchmarks.conftest import carry_out, every_variant


@pytest.mark.parametrize(
    "workload",
    [
        *(StreamEcho(64), StreamEcho(100_000), BufferedEcho(64), BufferedEcho(300_000)),
        *(StreamOneWay(64), StreamOneWay(300_000), BufferedOneWay(64), BufferedOneWay(300_000)),
    ],
    ids=lambda workload: workload.name,
)
@every_variant
def test_it_runs_on_every_variant_and_verifies(
    workload: Workload, variant: Variant, identity: Identity
) -> None:
    carry_out(workload, variant, identity)


class Mangler(asyncio.Transport):
    """Brings every write back to a BufferedProtocol, one byte changed."""

    def __init__(self, target: BufferedClient | BufferedSink) -> None:
        super().__init__()
        self.target = target

    def write(self, data: bytes) -> None:
        self.target.get_buffer(len(data))[: len(data)] = bytes([data[0] ^ 1]) + data[1:]
        self.target.buffer_updated(len(data))


async def test_a_buffered_echo_that_is_not_the_message_is_noticed() -> None:
    client = BufferedClient(b"message")
    client.connection_made(Mangler(client))
    with pytest.raises(RuntimeError, match="not what was written"):
        await BufferedSession(client.transport, client).verify()


async def test_a_stream_that_is_not_the_message_is_noticed() -> None:
    class Writer:
        transport = None

        def write(self, data: bytes) -> None:
            reader.feed_data(data[::-1])

        async def drain(self) -> None:
            pass

    reader = asyncio.StreamReader()
    session = StreamSession(reader, Writer(), b"message", [])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="not what was written"):
        await session.verify()


async def test_a_buffered_delivery_that_is_not_the_message_is_noticed() -> None:
    source, sink = Source(b"message"), BufferedSink()
    source.connection_made(Mangler(sink))
    with pytest.raises(RuntimeError, match="not what was written"):
        await OneWaySession(source.transport, source, sink).verify()


async def test_every_write_of_a_stream_is_drained_and_its_bytes_are_compared() -> None:
    counted, log = Counted(), []

    class Writer:
        def write(self, data: bytes) -> None:
            log.append("write")
            counted.arrived(data[::-1])

        async def drain(self) -> None:
            log.append("drain")

    session = StreamOneWaySession(Writer(), b"message", counted, [])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="not what was written"):
        await session.verify()
    assert log == ["write", "drain"] * 3

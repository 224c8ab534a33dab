from __future__ import annotations

import asyncio
import resource

import pytest

from benchmarks import many
from benchmarks.many import Many, ManySession
from benchmarks.variants import Identity, Unsupported, Variant
from benchmarks.workloads import EchoClient
from tests.benchmarks.conftest import carry_out, every_variant


@every_variant
def test_it_runs_on_every_variant_and_verifies(variant: Variant, identity: Identity) -> None:
    carry_out(Many(size=100, connections=5), variant, identity)


def test_its_name_tells_the_number() -> None:
    assert Many().name == "many 1000 connections"


class Echo(asyncio.Transport):
    """Brings everything back to its protocol, which it counts."""

    def __init__(self, client: EchoClient) -> None:
        super().__init__()
        self.client = client
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        asyncio.get_running_loop().call_soon(self.client.data_received, data)


async def test_every_connection_has_its_turn() -> None:
    clients = [EchoClient(b"message") for _ in range(3)]
    transports = [Echo(client) for client in clients]
    for client, transport in zip(clients, transports, strict=True):
        client.connection_made(transport)
    session = ManySession(clients)
    await session.verify()
    for operations in (1, 1, 1, 4, 2):
        await session.run(operations)
    assert [transport.writes for transport in transports] == [4, 4, 4]


async def test_an_echo_that_is_not_the_message_is_noticed() -> None:
    class Liar(Echo):
        def write(self, data: bytes) -> None:
            super().write(data[::-1])

    client = EchoClient(b"message")
    client.connection_made(Liar(client))
    with pytest.raises(RuntimeError, match="not what was written"):
        await ManySession([client]).verify()


def test_too_few_descriptors_are_told_before() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("there is no limit here")
    with pytest.raises(Unsupported, match="ulimit -n"):
        many.allow_descriptors(hard)
    many.allow_descriptors(10)

from __future__ import annotations

import asyncio

import pytest

from benchmarks.mixed import Mixed, MixedClient, MixedSession
from benchmarks.variants import Identity, Variant
from tests.benchmarks.conftest import carry_out, every_variant

SIZES = (10, 20_000, 1)


@every_variant
def test_it_runs_on_every_variant_and_verifies(variant: Variant, identity: Identity) -> None:
    carry_out(Mixed(size=sum(SIZES), sizes=SIZES), variant, identity)


def test_the_floor_has_every_message() -> None:
    workload = Mixed()
    assert workload.messages == workload.sizes
    assert workload.name == "mixed 12 sizes"


class Echo(asyncio.Transport):
    def __init__(self, client: MixedClient, change: int = 0) -> None:
        super().__init__()
        self.client = client
        self.change = change
        self.sizes: list[int] = []

    def write(self, data: bytes) -> None:
        self.sizes.append(len(data))
        back = bytes([data[0] ^ self.change]) + data[1:]
        asyncio.get_running_loop().call_soon(self.client.data_received, back)


async def test_an_operation_is_a_pass_over_all_messages_in_their_order() -> None:
    messages = [b"x" * size for size in (3, 1, 2)]
    client = MixedClient(messages)
    transport = Echo(client)
    client.connection_made(transport)
    session = MixedSession(client, messages)
    await session.run(2)
    assert transport.sizes == [3, 1, 2] * 2
    await session.verify()


async def test_an_echo_that_is_not_the_message_is_noticed() -> None:
    messages = [b"ab", b"c"]
    client = MixedClient(messages)
    client.connection_made(Echo(client, change=1))
    with pytest.raises(RuntimeError, match="not what was written"):
        await MixedSession(client, messages).verify()

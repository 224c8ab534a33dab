"""Messages of many sizes over one connection, small ones behind large ones; an operation is a pass over all.

What is tuned for one size, or remembers the last one, shows here.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.variants import Bed
from benchmarks.workloads import KIB, EchoClient, EchoServer, Session, Workload

__all__ = ["Mixed"]

#: Bytes of the messages in their order: a request's, a segment's, a record's and just above, a file's.
SIZES = (64, 16 * KIB, 300, 64 * KIB, KIB, 1460, 256 * KIB, 100, 4 * KIB, 20_000, 5, 100_000)


@dataclass(frozen=True, slots=True)
class Mixed(Workload):
    """An echo of every message of `sizes` in turn."""

    size: int = sum(SIZES)
    sizes: tuple[int, ...] = SIZES

    family = "mixed"
    aead_passes = 2

    @property
    def messages(self) -> tuple[int, ...]:
        return self.sizes

    @property
    def column(self) -> str:
        return f"{len(self.sizes)} sizes"

    async def start(self, bed: Bed) -> MixedSession:
        await bed.serve(EchoServer)
        messages = [os.urandom(size) for size in self.sizes]
        _, client = await bed.connect_socket(lambda: MixedClient(messages))
        assert isinstance(client, MixedClient)
        return MixedSession(client, messages)


class MixedClient(EchoClient):
    def __init__(self, messages: Sequence[bytes]) -> None:
        super().__init__(messages[0])
        self._messages = itertools.cycle(messages)

    def _send(self) -> None:
        self.message = next(self._messages)
        super()._send()


class MixedSession(Session):
    def __init__(self, client: MixedClient, messages: Sequence[bytes]) -> None:
        self._client = client
        self._messages = messages

    async def run(self, operations: int) -> None:
        await self._client.begin(operations * len(self._messages))

    async def verify(self) -> None:
        self._client.received = bytearray()
        await self.run(2)
        if self._client.received != b"".join(self._messages) * 2:
            raise RuntimeError("mixed: what came back is not what was written")
        self._client.received = None

    async def close(self) -> None:
        self._client.transport.abort()
        await self._client.lost

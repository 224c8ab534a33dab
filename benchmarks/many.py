"""Many connections at once: an operation is one round trip on one of them, all of them in flight together.

What a connection's own state costs when a thousand others had their turn in between shows here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import resource
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.variants import Bed, Unsupported
from benchmarks.workloads import KIB, EchoClient, EchoServer, Session, Workload

__all__ = ["Many", "allow_descriptors"]


@dataclass(frozen=True, slots=True)
class Many(Workload):
    """`connections` echo messages of `size` bytes at the same time."""

    size: int = KIB
    connections: int = 1000

    family = "many"
    aead_passes = 2
    shows_defaults: ClassVar[bool] = False

    @property
    def column(self) -> str:
        return f"{self.connections} connections"

    async def start(self, bed: Bed) -> ManySession:
        allow_descriptors(2 * self.connections)
        await bed.serve(EchoServer)
        message = os.urandom(self.size)
        clients = []
        for _ in range(self.connections):
            _, client = await bed.connect(lambda: EchoClient(message))
            assert isinstance(client, EchoClient)
            clients.append(client)
        bed.library.check(clients[0].transport)
        return ManySession(clients)


class ManySession(Session):
    def __init__(self, clients: list[EchoClient]) -> None:
        self._clients = clients
        self._next = 0

    async def run(self, operations: int) -> None:
        """So many round trips, one on each connection in turn; as many at once as there are connections."""
        while operations > 0:
            now = min(operations, len(self._clients))
            operations -= now
            # Whoever was left out last time begins.
            turned = self._clients[self._next :] + self._clients[: self._next]
            self._next = (self._next + now) % len(self._clients)
            await asyncio.gather(*(client.begin(1) for client in turned[:now]))

    async def verify(self) -> None:
        for client in self._clients:
            client.received = bytearray()
        await self.run(len(self._clients))
        for client in self._clients:
            if bytes(client.received or b"") != client.message:
                raise RuntimeError("many: what came back is not what was written")
            client.received = None

    async def close(self) -> None:
        for client in self._clients:
            client.transport.abort()
        await asyncio.gather(*(client.lost for client in self._clients))


#: Descriptors that are open besides those of the connections.
_OTHERS = 100


def allow_descriptors(more: int) -> None:
    """Raise the soft limit as far as it goes; Unsupported where that is not enough for so many more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    probe = os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free
    os.close(probe)
    if hard != resource.RLIM_INFINITY and probe + more + _OTHERS > hard:
        raise Unsupported(
            f"it needs {more} more file descriptors: raise `ulimit -n` above {probe + more + _OTHERS}"
        )

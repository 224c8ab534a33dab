"""How the cost of transports grows: both ends on one asyncio loop, over loopback sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.growth import Law
from benchmarks.many import Many
from benchmarks.variants import VARIANTS, make_identity
from benchmarks.workloads import KIB, OneWay, Workload

__all__ = ["TRANSPORT_LAWS", "TransportWork"]


class TransportWork:
    """`operations` of a workload, each time it is called, on connections that stay open until `close`."""

    def __init__(self, workload: Workload, operations: int) -> None:
        variant = next(each for each in VARIANTS if each.name == "tlswrite/asyncio")
        with tempfile.TemporaryDirectory() as directory:
            self._bed = variant.open(make_identity(Path(directory)))
        self._operations = operations
        self._session = self._bed.run(workload.start(self._bed))
        self._bed.run(self._session.verify())

    def __call__(self) -> None:
        self._bed.run(self._session.run(self._operations))

    def close(self) -> None:
        self._bed.run(self._session.close())
        self._bed.close()


def _law(name: str, sizes: tuple[int, ...], work: Callable[[int], TransportWork]) -> Law:
    return Law(name, sizes, work, lambda work: work.close() if isinstance(work, TransportWork) else None)


TRANSPORT_LAWS = (
    _law(
        "bytes of a transport's write",
        tuple(1 << bits for bits in range(14, 24)),
        lambda size: TransportWork(OneWay(size), 1),
    ),
    _law(
        "writes of 1 KiB on a transport",
        tuple(1 << bits for bits in range(4, 14)),
        lambda count: TransportWork(OneWay(KIB), count),
    ),
    _law(
        "transports of a loop",
        (4, 8, 16, 32, 64, 128, 256),
        lambda count: TransportWork(Many(connections=count), count),
    ),
)

"""Every workload there is, in the order of the tables."""

from __future__ import annotations

from benchmarks.interfaces import BufferedEcho, BufferedOneWay, StreamEcho, StreamOneWay
from benchmarks.many import Many
from benchmarks.mixed import Mixed
from benchmarks.resumption import Resumed
from benchmarks.slow import Slow
from benchmarks.workloads import KIB, Echo, Handshake, OneWay, Workload

__all__ = ["WORKLOADS"]

WORKLOADS: tuple[Workload, ...] = (
    *(Echo(size) for size in (64, KIB, 16 * KIB, 64 * KIB, 256 * KIB)),
    *(StreamEcho(size) for size in (64, KIB, 16 * KIB, 64 * KIB, 256 * KIB)),
    *(BufferedEcho(size) for size in (64, KIB, 16 * KIB, 64 * KIB, 256 * KIB)),
    Mixed(),
    *(OneWay(size) for size in (KIB, 16 * KIB, 64 * KIB, 1024 * KIB)),
    *(StreamOneWay(size) for size in (KIB, 16 * KIB, 64 * KIB, 1024 * KIB)),
    *(BufferedOneWay(size) for size in (KIB, 16 * KIB, 64 * KIB, 1024 * KIB)),
    Slow(),
    Handshake(0),
    Resumed(0),
    Many(),
)

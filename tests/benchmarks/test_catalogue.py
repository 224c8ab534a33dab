from __future__ import annotations

from benchmarks.catalogue import WORKLOADS
from benchmarks.report import TITLES


def test_every_workload_has_a_name_of_its_own_and_its_family_a_title() -> None:
    names = [workload.name for workload in WORKLOADS]
    assert len(set(names)) == len(names)
    assert {
        "echo 64 B",
        "streams 16 KiB",
        "buffered 256 KiB",
        "one-way 1 MiB",
        "handshake",
        "resumed",
    } <= set(names)
    assert {workload.family for workload in WORKLOADS} == TITLES.keys() - {
        "memory",
        "idle",
        "latency",
        "https aiohttp",
        "https uvicorn",
    }

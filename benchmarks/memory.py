"""Resident memory of an idle connection endpoint.

Each variant runs in a process of its own, which opens connections to itself, sends one message each way
over every one of them, lets them fall idle and compares its resident set with the one before: tracemalloc
does not see the memory of C libraries. Both ends are in the process, so the difference is divided by two
for each connection. Unreachable objects are collected and free pages given back first, so that what counts
is what a connection holds.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.many import allow_descriptors
from benchmarks.variants import VARIANTS, Bed, Identity, Variant, make_identity
from benchmarks.workloads import EchoClient, EchoServer

MESSAGE = bytes(range(256)) * 4

#: Connections opened before the first look, so that modules, pools and shared buffers are there.
WARM_UP = 32


def endpoint_memory(variant: Variant, connections: int) -> float:
    """Bytes an endpoint, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", variant.name, "--connections", str(connections)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    return float(json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("variant", choices=[variant.name for variant in VARIANTS])
    parser.add_argument("--connections", type=int, default=400)
    options = parser.parse_args(arguments)
    variant = next(variant for variant in VARIANTS if variant.name == options.variant)
    allow_descriptors(2 * options.connections)
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps(measure_here(variant, make_identity(Path(directory)), options.connections)))


def measure_here(variant: Variant, identity: Identity, connections: int) -> float:
    """Bytes an endpoint, measured in this process."""
    bed = variant.open(identity)
    bed.run(bed.serve(EchoServer))
    held = [bed.run(open_connection(bed)) for _ in range(WARM_UP)]
    before = resident()
    held += [bed.run(open_connection(bed)) for _ in range(connections)]
    after = resident()
    bed.run(_close(held))
    bed.close()
    return (after - before) / (2 * connections)


def resident() -> int:
    """Bytes of this process in memory, after giving back what is free."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others do not
        if trim is not None:
            trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def open_connection(bed: Bed) -> EchoClient:
    """An idle connection, over which a message went there and back."""
    _, client = await bed.connect_socket(lambda: EchoClient(MESSAGE))
    assert isinstance(client, EchoClient)
    await client.begin(1)
    return client


async def _close(clients: list[EchoClient]) -> None:
    for client in clients:
        client.transport.abort()
    await asyncio.gather(*(client.lost for client in clients))


if __name__ == "__main__":
    main()

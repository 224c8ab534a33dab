"""Ten thousand idle connections: resident memory of each of them, at either end.

Server and clients are processes of their own, so that each end has a figure of its own, and that twice as many
descriptors do. Like `memory.py`, which has both ends in one process, it sends one message each way over every
connection, and compares the resident set with the one before.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.child import Child, answer, tell
from benchmarks.many import allow_descriptors
from benchmarks.memory import WARM_UP, open_connection, resident
from benchmarks.report import Result
from benchmarks.variants import VARIANTS, Bed, Unsupported, Variant, identity_in, make_identity
from benchmarks.workloads import KIB, EchoServer

__all__ = ["BATCHES", "idle_memory", "measure_idle"]

FAMILY = "idle"
#: Connections are opened in so many lots.
BATCHES = 10
#: Share of the memory that is there which one variant may take.
MOST = 0.8


def measure_idle(
    variants: Sequence[Variant], connections: int, tick: Callable[[], None] = lambda: None
) -> list[Result]:
    """KiB a connection, at the server's end and at the client's; who has no room here is left out by name."""
    allow_descriptors(connections)
    ends: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for variant in variants:
        try:
            figures = idle_memory(variant, connections, tick)
        except Unsupported as reason:
            print(f"{FAMILY}: {variant.name} is left out: {reason}", file=sys.stderr)
            continue
        for end, figure in zip(ends, figures, strict=True):
            end[variant.name] = [figure / KIB]
    names = (f"server, {connections}", f"client, {connections}")
    return [Result(FAMILY, name, end) for name, end in zip(names, ends, strict=True) if end]


def idle_memory(
    variant: Variant, connections: int, tick: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Bytes a connection, at the server's end and at the client's."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="tlswrite-benchmarks-"))
        make_identity(Path(directory))
        server = stack.enter_context(Child("benchmarks.idle", ["serve", variant.name, directory]))
        client = stack.enter_context(
            Child("benchmarks.idle", ["hold", variant.name, directory, str(server.greeting)])
        )
        before = _look(server, client, WARM_UP)
        room, opened = available(), 0
        after = before
        for batch in range(BATCHES):
            more = connections * (batch + 1) // BATCHES - opened
            after = _look(server, client, more)
            opened += more
            grown = sum(after) - sum(before)
            if opened and grown * connections / opened > MOST * room:
                raise Unsupported(
                    f"{connections} connections would take {grown * connections / opened / KIB**3:.1f} GiB"
                )
            tick()
    return (after[0] - before[0]) / opened, (after[1] - before[1]) / opened


def available() -> int:
    """Bytes of memory that the machine can still give."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * KIB
    raise RuntimeError("/proc/meminfo does not tell what memory is available")


def _look(server: Child, client: Child, more: int) -> tuple[int, int]:
    """Bytes of both processes after `more` connections were opened."""
    held = client.ask(str(more))
    return server.ask("resident"), held


# ---- the processes -----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("role", choices=["serve", "hold"])
    parser.add_argument("variant", choices=[variant.name for variant in VARIANTS])
    parser.add_argument("directory", type=Path, help="of the certificates")
    parser.add_argument("port", type=int, nargs="?", default=0)
    options = parser.parse_args(arguments)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    variant = next(variant for variant in VARIANTS if variant.name == options.variant)
    bed = variant.open(identity_in(options.directory))
    if options.role == "serve":
        bed.run(_serve(bed))
    else:
        bed.address = (bed.address[0], options.port)
        _hold(bed)


async def _serve(bed: Bed) -> None:
    await bed.serve(EchoServer)
    tell(bed.address[1])
    await answer({"resident": resident})


def _hold(bed: Bed) -> None:
    held = []
    tell(resident())
    for line in sys.stdin:
        held += [bed.run(open_connection(bed)) for _ in range(int(line))]
        tell(resident())


if __name__ == "__main__":
    main()

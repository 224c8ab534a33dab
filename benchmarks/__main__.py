"""`python -m benchmarks [--quick] [--json FILE] [--svg DIRECTORY] [names…]`"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.catalogue import WORKLOADS
from benchmarks.growth import LAWS, Growth, measure_growth
from benchmarks.growth import table as growth_table
from benchmarks.https import FRAMEWORKS, measure_https
from benchmarks.latency import measure_latency
from benchmarks.memory import endpoint_memory
from benchmarks.plots import write_plots
from benchmarks.report import FLOOR, Result
from benchmarks.schedule import QUICK, Candidate, Plan, measure
from benchmarks.variants import (
    DEFAULTS_VARIANTS,
    VARIANTS,
    Bed,
    Identity,
    Unsupported,
    Variant,
    make_identity,
)
from benchmarks.workloads import AEADCost, Session, Workload

MICRO, KIB = 1e6, 1024
MEMORY, LATENCY, GROWTH, HTTPS = "memory", "latency", "growth", "https"

#: Slices of round trips a variant, and bytes of each.
LATENCY_SLICES, QUICK_LATENCY_SLICES, LATENCY_SIZE = 40, 2, KIB
GROWTH_REPETITIONS, QUICK_GROWTH_REPETITIONS = 9, 2

#: Turns of each server under load, and seconds of one.
HTTPS_TURNS, QUICK_HTTPS_TURNS, HTTPS_SECONDS = 5, 1, 2

#: Processes a variant and connections in each, for the memory of an idle endpoint.
MEMORY_RUNS, MEMORY_CONNECTIONS = 3, 400
QUICK_MEMORY_RUNS, QUICK_MEMORY_CONNECTIONS = 1, 100


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    workloads = [workload for workload in WORKLOADS if _wanted(workload.name, options.names)]
    memory, latency, growth = (_wanted(name, options.names) for name in (MEMORY, LATENCY, GROWTH))
    https = [each for each in FRAMEWORKS if _wanted(f"{HTTPS} {each}", options.names)]
    if not workloads and not https and not (memory or latency or growth):
        names = [workload.name.replace(" ", "-") for workload in WORKLOADS]
        known = ", ".join([*names, LATENCY, MEMORY, GROWTH, HTTPS])
        print(f"python -m benchmarks: nothing of that name; there are: {known}", file=sys.stderr)
        return 2
    variants, missing = present(VARIANTS)
    for name, module in missing.items():
        print(f"{name} is left out: {module} is not installed", file=sys.stderr)
    plan = QUICK if options.quick else Plan()
    runs, connections = (
        (QUICK_MEMORY_RUNS, QUICK_MEMORY_CONNECTIONS) if options.quick else (MEMORY_RUNS, MEMORY_CONNECTIONS)
    )
    slices = QUICK_LATENCY_SLICES if options.quick else LATENCY_SLICES
    total = len(workloads) * plan.repetitions + memory * runs * len(variants)
    turns = QUICK_HTTPS_TURNS if options.quick else HTTPS_TURNS
    total += len(https) * turns + latency * slices + growth * len(LAWS) * GROWTH_REPETITIONS
    results: list[Result] = []
    growths: list[Growth] = []
    unsupported = False
    with _progress(total) as tick, tempfile.TemporaryDirectory(prefix="tlswrite-benchmarks-") as directory:
        identity = make_identity(Path(directory))
        for workload in workloads:
            results.append(measure_workload(workload, variants, identity, plan, tick))
        if latency:
            results += measure_latency(variants, identity, slices, LATENCY_SIZE, tick)
        for framework in https:
            try:
                results += measure_https(framework, identity, turns, HTTPS_SECONDS, tick)
            except Unsupported as reason:
                print(f"{HTTPS} {framework} is left out: {reason}", file=sys.stderr)
                unsupported = True
        if memory:
            results.append(measure_memory(variants, runs, connections, tick))
        if growth:
            repetitions = QUICK_GROWTH_REPETITIONS if options.quick else GROWTH_REPETITIONS
            growths = measure_growth(LAWS, repetitions=repetitions, tick=tick)
    print("; ".join(f"{name} {value}" for name, value in report.machine().items()))
    if results:
        print(report.LEGEND, report.tables(results), sep="\n\n")
    if growths:
        print(growth_table(growths))
    if options.svg is not None:
        for path in write_plots(options.svg, results, growths):
            print(path, file=sys.stderr)
    if options.json is not None:
        report.write_json(options.json, results, missing)
    # Who asked for it by name is told by the exit status too.
    return 1 if unsupported and options.names else 0


def present(variants: Sequence[Variant]) -> tuple[list[Variant], dict[str, str]]:
    """The variants this machine has, and by name of the others the module that is missing."""
    missing = {variant.name: module for variant in variants if (module := variant.missing()) is not None}
    return [variant for variant in variants if variant.name not in missing], missing


def measure_workload(
    workload: Workload,
    variants: Sequence[Variant],
    identity: Identity,
    plan: Plan,
    tick: Callable[[], None] = lambda: None,
) -> Result:
    """Figures in microseconds of CPU time, the floor's among them."""
    if workload.shows_defaults:
        variants = [*variants, *present(DEFAULTS_VARIANTS)[0]]
    with contextlib.ExitStack() as stack:
        candidates = []
        for variant in variants:
            try:
                run = stack.enter_context(_under_way(workload, variant, identity))
            except Unsupported as reason:
                print(f"{workload.name}: {variant.name} is left out: {reason}", file=sys.stderr)
            else:
                candidates.append(Candidate(variant.name, run))
        if workload.aead_passes:
            candidates.append(Candidate(FLOOR, AEADCost(*workload.messages).run))
        seconds = measure(candidates, plan, progress=tick)
    aead = seconds.pop(FLOOR, None)
    figures = {}
    for name, series in seconds.items():
        figures[name] = [MICRO * second for second in series]
        if aead is not None and name.startswith("TCP/"):
            with_aead = report.floor(series, aead, workload.aead_passes)
            figures[f"{name} + AEAD"] = [MICRO * second for second in with_aead]
    return Result(workload.family, workload.column, figures)


def measure_memory(
    variants: Sequence[Variant], runs: int, connections: int, tick: Callable[[], None] = lambda: None
) -> Result:
    """Figures in KiB an endpoint."""
    figures: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for _ in range(runs):
        for variant in variants:
            figures[variant.name].append(endpoint_memory(variant, connections) / KIB)
            tick()
    return Result(MEMORY, "KiB", figures)


@contextlib.contextmanager
def _under_way(workload: Workload, variant: Variant, identity: Identity) -> Iterator[Callable[[int], None]]:
    """The workload started and verified on its own loop; yields what runs so many operations of it."""
    bed = variant.open(identity, resume=workload.resumes)
    try:
        session = bed.run(workload.start(bed))
        bed.run(session.verify())
        yield lambda operations: _run(bed, session, operations)
        bed.run(session.close())
    finally:
        bed.close()


def _run(bed: Bed, session: Session, operations: int) -> None:
    bed.run(session.run(operations))


def _wanted(name: str, names: Sequence[str]) -> bool:
    key = _key(name)
    return not names or any(key.startswith(_key(asked)) for asked in names)


def _key(name: str) -> str:
    return name.lower().replace(" ", "").replace("-", "").replace("_", "")


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, where rich is installed; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="CPU time and memory of tlswrite and its peers, in one run."
    )
    parser.add_argument(
        "names",
        nargs="*",
        help="what to measure, a family or one of it: echo, streams, buffered, one-way, handshake, resumed, many, "
        "latency, https, memory, growth, echo-64KiB, …; all",
    )
    parser.add_argument("--quick", action="store_true", help="few, short slices: shows that it runs")
    parser.add_argument(
        "--svg", type=Path, metavar="DIRECTORY", help="also draw a plot of each into DIRECTORY"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure to FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())

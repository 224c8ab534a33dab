"""What is measured, by name: every workload of the catalogue, and what is no workload.

A measure knows how many ticks of the progress bar it is, and adds what it found to a `Findings`.
"""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks import report
from benchmarks.catalogue import WORKLOADS
from benchmarks.growth import LAWS, Growth, measure_growth
from benchmarks.growth_of_transports import TRANSPORT_LAWS
from benchmarks.https import FRAMEWORKS, measure_https
from benchmarks.idle import BATCHES, measure_idle
from benchmarks.latency import measure_latency
from benchmarks.memory import endpoint_memory
from benchmarks.report import FLOOR, TITLES, Result
from benchmarks.schedule import QUICK, Candidate, Plan, measure
from benchmarks.variants import DEFAULTS_VARIANTS, Bed, Identity, Unsupported, Variant
from benchmarks.workloads import AEADCost, Session, Workload

__all__ = [
    "FULL",
    "MEASURES",
    "SHORT",
    "Effort",
    "Findings",
    "Measure",
    "Setting",
    "measure_workload",
    "present",
    "wanted",
]

MICRO, KIB = 1e6, 1024

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything."""

    plan: Plan
    #: Slices of round trips a variant for their latency.
    latency_slices: int = 40
    #: Processes a variant and connections in each, for the memory of an idle endpoint.
    memory_runs: int = 3
    memory_connections: int = 400
    idle_connections: int = 10_000
    #: Turns of each server under load, and seconds of one.
    https_turns: int = 5
    https_seconds: int = 2
    growth_repetitions: int = 9


FULL = Effort(Plan())
SHORT = Effort(QUICK, 2, 1, 100, 100, 1, 1, 2)


@dataclass(frozen=True, slots=True)
class Setting:
    """`variants` are those that this machine has."""

    variants: Sequence[Variant]
    identity: Identity
    effort: Effort
    tick: Tick = lambda: None


@dataclass(slots=True)
class Findings:
    """`unsupported` says by name of a measure why there are no figures of it."""

    results: list[Result] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)
    unsupported: dict[str, str] = field(default_factory=dict)


class Measure(ABC):
    """`name` is what one asks for on the command line, `summary` what its table is called."""

    name: str
    summary: str

    @abstractmethod
    def ticks(self, effort: Effort, variants: int) -> int: ...

    @abstractmethod
    def run(self, setting: Setting, findings: Findings) -> None: ...


class OfWorkload(Measure):
    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.name = workload.name.replace(" ", "-")
        self.summary = TITLES[workload.family]

    def ticks(self, effort: Effort, variants: int) -> int:
        return effort.plan.repetitions

    def run(self, setting: Setting, findings: Findings) -> None:
        effort = setting.effort
        findings.results.append(
            measure_workload(self._workload, setting.variants, setting.identity, effort.plan, setting.tick)
        )


class Latency(Measure):
    name = "latency"
    summary = TITLES["latency"]

    def ticks(self, effort: Effort, variants: int) -> int:
        return effort.latency_slices

    def run(self, setting: Setting, findings: Findings) -> None:
        slices = setting.effort.latency_slices
        findings.results += measure_latency(setting.variants, setting.identity, slices, KIB, setting.tick)


class HTTPS(Measure):
    def __init__(self, framework: str) -> None:
        self._framework = framework
        self.name = f"https-{framework}"
        self.summary = TITLES[f"https {framework}"]

    def ticks(self, effort: Effort, variants: int) -> int:
        return effort.https_turns

    def run(self, setting: Setting, findings: Findings) -> None:
        effort = setting.effort
        try:
            findings.results += measure_https(
                self._framework,
                setting.variants,
                setting.identity,
                effort.https_turns,
                effort.https_seconds,
                setting.tick,
            )
        except Unsupported as reason:
            findings.unsupported[self.name] = str(reason)


class Memory(Measure):
    name = "memory"
    summary = TITLES["memory"]

    def ticks(self, effort: Effort, variants: int) -> int:
        return effort.memory_runs * variants

    def run(self, setting: Setting, findings: Findings) -> None:
        """Figures in KiB an endpoint."""
        figures: dict[str, list[float]] = {variant.name: [] for variant in setting.variants}
        for _ in range(setting.effort.memory_runs):
            for variant in setting.variants:
                figures[variant.name].append(
                    endpoint_memory(variant, setting.effort.memory_connections) / KIB
                )
                setting.tick()
        findings.results.append(Result(self.name, "KiB", figures))


class Idle(Measure):
    name = "idle"
    summary = TITLES["idle"]

    def ticks(self, effort: Effort, variants: int) -> int:
        return BATCHES * variants

    def run(self, setting: Setting, findings: Findings) -> None:
        try:
            findings.results += measure_idle(setting.variants, setting.effort.idle_connections, setting.tick)
        except Unsupported as reason:
            findings.unsupported[self.name] = str(reason)


class OfGrowth(Measure):
    name = "growth"
    summary = "How cost grows with bytes, records, connections and the length of a chain"

    def ticks(self, effort: Effort, variants: int) -> int:
        return len((*LAWS, *TRANSPORT_LAWS)) * effort.growth_repetitions

    def run(self, setting: Setting, findings: Findings) -> None:
        findings.growths += measure_growth(
            (*LAWS, *TRANSPORT_LAWS), repetitions=setting.effort.growth_repetitions, tick=setting.tick
        )


#: In the order of the tables.
MEASURES: tuple[Measure, ...] = (
    *(OfWorkload(workload) for workload in WORKLOADS),
    Latency(),
    *(HTTPS(framework) for framework in FRAMEWORKS),
    Memory(),
    Idle(),
    OfGrowth(),
)


def wanted(names: Sequence[str]) -> list[Measure]:
    """Those whose name begins with one of `names`, however it is spaced; all where there are none."""
    keys = [_key(name) for name in names]
    return [each for each in MEASURES if not keys or _key(each.name).startswith(tuple(keys))]


def _key(name: str) -> str:
    return name.lower().replace(" ", "").replace("-", "").replace("_", "")


def present(variants: Sequence[Variant]) -> tuple[list[Variant], dict[str, str]]:
    """The variants this machine has, and by name of the others the module that is missing."""
    missing = {variant.name: module for variant in variants if (module := variant.missing()) is not None}
    return [variant for variant in variants if variant.name not in missing], missing


def measure_workload(
    workload: Workload,
    variants: Sequence[Variant],
    identity: Identity,
    plan: Plan,
    tick: Tick = lambda: None,
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

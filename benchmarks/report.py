"""Tables, ratios, JSON.

A ratio says how many times the CPU time (or memory) of tlswrite on the same event loop a variant takes:
above 1 tlswrite is the cheaper one.
"""

from __future__ import annotations

import json
import os
import platform
import ssl
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from benchmarks.growth import Growth

TITLES = {
    "echo": "Echo, CPU µs a round trip, both ends",
    "streams": "Echo through streams (write, drain, readexactly), CPU µs a round trip, both ends",
    "buffered": "Echo with BufferedProtocol, CPU µs a round trip, both ends",
    "mixed": "Echo of 12 messages of 5 B … 256 KiB in turn, CPU µs a pass over them, both ends",
    "one-way": "One-way, CPU µs a write, both ends",
    "streams-one-way": "One-way through streams (write, drain, read), CPU µs a write, both ends",
    "buffered-one-way": "One-way with BufferedProtocol, CPU µs a write, both ends",
    "slow": "Writes to readers of which one at a time reads, CPU µs a write, both ends",
    "handshake": "Full handshake with connection and its end, CPU µs, both ends",
    "resumed": "Resumed handshake with connection and its end, one ticket each, CPU µs, both ends",
    "many": "Echo of 1 KiB on 1,000 connections at once, CPU µs a round trip, both ends",
    "latency": "Latency of an echo of 1 KiB by the wall clock, µs",
    "https aiohttp": "HTTPS under aiohttp, 1 KiB on 16 kept connections, µs a request (CPU: the server's)",
    "https uvicorn": "HTTPS under uvicorn, 1 KiB on 16 kept connections, µs a request (CPU: the server's)",
    "memory": "Idle connection, KiB an endpoint",
    "idle": "Ten thousand idle connections, a process an end, KiB a connection",
}

LEGEND = """\
(1.50x: takes 1.50 times what tlswrite takes on the same event loop, in this run. Below each table: what tlswrite
takes over what each peer and the floor take, the median of the repetitions' ratios and their quartiles. The floor
is TCP + AEAD, or TCP alone where no bytes count.)"""

#: Name of the floor row that is computed: the loop without TLS and the AEAD alone.
FLOOR = "TCP + AEAD alone"
#: What a row of ratios calls it.
_FLOOR = "floor"


#: Repetitions that have quartiles.
ENOUGH = 4


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one workload: by variant, one figure a repetition, in the unit of its family's table."""

    family: str
    column: str
    figures: Mapping[str, Sequence[float]]

    def median(self, variant: str) -> float:
        return statistics.median(self.figures[variant])

    def ratio(self, variant: str, base: str) -> float:
        """Median over the repetitions of variant / base."""
        return statistics.median(self._ratios(variant, base))

    def quartiles(self, variant: str, base: str) -> tuple[float, float] | None:
        """First and third quartile over the repetitions of variant / base; None where there are too few."""
        ratios = self._ratios(variant, base)
        if len(ratios) < ENOUGH:
            return None
        first, _, third = statistics.quantiles(ratios, n=4)
        return first, third

    def _ratios(self, variant: str, base: str) -> list[float]:
        pairs = zip(self.figures[variant], self.figures[base], strict=True)
        return [figure / of for figure, of in pairs]

    def spread(self) -> float:
        """The widest interquartile range of a variant, as a share of its median."""
        widest = 0.0
        for figures in self.figures.values():
            if len(figures) >= ENOUGH:
                first, middle, third = statistics.quantiles(figures, n=4)
                widest = max(widest, (third - first) / middle)
        return widest


def floor(tcp: Sequence[float], aead: Sequence[float], passes: float) -> list[float]:
    """The floor of a workload: what the loop takes without TLS, and the AEAD for the same bytes."""
    return [without + passes * alone for without, alone in zip(tcp, aead, strict=True)]


def tables(results: Sequence[Result]) -> str:
    """Markdown, one table a family."""
    families = list(dict.fromkeys(result.family for result in results))
    return "\n\n".join(_table(family, [r for r in results if r.family == family]) for family in families)


def machine() -> dict[str, str]:
    """What ran it."""
    versions = {name: _version(name) for name in ("tlswrite", "cryptography", "uvloop", "aiofastnet")}
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "ssl": ssl.OPENSSL_VERSION,
        **{name: version for name, version in versions.items() if version},
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
    }


def as_json(
    command: str,
    results: Iterable[Result],
    growths: Iterable[Growth],
    missing: Mapping[str, str],
    unsupported: Mapping[str, str],
) -> str:
    """Every figure, what made them, and what there are none of and why."""
    document: dict[str, Any] = {
        "command": command,
        "machine": machine(),
        "missing": dict(missing),
        "unsupported": dict(unsupported),
        "results": [
            {"family": r.family, "column": r.column, "figures": {k: list(v) for k, v in r.figures.items()}}
            for r in results
        ],
        "growth": [
            {"name": g.name, "seconds": {str(n): cost for n, cost in g.costs.items()}, "exponent": g.exponent}
            for g in growths
        ],
    }
    return json.dumps(document, indent=1)


def base_of(variant: str) -> str:
    """The variant that another is compared with: tlswrite on the same loop."""
    return f"tlswrite/{'uvloop' if 'uvloop' in variant else 'asyncio'}"


def _table(family: str, results: Sequence[Result]) -> str:
    variants = list(dict.fromkeys(name for result in results for name in result.figures))
    columns = [result.column or "figure" for result in results]
    rows = [["variant", *columns]]
    rows += [[variant, *(_cell(result, variant) for result in results)] for variant in variants]
    lines = [f"### {TITLES.get(family, family)}", "", *_aligned(rows)]
    spread = max(result.spread() for result in results)
    if spread:
        lines += ["", f"Widest interquartile range of a figure: {spread:.0%} of its median."]
    pairs = _pairs(variants)
    if pairs:
        ratios = [[f"{own} : {other}", *(_share(r, own, other) for r in results)] for own, other in pairs]
        lines += ["", *_aligned([["ratio (its quartiles)", *columns], *ratios])]
    return "\n".join(lines)


def _pairs(variants: Sequence[str]) -> list[tuple[str, str]]:
    """tlswrite, with each peer on the same loop and with the floor."""
    pairs = []
    for loop in ("asyncio", "uvloop"):
        own, tcp = f"tlswrite/{loop}", f"TCP/{loop}"
        peers = [name for name in variants if name.endswith(f"/{loop}") and name not in (own, tcp)]
        others = [*peers, *([_FLOOR] if tcp in variants else [])]
        pairs += [(own, other) for other in others if own in variants]
    return pairs


def _share(result: Result, own: str, other: str) -> str:
    if other == _FLOOR:
        tcp = own.replace("tlswrite", "TCP")
        other = f"{tcp} + AEAD" if f"{tcp} + AEAD" in result.figures else tcp
    if own not in result.figures or other not in result.figures:
        return ""
    quartiles = result.quartiles(own, other)
    spread = "" if quartiles is None else f" ({quartiles[0]:.2f}–{quartiles[1]:.2f})"
    return f"{result.ratio(own, other):.2f}{spread}"


def _cell(result: Result, variant: str) -> str:
    if variant not in result.figures:
        return ""
    figure = _figure(result.median(variant))
    base = base_of(variant)
    if variant == base or base not in result.figures:
        return figure
    return f"{figure} ({result.ratio(variant, base):.2f}x)"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; the first row is its head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
    return [_line(rows[0], widths), rule, *(_line(row, widths) for row in rows[1:])]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = cells
    padded = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))]
    return "| " + " | ".join(padded) + " |"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None

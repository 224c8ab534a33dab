"""SVG: one plot a family of workloads, and one of how cost grows. Written plainly, so nothing is needed for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.growth import Growth
from benchmarks.report import TITLES, Result

__all__ = ["bars", "growth_lines", "write_plots"]

_WIDTH, _LABEL, _BAR, _GAP = 760, 190, 16, 4
_OWN, _PEER, _FLOOR = "#1f6f8b", "#b0b7bd", "#dfe4e8"
_COLOURS = ("#1f6f8b", "#c8553d", "#588157", "#7b5ea7")


def write_plots(directory: Path, results: Sequence[Result], growths: Sequence[Growth]) -> list[Path]:
    """Write them into `directory`, which is made; the files."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = {
        family: bars(TITLES.get(family, family), [result for result in results if result.family == family])
        for family in dict.fromkeys(result.family for result in results)
    }
    if growths:
        drawn["growth"] = growth_lines(growths)
    paths = []
    for name, text in drawn.items():
        path = directory / f"{name.replace(' ', '-')}.svg"
        path.write_text(text)
        paths.append(path)
    return paths


def bars(title: str, results: Sequence[Result]) -> str:
    """A group of bars a column, one bar a variant; each group has a scale of its own."""
    parts, y = [_text(12, 24, title, size=15)], 44
    for result in results:
        most = max(result.median(name) for name in result.figures)
        if result.column:
            parts.append(_text(12, y + 14, result.column, size=13))
            y += 22
        for name in result.figures:
            median = result.median(name)
            length = max(1.0, (_WIDTH - _LABEL - 90) * median / most)
            colour = _OWN if name.startswith("tlswrite") else _FLOOR if name.startswith("TCP") else _PEER
            parts.append(_text(_LABEL - 8, y + 12, name, anchor="end"))
            parts.append(f'<rect x="{_LABEL}" y="{y}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>')
            parts.append(_text(_LABEL + length + 6, y + 12, f"{median:.4g}"))
            y += _BAR + _GAP
        y += 14
    return _svg(y, parts)


def growth_lines(growths: Sequence[Growth]) -> str:
    """Cost over size, both in units of the smallest, on logarithmic axes; the dashed line is linear growth."""
    side, left, top = 420, 60, 50
    most = max(max(growth.costs) / min(growth.costs) for growth in growths)
    ratios = [max(growth.costs.values()) / growth.costs[min(growth.costs)] for growth in growths]
    decades = max(math.log10(most), *(math.log10(ratio) for ratio in ratios), 1.0)

    def at(size: float, cost: float) -> tuple[float, float]:
        return left + side * math.log10(size) / decades, top + side * (
            1 - max(0.0, math.log10(cost)) / decades
        )

    x, y = at(most, most)
    parts = [
        _text(12, 24, "Cost over size, each as a multiple of the smallest (logarithmic)", size=15),
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#888"/>',
        f'<line x1="{left}" y1="{top + side}" x2="{x:.1f}" y2="{y:.1f}" stroke="#888" stroke-dasharray="5 4"/>',
    ]
    for number, growth in enumerate(growths):
        colour, first = _COLOURS[number % len(_COLOURS)], min(growth.costs)
        points = [at(size / first, growth.costs[size] / growth.costs[first]) for size in sorted(growth.costs)]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = f"{growth.name}: exponent {growth.exponent:.2f}"
        parts.append(_text(left + side + 16, top + 20 + 20 * number, label, colour=colour))
    return _svg(top + side + 20, parts)


def _text(
    x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", colour: str = "#222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )


def _svg(height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}" font-family="sans-serif">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>\n"])

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.growth import Growth
from benchmarks.plots import bars, growth_lines, write_plots
from benchmarks.report import Result

SVG = "{http://www.w3.org/2000/svg}"
RESULT = Result(
    "echo", "64 B", {"tlswrite/asyncio": [10.0, 10.0], "ssl <&> co": [20.0], "TCP/asyncio": [5.0]}
)
GROWTH = Growth("bytes", {1: 1e-6, 10: 1e-5, 100: 1e-4})


def test_the_length_of_a_bar_is_its_figure() -> None:
    root = ET.fromstring(bars("title", [RESULT]))
    lengths = [float(each.attrib["width"]) for each in root.iter(f"{SVG}rect") if "x" in each.attrib]
    assert lengths[0] * 2 == lengths[1] == lengths[2] * 4
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert words == ["title", "64 B", "tlswrite/asyncio", "10", "ssl <&> co", "20", "TCP/asyncio", "5"]


def test_linear_growth_lies_on_the_dashed_line() -> None:
    root = ET.fromstring(growth_lines([GROWTH]))
    (line,) = root.iter(f"{SVG}line")
    (points,) = (each.attrib["points"] for each in root.iter(f"{SVG}polyline"))
    assert points.split()[0] == f"{float(line.attrib['x1']):.1f},{float(line.attrib['y1']):.1f}"
    assert points.split()[-1] == f"{line.attrib['x2']},{line.attrib['y2']}"
    assert "bytes: exponent 1.00" in [each.text for each in root.iter(f"{SVG}text")]


def test_a_file_a_family(tmp_path: Path) -> None:
    other = Result("memory", "KiB", {"tlswrite/asyncio": [1.0]})
    paths = write_plots(tmp_path / "new", [RESULT, other, RESULT], [GROWTH])
    assert [path.name for path in paths] == ["echo.svg", "memory.svg", "growth.svg"]
    for path in paths:
        assert ET.parse(path).getroot().tag == f"{SVG}svg"
    assert write_plots(tmp_path, [], []) == []

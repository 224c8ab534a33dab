from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.report import Result, base_of, floor, tables, write_json

ECHO = Result(
    "echo",
    "64 B",
    {
        "tlswrite/asyncio": [10.0, 20.0, 10.0],
        "ssl/asyncio": [20.0, 30.0, 30.0],
        "ssl/uvloop": [15.0, 15.0, 15.0],
    },
)


def test_ratios_are_formed_within_a_repetition() -> None:
    assert ECHO.median("ssl/asyncio") == 30.0
    assert ECHO.ratio("ssl/asyncio", "tlswrite/asyncio") == 2.0  # of 2.0, 1.5 and 3.0


@pytest.mark.parametrize(
    "variant, base",
    [
        ("aiofastnet/uvloop", "tlswrite/uvloop"),
        ("TCP/asyncio + AEAD", "tlswrite/asyncio"),
        ("tlswrite/uvloop, defaults", "tlswrite/uvloop"),
    ],
)
def test_a_variant_is_compared_on_its_own_loop(variant: str, base: str) -> None:
    assert base_of(variant) == base


def test_the_floor_is_tcp_and_the_aead_as_often_as_the_bytes_pass() -> None:
    assert floor([10.0, 12.0], [1.0, 2.0], 2) == [12.0, 16.0]


def test_a_table_a_family_with_ratios_where_there_is_a_base() -> None:
    wider = Result("echo", "1 KiB", {"tlswrite/asyncio": [123.4], "ssl/asyncio": [246.8]})
    text = tables([ECHO, wider, Result("memory", "KiB", {"tlswrite/asyncio": [9.0]})])
    assert "### Echo, CPU µs a round trip, both ends" in text
    assert "| tlswrite/asyncio |         10.0 |       123 |".replace(" ", "") in text.replace(" ", "")
    assert "|ssl/asyncio|30.0(2.00x)|247(2.00x)|" in text.replace(" ", "")
    assert "|ssl/uvloop|15.0||" in text.replace(" ", "")  # no tlswrite/uvloop in this run, no second column
    assert text.endswith("| tlswrite/asyncio | 9.0 |")


def test_the_spread_is_the_widest_interquartile_range() -> None:
    steady, loose = [10.0] * 5, [8.0, 9.0, 10.0, 11.0, 12.0]
    assert Result("echo", "64 B", {"a": steady, "b": loose}).spread() == pytest.approx(0.3)
    assert "Widest interquartile range of a figure: 30%" in tables([Result("echo", "64 B", {"b": loose})])


def test_json_holds_every_figure_and_what_was_missing(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    write_json(path, [ECHO], {"aiofastnet/uvloop": "aiofastnet"})
    document = json.loads(path.read_text())
    assert document["results"][0]["figures"]["ssl/asyncio"] == [20.0, 30.0, 30.0]
    assert document["missing"] == {"aiofastnet/uvloop": "aiofastnet"}
    assert document["machine"]["python"].startswith("CPython 3.")

from __future__ import annotations

import json

import pytest

from benchmarks.growth import Growth
from benchmarks.report import Result, as_json, base_of, floor, tables

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


def test_the_share_of_each_peer_and_of_the_floor_stands_below() -> None:
    figures = {
        "tlswrite/asyncio": [10.0, 10.0, 10.0, 10.0],
        "ssl/asyncio": [20.0, 20.0, 25.0, 40.0],
        "TCP/asyncio": [5.0] * 4,
        "TCP/asyncio + AEAD": [8.0] * 4,
        "ssl/uvloop": [1.0] * 4,
    }
    without = {name: figures[name][:1] for name in ("tlswrite/asyncio", "TCP/asyncio")}
    text = tables([Result("echo", "64 B", figures), Result("echo", "1 KiB", without)]).replace(" ", "")
    assert "|tlswrite/asyncio:ssl/asyncio|0.45(0.29–0.50)||" in text
    assert "|tlswrite/asyncio:floor|1.25(1.25–1.25)|2.00|" in text
    assert "tlswrite/uvloop" not in text


def test_json_holds_every_figure_and_what_was_missing() -> None:
    growth = Growth("bytes", {1: 1e-6, 2: 2e-6, 4: 4e-6})
    text = as_json("command", [ECHO], [growth], {"aiofastnet/uvloop": "aiofastnet"}, {"https": "no wrk"})
    document = json.loads(text)
    assert document["command"] == "command"
    assert document["results"][0]["figures"]["ssl/asyncio"] == [20.0, 30.0, 30.0]
    assert document["missing"] == {"aiofastnet/uvloop": "aiofastnet"}
    assert document["unsupported"] == {"https": "no wrk"}
    assert document["growth"][0]["seconds"] == {"1": 1e-6, "2": 2e-6, "4": 4e-6}
    assert document["growth"][0]["exponent"] == pytest.approx(1.0)
    assert document["machine"]["python"].startswith("CPython 3.")

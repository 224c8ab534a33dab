from __future__ import annotations

import sys

import pytest

from benchmarks import idle
from benchmarks.idle import BATCHES, available, idle_memory, measure_idle
from benchmarks.variants import VARIANTS, Unsupported, Variant

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def named(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


def test_each_end_has_a_figure_of_its_own() -> None:
    ticks: list[None] = []
    server, client = idle_memory(named("tlswrite/asyncio"), 105, tick=lambda: ticks.append(None))
    assert 0 < server < 64 * 1024
    assert 0 < client < 64 * 1024
    assert len(ticks) == BATCHES


def test_a_variant_that_there_is_no_room_for_is_left_out_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(idle, "available", lambda: 1)
    with pytest.raises(Unsupported, match="100 connections would take"):
        idle_memory(named("ssl/asyncio"), 100)
    assert measure_idle([named("ssl/asyncio")], 100) == []
    assert "ssl/asyncio is left out" in capsys.readouterr().err


def test_a_column_an_end() -> None:
    results = measure_idle([named("TCP/asyncio")], 100)
    assert [result.column for result in results] == ["server, 100", "client, 100"]
    assert all(0 < result.median("TCP/asyncio") < 64 for result in results)


def test_the_machine_has_memory() -> None:
    assert available() > 1 << 20

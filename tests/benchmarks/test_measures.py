from __future__ import annotations

import shutil

import pytest

from benchmarks import measures
from benchmarks.measures import FULL, HTTPS, MEASURES, SHORT, Findings, Idle, Setting, present, wanted
from benchmarks.variants import Identity, StandardSSL, Unsupported, Variant


def names(*asked: str) -> list[str]:
    return [each.name for each in wanted(asked)]


def test_a_name_asks_for_all_that_begin_with_it() -> None:
    assert names() == [each.name for each in MEASURES]
    assert names("https") == ["https-aiohttp", "https-uvicorn"]
    assert names("echo 64KiB", "Latency") == ["echo-64-KiB", "latency"]
    assert names("streams_one_way_1_KiB") == ["streams-one-way-1-KiB"]
    assert names("throughput") == []


def test_every_measure_has_a_name_of_its_own_and_tells_its_ticks() -> None:
    assert len({each.name for each in MEASURES}) == len(MEASURES)
    for each in MEASURES:
        assert each.summary
        assert 0 < each.ticks(SHORT, 2) <= each.ticks(FULL, 2)


def test_a_missing_peer_is_left_out_by_name() -> None:
    class Absent(StandardSSL):
        module = "a_library_that_nobody_has"

    there = Variant("there", StandardSSL(), "asyncio")
    absent = Variant("absent", Absent(), "asyncio")
    assert present([there, absent]) == ([there], {"absent": "a_library_that_nobody_has"})


def test_what_the_machine_lacks_is_found_by_name(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise Unsupported("too few descriptors")

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(measures, "measure_idle", refuse)
    findings = Findings()
    for each in (HTTPS("aiohttp"), Idle()):
        each.run(Setting([], identity, SHORT), findings)
    assert findings.unsupported == {
        "https-aiohttp": "wrk is not installed (Debian's package wrk)",
        "idle": "too few descriptors",
    }
    assert findings.results == []

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import measures
from benchmarks.__main__ import main
from benchmarks.measures import MEASURES, Findings, Measure, Setting, present
from benchmarks.variants import VARIANTS


def test_a_quick_run_prints_a_row_a_variant_and_writes_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    assert main(["--quick", "echo-64B", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    there, _ = present(VARIANTS)
    for variant in there:
        assert f"| {variant.name} " in printed
    assert "| TCP/asyncio + AEAD " in printed
    assert printed.startswith("python -m benchmarks --quick echo-64B --json ")
    assert "| tlswrite/asyncio : ssl/asyncio" in printed
    (result,) = json.loads(path.read_text())["results"]
    assert (result["family"], result["column"]) == ("echo", "64 B")
    assert set(result["figures"]) >= {variant.name for variant in there}


def test_tlswrite_with_its_defaults_is_shown_beside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--quick", "handshake"]) == 0
    assert "| tlswrite/asyncio, defaults " in capsys.readouterr().out


def test_what_is_no_workload_is_measured_and_drawn_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "growth", "latency", "--svg", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "| certificates of a chain |" in printed.out
    assert "p99.9" in printed.out
    assert {path.name for path in tmp_path.iterdir()} == {"growth.svg", "latency.svg"}
    assert str(tmp_path / "growth.svg") in printed.err


def test_a_name_that_nothing_has_is_answered_with_the_names_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["throughput"]) == 2
    assert "echo-64-B" in capsys.readouterr().err


def test_what_there_is_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [each.name for each in MEASURES]
    assert main(["--list", "one-way"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_what_cannot_be_measured_is_told_by_name_and_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impossible(Measure):
        name = "impossible"
        summary = "What needs a tool that nobody has"

        def ticks(self, effort: object, variants: int) -> int:
            return 1

        def run(self, setting: Setting, findings: Findings) -> None:
            findings.unsupported[self.name] = "no such tool"

    monkeypatch.setattr(measures, "MEASURES", (Impossible(),))
    assert main(["impossible"]) == 1
    assert "impossible is left out: no such tool" in capsys.readouterr().err
    assert main([]) == 0

"""The table of clauses: which test shows what, and when a run fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.clauses import (
    ASYNCIO,
    BLOCKING,
    CLAUSES,
    ELSEWHERE,
    MEMORY,
    Clause,
    Table,
    carrier_of,
    ids_of,
)

ROOT = Path(__file__).resolve().parents[2]


class Phase(NamedTuple):
    node: str
    phase: str = "call"
    outcome: str = "passed"


def table(*phases: Phase, clauses: tuple[Clause, ...]) -> Table:
    made = Table(clauses)
    for phase in phases:
        made.record(*phase)
    return made


def test_all_clauses_are_listed_once() -> None:
    assert [clause.id for clause in CLAUSES] == [
        *(f"W{number:02}" for number in range(1, 23)),
        *(f"A{number:02}" for number in range(1, 13)),
    ]
    assert len({clause.summary for clause in CLAUSES}) == len(CLAUSES)
    assert all(clause.carriers for clause in CLAUSES)


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_w11_partial_write", ("W11",)),
        ("test_w13_w14_blocks", ("W13", "W14")),
        ("test_a01", ("A01",)),
        ("test_w111_x", ()),
        ("test_w1_x", ()),
        ("test_what_is_this", ()),
        ("test_all_of_w11", ()),
        ("w11_test", ()),
    ],
)
def test_ids_are_in_the_name(name: str, ids: tuple[str, ...]) -> None:
    assert ids_of(name) == ids


@pytest.mark.parametrize(
    ("file", "carrier"),
    [
        ("tests/contract/test_memory.py", MEMORY),
        ("tests/contract/test_asyncio.py", ASYNCIO),
        ("tests/contract/test_blocking.py", BLOCKING),
        ("tests/contract/test_other.py", ELSEWHERE),
        ("tests/asyncio/test_transport.py", ASYNCIO),
        ("tests/sync/test_socket.py", BLOCKING),
        ("tests/test_connection.py", MEMORY),
        ("tests/record/test_send.py", ELSEWHERE),
    ],
)
def test_carrier_is_in_the_path(file: str, carrier: str) -> None:
    assert carrier_of(file) == carrier


W11 = Clause("W11", "eleven", (MEMORY,))
TEST = "tests/contract/test_memory.py::test_w11_x"


def test_passing_test_is_enough() -> None:
    made = table(Phase(TEST, "setup"), Phase(TEST), Phase(TEST, "teardown"), clauses=(W11,))
    assert made.faults() == []
    assert "     memory    test_w11_x  1 passed" in made.lines()


def test_parameters_and_classes_are_one_row() -> None:
    node = "tests/contract/test_memory.py::TestAll::test_w11_x"
    made = table(Phase(f"{node}[a::b]"), Phase(f"{node}[c]", outcome="failed"), clauses=(W11,))
    assert made.faults() == []  # the failed one fails the run by itself
    assert "     memory    test_w11_x  1 failed, 1 passed" in made.lines()


@pytest.mark.parametrize(
    "phases",
    [
        [],
        [Phase(TEST, "setup")],
        [Phase(TEST, outcome="failed")],
        [Phase(TEST, outcome="skipped")],
        [Phase(TEST, "setup", "skipped")],
        [Phase(TEST, "setup", "failed")],
        [Phase(TEST), Phase(TEST, "teardown", "failed")],
        [Phase(TEST, outcome="failed"), Phase(TEST, "teardown")],
        [Phase("tests/record/test_send.py::test_w11_x")],
        [Phase("tests/asyncio/test_transport.py::test_w11_x")],
    ],
)
def test_clause_without_a_passing_test_on_its_carrier_is_a_fault(phases: Iterable[Phase]) -> None:
    assert table(*phases, clauses=(W11,)).faults() == ["W11 has no passing test on memory: eleven"]


def test_id_that_is_no_clause_is_a_fault() -> None:
    made = table(Phase(TEST), Phase("tests/contract/test_memory.py::test_w99_x"), clauses=(W11,))
    assert made.faults() == ["W99 is no clause, but test_w99_x bears it"]


# ---- whole runs -----------------------------------------------------------------------------------------


def run(directory: Path, *options: str, without: str = "") -> tuple[int, str]:
    """Run pytest on a directory that has a passing test for each clause, except `without`."""
    for carrier in (MEMORY, ASYNCIO, BLOCKING):
        file = directory / "tests" / "contract" / f"test_{carrier}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            "".join(
                f"def test_{clause.id.lower()}_{carrier}():\n    pass\n"
                for clause in CLAUSES
                if carrier in clause.carriers and clause.id != without
            )
        )
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.clauses", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "--import-mode=importlib", f"--rootdir={directory}", *options, "tests"],
        cwd=directory,
        # What whoever runs this run asks of pytest, coverage for one, is not asked of the run under test.
        env={
            **os.environ,
            "PYTEST_ADDOPTS": "",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_run_with_a_test_for_each_clause_passes_and_prints_the_table(
    tmp_path: Path, workers: list[str]
) -> None:
    status, output = run(tmp_path, "--clauses", *workers)
    assert status == 0, output
    assert re.search(r"^W11  .*\n {5}memory    test_w11_memory +1 passed$", output, re.MULTILINE)
    assert "34 clauses, 0 faults" in output


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_run_without_a_test_for_a_clause_fails(tmp_path: Path, workers: list[str]) -> None:
    status, output = run(tmp_path, "--clauses", *workers, without="A07")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "A07 has no passing test on asyncio: every call is safe inside every callback" in output
    assert "34 clauses, 1 faults" in output


def test_run_of_some_files_is_left_alone(tmp_path: Path) -> None:
    status, output = run(tmp_path, without="A07")
    assert status == 0, output
    assert "clauses" not in output


def test_run_in_which_nothing_is_tested_fails(tmp_path: Path) -> None:
    status, output = run(tmp_path, "--clauses", "-k", "nothing_has_this_name")
    assert status != 0
    assert "W01 has no passing test on memory" in output

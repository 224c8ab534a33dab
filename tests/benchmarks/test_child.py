from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import child
from benchmarks.child import Child

ANSWERING = """
import asyncio, itertools, sys
from benchmarks.child import answer, tell

async def main():
    tell("hello")
    numbers = itertools.count(1)
    await answer({"next": lambda: next(numbers), "sum": lambda: [1.5, 2]})

asyncio.run(main())
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that `python -m` finds; what it says is the test's."""
    monkeypatch.setattr(child, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return tmp_path / "a_child.py"


def test_a_child_greets_answers_and_ends(program: Path) -> None:
    program.write_text(ANSWERING)
    with Child("a_child", []) as one:
        assert one.greeting == "hello"
        assert [one.ask("next"), one.ask("sum"), one.ask("next")] == [1, [1.5, 2], 2]
    assert one._process.returncode == 0


def test_a_child_that_ends_early_is_told(program: Path) -> None:
    program.write_text("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="a_child x: ended with 3"):
        Child("a_child", ["x"])


def test_a_child_that_fails_at_a_question_is_told(program: Path) -> None:
    program.write_text("print(1, flush=True); input(); raise SystemExit(4)")
    with Child("a_child", []) as one, pytest.raises(RuntimeError, match="ended with 4"):
        one.ask("anything")


def test_the_interpreter_is_this_one(program: Path) -> None:
    program.write_text("import json, sys; print(json.dumps(sys.argv[1:] + [sys.executable]))")
    with Child("a_child", ["a", "b"]) as one:
        assert one.greeting == ["a", "b", sys.executable]

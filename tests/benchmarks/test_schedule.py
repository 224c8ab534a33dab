from __future__ import annotations

import pytest

from benchmarks.schedule import Candidate, Plan, measure


class Machine:
    """A clock that only the candidates move: an operation of `name` takes `costs[name]` seconds."""

    def __init__(self, costs: dict[str, float]) -> None:
        self.now = 0.0
        self.costs = costs
        self.order: list[str] = []

    def clock(self) -> float:
        return self.now

    def candidates(self) -> list[Candidate]:
        return [Candidate(name, self._runner(name)) for name in self.costs]

    def _runner(self, name: str):
        def run(operations: int) -> None:
            self.order.append(name)
            self.now += operations * self.costs[name]

        return run


def test_figures_are_seconds_an_operation_one_a_repetition() -> None:
    machine = Machine({"a": 0.001, "b": 0.004})
    figures = measure(machine.candidates(), Plan(3, 2, 0.02), clock=machine.clock)
    assert figures == {"a": pytest.approx([0.001] * 3), "b": pytest.approx([0.004] * 3)}


def test_every_candidate_has_its_turn_at_every_place() -> None:
    machine = Machine({"a": 1.0, "b": 1.0, "c": 1.0})
    measure(machine.candidates(), Plan(3, 1, 1.0), clock=machine.clock)
    assert "".join(machine.order) == "abc" + "abc" + "bca" + "cab"  # one warm-up each, then three rounds


def test_a_slice_is_filled_with_as_many_operations_as_fit() -> None:
    machine = Machine({"quick": 0.001, "slow": 5.0})
    asked: dict[str, int] = {}
    candidates = [
        Candidate(c.name, lambda n, c=c: (asked.update({c.name: n}), c.run(n))[1])
        for c in machine.candidates()
    ]
    measure(candidates, Plan(1, 1, 0.1), clock=machine.clock)
    assert asked == {"quick": 100, "slow": 1}


def test_progress_is_told_once_a_repetition() -> None:
    machine = Machine({"a": 1.0})
    told: list[None] = []
    measure(machine.candidates(), Plan(4, 3, 1.0), clock=machine.clock, progress=lambda: told.append(None))
    assert len(told) == 4

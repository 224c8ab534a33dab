"""How it is measured: variants take turns, in slices so short that what the machine does, it does to all.

A repetition is a number of rounds; in a round every candidate runs one slice, and the order turns by one
from round to round. The figure of a repetition is the CPU time of its slices over their operations. Ratios
are formed within a repetition; medians are taken last.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Clock = Callable[[], float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate:
    """`run(n)` carries out n operations."""

    name: str
    run: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """`slice_time` is in seconds of CPU time; a repetition has `rounds` slices of every candidate."""

    repetitions: int = 11
    rounds: int = 4
    slice_time: float = 0.015


QUICK = Plan(repetitions=3, rounds=1, slice_time=0.004)


def measure(
    candidates: Sequence[Candidate],
    plan: Plan,
    *,
    clock: Clock = time.process_time,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds an operation, one figure a repetition, by candidate."""
    operations = {candidate.name: _calibrate(candidate, plan.slice_time, clock) for candidate in candidates}
    figures: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    gc.collect()
    gc.freeze()  # what was set up does not weigh on the collections of the measured
    try:
        for repetition in range(plan.repetitions):
            spent = dict.fromkeys(figures, 0.0)
            for number in range(plan.rounds):
                for candidate in turned(candidates, repetition * plan.rounds + number):
                    begin = clock()
                    candidate.run(operations[candidate.name])
                    spent[candidate.name] += clock() - begin
            for name, seconds in spent.items():
                figures[name].append(seconds / (plan.rounds * operations[name]))
            progress()
    finally:
        gc.unfreeze()
    return figures


def _calibrate(candidate: Candidate, slice_time: float, clock: Clock) -> int:
    """Operations that fill a slice; also warms the candidate up."""
    operations = 1
    while True:
        begin = clock()
        candidate.run(operations)
        spent = clock() - begin
        if spent >= slice_time / 2:
            return max(1, round(operations * slice_time / spent))
        operations *= 2


def turned(those: Sequence[T], turn: int) -> list[T]:
    """In the order of this turn: everybody has every place once."""
    at = turn % len(those)
    return [*those[at:], *those[:at]]

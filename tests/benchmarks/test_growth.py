from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.growth import LAWS, Growth, Law, measure_growth, table

SIZES = tuple(1 << bits for bits in range(10))


class Clock:
    """Time that passes by what is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def law(self, cost: Callable[[int], float]) -> Law:
        def prepare(size: int) -> Callable[[], None]:
            def work() -> None:
                self.now += cost(size)

            return work

        return Law("made up", SIZES, prepare)


@pytest.mark.parametrize(
    ("cost", "exponent", "linear"),
    [
        (lambda n: 3.0 * n, 1.0, True),
        (lambda n: 100.0 + n, 0.8, True),
        (lambda n: float(n * n), 2.0, False),
        (lambda n: 5.0, 0.0, True),
        # Quadratic behind a fixed cost: it shows at the top.
        (lambda n: 500.0 + n * n / 10, 1.9, False),
    ],
)
def test_the_exponent_tells_the_law(cost: Callable[[int], float], exponent: float, linear: bool) -> None:
    clock = Clock()
    (found,) = measure_growth([clock.law(cost)], repetitions=2, clock=clock)
    assert found.exponent == pytest.approx(exponent, abs=0.1)
    assert found.linear is linear


def test_the_least_cost_counts_and_every_repetition_is_told() -> None:
    clock = Clock()
    slow = iter([10.0] * len(SIZES) + [0.0] * len(SIZES))
    ticks: list[None] = []
    (found,) = measure_growth(
        [clock.law(lambda n: n + next(slow))], repetitions=2, clock=clock, tick=lambda: ticks.append(None)
    )
    assert found.costs == {size: float(size) for size in SIZES}
    assert len(ticks) == 2


def test_the_table_says_what_is_worse() -> None:
    text = table([Growth("good", {1: 1e-6, 2: 2e-6, 4: 4e-6}), Growth("bad", {1: 1e-6, 2: 4e-6, 4: 16e-6})])
    assert "| good | 1: 1 µs … 4: 4 µs | 1.00 | at most linear |" in text
    assert "| bad | 1: 1 µs … 4: 16 µs | 2.00 | WORSE THAN LINEAR |" in text


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_every_law_does_its_work(law: Law) -> None:
    for size in law.sizes[:2]:
        work = law.prepare(size)
        work()
        work()

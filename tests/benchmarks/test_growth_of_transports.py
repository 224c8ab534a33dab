from __future__ import annotations

import pytest

from benchmarks.growth import Law, measure_growth
from benchmarks.growth_of_transports import TRANSPORT_LAWS, TransportWork
from benchmarks.workloads import KIB, OneWay


@pytest.mark.parametrize("law", TRANSPORT_LAWS, ids=lambda law: law.name)
def test_every_law_does_its_work_and_parts_with_it(law: Law) -> None:
    (found,) = measure_growth([Law(law.name, law.sizes[:3], law.prepare, law.end)], repetitions=1)
    assert list(found.costs) == list(law.sizes[:3])
    assert all(cost > 0 for cost in found.costs.values())


def test_a_closed_work_has_no_loop_left() -> None:
    work = TransportWork(OneWay(KIB), 3)
    work()
    work.close()
    assert work._bed.loop.is_closed()

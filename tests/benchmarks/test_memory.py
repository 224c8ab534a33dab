from __future__ import annotations

import json
import sys

import pytest

from benchmarks.memory import endpoint_memory, main, resident
from benchmarks.variants import VARIANTS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_plain_endpoint_is_small_and_measured_in_a_process_of_its_own() -> None:
    plain = next(variant for variant in VARIANTS if variant.name == "TCP/asyncio")
    assert 0 < endpoint_memory(plain, 100) < 16 * 1024


def test_the_figure_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ssl/asyncio", "--connections", "5"])
    assert isinstance(json.loads(capsys.readouterr().out), float)


def test_resident_memory_grows_with_what_is_held() -> None:
    before = resident()
    held = b"\1" * (32 << 20)
    assert resident() - before >= len(held) // 2

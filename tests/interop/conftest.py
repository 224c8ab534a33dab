"""Parameters for the interop suite, and a table of what was run."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

from tests.interop.suite import InteropSuite, parametrize_for_peer
from tests.interop.suite12 import InteropSuite12, parametrize_for_peer12


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls is None:
        return
    if issubclass(metafunc.cls, InteropSuite):
        parametrize_for_peer(metafunc)
    elif issubclass(metafunc.cls, InteropSuite12):
        parametrize_for_peer12(metafunc)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line a peer: its version, and how many tests ran in each role."""
    peers: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for key, value in getattr(report, "user_properties", []):
                if key == "interop":
                    peers[tuple(value)][outcome] += 1
    if not peers:
        return
    terminalreporter.section("peers")
    for (name, version), counts in sorted(peers.items()):
        numbers = ", ".join(f"{counts[o]} {o}" for o in ("passed", "failed", "skipped") if counts[o])
        terminalreporter.write_line(f"{name:<14} {version:<44} {numbers}")

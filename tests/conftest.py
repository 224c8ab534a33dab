"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest_plugins = ["tests.support.clauses"]

# How long one example takes depends on what else the machine does.
settings.register_profile("tlswrite", deadline=None)
settings.load_profile("tlswrite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave long runs out, unless markers are asked for by name (`-m long`)."""
    if config.option.markexpr:
        return
    chosen = [item for item in items if item.get_closest_marker("long") is None]
    if len(chosen) < len(items):
        config.hook.pytest_deselected(
            items=[item for item in items if item.get_closest_marker("long") is not None]
        )
        items[:] = chosen

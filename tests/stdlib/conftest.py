"""Fixtures: the classes side by side, and files with a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import contexts, pki


@pytest.fixture(params=contexts.CLASSES, ids=["ssl", "tlswrite"])
def cls(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def files(tmp_path: Path) -> pki.Files:
    return pki.write(tmp_path, pki.issue())

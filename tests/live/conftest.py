"""Live applications: every asynchronous test runs on each of the roads (`roads.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tlswrite
from tests.live import roads


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return dict(roads.LOOPS)


@pytest.fixture
def server_context(tmp_path: Path) -> tlswrite.SSLContext:
    return roads.server_context(tmp_path)


@pytest.fixture
def client_context() -> tlswrite.SSLContext:
    return roads.client_context()


@pytest.fixture
def installed() -> Iterator[None]:
    """This package under everything that is made in a test."""
    tlswrite.install()
    try:
        yield
    finally:
        tlswrite.uninstall()

"""Every test here runs on asyncio's selector loop and, where it is installed, on uvloop.

A file that has `LOOP_FACTORIES` of its own runs on those.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import pki
from tests.support.wire import Complaints, Peer
from tlswrite.asyncio import write_side

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_asyncio_loop_factories(item: Any) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    own: dict[str, Callable[[], asyncio.AbstractEventLoop]] | None
    own = getattr(item.getparent(pytest.Module).obj, "LOOP_FACTORIES", None)
    if own is not None:
        return own
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(autouse=True)
async def complaints() -> Iterator[Complaints]:
    """What reached the loop's exception handler; a test that expects something takes it out of the list."""
    found = Complaints()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: found.append(context))
    yield found
    Peer.close_all()
    # Callbacks that are still scheduled belong to this test.
    await asyncio.sleep(0)
    assert not found, f"the loop's exception handler was called: {found}"


@pytest.fixture
def files(tmp_path: Path) -> pki.Files:
    """A server's certificate and key, and the authority's."""
    return pki.write(tmp_path, pki.issue())


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The garbage collector is off: what is freed is freed by reference counting alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, the second write is soon after the first, and an answer soon after the question."""
    monkeypatch.setattr(write_side, "GATHER_TIME", 3600.0)
    monkeypatch.setattr(write_side, "ANSWER_TIME", 3600.0)

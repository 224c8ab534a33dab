"""What is left when a program is over: objects of this package, and descriptors."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlswrite.asyncio import Transport
from tlswrite.asyncio.core import Core
from tlswrite.connection import TLSConnection

try:
    import uvloop
except ImportError:
    pass
else:
    # libuv opens a pipe with the first loop of a process, and keeps it.
    uvloop.new_event_loop().close()

_DESCRIPTORS = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not _DESCRIPTORS.exists(), reason="descriptors are counted in /proc")


def alive() -> int:
    """Transports, with what is behind their face, and connections that exist."""
    return sum(isinstance(each, Transport | Core | TLSConnection) for each in gc.get_objects())


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(os.listdir(_DESCRIPTORS))


def resource_warnings(program: Callable[[], Any]) -> list[str]:
    """The first two words of each ResourceWarning while `program` runs, and when its garbage is collected."""
    with warnings.catch_warnings():
        # What earlier programs left is not this one's.
        warnings.simplefilter("ignore")
        gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program()
        gc.collect()
    said = [str(each.message) for each in caught if issubclass(each.category, ResourceWarning)]
    return sorted(" ".join(text.split()[:2]) for text in said)

"""Which build is tested: pure Python, or the engine as mypyc compiled it."""

from __future__ import annotations

from typing import Final

import pytest

from tlswrite import negotiate

__all__ = ["COMPILED", "interpreted"]

COMPILED: Final = not negotiate.__file__.endswith(".py")

#: For a test that makes the engine misbehave by giving one of its names another meaning.
interpreted = pytest.mark.skipif(
    COMPILED,
    reason="it replaces a name of the engine, which compiled code does not look up: for the pure build",
)

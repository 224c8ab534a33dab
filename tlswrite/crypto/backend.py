"""What the library under `cryptography` can do: builds against a distribution's own OpenSSL lack things."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm

__all__ = ["available"]


def available(probe: Callable[[], object]) -> bool:
    """Whether what `probe` uses is there; `probe` makes or loads one key of the algorithm."""
    try:
        probe()
    except UnsupportedAlgorithm:
        return False
    return True

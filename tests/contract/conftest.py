"""The fixtures of the blocking carrier."""

from tests.support.blocking import joined

__all__ = ["joined"]

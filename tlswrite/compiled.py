"""What mypyc reads where the wheel is compiled; without it, these are names that do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

__all__ = ["mypyc_attr"]

_T = TypeVar("_T")

if TYPE_CHECKING:
    # mypyc knows the decorator by this name, and never runs it.
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_: bool) -> Callable[[_T], _T]:
        """`allow_interpreted_subclasses=True`: classes that are not compiled may inherit from this one."""
        return lambda decorated: decorated

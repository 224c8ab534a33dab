"""What mypyc reads: names that do nothing."""

from __future__ import annotations

from tlswrite.compiled import mypyc_attr


def test_the_decorator_leaves_a_class_as_it_is() -> None:
    class Plain:
        pass

    assert mypyc_attr(allow_interpreted_subclasses=True)(Plain) is Plain

"""Send windows: where large writes are staged and sealed in place, and the pool they come from.

A connection owns a window only while sealed bytes wait in it, so the process has about as many as there are
connections blocked in a write. A window brings the views of its whole records along, so that they are not
sliced anew for each record; so does a buffer to receive into, whose records begin where it begins.
"""

from __future__ import annotations

from typing import Final

from tlswrite import limits

__all__ = ["Slot", "Window", "acquire", "release", "whole_records"]

_WHOLE: Final = limits.MAX_PLAINTEXT + limits.RECORD_OVERHEAD

#: Views of one whole record: its header, content, inner plaintext (content and type), and fragment.
Slot = tuple[memoryview, memoryview, memoryview, memoryview]


class Window:
    """`limits.SEND_WINDOW` bytes, with the views of the whole records that fit from its beginning on."""

    __slots__ = ("slots", "view")

    def __init__(self) -> None:
        self.view: Final = memoryview(bytearray(limits.SEND_WINDOW))
        records = whole_records(self.view, limits.WINDOW_RECORDS)
        #: By the offset of a record: it and those behind it.
        self.slots: Final = {number * _WHOLE: records[number:] for number in range(len(records))}


def whole_records(view: memoryview, count: int) -> tuple[Slot, ...]:
    """The views of `count` records with `limits.MAX_PLAINTEXT` bytes of content, back to back."""
    return tuple(_slot(view, at) for at in range(0, count * _WHOLE, _WHOLE))


def _slot(view: memoryview, at: int) -> Slot:
    body = at + limits.RECORD_HEADER
    end = body + limits.MAX_PLAINTEXT
    return view[at:body], view[body:end], view[body : end + 1], view[body : at + _WHOLE]


#: Windows without a connection. list.append and list.pop are atomic, so threads may share it.
_spare: list[Window] = []


def acquire() -> Window:
    """A window that no connection uses."""
    try:
        return _spare.pop()
    except IndexError:
        return Window()


def release(window: Window) -> None:
    """Give a window back; beyond `limits.SPARE_WINDOWS` its memory is freed."""
    if len(_spare) < limits.SPARE_WINDOWS:
        _spare.append(window)

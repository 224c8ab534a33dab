"""A bar on a terminal: rich's where it is installed, a percentage elsewhere; nothing without a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

__all__ = ["progress"]

#: Told how much is done so far, in the unit of the total.
Report = Callable[[int], None]


@contextlib.contextmanager
def progress(label: str, total: int, stream: TextIO | None = None) -> Iterator[Report]:
    """`total` is in bytes. The bar is gone when the block ends."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        yield lambda done: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    except ImportError:
        with _percentage(label, total, stream) as report:
            yield report
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(True), TransferSpeedColumn()
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def _percentage(label: str, total: int, stream: TextIO) -> Iterator[Report]:
    shown = -1

    def report(done: int) -> None:
        nonlocal shown
        percent = 100 * done // total if total else 100
        if percent != shown:
            shown = percent
            stream.write(f"\r{label} {percent:3} %")
            stream.flush()

    report(0)
    try:
        yield report
    finally:
        stream.write("\r" + " " * (len(label) + 6) + "\r")
        stream.flush()

from __future__ import annotations

import io
import sys

import pytest

from tlswrite.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_nothing_is_written() -> None:
    stream = io.StringIO()
    with progress("sending", 100, stream) as report:
        report(50)
    assert stream.getvalue() == ""


def test_a_bar_on_a_terminal_is_gone_at_the_end() -> None:
    pytest.importorskip("rich")
    stream = Terminal()
    with progress("sending", 1000, stream) as report:
        report(500)
    assert "sending" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith(("\x1b[2K", "\x1b[?25h")) or "\x1b[2K" in stream.getvalue()


def test_without_rich_a_percentage_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)  # as where it is not installed
    stream = Terminal()
    with progress("sending", 1000, stream) as report:
        for done in (0, 1, 500, 501, 1000):
            report(done)
    assert [line for line in stream.getvalue().split("\r") if line.strip()] == [
        "sending   0 %",
        "sending  50 %",
        "sending 100 %",
    ]
    assert stream.getvalue().endswith("\r")


def test_a_percentage_of_nothing_is_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()
    with progress("sending", 0, stream):
        pass
    assert "100 %" in stream.getvalue()

"""A process of its own that is asked for figures: one line to its standard input, one line of JSON back.

What a process holds, and the CPU time that it took, are its own where both ends of a connection must not share one.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Child", "answer", "tell"]

ROOT = Path(__file__).parent.parent


class Child:
    """`python -m module arguments…`; `greeting` is what it tells first. Ends with the end of the `with`."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        try:
            self.greeting = self._hear()
        except BaseException:
            self._end()
            raise

    def ask(self, question: str) -> Any:
        assert self._process.stdin is not None
        print(question, file=self._process.stdin, flush=True)
        return self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command[1:])}: ended with {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        """With the end of its standard input, and by force if it does not heed it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def tell(figure: object) -> None:
    """In the child: an answer, or the greeting."""
    print(json.dumps(figure), flush=True)


async def answer(questions: Mapping[str, Callable[[], object]]) -> None:
    """In the child: answer on the running loop, besides whatever else runs there, until nobody can ask any more."""
    loop, source = asyncio.get_running_loop(), sys.stdin.fileno()
    ended = loop.create_future()
    asked = bytearray()

    def readable() -> None:
        got = os.read(source, 1024)
        if not got and not ended.done():
            ended.set_result(None)
        asked.extend(got)
        while b"\n" in asked:
            line, _, rest = bytes(asked).partition(b"\n")
            asked[:] = rest
            tell(questions[line.decode()]())

    loop.add_reader(source, readable)
    try:
        await ended
    finally:
        loop.remove_reader(source)

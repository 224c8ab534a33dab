"""A peer that is another program: started, fed, read and ended by its id; no wait without a limit."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

LIMIT = 90.0


class Child:
    """A program; two threads keep what it prints, so that it never blocks on us.

    Its standard input is a socket, not a pipe: at the end of a socket `poll` says "readable", which is all
    that some programs look for.
    """

    def __init__(
        self, arguments: Sequence[str | Path], *, cwd: Path, env: dict[str, str] | None = None
    ) -> None:
        self.arguments = [str(argument) for argument in arguments]
        self._stdin, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                self.arguments,
                cwd=cwd,
                env=env,
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._news = threading.Condition()
        self._threads = [
            self._start(self._collect, self.process.stdout, self.stdout),
            self._start(self._collect, self.process.stderr, self.stderr),
        ]

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def wait_for(self, pattern: bytes, timeout: float = LIMIT) -> re.Match[bytes]:
        """The first match in what was printed on either pipe."""
        return self._wait(lambda: self._search(pattern), f"no {pattern!r}", timeout)

    def wait_for_output(self, size: int, timeout: float = LIMIT) -> bytes:
        """So many bytes on the standard output."""
        self._wait(lambda: len(self.stdout) >= size, f"not {size} bytes of output", timeout)
        return bytes(self.stdout)

    def write(self, data: bytes) -> None:
        """Give it input; a program that ended already gets none."""
        with contextlib.suppress(OSError):
            self._stdin.sendall(data)

    def feed(self, data: bytes) -> None:
        """Give it input from a thread: the program may want to be read at the same time."""
        self._threads.append(self._start(self.write, data))

    def close_stdin(self) -> None:
        self._stdin.close()

    def exit_status(self, timeout: float = LIMIT) -> int:
        """Wait for the program's own end; everything it printed is here afterwards."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._words(f"still running after {timeout} s")) from None
        for thread in self._threads[:2]:
            thread.join(timeout)
        return status

    def end(self) -> None:
        """End the program, if it has not ended by itself, and let go of its pipes."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(LIMIT)
        for thread in self._threads:
            thread.join(LIMIT)
        self.close_stdin()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    # ---- helpers -----------------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread

    def _collect(self, pipe: BufferedReader, into: bytearray) -> None:
        while piece := pipe.read1(65536):
            with self._news:
                into += piece
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _search(self, pattern: bytes) -> re.Match[bytes] | None:
        return re.search(pattern, bytes(self.stdout)) or re.search(pattern, bytes(self.stderr))

    def _wait(self, condition: Callable[[], Any], what: str, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        with self._news:
            while not (found := condition()):
                left = deadline - time.monotonic()
                ended = self.process.poll() is not None and not any(t.is_alive() for t in self._threads[:2])
                if left <= 0 or ended:
                    raise AssertionError(self._words(what))
                self._news.wait(min(left, 0.5))
        return found

    def _words(self, what: str) -> str:
        tail = bytes(self.stderr[-2000:]).decode(errors="replace")
        head = bytes(self.stdout[:2000]).decode(errors="replace")
        return f"{self.arguments[0]}: {what}\n--- stdout\n{head}\n--- stderr\n{tail}"

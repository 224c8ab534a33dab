"""The other side of a blocking socket: a thread whose result, or exception, comes out of `result`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 30.0


class Aside:
    """Runs a function on a thread of its own."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._outcome: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, *arguments), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            self._outcome = function(*arguments)
        except BaseException as error:  # comes out of result()
            self._error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(PATIENCE)
        assert not self.running, "the thread did not end"
        if self._error is not None:
            raise self._error
        return self._outcome


def until(condition: Callable[[], bool]) -> None:
    """Return once another thread has made `condition` true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the other thread did not come so far"
        time.sleep(0.0005)


def receive(sock: Any, size: int, piece: int = 65536) -> bytes:
    """Exactly `size` bytes from a socket; fewer at its end."""
    data = bytearray()
    while len(data) < size:
        part = sock.recv(min(piece, size - len(data)))
        if not part:
            break
        data += part
    return bytes(data)

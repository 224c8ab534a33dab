"""The peer's half of a conversation for TLS libraries of Python: a blocking stream on a thread of its own."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.interop.base import DATA, HOST, LIMIT, Session

PIECE = 65536


class Stream:
    """A library's TLS over a blocking socket, seen through the few calls that `converse` needs."""

    def handshake(self) -> None:
        raise NotImplementedError

    def read(self) -> bytes:
        """Some bytes; empty at close_notify. A bare end of the connection raises."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def send_close_notify(self) -> None:
        raise NotImplementedError

    def update_keys(self) -> None:
        """Send a KeyUpdate that asks for one in return."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """`alpn`, `cipher`, `client`, as far as the library tells."""
        return {}


def converse(stream: Stream, flow: str) -> dict[str, Any]:
    """Play one of the flows of `base`, or `update`: `echo`, a KeyUpdate before each piece. What was seen."""
    stream.handshake()
    if flow == "first":
        stream.write(DATA)
        stream.send_close_notify()
    received = bytearray()
    close_notify = False
    while not close_notify:
        if flow == "close" and len(received) == len(DATA):
            stream.send_close_notify()
        piece = stream.read()
        received += piece
        close_notify = not piece
        if flow == "update" and piece:
            stream.update_keys()
        if flow in ("echo", "close", "update") and piece:
            stream.write(piece)
    if flow == "collect":
        stream.write(bytes(received))
    if flow in ("echo", "collect", "update"):
        stream.send_close_notify()
    return {
        "close_notify": True,
        "sha256": hashlib.sha256(received).hexdigest(),
        **stream.facts(),
    }


class ThreadSession(Session):
    """Runs a function on a thread; its result, or its exception, comes out of `wait`."""

    def __init__(self, function: Callable[[], dict[str, Any]]) -> None:
        self._function = function
        self._outcome: dict[str, Any] | BaseException = TimeoutError("the peer's thread did not end")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> dict[str, Any]:
        self._thread.join(LIMIT)
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """No thread outlives its test: our socket is closed by then, or its own time limit ends it."""
        try:
            yield
        finally:
            self._thread.join(2 * LIMIT)

    def _run(self) -> None:
        try:
            self._outcome = self._function()
        except BaseException as error:  # comes out of wait()
            self._outcome = error


@contextlib.contextmanager
def serve_on_thread(make: Callable[[socket.socket], Stream], flow: str) -> Iterator[ThreadSession]:
    """A server for one connection."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(LIMIT)

        def serve() -> dict[str, Any]:
            sock, _ = listener.accept()
            return _converse_on(sock, make, flow)

        session = ThreadSession(serve)
        session.port = listener.getsockname()[1]
        with session.ended():
            yield session


@contextlib.contextmanager
def connect_on_thread(
    make: Callable[[socket.socket], Stream], flow: str, port: int
) -> Iterator[ThreadSession]:
    def connect() -> dict[str, Any]:
        return _converse_on(socket.create_connection((HOST, port), LIMIT), make, flow)

    session = ThreadSession(connect)
    with session.ended():
        yield session


def _converse_on(sock: socket.socket, make: Callable[[socket.socket], Stream], flow: str) -> dict[str, Any]:
    with sock:
        sock.settimeout(LIMIT)
        return converse(make(sock), flow)

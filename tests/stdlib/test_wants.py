"""The wants of an SSLSocket that does not block: the classes and numbers of `ssl`, and nothing else."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from tests.live import roads
from tests.support.threads import Aside
from tlswrite.stdlib import SSLContext


def outcome_of(call: object) -> tuple[type[BaseException], tuple[object, ...]]:
    try:
        call()  # type: ignore[operator]
    except OSError as error:
        return type(error), error.args
    raise AssertionError("it was not raised")


def pair(directory: Path) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    one, other = socket.socketpair()
    for sock in (one, other):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    context: SSLContext = roads.server_context(directory)
    serving = Aside(lambda: context.wrap_socket(one, server_side=True))
    client = roads.client_context().wrap_socket(other, server_hostname="localhost")
    return client, serving.result()


def test_they_are_told_by_class_alone(tmp_path: Path) -> None:
    """As redis-py does, which looks the class of an error up in a dict."""
    client, server = pair(tmp_path)
    with client, server:
        for sock in (client, server):
            sock.settimeout(0)
        assert outcome_of(lambda: client.recv(1)) == (
            ssl.SSLWantReadError,
            (ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)"),
        )
        data = bytes(1 << 20)
        assert outcome_of(lambda: client.sendall(data)) == (
            ssl.SSLWantWriteError,
            (ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)"),
        )


def test_in_the_handshake(tmp_path: Path) -> None:
    one, other = socket.socketpair()
    one.settimeout(0)
    client = roads.client_context().wrap_socket(
        one, server_hostname="localhost", do_handshake_on_connect=False
    )
    with client, other:
        assert outcome_of(client.do_handshake)[0] is ssl.SSLWantReadError

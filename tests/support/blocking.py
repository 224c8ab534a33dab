"""Pairs of sockets for the blocking carrier; every one is closed at the end of its test."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support import engine
from tlswrite.sync import TLSSocket

TIMEOUT = 20.0


@pytest.fixture
def joined() -> Iterator[Callable[..., tuple[TLSSocket, TLSSocket]]]:
    """Makes a client and a server on one socket pair, the handshake still to be done."""
    with ExitStack() as stack:

        def make(
            client_fields: dict[str, Any] | None = None,
            server_fields: dict[str, Any] | None = None,
            *,
            buffer: int | None = None,
            **options: Any,
        ) -> tuple[TLSSocket, TLSSocket]:
            first, second = socket.socketpair()
            for sock in (first, second):
                sock.settimeout(TIMEOUT)
                if buffer is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            client = TLSSocket(first, engine.client_config(**(client_fields or {})), engine.HOST, **options)
            server = TLSSocket(second, engine.server_config(**(server_fields or {})), **options)
            stack.callback(client.close)
            stack.callback(server.close)
            return client, server

        yield make

"""Contexts of `ssl` and of this package side by side, and pairs of what they make."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

import tlswrite
from tests.support import pki
from tests.support.threads import Aside

#: The standard library's class is the reference: what holds for it must hold for the other.
CLASSES = [
    ssl.SSLContext,
    tlswrite.SSLContext,
]

HOST = "localhost"
TIMEOUT = 20.0


@cache
def anchors_pem(name: str = "") -> str:
    return pki.authority().certificate_pem.decode()


def client_context(cls: Any = tlswrite.SSLContext, *, trusting: bool = True) -> Any:
    context = strict(cls(ssl.PROTOCOL_TLS_CLIENT))
    if trusting:
        context.load_verify_locations(cadata=anchors_pem())
    return context


def server_context(cls: Any, files: pki.Files) -> Any:
    context = strict(cls(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(files.certfile, files.keyfile)
    return context


def strict(context: Any) -> Any:
    """An end without close_notify is told by `ssl` too, whatever this build of Python has as its default."""
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0x80)
    return context


def skip_old_reference(cls: Any) -> None:
    """Leave `ssl` out as the reference where an old Python says it otherwise than newer ones."""
    if cls is ssl.SSLContext and sys.version_info < (3, 11, 4):
        pytest.skip("ssl before Python 3.11.4 tells of an end in another way")


@dataclass
class Objects:
    """Two SSLObjects, each one's outgoing BIO the other's incoming one."""

    client: ssl.SSLObject
    server: ssl.SSLObject
    to_server: ssl.MemoryBIO
    to_client: ssl.MemoryBIO

    def handshake(self) -> Objects:
        """Shake hands; what either side raises comes out of here."""
        done: set[Any] = set()
        for _ in range(10):
            for side in (self.client, self.server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                    done.add(side)
            if len(done) == 2:
                return self
        raise AssertionError("the handshake does not end")


def objects(client: Any, server: Any, session: Any = None, host: str | None = HOST) -> Objects:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    return Objects(
        client.wrap_bio(to_client, to_server, server_hostname=host, session=session),
        server.wrap_bio(to_server, to_client, server_side=True),
        to_server,
        to_client,
    )


@contextmanager
def sockets(client: Any, server: Any, session: Any = None, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Two SSLSockets whose handshake is complete."""
    first, second = socket.socketpair()
    for each in (first, second):
        each.settimeout(TIMEOUT)
    other = Aside(lambda: server.wrap_socket(second, server_side=True, **options))
    try:
        near = client.wrap_socket(first, server_hostname=HOST, session=session, **options)
    except BaseException:
        first.close()
        with suppress(Exception):
            other.result().close()
        second.close()
        raise
    with near, other.result() as far:
        yield near, far

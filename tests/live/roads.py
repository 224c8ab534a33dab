"""What a live application changes, and what it is to move.

Three roads lead a context of this package under an application:

* `fast`, `fast-uvloop`: on a loop of `tlswrite.new_event_loop`, whose own methods take the fast transport;
* `wrapped`: on any other loop, whose own TLS then runs over this package's engine (`wrap_bio`).
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
from collections.abc import AsyncIterator, Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pytest

import tlswrite
from tests.support import engine, pki

LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "fast": tlswrite.new_event_loop,
    "fast-uvloop": partial(tlswrite.new_event_loop, uvloop=True),
    "wrapped": asyncio.SelectorEventLoop,
}

#: Bytes of an upload and of a download.
SIZES: Final = (
    pytest.param(3 << 20, id="3MiB"),
    pytest.param(100 << 20, id="100MiB", marks=pytest.mark.long),
)

CHUNK: Final = 64 * 1024


@cache
def data_of(size: int) -> bytes:
    """The same bytes for the same size."""
    return random.Random(size).randbytes(size)


@cache
def digest_of(size: int) -> str:
    return hashlib.sha256(data_of(size)).hexdigest()


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """The data, in chunks as an application would have it."""
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


def server_context(directory: Path, *alpn: str, **fields: Any) -> tlswrite.SSLContext:
    """For localhost, 127.0.0.1 and ::1, from files as applications have them."""
    files = pki.write(directory, engine.issued())
    context = tlswrite.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certfile, files.keyfile)
    return _with(context, alpn, fields)


def client_context(*alpn: str, **fields: Any) -> tlswrite.SSLContext:
    """One that trusts the tests' authority."""
    context = tlswrite.create_default_context(cadata=pki.authority().certificate_pem.decode())
    return _with(context, alpn, fields)


def _with(context: tlswrite.SSLContext, alpn: tuple[str, ...], fields: dict[str, Any]) -> tlswrite.SSLContext:
    if alpn:
        context.set_alpn_protocols(alpn)
    for name, value in fields.items():
        setattr(context, name, value)
    return context


def is_fast(transport: Any) -> bool:
    """Whether a transport is this package's own."""
    from tlswrite.asyncio import Transport

    return isinstance(transport, Transport)


def on_fast_loop() -> bool:
    """Whether the running loop is one of `tlswrite.new_event_loop`."""
    return type(asyncio.get_running_loop()).__module__.startswith("tlswrite.")


def check_road(transport: Any) -> None:
    """The transport is what the running loop should have made, and its TLS this package's in any case."""
    assert is_fast(transport) is on_fast_loop(), transport
    assert isinstance(transport.get_extra_info("sslcontext"), tlswrite.SSLContext)
    assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)

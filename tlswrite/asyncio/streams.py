"""Streams: `asyncio.open_connection` and `start_server`, and the unix pair, over TLS.

Readers and writers are asyncio's own. One thing differs: the end of the peer's stream does not close ours,
since TLS 1.3 closes the two directions one by one (clause A09). So a server may read to the end and answer
then, as it may without TLS, and closes its writer itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tlswrite.asyncio.connect import create_connection, create_unix_connection
from tlswrite.asyncio.server import create_server, create_unix_server

__all__ = ["open_connection", "open_unix_connection", "start_server", "start_unix_server"]

#: asyncio's limit of a StreamReader. Bytes.
_LIMIT: Final = 64 * 1024

_ClientConnected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_connection(
    host: str | None = None, port: int | str | None = None, *, limit: int = _LIMIT, **kwds: Any
) -> _Streams:
    """A (reader, writer) pair; `kwds` are those of `create_connection`."""
    reader, protocol = _make(limit)
    transport, _ = await create_connection(lambda: protocol, host, port, **kwds)
    return _streams(transport, protocol, reader)


async def start_server(
    client_connected_cb: _ClientConnected,
    host: str | Sequence[str] | None = None,
    port: int | str | None = None,
    *,
    limit: int = _LIMIT,
    **kwds: Any,
) -> asyncio.AbstractServer:
    """A server that calls `client_connected_cb(reader, writer)`; `kwds` are those of `create_server`."""
    return await create_server(lambda: _make(limit, client_connected_cb)[1], host, port, **kwds)


async def open_unix_connection(
    path: str | bytes | os.PathLike[str] | None = None, *, limit: int = _LIMIT, **kwds: Any
) -> _Streams:
    """A (reader, writer) pair; `kwds` are those of `create_unix_connection`."""
    reader, protocol = _make(limit)
    transport, _ = await create_unix_connection(lambda: protocol, path, **kwds)
    return _streams(transport, protocol, reader)


async def start_unix_server(
    client_connected_cb: _ClientConnected,
    path: str | bytes | os.PathLike[str] | None = None,
    *,
    limit: int = _LIMIT,
    **kwds: Any,
) -> asyncio.AbstractServer:
    """A server that calls `client_connected_cb(reader, writer)`; `kwds` are those of `create_unix_server`."""
    return await create_unix_server(lambda: _make(limit, client_connected_cb)[1], path, **kwds)


class _StreamProtocol(asyncio.StreamReaderProtocol):
    """asyncio's, for a transport that can be half-closed."""

    def eof_received(self) -> bool:
        super().eof_received()
        return True


def _make(
    limit: int, client_connected_cb: _ClientConnected | None = None
) -> tuple[asyncio.StreamReader, _StreamProtocol]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit, loop)
    return reader, _StreamProtocol(reader, client_connected_cb, loop)


def _streams(
    transport: asyncio.Transport, protocol: _StreamProtocol, reader: asyncio.StreamReader
) -> _Streams:
    return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())

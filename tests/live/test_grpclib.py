"""grpclib, client and server: HTTP/2 with ALPN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpclib.client
import grpclib.const
import grpclib.server
import pytest
from grpclib.encoding.base import CodecBase

import tlswrite
from tests.live import roads
from tests.live.roads import CHUNK, SIZES, check_road, data_of


class Raw(CodecBase):
    """Messages that are bytes already."""

    __content_subtype__ = "raw"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> Any:
        return data


class Echo:
    """A service with one method, which streams back what is streamed to it."""

    def __init__(self) -> None:
        self.transports: list[Any] = []

    async def echo(self, stream: Any) -> None:
        self.transports.append(stream._stream._transport)
        async for message in stream:
            await stream.send_message(message)

    def __mapping__(self) -> Any:
        return {
            "/Echo/Echo": grpclib.const.Handler(
                self.echo, grpclib.const.Cardinality.STREAM_STREAM, bytes, bytes
            )
        }


@pytest.mark.parametrize("size", SIZES)
async def test_a_stream_there_and_back(size: int, tmp_path: Path) -> None:
    context: tlswrite.SSLContext = roads.client_context("h2")
    service = Echo()
    server = grpclib.server.Server([service], codec=Raw())
    await server.start("127.0.0.1", 0, ssl=roads.server_context(tmp_path, "h2"))
    port = server._server.sockets[0].getsockname()[1]
    channel = grpclib.client.Channel("localhost", port, ssl=context, codec=Raw())
    method = grpclib.client.StreamStreamMethod(channel, "/Echo/Echo", bytes, bytes)
    data = data_of(size)
    async with method.open(timeout=120) as stream:
        for at in range(0, size, CHUNK):
            await stream.send_message(data[at : at + CHUNK], end=at + CHUNK >= size)
            assert await stream.recv_message() == data[at : at + CHUNK]
    check_road(channel._protocol.connection._transport)
    check_road(service.transports[0])
    channel.close()
    server.close()
    await server.wait_closed()

"""The registrations that mirror the loop's, and what the classes below leave to those above."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.wire import join
from tlswrite.asyncio.flow import FlowControl
from tlswrite.asyncio.lifecycle import Lifecycle
from tlswrite.asyncio.read_side import ReadSide
from tlswrite.asyncio.write_side import WriteSide
from tlswrite.errors import InternalError


async def test_registering_twice_is_registering_once() -> None:
    joined = await join()
    transport = joined.client.transport
    for _ in range(2):
        transport._core._watch_reads()
        transport._core._watch_writes()
    for _ in range(2):
        transport._core._ignore_writes()
    assert "read=polling write=<idle" in repr(transport)
    joined.server.transport.write(b"x")
    assert await joined.client.got(1) == b"x"
    await joined.close()


@pytest.mark.parametrize(
    ("room", "name", "arguments"),
    [
        (FlowControl, "get_write_buffer_size", ()),
        (Lifecycle, "_on_readable", ()),
        (Lifecycle, "_on_writable", ()),
        (WriteSide, "_last_words", ()),
        (ReadSide, "close", ()),
        (ReadSide, "_handshake_done", ()),
        (ReadSide, "_engine_failed", (InternalError("a fault"),)),
    ],
)
async def test_what_a_room_leaves_to_those_above(room: Any, name: str, arguments: tuple[Any, ...]) -> None:
    joined = await join()
    with pytest.raises(NotImplementedError):
        getattr(room, name)(joined.client.transport._core, *arguments)
    await joined.close()

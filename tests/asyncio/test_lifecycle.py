"""The interface between a transport and its server, and the registrations that mirror the loop's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.wire import join
from tlswrite.asyncio.lifecycle import Attachable, Lifecycle
from tlswrite.asyncio.read_side import ReadSide
from tlswrite.asyncio.write_side import WriteSide


async def test_registering_twice_is_registering_once() -> None:
    joined = await join()
    transport = joined.client.transport
    for _ in range(2):
        transport._watch_reads()
        transport._watch_writes()
    for _ in range(2):
        transport._ignore_writes()
    assert "read=polling write=<idle" in repr(transport)
    joined.server.transport.write(b"x")
    assert await joined.client.got(1) == b"x"
    await joined.close()


@pytest.mark.parametrize("name", ["_attach", "_detach"])
def test_a_server_must_say_what_it_does_with_transports(name: str) -> None:
    transport: Any = None
    with pytest.raises(NotImplementedError):
        getattr(Attachable(), name)(transport)


@pytest.mark.parametrize(
    ("room", "name", "arguments"),
    [
        (Lifecycle, "_on_readable", ()),
        (Lifecycle, "_on_writable", ()),
        (WriteSide, "_last_words", ()),
        (ReadSide, "close", ()),
        (ReadSide, "_handshake_done", ()),
        (ReadSide, "_engine_failed", (None,)),
    ],
)
def test_what_a_room_leaves_to_those_above(room: Any, name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(NotImplementedError):
        getattr(room, name)(None, *arguments)

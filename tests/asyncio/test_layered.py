"""The face of TLS over another transport, and the pipe of a server's connection."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support import engine
from tests.support.rig import Lower, Rig
from tests.support.wire import Complaints, turns
from tlswrite.asyncio import Transport
from tlswrite.asyncio.layered import Accepting


async def test_the_face_is_a_transport_and_tells_what_is_below() -> None:
    rig = Rig()
    assert isinstance(rig.transport, Transport)
    assert f"over {rig.lower!r}" in repr(rig.transport)
    await rig.connect()
    await rig.end()


async def test_a_factory_that_fails_ends_the_connection_below(complaints: Complaints) -> None:
    def fail() -> Any:
        raise LookupError("no protocol")

    lower = Lower(Accepting(asyncio.get_running_loop(), fail, engine.server, (1.0, 1.0)))
    await turns()
    assert lower.calls == ["abort"]
    context = complaints.take()
    assert context["message"] == "Error on transport creation for incoming connection"
    assert isinstance(context["exception"], LookupError)

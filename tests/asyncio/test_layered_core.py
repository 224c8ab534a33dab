"""What a connection over another transport adds to that over a socket: what is below counts, and is asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rig import Rig
from tests.support.wire import turns


@pytest.fixture
async def rig() -> Any:
    made = Rig()
    await made.connect()
    yield made
    await made.end()


async def test_what_the_transport_below_holds_is_counted(rig: Rig) -> None:
    rig.lower.room = 0
    assert rig.transport.get_write_buffer_size() == 0
    rig.transport.write(b"some bytes")
    assert rig.transport.get_write_buffer_size() == len(rig.lower.waiting) > 10
    rig.lower.room = None
    rig.lower.take()
    assert rig.transport.get_write_buffer_size() == 0


async def test_what_is_not_of_tls_the_transport_below_may_know(rig: Rig) -> None:
    rig.lower._extra = {"peername": "below", "socket": "a socket", "pipe": 7}
    assert rig.transport.get_extra_info("ssl_object") is rig.transport._core._connection
    assert rig.transport.get_extra_info("socket") == "a socket"
    assert rig.transport.get_extra_info("pipe") == 7
    assert rig.transport.get_extra_info("nothing", 3) == 3


async def test_the_socket_is_not_left_before_all_is_gone(rig: Rig) -> None:
    rig.lower.room = 0
    rig.transport.close()
    await turns()
    assert "connection_lost" not in rig.recorder.calls
    rig.lower.room = None
    rig.lower.take()
    await turns()
    assert rig.recorder.calls[-1] == "connection_lost"

"""The face of a connection: an `asyncio.Transport`, and what happens to one that is dropped."""

from __future__ import annotations

import asyncio
import gc
import inspect

import pytest

from tests.support import engine
from tests.support.wire import Recorder, face_server, join, meter_of, socket_pair, turns
from tlswrite.asyncio import Transport


async def test_the_face_is_an_asyncio_transport_with_every_method_of_one() -> None:
    joined = await join()
    transport = joined.client.transport
    assert isinstance(transport, asyncio.Transport)
    for name in dir(asyncio.Transport):
        if not name.startswith("_"):
            ours = inspect.getattr_static(type(transport), name)
            assert ours is not inspect.getattr_static(asyncio.Transport, name), name
            assert inspect.getdoc(ours), name
    await joined.close()


async def test_a_constructor_that_fails_leaves_nothing_to_close() -> None:
    ours, theirs = socket_pair()
    with pytest.raises(TypeError):
        Transport(asyncio.get_running_loop(), ours, Recorder(), engine.client(), nonsense=True)
    ours.close()
    theirs.close()


async def test_a_dropped_transport_warns_and_closes_its_socket() -> None:
    transport, recorder, peer = await face_server()
    transport.pause_reading()
    meter = meter_of(transport)
    transport._core._ignore_reads()
    recorder.transport = None
    # What the helper awaited keeps its result until the loop has turned.
    await turns()
    with pytest.warns(ResourceWarning, match=r"unclosed transport <Transport fd="):
        # The core and its face hold one another until connection_lost.
        del transport
        gc.collect()
    assert meter.fileno() == -1
    del peer


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_the_core_lets_go_of_its_face_at_the_end(end: str) -> None:
    joined = await join()
    transport = joined.client.transport
    assert transport._core._face is transport
    getattr(transport, end)()
    await joined.client.gone()
    await turns()
    assert transport._core._face is None
    # What is asked afterwards is answered.
    transport.write(b"too late")
    assert transport.is_closing()
    assert "closed" in repr(transport)
    joined.server.transport.abort()
    await joined.server.gone()

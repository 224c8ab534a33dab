"""The registrations that mirror the loop's."""

from __future__ import annotations

from tests.support.wire import join


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

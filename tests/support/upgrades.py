"""Plain connections that become TLS connections, on each of the roads that `start_tls` takes.

plain = await plain_pair()                        # two plain transports of the loop on a socket pair
joined = await upgrade(plain)                     # TLS on both
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.support import engine
from tests.support.wire import PATIENCE, Joined, Recorder, socket_pair
from tlswrite.asyncio import start_tls
from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.asyncio.pipe import Pipe
from tlswrite.asyncio.upgrade import UpgradedTransport

#: How TLS gets on a connection: in the place of a plain transport, over one, or over one that has TLS already.
ROADS = ("replaced", "layered", "tls in tls")


@dataclass
class Plain:
    """Two protocols on transports without TLS of ours; `clear` is what these transports are."""

    client: Recorder
    server: Recorder

    def close(self) -> None:
        for recorder in (self.client, self.server):
            recorder.transport.abort()


async def plain_pair(client: Recorder | None = None, server: Recorder | None = None, **options: Any) -> Plain:
    """Connected by the loop's own transports; `options` are those of `socket_pair`."""
    plain = Plain(client or Recorder(), server or Recorder())
    loop = asyncio.get_running_loop()
    first, second = socket_pair(**{"tcp": True, **options})
    await asyncio.gather(
        loop.create_connection(lambda: plain.client, sock=first),
        loop.connect_accepted_socket(lambda: plain.server, second),
    )
    return plain


async def upgrade(
    plain: Plain,
    *,
    client_fields: dict[str, Any] | None = None,
    server_fields: dict[str, Any] | None = None,
    **options: Any,
) -> Joined:
    """TLS on both ends of a pair, by `start_tls`."""
    client, server = plain.client, plain.server
    async with asyncio.timeout(PATIENCE):
        client.transport, server.transport = await asyncio.gather(
            start_tls(
                client.transport,
                client,
                engine.client_config(**(client_fields or {})),
                server_hostname=engine.HOST,
                **options,
            ),
            start_tls(
                server.transport,
                server,
                engine.server_config(**(server_fields or {})),
                server_side=True,
                **options,
            ),
        )
    return Joined(client, server, None, None)  # type: ignore[arg-type]  # no sockets that count


async def over(lower: Any, protocol: Any, connection: Any, **options: Any) -> LayeredTransport:
    """A layered transport, not started, over a transport of any kind."""
    loop = asyncio.get_running_loop()
    pipe = Pipe(loop)
    lower.pause_reading()
    paused = pipe.take_over(lower)
    return LayeredTransport(loop, pipe, protocol, connection, writing_paused=paused, upgraded=True, **options)


async def join_by(
    road: str,
    client: Recorder | None = None,
    server: Recorder | None = None,
    *,
    buffer: int | None = None,
    **fields: Any,
) -> Joined:
    """Two protocols with TLS between them, got on one of `ROADS`."""
    plain = await plain_pair(client, server, buffer=buffer)
    if road == "tls in tls":
        await upgrade(plain)
        joined = await upgrade(plain, **fields)
    elif road == "layered":
        loop = asyncio.get_running_loop()
        transports = []
        for recorder, connection in (
            (plain.client, engine.client(**fields.get("client_fields", {}))),
            (plain.server, engine.server(**fields.get("server_fields", {}))),
        ):
            waiter = loop.create_future()
            recorder.transport = await over(recorder.transport, recorder, connection, waiter=waiter)
            recorder.transport.start()
            transports.append(waiter)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*transports)
        joined = Joined(plain.client, plain.server, None, None)  # type: ignore[arg-type]
    else:
        joined = await upgrade(plain, **fields)
    kind = UpgradedTransport if road == "replaced" else LayeredTransport
    assert isinstance(joined.client.transport, kind)
    assert isinstance(joined.server.transport, kind)
    return joined

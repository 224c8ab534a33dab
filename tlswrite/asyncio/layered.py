"""TLS over any transport: what has no socket of its own, or TLS already.

Theory of operation. The core of this package drives a non-blocking socket by readiness callbacks. Here it
drives a `Pipe` instead: the protocol of the transport underneath, with the face of a non-blocking socket. Bytes
that arrive below are "readable", a transport below that takes no more is "not writable". So engine, flow
control, pausing, closing are the same code as over a socket, and only the readiness is of another make
(`layered_core.py`). It costs one copy each way.

Used for TLS in TLS (a proxy that is itself reached by TLS), for transports that are no sockets, for loops without
`add_reader`, and where `start_tls` finds bytes that wait on either side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tlswrite.asyncio.layered_core import LayeredCore
from tlswrite.asyncio.pipe import Pipe
from tlswrite.asyncio.transport import Transport
from tlswrite.connection import TLSConnection

__all__ = ["Accepting", "LayeredTransport"]


class LayeredTransport(Transport):
    """A TLS transport over another transport, of which `pipe` is the protocol."""

    __slots__ = ()

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipe: Pipe,
        protocol: Any,
        connection: TLSConnection,
        **options: Any,
    ) -> None:
        """`options` are those of `LayeredCore`."""
        self._wear(LayeredCore(loop, pipe, protocol, connection, **options))


class Accepting(Pipe):
    """A pipe that becomes a server's connection when the loop's own server has accepted it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        connections: Callable[[], TLSConnection],
        timeouts: tuple[float, float],
    ) -> None:
        super().__init__(loop)
        self._make = protocol_factory, connections, timeouts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        protocol_factory, connections, (handshake, shutdown) = self._make
        try:
            LayeredTransport(
                self._loop,
                self,
                protocol_factory(),
                connections(),
                handshake_timeout=handshake,
                shutdown_timeout=shutdown,
            ).start()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self.abort()
            self._loop.call_exception_handler(
                {"message": "Error on transport creation for incoming connection", "exception": exc}
            )

"""LayeredCore: TLS over a `Pipe` in the place of a socket, see `layered.py`. Its readiness is of another make."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from tlswrite import limits
from tlswrite.asyncio.core import Core
from tlswrite.asyncio.pipe import Pipe
from tlswrite.connection import TLSConnection

__all__ = ["LayeredCore"]


class LayeredCore(Core):
    """A TLS connection over another transport, of which `pipe` is the protocol."""

    __slots__ = ("_pipe",)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pipe: Pipe,
        protocol: Any,
        connection: TLSConnection,
        *,
        writing_paused: bool = False,
        waiter: asyncio.Future[None] | None = None,
        upgraded: bool = False,
        handshake_timeout: float = limits.HANDSHAKE_TIMEOUT,
        shutdown_timeout: float = limits.SHUTDOWN_TIMEOUT,
    ) -> None:
        """`writing_paused`: the protocol was told so by the transport below; the others are those of `Core`."""
        self._pipe = pipe
        super().__init__(
            loop,
            cast(socket.socket, pipe),
            protocol,
            connection,
            waiter=waiter,
            upgraded=upgraded,
            handshake_timeout=handshake_timeout,
            shutdown_timeout=shutdown_timeout,
        )
        self._protocol_paused = writing_paused
        pipe.attach(self)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait, here and in the transport below."""
        return super().get_write_buffer_size() + self._pipe.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As any TLS transport's; what else is asked for, the transport below may know."""
        if name != "socket":
            missing = object()
            found = super().get_extra_info(name, missing)
            if found is not missing:
                return found
        return self._pipe.lower.get_extra_info(name, default)

    def describe(self, name: str) -> str:
        return super().describe(name).replace(f"fd={self._fd}", f"over {self._pipe.lower!r}")

    # ---- readiness ----------------------------------------------------------------------------------

    def _watch_reads(self) -> None:
        if not self._reading:
            self._reading = True
            self._pipe.watch_reads()

    def _ignore_reads(self) -> None:
        if self._reading:
            self._reading = False
            self._pipe.ignore_reads()

    def _watch_writes(self) -> None:
        if not self._writing:
            self._writing = True
            self._pipe.watch_writes()

    def _ignore_writes(self) -> None:
        if self._writing:
            self._writing = False
            self._pipe.ignore_writes()

    # ---- the end ------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if (broken := self._pipe.broken) is not None:
            self._socket_failed(broken, "Fatal write error on the transport under TLS")
        elif not self._pipe.unsent:
            super()._finish()

    def _release(self, sock: socket.socket) -> None:
        self._keep_sockname(sock)
        if not self._lingers:
            self._pipe.abort()
        elif self._peer_done:
            self._pipe.close()
        else:
            self._pipe.linger()

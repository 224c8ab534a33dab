"""Transport: what the application has of a connection.

A transport must be an `asyncio.Transport`. What does the work need not be, and is not: the `Core` is made of
classes that inherit nothing of asyncio's, so that they can be compiled, and this is its face. A face hands on what
it is asked; `write`, which is called for every message, is the core's own, with nothing in between.

The core holds its face until `connection_lost` was called, since that is what it gives to the protocol and to the
loop's exception handler; then the face holds the core and nothing holds the face but the application.
"""

from __future__ import annotations

import asyncio
import socket
import warnings
from asyncio import constants
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from tlswrite.asyncio.core import Core
from tlswrite.asyncio.sending import Sending
from tlswrite.connection import Buffer, TLSConnection

__all__ = ["Attachable", "Transport"]


class Attachable(Protocol):
    """A server, as its transports know it."""

    def _attach(self, transport: Transport) -> None:
        """One more."""

    def _detach(self, transport: Transport) -> None:
        """It is over."""


# `loop.sendfile` asks for that class, and for the names of its attributes; its methods are not used here.
class Transport(asyncio.transports._FlowControlMixin):
    """An asyncio transport that is a TLS connection.

    Made by `create_connection`, servers, `connect_accepted_socket` and `start_tls`; `start` begins the handshake.
    """

    __slots__ = {
        "__weakref__": "Servers and the watch over a loop's readers refer to a transport weakly.",
        "_core": "The connection.",
        "_server": "Who is told of the end.",
        "write": """Send `data`, any contiguous buffer; never blocks, and keeps no reference to a mutable buffer.

            Raises TypeError for what is no buffer, BufferError for a view that is not contiguous, RuntimeError
            after `write_eof`. After the connection is lost or closed the data is dropped; from the fifth time
            on a warning is logged, as asyncio does.
            """,
    }

    #: asyncio's marks: its own `start_tls` may put TLS of its own over this, `sendfile` reads and writes.
    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    _core: Core
    _server: Attachable | None

    if TYPE_CHECKING:

        def write(self, data: Buffer) -> None: ...

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: Any,
        connection: TLSConnection,
        *,
        server: Attachable | None = None,
        **options: Any,
    ) -> None:
        """`options` are those of `Core`."""
        self._wear(Core(loop, sock, protocol, connection, **options), server)

    def _wear(self, core: Core, server: Attachable | None = None) -> None:
        """Become the face of `core`."""
        # Facts are told by `get_extra_info`; an empty dictionary a connection would be for nothing.
        self._extra = None
        self._loop = core._loop
        self._core = core
        core._face = self
        self.write = core.write  # type: ignore[method-assign]  # a slot of that name is in front of the method
        self._server = server
        if server is not None:
            server._attach(self)

    def __del__(self) -> None:
        # Where making it failed there is none.
        core = getattr(self, "_core", None)
        sock = None if core is None else core._sock
        if sock is not None:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)
            sock.close()
            if self._server is not None:
                self._server._detach(self)

    def __repr__(self) -> str:
        return self._core.describe(type(self).__name__)

    def start(self) -> None:
        """Begin the handshake. Raises what the loop raises for a socket it cannot watch."""
        self._core.start()

    # ---- writing ------------------------------------------------------------------------------------

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        """Send all of an iterable of buffers, as if joined; any iterable, a generator too."""
        self.write(b"".join(list_of_data))

    def sendall(self, data: Buffer) -> Sending:
        return self._core.sendall(data)

    sendall.__doc__ = Core.sendall.__doc__

    @property
    def committed(self) -> int:
        """Plaintext bytes sealed so far: they were sent, or will be before anything else."""
        return self._core.committed

    def get_write_buffer_size(self) -> int:
        """Bytes that wait: plaintext not sealed and ciphertext not sent, each byte once (clause A03)."""
        return self._core.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The marks (low, high), in bytes."""
        return self._core.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, with asyncio's defaults: high 64 KiB, or 4 * low; low high / 4.

        Raises ValueError unless high >= low >= 0. With high 0 the protocol is paused whenever anything waits.
        """
        self._core.set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        """True in TLS 1.3, which closes the two directions one by one (clause A09, RFC 9846 §6.1)."""
        return self._core.can_write_eof()

    def write_eof(self) -> None:
        """Close the write side: all that waits, then close_notify, then FIN; reading goes on (clause A09).

        Raises NotImplementedError in TLS 1.2, where a close_notify ends both directions (RFC 5246 §7.2.1).
        """
        self._core.write_eof()

    # ---- reading ------------------------------------------------------------------------------------

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._core.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from now on; allowed inside any callback (clause A07).

        If writing is paused, the new protocol is told so, and will be told when it goes on.
        """
        self._core.set_protocol(protocol)

    def is_reading(self) -> bool:
        return self._core.is_reading()

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`; writing goes on (clause A06). Idempotent."""
        self._core.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again; what was held comes first, from the loop and not out of this call. Idempotent."""
        self._core.resume_reading()

    # ---- the connection -----------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's: peername, sockname, socket, sslcontext (the configuration), ssl_object (the
        TLSConnection), peercert, cipher, compression.
        """
        return self._core.get_extra_info(name, default)

    def key_update(self, request_peer: bool = False) -> None:
        """Change the write key now, and ask the peer to change its own: see `TLSConnection.key_update`."""
        self._core.key_update(request_peer)

    def renegotiate(self) -> None:
        """Begin a renegotiation (TLS 1.2): see `TLSConnection.renegotiate`. Writes wait until it is over."""
        self._core.renegotiate()

    def verify_client_post_handshake(self) -> None:
        """Ask the client for a certificate: see `TLSConnection.verify_client_post_handshake`."""
        self._core.verify_client_post_handshake()

    # ---- the end ------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """True once closed, aborted or lost: nothing written now will be sent."""
        return self._core.is_closing()

    def close(self) -> None:
        """Send all that waits, close_notify and FIN, then connection_lost(None) (clause A08). Idempotent.

        Does not wait for the peer's close_notify. If the peer takes nothing for the shutdown timeout,
        connection_lost gets a TimeoutError. During the handshake the connection is aborted.
        """
        self._core.close()

    def abort(self) -> None:
        """Drop the connection at once: nothing that waits is sent, no close_notify, no lingering (A08)."""
        self._core.abort()

    # ---- of the core --------------------------------------------------------------------------------

    def _over(self) -> None:
        """connection_lost was called."""
        server, self._server = self._server, None
        if server is not None:
            server._detach(self)

    def _reader_dropped(self) -> None:
        self._core._reader_dropped()

    # ---- of asyncio ---------------------------------------------------------------------------------

    @property
    def _protocol_paused(self) -> bool:
        """`loop.sendfile` of asyncio's own looks at it."""
        return self._core._protocol_paused

    def _force_close(self, exc: BaseException | None) -> None:
        """TLS of asyncio's and uvloop's own over this one ends so where it fails."""
        self._core._force_close(exc)

"""`SSLSocket`: what `SSLContext.wrap_socket` gives, on the blocking carrier.

It is a TLSSocket and an `ssl.SSLSocket` at once, so that libraries which ask for the latter take it. All that it
does is TLSSocket's; of `ssl.SSLSocket` it has the habits: the handshake at `connect`, ragged ends, and that it is a
plain socket after `unwrap`.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

from tlswrite.errors import TruncationError
from tlswrite.stdlib.connection import ContextConnection
from tlswrite.stdlib.face import Face, set_session, unexpected_eof, unverified_chain, verified_chain
from tlswrite.stdlib.settings import MODE
from tlswrite.sync.carrier import Carrier
from tlswrite.sync.tlssocket import TLSSocket

__all__ = ["SSLSocket"]


#: Nothing of it is used but its name: its attributes are typed as if they were.
_Name: Any = ssl.SSLSocket


class SSLSocket(TLSSocket, _Name):  # type: ignore[misc]  # a base of type Any, on purpose: see above
    """A socket with TLS, made by `SSLContext.wrap_socket`."""

    _connection: ContextConnection

    def __init__(self, *_: Any, **__: Any) -> None:
        raise TypeError(
            f"{type(self).__name__} does not have a public constructor. "
            "Instances are returned by SSLContext.wrap_socket()."
        )

    @classmethod
    def _create(
        cls,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        context: Any = None,
        session: Any = None,
    ) -> SSLSocket:
        """What `ssl.SSLContext.wrap_socket` calls."""
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) != socket.SOCK_STREAM:
            raise NotImplementedError("only stream sockets are supported")
        if server_side and session is not None:
            raise ValueError("session can only be specified in client mode")
        name = context._encode_hostname(server_hostname)
        # First what can fail, so that the caller's socket is untouched then.
        connection = context.new_connection(server_side=server_side, server_hostname=name, mode=MODE)
        if session is not None:
            set_session(connection, session)
        self = cls.__new__(cls)
        Carrier.__init__(self, sock, connection, suppress_ragged_eofs)
        try:
            self._closed = False
            self.do_handshake_on_connect = do_handshake_on_connect
            connection.owned_by(self)
            if do_handshake_on_connect and self._is_connected():
                if self.gettimeout() == 0.0:
                    raise ValueError(
                        "do_handshake_on_connect should not be specified for non-blocking sockets"
                    )
                self.do_handshake()
        except BaseException:
            self.close()
            raise
        return self

    def _is_connected(self) -> bool:
        try:
            self.getpeername()
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EINVAL):
                raise
            return False
        return True

    # ---- what `ssl.SSLSocket` has besides ---------------------------------------------------------------

    @property
    def suppress_ragged_eofs(self) -> bool:
        """Whether an end without close_notify is read as any other end."""
        return self._suppress_ragged_eofs

    @suppress_ragged_eofs.setter
    def suppress_ragged_eofs(self, value: bool) -> None:
        self._suppress_ragged_eofs = value

    @property
    def context(self) -> Any:
        """The SSLContext; the SNI callback may put another in its place."""
        return self._connection.context

    @context.setter
    def context(self, context: Any) -> None:
        self._connection.switch(context)

    @property
    def _sslobj(self) -> Face:
        """What `ssl.SSLSocket` has for OpenSSL's object; some libraries ask it for facts."""
        return Face(self._connection)

    @property
    def session(self) -> Any:
        """The session to resume later; see `TLSSocket.session`."""
        return self._connection.session

    @session.setter
    def session(self, session: Any) -> None:
        set_session(self._connection, session)

    def _receive(self, target: memoryview) -> int:
        try:
            return super()._receive(target)
        except TruncationError as error:
            raise unexpected_eof(error) from None

    def do_handshake(self, block: bool = False) -> None:
        """As `TLSSocket.do_handshake`."""
        try:
            super().do_handshake(block)
        except TruncationError as error:
            raise unexpected_eof(error) from None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self._check_connected()
        return super().recv(buflen, flags)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Unlike a plain socket's, it takes a buffer that is smaller than `nbytes`."""
        self._check_connected()
        return super().recv_into(buffer, min(nbytes or 0, memoryview(buffer).nbytes), flags)

    def getpeercert(self, binary_form: bool = False) -> Any:
        self._check_connected()
        return super().getpeercert(binary_form)

    def _check_connected(self) -> None:
        if not self._connection.handshake_complete:
            # Raises OSError where the socket is not connected, as a plain one would.
            self.getpeername()

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        """A server's suites that the client offered too, best first; None for a client."""
        return self._connection.shared_ciphers()

    def get_unverified_chain(self) -> list[bytes]:
        """The certificates that the peer sent, in DER form."""
        return unverified_chain(self._connection) or []

    def get_verified_chain(self) -> list[bytes]:
        """The path by which the peer's certificate verified, the anchor last, in DER form."""
        return verified_chain(self._connection) or []

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """As `TLSConnection.get_channel_binding`, "tls-unique" unless told otherwise."""
        return super().get_channel_binding(cb_type)

    def selected_npn_protocol(self) -> None:
        """None: there is no NPN."""
        _Name.selected_npn_protocol(self)  # which warns

    def _want(self, *, writes: bool = False) -> ssl.SSLError:
        """The very classes of `ssl`: some libraries look errors up by their class (redis-py)."""
        if writes:
            return ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")
        return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")

    # ---- connecting, accepting, ending --------------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """Connect, and shake hands unless `do_handshake_on_connect` is off."""
        self._check_unconnected()
        super().connect(address)
        if self.do_handshake_on_connect:
            self.do_handshake()

    def _check_unconnected(self) -> None:
        if self.server_side:
            raise ValueError("can't connect in server-side mode")
        if self._is_connected():
            raise ValueError("attempt to connect already-connected SSLSocket!")

    def connect_ex(self, address: Any) -> int:
        """The same, with the error's number as the result where connecting fails."""
        self._check_unconnected()
        with self._blocking_socket():
            failure = socket.socket.connect_ex(self, address)
        if not failure and self.do_handshake_on_connect:
            self.do_handshake()
        return failure

    def accept(self) -> tuple[SSLSocket, Any]:
        """A connection with TLS, and its address."""
        sock, address = self._accept_plain()
        accepted = self.context.wrap_socket(
            sock,
            do_handshake_on_connect=self.do_handshake_on_connect,
            suppress_ragged_eofs=self.suppress_ragged_eofs,
            server_side=True,
        )
        return accepted, address

    def unwrap(self) -> Any:
        """End TLS with close_notify both ways; the result, this very object, is a plain socket then."""
        kept = {
            # What the application put on it.
            **{name: value for name, value in vars(self).items() if not name.startswith("_")},
            "_context": self.context,
            "_session": None,
            "_sslobj": None,
            "_connected": True,
            "server_side": self.server_side,
            "server_hostname": self.server_hostname,
            "do_handshake_on_connect": self.do_handshake_on_connect,
            "suppress_ragged_eofs": self.suppress_ragged_eofs,
        }
        timeout = self.gettimeout()
        try:
            self._end_tls()
        except TruncationError as error:
            raise unexpected_eof(error) from None
        # As `ssl.SSLSocket` is after its own unwrap: one without an object of OpenSSL's.
        self.__class__ = ssl.SSLSocket  # type: ignore[assignment]
        self.__dict__.clear()
        self.__dict__.update(kept)
        self.settimeout(timeout)
        return self

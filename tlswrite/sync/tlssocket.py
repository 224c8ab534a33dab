"""TLSSocket: the socket interface that users of `ssl.SSLSocket` know, over the engine."""

from __future__ import annotations

import socket
from typing import Any, Final, NoReturn

from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import Buffer, TLSConnection
from tlswrite.errors import TruncationError
from tlswrite.limits import RECORD_HEADER
from tlswrite.record.codes import ZERO_RETURN
from tlswrite.session import Session
from tlswrite.sync.carrier import Carrier

__all__ = ["TLSSocket"]

_PLAIN_SIZE: Final = 32 * 1024


class TLSSocket(Carrier):
    """TLS over a connected stream socket, blocking, with a timeout, or non-blocking.

    It is a `socket.socket`, as `ssl.SSLSocket` is, so that libraries which ask for one take it: it takes over the
    descriptor of `sock`, which is detached. `config` tells the role; the handshake is performed by the first
    read or write, or by `do_handshake`.

    What differs from `ssl.SSLSocket`: a connection that ends without close_notify raises TruncationError, unless
    `suppress_ragged_eofs` makes it an end like any other; a write that timed out can be repeated with the same
    arguments; `close` sends close_notify if that needs no waiting; `unwrap` returns a socket of its own.

    Errors: TLSError and its kin; TimeoutError; on a non-blocking socket WantReadError and WantWriteError: wait
    with `select`, then repeat the call with the same arguments. One thread may read while another writes.
    """

    def __init__(
        self,
        sock: socket.socket,
        config: ClientConfig | ServerConfig,
        server_hostname: str | None = None,
        *,
        suppress_ragged_eofs: bool = False,
    ) -> None:
        # First what can fail, so that the caller's socket is untouched then.
        connection = TLSConnection(config, server_hostname=server_hostname)
        Carrier.__init__(self, sock, connection, suppress_ragged_eofs)

    # ---- data ---------------------------------------------------------------------------------------

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Up to `buflen` bytes of application data; empty at the peer's close_notify."""
        _no_flags(flags, "recv")
        if buflen < 0:
            raise ValueError("negative buffersize in recv")
        target = memoryview(bytearray(buflen))
        return bytes(target[: self._receive(target)])

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """The same into a writable buffer, at most `nbytes` of it (0: all); returns the number of bytes."""
        _no_flags(flags, "recv_into")
        if nbytes < 0:
            raise ValueError("negative buffersize in recv_into")
        target = memoryview(buffer).cast("B")
        if nbytes > len(target):
            raise ValueError("buffer too small for requested bytes")
        return self._receive(target[:nbytes] if nbytes else target)

    def read(self, len: int = 1024, buffer: Buffer | None = None) -> int | bytes:
        """`recv`, or `recv_into` a buffer, which may be smaller than `len`, as `ssl.SSLSocket.read`."""
        if buffer is None:
            return self.recv(len)
        return self.recv_into(buffer, min(len, memoryview(buffer).nbytes))

    def send(self, data: Buffer, flags: int = 0) -> int:
        """SSL_write(3): write all of `data`, or with Mode.ENABLE_PARTIAL_WRITE a part; returns its size in bytes.

        On a blocking socket it returns when the kernel has taken it. After TimeoutError or a want, repeat it with
        the same object (another one is BadWriteRetry): nothing is lost and nothing is sent twice.
        """
        _no_flags(flags, "send")
        self._check_open()
        return self._write(data, whole=False)

    def write(self, data: Buffer) -> int:
        """`send`, as `ssl.SSLSocket.write`."""
        return self.send(data)

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Write all of `data`, whatever the mode; to be repeated with the same object after TimeoutError."""
        _no_flags(flags, "sendall")
        self._check_open()
        self._write(data, whole=True)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file from `offset` on, at most `count` bytes; returns the number sent."""
        sent: int = self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined]  # socket.socket has it
        return sent

    def pending(self) -> int:
        """Bytes of application data that can be read without waiting (already opened)."""
        return len(self._kept)

    def _receive(self, target: memoryview) -> int:
        self._check_open()
        if not target:
            return 0
        if not self._connection.handshake_complete:
            self._handshake(self._deadline())
        try:
            return self._read_into(target)
        except TruncationError:
            if self._suppress_ragged_eofs and self._connection.handshake_complete:
                return 0
            raise

    # ---- the connection -----------------------------------------------------------------------------

    def do_handshake(self, block: bool = False) -> None:
        """Finish the handshake, or the renegotiation under way. `block`: wait on a non-blocking socket too."""
        self._check_open()
        timeout = self._timeout
        if block and timeout == 0:
            self._timeout = None
        try:
            self._handshake(self._deadline())
        finally:
            self._timeout = timeout

    def key_update(self, request_peer: bool = False) -> None:
        """SSL_key_update(3): see `TLSConnection.key_update`."""
        with self._lock, self._failing():
            self._connection.key_update(request_peer)
            self._flush()

    def renegotiate(self) -> None:
        """SSL_renegotiate(3): see `TLSConnection.renegotiate`; reads, writes or `do_handshake` carry it on."""
        with self._lock, self._failing():
            self._connection.renegotiate()
            self._flush()

    def verify_client_post_handshake(self) -> None:
        """SSL_verify_client_post_handshake(3): see `TLSConnection.verify_client_post_handshake`."""
        with self._lock, self._failing():
            self._connection.verify_client_post_handshake()
            self._flush()

    def unwrap(self) -> socket.socket:
        """End TLS: close_notify both ways; returns the plain socket, for what the peer says behind it.

        This object is closed then. Not one byte behind the peer's close_notify is taken from the socket.
        Application data that was not read is dropped. Raises ValueError before the handshake.
        """
        self._end_tls()
        timeout = self._timeout
        plain = socket.socket(self.family, self.type, self.proto, self.detach())
        plain.settimeout(timeout)
        return plain

    def _end_tls(self) -> None:
        """close_notify both ways."""
        self._check_open()
        if not self._connection.handshake_complete:
            raise ValueError(f"No SSL wrapper around {self!r}")
        deadline = self._deadline()
        while True:
            with self._lock, self._failing():
                self._connection.close_notify()
                flushed = self._flush()
                closed = self._take_close_notify()
                if flushed and closed:
                    break
                self._wait(deadline, reads=not closed, writes=not flushed)

    def _take_close_notify(self) -> bool:
        """Take records one by one until the peer's close_notify came; False where more must be waited for."""
        connection, receive_path = self._connection, self._receive_path
        buffer = memoryview(bytearray(_PLAIN_SIZE))
        out = memoryview(bytearray(_PLAIN_SIZE))
        while not connection.peer_closed:
            tail = receive_path.tail
            kept = len(tail)
            need = RECORD_HEADER - kept
            if need <= 0:
                need = max(0, RECORD_HEADER + int.from_bytes(tail[3:5], "big") - kept)
            buffer[:kept] = tail
            if need:
                try:
                    count = socket.socket.recv_into(self, buffer[kept:], min(need, len(buffer) - kept))
                except (BlockingIOError, InterruptedError):
                    return False
                if not count:
                    connection.feed_eof()
                kept += count
            receive_path.feed(buffer, kept)
            try:
                while (count := connection.receive_into(out)) > 0:
                    pass
            finally:
                receive_path.reclaim()
            if count == ZERO_RETURN:
                return True
        return True

    def shutdown(self, how: int) -> None:
        """Shut down one direction or both; before the write side goes, close_notify is sent."""
        self._check_open()
        if how != socket.SHUT_RD and self._connection.handshake_complete:
            deadline = self._deadline()
            while True:
                with self._lock, self._failing():
                    self._connection.close_notify()
                    if self._flush():
                        break
                    self._wait(deadline, reads=False, writes=True)
        socket.socket.shutdown(self, how)

    # ---- facts --------------------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """The engine's TLSConnection: what is not named here can be asked there."""
        return self._connection

    @property
    def context(self) -> ClientConfig | ServerConfig:
        """The configuration."""
        return self._connection.config

    @property
    def server_side(self) -> bool:
        return isinstance(self._connection.config, ServerConfig)

    @property
    def server_hostname(self) -> str | None:
        return self._connection.server_hostname

    @property
    def session_reused(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return self._connection.session_reused

    def version(self) -> str | None:
        """ "TLSv1.2" or "TLSv1.3"; None before the handshake."""
        return self._connection.version()

    def cipher(self) -> tuple[str, str, int] | None:
        """Suite, protocol version and secret bits; None before the handshake."""
        return self._connection.cipher()

    def group(self) -> str | None:
        """The IANA name of the key exchange group; None before the handshake."""
        return self._connection.group()

    @property
    def session(self) -> Session | None:
        """The session to resume later; set it before the handshake to resume one of another connection."""
        return self._connection.session

    @session.setter
    def session(self, session: Session | None) -> None:
        self._connection.session = session

    @property
    def ocsp_response(self) -> bytes | None:
        """The OCSP response that the peer stapled to its certificate, in DER form; None where none came."""
        return self._connection.ocsp_response

    def compression(self) -> None:
        """None: there is no compression here."""
        return None

    def selected_alpn_protocol(self) -> str | None:
        """The application protocol agreed on (RFC 7301)."""
        return self._connection.selected_alpn_protocol()

    def getpeercert(self, binary_form: bool = False) -> dict[str, Any] | bytes | None:
        """The peer's certificate, as `ssl.SSLSocket.getpeercert`."""
        return self._connection.getpeercert(binary_form)

    def get_channel_binding(self, cb_type: str = "tls-exporter") -> bytes | None:
        """Channel binding data: see `TLSConnection.get_channel_binding`."""
        return self._connection.get_channel_binding(cb_type)

    def export_keying_material(self, label: bytes | str, length: int, context: bytes | None = None) -> bytes:
        """SSL_export_keying_material(3): see `TLSConnection.export_keying_material`."""
        return self._connection.export_keying_material(label, length, context)

    # ---- the socket's own ---------------------------------------------------------------------------

    def settimeout(self, value: float | None) -> None:
        """Seconds for each call; None: without end, 0: never wait."""
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = None if value is None else float(value)

    def gettimeout(self) -> float | None:
        return self._timeout

    @property
    def timeout(self) -> float | None:
        """As `gettimeout`."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        return self._timeout != 0

    def connect(self, address: Any) -> None:
        """Connect the socket; the handshake comes with the first read or write."""
        with self._blocking_socket():
            socket.socket.connect(self, address)

    def accept(self) -> tuple[TLSSocket, Any]:
        """A connection to a listening socket, and its address; its handshake comes with its first use."""
        sock, address = self._accept_plain()
        sock.settimeout(socket.getdefaulttimeout())
        accepted = TLSSocket(sock, self.context, suppress_ragged_eofs=self._suppress_ragged_eofs)
        return accepted, address

    def detach(self) -> int:
        """The descriptor, which is the caller's from now on; TLS is not ended."""
        if self.fileno() >= 0:
            socket.socket.settimeout(self, self._timeout)
        return socket.socket.detach(self)

    def dup(self) -> NoReturn:
        """Raises NotImplementedError: two sockets cannot share one connection."""
        raise NotImplementedError(f"Can't dup() {type(self).__name__} instances")

    def sendto(self, *args: Any) -> NoReturn:
        raise ValueError(f"sendto not allowed on instances of {type(self)}")

    def recvfrom(self, *args: Any) -> NoReturn:
        raise ValueError(f"recvfrom not allowed on instances of {type(self)}")

    def recvfrom_into(self, *args: Any) -> NoReturn:
        raise ValueError(f"recvfrom_into not allowed on instances of {type(self)}")

    def sendmsg(self, *args: Any) -> NoReturn:
        raise NotImplementedError(f"sendmsg not allowed on instances of {type(self)}")

    def recvmsg(self, *args: Any) -> NoReturn:
        raise NotImplementedError(f"recvmsg not allowed on instances of {type(self)}")

    def recvmsg_into(self, *args: Any) -> NoReturn:
        raise NotImplementedError(f"recvmsg_into not allowed on instances of {type(self)}")

    def _check_open(self) -> None:
        if self.fileno() < 0:
            raise OSError(9, "Bad file descriptor")


def _no_flags(flags: int, name: str) -> None:
    if flags:
        raise ValueError(f"non-zero flags not allowed in calls to {name}() on {TLSSocket}")

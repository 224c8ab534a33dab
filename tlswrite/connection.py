"""TLSConnection: the SSL_write contract over memory, and the face that drivers use.

Two faces of one object. The *public* one speaks as the manual does: `write`, `read`, `do_handshake` finish
or raise a want (`WantReadError`, `WantWriteError`), and a write is retried with the same arguments. Bytes go
in by `bio_write` and out by `bio_read`, the memory carrier. The *driver's* one (`send_path`, `receive_path`,
`receive_into`, `feed_eof`, `close_notify`) moves the same bytes with return codes, for carriers that own
a socket: the asyncio transport lends its buffers and never meets an exception for a want.

A connection that is over stays over: the first error is kept, raised again at every later call, and after its
alert nothing more is put on the wire. What is kept of an error has no traceback, so that a dead connection is
freed by reference counting alone.
"""

from __future__ import annotations

from typing import Any, Final

from tlswrite.config import ClientConfig, Mode, ServerConfig
from tlswrite.crypto.identity import identity_of
from tlswrite.errors import (
    AlertReceived,
    CallerError,
    ConfigurationError,
    InternalError,
    TLSError,
    TruncationError,
    WantReadError,
    WantWriteError,
    ZeroReturnError,
)
from tlswrite.handshake.control import Control
from tlswrite.handshake.facts import Facts
from tlswrite.iana import AlertDescription, ProtocolVersion
from tlswrite.limits import KEPT_IN_WRITE, SEND_WINDOW
from tlswrite.negotiate import negotiate
from tlswrite.record.codes import CONTROL, WANT_READ, WANT_WRITE, ZERO_RETURN
from tlswrite.record.receive import OUT_ROOM, ReceivePath
from tlswrite.record.send import SendPath

__all__ = ["Buffer", "ConnectionFactory", "TLSConnection"]

_PARTIAL: Final = int(Mode.ENABLE_PARTIAL_WRITE)
_MOVING: Final = int(Mode.ACCEPT_MOVING_WRITE_BUFFER)

#: Any object with the buffer protocol (collections.abc.Buffer of Python 3.12).
Buffer = Any


class TLSConnection(Facts):
    """One TLS connection without any I/O.

    `config` tells the role: a ClientConfig makes a client, a ServerConfig a server (clause W03).
    `server_hostname` is the name or IP address the server's certificate must carry, and what SNI sends;
    clients need it unless `check_hostname` is off.

    Not thread-safe: one caller at a time.
    """

    __slots__ = (
        "__weakref__",
        "_eof",
        "_leftover",
        "receive_path",
        "send_path",
        "server_hostname",
    )

    #: Whether an end without close_notify is an end like any other (SSL_OP_IGNORE_UNEXPECTED_EOF).
    ignores_truncation: bool | property = False

    def __init__(self, config: ClientConfig | ServerConfig, *, server_hostname: str | None = None) -> None:
        if isinstance(config, ServerConfig):
            if server_hostname is not None:
                raise ConfigurationError(
                    "server_hostname is for clients: a server's name is in its certificate"
                )
        elif not isinstance(config, ClientConfig):
            raise TypeError(
                "a connection needs its role: give a ClientConfig (client) or a ServerConfig (server), "
                f"not {type(config).__name__}"
            )
        elif server_hostname is not None and not isinstance(server_hostname, str):
            raise TypeError(
                f"server_hostname is a name or an address, a str, not {type(server_hostname).__name__}"
            )
        elif config.check_hostname and not server_hostname:
            raise ConfigurationError("server_hostname is missing: check_hostname needs the name to look for")
        elif server_hostname is not None:
            # A name that cannot be is refused before anything is connected or sent.
            identity_of(server_hostname)
        self.config = config
        self.server_hostname = server_hostname
        # As plain numbers, since arithmetic of flags is slow.
        mode = int(config.mode)
        self.send_path = SendPath(partial=bool(mode & _PARTIAL), moving=bool(mode & _MOVING))
        self.receive_path = ReceivePath()
        self._control = Control(self.send_path, self.receive_path)
        self._control.tls12_offered = ProtocolVersion.TLS_1_2 in config.versions
        self._error: TLSError | None = None
        self._session = None
        self._eof = False
        self._leftover = b""

    # ---- the public face: the contract ------------------------------------------------------------

    def do_handshake(self) -> None:
        """Finish the handshake, or the renegotiation under way (TLS 1.2); idempotent.

        Raises WantReadError where more input is needed, TLSError where it failed. Application data that comes
        meanwhile is kept for `read`.
        """
        self._check()
        control = self._control
        if control.negotiated is not None and not control.renegotiating:
            return
        self.start_handshake()
        scratch = memoryview(bytearray(OUT_ROOM))
        while control.negotiated is None or control.renegotiating:
            count = self.receive_into(scratch)
            if count > 0:
                self._leftover += scratch[:count]
            elif control.negotiated is None or control.renegotiating:
                raise WantReadError

    def write(self, data: Buffer) -> int:
        """SSL_write(3): write all of `data`; returns its size in bytes.

        Any contiguous buffer. Performs the handshake where it is still to be done. With
        Mode.ENABLE_PARTIAL_WRITE the result may be less, a multiple of the message block.

        Raises WantReadError or WantWriteError (feed or take bytes, then call again with the same object),
        BadWriteRetry, CallerError after `shutdown`, TLSError once the connection is over,
        TypeError for an object that is no buffer, BufferError for a view that is not contiguous.
        """
        view = _flat(data)
        self._check()
        control = self._control
        if control.negotiated is None:
            try:
                self.do_handshake()
            except WantReadError:
                self.send_path.read_wants += 1
                raise
        elif control.tls12:
            self._serve_control()
            if not view and control.renegotiating:
                raise WantReadError
        try:
            written = self.send_path.write(view, data)
        except TLSError:
            raise
        except Exception as exc:
            # Not the contract's: the application's padding policy raised, in the middle of the write.
            raise self.fail(exc) from exc
        if written == WANT_WRITE:
            raise WantWriteError
        if written == WANT_READ:
            raise WantReadError
        return written

    def read(self, n: int = 16384) -> bytes:
        """SSL_read(3): up to `n` bytes of application data, at least one.

        Raises WantReadError where none is there, ZeroReturnError at the peer's close_notify,
        TruncationError where the connection ended without it, TLSError once it is over.
        """
        if n < 0:
            raise ValueError("n must not be negative")
        if not self._leftover and self._control.negotiated is None:
            self.do_handshake()
        if not n:
            return b""
        leftover = self._leftover
        if not leftover:
            scratch = memoryview(bytearray(OUT_ROOM))
            leftover = bytes(scratch[: self._receive(scratch)])
        self._leftover = leftover[n:]
        return leftover[:n]

    def read_into(self, buffer: Buffer) -> int:
        """SSL_read(3) into a writable buffer; returns the number of bytes. Errors as `read`."""
        view = _flat(buffer)
        if view.readonly:
            raise TypeError("read_into needs a writable buffer")
        if not self._leftover and self._control.negotiated is None:
            self.do_handshake()
        if self._leftover or len(view) < OUT_ROOM:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)
        return self._receive(view)

    def pending(self) -> int:
        """Bytes of application data that `read` gives without more input (already opened records)."""
        return len(self._leftover)

    def shutdown(self) -> bool:
        """SSL_shutdown(3): send close_notify; True once the peer's has come too. Reading goes on until then.

        A pending write is abandoned: what of it was sealed is sent.
        """
        self._check()
        if self._control.negotiated is None:
            raise CallerError("shutdown during the handshake: drop the connection instead")
        self.close_notify()
        return self._control.peer_closed

    def key_update(self, request_peer: bool = False) -> None:
        """SSL_key_update(3): change the write key now; with `request_peer` the peer changes its own too.

        RFC 9846 §4.7.3. Raises CallerError before the handshake is complete or after `shutdown`,
        WantWriteError where more than a send window waits to be taken.
        """
        self._check()
        after = self._control.after
        if after is None or self.send_path.closed:
            raise CallerError("key_update needs an open connection whose handshake is complete")
        self._want_room()
        message, sealer = after.rekey(request_peer)
        self._control.send(message)
        self.send_path.set_protection(sealer)

    def renegotiate(self) -> None:
        """SSL_renegotiate(3): begin another handshake (TLS 1.2), which later calls carry on.

        A client sends a ClientHello, a server a HelloRequest (RFC 5246 §7.4.1.1); while the handshake is under
        way, writes want READ. Idempotent until it is over; a peer may refuse, and the connection goes on. Raises
        CallerError before the handshake is complete, after `shutdown`, in TLS 1.3, or where the configuration
        has `renegotiation` off; WantWriteError where more than a send window waits to be taken.
        """
        self._check()
        control = self._control
        if control.after is None or self.send_path.closed:
            raise CallerError("renegotiate needs an open connection whose handshake is complete")
        self._want_room()
        if not control.renegotiating:
            control.after.renegotiate(control)

    def verify_client_post_handshake(self) -> None:
        """SSL_verify_client_post_handshake(3): ask the client for a certificate now (RFC 9846 §4.7.2).

        Its answer is consumed by later reads; `getpeercert` has it then. Raises CallerError where the client
        did not offer it, before the handshake is complete, or after `shutdown`; WantWriteError where more
        than a send window waits to be taken.
        """
        self._check()
        after = self._control.after
        if after is None or self.send_path.closed:
            raise CallerError(
                "a certificate can be asked for on an open connection whose handshake is complete"
            )
        self._want_room()
        after.request_certificate(self._control)

    # ---- the public face: the memory carrier --------------------------------------------------------

    def bio_write(self, data: Buffer) -> int:
        """Put in bytes that came from the peer; returns their number. Held until calls consume them."""
        view = _flat(data)
        if self._error is None and not self._control.peer_closed:
            # RFC 9846 §6.1: what follows a closure alert is ignored.
            self.receive_path.append(view)
        return len(view)

    def bio_write_eof(self) -> None:
        """The peer's bytes have ended: without a close_notify before, reading raises TruncationError."""
        self.feed_eof()

    def bio_read(self, n: int = 65536) -> bytes:
        """Take out up to `n` bytes for the peer; empty where there are none."""
        if n < 0:
            raise ValueError("n must not be negative")
        send_path = self.send_path
        data = b""
        while len(data) < n and send_path.has_output:
            piece = bytes(send_path.output()[: n - len(data)])
            send_path.sent(len(piece))
            data += piece
        return data

    # ---- the driver's face --------------------------------------------------------------------------

    @property
    def sslcontext(self) -> Any:
        """What `get_extra_info("sslcontext")` gives: the configuration, or what stands for it."""
        return self.config

    @property
    def ssl_object(self) -> Any:
        """What `get_extra_info("ssl_object")` gives: this connection, or a face of it that applications know."""
        return self

    @property
    def handshake_complete(self) -> bool:
        return self._control.negotiated is not None

    @property
    def handled(self) -> int:
        """Records so far that were no application data."""
        return self._control.handled

    @property
    def can_half_close(self) -> bool:
        """Whether one direction may be closed and the other go on, which TLS 1.2 has not (RFC 5246 §7.2.1)."""
        return not self._control.tls12

    @property
    def peer_closed(self) -> bool:
        """Whether the peer's close_notify came."""
        return self._control.peer_closed

    @property
    def error(self) -> TLSError | None:
        """What ended the connection, None while it lives."""
        return self._error

    @property
    def state(self) -> str:
        """The handshake state's name (RFC 9846 appendix A): START, WAIT_SH, …, CONNECTED."""
        return self._control.state

    def start_handshake(self) -> None:
        """Queue a client's first flight; a server begins to wait. Idempotent. Raises TLSError."""
        self._check()
        if self._control.started:
            return
        try:
            handshake = negotiate(self._control, self.config, self.server_hostname, self._session)
            self._session = None
            self._control.start(handshake)
        except TLSError as exc:
            self.fail(exc)
            raise
        except Exception as exc:
            raise self.fail(exc) from exc

    def receive_into(self, out: memoryview) -> int:
        """Open application data into `out` (at least `OUT_ROOM` bytes) and serve whatever else comes.

        > 0: bytes; WANT_READ: nothing more to open, which includes a handshake that goes on; ZERO_RETURN: the
        peer's close_notify. Afterwards look at `send_path.has_output` and `handshake_complete`.
        Raises TLSError when the connection is over: the alert is queued, flush it and close.
        """
        if self._error is not None:
            raise self._error.again()
        control = self._control
        receive_path = self.receive_path
        try:
            while not control.peer_closed:
                count = receive_path.open_into(out)
                if count > 0:
                    return count
                if count != CONTROL:
                    if self._eof:
                        break
                    return count
                if not control.started:
                    self.start_handshake()
                control.handle(receive_path.content_type, receive_path.take_fragment())
            if control.peer_closed or (self.ignores_truncation and control.negotiated is not None):
                control.peer_closed = True
                receive_path.discard()
                return ZERO_RETURN
            raise TruncationError(
                "the connection ended without close_notify"
                + ("" if control.negotiated is not None else f" in the handshake (state {control.state})")
            )
        except CallerError as exc:
            # A callback of the application's, or the key it gave: the peer is told so much.
            raise self.fail(self._internal(exc)) from exc
        except TLSError as exc:
            self.fail(exc)
            raise _bare(exc) from exc.__cause__
        except Exception as exc:
            raise self.fail(exc) from exc

    def feed_eof(self) -> None:
        """The carrier has no more input."""
        self._eof = True

    def close_notify(self) -> None:
        """Queue close_notify, once; this direction is closed then."""
        send_path = self.send_path
        if send_path.closed or self._control.negotiated is None:
            return
        send_path.abandon()
        self._control.send_alert(AlertDescription.CLOSE_NOTIFY)
        send_path.closed = True

    def fail(self, exc: BaseException) -> TLSError:
        """End the connection: queue the error's alert, forget the keys, keep the cause.

        Returns the exception to raise. The one place that sends error alerts.
        """
        if self._error is not None:
            return exc if isinstance(exc, TLSError) else self._error.again()
        error = exc if isinstance(exc, TLSError) else self._internal(exc)
        kept = self._error = error.again()
        send_path = self.send_path
        send_path.abandon()
        try:
            if isinstance(kept, AlertReceived):
                # RFC 9846 §6: upon an error alert no further data is sent, not even what is sealed already.
                send_path.discard()
            elif not send_path.closed:
                self._say_why(kept)
        finally:
            send_path.closed = True
            send_path.rekey = None
            self._control.close()
        return error

    # ---- helpers --------------------------------------------------------------------------------------

    def _internal(self, exc: BaseException) -> InternalError:
        where = "in the handshake" if self._control.negotiated is None else "on an open connection"
        return InternalError(f"{type(exc).__name__} {where}: {exc}")

    def _say_why(self, error: TLSError) -> None:
        if error.alert is not None:
            self._control.send_alert(error.alert)
        elif isinstance(error, ZeroReturnError):
            # RFC 9846 §6.1: each party MUST send close_notify before it closes, also where the peer's came
            # in the handshake.
            self._control.send_alert(AlertDescription.CLOSE_NOTIFY)

    def _serve_control(self) -> None:
        """In a write: carry on a renegotiation, or begin one that the peer asks for (clauses W04, W09).

        TLS 1.2 shows what kind a record is of, so application data is opened only where it is in the way of a
        handshake; it is kept for `read`, up to a bound, at which the caller must read before the write goes on.
        """
        control, receive_path = self._control, self.receive_path
        scratch: memoryview | None = None
        while control.renegotiating or receive_path.typed_waits:
            if len(self._leftover) > KEPT_IN_WRITE:
                break
            if scratch is None:
                scratch = memoryview(bytearray(OUT_ROOM))
            count = self.receive_into(scratch)
            if count <= 0:
                break
            self._leftover += scratch[:count]

    def _want_room(self) -> None:
        """Raise WantWriteError where too much waits to be sent for more to be made."""
        if self.send_path.output_size > SEND_WINDOW:
            raise WantWriteError

    def _receive(self, out: memoryview) -> int:
        count = self.receive_into(out)
        if count == WANT_READ:
            raise WantReadError
        if count == ZERO_RETURN:
            raise ZeroReturnError
        return count

    def __repr__(self) -> str:
        role = "server" if isinstance(self.config, ServerConfig) else "client"
        state = f"failed: {self._error}" if self._error is not None else self.state
        return f"<TLSConnection {role} {state}>"


class ConnectionFactory:
    """What carriers take besides a configuration: something that makes the connections (the drop-in SSLContext)."""

    __slots__ = ()

    def new_connection(self, *, server_side: bool, server_hostname: str | None = None) -> TLSConnection:
        """A connection of that role; raises what the application's mistake in its settings calls for."""
        # Not an abstract class: its metaclass would not go with the one of `ssl.SSLContext`'s other subclasses.
        raise NotImplementedError

    @property
    def refusal(self) -> str | None:
        """Why it makes no connections and is to be left to others, in words; None where it does."""
        return None


def _bare(exc: TLSError) -> TLSError:
    """`exc` without the frames it passed, which hold secrets, the handshake, and so the connection.

    It is told by its message: what the peer did, and in which state.
    """
    if exc.__suppress_context__:
        exc.__context__ = None
    return exc.with_traceback(None)


def _flat(data: Buffer) -> memoryview:
    """A flat view of the bytes of any contiguous buffer (clause W01)."""
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None
    if not view.c_contiguous:
        raise BufferError("the buffer is not contiguous: write a copy of it, bytes(view)")
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")

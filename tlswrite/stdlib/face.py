"""A connection as `ssl.SSLObject` sees it.

`ssl.SSLObject` is a shell of Python around an object of OpenSSL's, which the context makes (`_wrap_bio`). Here the
context makes a `Face` in its place: it has the methods that the shell calls, over the engine. So what applications
get from `wrap_bio` is an `ssl.SSLObject`, not one that looks like it.

Errors are the engine's own, which stand under `ssl`'s classes; but where `ssl` has SSLEOFError, it must be no
SSLSyscallError at the same time: asyncio takes that for "try again".
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from tlswrite.connection import Buffer
from tlswrite.crypto import x509
from tlswrite.errors import (
    CallerError,
    TruncationError,
    WantReadError,
    WantWriteError,
    ZeroReturnError,
)
from tlswrite.iana import ContentType
from tlswrite.limits import MAX_CIPHERTEXT, RECORD_HEADER
from tlswrite.session import Session
from tlswrite.stdlib.connection import ContextConnection

__all__ = [
    "Face",
    "MemoryFace",
    "SSLObject",
    "facts_of",
    "set_session",
    "unexpected_eof",
    "unverified_chain",
    "verified_chain",
]

#: Plaintext thrown away at once while the peer's close_notify is waited for. Bytes.
_DISCARDED: Final = 65536

_TYPES: Final = frozenset(
    (
        ContentType.CHANGE_CIPHER_SPEC,
        ContentType.ALERT,
        ContentType.HANDSHAKE,
        ContentType.APPLICATION_DATA,
    )
)


def facts_of(connection: ContextConnection) -> SSLObject:
    """An `ssl.SSLObject` that tells of a connection which something else drives."""
    shell = SSLObject.__new__(SSLObject)
    shell._sslobj = Face(connection)
    return shell


class SSLObject(ssl.SSLObject):
    """What `SSLContext.wrap_bio` gives: the standard library's, and what it has in newer versions alone."""

    #: What the methods of `ssl.SSLObject` call.
    _sslobj: Any

    def get_verified_chain(self) -> list[bytes]:
        """The path by which the peer's certificate verified, the anchor last, in DER form."""
        return verified_chain(self._sslobj.connection) or []

    def get_unverified_chain(self) -> list[bytes]:
        """The certificates that the peer sent, in DER form."""
        return unverified_chain(self._sslobj.connection) or []

    def group(self) -> str | None:
        """The IANA name of the key exchange group; None before the handshake is complete."""
        group: str | None = self._sslobj.group()
        return group


class _Certificate:
    """What the shell asks for the DER form."""

    __slots__ = ("_der",)

    def __init__(self, der: bytes) -> None:
        self._der = der

    def public_bytes(self, format: int = 2) -> bytes | str:
        """DER (2, `_ssl.ENCODING_DER`) or PEM (1)."""
        return ssl.DER_cert_to_PEM_cert(self._der) if format == 1 else self._der


def unverified_chain(connection: ContextConnection) -> list[bytes] | None:
    """The certificates that the peer sent, in DER form; None before the handshake, or where it sent none."""
    facts = connection.negotiated
    return None if facts is None or not facts.peer_chain else list(facts.peer_chain)


def verified_chain(connection: ContextConnection) -> list[bytes] | None:
    """The path by which the peer's certificate verified, the anchor last; as `unverified_chain` where none did."""
    chain = unverified_chain(connection)
    if chain is None or connection.config.verify_mode == ssl.CERT_NONE:
        return chain
    config = connection.config
    anchors = config.trust_anchors
    if anchors is None:
        anchors = x509.TrustAnchors.system()
    if connection.server_side:
        path = x509.verify_client(chain, anchors)
    else:
        name = connection.server_hostname if getattr(config, "check_hostname", False) else None
        path = x509.verify_server(chain, anchors, name)
    return x509.der_chain(path)


def set_session(connection: ContextConnection, session: Any) -> None:
    """`ssl.SSLObject.session`: TypeError and ValueError as there."""
    if connection.server_side:
        raise ValueError("Cannot set session for server-side SSLSocket.")
    if not isinstance(session, Session):
        raise TypeError("Value is not a tlswrite.Session.")
    try:
        connection.session = session
    except CallerError as error:
        raise ValueError(f"Cannot set session after handshake: {error.message}") from None


def unexpected_eof(error: TruncationError) -> ssl.SSLEOFError:
    """What `ssl` raises for an end without close_notify; libraries go by its number, or by its name."""
    reason = "UNEXPECTED_EOF_WHILE_READING"
    ended = ssl.SSLEOFError(
        int(ssl.SSL_ERROR_EOF), f"[SSL: {reason}] EOF occurred in violation of protocol: {error.message}"
    )
    ended.library, ended.reason = "SSL", reason
    return ended


class Face:
    """What `ssl.SSLObject` asks of a connection; the calls that move bytes are for a `MemoryFace`."""

    __slots__ = ("connection",)

    def __init__(self, connection: ContextConnection) -> None:
        self.connection = connection

    # ---- facts --------------------------------------------------------------------------------------

    @property
    def context(self) -> Any:
        return self.connection.context

    @context.setter
    def context(self, context: Any) -> None:
        self.connection.switch(context)

    @property
    def session(self) -> Session | None:
        return self.connection.session

    @session.setter
    def session(self, session: Any) -> None:
        set_session(self.connection, session)

    @property
    def session_reused(self) -> bool:
        return self.connection.session_reused

    @property
    def server_side(self) -> bool:
        return self.connection.server_side

    @property
    def server_hostname(self) -> str | None:
        return self.connection.server_hostname

    def version(self) -> str | None:
        return self.connection.version()

    def cipher(self) -> tuple[str, str, int] | None:
        return self.connection.cipher()

    def group(self) -> str | None:
        return self.connection.group()

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        return self.connection.shared_ciphers()

    def compression(self) -> None:
        return None

    def selected_alpn_protocol(self) -> str | None:
        return self.connection.selected_alpn_protocol()

    def getpeercert(self, binary_form: bool = False) -> dict[str, Any] | bytes | None:
        return self.connection.getpeercert(bool(binary_form))

    def get_unverified_chain(self) -> list[_Certificate] | None:
        chain = unverified_chain(self.connection)
        return None if chain is None else [_Certificate(der) for der in chain]

    def get_verified_chain(self) -> list[_Certificate] | None:
        chain = verified_chain(self.connection)
        return None if chain is None else [_Certificate(der) for der in chain]

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        return self.connection.get_channel_binding(cb_type)

    # ---- what moves bytes ---------------------------------------------------------------------------

    def _not_here(self, *_: Any) -> Any:
        raise ValueError("this object tells of a connection that a transport drives: read and write there")

    do_handshake = read = write = pending = shutdown = verify_client_post_handshake = _not_here


class MemoryFace(Face):
    """A connection between two `ssl.MemoryBIO`s: bytes of the peer come out of one, and go into the other.

    One record after the other is taken in, and not before it is needed: what the peer sends behind its close_notify
    is not TLS any more, and stays where it is (`unwrap`).
    """

    __slots__ = ("_ended", "_held", "_incoming", "_outgoing")

    def __init__(
        self, connection: ContextConnection, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        super().__init__(connection)
        self._incoming = incoming
        self._outgoing = outgoing
        #: The beginning of a record.
        self._held = b""
        self._ended = False

    def do_handshake(self) -> None:
        """Raises SSLWantReadError where more must come in."""
        self._drive(self.connection.do_handshake)

    def read(self, len: int = 1024, buffer: Buffer | None = None) -> Any:
        """Up to `len` bytes, or so many of them in `buffer`; nothing at the peer's close_notify."""
        connection = self.connection
        call: Callable[[Any], Any]
        if buffer is None:
            if len < 0:
                raise ValueError("size should not be negative")
            call, argument, nothing = connection.read, cast(Any, len), cast(Any, b"")
        else:
            target = memoryview(buffer).cast("B")
            if 0 < len < target.nbytes:
                target = target[:len]
            call, argument, nothing = connection.read_into, target, 0
            if not target.nbytes:
                return 0
        if not connection.pending() and connection.handshake_complete:
            # Most often a record is there, and what follows needs no second try.
            self._next()
        try:
            return self._drive(call, argument)
        except ZeroReturnError:
            if connection.send_path.closed:
                raise
            return nothing

    def write(self, data: Buffer) -> int:
        """All of `data`; the outgoing BIO has no bounds. Raises SSLWantReadError in a handshake: then repeat it."""
        try:
            while True:
                try:
                    written: int = self._drive(self.connection.write, data)
                    return written
                except WantWriteError:
                    # What was sealed is in the outgoing BIO now, and there is room for more.
                    continue
        except CallerError as error:
            if self.connection.send_path.closed:
                error.reason = "PROTOCOL_IS_SHUTDOWN"
            raise

    def pending(self) -> int:
        return self.connection.pending()

    def shutdown(self) -> None:
        """close_notify, then the peer's: SSLWantReadError until that is there. Data in front of it is dropped."""
        connection = self.connection
        try:
            while not self._drive(connection.shutdown):
                self._drive(connection.read, _DISCARDED)
        except ZeroReturnError:
            pass

    def verify_client_post_handshake(self) -> None:
        self._drive(self.connection.verify_client_post_handshake)

    def _drive(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """`call`, with as much input as there is and as it wants; what it has to say goes out."""
        try:
            while True:
                try:
                    return call(*arguments)
                except WantReadError:
                    if not self._next():
                        raise
        except TruncationError as error:
            raise unexpected_eof(error) from None
        finally:
            self._give()

    def _next(self) -> bool:
        """Take in the next record; False where it is not all there. The end is taken in too."""
        incoming, held = self._incoming, self._held
        if len(held) < RECORD_HEADER:
            held += incoming.read(RECORD_HEADER - len(held))
        whole = False
        if len(held) >= RECORD_HEADER:
            size = RECORD_HEADER + int.from_bytes(held[3:5], "big")
            if len(held) < size:
                held += incoming.read(size - len(held))
            # What cannot become a record is refused by its header.
            whole = len(held) == size or size > RECORD_HEADER + MAX_CIPHERTEXT or held[0] not in _TYPES
        if whole:
            self._held = b""
            self.connection.bio_write(held)
            return True
        self._held = held
        if incoming.eof and not self._ended:
            self._ended = True
            self.connection.bio_write(held)
            self.connection.bio_write_eof()
            return True
        return False

    def _give(self) -> None:
        while output := self.connection.bio_read():
            self._outgoing.write(output)

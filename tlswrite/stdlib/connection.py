"""A connection that knows the context it was made by."""

from __future__ import annotations

import copy
import ssl
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tlswrite.codec import Reader
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.suites import SUITES
from tlswrite.errors import DecodeError, PeerError
from tlswrite.handshake.control import Control
from tlswrite.iana import AlertDescription, CipherSuite, HandshakeType, ProtocolVersion
from tlswrite.stdlib.settings import ignores_eof
from tlswrite.stdlib.stats import Stats

__all__ = ["ContextConnection", "with_sni_callback"]

#: `SSLContext.sni_callback`: the object, the client's server_name, the context it was accepted with.
SNICallback = Callable[[Any, str | None, Any], int | None]


_VERSIONS: Final = {ProtocolVersion.TLS_1_2: "TLSv1.2", ProtocolVersion.TLS_1_3: "TLSv1.3"}


class _CountingControl(Control):
    """Tells the context's statistics of handshakes, and remembers what a client offered of a server's suites."""

    __slots__ = ("_stats", "offered", "wanted")

    def __init__(
        self, send_path: Any, receive_path: Any, stats: Stats, wanted: tuple[CipherSuite, ...]
    ) -> None:
        super().__init__(send_path, receive_path)
        self._stats = stats
        #: A server's suites, and those of them that the client offers too.
        self.wanted = wanted
        self.offered: tuple[CipherSuite, ...] = ()

    def start(self, generator: Any) -> None:
        if self.negotiated is None:
            self._stats.started += 1
        super().start(generator)

    def _handle_message(self, message_type: int, raw: bytes) -> None:
        if message_type == HandshakeType.CLIENT_HELLO and self.wanted:
            offered = _suites_of(raw)
            self.offered = tuple(suite for suite in self.wanted if suite in offered)
        super()._handle_message(message_type, raw)

    def complete(self, result: Any, after: Any) -> None:
        again = self.negotiated is not None
        super().complete(result, after)
        self._stats.completed(again, result.session_reused)


def _suites_of(hello: bytes) -> frozenset[int]:
    """The cipher suites of a ClientHello (RFC 9846 §4.2.2); none of one that is malformed, which is refused."""
    reader = Reader(hello[4 + 2 + 32 :])
    try:
        reader.vector8()
        suites = reader.vector16()
    except DecodeError:
        return frozenset()
    return frozenset(int.from_bytes(suites[at : at + 2], "big") for at in range(0, len(suites), 2))


class ContextConnection(TLSConnection):
    """A TLSConnection of an SSLContext: what it shows of itself is what `ssl` shows."""

    __slots__ = ("_owner", "context")

    #: The `ssl.SSLObject` or `ssl.SSLSocket` that applications hold, where there is one.
    _owner: weakref.ref[Any] | None

    def __init__(self, context: Any, config: Any, server_hostname: str | None) -> None:
        super().__init__(config, server_hostname=server_hostname)
        self.context = context
        self._owner = None
        control = self._control
        self._control = _CountingControl(
            self.send_path,
            self.receive_path,
            context._stats_of(self),
            config.cipher_suites if self.server_side else (),
        )
        self._control.tls12_offered = control.tls12_offered

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        """A server's suites that the client offered too, best first; None for a client, and before its hello."""
        control = self._control
        assert isinstance(control, _CountingControl)
        if not control.offered:
            return None
        found = [SUITES[suite] for suite in control.offered]
        return [(each.openssl_name, _VERSIONS[each.version], each.key_length * 8) for each in found]

    @property
    def server_side(self) -> bool:
        return isinstance(self.config, ServerConfig)

    @property
    def ignores_truncation(self) -> bool:  # type: ignore[override]  # a constant of other connections
        return ignores_eof(self.context)

    @property
    def sslcontext(self) -> Any:
        return self.context

    @property
    def ssl_object(self) -> Any:
        """What applications hold, or else an `ssl.SSLObject` that tells of this connection and moves no bytes."""
        owner = None if self._owner is None else self._owner()
        if owner is not None:
            return owner
        return self.context._face_of(self)

    def owned_by(self, owner: Any) -> None:
        """Show `owner` to the SNI callback."""
        self._owner = weakref.ref(owner)

    def switch(self, context: Any) -> None:
        """Take another context (`ssl.SSLObject.context`): in the SNI callback, or before the handshake.

        Its certificates, anchors, suites and protocols count from then on; nothing that this connection was to
        verify is given up.
        """
        if not (isinstance(context, ssl.SSLContext) and hasattr(context, "_config")):
            raise TypeError("The value must be a tlswrite.SSLContext")
        if not self._control.started:
            config = _joined(self.config, context._config(self.server_side, self.config.mode))
            if isinstance(config, ClientConfig) and config.check_hostname and not self.server_hostname:
                raise ValueError("check_hostname requires server_hostname")
            self.config = config
            callback: SNICallback | None = context.sni_callback  # type: ignore[assignment]  # the name may be None
            if self.server_side and callback is not None:
                with_sni_callback(self, callback)
        self.context = context


def with_sni_callback(connection: ContextConnection, callback: SNICallback) -> None:
    """Ask `callback` when the ClientHello is there, as `ssl` does."""
    config = copy.copy(connection.config)
    reference = weakref.ref(connection)
    # The dataclass is frozen for applications: this copy is not shared yet.
    object.__setattr__(config, "sni_callback", lambda name: _ask(reference, callback, name))
    connection.config = config


def _joined(mine: Any, other: Any) -> Any:
    """`other` for a connection that was made with `mine`.

    SSL_set_SSL_CTX(3) changes the certificate and leaves the connection's SSL_VERIFY and its versions as they are:
    many a server demands certificates of clients by the context that it accepts with, and has others, with nothing
    but a certificate in them, for its names. So whatever one of the two is to verify is verified.
    """
    changes: dict[str, Any] = {
        "minimum_version": mine.minimum_version,
        "maximum_version": mine.maximum_version,
        "verify_mode": max(mine.verify_mode, other.verify_mode),
    }
    if isinstance(other, ClientConfig):
        changes["check_hostname"] = mine.check_hostname or other.check_hostname
    else:
        # A certificate that one of them wants in the handshake is not put off till later.
        asking = [each for each in (mine, other) if each.verify_mode != ssl.CERT_NONE]
        changes["post_handshake_auth"] = all(each.post_handshake_auth for each in asking or [other])
    if all(getattr(other, name) == value for name, value in changes.items()):
        return other
    return replace(other, **changes)


class _Refused(PeerError):
    """The application's SNI callback refused the name."""

    def __init__(self, name: str | None, alert: AlertDescription) -> None:
        super().__init__(f"the SNI callback refused {name!r}")
        self.alert = alert


def _ask(
    reference: weakref.ref[ContextConnection], callback: SNICallback, name: str | None
) -> ServerConfig | None:
    connection = reference()
    assert connection is not None  # it is what asks
    before = connection.context
    try:
        answer = callback(connection.ssl_object, name, before)
    except Exception as error:
        _report(error, callback)
        raise _Refused(name, AlertDescription.HANDSHAKE_FAILURE) from None
    if answer is not None:
        try:
            alert = AlertDescription(answer)
        except (TypeError, ValueError) as error:
            _report(error, callback)
            alert = AlertDescription.INTERNAL_ERROR
        raise _Refused(name, alert)
    if connection.context is before:
        return None
    mine = connection.config
    config: ServerConfig = _joined(mine, connection.context._server_config(mine.mode))
    connection.config = config
    return config


class _Raiser:
    """Raises an error again, and looks like the callback that raised it first."""

    def __init__(self, error: BaseException, callback: SNICallback) -> None:
        self._error = error
        self._callback = callback

    def __call__(self, _: Any) -> None:
        raise self._error

    def __repr__(self) -> str:
        return repr(self._callback)


class _Mortal:
    """Something to refer to weakly."""


def _report(error: BaseException, callback: SNICallback) -> None:
    """As `ssl` does with what a callback raises: the peer gets an alert, `sys.unraisablehook` is told here.

    The hook takes arguments that only the interpreter can make, which it does for callbacks of weak references.
    """
    mortal = _Mortal()
    reference = weakref.ref(mortal, _Raiser(error, callback))
    del mortal
    del reference

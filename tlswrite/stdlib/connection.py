"""A connection that knows the context it was made by."""

from __future__ import annotations

import copy
import ssl
import sys
import weakref
from collections.abc import Callable
from typing import Any

from tlswrite.config import ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.errors import PeerError
from tlswrite.handshake.control import Control
from tlswrite.iana import AlertDescription
from tlswrite.stdlib.settings import ignores_eof
from tlswrite.stdlib.stats import Stats

__all__ = ["ContextConnection", "with_sni_callback"]

#: `SSLContext.sni_callback`: the object, the client's server_name, the context it was accepted with.
SNICallback = Callable[[Any, str | None, Any], int | None]


class _CountingControl(Control):
    """Tells the context's statistics that a handshake is complete."""

    __slots__ = ("_stats",)

    def __init__(self, send_path: Any, receive_path: Any, stats: Stats) -> None:
        super().__init__(send_path, receive_path)
        self._stats = stats

    def complete(self, result: Any, after: Any) -> None:
        again = self.negotiated is not None
        super().complete(result, after)
        self._stats.completed(again, result.session_reused)


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
        self._control = _CountingControl(self.send_path, self.receive_path, context._stats_of(self))
        self._control.tls12_offered = control.tls12_offered

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
        """Take another context, in the SNI callback (`ssl.SSLObject.context`)."""
        if not (isinstance(context, ssl.SSLContext) and hasattr(context, "_server_config")):
            raise TypeError("The value must be a tlswrite.SSLContext")
        self.context = context


def with_sni_callback(connection: ContextConnection, callback: SNICallback) -> None:
    """Ask `callback` when the ClientHello is there, as `ssl` does."""
    config = copy.copy(connection.config)
    reference = weakref.ref(connection)
    # The dataclass is frozen for applications: this copy is not shared yet.
    object.__setattr__(config, "sni_callback", lambda name: _ask(reference, callback, name))
    connection.config = config


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
    config: ServerConfig = connection.context._server_config(connection.config.mode)
    return config


def _report(error: BaseException, callback: SNICallback) -> None:
    """As `ssl` does with what a callback raises: the peer gets an alert, the program is told here."""
    arguments: Any = sys.UnraisableHookArgs  # a struct sequence of the interpreter's
    sys.unraisablehook(arguments((type(error), error, error.__traceback__, None, callback)))

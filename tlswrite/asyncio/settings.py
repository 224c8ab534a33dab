"""What `ssl=` and its companions mean, in every function and loop method that takes them."""

from __future__ import annotations

import socket
import ssl as stdlib_ssl
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from tlswrite import limits
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import ConnectionFactory, TLSConnection

__all__ = [
    "check_stream_socket",
    "check_timeouts",
    "client_connection",
    "default_client_config",
    "refuse_without_ssl",
    "server_connections",
    "takes",
]


def takes(ssl: Any) -> bool:
    """Whether `ssl` is something to connect with here; anything else, None too, is the loop's own affair."""
    if isinstance(ssl, ConnectionFactory):
        return ssl.refusal is None
    return ssl is True or isinstance(ssl, ClientConfig | ServerConfig)


def client_connection(ssl: Any, server_hostname: str | bytes | None) -> TLSConnection:
    """A client's connection. `ssl` is True, a ClientConfig, or a context; an empty name is none.

    Raises TypeError for anything else, ConfigurationError or ValueError for settings that cannot work.
    """
    if isinstance(server_hostname, bytes):
        # As `ssl` takes it: the name in its A-label form.
        server_hostname = server_hostname.decode("ascii")
    name = server_hostname or None
    if name is not None and not isinstance(name, str):
        raise TypeError(f"server_hostname is a name or an address, a str, not {type(name).__name__}")
    if isinstance(ssl, ConnectionFactory) and ssl.refusal is None:
        return ssl.new_connection(server_side=False, server_hostname=name)
    if ssl is True:
        ssl = default_client_config()
    elif isinstance(ssl, ServerConfig):
        raise TypeError("ssl= got a ServerConfig, but this side is the client: give a ClientConfig")
    elif not isinstance(ssl, ClientConfig):
        raise TypeError(
            f"ssl= takes True, a tlswrite.ClientConfig or a tlswrite.SSLContext, not {_kind(ssl)}"
        )
    return TLSConnection(ssl, server_hostname=name)


def server_connections(ssl: Any) -> Callable[[], TLSConnection]:
    """What makes a server's connections. `ssl` is a ServerConfig, or a context; errors as `client_connection`."""
    if isinstance(ssl, ConnectionFactory) and ssl.refusal is None:
        make = partial(ssl.new_connection, server_side=True)
        # Settings that cannot work are found here, not by every client.
        make()
        return make
    if isinstance(ssl, ClientConfig):
        raise TypeError("ssl= got a ClientConfig, but this side is the server: give a ServerConfig")
    if not isinstance(ssl, ServerConfig):
        raise TypeError(f"ssl= takes a tlswrite.ServerConfig or a tlswrite.SSLContext, not {_kind(ssl)}")
    return partial(TLSConnection, ssl)


@cache
def default_client_config() -> ClientConfig:
    """What True means: one for all connections, so that they share its sessions."""
    return ClientConfig()


def check_timeouts(handshake: float | None, shutdown: float | None) -> tuple[float, float]:
    """The timeouts for handshake and shutdown, in seconds, with asyncio's defaults."""
    return (
        _check_timeout("ssl_handshake_timeout", handshake, limits.HANDSHAKE_TIMEOUT),
        _check_timeout("ssl_shutdown_timeout", shutdown, limits.SHUTDOWN_TIMEOUT),
    )


def refuse_without_ssl(
    server_hostname: str | None, handshake_timeout: float | None, shutdown_timeout: float | None
) -> None:
    """Raises ValueError where something was given that means nothing without TLS."""
    for name, value in (
        ("server_hostname", server_hostname),
        ("ssl_handshake_timeout", handshake_timeout),
        ("ssl_shutdown_timeout", shutdown_timeout),
    ):
        if value is not None:
            raise ValueError(f"{name} is only meaningful with ssl")


def check_stream_socket(sock: socket.socket) -> None:
    """Raises TypeError for a socket with TLS already, ValueError for one that is no stream."""
    if isinstance(sock, stdlib_ssl.SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")


def _check_timeout(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    try:
        # Not `<= 0`: a NaN is no time either, and would put a loop's timers out of order.
        positive = value > 0
    except TypeError:
        raise TypeError(f"{name} should be a positive number, not {type(value).__name__}") from None
    if not positive:
        raise ValueError(f"{name} should be a positive number, got {value}")
    return value


def _kind(ssl: Any) -> str:
    if isinstance(ssl, ConnectionFactory):
        return f"a context of which the loop itself must make connections: {ssl.refusal}"
    if isinstance(ssl, stdlib_ssl.SSLContext):
        return (
            "an ssl.SSLContext, whose settings cannot be read: make it with tlswrite.SSLContext or "
            "tlswrite.create_default_context"
        )
    return repr(ssl) if isinstance(ssl, bool) else type(ssl).__name__

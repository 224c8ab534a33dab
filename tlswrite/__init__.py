"""TLS for asyncio with OpenSSL's `SSL_write` semantics.

    reader, writer = await tlswrite.open_connection("example.org", 443, ssl=True)

The package, floor by floor; a file imports only from floors beneath its own:

    iana.py          code points under their IANA names
    compiled.py      words for the compiler of the optional build
    errors.py        exceptions; each knows its alert and its SSL_get_error code
    limits.py        record sizes, AEAD usage limits, defaults
    codec.py         reading and writing of TLS presentation language
    messages/        bytes <-> message objects
    crypto/          suites, AEAD, key derivation, groups, signatures, certificates
    transcript.py    the handshake's running hash
    session.py       sessions to resume, and a client's cache of them
    config.py        frozen configuration
    record/          protection, send path (the SSL_write contract), receive path
    handshake/       what all versions share: runner, control side, offer, selection
    tls13/  tls12/   client, server, key schedule, what comes after the handshake
    negotiate.py     which version's handshake to run
    connection.py    TLSConnection, the engine's public face
    asyncio/         transport, server, streams
    sync/            TLSSocket, the blocking carrier
    stdlib/          SSLContext for code written against `ssl`
    takeover.py      install(): for programs that know nothing of this package
    cli/             the `tlswrite` command

`import tlswrite` does not import asyncio: names that need it are looked up when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tlswrite.config import ClientConfig, Mode, ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.errors import (
    BadWriteRetry,
    CertificateError,
    SyscallError,
    TLSError,
    WantReadError,
    WantWriteError,
    ZeroReturnError,
)
from tlswrite.session import Session, SessionCache

if TYPE_CHECKING:
    from tlswrite.asyncio import (
        connect_accepted_socket,
        create_connection,
        create_server,
        create_unix_connection,
        create_unix_server,
        new_event_loop,
        open_connection,
        open_unix_connection,
        run,
        start_server,
        start_tls,
        start_unix_server,
    )
    from tlswrite.stdlib import SSLContext, create_default_context
    from tlswrite.sync import TLSSocket
    from tlswrite.takeover import install, uninstall

__all__ = [
    "BadWriteRetry",
    "CertificateError",
    "ClientConfig",
    "Mode",
    "SSLContext",
    "ServerConfig",
    "Session",
    "SessionCache",
    "SyscallError",
    "TLSConnection",
    "TLSError",
    "TLSSocket",
    "TicketKeys",
    "WantReadError",
    "WantWriteError",
    "ZeroReturnError",
    "connect_accepted_socket",
    "create_connection",
    "create_default_context",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "install",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "start_server",
    "start_tls",
    "start_unix_server",
    "uninstall",
]


def __getattr__(name: str) -> Any:
    """The names that need asyncio or sockets, on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ROOMS.get(name, "tlswrite.asyncio")), name)
    return value


#: Where the names are that are none of tlswrite.asyncio's.
_ROOMS = {
    "SSLContext": "tlswrite.stdlib",
    "TLSSocket": "tlswrite.sync",
    "create_default_context": "tlswrite.stdlib",
    "install": "tlswrite.takeover",
    "uninstall": "tlswrite.takeover",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

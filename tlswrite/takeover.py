"""`install()`: for programs that own neither their loop nor their context.

    import tlswrite
    tlswrite.install()      # before anything that says `from ssl import SSLContext`

From then on an `ssl.SSLContext` that is made is this package's, and every event loop, asyncio's selector loop and
uvloop's, takes the fast transport for it. Contexts that were made before stay as they were. A context that asks for
what cannot be had here stays on OpenSSL, and a `StaysOnOpenSSLWarning` says which and why.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from tlswrite.asyncio.loop import divert, undivert
from tlswrite.stdlib import InstalledContext

__all__ = ["install", "uninstall"]

_replaced: list[Any] = []


def install() -> None:
    """Put this package under everything that uses `ssl` and an event loop from now on. Idempotent."""
    if _replaced:
        return
    _replaced.append(ssl.SSLContext)
    ssl.SSLContext = InstalledContext  # type: ignore[misc]  # that is what it is for
    divert(asyncio.SelectorEventLoop)
    try:
        import uvloop
    except ImportError:
        return
    divert(uvloop.Loop)


def uninstall() -> None:
    """Undo `install`; contexts that were made meanwhile stay this package's."""
    if _replaced:
        ssl.SSLContext = _replaced.pop()  # type: ignore[misc]
        undivert()

"""Event loops whose own methods make the fast transport.

An application that never heard of this package calls `loop.create_connection(..., ssl=context)`. On a loop made
here, such a call goes to `tlswrite.create_connection` where the context is one of this package, and to the loop's
own method in every other case. So streams, `StreamWriter.start_tls` and every library on top of asyncio are served.

The methods are made for a class of loops, over the methods that it has: once as a subclass (`new_event_loop`), and
once put into the class itself for programs that do not choose their loop (`divert`, of which `tlswrite.install`
makes use).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from tlswrite.asyncio.connect import connect_accepted_socket, create_connection, create_unix_connection
from tlswrite.asyncio.sendfile import sendfile
from tlswrite.asyncio.server import create_server, create_unix_server
from tlswrite.asyncio.settings import takes
from tlswrite.asyncio.transport import Transport
from tlswrite.asyncio.upgrade import start_tls

__all__ = ["divert", "new_event_loop", "run", "undivert"]

_T = TypeVar("_T")
_Method = Callable[..., Coroutine[Any, Any, Any]]


def new_event_loop(*, uvloop: bool = False) -> asyncio.AbstractEventLoop:
    """A new event loop, asyncio's selector loop or uvloop's, that takes the fast transport where `ssl=` allows.

    Its `create_connection`, `create_server`, `create_unix_connection`, `create_unix_server`,
    `connect_accepted_socket` and `start_tls` do so where the context is True (clients), a configuration or a
    `tlswrite.SSLContext`; with anything else they are the loop's own. For `asyncio.Runner(loop_factory=...)`.

    Raises ImportError where uvloop is asked for and not installed.
    """
    return _loop_class(uvloop)()


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None, uvloop: bool = False) -> _T:
    """`asyncio.run` on a loop of `new_event_loop`."""
    with asyncio.Runner(debug=debug, loop_factory=lambda: new_event_loop(uvloop=uvloop)) as runner:
        return runner.run(main)


@functools.cache
def _loop_class(uvloop: bool) -> type[asyncio.AbstractEventLoop]:
    base: type[asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    if uvloop:
        try:
            import uvloop as uv
        except ImportError as error:
            raise ImportError("uvloop is not installed: pip install 'tlswrite[uvloop]'") from error
        base = uv.Loop
    return type("EventLoop", (base,), {"__module__": __name__, **_methods(base)})


# ---- the methods ------------------------------------------------------------------------------------

#: Those that take `ssl=`, by the name of the loop's method.
_WITH_SSL: Final[dict[str, _Method]] = {
    "create_connection": create_connection,
    "create_server": create_server,
    "create_unix_connection": create_unix_connection,
    "create_unix_server": create_unix_server,
    "connect_accepted_socket": connect_accepted_socket,
}


def _methods(base: type[asyncio.AbstractEventLoop]) -> dict[str, _Method]:
    """The methods that make the fast transport, over those that `base` has."""
    methods = {name: _with_ssl(ours, getattr(base, name)) for name, ours in _WITH_SSL.items()}
    return {
        **methods,
        "start_tls": _start_tls(base.start_tls),
        "sendfile": _sendfile(base.sendfile),
    }


def _with_ssl(ours: _Method, theirs: _Method) -> _Method:
    @functools.wraps(theirs)
    async def method(self: Any, *args: Any, ssl: Any = None, **kwds: Any) -> Any:
        if takes(ssl):
            return await ours(*args, ssl=ssl, **kwds)
        return await theirs(self, *args, ssl=ssl, **kwds)

    return method


def _start_tls(theirs: _Method) -> _Method:
    @functools.wraps(theirs)
    async def method(self: Any, transport: Any, protocol: Any, sslcontext: Any, **kwds: Any) -> Any:
        # True is for connections that are made, not for one that is there: asyncio refuses it.
        if sslcontext is not True and takes(sslcontext):
            return await start_tls(transport, protocol, sslcontext, **kwds)
        return await theirs(self, transport, protocol, sslcontext, **kwds)

    return method


def _sendfile(theirs: _Method) -> _Method:
    @functools.wraps(theirs)
    async def method(self: Any, transport: Any, file: Any, *args: Any, **kwds: Any) -> Any:
        if isinstance(transport, Transport):
            return await sendfile(transport, file, *args, **kwds)
        return await theirs(self, transport, file, *args, **kwds)

    return method


# ---- loops that are there already ---------------------------------------------------------------------

#: What `divert` replaced, by class.
_originals: dict[type[asyncio.AbstractEventLoop], dict[str, Any]] = {}


def divert(base: type[asyncio.AbstractEventLoop]) -> None:
    """Let all loops of a class, those that exist too, take the fast transport. Idempotent."""
    if base not in _originals:
        methods = _methods(base)
        _originals[base] = {name: base.__dict__.get(name) for name in methods}
        for name, method in methods.items():
            setattr(base, name, method)


def undivert() -> None:
    """Give every class its own methods back."""
    while _originals:
        base, methods = _originals.popitem()
        for name, method in methods.items():
            if method is None:
                delattr(base, name)
            else:
                setattr(base, name, method)

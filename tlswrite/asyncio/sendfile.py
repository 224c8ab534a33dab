"""`loop.sendfile` for TLS transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from tlswrite.asyncio.transport import Transport

__all__ = ["sendfile"]

#: Read from the file, and given to the transport, at once. Bytes.
_BLOCK: Final = 256 * 1024


async def sendfile(
    transport: Transport, file: Any, offset: int = 0, count: int | None = None, *, fallback: bool = True
) -> int:
    """Send a file, or `count` bytes of it from `offset` on; returns the number of bytes that the socket took.

    The system's sendfile(2) cannot encrypt: the file is read in a thread and written. Reading goes on meanwhile,
    and what is written meanwhile goes between two blocks. The file's position is behind the last byte sent, also
    where the connection is lost or the call is cancelled.

    Raises RuntimeError for a transport that closes or with `fallback` off, ValueError and TypeError for a file or
    numbers that cannot be, and what ended the connection.
    """
    if transport.is_closing():
        raise RuntimeError("Transport is closing")
    if not fallback:
        raise RuntimeError(
            f"fallback is disabled and native sendfile is not supported for transport {transport!r}"
        )
    _check(file, offset, count)
    loop = asyncio.get_running_loop()
    sent = 0
    sending = None
    try:
        await _in_thread(loop, file.seek, offset)
        while count is None or sent < count:
            size = _BLOCK if count is None else min(_BLOCK, count - sent)
            block = await _in_thread(loop, file.read, size)
            if not block:
                break
            sending = transport.sendall(block)
            await sending
            sent += len(block)
            sending = None
        return sent
    finally:
        if sending is not None:
            sent += sending.committed
        file.seek(offset + sent)


async def _in_thread(loop: asyncio.AbstractEventLoop, call: Callable[[int], Any], argument: int) -> Any:
    """`call` in a thread. Cancelled, it ends when the thread has let go of the file, whose position it moves."""
    running = loop.run_in_executor(None, call, argument)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _check(file: Any, offset: int, count: int | None) -> None:
    """asyncio's own checks."""
    if "b" not in getattr(file, "mode", "b"):
        raise ValueError("file should be opened in binary mode")
    for name, value in (("offset", offset), ("count", count)):
        if value is not None and not isinstance(value, int):
            raise TypeError(f"{name} must be a non-negative integer (got {value!r})")
    if offset < 0:
        raise ValueError(f"offset must be a non-negative integer (got {offset!r})")
    if count is not None and count <= 0:
        raise ValueError(f"count must be a positive integer (got {count!r})")

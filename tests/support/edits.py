"""Edits of handshake messages: what a hostile peer says instead (see `hostile`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tlswrite.iana import HandshakeType
from tlswrite.messages.framing import MESSAGES, frame

#: A message, header included -> the messages that are said instead.
Edit = Callable[[bytes], bytes | Sequence[bytes]]


def same(message: bytes) -> bytes:
    return message


def dropped(message: bytes) -> list[bytes]:
    return []


def twice(message: bytes) -> list[bytes]:
    return [message, message]


def truncated(message: bytes) -> bytes:
    """One byte less, with a header that says so."""
    return frame(message[0], message[4:-1])


def trailed(message: bytes) -> bytes:
    """One byte more, with a header that says so."""
    return frame(message[0], message[4:] + b"\0")


def instead(*others: bytes) -> Edit:
    return lambda message: others


def behind(*others: bytes) -> Edit:
    return lambda message: (message, *others)


def setting(**fields: Any) -> Edit:
    """The message with other fields."""
    return lambda message: replace(_parsed(message), **fields).encode()


def with_extension(code: int, data: bytes | None) -> Edit:
    """The message with an extension set, added at the end, or left out (None)."""

    def edit(message: bytes) -> bytes:
        parsed = _parsed(message)
        kept = [entry for entry in parsed.extensions if entry[0] != code]
        if data is not None:
            kept.append((code, data))
        return replace(parsed, extensions=tuple(kept)).encode()

    return edit


def adding(*extensions: tuple[int, bytes]) -> Edit:
    """The message with more extensions at the end, whatever it has already."""

    def edit(message: bytes) -> bytes:
        parsed = _parsed(message)
        return replace(parsed, extensions=(*parsed.extensions, *extensions)).encode()

    return edit


def _parsed(message: bytes) -> Any:
    return MESSAGES[HandshakeType(message[0])].parse(message[4:])

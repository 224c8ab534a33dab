"""A port for a program that cannot tell which one it was given."""

from __future__ import annotations

import secrets
import socket

# The kernel hands the ports above these to whoever connects or asks for any port: one of those may be taken by
# another test between our look and the program's start.
_FIRST, _LAST = 12_000, 32_000


def free_port() -> int:
    """A port, free on every address just now, that nobody is given by chance; drawn at random, since other
    processes draw too."""
    while True:
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port

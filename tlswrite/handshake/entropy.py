"""Where randomness and the time come from, as one replaceable object.

Everything in a handshake that is not determined by its input passes through here. Published traces
(RFC 8448) are replayed by an object that hands out the trace's values in place of `SYSTEM`.
"""

from __future__ import annotations

import os
import time
from typing import Final, Protocol

from tlswrite.crypto import groups, signatures
from tlswrite.crypto.groups import KeyShare
from tlswrite.crypto.signatures import PrivateKey

__all__ = ["SYSTEM", "Entropy"]


class Entropy(Protocol):
    """The random choices of a handshake."""

    def random(self, size: int) -> bytes:
        """`size` bytes from a secure random number generator (RFC 9846 §C.1)."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def generate(self, group: int) -> KeyShare:
        """A client's fresh key share."""

    def respond(self, group: int, client_public: bytes) -> tuple[bytes, bytes]:
        """A server's key_exchange field for a client's, and the shared secret; raises IllegalParameter."""

    def sign(self, private_key: PrivateKey, scheme: int, data: bytes) -> bytes:
        """A signature, which for most schemes is randomised."""


class _System:
    __slots__ = ()
    random = staticmethod(os.urandom)
    time = staticmethod(time.time)
    generate = staticmethod(groups.generate)
    respond = staticmethod(groups.respond)
    sign = staticmethod(signatures.sign)


#: The operating system's generator, and fresh keys.
SYSTEM: Final[Entropy] = _System()

"""The running transcript hash (RFC 9846 §4.1, "The Transcript Hash").

Which hash it is becomes known with the cipher suite. What comes before that is one ClientHello, which is
kept until `start`; from there on each message is hashed once, as it is sent or received.
"""

from __future__ import annotations

from tlswrite.crypto.kdf import Hash, new_hash
from tlswrite.messages.finish import message_hash

__all__ = ["Transcript"]


class Transcript:
    """Hash over the handshake messages so far: with their own headers, without those of records."""

    __slots__ = ("_early", "_hash", "_hash_name")

    def __init__(self) -> None:
        self._early = b""
        self._hash_name = ""
        self._hash: Hash | None = None

    def add(self, raw: bytes) -> None:
        """Append one message with its 4-byte header."""
        if self._hash is None:
            self._early += raw
        else:
            self._hash.update(raw)

    def start(self, hash_name: str) -> None:
        """The suite is chosen: go on with its hash."""
        self._hash_name = hash_name
        self._hash = new_hash(hash_name)
        self._hash.update(self._early)
        self._early = b""

    def retry(self) -> None:
        """A HelloRetryRequest follows: ClientHello1 is replaced by its hash.

        RFC 9846 §4.1: message_hash || 00 00 Hash.length || Hash(ClientHello1) || HelloRetryRequest || ...
        """
        digest = self.digest()
        self._hash = new_hash(self._hash_name)
        self._hash.update(message_hash(digest))

    def digest(self) -> bytes:
        """Transcript-Hash of all messages so far."""
        assert self._hash is not None, "the suite is not chosen yet"
        return self._hash.digest()

    def fork(self) -> Transcript:
        """A copy that goes its own way (post-handshake authentication, RFC 9846 §4.7.2)."""
        assert self._hash is not None, "the suite is not chosen yet"
        twin = Transcript()
        twin._hash_name = self._hash_name
        twin._hash = self._hash.copy()
        return twin

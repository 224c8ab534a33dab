"""The secrets of TLS 1.2: main secret, key block, Finished, exporters (RFC 5246 §5, §6.3, §8.1).

RFC 9846 speaks of the main secret where RFC 5246 said "master secret"; the labels keep the old word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tlswrite.crypto.kdf import compare
from tlswrite.crypto.prf import prf
from tlswrite.crypto.suites import Suite
from tlswrite.errors import DecodeError, DecryptError

__all__ = [
    "CLIENT_FINISHED",
    "SERVER_FINISHED",
    "KeyBlock",
    "MainSecret",
    "extended_main_secret",
    "finished_data",
    "key_block",
    "main_secret",
    "verify_finished",
]

MAIN_SECRET: Final = b"master secret"
EXTENDED_MAIN_SECRET: Final = b"extended master secret"
KEY_EXPANSION: Final = b"key expansion"
CLIENT_FINISHED: Final = b"client finished"
SERVER_FINISHED: Final = b"server finished"

_MAIN_SECRET_LENGTH: Final = 48
_VERIFY_DATA_LENGTH: Final = 12


class MainSecret:
    """A main secret, with what exporters need besides; it lives as long as its connection.

    `extended` tells whether it is bound to the handshake that made it (RFC 7627).
    """

    __slots__ = ("client_random", "extended", "secret", "server_random", "suite")

    def __init__(
        self, suite: Suite, secret: bytes, client_random: bytes, server_random: bytes, extended: bool
    ) -> None:
        self.suite: Final = suite
        self.secret: Final = secret
        self.client_random: Final = client_random
        self.server_random: Final = server_random
        self.extended: Final = extended

    def __repr__(self) -> str:
        return f"<MainSecret {self.suite.name}>"

    def export(self, label: bytes, length: int, context: bytes | None) -> bytes:
        """Exported keying material (RFC 5705 §4), `length` bytes; no context is not an empty one."""
        seed = self.client_random + self.server_random
        if context is not None:
            seed += len(context).to_bytes(2, "big") + context
        return prf(self.suite.hash_name, self.secret, label, seed, length)


@dataclass(frozen=True)
class KeyBlock:
    """Write keys and the fixed parts of the nonces (RFC 5246 §6.3)."""

    client_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    client_iv: bytes = field(repr=False)
    server_iv: bytes = field(repr=False)


def main_secret(suite: Suite, shared_secret: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """The main secret of a handshake without the extension (RFC 5246 §8.1), 48 bytes."""
    seed = client_random + server_random
    return prf(suite.hash_name, shared_secret, MAIN_SECRET, seed, _MAIN_SECRET_LENGTH)


def extended_main_secret(suite: Suite, shared_secret: bytes, session_hash: bytes) -> bytes:
    """The extended main secret (RFC 7627 §4), 48 bytes; the hash is of ClientHello...ClientKeyExchange."""
    return prf(suite.hash_name, shared_secret, EXTENDED_MAIN_SECRET, session_hash, _MAIN_SECRET_LENGTH)


def key_block(main: MainSecret) -> KeyBlock:
    """The keys of one handshake; an AEAD has no MAC keys (RFC 5246 §6.3)."""
    suite = main.suite
    key, iv = suite.key_length, suite.iv_length
    seed = main.server_random + main.client_random
    block = prf(suite.hash_name, main.secret, KEY_EXPANSION, seed, 2 * (key + iv))
    return KeyBlock(block[:key], block[key : 2 * key], block[2 * key : 2 * key + iv], block[2 * key + iv :])


def finished_data(main: MainSecret, label: bytes, transcript_hash: bytes) -> bytes:
    """verify_data of a Finished (RFC 5246 §7.4.9), 12 bytes."""
    return prf(main.suite.hash_name, main.secret, label, transcript_hash, _VERIFY_DATA_LENGTH)


def verify_finished(main: MainSecret, label: bytes, transcript_hash: bytes, verify_data: bytes) -> None:
    """Raises DecryptError where a peer's verify_data is not what it must be, DecodeError for its length."""
    if len(verify_data) != _VERIFY_DATA_LENGTH:
        raise DecodeError(f"a Finished of {len(verify_data)} bytes instead of {_VERIFY_DATA_LENGTH}")
    if not compare(verify_data, finished_data(main, label, transcript_hash)):
        # RFC 5246 §7.4.9: recipients MUST verify that the contents are correct; §7.2.2: "decrypt_error".
        raise DecryptError("the peer's Finished does not verify: somebody altered the handshake")

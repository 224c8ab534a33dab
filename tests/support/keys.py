"""Private keys of every kind, good ones and those that may sign nothing, each made once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tlswrite.crypto.selfsigned import KEY_TYPES
from tlswrite.crypto.signatures import PSSPrivateKey


@cache
def private_key(name: str) -> Any:
    """One of `KEY_TYPES`, "rsa1024", "secp256k1", or an RSA key for PSS alone: "pss", "pss_<hash>", "pss1024"."""
    if name == "pss1024":
        return PSSPrivateKey(private_key("rsa1024"), None)
    if name.startswith("pss"):
        return PSSPrivateKey(private_key("rsa"), name.partition("_")[2] or None)
    if name == "rsa1024":
        return rsa.generate_private_key(65537, 1024)
    if name == "secp256k1":
        return ec.generate_private_key(ec.SECP256K1())
    return KEY_TYPES[name]()


def damaged(signature: bytes, content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Signatures and contents that do not go together, for one pair that does."""
    altered = bytearray(signature)
    altered[len(signature) // 2] ^= 1
    yield signature, content.swapcase()
    yield bytes(altered), content
    yield signature[:-1], content
    yield signature + b"\x00", content
    yield b"", content

"""The pseudorandom function of TLS 1.2 (RFC 5246 §5), over HMAC with the hash of the cipher suite."""

from __future__ import annotations

from tlswrite.crypto.kdf import hmac_digest

__all__ = ["prf"]


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """PRF(secret, label, seed), `length` bytes: P_hash(secret, label + seed)."""
    seed = label + seed
    block = seed  # A(0)
    output = b""
    while len(output) < length:
        block = hmac_digest(hash_name, secret, block)  # A(i) = HMAC_hash(secret, A(i-1))
        output += hmac_digest(hash_name, secret, block + seed)
    return output[:length]

"""The pseudorandom function of TLS 1.2 (RFC 5246 §5), over HMAC with the hash of the cipher suite."""

from __future__ import annotations

from cryptography.hazmat.primitives.hmac import HMAC

from tlswrite.crypto.kdf import hmac_key

__all__ = ["prf"]


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """PRF(secret, label, seed), `length` bytes: P_hash(secret, label + seed)."""
    keyed = hmac_key(hash_name, secret)
    seed = label + seed
    block = seed  # A(0)
    output = b""
    while len(output) < length:
        block = _finish(keyed, block)  # A(i) = HMAC_hash(secret, A(i-1))
        output += _finish(keyed, block + seed)
    return output[:length]


def _finish(keyed: HMAC, data: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(data)
    return mac.finalize()

"""Record paths that share a key, and helpers to take them apart."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tlswrite import limits
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.iana import CipherSuite
from tlswrite.record.protection import Opener, Padding, Sealer, TLS13Opener, TLS13Sealer
from tlswrite.record.protection12 import TLS12Opener, TLS12Sealer
from tlswrite.record.receive import OUT_ROOM, ReceivePath
from tlswrite.record.send import SendPath

AES_128: Suite = SUITES[CipherSuite.TLS_AES_128_GCM_SHA256]
#: One of TLS 1.2, which sends a part of each nonce.
ECDHE_AES_128: Suite = SUITES[CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
IV = bytes(range(12))


def key_for(suite: Suite, seed: int = 0) -> bytes:
    return bytes((seed + at) % 256 for at in range(suite.key_length))


def sealer(
    suite: Suite = AES_128,
    *,
    max_inner: int = limits.MAX_PLAINTEXT + 1,
    padding: Padding | None = None,
    record_limit: int | None = None,
    seed: int = 0,
) -> TLS13Sealer:
    return TLS13Sealer(
        suite, key_for(suite, seed), IV, max_inner=max_inner, padding=padding, record_limit=record_limit
    )


def opener(
    suite: Suite = AES_128, *, max_inner: int = limits.MAX_PLAINTEXT + 1, seed: int = 0
) -> TLS13Opener:
    return TLS13Opener(suite, key_for(suite, seed), IV, max_inner=max_inner)


def sealer12(
    suite: Suite = ECDHE_AES_128,
    *,
    max_content: int = limits.MAX_PLAINTEXT,
    record_limit: int | None = None,
    seed: int = 0,
) -> TLS12Sealer:
    return TLS12Sealer(
        suite,
        key_for(suite, seed),
        IV[: suite.iv_length],
        max_content=max_content,
        record_limit=record_limit,
    )


def opener12(
    suite: Suite = ECDHE_AES_128, *, max_content: int = limits.MAX_PLAINTEXT, seed: int = 0
) -> TLS12Opener:
    return TLS12Opener(suite, key_for(suite, seed), IV[: suite.iv_length], max_content=max_content)


def send_path(
    *, partial: bool = False, moving: bool = False, make: Callable[..., Sealer] = sealer, **kinds: Any
) -> SendPath:
    path = SendPath(partial=partial, moving=moving)
    path.set_protection(make(**kinds))
    return path


def receive_path(make: Callable[..., Opener] = opener, **kinds: Any) -> ReceivePath:
    path = ReceivePath()
    path.set_protection(make(**kinds))
    path.application_data_allowed = True
    return path


#: The same, under a key of TLS 1.2.
send_path12 = functools.partial(send_path, make=sealer12)
receive_path12 = functools.partial(receive_path, opener12)


def take(path: SendPath) -> bytes:
    """All of the output, as a carrier that takes everything would."""
    taken = b""
    while path.has_output:
        piece = bytes(path.output())
        path.sent(len(piece))
        taken += piece
    return taken


def split(stream: bytes) -> list[bytes]:
    """The records of a stream, headers included."""
    records = []
    while stream:
        size = 5 + int.from_bytes(stream[3:5], "big")
        assert len(stream) >= size, "an incomplete record"
        records.append(stream[:size])
        stream = stream[size:]
    return records


def open_all(path: ReceivePath, stream: bytes = b"") -> bytes:
    """Append `stream` and open application data until more is needed."""
    path.append(stream)
    out = memoryview(bytearray(4 * OUT_ROOM))
    opened = b""
    while (count := path.open_into(out)) > 0:
        opened += bytes(out[:count])
    return opened

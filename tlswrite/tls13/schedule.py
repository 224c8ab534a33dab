"""The key schedule (RFC 9846 §7): secrets, traffic keys, Finished, exporters.

A schedule is one secret that is replaced step by step, early -> handshake -> main, and leaves behind the
secrets that hang on its right side in the RFC's diagram. Nothing is derived that is not used: without a
pre-shared key the early secret is a constant of the hash, and so is what is derived from it.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from tlswrite.crypto.kdf import (
    compare,
    hash_empty,
    hkdf_expand_label,
    hkdf_expand_labels,
    hkdf_extract,
    hmac_digest,
    new_hash,
)
from tlswrite.crypto.suites import Suite
from tlswrite.errors import DecodeError, DecryptError

__all__ = [
    "EarlySecrets",
    "KeySchedule",
    "binder_mac",
    "derive_secret",
    "export",
    "finished_mac",
    "next_application_secret",
    "resumption_psk",
    "traffic_keys",
    "verify_binder",
    "verify_finished",
]

# Labels of RFC 9846 §7.1 to §7.3; they say "master" where the text says "main".
DERIVED: Final = b"derived"
CLIENT_HANDSHAKE_TRAFFIC: Final = b"c hs traffic"
SERVER_HANDSHAKE_TRAFFIC: Final = b"s hs traffic"
CLIENT_APPLICATION_TRAFFIC: Final = b"c ap traffic"
SERVER_APPLICATION_TRAFFIC: Final = b"s ap traffic"
EXPORTER_MAIN: Final = b"exp master"
RESUMPTION_MAIN: Final = b"res master"
RESUMPTION_BINDER: Final = b"res binder"
RESUMPTION: Final = b"resumption"
FINISHED: Final = b"finished"
KEY: Final = b"key"
IV: Final = b"iv"
TRAFFIC_UPDATE: Final = b"traffic upd"
EXPORTER: Final = b"exporter"


class KeySchedule:
    """The secrets of one handshake; `enter_handshake`, then `enter_application`, in that order.

    `early` comes from the pre-shared key of a session that is resumed.
    """

    __slots__ = (
        "_early_derived",
        "_secret",
        "client_application",
        "client_handshake",
        "exporter",
        "server_application",
        "server_handshake",
        "suite",
    )

    def __init__(self, suite: Suite, early: EarlySecrets | None = None) -> None:
        self.suite = suite
        self._early_derived = _early_derived(suite.hash_name) if early is None else early.derived
        self._secret = b""
        self.client_handshake = b""
        self.server_handshake = b""
        self.client_application = b""
        self.server_application = b""
        self.exporter = b""

    def enter_handshake(self, shared_secret: bytes, transcript_hash: bytes) -> None:
        """Handshake Secret and its traffic secrets; the transcript is ClientHello...ServerHello."""
        name = self.suite.hash_name
        secret = hkdf_extract(name, self._early_derived, shared_secret)
        size = self.suite.hash_length
        # Three times Derive-Secret.
        self.client_handshake, self.server_handshake, self._secret = hkdf_expand_labels(
            name,
            secret,
            (
                (CLIENT_HANDSHAKE_TRAFFIC, transcript_hash, size),
                (SERVER_HANDSHAKE_TRAFFIC, transcript_hash, size),
                (DERIVED, hash_empty(name), size),
            ),
        )

    def enter_application(self, transcript_hash: bytes) -> None:
        """Main Secret and what hangs on it; the transcript is ClientHello...server Finished."""
        name = self.suite.hash_name
        size = self.suite.hash_length
        secret = hkdf_extract(name, self._secret, bytes(size))
        self.client_application, self.server_application, self.exporter = hkdf_expand_labels(
            name,
            secret,
            (
                (CLIENT_APPLICATION_TRAFFIC, transcript_hash, size),
                (SERVER_APPLICATION_TRAFFIC, transcript_hash, size),
                (EXPORTER_MAIN, transcript_hash, size),
            ),
        )
        self._secret = secret

    def resumption(self, transcript_hash: bytes) -> bytes:
        """resumption_secret; the transcript is ClientHello...client Finished."""
        return derive_secret(self.suite.hash_name, self._secret, RESUMPTION_MAIN, transcript_hash)


class EarlySecrets:
    """What hangs on the Early Secret of a pre-shared key: the key of its binder, and where the schedule goes on."""

    __slots__ = ("binder_key", "derived")

    def __init__(self, suite: Suite, psk: bytes) -> None:
        name, size = suite.hash_name, suite.hash_length
        secret = hkdf_extract(name, bytes(size), psk)
        nothing = hash_empty(name)
        self.binder_key, self.derived = hkdf_expand_labels(
            name, secret, ((RESUMPTION_BINDER, nothing, size), (DERIVED, nothing, size))
        )


def derive_secret(hash_name: str, secret: bytes, label: bytes, transcript_hash: bytes) -> bytes:
    """Derive-Secret (RFC 9846 §7.1) over messages whose hash is `transcript_hash`."""
    return hkdf_expand_label(hash_name, secret, label, transcript_hash, len(transcript_hash))


def traffic_keys(suite: Suite, secret: bytes) -> tuple[bytes, bytes]:
    """Write key and write IV of a traffic secret (RFC 9846 §7.3)."""
    key, iv = hkdf_expand_labels(
        suite.hash_name, secret, ((KEY, b"", suite.key_length), (IV, b"", suite.iv_length))
    )
    return key, iv


def next_application_secret(suite: Suite, secret: bytes) -> bytes:
    """application_traffic_secret_N+1 (RFC 9846 §7.2)."""
    return hkdf_expand_label(suite.hash_name, secret, TRAFFIC_UPDATE, b"", suite.hash_length)


def finished_mac(suite: Suite, base_key: bytes, transcript_hash: bytes) -> bytes:
    """verify_data of a Finished (RFC 9846 §4.5.3)."""
    name = suite.hash_name
    finished_key = hkdf_expand_label(name, base_key, FINISHED, b"", suite.hash_length)
    return hmac_digest(name, finished_key, transcript_hash)


def verify_finished(suite: Suite, base_key: bytes, transcript_hash: bytes, verify_data: bytes) -> None:
    """Raises DecryptError where a peer's verify_data is not what it must be, DecodeError for its length."""
    if len(verify_data) != suite.hash_length:
        # RFC 9846 §4.5.3: opaque verify_data[Hash.length]; §6: a wrong length is a "decode_error".
        raise DecodeError(f"a Finished of {len(verify_data)} bytes instead of {suite.hash_length}")
    if not compare(verify_data, finished_mac(suite, base_key, transcript_hash)):
        # RFC 9846 §4.5.3: recipients MUST verify, and MUST terminate with "decrypt_error".
        raise DecryptError("the peer's Finished does not verify: somebody altered the handshake")


def export(suite: Suite, exporter_secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """TLS-Exporter (RFC 9846 §7.5): `length` bytes; no context is the same as an empty one."""
    name = suite.hash_name
    context_hash = new_hash(name)
    context_hash.update(context)
    secret = derive_secret(name, exporter_secret, label, hash_empty(name))
    return hkdf_expand_label(name, secret, EXPORTER, context_hash.digest(), length)


def resumption_psk(suite: Suite, resumption_secret: bytes, nonce: bytes) -> bytes:
    """The pre-shared key of a ticket (RFC 9846 §4.7.1); `nonce` is its ticket_nonce."""
    return hkdf_expand_label(suite.hash_name, resumption_secret, RESUMPTION, nonce, suite.hash_length)


def binder_mac(suite: Suite, early: EarlySecrets, transcript_hash: bytes) -> bytes:
    """The binder of a resumption key (RFC 9846 §4.3.11.2); the transcript ends with the truncated ClientHello."""
    return finished_mac(suite, early.binder_key, transcript_hash)


def verify_binder(suite: Suite, early: EarlySecrets, transcript_hash: bytes, binder: bytes) -> None:
    """Raises DecryptError where a client's binder is not what it must be."""
    if not compare(binder, binder_mac(suite, early, transcript_hash)):
        # RFC 9846 §4.3.11: a binder that does not validate: MUST abort; §6.2: "decrypt_error".
        raise DecryptError("the binder of the client's pre-shared key does not verify")


@cache
def _early_derived(hash_name: str) -> bytes:
    """Derive-Secret(Early Secret, "derived", "") without a pre-shared key: nothing in it is secret."""
    nothing = hash_empty(hash_name)
    zeros = bytes(len(nothing))
    # RFC 9846 §7.1: without a PSK the Early Secret is still HKDF-Extract(0, 0).
    return derive_secret(hash_name, hkdf_extract(hash_name, zeros, zeros), DERIVED, nothing)

"""Session tickets that only the server can read: a session sealed under keys that rotate by time.

A ticket (RFC 5077 §4, in a layout of our own) is `name(16) || salt(16) || ciphertext || tag(16)`. The name tells
the period whose key sealed it, and which secret's. The AEAD, AES-256-GCM, has a key and a nonce of its own for each
ticket, derived from the period's secret and the salt, so that no number of tickets, and no number of processes that
share a secret, comes near a nonce used twice.

Two ways to keep secrets. Without one from the application each period's is drawn at random, and forgotten when
its tickets are no longer taken: who takes the machine later cannot open what was recorded. With one, every period's
is derived from it, so that processes and hosts that have it take each other's tickets.
"""

from __future__ import annotations

import os
import threading
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tlswrite.crypto.kdf import compare, hkdf_expand, hkdf_extract
from tlswrite.errors import ConfigurationError
from tlswrite.limits import MAX_TICKET_LIFETIME, TAG

__all__ = ["TicketKeys"]

_HASH: Final = "sha256"
_SALT: Final = b"tlswrite session ticket"
_MIN_SECRET: Final = 32
_PERIOD_LENGTH: Final = 8
_ID_LENGTH: Final = 8
_NAME_LENGTH: Final = _PERIOD_LENGTH + _ID_LENGTH
_SALT_LENGTH: Final = 16
_HEAD_LENGTH: Final = _NAME_LENGTH + _SALT_LENGTH
_KEY_LENGTH: Final = 32
_NONCE_LENGTH: Final = 12


class TicketKeys:
    """Keys of stateless session tickets.

    `secrets`, each of 32 bytes or more, are what servers share that take each other's tickets: the first seals, all
    of them open, so that a secret can be replaced without a break: `TicketKeys(new, old)`. Without any, keys are
    random and this object's own. `rotation` is the time in seconds after which new tickets get another key.

    Thread-safe. Raises ConfigurationError for values that cannot work.
    """

    __slots__ = ("_lifetime", "_lock", "_periods", "_secrets", "rotation")

    def __init__(self, *secrets: bytes, rotation: float = 3600.0) -> None:
        for secret in secrets:
            if not isinstance(secret, bytes) or len(secret) < _MIN_SECRET:
                raise ConfigurationError(
                    f"a secret of TicketKeys is at least {_MIN_SECRET} random bytes: secrets.token_bytes(32)"
                )
        if not 60 <= rotation <= MAX_TICKET_LIFETIME:
            raise ConfigurationError(f"rotation must be 60 to {MAX_TICKET_LIFETIME} seconds, not {rotation}")
        self.rotation: Final = float(rotation)
        self._secrets = tuple(hkdf_extract(_HASH, _SALT, secret) for secret in secrets)
        #: By the number of the period: name and secret of each key, the one that seals first.
        self._periods: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        #: The longest lifetime of a ticket so far. Seconds.
        self._lifetime = 0.0
        self._lock = threading.Lock()

    def seal(self, plaintext: bytes, now: float, lifetime: float) -> bytes:
        """The ticket that holds `plaintext`; `now` in seconds since the epoch, `lifetime` in seconds."""
        period = self._period(now)
        keys = self._keys(period, lifetime)
        if keys is None:
            # The clock was set back, and the random keys of that time are gone.
            with self._lock:
                period, keys = max(self._periods.items())
        key_id, secret = keys[0]
        name = period.to_bytes(_PERIOD_LENGTH, "big") + key_id
        salt = os.urandom(_SALT_LENGTH)
        aead, nonce = _cipher(secret, salt)
        return name + salt + aead.encrypt(nonce, plaintext, name)

    def open(self, ticket: bytes, now: float, lifetime: float) -> bytes | None:
        """What a ticket holds that is at most `lifetime` seconds old; None if it is foreign, altered or older.

        It may be older by up to a `rotation`: what is exact, its content must say.
        """
        name, salt, sealed = ticket[:_NAME_LENGTH], ticket[_NAME_LENGTH:_HEAD_LENGTH], ticket[_HEAD_LENGTH:]
        period, present = int.from_bytes(name[:_PERIOD_LENGTH], "big"), self._period(now)
        oldest = present - int(lifetime // self.rotation) - 1
        # One ahead: the clock of another host may be.
        if len(sealed) < TAG or not oldest <= period <= present + 1:
            return None
        for key_id, secret in self._keys(period, lifetime) or ():
            if compare(key_id, name[_PERIOD_LENGTH:]):
                aead, nonce = _cipher(secret, salt)
                try:
                    return aead.decrypt(nonce, sealed, name)
                except InvalidTag:
                    return None
        return None

    def __repr__(self) -> str:
        kind = f"{len(self._secrets)} shared" if self._secrets else "random"
        return f"<TicketKeys {kind}, rotation={self.rotation:g}>"

    # ---- periods --------------------------------------------------------------------------------------

    def _period(self, now: float) -> int:
        return max(int(now // self.rotation), 0)

    def _keys(self, period: int, lifetime: float) -> tuple[tuple[bytes, bytes], ...] | None:
        """The keys of a period; None for a past one whose keys were random and are forgotten."""
        self._lifetime = max(self._lifetime, lifetime)
        keys = self._periods.get(period)
        if keys is not None:
            return keys
        with self._lock:
            keys = self._periods.get(period)
            newest = max(self._periods, default=-1)
            if keys is None and (self._secrets or period > newest):
                keys = self._periods[period] = self._make(period)
                kept = max(period, newest) - int(self._lifetime // self.rotation) - 1
                for each in [each for each in self._periods if each < kept]:
                    del self._periods[each]
        return keys

    def _make(self, period: int) -> tuple[tuple[bytes, bytes], ...]:
        if not self._secrets:
            return ((os.urandom(_ID_LENGTH), os.urandom(_KEY_LENGTH)),)
        info = b"period" + period.to_bytes(_PERIOD_LENGTH, "big") + str(self.rotation).encode()
        blocks = [hkdf_expand(_HASH, secret, info, _ID_LENGTH + _KEY_LENGTH) for secret in self._secrets]
        return tuple((block[:_ID_LENGTH], block[_ID_LENGTH:]) for block in blocks)


def _cipher(secret: bytes, salt: bytes) -> tuple[AESGCM, bytes]:
    """The AEAD and the nonce of one ticket."""
    block = hkdf_expand(_HASH, secret, b"ticket" + salt, _KEY_LENGTH + _NONCE_LENGTH)
    return AESGCM(block[:_KEY_LENGTH]), block[_KEY_LENGTH:]

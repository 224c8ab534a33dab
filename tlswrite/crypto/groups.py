"""Key exchange groups: ECDH on the NIST curves, X25519, and their hybrids with ML-KEM.

A client generates a key share, and finishes it with the server's; a server answers a client's share at
once. The two directions differ because a KEM is not symmetric: the client's share holds an encapsulation
key, the server's a ciphertext.

Sources: RFC 9846 §4.3.8 and §7.4.2, RFC 7748, draft-ietf-tls-ecdhe-mlkem, FIPS 203. Whatever is wrong with
a peer's share (length, form, not on the curve, small order, out of range) is an illegal_parameter.

Refused: reuse of a share, or of its parts between an offered hybrid and the plain group beside it
(RFC 9846 §4.3.8: the key_exchange values MUST be generated independently, and MUST NOT be reused for
multiple connections).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tlswrite.crypto.backend import available
from tlswrite.errors import IllegalParameter
from tlswrite.iana import NamedGroup, name_of

__all__ = ["DEFAULT_GROUPS", "ECDHE_GROUPS", "GROUPS", "KeyShare", "generate", "respond"]


class KeyShare(ABC):
    """A key share offered to the peer: its public part, and what finishes the exchange.

    `public` is the key_exchange field of a KeyShareEntry (RFC 9846 §4.3.8).
    """

    __slots__ = ("group", "public")

    def __init__(self, group: NamedGroup, public: bytes) -> None:
        self.group = group
        self.public = public

    @abstractmethod
    def finish(self, peer_public: bytes) -> bytes:
        """The shared secret with the peer's key_exchange field; raises IllegalParameter."""

    def __repr__(self) -> str:
        return f"<KeyShare {self.group.name}>"


def generate(group: int) -> KeyShare:
    """A fresh key share of `group`, a client's; ValueError for a group not in GROUPS."""
    return _exchange(group).generate()


def respond(group: int, client_public: bytes) -> tuple[bytes, bytes]:
    """A server's key_exchange field, and the shared secret, for a client's key_exchange field.

    Raises IllegalParameter where the client's is not valid; ValueError for a group not in GROUPS.
    """
    return _exchange(group).respond(client_public)


# ---- what a group is ------------------------------------------------------------------------------


class _Exchange(Protocol):
    def generate(self) -> KeyShare: ...

    def respond(self, client_public: bytes) -> tuple[bytes, bytes]: ...


class _ECDHShare(KeyShare):
    __slots__ = ("_curve", "_private")

    def __init__(self, group: NamedGroup, curve: ec.EllipticCurve) -> None:
        self._curve = curve
        self._private = ec.generate_private_key(curve)
        super().__init__(
            group, self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        )

    def finish(self, peer_public: bytes) -> bytes:
        # RFC 9846 §4.3.8.2: only the uncompressed form, whose length says that no infinity is meant.
        if len(peer_public) != len(self.public) or peer_public[0] != 4:
            raise IllegalParameter(f"a {self.group.name} key share that is not an uncompressed point")
        try:
            # RFC 9846 §4.3.8.2: peers MUST validate each other's public value; this refuses
            # coordinates out of range and points that are not on the curve.
            point = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, peer_public)
            # RFC 9846 §7.4.2: the x-coordinate at its constant length.
            return self._private.exchange(_ECDH, point)
        except ValueError:
            raise IllegalParameter(f"a {self.group.name} key share that is not on the curve") from None


class _X25519Share(KeyShare):
    __slots__ = ("_private",)

    def __init__(self, group: NamedGroup) -> None:
        self._private = X25519PrivateKey.generate()
        super().__init__(group, self._private.public_key().public_bytes_raw())

    def finish(self, peer_public: bytes) -> bytes:
        if len(peer_public) != 32:
            raise IllegalParameter(f"an x25519 key share of {len(peer_public)} bytes instead of 32")
        try:
            # RFC 9846 §7.4.2: MUST check whether the shared secret is all zeros and abort if so;
            # `exchange` raises ValueError for it.
            return self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError:
            raise IllegalParameter("an x25519 key share of small order") from None


class _ECDHExchange:
    """A curve on which both sides do the same."""

    def __init__(self, group: NamedGroup, new_share: Callable[[], KeyShare], length: int) -> None:
        self.group = group
        self.generate = new_share
        self.length = length

    def respond(self, client_public: bytes) -> tuple[bytes, bytes]:
        share = self.generate()
        return share.public, share.finish(client_public)


_KEMPrivateKey: TypeAlias = MLKEM768PrivateKey | MLKEM1024PrivateKey


class _KEM:
    """A parameter set of ML-KEM (FIPS 203 §8). Lengths in bytes."""

    def __init__(
        self,
        private: type[MLKEM768PrivateKey] | type[MLKEM1024PrivateKey],
        public: type[MLKEM768PublicKey] | type[MLKEM1024PublicKey],
        key_length: int,
        ciphertext_length: int,
    ) -> None:
        self.generate: Callable[[], _KEMPrivateKey] = private.generate
        self.load = public.from_public_bytes
        self.key_length = key_length
        self.ciphertext_length = ciphertext_length


class _HybridShare(KeyShare):
    __slots__ = ("_decapsulate", "_exchange", "_share")

    def __init__(self, exchange: _HybridExchange) -> None:
        self._exchange = exchange
        private = exchange.kem.generate()
        self._decapsulate = private.decapsulate
        self._share = exchange.curve.generate()
        super().__init__(
            exchange.group, exchange.join(private.public_key().public_bytes_raw(), self._share.public)
        )

    def finish(self, peer_public: bytes) -> bytes:
        exchange = self._exchange
        ciphertext, curve_public = exchange.split(peer_public, exchange.kem.ciphertext_length)
        secret = self._share.finish(curve_public)
        return exchange.join(self._decapsulate(ciphertext), secret)


class _HybridExchange:
    """ML-KEM and ECDH side by side (draft-ietf-tls-ecdhe-mlkem §4).

    Shares and secrets of both are concatenated, X25519MLKEM768 with the ML-KEM part first, the two of
    the NIST curves with the ECDH part first.
    """

    def __init__(self, group: NamedGroup, kem: _KEM, curve: _ECDHExchange, *, kem_first: bool) -> None:
        self.group = group
        self.kem = kem
        self.curve = curve
        self.kem_first = kem_first

    def generate(self) -> KeyShare:
        return _HybridShare(self)

    def respond(self, client_public: bytes) -> tuple[bytes, bytes]:
        key, curve_public = self.split(client_public, self.kem.key_length)
        try:
            # draft-ietf-tls-ecdhe-mlkem §4.1: the encapsulation key MUST be checked as FIPS 203 §7.2
            # has it (each coefficient below q), an illegal_parameter where that fails.
            secret, ciphertext = self.kem.load(key).encapsulate()
        except ValueError:
            raise IllegalParameter(f"a {self.group.name} key share with an invalid ML-KEM key") from None
        public, curve_secret = self.curve.respond(curve_public)
        return self.join(ciphertext, public), self.join(secret, curve_secret)

    def join(self, kem: bytes, curve: bytes) -> bytes:
        return kem + curve if self.kem_first else curve + kem

    def split(self, data: bytes, kem_length: int) -> tuple[bytes, bytes]:
        """The ML-KEM part and the ECDH part of a peer's share."""
        # draft-ietf-tls-ecdhe-mlkem §4.1, §4.2: a wrong length is an illegal_parameter.
        length = kem_length + self.curve.length
        if len(data) != length:
            raise IllegalParameter(f"a {self.group.name} key share of {len(data)} bytes instead of {length}")
        if self.kem_first:
            return data[:kem_length], data[kem_length:]
        return data[-kem_length:], data[:-kem_length]


def _exchange(group: int) -> _Exchange:
    try:
        return _EXCHANGES[group]
    except KeyError:
        raise ValueError(f"no key exchange with {name_of(NamedGroup, group)} here") from None


_ECDH: Final = ec.ECDH()


def _nist(group: NamedGroup, curve: ec.EllipticCurve) -> _ECDHExchange:
    return _ECDHExchange(group, lambda: _ECDHShare(group, curve), 1 + 2 * ((curve.key_size + 7) // 8))


_P256: Final = _nist(NamedGroup.secp256r1, ec.SECP256R1())
_P384: Final = _nist(NamedGroup.secp384r1, ec.SECP384R1())
_P521: Final = _nist(NamedGroup.secp521r1, ec.SECP521R1())
_X25519: Final = _ECDHExchange(NamedGroup.x25519, lambda: _X25519Share(NamedGroup.x25519), 32)
_MLKEM768: Final = _KEM(MLKEM768PrivateKey, MLKEM768PublicKey, 1184, 1088)
_MLKEM1024: Final = _KEM(MLKEM1024PrivateKey, MLKEM1024PublicKey, 1568, 1568)

_EXCHANGES: Final[dict[int, _Exchange]] = {
    exchange.group: exchange
    for exchange in (
        _P256,
        _P384,
        _P521,
        _X25519,
        _HybridExchange(NamedGroup.SecP256r1MLKEM768, _MLKEM768, _P256, kem_first=False),
        _HybridExchange(NamedGroup.X25519MLKEM768, _MLKEM768, _X25519, kem_first=True),
        _HybridExchange(NamedGroup.SecP384r1MLKEM1024, _MLKEM1024, _P384, kem_first=False),
    )
    if not isinstance(exchange, _HybridExchange)
    or available(lambda: MLKEM768PrivateKey.from_seed_bytes(bytes(64)))
}

#: The groups that this build of `cryptography` can do.
GROUPS: Final[frozenset[NamedGroup]] = frozenset(NamedGroup(group) for group in _EXCHANGES)

#: Those of them that TLS 1.2 has too: no hybrids (RFC 8422 §5.1.1).
ECDHE_GROUPS: Final[frozenset[NamedGroup]] = frozenset(
    group for group in GROUPS if not isinstance(_EXCHANGES[group], _HybridExchange)
)

#: The groups offered and accepted unless told otherwise, most preferred first.
#: RFC 9846 §9.1: secp256r1 MUST and x25519 SHOULD be supported.
DEFAULT_GROUPS: Final[tuple[NamedGroup, ...]] = tuple(
    group
    for group in (
        NamedGroup.X25519MLKEM768,
        NamedGroup.x25519,
        NamedGroup.secp256r1,
        NamedGroup.secp384r1,
        NamedGroup.secp521r1,
        NamedGroup.SecP256r1MLKEM768,
        NamedGroup.SecP384r1MLKEM1024,
    )
    if group in GROUPS
)

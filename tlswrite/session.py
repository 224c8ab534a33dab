"""Sessions: what an earlier handshake left behind for later ones, and where a client keeps them.

A `Session` is one secret with everything that it is bound to: the version and the suite, the name, the application
protocol, the chain that proved the peer's identity, and a digest of the settings under which it was proved. A
session is used only where all of it fits; where anything does not, the handshake is a full one. The peer's chain is
verified again at every use, so a session does not outlive the trust in its certificate.

Sessions are made of handshakes with the extended main secret alone (RFC 7627 §5.3); TLS 1.3 has nothing else.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from tlswrite import limits
from tlswrite.codec import Reader, u8, u16, u32, vector8, vector16, vector24
from tlswrite.crypto.suites import SUITES
from tlswrite.errors import ConfigurationError, DecodeError
from tlswrite.iana import CipherSuite, ProtocolVersion, name_of

__all__ = ["Session", "SessionCache", "SessionStore"]

#: First byte of an encoded session; another layout gets another number.
_FORMAT: Final = 1

#: Versions by their number, which is quicker than to make a member of one.
_VERSIONS: Final[dict[int, ProtocolVersion]] = {each: each for each in ProtocolVersion}


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that can be resumed, as a client keeps it, or a server in its ticket or its cache.

    It holds secrets: whoever has it can speak for the peer it was made with.
    """

    version: ProtocolVersion
    suite: CipherSuite
    #: TLS 1.3: the pre-shared key (RFC 9846 §4.7.1). TLS 1.2: the main secret.
    secret: bytes = field(repr=False)
    #: Digest of the settings that it is bound to.
    context: bytes = field(repr=False)
    #: The server's name: what the client was told, and on a server what the client sent.
    server_name: str | None
    alpn: str | None
    #: Certificates of the peer in DER, its own first.
    peer_chain: tuple[bytes, ...] = field(repr=False)
    #: When the peer last proved its identity by a signature, and when the ticket was received or issued.
    #: Seconds since the epoch.
    authenticated_at: float
    issued_at: float
    #: Seconds from `issued_at` on.
    lifetime: int
    #: What the client shows the server: a ticket, or (TLS 1.2) a session id. A server keeps neither.
    ticket: bytes = field(default=b"", repr=False)
    session_id: bytes = field(default=b"", repr=False)
    #: ticket_age_add (RFC 9846 §4.7.1).
    age_add: int = field(default=0, repr=False)

    # ---- as `ssl.SSLSession` has it ----

    @property
    def id(self) -> bytes:
        """A name for it: the session id, or the beginning of the ticket."""
        return self.session_id or self.ticket[:32]

    @property
    def time(self) -> int:
        """When it was issued. Seconds since the epoch."""
        return int(self.issued_at)

    @property
    def timeout(self) -> int:
        """Seconds from `time` on for which it is good."""
        return int(self.expires_at - self.issued_at)

    @property
    def ticket_lifetime_hint(self) -> int:
        """What the server said of its ticket's lifetime. Seconds; 0 without a ticket."""
        return self.lifetime if self.ticket else 0

    @property
    def has_ticket(self) -> bool:
        return bool(self.ticket)

    # ---- its time ----

    @property
    def expires_at(self) -> float:
        """When it is good for nothing any more. Seconds since the epoch."""
        # RFC 9846 §4.7.1: at most 7 days, and a limit on chains of tickets.
        total = self.authenticated_at + limits.MAX_TICKET_LIFETIME
        return min(self.issued_at + min(self.lifetime, limits.MAX_TICKET_LIFETIME), total)

    def good_at(self, now: float) -> bool:
        """Whether it may be used at a time, in seconds since the epoch."""
        return self.issued_at - limits.CLOCK_SKEW <= now < self.expires_at

    def obfuscated_age(self, now: float) -> int:
        """obfuscated_ticket_age (RFC 9846 §4.3.11.1)."""
        return (int(max(now - self.issued_at, 0) * 1000) + self.age_add) & 0xFFFFFFFF

    def to_bytes(self, secret: bytes | None = None) -> bytes:
        """The session, secret and all; keep it as you would a private key. `secret` goes before its own."""
        name, alpn = self.server_name, self.alpn
        return b"".join(
            (
                u8(_FORMAT),
                u16(self.version),
                u16(self.suite),
                vector8(self.secret if secret is None else secret),
                vector8(self.context),
                _optional(name),
                _optional(alpn),
                vector24(b"".join(map(vector24, self.peer_chain))),
                _milliseconds(self.authenticated_at),
                _milliseconds(self.issued_at),
                u32(self.lifetime),
                vector16(self.ticket),
                vector8(self.session_id),
                u32(self.age_add),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` gave; raises ConfigurationError for anything else."""
        try:
            return cls._parse(Reader(data))
        except (DecodeError, ValueError) as error:
            raise ConfigurationError(f"not a session of this version of tlswrite: {error}") from None

    @classmethod
    def _parse(cls, reader: Reader) -> Self:
        if reader.u8() != _FORMAT:
            raise ValueError("another layout")
        version = _VERSIONS.get(reader.u16())
        if version is None:
            raise ValueError("a version that is not known")
        code = reader.u16()
        suite = SUITES.get(code)
        if suite is None:
            raise ValueError(f"{name_of(CipherSuite, code)} is not done here")
        secret, context = reader.vector8(1), reader.vector8()
        name, alpn = _parse_optional(reader), _parse_optional(reader)
        certificates = reader.sub24()
        chain = []
        while not certificates.at_end():
            chain.append(certificates.vector24(1))
        session = cls(
            version=version,
            suite=suite.id,
            secret=secret,
            context=context,
            server_name=name,
            alpn=alpn,
            peer_chain=tuple(chain),
            authenticated_at=int.from_bytes(reader.take(8), "big") / 1000,
            issued_at=int.from_bytes(reader.take(8), "big") / 1000,
            lifetime=reader.u32(),
            ticket=reader.vector16(),
            session_id=reader.vector8(0, 32),
            age_add=reader.u32(),
        )
        reader.finish()
        return session


def _optional(text: str | None) -> bytes:
    return u8(0) if text is None else u8(1) + vector16(text.encode())


def _parse_optional(reader: Reader) -> str | None:
    present = reader.u8()
    if present > 1:
        raise ValueError("a flag that is neither 0 nor 1")
    return reader.vector16().decode() if present else None


def _milliseconds(seconds: float) -> bytes:
    return round(seconds * 1000).to_bytes(8, "big")


class SessionStore(Protocol):
    """Where sessions are kept; an application may give an object of its own, shared by any number of threads."""

    def put(self, key: bytes, session: Session) -> None:
        """Keep a session under a key; both may be forgotten at any time."""

    def take(self, key: bytes) -> Session | None:
        """The session to use next under a key; what may be used once only is not given out again."""

    def discard(self, key: bytes, session: Session) -> None:
        """Forget a session that failed; nothing happens where it is not there."""


class SessionCache:
    """Sessions in memory, at most `size` of them; the least recently used keys are forgotten first.

    `single_use` gives a session of TLS 1.3 out once (RFC 9846 §C.4: a ticket that is used twice lets an onlooker
    connect the two); those of TLS 1.2 stay until they expire. `clock` tells the time in seconds since the epoch.

    `len`, iteration and `clear` show and empty it; `dump` and `load` make it last. Thread-safe.
    """

    __slots__ = ("_clock", "_keys", "_lock", "_size", "_total", "single_use")

    def __init__(
        self,
        size: int = limits.CACHED_SESSIONS,
        *,
        single_use: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if size < 1:
            raise ConfigurationError(f"a SessionCache holds at least 1 session, not {size}")
        self.single_use: Final = single_use
        self._size = size
        self._clock = clock
        self._keys: OrderedDict[bytes, list[Session]] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def put(self, key: bytes, session: Session) -> None:
        with self._lock:
            found = self._keys.setdefault(key, [])
            self._keys.move_to_end(key)
            if session.version == ProtocolVersion.TLS_1_2:
                # It can be used many times, so the newest does for all.
                self._drop(found, [each for each in found if each.version == session.version])
            found.append(session)
            self._total += 1
            self._drop(found, found[: -limits.CACHED_SESSIONS_PER_KEY])
            while self._total > self._size:
                oldest, sessions = next(iter(self._keys.items()))
                self._drop(sessions, sessions[:1])
                if not sessions:
                    del self._keys[oldest]

    def take(self, key: bytes) -> Session | None:
        now = self._clock()
        with self._lock:
            found = self._keys.get(key)
            if found is None:
                return None
            self._drop(found, [each for each in found if not each.good_at(now)])
            session = found[-1] if found else None
            if session is not None and session.version == ProtocolVersion.TLS_1_3 and self.single_use:
                self._drop(found, [session])
            if found:
                self._keys.move_to_end(key)
            else:
                del self._keys[key]
            return session

    def discard(self, key: bytes, session: Session) -> None:
        with self._lock:
            found = self._keys.get(key)
            if found is not None:
                self._drop(found, [each for each in found if each == session])
                if not found:
                    del self._keys[key]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._keys.clear()
            self._total = 0

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[Session]:
        """The sessions of this moment, the least recently used first."""
        with self._lock:
            return iter([session for found in self._keys.values() for session in found])

    def __repr__(self) -> str:
        return f"<SessionCache {self._total} of {self._size} sessions>"

    def dump(self) -> bytes:
        """Everything, secrets included, for `load` of a later process; keep it as you would a private key."""
        with self._lock:
            entries = [(key, session) for key, found in self._keys.items() for session in found]
        return u8(_FORMAT) + b"".join(
            vector16(key) + vector24(session.to_bytes()) for key, session in entries
        )

    def load(self, data: bytes) -> None:
        """Add what `dump` gave; raises ConfigurationError for anything else, and adds nothing then."""
        reader = Reader(data)
        entries: list[tuple[bytes, Session]] = []
        try:
            if reader.u8() != _FORMAT:
                raise ConfigurationError("not a dump of a SessionCache of this version of tlswrite")
            while not reader.at_end():
                entries.append((reader.vector16(), Session.from_bytes(reader.vector24())))
        except DecodeError as error:
            raise ConfigurationError(f"not a dump of a SessionCache: {error}") from None
        for key, session in entries:
            self.put(key, session)

    def _drop(self, found: list[Session], unwanted: list[Session]) -> None:
        for session in unwanted:
            found.remove(session)
            self._total -= 1

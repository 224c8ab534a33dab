"""Resumption for tests: two configurations that remember, a clock in the test's hand, runs one after another."""

from __future__ import annotations

from typing import Any

from tests.support.engine import HOST, ONLY_1_2, client_config, server_config
from tests.support.handshakes import Edit, Handshake
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.handshake.entropy import SYSTEM, Entropy
from tlswrite.session import Session, SessionCache

#: How a session is shown to the server: fields of both configurations.
KINDS: dict[str, dict[str, Any]] = {
    "TLS 1.3": {},
    "TLS 1.2 by ticket": ONLY_1_2,
    "TLS 1.2 by id": ONLY_1_2,
}


class Clock:
    """Real randomness at a time that the test sets; seconds since the epoch."""

    random = staticmethod(SYSTEM.random)
    generate = staticmethod(SYSTEM.generate)
    respond = staticmethod(SYSTEM.respond)
    sign = staticmethod(SYSTEM.sign)

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


class Party:
    """A client and a server that may have met before."""

    def __init__(
        self,
        kind: str = "TLS 1.3",
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
    ) -> None:
        self.clock = Clock()
        self.cache = SessionCache(clock=self.clock.time)
        tickets = 0 if kind == "TLS 1.2 by id" else 2
        self.client_fields = {**KINDS[kind], "session_cache": self.cache, **(client or {})}
        self.server_fields = {
            **KINDS[kind],
            "tickets": tickets,
            "ticket_keys": TicketKeys(),
            "session_cache": SessionCache(clock=self.clock.time),
            **(server or {}),
        }

    def client(self, **fields: Any) -> ClientConfig:
        return client_config(**{**self.client_fields, **fields})

    def server(self, **fields: Any) -> ServerConfig:
        return server_config(**{**self.server_fields, **fields})

    def meet(
        self,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        edit: Edit | None = None,
        *,
        hostname: str | None = HOST,
        server_entropy: Entropy | None = None,
    ) -> Handshake:
        """One handshake, under further fields of the configurations."""
        return Handshake(
            self.client(**(client or {})),
            self.server(**(server or {})),
            edit,
            hostname=hostname,
            client_entropy=self.clock,
            server_entropy=server_entropy or self.clock,
        )

    @property
    def session(self) -> Session:
        """The session that the client would use next."""
        return list(self.cache)[-1]


def reused(run: Handshake) -> bool:
    """Whether a handshake went through on both sides, and resumed on both or on neither."""
    results = run.client.io.result, run.server.io.result
    assert run.client.error is None and run.server.error is None, (run.client.error, run.server.error)
    first, second = results
    assert first is not None and second is not None
    assert first.session_reused == second.session_reused
    return first.session_reused

"""Resumption in TLS 1.3 (RFC 9846 §2.2, §4.3.11, §4.7.1): binders, the server's choice of a key, tickets.

Always with a key exchange (psk_dhe_ke), so a session's secret tells nothing about the traffic of a later one; never
with early data.
"""

from __future__ import annotations

from collections.abc import Callable

from tlswrite import limits
from tlswrite.config import ServerConfig
from tlswrite.crypto.suites import SUITES, Suite
from tlswrite.handshake.entropy import Entropy
from tlswrite.handshake.offer import Offer
from tlswrite.handshake.resumption import issue, redeem
from tlswrite.messages.finish import NewSessionTicket
from tlswrite.messages.resumption import OfferedPsks
from tlswrite.session import Session
from tlswrite.tls13.schedule import EarlySecrets, binder_mac, resumption_psk, verify_binder
from tlswrite.transcript import Transcript

__all__ = ["bind", "choose_psk", "ticket_messages"]


def bind(offer: Offer, transcript: Transcript | None = None) -> tuple[Offer, EarlySecrets | None]:
    """The offer with its binder, and what its pre-shared key gives, if it has one (RFC 9846 §4.3.11.2).

    `transcript` is that of the first ClientHello and the HelloRetryRequest, where there was one.
    """
    session = offer.session
    if session is None or not offer.binders_size:
        return offer, None
    suite = SUITES[session.suite]
    if transcript is None:
        transcript = Transcript()
        transcript.start(suite.hash_name)
    digest = _truncated_digest(transcript, offer.message, offer.binders_size)
    early = EarlySecrets(suite, session.secret)
    return offer.with_binder(binder_mac(suite, early, digest)), early


def choose_psk(
    psks: OfferedPsks,
    raw: bytes,
    transcript: Transcript,
    suite: Suite,
    config: ServerConfig,
    now: float,
    fits: Callable[[Session], bool],
) -> tuple[int, Session, EarlySecrets] | None:
    """The first of a client's keys that is a ticket of ours and fits: its index, the session, what its key gives.

    `raw` is the ClientHello that `transcript` does not yet have. Raises DecryptError for a wrong binder.
    """
    for index, (ticket, _) in enumerate(psks.identities[: limits.MAX_PSK_IDENTITIES]):
        session = redeem(config, ticket, now)
        if session is not None and fits(session):
            # RFC 9846 §4.3.11: the binder of the chosen key MUST be validated, and SHOULD be the only one.
            digest = _truncated_digest(transcript, raw, psks.binders_size)
            early = EarlySecrets(suite, session.secret)
            verify_binder(suite, early, digest, psks.binders[index])
            return index, session, early
    return None


def ticket_messages(
    config: ServerConfig, session: Session, resumption_secret: bytes, count: int, entropy: Entropy
) -> bytes:
    """`count` NewSessionTickets; `session` is what they resume, but for the key that each has of its own."""
    messages = b""
    for number in range(count):
        # RFC 9846 §4.7.1: a nonce that is unique on the connection, and a fresh ticket_age_add.
        nonce = bytes((number,))
        secret = resumption_psk(SUITES[session.suite], resumption_secret, nonce)
        ticket = issue(config, session, secret)
        if ticket is None:
            break
        age_add = int.from_bytes(entropy.random(4), "big")
        messages += NewSessionTicket(session.lifetime, age_add, nonce, ticket).encode()
    return messages


def _truncated_digest(transcript: Transcript, hello: bytes, binders_size: int) -> bytes:
    """Transcript-Hash with the hello up to its binders."""
    whole = transcript.fork()
    whole.add(hello[:-binders_size])
    return whole.digest()

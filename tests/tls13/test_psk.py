"""Binders and tickets of TLS 1.3, against the trace of RFC 8448 §4 and step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.engine import HOST, client_config, server_config
from tests.support.rfc8448 import SUITE, message, steps
from tests.test_session import session
from tlswrite.crypto.suites import SUITES
from tlswrite.errors import DecryptError
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import make_offer
from tlswrite.handshake.resumption import issue
from tlswrite.iana import CipherSuite, ExtensionType
from tlswrite.limits import MAX_PSK_IDENTITIES
from tlswrite.messages.finish import NewSessionTicket
from tlswrite.messages.framing import Joiner
from tlswrite.messages.hello import ClientHello
from tlswrite.messages.resumption import OfferedPsks
from tlswrite.tls13.psk import bind, choose_psk, ticket_messages
from tlswrite.tls13.schedule import EarlySecrets, KeySchedule, binder_mac, resumption_psk
from tlswrite.transcript import Transcript

NOW = 1_700_000_000.0


def trace_psk() -> bytes:
    return steps("4", 'extract secret "early"', "client")[0]["IKM"]


def trace_transcript() -> Transcript:
    transcript = Transcript()
    transcript.start("sha256")
    return transcript


# ---- the trace ------------------------------------------------------------------------------------------


def test_the_key_of_a_ticket_is_the_traces() -> None:
    ticket = NewSessionTicket.parse(message("3", "NewSessionTicket", "server")[0][4:])
    secret = steps("3", 'derive secret "tls13 res master"', "client")[0]["expanded"]
    assert resumption_psk(SUITE, secret, ticket.nonce) == trace_psk()


def test_the_binder_is_the_traces() -> None:
    (step,) = steps("4", "calculate PSK binder", "client")
    transcript = trace_transcript()
    transcript.add(step["ClientHello prefix"])
    assert transcript.digest() == step["binder hash"]
    assert binder_mac(SUITE, EarlySecrets(SUITE, trace_psk()), transcript.digest()) == step["finished"]


def test_the_traces_hello_resumes() -> None:
    # What a client of another make sends is cut at the right place, and its binder verifies.
    ticket = NewSessionTicket.parse(message("3", "NewSessionTicket", "server")[0][4:])
    prefix = steps("4", "calculate PSK binder", "client")[0]["ClientHello prefix"]
    binder = steps("4", "calculate PSK binder", "client")[0]["finished"]
    raw = prefix + b"\x00\x21\x20" + binder
    data = ClientHello.parse(raw[4:]).extension(ExtensionType.PRE_SHARED_KEY)
    assert data is not None
    psks = OfferedPsks.parse(data)
    assert psks.identities[0][0] == ticket.ticket and psks.binders == (binder,)
    assert raw[: -psks.binders_size] == prefix


def test_the_handshake_secrets_are_the_traces() -> None:
    (binder,) = steps("4", "calculate PSK binder", "client")
    hello = binder["ClientHello prefix"] + b"\x00\x21\x20" + binder["finished"]
    transcript = trace_transcript()
    transcript.add(hello)
    transcript.add(message("4", "ServerHello", "server")[0])
    schedule = KeySchedule(SUITE, EarlySecrets(SUITE, trace_psk()))
    (handshake,) = steps("4", 'extract secret "handshake"', "server")
    schedule.enter_handshake(handshake["IKM"], transcript.digest())
    (client,) = steps("4", 'derive secret "tls13 c hs traffic"', "server")
    (server,) = steps("4", 'derive secret "tls13 s hs traffic"', "server")
    assert schedule.client_handshake == client["expanded"]
    assert schedule.server_handshake == server["expanded"]


# ---- step by step -----------------------------------------------------------------------------------------


def test_an_offer_without_a_key_stays_as_it_is() -> None:
    offer = make_offer(client_config(), HOST, SYSTEM)
    assert bind(offer) == (offer, None)


@pytest.mark.parametrize(
    "suite",
    [CipherSuite.TLS_AES_128_GCM_SHA256, CipherSuite.TLS_AES_256_GCM_SHA384],
    ids=["sha256", "sha384"],
)
def test_a_binder_covers_every_byte_before_it(suite: CipherSuite) -> None:
    config = server_config(tickets=1)
    made = session(b"", suite=suite, secret=bytes(SUITES[suite].hash_length))
    ticket = issue(config, made)
    assert ticket is not None
    offer, _ = bind(make_offer(client_config(), HOST, SYSTEM, session=replace(made, ticket=ticket)))
    data = offer.hello.extension(ExtensionType.PRE_SHARED_KEY)
    assert data is not None and offer.hello.extensions[-1][0] == ExtensionType.PRE_SHARED_KEY
    psks = OfferedPsks.parse(ClientHello.parse(offer.message[4:]).extensions[-1][1])

    def choose(raw: bytes) -> object:
        transcript = Transcript()
        transcript.start(SUITES[suite].hash_name)
        return choose_psk(psks, raw, transcript, SUITES[suite], config, NOW, lambda _: True)

    found = choose(offer.message)
    assert found is not None
    size = len(offer.message) - offer.binders_size
    for at in range(0, size, 5):
        changed = bytearray(offer.message)
        changed[at] ^= 0x40
        with pytest.raises(DecryptError, match="binder"):
            choose(bytes(changed))


def test_the_first_key_that_fits_is_chosen_and_its_binder_alone_is_verified() -> None:
    config = server_config(tickets=1)
    made = session(b"", secret=b"k" * 32)
    ticket = issue(config, made)
    assert ticket is not None
    transcript = Transcript()
    transcript.start("sha256")
    prefix = b"a hello"
    digest = Transcript()
    digest.start("sha256")
    digest.add(prefix)
    good = binder_mac(SUITE, EarlySecrets(SUITE, b"k" * 32), digest.digest())

    def choose(*keys: tuple[bytes, bytes]) -> int | None:
        psks = OfferedPsks(tuple((key, 0) for key, _ in keys), tuple(binder for _, binder in keys))
        raw = prefix + bytes(psks.binders_size)
        found = choose_psk(psks, raw, transcript, SUITE, config, NOW, lambda _: True)
        return None if found is None else found[0]

    assert choose((b"unknown", bytes(32)), (ticket, good), (ticket, bytes(32))) == 1
    with pytest.raises(DecryptError):
        choose((ticket, bytes(32)), (ticket, good))
    # A client cannot make the server try for ever.
    strangers = [(b"unknown", bytes(32))] * MAX_PSK_IDENTITIES
    assert choose(*strangers, (ticket, good)) is None
    assert choose(*strangers[1:], (ticket, good)) == MAX_PSK_IDENTITIES - 1


def test_tickets_differ_in_everything() -> None:
    # RFC 9846 §4.7.1: a unique nonce, a fresh ticket_age_add, and so a key of their own.
    config = server_config(tickets=2)
    joiner = Joiner()
    joiner.feed(ticket_messages(config, session(b""), b"r" * 32, 5, SYSTEM))
    tickets = []
    while (found := joiner.next()) is not None:
        tickets.append(NewSessionTicket.parse(found[1][4:]))
    assert len(tickets) == 5
    for name in ("nonce", "age_add", "ticket"):
        assert len({getattr(ticket, name) for ticket in tickets}) == 5
    assert {ticket.lifetime for ticket in tickets} == {7200}


def test_no_ticket_is_no_message() -> None:
    config = server_config(tickets=1, ticket_keys=None)
    assert ticket_messages(config, session(b""), b"r" * 32, 5, SYSTEM) == b""

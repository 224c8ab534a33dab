"""Resumption in TLS 1.2: the abbreviated handshake, tickets (RFC 5077), ids, extended main secret (RFC 7627)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.build import interpreted
from tests.support.engine import ECDHE, HOST, ONLY_1_2, connected
from tests.support.handshakes import CCS, Edit, editing, from_client
from tests.support.handshakes import with_extension as extended
from tests.support.sessions import Party, reused
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.errors import DecodeError, HandshakeFailure, IllegalParameter, TLSError, UnexpectedMessage
from tlswrite.handshake.resumption import session_key
from tlswrite.handshake.runner import HandshakeGenerator
from tlswrite.iana import CipherSuite, ExtensionType, HandshakeType
from tlswrite.limits import MAX_TICKET, MAX_TICKET_LIFETIME, TICKET_LIFETIME
from tlswrite.messages.framing import MESSAGES12
from tlswrite.messages.hello import ClientHello, ServerHello
from tlswrite.messages.tls12 import NewSessionTicket12
from tlswrite.session import Session, SessionCache
from tlswrite.tls12.server import ServerHandshake

E = ExtensionType
CH, SH, NST = HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO, HandshakeType.NEW_SESSION_TICKET
BY_TICKET, BY_ID = "TLS 1.2 by ticket", "TLS 1.2 by id"
both = pytest.mark.parametrize("kind", [BY_TICKET, BY_ID])
LEGACY = {"require_extended_main_secret": False}


def acquainted(kind: str, **fields: Any) -> Party:
    party = Party(kind, fields, fields)
    assert not reused(party.meet())
    return party


def on_server(edit: Edit) -> Edit:
    return lambda who, raw: edit(who, raw) if who == "server" else raw


def changed(kind: HandshakeType, change: Any) -> Edit:
    return editing(kind, change, messages=MESSAGES12)


def without(kind: HandshakeType, extension: int) -> Edit:
    return changed(kind, lambda message: extended(message, extension, None))


def ended(error: TLSError | None, expected: type[TLSError], match: str) -> None:
    assert error is not None and type(error) is expected, repr(error)
    assert match in error.message, error.message


# ---- the steps ----------------------------------------------------------------------------------------


def test_a_full_handshake_with_a_ticket() -> None:
    run = Party(BY_TICKET).meet()
    assert not reused(run)
    # RFC 5077 §3.1, figure 1: NewSessionTicket before the server's change_cipher_spec.
    assert [step for step in run.server.io.log if step not in ("read key", "write key")] == [
        "server_hello",
        "certificate",
        "server_key_exchange",
        "server_hello_done",
        "new_session_ticket",
        CCS,
        "finished",
        "complete",
    ]
    assert run.client.waits[-2:] == ["WAIT_NST", "WAIT_FINISHED"]


@both
def test_an_abbreviated_handshake(kind: str) -> None:
    run = acquainted(kind).meet()
    assert reused(run)
    # RFC 5246 §7.3, figure 2.
    server = [step for step in run.server.io.log if step not in ("read key", "write key")]
    client = [step for step in run.client.io.log if step not in ("read key", "write key")]
    assert server == ["server_hello", CCS, "finished", "complete"]
    assert client == ["client_hello", CCS, "finished", "complete"]
    assert run.client.waits == ["WAIT_SH", "WAIT_FINISHED"]
    assert run.server.waits == ["START", "WAIT_FINISHED"]


@both
def test_tls_unique_is_the_servers_finished(kind: str) -> None:
    # RFC 5929 §3: the first Finished of the handshake; in an abbreviated one the server's.
    party = acquainted(kind)
    for run in (party.meet(), party.meet()):
        (finished,) = run.sent("server", HandshakeType.FINISHED)
        for side in (run.client, run.server):
            assert side.io.after is not None and side.io.after.finished == finished.verify_data


def test_the_id_is_echoed() -> None:
    # RFC 5077 §3.4: with a ticket that is accepted, the client's id; RFC 5246 §7.4.1.3: that of the session.
    for kind in (BY_TICKET, BY_ID):
        run = acquainted(kind).meet()
        ((hello,), (answer,)) = run.sent("client", CH), run.sent("server", SH)
        assert hello.session_id == answer.session_id and len(hello.session_id) == 32
    first = Party(BY_TICKET).meet().sent("server", SH)[0]
    assert first.session_id == b"" and first.extension(E.SESSION_TICKET) == b""
    first = Party(BY_ID).meet().sent("server", SH)[0]
    assert len(first.session_id) == 32 and first.extension(E.SESSION_TICKET) is None


def test_no_server_name_in_an_abbreviated_handshake() -> None:
    # RFC 6066 §3: when resuming, the server MUST NOT include a server_name extension in the server hello.
    party = Party(BY_TICKET)
    names = [party.meet().sent("server", SH)[0].extension(E.SERVER_NAME) for _ in range(2)]
    assert names == [b"", None]


@both
def test_a_renegotiation_is_a_full_handshake(kind: str) -> None:
    party = acquainted(kind)
    run = party.meet()
    after, io = run.server.io.after, run.client.io
    assert after is not None and io.after is not None and reused(run)
    io.after.renegotiate(io)
    (hello,) = io.take()
    parsed = ClientHello.parse(hello[4:])
    assert parsed.session_id == b"" and not parsed.extension(E.SESSION_TICKET)


@both
def test_a_client_that_would_resume_in_a_renegotiation_gets_a_full_handshake(kind: str) -> None:
    party = acquainted(kind)
    kept = party.session
    run = party.meet(server={"allow_client_renegotiation": True})
    client, server = run.client.io, run.server.io
    assert reused(run) and client.after is not None and server.after is not None
    # Its hello with the session in it after all, by hand.
    client.after.renegotiate(client)
    hello = ClientHello.parse(client.take()[0][4:])
    shown = extended(hello, E.SESSION_TICKET, kept.ticket) if kept.ticket else hello
    hostile = replace(shown, session_id=kept.session_id or bytes(32)).encode()
    server.log.clear()
    server.after.handle(CH, hostile, server)
    # Not the abbreviated one: it would end in the server's Finished.
    flight = [step for step in server.log if step not in ("renegotiate", "read key", "write key")]
    assert flight == ["server_hello", "certificate", "server_key_exchange", "server_hello_done"]


def test_a_renegotiation_brings_a_new_ticket() -> None:
    # GnuTLS's clients wait for one.
    keys, cache = TicketKeys(), SessionCache()
    joined = connected({**ONLY_1_2, "session_cache": cache}, {**ONLY_1_2, "tickets": 1, "ticket_keys": keys})
    (first,) = cache
    joined.server.connection.renegotiate()
    joined.pump()
    joined.check()
    (second,) = cache
    assert second.ticket != first.ticket and second.secret != first.secret
    assert joined.client.connection.session == second
    again = connected({**ONLY_1_2, "session_cache": cache}, {**ONLY_1_2, "tickets": 1, "ticket_keys": keys})
    assert again.server.connection.session_reused


# ---- extended main secret ------------------------------------------------------------------------------------


@both
def test_a_client_that_leaves_the_extended_main_secret_out(kind: str) -> None:
    # RFC 7627 §5.3: the original session used it and the new ClientHello does not: MUST abort.
    party = acquainted(kind, **LEGACY)
    run = party.meet(edit=from_client(without(CH, E.EXTENDED_MAIN_SECRET)))
    ended(run.server.error, HandshakeFailure, "without its extended main secret")


@both
def test_a_server_that_leaves_the_extended_main_secret_out(kind: str) -> None:
    # RFC 7627 §5.3: the client MUST abort.
    party = acquainted(kind, **LEGACY)
    run = party.meet(edit=on_server(without(SH, E.EXTENDED_MAIN_SECRET)))
    ended(run.client.error, HandshakeFailure, "without its extended main secret")


@both
def test_a_session_without_the_extended_main_secret_is_not_kept(kind: str) -> None:
    # RFC 7627 §5.3: not to be resumed, so there is no ticket and no id.
    party = Party(kind, LEGACY, LEGACY)
    run = party.meet(edit=from_client(without(CH, E.EXTENDED_MAIN_SECRET)))
    (answer,) = run.sent("server", SH)
    assert answer.session_id == b"" and answer.extension(E.SESSION_TICKET) is None
    assert len(party.cache) == 0


# ---- what a server must not say --------------------------------------------------------------------------------


def test_an_echo_where_nothing_was_offered() -> None:
    # The id of a client that does TLS 1.3 too is for middleboxes: nobody can know it.
    party = Party(BY_TICKET)
    both_versions = {"minimum_version": 0x0303, "maximum_version": 0x0304, "groups": ECDHE}

    def echo(hello: ServerHello) -> ServerHello:
        return replace(hello, session_id=sent[0].session_id, random=bytes(32))

    sent: list[Any] = []

    def edit(who: str, raw: bytes) -> bytes:
        if who == "client" and raw[0] == CH:
            sent.append(ClientHello.parse(raw[4:]))
        changing = changed(SH, echo)(who, raw) if who == "server" else raw
        assert isinstance(changing, bytes)
        return changing

    run = party.meet(client=both_versions, edit=edit)
    ended(run.client.error, IllegalParameter, "not offered")


@both
def test_another_suite(kind: str) -> None:
    # RFC 5246 §7.4.1.3: the suite of the session.
    party = acquainted(kind)
    other = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    run = party.meet(edit=on_server(changed(SH, lambda hello: replace(hello, cipher_suite=other))))
    ended(run.client.error, IllegalParameter, "another cipher suite")


def test_an_answer_that_is_not_empty() -> None:
    run = Party(BY_TICKET).meet(
        edit=on_server(changed(SH, lambda hello: extended(hello, E.SESSION_TICKET, b"x")))
    )
    ended(run.client.error, DecodeError, "not empty")


def test_a_ticket_that_was_announced_must_come() -> None:
    # RFC 5077 §3.3: MUST be sent if the server included a SessionTicket extension.
    party = Party(BY_TICKET)
    run = party.meet(edit=lambda who, raw: [] if who == "server" and raw[0] == NST else raw)
    ended(run.client.error, UnexpectedMessage, "WAIT_NST")


def test_a_ticket_that_was_not_announced_must_not_come() -> None:
    # RFC 5077 §3.3: MUST NOT be sent if the server did not include the extension.
    party = Party(BY_ID)
    ticket = NewSessionTicket12(100, b"ticket").encode()

    def edit(who: str, raw: bytes) -> list[bytes]:
        return [ticket, raw] if who == "server" and raw[0] == HandshakeType.FINISHED else [raw]

    ended(party.meet(edit=edit).client.error, UnexpectedMessage, "new_session_ticket")


# ---- what a client keeps ---------------------------------------------------------------------------------------


@interpreted
@pytest.mark.parametrize(
    ("hint", "lifetime"), [(0, TICKET_LIFETIME), (5, 5), (2**32 - 1, MAX_TICKET_LIFETIME)]
)
def test_the_lifetime_of_a_ticket(hint: int, lifetime: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 5077 §3.3: a hint; zero: unspecified.
    monkeypatch.setattr(
        "tlswrite.tls12.server.NewSessionTicket12", lambda _, ticket: NewSessionTicket12(hint, ticket)
    )
    party = Party(BY_TICKET)
    assert not reused(party.meet())
    assert party.session.lifetime == lifetime


@interpreted
def test_a_ticket_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 5077 §3.1, figure 2: a server may send a new ticket in an abbreviated handshake.
    party = Party(BY_TICKET)
    assert not reused(party.meet())
    first = party.session
    monkeypatch.setattr(ServerHandshake, "resume", resume_with_ticket)
    party.clock.now += 100
    run = party.meet()
    assert reused(run) and run.client.waits == ["WAIT_SH", "WAIT_NST", "WAIT_FINISHED"]
    assert party.session.ticket == b"another" and len(party.cache) == 1
    # The session is as old as it was.
    assert party.session.secret == first.secret and party.session.authenticated_at == first.authenticated_at
    assert party.session.issued_at == first.issued_at + 100


def resume_with_ticket(self: Any, hello: ClientHello, session: Session) -> HandshakeGenerator:
    """What `ServerHandshake.resume` does, with a new ticket."""
    self.ticket_due = True
    flight = self.server_hello(hello) + NewSessionTicket12(50, b"another").encode()
    self.add(flight)
    self.io.send(flight)
    self.use_main_secret(session.secret, self.config, client=False)
    self.io.change_write_protection(self.sealer)
    self.io.send(self.finished_message(client=False))
    yield from self.receive_finished(client=True)


@interpreted
@pytest.mark.parametrize("ticket", [b"", bytes(MAX_TICKET + 1)])
def test_a_server_whose_tickets_are_of_no_use(ticket: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 5077 §3.3: a ticket of zero length is no ticket.
    monkeypatch.setattr("tlswrite.tls12.server.issue", lambda *_: ticket)
    party = Party(BY_TICKET)
    run = party.meet()
    assert not reused(run) and "new_session_ticket" in run.server.io.log
    assert len(party.cache) == 0
    assert not reused(party.meet())


def test_a_session_stays_after_it_was_resumed() -> None:
    party = acquainted(BY_TICKET)
    kept = party.session
    assert reused(party.meet()) and party.session == kept
    # A server may give another one, which then takes its place.
    assert len(party.cache) == 1


@both
def test_the_session_of_a_connection_that_failed_is_forgotten(kind: str) -> None:
    # RFC 5246 §7.2.2.
    party = acquainted(kind)
    run = party.meet()
    client, server = run.client.io.after, run.server.io.after
    assert client is not None and server is not None
    assert client.session == party.session and server.session is None
    client.forget_session()
    assert len(party.cache) == 0
    config = party.client()
    if kind == BY_ID:
        # The server forgets too: the client's id is unknown then.
        kept = client.session
        assert kept is not None
        party.cache.put(session_key(config, HOST), kept)
        server.forget_session()
        assert not reused(party.meet())

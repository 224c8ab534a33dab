"""What a session is bound to: where anything does not fit, the handshake is a full one, and never an error."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import HOST, anchors, credentials
from tests.support.handshakes import Handshake, extending, from_client
from tests.support.sessions import KINDS, Clock, Party, reused
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.crypto.x509 import load_credentials
from tlswrite.errors import ConfigurationError
from tlswrite.handshake.resumption import find_session, issue, redeem, session_key, still_good
from tlswrite.iana import CipherSuite, ExtensionType, HandshakeType, ProtocolVersion
from tlswrite.limits import MAX_TICKET, MAX_TICKET_LIFETIME
from tlswrite.messages.hello import ClientHello
from tlswrite.session import Session, SessionCache

kinds = pytest.mark.parametrize("kind", KINDS)
tickets = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "TLS 1.2 by id"])

AES_256_SUITES = (
    CipherSuite.TLS_AES_256_GCM_SHA384,
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
)


def other_credentials(*names: str) -> Any:
    made = pki.issue(names or ("localhost", "other.example"))
    return load_credentials(made.chain_pem, made.key_pem)


def acquainted(
    kind: str, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
) -> Party:
    """Two that have a session, and would resume it."""
    party = Party(kind, client, server)
    assert not reused(party.meet())
    assert reused(party.meet())
    return party


@kinds
def test_a_session_is_resumed_again_and_again(kind: str) -> None:
    party = Party(kind)
    runs = [party.meet() for _ in range(5)]
    assert [reused(run) for run in runs] == [False, True, True, True, True]
    for run in runs:
        assert run.client.io.result is not None and run.server.io.result is not None
        # Whoever was authenticated in the first is known in all.
        assert run.client.io.result.peer_chain == credentials().chain
        assert run.client.io.after is not None and run.server.io.after is not None
        keys = {side.io.after.export(b"label", 32, b"") for side in (run.client, run.server) if side.io.after}
        assert len(keys) == 1
    exported = {run.client.io.after.export(b"label", 32, b"") for run in runs if run.client.io.after}
    assert len(exported) == len(runs)


@kinds
def test_no_certificate_is_sent(kind: str) -> None:
    party = Party(kind)
    assert "certificate" in party.meet().server.io.log
    again = party.meet().server.io.log
    assert "certificate" not in again and "certificate_verify" not in again
    assert "server_key_exchange" not in again


@kinds
@pytest.mark.parametrize(
    ("client", "server"),
    [
        ({"credentials": credentials(client=True)}, {}),
        ({"check_hostname": False}, {}),
        ({"check_hostname": False, "verify_mode": ssl.CERT_NONE}, {}),
        ({"alpn_protocols": ("h2",)}, {"alpn_protocols": ("h2",)}),
        ({"cipher_suites": AES_256_SUITES}, {}),
        ({"session_cache": None}, {}),
        ({"session_cache": SessionCache()}, {}),
        ({}, {"cipher_suites": AES_256_SUITES}),
        ({}, {"session_id_context": b"another application"}),
        ({}, {"verify_mode": ssl.CERT_OPTIONAL, "trust_anchors": anchors()}),
        ({}, {"credentials": (other_credentials(),)}),
        ({}, {"ticket_keys": TicketKeys(), "session_cache": SessionCache()}),
        ({}, {"ticket_keys": None, "session_cache": None}),
    ],
)
def test_what_a_session_is_bound_to(kind: str, client: dict[str, Any], server: dict[str, Any]) -> None:
    party = acquainted(kind)
    assert not reused(party.meet(client, server))


@kinds
def test_a_session_is_bound_to_the_name(kind: str) -> None:
    party = acquainted(kind, server={"credentials": (other_credentials(),)})
    assert not reused(party.meet(hostname="other.example"))
    assert reused(party.meet(hostname="other.example"))
    # Nor does a client offer it under another name where the application gives it the session.
    config = party.client()
    session = party.session
    assert session.server_name == "other.example"
    assert still_good(session, config, "other.example", party.clock.now)
    assert not still_good(session, config, HOST, party.clock.now)


@tickets
def test_a_server_resumes_under_the_same_name_only(kind: str) -> None:
    # RFC 6066 §3: the server MUST NOT accept the request to resume if the name is another.
    server = {"credentials": (other_credentials(),)}
    party = acquainted(kind, server=server)
    party.cache.clear()
    assert not reused(party.meet())
    session = party.session
    # A client that is less strict: the session under the key of the other name.
    config = party.client()
    twin = replace(session, server_name="other.example")
    party.cache.clear()
    party.cache.put(session_key(config, "other.example"), twin)
    run = party.meet(hostname="other.example")
    assert not reused(run)
    hello = ClientHello.parse(next(raw for who, raw in run.wire if who == "client")[4:])
    shown = hello.extension(ExtensionType.PRE_SHARED_KEY) or hello.extension(ExtensionType.SESSION_TICKET)
    assert shown and session.ticket in shown


@kinds
def test_a_session_is_bound_to_the_protocol_that_was_chosen(kind: str) -> None:
    both = ("h2", "http/1.1")
    party = acquainted(kind, {"alpn_protocols": both}, {"alpn_protocols": both})
    run = party.meet()
    assert reused(run) and run.client.io.result is not None and run.client.io.result.alpn == "h2"
    changed = party.meet(server={"alpn_protocols": both[::-1]})
    assert not reused(changed)
    assert changed.client.io.result is not None and changed.client.io.result.alpn == "http/1.1"


@tickets
def test_a_session_is_not_offered_for_another_version(kind: str) -> None:
    party = acquainted(kind)
    other = ProtocolVersion.TLS_1_2 if kind == "TLS 1.3" else ProtocolVersion.TLS_1_3
    only = {"minimum_version": other, "maximum_version": other}
    assert not reused(party.meet(only, only))


@tickets
def test_a_ticket_is_good_for_its_version_alone(kind: str) -> None:
    party = acquainted(kind)
    session = party.session
    config = party.server()
    found = redeem(config, session.ticket, party.clock.now)
    assert found is not None and found.version == session.version and found.suite == session.suite


# ---- time ---------------------------------------------------------------------------------------------------


@kinds
def test_a_session_expires_at_the_client(kind: str) -> None:
    party = acquainted(kind)
    party.clock.now += 7198
    assert reused(party.meet())
    party = acquainted(kind)
    party.clock.now += 7201
    assert not reused(party.meet())


@tickets
def test_a_session_expires_at_the_server(kind: str) -> None:
    # RFC 9846 §4.7.1: a server may treat a ticket as valid for a shorter time than it said.
    party = acquainted(kind)
    party.clock.now += 100
    assert not reused(party.meet(server={"ticket_lifetime": 99}))
    # Its clock is not the client's.
    party = acquainted(kind)
    assert not reused(party.meet(server_entropy=Clock(party.clock.now + 7201)))


@tickets
def test_a_ticket_from_a_clock_that_is_ahead(kind: str) -> None:
    party = acquainted(kind)
    assert reused(party.meet(server_entropy=Clock(party.clock.now - 30)))
    party = acquainted(kind)
    assert not reused(party.meet(server_entropy=Clock(party.clock.now - 4000)))


def test_a_chain_of_tickets_ends() -> None:
    # RFC 9846 §4.7.1: limits on the total lifetime of keying material are RECOMMENDED: here 7 days.
    party = Party("TLS 1.3", server={"ticket_lifetime": MAX_TICKET_LIFETIME})
    party.meet()
    # The resumed sessions are as old as the handshake that they go back to.
    start = party.clock.now
    for _ in range(6):
        party.clock.now += 24 * 3600
        assert reused(party.meet())
        assert party.session.authenticated_at == start
    assert party.session.lifetime == 24 * 3600
    party.clock.now += 24 * 3600
    assert not reused(party.meet())
    assert party.session.authenticated_at == party.clock.now


# ---- certificates --------------------------------------------------------------------------------------------


@kinds
def test_who_is_trusted_no_more_is_not_resumed_by_a_client(kind: str) -> None:
    party = acquainted(kind)
    stranger = TrustAnchors.from_pem(pki.from_stranger().chain_pem)
    run = party.meet({"trust_anchors": stranger})
    # It is a full handshake, in which the server's certificate does not verify.
    assert run.client.error is not None and "certificate" in run.server.io.log


@kinds
def test_who_is_trusted_no_more_is_not_resumed_by_a_server(kind: str) -> None:
    asking = {"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": anchors()}
    party = acquainted(kind, {"credentials": credentials(client=True)}, asking)
    run = party.meet()
    assert reused(run) and run.server.io.result is not None
    assert run.server.io.result.peer_chain == credentials(client=True).chain
    stranger = TrustAnchors.from_pem(pki.from_stranger().chain_pem)
    refused = party.meet(server={"trust_anchors": stranger})
    assert refused.server.error is not None and "certificate_request" in refused.server.io.log


@kinds
def test_a_client_without_certificate_stays_without(kind: str) -> None:
    optional = {"verify_mode": ssl.CERT_OPTIONAL, "trust_anchors": anchors()}
    party = acquainted(kind, server=optional)
    run = party.meet()
    assert reused(run) and run.server.io.result is not None and run.server.io.result.peer_chain == ()
    # One that must have a certificate now is asked for it.
    party = acquainted(kind, {"credentials": credentials(client=True)})
    run = party.meet(server={"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": anchors()})
    assert not reused(run) and run.server.io.result is not None
    assert run.server.io.result.peer_chain == credentials(client=True).chain


def test_a_session_without_a_certificate_does_not_do_where_one_is_required() -> None:
    # Not even under settings that are the same otherwise.
    party = Party("TLS 1.3", server={"verify_mode": ssl.CERT_OPTIONAL, "trust_anchors": anchors()})
    party.meet()
    config = party.server(verify_mode=ssl.CERT_REQUIRED)
    found = redeem(config, party.session.ticket, party.clock.now)
    assert found is not None and not found.peer_chain
    assert not reused(
        party.meet({"credentials": credentials(client=True)}, {"verify_mode": ssl.CERT_REQUIRED})
    )


# ---- tickets --------------------------------------------------------------------------------------------------


@tickets
def test_an_altered_ticket_means_a_full_handshake(kind: str) -> None:
    party = Party(kind)
    party.meet()
    session, config = party.session, party.client()
    for at in range(0, len(session.ticket), 7):
        ticket = bytearray(session.ticket)
        ticket[at] ^= 1 << at % 8
        party.cache.clear()
        party.cache.put(session_key(config, HOST), replace(session, ticket=bytes(ticket)))
        assert not reused(party.meet()), at


@tickets
@pytest.mark.parametrize("ticket", [b"x", b"short", bytes(48), bytes(200), bytes(MAX_TICKET + 1)])
def test_a_foreign_ticket_means_a_full_handshake(kind: str, ticket: bytes) -> None:
    party = Party(kind)
    party.meet()
    session, config = party.session, party.client()
    party.cache.clear()
    party.cache.put(session_key(config, HOST), replace(session, ticket=ticket))
    assert not reused(party.meet())


@tickets
def test_servers_that_share_keys_take_each_others_tickets(kind: str) -> None:
    secret = bytes(range(32))
    party = Party(kind)
    party.meet(server={"ticket_keys": TicketKeys(secret)})
    assert reused(party.meet(server={"ticket_keys": TicketKeys(secret)}))
    assert reused(party.meet(server={"ticket_keys": TicketKeys(b"n" * 32, secret)}))


def test_a_ticket_from_another_layout_is_not_read() -> None:
    party = Party()
    config = party.server()
    assert config.ticket_keys is not None
    strange = config.ticket_keys.seal(b"\xffsomething else", party.clock.now, 7200)
    assert redeem(config, strange, party.clock.now) is None


def test_no_ticket_for_a_chain_that_is_too_long() -> None:
    party = Party()
    party.meet()
    session = party.session
    config = party.server()
    assert issue(config, session) is not None
    assert issue(config, replace(session, peer_chain=(bytes(MAX_TICKET),))) is None
    assert issue(party.server(tickets=0), session) is None
    assert issue(party.server(ticket_keys=None), session) is None


@tickets
def test_a_server_that_issues_none(kind: str) -> None:
    party = Party(kind, server={"tickets": 0, "session_cache": None})
    run = party.meet()
    assert "new_session_ticket" not in run.server.io.log and len(party.cache) == 0
    assert not reused(party.meet())


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_the_number_of_tickets(count: int) -> None:
    party = Party(server={"tickets": count})
    assert party.meet().server.io.log.count("new_session_ticket") == count
    # After a resumption, which takes one, it is one.
    assert party.meet().server.io.log.count("new_session_ticket") == 1


# ---- the client's choice ----------------------------------------------------------------------------------------


def test_a_ticket_is_used_once() -> None:
    # RFC 9846 §C.4.
    party = Party()
    party.meet()
    before = {session.ticket for session in party.cache}
    shown = []
    for _ in range(2):
        hello = ClientHello.parse(first_hello(party.meet())[4:])
        psk = hello.extension(ExtensionType.PRE_SHARED_KEY)
        assert psk is not None
        shown += [ticket for ticket in before if ticket in psk]
    assert len(set(shown)) == len(shown)


def first_hello(run: Handshake) -> bytes:
    return next(raw for who, raw in run.wire if who == "client" and raw[0] == HandshakeType.CLIENT_HELLO)


@kinds
def test_a_session_whose_handshake_failed_is_forgotten(kind: str) -> None:
    # RFC 5246 §7.2.2.
    party = acquainted(kind)
    known = len(party.cache)
    cut = from_client(extending(HandshakeType.CLIENT_HELLO, ExtensionType.SUPPORTED_GROUPS, b""))
    failed = party.meet(edit=cut)
    assert failed.server.error is not None
    failed.client.runner.close()
    assert len(party.cache) == known - 1


def test_find_session() -> None:
    party = Party()
    party.meet()
    config, now = party.client(), party.clock.now
    assert find_session(party.client(session_cache=None), HOST, now) is None
    assert find_session(config, "elsewhere.example", now) is None
    found = find_session(config, HOST, now)
    assert isinstance(found, Session) and still_good(found, config, HOST, now)
    assert not still_good(replace(found, context=bytes(32)), config, HOST, now)
    assert not still_good(found, party.client(cipher_suites=AES_256_SUITES), HOST, now)
    with pytest.raises(ConfigurationError):
        still_good(replace(found, server_name="not a name"), config, "not a name", now)


def test_without_verification_the_chain_is_not_asked() -> None:
    unverified = {"check_hostname": False, "verify_mode": ssl.CERT_NONE}
    party = acquainted("TLS 1.3", unverified)
    stranger = TrustAnchors.from_pem(pki.from_stranger().chain_pem)
    assert reused(party.meet({"trust_anchors": stranger}))

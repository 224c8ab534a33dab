"""§2.2, §4.3.9, §4.3.11, §4.7.1: pre-shared keys, from a hostile peer and towards it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from tests.support.edits import Edit, with_extension
from tests.support.engine import HOST, X25519, client, credentials, server
from tests.support.handshakes import Edit as Passing
from tests.support.handshakes import Handshake, editing, from_client
from tests.support.handshakes import with_extension as extended
from tests.support.hostile import HANDSHAKE, PLAIN, HostileClient, HostileServer
from tests.support.sessions import Party, reused
from tests.support.verdicts import connected, refused
from tests.test_session import session
from tlswrite.connection import TLSConnection
from tlswrite.errors import (
    DecryptError,
    IllegalParameter,
    MissingExtension,
    TLSError,
    UnexpectedMessage,
    UnsupportedExtension,
)
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.resumption import client_context, session_key
from tlswrite.iana import CipherSuite, ExtensionType, HandshakeType, NamedGroup, PskKeyExchangeMode
from tlswrite.messages import extensions as ext
from tlswrite.messages.finish import NewSessionTicket
from tlswrite.messages.hello import ClientHello
from tlswrite.messages.resumption import OfferedPsks, encode_selected_identity
from tlswrite.session import SessionCache
from tlswrite.tls13.schedule import EarlySecrets, KeySchedule

E = ExtensionType
CH, SH = HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO
PSK, MODES = E.PRE_SHARED_KEY, E.PSK_KEY_EXCHANGE_MODES
AES_256 = CipherSuite.TLS_AES_256_GCM_SHA384
AES_128 = CipherSuite.TLS_AES_128_GCM_SHA256
SELECTED = (PSK, encode_selected_identity(0))


def hopeful(**fields: Any) -> TLSConnection:
    """A client that offers a session."""
    victim = client(session_cache=SessionCache(), **fields)
    config = victim.config
    assert config.session_cache is not None
    now = SYSTEM.time()
    made = session(
        b"a ticket",
        context=client_context(config),  # type: ignore[arg-type]  # a client's
        peer_chain=credentials().chain,
        authenticated_at=now,
        issued_at=now,
    )
    config.session_cache.put(session_key(config, HOST), made)  # type: ignore[arg-type]  # a client's
    return victim


def face(edit: Edit, **options: Any) -> HostileServer:
    hostile = HostileServer(hopeful(), {"server_hello": edit}, **options)
    hostile.step("server_hello")
    hostile.flush()
    return hostile


# ---- the client -------------------------------------------------------------------------------------------


def test_the_hello_of_a_client_that_resumes() -> None:
    hello = HostileServer(hopeful()).hello
    # RFC 9846 §4.3.9: psk_key_exchange_modes MUST be sent with it; §4.3.11: it MUST be the last extension.
    assert hello.extension(MODES) == b"\x01\x01"
    assert hello.extensions[-1][0] == PSK
    psks = OfferedPsks.parse(hello.extensions[-1][1])
    assert psks.identities[0][0] == b"a ticket"


def test_a_server_that_does_not_resume() -> None:
    hostile = HostileServer(hopeful())
    hostile.run()
    connected(hostile)
    assert not hostile.victim.session_reused


def test_an_identity_that_was_not_offered() -> None:
    # RFC 9846 §4.3.11: within the range supplied by the client: "illegal_parameter".
    for selected in (1, 2, 65535):
        hostile = face(with_extension(PSK, encode_selected_identity(selected)))
        refused(hostile, IllegalParameter, "not offered", under=PLAIN)


def test_a_suite_with_another_hash() -> None:
    # RFC 9846 §4.3.11: a suite whose hash is the key's: "illegal_parameter".
    hostile = face(with_extension(*SELECTED), suite=AES_256)
    refused(hostile, IllegalParameter, "does not go with", under=PLAIN)


def test_a_key_without_key_exchange() -> None:
    # RFC 9846 §4.3.11: a key_share MUST be there if the modes require it: "illegal_parameter".
    def edit(message: bytes) -> bytes:
        without = with_extension(E.KEY_SHARE, None)(message)
        assert isinstance(without, bytes)
        return bytes(with_extension(*SELECTED)(without))  # type: ignore[arg-type]  # one message

    refused(face(edit), IllegalParameter, "without a key exchange", under=PLAIN)


def test_a_key_that_nobody_offered() -> None:
    # RFC 9846 §4.3: an answer to what was not sent: "unsupported_extension".
    hostile = HostileServer(client(), {"server_hello": with_extension(*SELECTED)})
    hostile.step("server_hello")
    hostile.flush()
    refused(hostile, UnsupportedExtension, "pre_shared_key", under=PLAIN)


def test_a_server_that_only_pretends_to_know_the_key() -> None:
    # Its records are under keys that do not come from the session, and so it cannot read the alert either.
    hostile = face(with_extension(*SELECTED))
    with pytest.raises(InvalidTag):
        hostile.run("encrypted_extensions", "finished")
    error = hostile.end.error
    assert isinstance(error, TLSError) and error.alert is not None and error.alert.name == "BAD_RECORD_MAC"


class Knowing(HostileServer):
    """A server that knows the key of the session, and resumes."""

    def enter_handshake(self, shared_secret: bytes) -> None:
        self.schedule = KeySchedule(self.suite, EarlySecrets(self.suite, b"s" * 32))
        self.schedule.enter_handshake(shared_secret, self.transcript.digest())


def knowing(**edits: Edit) -> Knowing:
    return Knowing(hopeful(), {"server_hello": with_extension(*SELECTED), **edits})


def test_a_server_that_resumes() -> None:
    hostile = knowing()
    hostile.run("server_hello", "encrypted_extensions", "finished")
    connected(hostile)
    assert hostile.victim.session_reused


@pytest.mark.parametrize("name", ["certificate_request", "certificate"])
def test_authentication_in_a_resumed_handshake(name: str) -> None:
    # RFC 9846 §4.4.2: servers which are authenticating with a resumption PSK MUST NOT send a CertificateRequest in
    # the main handshake; §2.2: nor a Certificate.
    hostile = knowing()
    hostile.run("server_hello", "encrypted_extensions", name)
    refused(hostile, UnexpectedMessage, "WAIT_FINISHED", under=HANDSHAKE)


def test_a_retry_keeps_a_key_that_goes_with_it() -> None:
    hostile = Knowing(
        hopeful(groups=(NamedGroup.x25519, NamedGroup.secp256r1)),
        {"server_hello": with_extension(*SELECTED)},
        group=NamedGroup.secp256r1,
        retry=((E.KEY_SHARE, ext.encode_key_share_hello_retry(NamedGroup.secp256r1)),),
    )
    hostile.step("hello_retry_request")
    # RFC 9846 §4.3.11: still the last one, also where a cookie comes in.
    assert hostile.hello.extensions[-1][0] == PSK
    hostile.run("server_hello", "encrypted_extensions", "finished")
    connected(hostile)
    assert hostile.victim.session_reused


def test_a_retry_drops_a_key_that_does_not() -> None:
    # RFC 9846 §4.2.2: keys that do not go with the suite of the request are left out.
    cookie = (E.COOKIE, ext.encode_cookie(b"c" * 40))
    hostile = HostileServer(hopeful(), suite=AES_256, retry=(cookie,))
    first = hostile.hello
    hostile.step("hello_retry_request")
    assert first.extension(PSK) is not None and hostile.hello.extension(PSK) is None
    assert hostile.hello.extension(E.COOKIE) == cookie[1]
    hostile.run("server_hello", "encrypted_extensions", "certificate", "certificate_verify", "finished")
    connected(hostile)
    assert not hostile.victim.session_reused


def test_a_retry_that_dropped_the_key_cannot_resume() -> None:
    cookie = (E.COOKIE, ext.encode_cookie(b"c" * 40))
    edits = {"server_hello": with_extension(*SELECTED)}
    hostile = HostileServer(hopeful(), edits, suite=AES_256, retry=(cookie,))
    hostile.step("hello_retry_request", "server_hello")
    hostile.flush()
    refused(hostile, UnsupportedExtension, "pre_shared_key", under=PLAIN)


# ---- tickets towards a client ---------------------------------------------------------------------------------


def ticketed(*tickets: NewSessionTicket) -> tuple[HostileServer, SessionCache]:
    cache = SessionCache()
    hostile = HostileServer(client(session_cache=cache))
    hostile.run()
    for ticket in tickets:
        hostile.handshake(ticket.encode())
    hostile.flush()
    connected(hostile)
    return hostile, cache


def test_a_ticket_becomes_a_session() -> None:
    hostile, cache = ticketed(
        NewSessionTicket(100, 7, b"\0", b"one"), NewSessionTicket(100, 7, b"\1", b"two")
    )
    one, two = cache
    assert (one.ticket, two.ticket) == (b"one", b"two") and one.secret != two.secret
    assert one.lifetime == 100 and one.age_add == 7
    assert hostile.victim.session == two


def test_a_lifetime_of_zero() -> None:
    # RFC 9846 §4.7.1: the ticket should be discarded immediately.
    hostile, cache = ticketed(NewSessionTicket(0, 7, b"\0", b"one"))
    assert len(cache) == 0 and hostile.victim.session is None


def test_a_lifetime_of_more_than_a_week() -> None:
    # RFC 9846 §4.7.1: clients MUST NOT use tickets for longer than 7 days.
    _, cache = ticketed(NewSessionTicket(2**32 - 1, 7, b"\0", b"one"))
    (kept,) = cache
    assert kept.lifetime == 604800


def test_a_ticket_as_large_as_there_is() -> None:
    _, cache = ticketed(NewSessionTicket(100, 7, b"\0", bytes(65000)))
    assert len(cache) == 0


def test_extensions_of_a_ticket_that_are_not_known() -> None:
    # RFC 9846 §4.7.1: clients MUST ignore unrecognized extensions; early_data is not used.
    extensions = ((0x7A7A, b"x"), (E.EARLY_DATA, ext.encode_early_data_ticket(1000)))
    _, cache = ticketed(NewSessionTicket(100, 7, b"\0", b"one", extensions))
    assert len(cache) == 1


# ---- the server -------------------------------------------------------------------------------------------


def known_party(**server_fields: Any) -> Party:
    party = Party(server=server_fields)
    assert not reused(party.meet())
    return party


def server_ends(edit: Passing, expected: type[TLSError], match: str = "") -> Handshake:
    run = known_party().meet(edit=from_client(edit))
    error = run.server.error
    assert type(error) is expected, repr(error)
    assert match in error.message
    return run


def psks_edit(change: Any) -> Passing:
    def edit(hello: ClientHello) -> ClientHello:
        data = hello.extension(PSK)
        assert data is not None
        return extended(hello, PSK, change(OfferedPsks.parse(data)).encode())  # type: ignore[no-any-return]  # a hello

    return editing(CH, edit)


def test_a_wrong_binder() -> None:
    # RFC 9846 §4.3.11: if it does not validate, the server MUST abort the handshake.
    for at in (0, 15, 31):

        def change(psks: OfferedPsks, at: int = at) -> OfferedPsks:
            binder = bytearray(psks.binders[0])
            binder[at] ^= 1
            return replace(psks, binders=(bytes(binder),))

        server_ends(psks_edit(change), DecryptError, "binder")
    server_ends(psks_edit(lambda psks: replace(psks, binders=(bytes(33),))), DecryptError, "binder")


def test_a_hello_that_was_changed_on_the_way() -> None:
    edit = editing(CH, lambda hello: replace(hello, random=bytes(32)))
    server_ends(edit, DecryptError, "binder")


def test_keys_without_modes() -> None:
    # RFC 9846 §4.3.9: without psk_key_exchange_modes servers MUST abort the handshake.
    edit = editing(CH, lambda hello: extended(hello, MODES, None))
    server_ends(edit, MissingExtension, "psk_key_exchange_modes")


def test_a_key_that_is_not_the_last_extension() -> None:
    # RFC 9846 §4.3.11: servers MUST check that it is the last extension: "illegal_parameter".
    def edit(message: bytes) -> bytes:
        data = OfferedPsks(((b"ticket", 0),), (bytes(32),)).encode()
        inner = with_extension(PSK, data)(message)
        assert isinstance(inner, bytes)
        return bytes(with_extension(MODES, b"\x01\x01")(inner))  # type: ignore[arg-type]  # one message

    hostile = HostileClient(server(tickets=2), {"client_hello": edit})
    hostile.run("client_hello")
    refused(hostile, IllegalParameter, "last", under=PLAIN)


def test_a_mode_that_is_not_done_here() -> None:
    # RFC 9846 §4.3.9: servers MUST NOT select a mode that is not listed.
    def edit(hello: ClientHello) -> ClientHello:
        return extended(hello, MODES, bytes((1, PskKeyExchangeMode.psk_ke)))  # type: ignore[no-any-return]  # a hello

    run = known_party().meet(edit=from_client(editing(CH, edit)))
    # The client's transcript has another hello, so it ends at the Finished; but nothing was resumed.
    (answer,) = run.sent("server", SH)
    assert answer.extension(PSK) is None
    assert "new_session_ticket" not in run.server.io.log


def test_no_tickets_for_a_client_that_cannot_use_them() -> None:
    # RFC 9846 §4.3.9, §4.7.1: only if the client's hello contained a suitable psk_key_exchange_modes.
    hostile = HostileClient(server(tickets=2))
    hostile.run()
    connected(hostile)
    assert not hostile.heard(HandshakeType.NEW_SESSION_TICKET)
    hostile = HostileClient(server(tickets=2), extensions=((MODES, b"\x02\x00\x01"),))
    hostile.run()
    connected(hostile)
    assert len(hostile.heard(HandshakeType.NEW_SESSION_TICKET)) == 2


def test_strangers_keys_and_the_kinds_of_damage_to_a_list_of_them() -> None:
    def face_with(data: bytes) -> HostileClient:
        hostile = HostileClient(server(tickets=2), extensions=((MODES, b"\x01\x01"), (PSK, data)))
        hostile.run("client_hello")
        return hostile

    # RFC 9846 §4.3.11: unknown keys SHOULD simply be ignored.
    hostile = face_with(OfferedPsks(((b"stranger", 5),) * 20, (bytes(32),) * 20).encode())
    hostile.run("finished")
    connected(hostile)
    hostile = face_with(OfferedPsks(((b"stranger", 5),), (bytes(32),) * 2).encode())
    refused(hostile, IllegalParameter, "binders", under=PLAIN)


def test_a_retry_resumes_too() -> None:
    # RFC 9846 §4.3.11.2: the binder of the second hello is over the first and the request too.
    party = Party(server={"hello_retry_cookie": True})
    assert [reused(party.meet()) for _ in range(3)] == [False, True, True]
    groups = (NamedGroup.secp256r1,)
    party = Party(client={"groups": (*X25519, *groups)}, server={"groups": groups})
    runs = [party.meet() for _ in range(2)]
    assert [reused(run) for run in runs] == [False, True]
    assert runs[1].client.waits.count("WAIT_SH") == 2


def test_a_retry_whose_second_binder_is_wrong() -> None:
    party = Party(server={"hello_retry_cookie": True})
    party.meet()

    def change(hello: ClientHello) -> ClientHello:
        data = hello.extension(PSK)
        assert data is not None
        wrong = replace(OfferedPsks.parse(data), binders=(bytes(32),))
        return extended(hello, PSK, wrong.encode())  # type: ignore[no-any-return]  # a hello

    run = party.meet(edit=from_client(editing(CH, change, nth=1)))
    assert type(run.server.error) is DecryptError


def test_the_suite_of_the_session_is_the_suite() -> None:
    # RFC 9846 §4.7.1: MUST only be resumed with a suite of the same hash.
    party = Party(client={"cipher_suites": (AES_128, AES_256)}, server={"cipher_suites": (AES_256, AES_128)})
    party.meet()
    assert party.session.suite == AES_256
    assert reused(party.meet())
    assert not reused(party.meet(server={"cipher_suites": (AES_128, AES_256)}))

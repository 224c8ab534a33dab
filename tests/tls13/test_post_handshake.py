"""After the handshake: KeyUpdate, NewSessionTicket, authentication of the client."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import anchors, client_config, credentials, server_config
from tests.support.handshakes import CT, CV, FIN, Handshake, Recorder, open_record
from tlswrite import limits
from tlswrite.crypto.x509 import load_credentials
from tlswrite.errors import (
    CallerError,
    CertificateError,
    CertificateRequired,
    DecodeError,
    DecryptError,
    IllegalParameter,
    MissingExtension,
    TLSError,
    TooMuchError,
    UnexpectedMessage,
)
from tlswrite.iana import AlertDescription, ExtensionType, HandshakeType, SignatureScheme
from tlswrite.messages import extensions as ext
from tlswrite.messages.certificate import Certificate, CertificateRequest, CertificateVerify
from tlswrite.messages.finish import Finished, KeyUpdate, NewSessionTicket
from tlswrite.tls13.post_handshake import MAX_EPOCH, PostHandshake

UPDATE = KeyUpdate.parse(b"\0").encode()
UPDATE_REQUESTED = KeyUpdate.parse(b"\1").encode()
TICKET = NewSessionTicket(3600, 0, b"n", b"ticket", ((int(ExtensionType.EARLY_DATA), bytes(4)),)).encode()


class Pair:
    """What both ends of a finished handshake are afterwards."""

    def __init__(self, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> None:
        self.run = Handshake(client_config(**(client or {})), server_config(**(server or {})))
        assert self.run.complete
        self.client_io, self.server_io = self.run.client.io, self.run.server.io
        self.client_io.log.clear()
        self.server_io.log.clear()
        self.client, self.server = self.after(self.client_io), self.after(self.server_io)

    @staticmethod
    def after(io: Recorder) -> PostHandshake:
        assert isinstance(io.after, PostHandshake)
        return io.after

    def to_client(self, raw: bytes) -> None:
        self.client.handle(raw[0], raw, self.client_io)

    def to_server(self, raw: bytes) -> None:
        self.server.handle(raw[0], raw, self.server_io)


def authenticating(**server: Any) -> Pair:
    return Pair(
        {"post_handshake_auth": True, "credentials": credentials(client=True)},
        {"trust_anchors": anchors(), **server},
    )


def passes(sealer: Any, opener: Any) -> bool:
    """Whether what `sealer` seals is opened by `opener`."""
    try:
        return open_record(opener, sealer.seal(23, b"data")) == (23, b"data")
    except TLSError:
        return False


# ---- KeyUpdate --------------------------------------------------------------------------------------


def test_key_updates_go_through_the_generations_on_both_sides() -> None:
    # RFC 9846 §7.2.
    pair = Pair()
    for _ in range(3):
        message, sealer = pair.client.rekey()
        assert message == UPDATE
        old = pair.server_io.openers[-1]
        pair.to_server(message)
        assert passes(sealer, pair.server_io.openers[-1])
        assert not passes(sealer, old)
    message, sealer = pair.server.rekey()
    pair.to_client(message)
    assert passes(sealer, pair.client_io.openers[-1])
    assert pair.server_io.key_updates_requested == 0


def test_a_request_is_answered_once_and_not_repeated_before_the_answer() -> None:
    # RFC 9846 §4.7.3.
    pair = Pair()
    first, _ = pair.client.rekey(request_peer=True)
    second, _ = pair.client.rekey(request_peer=True)
    # MUST NOT send another update_requested until receiving the peer's KeyUpdate.
    assert (first, second) == (UPDATE_REQUESTED, UPDATE)
    for message in (first, second):
        pair.to_server(message)
    assert pair.server_io.key_updates_requested == 1
    answer, sealer = pair.server.rekey()
    assert answer == UPDATE
    pair.to_client(answer)
    assert passes(sealer, pair.client_io.openers[-1])
    assert pair.client_io.key_updates_requested == 0
    assert pair.client.rekey(request_peer=True)[0] == UPDATE_REQUESTED


@pytest.mark.parametrize(
    ("body", "expected"), [(b"\2", IllegalParameter), (b"", DecodeError), (b"\0\0", DecodeError)]
)
def test_malformed_key_updates(body: bytes, expected: type[TLSError]) -> None:
    # RFC 9846 §4.7.3: any other value: "illegal_parameter".
    pair = Pair()
    with pytest.raises(expected):
        pair.to_server(b"\x18\0\0" + bytes((len(body),)) + body)


@pytest.mark.parametrize("message", [UPDATE, UPDATE_REQUESTED])
def test_a_flood_of_key_updates_is_refused(message: bytes) -> None:
    pair = Pair()
    for _ in range(limits.MAX_KEY_UPDATES_IN_A_ROW):
        pair.to_server(message)
    with pytest.raises(TooMuchError):
        pair.to_server(message)


def test_key_updates_with_data_between_them_are_no_flood() -> None:
    pair = Pair()
    for _ in range(4 * limits.MAX_KEY_UPDATES_IN_A_ROW):
        pair.to_server(UPDATE)
        pair.server_io.delivered += 1


def test_answers_to_our_own_requests_are_no_flood() -> None:
    # A peer that only receives answers each request without a byte of data.
    pair = Pair()
    for _ in range(4 * limits.MAX_KEY_UPDATES_IN_A_ROW):
        assert pair.server.rekey(request_peer=True)[0] == UPDATE_REQUESTED
        pair.to_server(UPDATE)


def test_a_sender_stops_at_the_last_epoch() -> None:
    # RFC 9846 §4.7.3: MUST NOT allow the number of key updates to exceed 2^48-1; a request is then ignored.
    pair = Pair()
    pair.server._epoch = MAX_EPOCH - 1
    pair.server.rekey()
    with pytest.raises(CallerError, match="no further key update"):
        pair.server.rekey()
    pair.to_server(UPDATE_REQUESTED)
    assert pair.server_io.key_updates_requested == 0
    # Receiving is not limited: receivers MUST NOT enforce this rule.
    pair.to_server(UPDATE)


def test_limits_and_settings_outlive_a_key_update() -> None:
    pair = Pair({"record_size_limit": 300, "key_update_records": 9}, {"record_size_limit": 200})
    _, sealer = pair.client.rekey()
    assert (sealer.max_content, sealer.record_limit) == (199, 9)
    _, sealer = pair.server.rekey()
    assert sealer.max_content == 299
    pair.to_client(UPDATE)
    sealer.max_content = 400
    with pytest.raises(TLSError, match="300"):
        open_record(pair.client_io.openers[-1], sealer.seal(23, bytes(301)))


# ---- exporters, memory ------------------------------------------------------------------------------


def test_both_ends_export_the_same() -> None:
    # RFC 9846 §7.5.
    pair = Pair()
    exported = pair.client.export(b"EXPORTER-test", 40, b"context")
    assert len(exported) == 40
    assert exported == pair.server.export(b"EXPORTER-test", 40, b"context")
    assert exported != pair.client.export(b"EXPORTER-test", 40, b"")
    pair.client.rekey()
    assert exported == pair.client.export(b"EXPORTER-test", 40, b"context")


def test_nothing_is_kept_that_is_not_needed() -> None:
    pair = Pair({"post_handshake_auth": True})
    # The server trusts nobody, so it will never ask.
    assert pair.server._transcript is None
    assert Pair().client._transcript is None
    assert pair.client._transcript is not None
    assert "secret" not in repr(pair.client)


# ---- NewSessionTicket and what is unexpected --------------------------------------------------------


def test_tickets_are_ignored_up_to_a_number() -> None:
    # RFC 9846 §4.7.1: clients that do not support resumption MUST silently ignore this message.
    pair = Pair()
    for _ in range(limits.MAX_TICKETS):
        pair.to_client(TICKET)
    with pytest.raises(TooMuchError, match="tickets"):
        pair.to_client(TICKET)
    assert pair.client_io.log == []


def test_tickets_with_data_between_them_are_no_flood() -> None:
    pair = Pair()
    for _ in range(2 * limits.MAX_TICKETS):
        pair.to_client(TICKET)
        pair.client_io.delivered += 1


def test_tickets_must_be_well_formed() -> None:
    pair = Pair()
    with pytest.raises(DecodeError):
        pair.to_client(TICKET[:-1] + b"")
    # RFC 9846 §4.3: a recognised extension that does not belong there; unknown ones are ignored.
    wrong = NewSessionTicket(1, 2, b"", b"t", ((int(ExtensionType.KEY_SHARE), b""),)).encode()
    with pytest.raises(IllegalParameter):
        pair.to_client(wrong)
    pair.to_client(NewSessionTicket(1, 2, b"", b"t", ((0x1234, b""),)).encode())


@pytest.mark.parametrize("kind", [kind for kind in HandshakeType if kind != HandshakeType.KEY_UPDATE])
def test_everything_else_is_unexpected(kind: HandshakeType) -> None:
    # RFC 9846 §4, §4.2.2 (no renegotiation), §4.7.2 (a CertificateRequest to a client that did not offer it).
    pair = Pair()
    raw = bytes((kind, 0, 0, 0))
    match = f"{kind.name.lower()} received in state CONNECTED"
    if kind != HandshakeType.NEW_SESSION_TICKET:
        with pytest.raises(UnexpectedMessage, match=match):
            pair.to_client(raw)
    with pytest.raises(UnexpectedMessage, match=match):
        pair.to_server(raw)


# ---- authentication: the client's answer ------------------------------------------------------------


def test_a_client_that_did_not_offer_it_refuses_a_request() -> None:
    # RFC 9846 §4.7.2: MUST send an "unexpected_message" fatal alert.
    pair = Pair({"credentials": credentials(client=True)}, {"trust_anchors": anchors()})
    request = CertificateRequest(b"c", ((int(ExtensionType.SIGNATURE_ALGORITHMS), b"\0\2\4\3"),)).encode()
    with pytest.raises(UnexpectedMessage, match="certificate_request received in state CONNECTED"):
        pair.to_client(request)
    with pytest.raises(CallerError, match="did not offer"):
        pair.server.request_certificate(pair.server_io)


def test_a_client_cannot_ask() -> None:
    pair = authenticating()
    with pytest.raises(CallerError):
        pair.client.request_certificate(pair.client_io)


def test_the_server_asks_and_the_client_answers() -> None:
    # RFC 9846 §4.7.2.
    pair = authenticating()
    assert pair.server_io.result is not None and pair.server_io.result.peer_chain == ()
    pair.server.request_certificate(pair.server_io)
    (request,) = pair.server_io.take()
    parsed = CertificateRequest.parse(request[4:])
    assert len(parsed.request_context) == 16
    pair.to_client(request)
    answer = pair.client_io.take()
    assert [raw[0] for raw in answer] == [CT, CV, FIN]
    assert Certificate.parse(answer[0][4:]).request_context == parsed.request_context
    for raw in answer:
        pair.to_server(raw)
    facts = pair.server_io.result
    assert facts is not None and facts.peer_chain == credentials(client=True).chain
    assert facts.signature_scheme == SignatureScheme.ecdsa_secp256r1_sha256
    assert pair.server_io.after is pair.server


def test_requests_may_cross_and_keys_may_change_in_between() -> None:
    # RFC 9846 §4.7.2: answers may come in another order; §4.5: each transcript has its own request alone,
    # and the base key is that of the moment.
    pair = authenticating()
    for _ in range(2):
        pair.server.request_certificate(pair.server_io)
    first, second = pair.server_io.take()
    assert first != second
    update, _ = pair.client.rekey()
    pair.to_client(second)
    pair.to_client(first)
    pair.to_server(update)
    for raw in pair.client_io.take():
        pair.to_server(raw)
    assert pair.server_io.result is not None and pair.server_io.result.peer_chain
    # Both are answered now.
    with pytest.raises(UnexpectedMessage):
        pair.to_server(Certificate(b"", ()).encode())


def test_a_client_without_credentials_declines() -> None:
    # RFC 9846 §4.7.2: MUST send an empty Certificate followed by Finished.
    pair = Pair({"post_handshake_auth": True}, {"trust_anchors": anchors()})
    pair.server.request_certificate(pair.server_io)
    pair.to_client(pair.server_io.take()[0])
    answer = pair.client_io.take()
    assert [raw[0] for raw in answer] == [CT, FIN]
    for raw in answer:
        pair.to_server(raw)
    assert pair.server_io.result is not None and pair.server_io.result.peer_chain == ()


def test_a_server_that_requires_a_certificate_does_not_take_a_refusal() -> None:
    client = {"post_handshake_auth": True, "credentials": credentials(client=True)}
    pair = Pair(client, {"trust_anchors": anchors(), "verify_mode": ssl.CERT_REQUIRED})
    object.__setattr__(pair.run.client.io.after._config, "credentials", None)
    pair.server.request_certificate(pair.server_io)
    pair.to_client(pair.server_io.take()[0])
    certificate, finished = pair.client_io.take()
    pair.to_server(certificate)
    with pytest.raises(CertificateRequired):
        pair.to_server(finished)


def test_malformed_requests_are_refused() -> None:
    pair = authenticating()
    with pytest.raises(MissingExtension):
        pair.to_client(CertificateRequest(b"c", ()).encode())
    with pytest.raises(DecodeError):
        pair.to_client(b"\x0d\0\0\1\5")


def test_a_flood_of_requests_is_refused() -> None:
    pair = authenticating()
    schemes = ext.encode_signature_algorithms((SignatureScheme.ed25519,))
    request = CertificateRequest(b"c", ((int(ExtensionType.SIGNATURE_ALGORITHMS), schemes),)).encode()
    for _ in range(limits.MAX_KEY_UPDATES_IN_A_ROW):
        pair.to_client(request)
    with pytest.raises(TooMuchError):
        pair.to_client(request)


# ---- authentication: what the server takes for an answer --------------------------------------------


def answered(change: Any = None) -> tuple[Pair, list[bytes]]:
    """A pair and the client's three messages, which `change` may alter."""
    pair = authenticating()
    pair.server.request_certificate(pair.server_io)
    pair.to_client(pair.server_io.take()[0])
    answer = pair.client_io.take()
    return pair, answer if change is None else change(answer)


def with_certificate(answer: list[bytes], **fields: Any) -> list[bytes]:
    return [replace(Certificate.parse(answer[0][4:]), **fields).encode(), *answer[1:]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # RFC 9846 §4.5.1: the context of the request.
        (lambda a: with_certificate(a, request_context=b"other"), IllegalParameter),
        # RFC 9846 §4.7.2: consecutively on the wire.
        (lambda a: [a[0], UPDATE, *a[1:]], UnexpectedMessage),
        (lambda a: [a[0], a[2]], UnexpectedMessage),
        (lambda a: [a[0], CertificateVerify(0x0403, b"x").encode()], DecryptError),
        (lambda a: [a[0], a[1], Finished(bytes(32)).encode()], DecryptError),
    ],
)
def test_answers_that_are_not_right(change: Any, expected: type[TLSError]) -> None:
    pair, answer = answered(change)
    with pytest.raises(expected):
        for raw in answer:
            pair.to_server(raw)
    assert pair.server_io.result is not None and pair.server_io.result.peer_chain == ()


def test_a_later_certificate_is_verified_like_the_first() -> None:
    made = pki.issue(("client",), client=True, issuer=pki.stranger())
    mine = load_credentials(made.chain_pem, made.key_pem)
    pair = Pair({"post_handshake_auth": True, "credentials": mine}, {"trust_anchors": anchors()})
    pair.server.request_certificate(pair.server_io)
    pair.to_client(pair.server_io.take()[0])
    with pytest.raises(CertificateError) as caught:
        pair.to_server(pair.client_io.take()[0])
    assert caught.value.alert == AlertDescription.UNKNOWN_CA

"""OCSP status in TLS 1.2: the extension of the hellos, and the CertificateStatus message (RFC 6066 §8)."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.engine import ONLY_1_2, client, client_config, server, server_config
from tests.support.handshakes import (
    CT,
    Edit,
    Handshake,
    client_refuses,
    editing,
    server_refuses,
    with_extension,
)
from tests.support.ocsp import MALFORMED, REVOKED, cases, check_absent, leaf_credentials, respond, trust
from tests.support.pump import Pair
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.errors import (
    CertificateError,
    DecodeError,
    UnexpectedMessage,
    UnsupportedExtension,
)
from tlswrite.iana import AlertDescription, ExtensionType, HandshakeType
from tlswrite.messages.base import frame
from tlswrite.messages.framing import MESSAGES12
from tlswrite.messages.tls12 import CertificateStatus

SH, CS, SKE = HandshakeType.SERVER_HELLO, HandshakeType.CERTIFICATE_STATUS, HandshakeType.SERVER_KEY_EXCHANGE
STATUS = ExtensionType.STATUS_REQUEST


def ours(**fields: Any) -> ClientConfig:
    return client_config(**{**ONLY_1_2, "trust_anchors": trust(), **fields})


def theirs(response: Any = None, *, must_staple: bool = False, **fields: Any) -> ServerConfig:
    credentials = (leaf_credentials(response, must_staple=must_staple),)
    return server_config(**{**ONLY_1_2, "credentials": credentials, **fields})


def saying(*messages: bytes) -> Edit:
    """Other messages in the place of the CertificateStatus."""

    def edit(_: str, raw: bytes) -> Sequence[bytes]:
        return messages if raw[0] == CS else [raw]

    return edit


def behind(kind: HandshakeType, message: bytes) -> Edit:
    def edit(_: str, raw: bytes) -> Sequence[bytes]:
        return [raw, message] if raw[0] == kind else [raw]

    return edit


def hello_saying(data: bytes | None) -> Edit:
    return editing(SH, lambda message: with_extension(message, STATUS, data), messages=MESSAGES12)


def got(made: Handshake) -> bytes | None:
    assert made.complete, (made.client.error, made.server.error)
    assert made.client.io.result is not None
    return made.client.io.result.ocsp_response


# ---- what both sides say ----


def test_a_server_staples_and_the_client_has_it() -> None:
    response = respond()
    made = Handshake(ours(require_ocsp_status=True), theirs(response))
    assert got(made) == response
    assert made.client.waits == [
        "WAIT_SH",
        "WAIT_CERT",
        "WAIT_CS_SKE",
        "WAIT_SKE",
        "WAIT_CR_SHD",
        "WAIT_FINISHED",
    ]
    # RFC 6066 §8: an empty extension; CertificateStatus immediately after Certificate.
    (hello,) = made.sent("server", SH)
    assert hello.extension(STATUS) == b""
    kinds = [raw[0] for name, raw in made.wire if name == "server"]
    assert kinds[:4] == [SH, CT, CS, SKE]
    assert made.server.io.result is not None and made.server.io.result.ocsp_response is None


@pytest.mark.parametrize("asks", [False, True])
def test_who_does_not_ask_or_has_nothing_to_staple_says_nothing(asks: bool) -> None:
    made = Handshake(ours(status_request=asks), theirs(None if asks else respond()))
    assert got(made) is None
    (hello,) = made.sent("server", SH)
    assert hello.extension(STATUS) is None
    assert not made.sent("server", CS)
    assert "WAIT_CS_SKE" not in made.client.waits


def test_a_server_that_announces_a_status_may_omit_it() -> None:
    # RFC 6066 §8: a server MAY choose not to send it, even if it has received and answered the extension. What was
    # changed on the way ends this handshake at the Finished, not before.
    made = Handshake(ours(), theirs(respond()), saying())
    assert made.client.waits[2:4] == ["WAIT_CS_SKE", "WAIT_CR_SHD"]
    assert made.server.error is not None and made.server.error.alert == AlertDescription.DECRYPT_ERROR
    client_refuses(
        saying(),
        CertificateError,
        "without its OCSP status",
        client=ours(require_ocsp_status=True),
        server=theirs(respond()),
    )


@pytest.mark.parametrize("fragment", [None, 1])
def test_a_renegotiation_is_as_the_first_handshake(fragment: int | None) -> None:
    newest: list[bytes | None] = [respond()]
    pair = Pair(
        client(**ONLY_1_2, trust_anchors=trust()),
        server(**ONLY_1_2, credentials=(leaf_credentials(lambda: newest[0]),)),
        fragment=fragment,
    )
    pair.handshake()
    assert pair.client.connection.ocsp_response == newest[0]
    for response in (None, respond()):
        newest[0] = response
        pair.server.connection.renegotiate()
        pair.pump()
        pair.check()
        assert pair.client.connection.ocsp_response == response
    newest[0] = respond(status=REVOKED)
    pair.server.connection.renegotiate()
    pair.pump()
    error = pair.client.error
    assert isinstance(error, CertificateError) and error.alert == AlertDescription.CERTIFICATE_REVOKED


def test_a_resumed_session_shows_no_status() -> None:
    fields: dict[str, Any] = {**ONLY_1_2, "trust_anchors": trust()}
    first = ClientConfig(**fields, require_ocsp_status=True)
    server_side = ServerConfig(**ONLY_1_2, credentials=(leaf_credentials(respond()),))
    assert got(Handshake(first, server_side)) is not None
    again = Handshake(first, server_side)
    assert again.client.io.result is not None and again.client.io.result.session_reused
    assert got(again) is None
    assert not again.sent("server", CS)
    (hello,) = again.sent("server", SH)
    assert hello.extension(STATUS) is None
    # A session that was made without that policy is not resumed with it.
    lax = ClientConfig(**fields)
    assert got(Handshake(lax, theirs())) is None
    strict = ClientConfig(**fields, require_ocsp_status=True, session_cache=lax.session_cache)
    assert got(Handshake(strict, server_side)) is not None


# ---- what is refused ----


@pytest.mark.parametrize("name", cases())
def test_every_quality(name: str) -> None:
    case = cases()[name]
    if case.error is None:
        assert got(Handshake(ours(require_ocsp_status=True), theirs(case.response))) == case.response
        return
    edit = saying(CertificateStatus(case.response).encode())
    error = client_refuses(edit, case.error, case.words, client=ours(), server=theirs(respond()))
    assert error.alert == case.alert


def test_without_verification_the_response_is_handed_on_as_it_is() -> None:
    response = respond(status=REVOKED)
    assert got(Handshake(ours(verify_mode=ssl.CERT_NONE, check_hostname=False), theirs(response))) == response


@pytest.mark.parametrize("must_staple", [False, True])
@pytest.mark.parametrize(("required", "asks"), [(False, False), (False, True), (True, True)])
def test_absent(must_staple: bool, required: bool, asks: bool) -> None:
    client_side = ours(require_ocsp_status=required, status_request=asks)
    server_side = theirs(must_staple=must_staple)
    check_absent(client_side, server_side, refused=required or (must_staple and asks))


def test_a_status_that_was_not_announced_is_unexpected() -> None:
    status = CertificateStatus(respond()).encode()
    words = "certificate_status received in state WAIT_SKE"
    client_refuses(behind(CT, status), UnexpectedMessage, words, client=ours(), server=theirs())
    # Nor a second one, nor one that was announced in another place.
    client_refuses(behind(CS, status), UnexpectedMessage, words, client=ours(), server=theirs(respond()))
    words = "certificate_status received in state WAIT_CR_SHD"
    client_refuses(behind(SKE, status), UnexpectedMessage, words, client=ours(), server=theirs(respond()))
    words = "certificate_status received in state WAIT_CERT"
    client_refuses(behind(SH, status), UnexpectedMessage, words, client=ours(), server=theirs(respond()))


def test_an_answer_that_was_not_asked_for_is_refused() -> None:
    # RFC 5246 §7.4.1.4: "unsupported_extension".
    client_refuses(
        hello_saying(b""),
        UnsupportedExtension,
        "status_request",
        client=ours(status_request=False),
        server=theirs(),
    )


def test_an_answer_that_is_not_empty_is_refused() -> None:
    client_refuses(hello_saying(b"\1\0\0\0\0"), DecodeError, client=ours(), server=theirs(respond()))


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_statuses_are_refused(name: str) -> None:
    body, expected = MALFORMED[name]
    client_refuses(saying(frame(CS, body)), expected, client=ours(), server=theirs(respond()))


def test_a_client_cannot_show_its_status() -> None:
    # RFC 6066 §8 has no message for it: a server that insists on one has no use for clients of TLS 1.2.
    fields = {"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": trust(), "status_request": True}
    client_side = ours(credentials=leaf_credentials(client=True))
    assert got(Handshake(client_side, theirs(**fields))) is None
    strict = theirs(**fields, require_ocsp_status=True)
    server_refuses(None, CertificateError, "without its OCSP status", client=client_side, server=strict)

"""OCSP status in TLS 1.3: stapled by servers and clients, asked for by both (RFC 9846 §4.5.1.1)."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import pytest

from tests.support.engine import client, client_config, server, server_config
from tests.support.handshakes import (
    CH,
    CR,
    CT,
    EE,
    Edit,
    Handshake,
    client_refuses,
    editing,
    extending,
    server_refuses,
)
from tests.support.ocsp import (
    MALFORMED,
    NOW,
    REVOKED,
    cases,
    check_absent,
    leaf,
    leaf_credentials,
    respond,
    trust,
)
from tests.support.pump import Pair
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.errors import (
    BadCertificateStatusResponse,
    CertificateError,
    ConfigurationError,
    DecodeError,
    IllegalParameter,
    InternalError,
    UnsupportedExtension,
)
from tlswrite.iana import AlertDescription, ExtensionType
from tlswrite.messages import extensions as ext
from tlswrite.messages.certificate import Certificate, CertificateEntry

STATUS = ExtensionType.STATUS_REQUEST


def ours(**fields: Any) -> ClientConfig:
    return client_config(**{"trust_anchors": trust(), **fields})


def theirs(response: Any = None, *, must_staple: bool = False, **fields: Any) -> ServerConfig:
    return server_config(credentials=(leaf_credentials(response, must_staple=must_staple),), **fields)


def with_status(data: bytes | None, sender: str = "server") -> Edit:
    """Other extension_data for the status of the first certificate; None: none."""

    def change(message: Certificate) -> Certificate:
        first = CertificateEntry(message.entries[0].der, () if data is None else ((STATUS, data),))
        return replace(message, entries=(first, *message.entries[1:]))

    edit = editing(CT, change)
    return lambda name, raw: edit(name, raw) if name == sender else raw


def stapling(response: bytes, sender: str = "server") -> Edit:
    return with_status(ext.encode_certificate_status(response), sender)


# ---- a server's -------------------------------------------------------------------------------------


def test_a_server_staples_and_the_client_has_it() -> None:
    response = respond()
    made = Handshake(ours(require_ocsp_status=True), theirs(response))
    assert made.complete, (made.client.error, made.server.error)
    assert made.client.io.result is not None and made.client.io.result.ocsp_response == response
    assert made.server.io.result is not None and made.server.io.result.ocsp_response is None
    # RFC 9846 §4.5.1.1: in the CertificateEntry of the certificate it is about.
    (certificate,) = made.sent("server", CT)
    assert certificate.entries[0].extensions == ((STATUS, ext.encode_certificate_status(response)),)
    (hello,) = made.sent("client", CH)
    assert hello.extension(STATUS) == b"\1\0\0\0\0"


def test_the_connection_tells() -> None:
    response = respond()
    pair = Pair(client(trust_anchors=trust()), server(credentials=(leaf_credentials(response),)))
    assert pair.client.connection.ocsp_response is None
    pair.handshake()
    assert pair.client.connection.ocsp_response == response
    assert pair.server.connection.ocsp_response is None


def test_the_newest_is_stapled() -> None:
    newest: list[bytes | None] = [None]
    config = theirs(lambda: newest[0])
    for response in (None, respond(), None, respond()):
        newest[0] = response
        made = Handshake(ours(), config)
        assert made.client.io.result is not None and made.client.io.result.ocsp_response == response


def test_a_function_that_has_rubbish_fails_the_handshake() -> None:
    pair = Pair(client(trust_anchors=trust()), server(credentials=(leaf_credentials(lambda: b"?"),)))
    with pytest.raises(InternalError, match="OCSP response cannot be read"):
        pair.handshake()


@pytest.mark.parametrize("data", [None, b"\2", b"\2anything"])
def test_who_does_not_ask_for_ocsp_gets_none(data: bytes | None) -> None:
    # RFC 6066 §8: only to a client that asks; a request for another type of status is not understood, so ignored.
    server_side = theirs(respond())
    made = Handshake(
        ours(status_request=False), server_side, None if data is None else extending(CH, STATUS, data)
    )
    (certificate,) = made.sent("server", CT)
    assert certificate.entries[0].extensions == ()


@pytest.mark.parametrize("data", [b"", b"\1", b"\1\0\0", b"\1\0\0\0\0\0", b"\1\0\2\0\0\0\0"])
def test_a_malformed_request_is_refused(data: bytes) -> None:
    server_refuses(extending(CH, STATUS, data), DecodeError, client=ours(), server=theirs(respond()))


def test_responder_ids_and_extensions_of_a_request_change_nothing() -> None:
    edit = extending(CH, STATUS, ext.encode_status_request((b"id",), b"extensions"))
    made = Handshake(ours(), theirs(respond()), edit)
    (certificate,) = made.sent("server", CT)
    assert certificate.entries[0].extension(STATUS) is not None


@pytest.mark.parametrize("name", cases())
def test_every_quality(name: str) -> None:
    case = cases()[name]
    if case.error is None:
        made = Handshake(ours(require_ocsp_status=True), theirs(case.response))
        assert made.complete, made.client.error
        assert made.client.io.result is not None and made.client.io.result.ocsp_response == case.response
        return
    edit = stapling(case.response)
    error = client_refuses(edit, case.error, case.words, client=ours(), server=theirs(respond()))
    assert error.alert == case.alert
    # Without verification the response is not looked at: the next message ends a handshake that was edited.
    lax = ours(verify_mode=ssl.CERT_NONE, check_hostname=False)
    passed = Handshake(lax, theirs(respond()), stapling(case.response)).client.error
    assert passed is not None and passed.alert == AlertDescription.DECRYPT_ERROR


def test_without_verification_the_response_is_handed_on_as_it_is() -> None:
    response = respond(status=REVOKED)
    made = Handshake(ours(verify_mode=ssl.CERT_NONE, check_hostname=False), theirs(response))
    assert made.complete
    assert made.client.io.result is not None and made.client.io.result.ocsp_response == response


def test_a_revoked_certificate() -> None:
    error = client_refuses(
        None, CertificateError, "was revoked", client=ours(), server=theirs(respond(status=REVOKED))
    )
    assert error.alert == AlertDescription.CERTIFICATE_REVOKED


@pytest.mark.parametrize("must_staple", [False, True])
@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("asks", [False, True])
def test_absent(must_staple: bool, required: bool, asks: bool) -> None:
    if required and not asks:
        with pytest.raises(ConfigurationError, match="require_ocsp_status needs status_request"):
            ours(require_ocsp_status=True, status_request=False)
        return
    client_side = ours(require_ocsp_status=required, status_request=asks)
    server_side = theirs(must_staple=must_staple)
    check_absent(client_side, server_side, refused=required or (must_staple and asks))


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_statuses_are_refused(name: str) -> None:
    body, expected = MALFORMED[name]
    client_refuses(with_status(body), expected, client=ours(), server=theirs(respond()))


def test_a_malformed_status_of_an_issuer_is_refused() -> None:
    def change(message: Certificate) -> Certificate:
        return replace(
            message, entries=(*message.entries, CertificateEntry(leaf().der, ((STATUS, b"\1\0\0\0"),)))
        )

    client_refuses(editing(CT, change), DecodeError, client=ours(), server=theirs(respond()))


def test_a_status_that_was_not_asked_for_is_refused() -> None:
    # RFC 9846 §4.3: "unsupported_extension".
    edit = stapling(respond())
    client_refuses(edit, UnsupportedExtension, client=ours(status_request=False), server=theirs())


def test_a_status_request_in_another_message_is_refused() -> None:
    # RFC 9846 §4.3, the table: CH, CR, CT.
    client_refuses(extending(EE, STATUS, b""), IllegalParameter, client=ours(), server=theirs())


# ---- a client's -------------------------------------------------------------------------------------


def showing(response: Any = None, **options: bool) -> ClientConfig:
    """A client that has a certificate."""
    return ours(credentials=leaf_credentials(response, client=True, **options))


def asking(**fields: Any) -> ServerConfig:
    """A server that asks for one, and for its status."""
    defaults = {"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": trust(), "status_request": True}
    return theirs(**{**defaults, **fields})


def own(**fields: Any) -> bytes:
    return respond(about=leaf(client=True), **fields)


def test_a_client_staples_where_it_is_asked() -> None:
    made = Handshake(showing(own()), asking(require_ocsp_status=True))
    assert made.complete, (made.client.error, made.server.error)
    assert made.server.io.result is not None and made.server.io.result.ocsp_response is not None
    # RFC 9846 §4.5.1.1: by an empty extension.
    (request,) = made.sent("server", CR)
    assert request.extension(STATUS) == b""


def test_a_client_that_is_not_asked_does_not() -> None:
    made = Handshake(showing(own()), asking(status_request=False))
    assert made.complete
    (request,), (certificate,) = made.sent("server", CR), made.sent("client", CT)
    assert request.extension(STATUS) is None and certificate.entries[0].extensions == ()


def test_a_request_that_is_not_empty_is_refused() -> None:
    client_refuses(extending(CR, STATUS, b"\1\0\0\0\0"), DecodeError, client=showing(own()), server=asking())


def test_a_client_without_a_status() -> None:
    made = Handshake(showing(), asking())
    assert made.complete
    assert made.server.io.result is not None and made.server.io.result.ocsp_response is None
    required = asking(require_ocsp_status=True)
    server_refuses(None, CertificateError, "without its OCSP status", client=showing(), server=required)
    with pytest.raises(ConfigurationError, match="needs status_request"):
        asking(require_ocsp_status=True, status_request=False)


@pytest.mark.parametrize(
    ("fields", "expected", "alert"),
    [
        ({"status": REVOKED}, CertificateError, AlertDescription.CERTIFICATE_REVOKED),
        (
            {"about": leaf()},
            BadCertificateStatusResponse,
            AlertDescription.BAD_CERTIFICATE_STATUS_RESPONSE,
        ),
    ],
    ids=["revoked", "wrong serial"],
)
def test_a_clients_status_that_is_no_good(fields: Any, expected: type[Any], alert: AlertDescription) -> None:
    edit = stapling(respond(**{"about": leaf(client=True), **fields}), "client")
    error = server_refuses(edit, expected, client=showing(own()), server=asking())
    assert error.alert == alert


def test_after_the_handshake() -> None:
    # RFC 9846 §4.7.2: the same messages, later.
    pair = Pair(
        client(
            trust_anchors=trust(),
            credentials=leaf_credentials(own(this_update=NOW), client=True),
            post_handshake_auth=True,
        ),
        server(credentials=(leaf_credentials(),), trust_anchors=trust(), status_request=True),
    )
    pair.handshake()
    assert pair.server.connection.ocsp_response is None
    pair.server.connection.verify_client_post_handshake()
    pair.pump()
    pair.check()
    assert pair.server.connection.getpeercert(True) == leaf(client=True).der
    assert pair.server.connection.ocsp_response is not None

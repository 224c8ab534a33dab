"""§4.7.2: a certificate that is asked for after the handshake, with either side hostile."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.support.edits import Edit, with_extension
from tests.support.engine import anchors, client, credentials, issued, server
from tests.support.hostile import APPLICATION, Hostile, HostileClient, HostileServer, Record
from tests.support.verdicts import connected, refused
from tlswrite.crypto.credentials import Credentials
from tlswrite.crypto.signatures import CLIENT_CONTEXT, certificate_verify_content, verify
from tlswrite.crypto.x509 import public_key
from tlswrite.errors import (
    CallerError,
    CertificateRequired,
    DecodeError,
    DecryptError,
    IllegalParameter,
    MissingExtension,
    TLSError,
    TooMuchError,
    UnexpectedMessage,
)
from tlswrite.iana import ContentType, ExtensionType, HandshakeType
from tlswrite.limits import MAX_KEY_UPDATES_IN_A_ROW
from tlswrite.messages.finish import Finished
from tlswrite.messages.framing import frame
from tlswrite.tls13.schedule import finished_mac

DATA = ContentType.APPLICATION_DATA
KU = HandshakeType.KEY_UPDATE


# ---- a certificate that is asked for later, at the client ------------------------------------------------


def asking(
    owner: Credentials | None = None, edit: Edit | None = None, context: bytes = b"later"
) -> HostileServer:
    hostile = HostileServer(client(credentials=owner, post_handshake_auth=True))
    hostile.run()
    request = hostile.certificate_request(context)
    edited = request if edit is None else edit(request)
    assert isinstance(edited, bytes)
    # RFC 9846 §4.5: the context is ClientHello ... client Finished, and the request.
    main = hostile.transcript
    hostile.transcript = main.fork()
    hostile.transcript.add(edited)
    hostile.handshake(edited)
    hostile.flush()
    return hostile


@pytest.mark.parametrize("owner", [None, credentials(client=True)], ids=["without", "with"])
def test_the_answer_of_a_client(owner: Credentials | None) -> None:
    hostile = asking(owner)
    chain = () if owner is None else owner.chain
    (certificate,) = hostile.heard(HandshakeType.CERTIFICATE)
    # RFC 9846 §4.5.1: the context of the request is echoed; §4.7.2: who declines sends an empty Certificate
    # and Finished.
    assert certificate.request_context == b"later"
    assert tuple(entry.der for entry in certificate.entries) == chain
    transcript = hostile.transcript  # The answer's messages have been added to it.
    assert [message[0] for message in hostile.messages[-2:]][-1] == HandshakeType.FINISHED
    finished = hostile.heard(HandshakeType.FINISHED)[-1]
    # RFC 9846 §4.5: the base key is client_application_traffic_secret_N.
    assert hostile.reading is not None
    expected = finished_mac(hostile.suite, hostile.reading.secret, transcript.digest())
    assert finished.verify_data == expected
    # RFC 9846 §4.7.2: MUST appear consecutively on the wire.
    answer = [record for record in hostile.records if record.under == APPLICATION]
    assert {record.content_type for record in answer} == {ContentType.HANDSHAKE}
    connected(hostile)


def test_the_signature_of_the_answer() -> None:
    owner = credentials(client=True)
    hostile = HostileServer(client(credentials=owner, post_handshake_auth=True))
    hostile.run()
    request = hostile.certificate_request(b"later")
    signed = hostile.transcript.fork()
    signed.add(request)
    hostile.handshake(request)
    hostile.flush()
    signed.add(hostile.messages[-3])
    (proof,) = hostile.heard(HandshakeType.CERTIFICATE_VERIFY)
    content = certificate_verify_content(CLIENT_CONTEXT, signed.digest())
    verify(public_key(owner.chain[0]), proof.scheme, proof.signature, content)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (with_extension(ExtensionType.SIGNATURE_ALGORITHMS, None), MissingExtension),
        (with_extension(ExtensionType.SIGNATURE_ALGORITHMS, b""), DecodeError),
        (with_extension(ExtensionType.KEY_SHARE, b""), IllegalParameter),
        (lambda message: frame(message[0], message[4:] + b"\0"), DecodeError),
    ],
)
def test_later_requests_that_are_wrong(edit: Edit, expected: type[TLSError]) -> None:
    refused(asking(edit=edit), expected, under=APPLICATION)


def test_a_flood_of_requests() -> None:
    # Each costs a signature.
    hostile = HostileServer(client(credentials=credentials(client=True), post_handshake_auth=True))
    hostile.run()
    for index in range(MAX_KEY_UPDATES_IN_A_ROW + 1):
        hostile.handshake(hostile.certificate_request(bytes((index,))))
    hostile.flush()
    refused(hostile, TooMuchError, "flood", under=APPLICATION)


def test_answers_count_towards_the_limit_of_a_key() -> None:
    # RFC 9846 §5.5: MUST do a key update prior to reaching the limit.
    victim = client(credentials=credentials(client=True), post_handshake_auth=True, key_update_records=3)
    hostile = HostileServer(victim)
    hostile.run()
    for index in range(12):
        hostile.handshake(hostile.certificate_request(bytes((index,))))
        hostile.flush()
    answers = [
        "update" if record.content[0] == KU else "answer"
        for record in hostile.records
        if record.under == APPLICATION
    ]
    assert answers == (["answer"] * 3 + ["update"]) * 3 + ["answer"] * 3
    connected(hostile)


def test_a_request_behind_our_own_close_notify_stays_unanswered() -> None:
    # RFC 9846 §6.1: the sender of close_notify will not send any more messages.
    hostile = HostileServer(client(credentials=credentials(client=True), post_handshake_auth=True))
    hostile.run()
    hostile.victim.shutdown()
    hostile.handshake(hostile.certificate_request(b"too late"))
    hostile.record(DATA, b"and data")
    hostile.flush()
    assert hostile.end.received == b"and data"
    assert hostile.records[-1] == Record(ContentType.ALERT, b"\1\0", APPLICATION)


# ---- and at the server -----------------------------------------------------------------------------------


def asked(offer: bool = True, **victim: Any) -> HostileClient:
    """A client that was asked for its certificate after the handshake."""
    extensions = ((ExtensionType.POST_HANDSHAKE_AUTH, b""),) if offer else ()
    hostile = HostileClient(
        server(trust_anchors=anchors(), **victim), owner=credentials(client=True), extensions=extensions
    )
    hostile.run()
    if offer:
        hostile.victim.verify_client_post_handshake()
        hostile.listen()
    return hostile


def answer(
    hostile: HostileClient, *, context: bytes | None = None, owner: Credentials | None = None, nth: int = -1
) -> list[bytes]:
    """Certificate, CertificateVerify and Finished in answer to the nth request."""
    request = hostile.heard(HandshakeType.CERTIFICATE_REQUEST)[nth]
    main, hostile.transcript = hostile.transcript, hostile.transcript.fork()
    hostile.transcript.add(request.encode())
    messages = [hostile.certificate_of(owner, request.request_context if context is None else context)]
    hostile.transcript.add(messages[0])
    if owner is not None:
        messages.append(hostile.verify_of(owner, CLIENT_CONTEXT))
        hostile.transcript.add(messages[1])
    assert hostile.writing is not None
    messages.append(hostile.finished_of(hostile.writing.secret))
    hostile.transcript = main
    return messages


def say(hostile: Hostile, *messages: bytes) -> None:
    for message in messages:
        hostile.handshake(message)
    hostile.flush()


def test_a_certificate_that_comes_later() -> None:
    hostile = asked()
    certificate, proof, finished = answer(hostile, owner=hostile.owner)
    for message in (certificate, proof):
        say(hostile, message)
        # Not before the Finished.
        assert hostile.victim.getpeercert(True) is None
    say(hostile, finished)
    connected(hostile)
    assert hostile.victim.getpeercert(True) == issued(client=True).certificate_der
    details = hostile.victim.getpeercert()
    assert details is not None and details["subject"]
    # RFC 9846 §4.4.2: unique on this connection, unpredictable: a second one differs, and the answer is no
    # answer any more.
    hostile.victim.verify_client_post_handshake()
    hostile.listen()
    first, second = hostile.heard(HandshakeType.CERTIFICATE_REQUEST)
    assert first.request_context != second.request_context and len(second.request_context) >= 16
    say(hostile, certificate)
    refused(hostile, IllegalParameter, "answers no CertificateRequest", under=APPLICATION)


def test_answers_in_another_order_and_later() -> None:
    # RFC 9846 §4.7.2: an arbitrary number of other messages may come before the response, and the responses
    # in any order: the context disambiguates them.
    hostile = asked()
    hostile.victim.verify_client_post_handshake()
    hostile.listen()
    hostile.record(DATA, b"data")
    hostile.update_keys()
    say(hostile, *answer(hostile, owner=hostile.owner, nth=1))
    assert hostile.victim.getpeercert(True) == issued(client=True).certificate_der
    hostile.record(DATA, b"data")
    say(hostile, *answer(hostile, nth=0))
    assert hostile.victim.getpeercert(True) is None
    connected(hostile)


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_client_that_declines(mode: ssl.VerifyMode) -> None:
    if mode == ssl.CERT_NONE:
        hostile = asked()
        say(hostile, *answer(hostile))
        connected(hostile)
        assert hostile.victim.getpeercert(True) is None
        return
    hostile = asked(verify_mode=mode)
    say(hostile, *answer(hostile))
    if mode == ssl.CERT_OPTIONAL:
        connected(hostile)
        return
    refused(hostile, CertificateRequired, under=APPLICATION)


def test_answers_that_are_wrong() -> None:
    hostile = asked()
    say(hostile, *answer(hostile, context=b"another", owner=hostile.owner))
    refused(hostile, IllegalParameter, "answers no CertificateRequest", under=APPLICATION)

    hostile = asked()
    certificate, _, finished = answer(hostile, owner=hostile.owner)
    say(hostile, certificate, finished)
    refused(hostile, UnexpectedMessage, "finished received in state WAIT_CV", under=APPLICATION)

    hostile = asked()
    certificate, proof, _ = answer(hostile, owner=hostile.owner)
    say(hostile, certificate, proof[:-1] + bytes((proof[-1] ^ 1,)))
    refused(hostile, DecryptError, "signature", under=APPLICATION)

    hostile = asked()
    certificate, proof, _ = answer(hostile, owner=hostile.owner)
    say(hostile, certificate, proof, Finished(bytes(32)).encode())
    refused(hostile, DecryptError, "Finished", under=APPLICATION)
    assert hostile.victim.negotiated is not None and not hostile.victim.negotiated.peer_chain


def test_an_answer_is_not_interrupted() -> None:
    # RFC 9846 §4.7.2: no intervening messages of other type or from other responses.
    hostile = asked()
    certificate, proof, _ = answer(hostile, owner=hostile.owner)
    say(hostile, certificate, frame(KU, b"\0"))
    refused(hostile, UnexpectedMessage, "key_update received in state WAIT_CV", under=APPLICATION)
    hostile = asked()
    certificate, proof, _ = answer(hostile, owner=hostile.owner)
    say(hostile, certificate, proof, certificate)
    refused(hostile, UnexpectedMessage, "certificate received in state WAIT_FINISHED", under=APPLICATION)


def test_a_client_that_did_not_offer_is_not_asked() -> None:
    # RFC 9846 §4.3.6: servers MUST NOT send a CertificateRequest to clients which do not offer it.
    hostile = asked(offer=False)
    with pytest.raises(CallerError, match="did not offer"):
        hostile.victim.verify_client_post_handshake()
    connected(hostile)
    say(hostile, hostile.certificate_of(hostile.owner))
    refused(hostile, UnexpectedMessage, "certificate received in state CONNECTED", under=APPLICATION)

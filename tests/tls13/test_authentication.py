"""Certificate, CertificateVerify, Finished and CertificateRequest, as each side meets the other's."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import anchors, client_config, credentials, server_config
from tests.support.handshakes import (
    CR,
    CT,
    CV,
    FIN,
    SH,
    Handshake,
    changing,
    client_refuses,
    editing,
    extending,
    from_client,
    server_refuses,
)
from tlswrite.crypto.x509 import TrustAnchors, load_credentials
from tlswrite.errors import (
    CertificateError,
    CertificateRequired,
    DecodeError,
    DecryptError,
    IllegalParameter,
    MissingExtension,
    TLSError,
    UnexpectedMessage,
    UnsupportedExtension,
)
from tlswrite.iana import (
    AlertDescription,
    ExtensionType,
    SignatureScheme,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages.certificate import Certificate, CertificateEntry
from tlswrite.messages.finish import Finished
from tlswrite.tls13.authentication import shared_chain

# ---- the server's identity --------------------------------------------------------------------------


def test_a_server_without_certificate_is_refused() -> None:
    # RFC 9846 §4.5.1.3: an empty Certificate message of a server: "decode_error".
    client_refuses(editing(CT, lambda _: Certificate(b"", ())), DecodeError, "no certificate")


def test_a_context_in_the_servers_certificate_is_refused() -> None:
    # RFC 9846 §4.5.1: in the case of server authentication this field SHALL be zero length.
    client_refuses(changing(CT, request_context=b"x"), IllegalParameter, "certificate_request_context")


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        (ExtensionType.STATUS_REQUEST, UnsupportedExtension),
        (ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP, UnsupportedExtension),
        (ExtensionType.SERVER_NAME, IllegalParameter),
    ],
)
def test_extensions_of_a_certificate_must_have_been_asked_for(
    extension: int, expected: type[TLSError]
) -> None:
    def change(message: Certificate) -> Certificate:
        return replace(message, entries=(CertificateEntry(message.entries[0].der, ((extension, b""),)),))

    client_refuses(editing(CT, change), expected, client=client_config(status_request=False))


@pytest.mark.parametrize(
    ("issued", "alert"),
    [
        (pki.expired, AlertDescription.CERTIFICATE_EXPIRED),
        (pki.not_yet_valid, AlertDescription.CERTIFICATE_EXPIRED),
        (pki.wrong_name, AlertDescription.BAD_CERTIFICATE),
        (pki.wrong_usage, AlertDescription.UNSUPPORTED_CERTIFICATE),
        (pki.from_stranger, AlertDescription.UNKNOWN_CA),
    ],
)
def test_certificates_that_do_not_verify(issued: Any, alert: AlertDescription) -> None:
    made = issued()
    server = server_config(credentials=(load_credentials(made.chain_pem, made.key_pem),))
    error = client_refuses(None, CertificateError, server=server)
    assert error.alert == alert
    # Without verification the same handshake completes.
    lax = client_config(verify_mode=ssl.CERT_NONE, check_hostname=False)
    assert Handshake(lax, server).complete


def test_without_check_hostname_any_name_will_do() -> None:
    made = pki.wrong_name()
    server = server_config(credentials=(load_credentials(made.chain_pem, made.key_pem),))
    assert Handshake(client_config(check_hostname=False), server).complete
    assert Handshake(client_config(check_hostname=False), hostname=None).complete


def test_without_anchors_the_systems_are_asked() -> None:
    error = client_refuses(None, CertificateError, client=client_config(trust_anchors=None))
    assert error.alert == AlertDescription.UNKNOWN_CA
    nobody = TrustAnchors(())
    assert (
        client_refuses(None, CertificateError, client=client_config(trust_anchors=nobody)).alert is not None
    )


def test_a_certificate_that_cannot_be_read_is_refused() -> None:
    edit = editing(CT, lambda m: replace(m, entries=(CertificateEntry(b"\x30\x00"),)))
    error = client_refuses(
        edit, CertificateError, client=client_config(verify_mode=ssl.CERT_NONE, check_hostname=False)
    )
    assert error.alert == AlertDescription.BAD_CERTIFICATE


@pytest.mark.parametrize(
    "scheme",
    [
        SignatureScheme.rsa_pkcs1_sha256,
        SignatureScheme.ecdsa_sha1,
        SignatureScheme.rsa_pkcs1_sha1,
        0xFE00,
    ],
)
def test_schemes_that_were_not_offered_are_refused(scheme: int) -> None:
    # RFC 9846 §4.5.2: SHA-1 MUST NOT be used; §4.3.3: RSASSA-PKCS1-v1_5 is for certificates alone.
    client_refuses(changing(CV, scheme=scheme), IllegalParameter, "not offered")


def test_a_scheme_that_does_not_fit_the_key_is_refused() -> None:
    # RFC 9846 §4.5.2: MUST be compatible with the key in the sender's certificate.
    client_refuses(changing(CV, scheme=SignatureScheme.ed25519), IllegalParameter, "an EC key on secp256r1")


def test_a_bad_signature_is_a_decrypt_error() -> None:
    # RFC 9846 §4.5.2: if the verification fails: "decrypt_error".
    client_refuses(changing(CV, signature=b"\x30\x06\2\1\1\2\1\1"), DecryptError, "does not verify")


def test_a_bad_finished_is_a_decrypt_error() -> None:
    # RFC 9846 §4.5.3: if incorrect: "decrypt_error".
    edit = editing(FIN, lambda m: Finished(bytes(len(m.verify_data))))
    client_refuses(edit, DecryptError, "Finished does not verify")


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda _: b""])
def test_a_finished_of_another_length_is_a_decode_error(change: Any) -> None:
    # RFC 9846 §4.5.3: Hash.length bytes; §6: the length of the message was incorrect.
    client_refuses(editing(FIN, lambda m: Finished(change(m.verify_data))), DecodeError, "a Finished of")


def test_any_change_to_the_transcript_is_noticed() -> None:
    # A byte of the server's random, which nothing but the transcript hash covers.
    def edit(_: str, raw: bytes) -> bytes:
        return raw[:10] + bytes((raw[10] ^ 1,)) + raw[11:] if raw[0] == SH else raw

    client_refuses(edit, DecryptError)


def test_connections_to_one_server_share_its_chain() -> None:
    one, other = Handshake().client.io.result, Handshake().client.io.result
    assert one is not None and other is not None and one.peer_chain is other.peer_chain
    # What was not verified, or is large, is nobody's but the connection's.
    lax = client_config(verify_mode=ssl.CERT_NONE, check_hostname=False)
    one, other = Handshake(lax).client.io.result, Handshake(lax).client.io.result
    assert one is not None and other is not None and one.peer_chain is not other.peer_chain
    large = (bytes(16385),)
    assert shared_chain(large) is large and shared_chain((bytes(16385),)) is not large


# ---- client authentication --------------------------------------------------------------------------


def asking(**fields: Any) -> Any:
    return server_config(verify_mode=ssl.CERT_OPTIONAL, trust_anchors=anchors(), **fields)


def test_a_request_without_signature_algorithms_is_refused() -> None:
    # RFC 9846 §4.4.2: the "signature_algorithms" extension MUST be specified.
    edit = extending(CR, ExtensionType.SIGNATURE_ALGORITHMS, None)
    client_refuses(edit, MissingExtension, "signature_algorithms", server=asking())


def test_a_request_with_a_context_is_refused_in_the_handshake() -> None:
    # RFC 9846 §4.4.2: SHALL be zero length unless used for post-handshake authentication.
    client_refuses(changing(CR, request_context=b"x"), IllegalParameter, "context", server=asking())


def test_forbidden_extensions_of_a_request_are_refused_and_unknown_ones_ignored() -> None:
    client_refuses(
        extending(CR, ExtensionType.KEY_SHARE, b""), IllegalParameter, "key_share", server=asking()
    )
    # RFC 9846 §4.4.2: clients MUST ignore unrecognized extensions; the changed transcript is noticed later.
    client_refuses(extending(CR, 0x1234, b""), DecryptError, server=asking())


def test_without_credentials_an_empty_certificate_is_sent() -> None:
    # RFC 9846 §4.5.1: MUST send a Certificate message containing no certificates.
    run = Handshake(server=asking())
    assert run.complete
    assert run.client.io.log[-4:] == ["certificate", "finished", "write key", "complete"]
    assert run.sent("client", CT) == [Certificate(b"", ())]
    assert run.client.io.result is not None and run.client.io.result.local_certificate is None


def test_credentials_that_fit_none_of_the_servers_schemes_are_not_sent() -> None:
    # RFC 9846 §4.5.2: MUST be one of the request's signature_algorithms.
    schemes = (SignatureScheme.ed25519, SignatureScheme.rsa_pss_rsae_sha256)
    server = asking(signature_schemes=schemes, credentials=(credentials("ed25519"),))
    run = Handshake(client_config(credentials=credentials(client=True)), server)
    assert run.complete
    assert run.sent("client", CT) == [Certificate(b"", ())]
    assert run.client.io.result is not None and run.client.io.result.local_signature_scheme is None


@pytest.mark.parametrize("key_type", pki.key_types())
def test_every_kind_of_client_certificate(key_type: str) -> None:
    run = Handshake(client_config(credentials=credentials(key_type, client=True)), asking())
    assert run.complete, run.server.error
    assert run.server.io.result is not None
    assert run.server.io.result.peer_chain == credentials(key_type, client=True).chain


# ---- client authentication, at the server ------------------------------------------------------------


def insisting(required: bool = True, **fields: Any) -> Any:
    mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return server_config(verify_mode=mode, trust_anchors=anchors(), **fields)


AUTHENTIC = client_config(credentials=credentials(client=True))


def test_a_required_certificate_that_does_not_come_is_certificate_required() -> None:
    # RFC 9846 §4.5.1.3: "certificate_required".
    error = server_refuses(None, CertificateRequired, server=insisting())
    assert error.alert == AlertDescription.CERTIFICATE_REQUIRED


def test_the_request_names_schemes_and_authorities() -> None:
    request = Handshake(AUTHENTIC, insisting()).sent("server", CR)[0]
    assert request.request_context == b""
    schemes = ext.parse_signature_algorithms(request.extension(ExtensionType.SIGNATURE_ALGORITHMS))
    assert schemes == server_config().tls13_schemes
    assert SignatureScheme.rsa_pkcs1_sha256 not in schemes
    assert SignatureScheme.rsa_pkcs1_sha256 in ext.parse_signature_algorithms(
        request.extension(ExtensionType.SIGNATURE_ALGORITHMS_CERT)
    )
    authorities = request.extension(ExtensionType.CERTIFICATE_AUTHORITIES)
    assert ext.parse_certificate_authorities(authorities) == anchors().subjects


def test_a_long_list_of_authorities_is_left_out() -> None:
    many = [pki.authority(f"authority number {number} of a great many " + "x" * 20) for number in range(60)]
    crowd = TrustAnchors.from_pem(b"".join(each.certificate_pem for each in (*many, pki.authority())))
    for someone in (crowd, TrustAnchors(())):
        server = server_config(verify_mode=ssl.CERT_OPTIONAL, trust_anchors=someone)
        run = Handshake(None, server)
        assert run.complete
        assert run.sent("server", CR)[0].extension(ExtensionType.CERTIFICATE_AUTHORITIES) is None


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("options", "alert"),
    [
        (
            {"not_after": pki.NOW - pki.DAY, "not_before": pki.NOW - 2 * pki.DAY},
            AlertDescription.CERTIFICATE_EXPIRED,
        ),
        ({"issuer": pki.stranger()}, AlertDescription.UNKNOWN_CA),
        ({"client": False}, AlertDescription.UNSUPPORTED_CERTIFICATE),
    ],
)
def test_client_certificates_that_do_not_verify(
    required: bool, options: dict[str, Any], alert: AlertDescription
) -> None:
    made = pki.issue(("client",), **{"client": True, **options})
    client = client_config(credentials=load_credentials(made.chain_pem, made.key_pem))
    assert server_refuses(None, CertificateError, client=client, server=insisting(required)).alert == alert


def test_a_context_in_the_clients_certificate_is_refused() -> None:
    edit = from_client(changing(CT, request_context=b"x"))
    server_refuses(
        edit, IllegalParameter, "certificate_request_context", client=AUTHENTIC, server=insisting()
    )


def test_extensions_of_the_clients_certificate_must_have_been_asked_for() -> None:
    def change(message: Certificate) -> Certificate:
        entry = CertificateEntry(message.entries[0].der, ((ExtensionType.STATUS_REQUEST, b"\1\0\0\0"),))
        return replace(message, entries=(entry,))

    edit = from_client(editing(CT, change))
    server_refuses(edit, UnsupportedExtension, "status_request", client=AUTHENTIC, server=insisting())


@pytest.mark.parametrize("scheme", [SignatureScheme.rsa_pkcs1_sha256, SignatureScheme.ecdsa_sha1, 0xFE00])
def test_schemes_that_were_not_asked_for_are_refused(scheme: int) -> None:
    edit = from_client(changing(CV, scheme=scheme))
    server_refuses(edit, IllegalParameter, "not offered", client=AUTHENTIC, server=insisting())


def test_a_bad_signature_of_the_client_is_a_decrypt_error() -> None:
    edit = from_client(changing(CV, signature=b"\x30\x06\2\1\1\2\1\1"))
    server_refuses(edit, DecryptError, "does not verify", client=AUTHENTIC, server=insisting())


def test_a_finished_instead_of_the_certificate_verify_is_unexpected() -> None:
    # RFC 9846 §4.5.2: clients MUST send CertificateVerify whenever the Certificate is non-empty.
    def edit(name: str, raw: bytes) -> list[bytes]:
        return [] if name == "client" and raw[0] == CV else [raw]

    server_refuses(
        edit, UnexpectedMessage, "finished received in state WAIT_CV", client=AUTHENTIC, server=insisting()
    )


def test_a_bad_finished_of_the_client_is_a_decrypt_error() -> None:
    edit = from_client(editing(FIN, lambda m: Finished(bytes(len(m.verify_data)))))
    server_refuses(edit, DecryptError, "Finished does not verify")

"""Certificate, CertificateVerify, Finished and CertificateRequest, as the client meets them."""

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
)
from tlswrite.crypto.x509 import TrustAnchors, load_credentials
from tlswrite.errors import (
    CertificateError,
    DecodeError,
    DecryptError,
    IllegalParameter,
    MissingExtension,
    TLSError,
    UnsupportedExtension,
)
from tlswrite.iana import (
    AlertDescription,
    ExtensionType,
    SignatureScheme,
)
from tlswrite.messages.certificate import Certificate, CertificateEntry
from tlswrite.messages.finish import Finished

# ---- the server's identity --------------------------------------------------------------------------


def test_a_server_without_certificate_is_client_refuses() -> None:
    # RFC 9846 §4.4.2.4: an empty Certificate message of a server: "decode_error".
    client_refuses(editing(CT, lambda _: Certificate(b"", ())), DecodeError, "no certificate")


def test_a_context_in_the_servers_certificate_is_client_refuses() -> None:
    # RFC 9846 §4.4.2: in the case of server authentication this field SHALL be zero length.
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

    client_refuses(editing(CT, change), expected)


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


def test_a_certificate_that_cannot_be_read_is_client_refuses() -> None:
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
def test_schemes_that_were_not_offered_are_client_refuses(scheme: int) -> None:
    # RFC 9846 §4.4.3: SHA-1 MUST NOT be used; §4.2.3: RSASSA-PKCS1-v1_5 is for certificates alone.
    client_refuses(changing(CV, scheme=scheme), IllegalParameter, "not offered")


def test_a_scheme_that_does_not_fit_the_key_is_client_refuses() -> None:
    # RFC 9846 §4.4.3: MUST be compatible with the key in the sender's certificate.
    client_refuses(changing(CV, scheme=SignatureScheme.ed25519), IllegalParameter, "an EC key on secp256r1")


def test_a_bad_signature_is_a_decrypt_error() -> None:
    # RFC 9846 §4.4.3: if the verification fails: "decrypt_error".
    client_refuses(changing(CV, signature=b"\x30\x06\2\1\1\2\1\1"), DecryptError, "does not verify")


@pytest.mark.parametrize(
    "change", [lambda m: bytes(len(m.verify_data)), lambda m: m.verify_data[:-1], lambda _: b""]
)
def test_a_bad_finished_is_a_decrypt_error(change: Any) -> None:
    # RFC 9846 §4.4.4: if incorrect: "decrypt_error".
    client_refuses(editing(FIN, lambda m: Finished(change(m))), DecryptError, "Finished does not verify")


def test_any_change_to_the_transcript_is_noticed() -> None:
    # A byte of the server's random, which nothing but the transcript hash covers.
    def edit(_: str, raw: bytes) -> bytes:
        return raw[:10] + bytes((raw[10] ^ 1,)) + raw[11:] if raw[0] == SH else raw

    client_refuses(edit, DecryptError)


# ---- client authentication --------------------------------------------------------------------------


def asking(**fields: Any) -> Any:
    return server_config(verify_mode=ssl.CERT_OPTIONAL, trust_anchors=anchors(), **fields)


def test_a_request_without_signature_algorithms_is_client_refuses() -> None:
    # RFC 9846 §4.3.2: the "signature_algorithms" extension MUST be specified.
    edit = extending(CR, ExtensionType.SIGNATURE_ALGORITHMS, None)
    client_refuses(edit, MissingExtension, "signature_algorithms", server=asking())


def test_a_request_with_a_context_is_refused_in_the_handshake() -> None:
    # RFC 9846 §4.3.2: SHALL be zero length unless used for post-handshake authentication.
    client_refuses(changing(CR, request_context=b"x"), IllegalParameter, "context", server=asking())


def test_forbidden_extensions_of_a_request_are_refused_and_unknown_ones_ignored() -> None:
    client_refuses(
        extending(CR, ExtensionType.KEY_SHARE, b""), IllegalParameter, "key_share", server=asking()
    )
    # RFC 9846 §4.3.2: clients MUST ignore unrecognized extensions; the changed transcript is noticed later.
    client_refuses(extending(CR, 0x1234, b""), DecryptError, server=asking())


def test_without_credentials_an_empty_certificate_is_sent() -> None:
    # RFC 9846 §4.4.2: MUST send a Certificate message containing no certificates.
    run = Handshake(server=asking())
    assert run.complete
    assert run.client.io.log[-4:] == ["certificate", "finished", "write key", "complete"]
    assert run.sent("client", CT) == [Certificate(b"", ())]
    assert run.client.io.result is not None and run.client.io.result.local_certificate is None


def test_credentials_that_fit_none_of_the_servers_schemes_are_not_sent() -> None:
    # RFC 9846 §4.4.3: MUST be one of the request's signature_algorithms.
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

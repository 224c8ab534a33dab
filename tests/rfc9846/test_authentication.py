"""§4.4.2, §4.5: CertificateRequest, Certificate, CertificateVerify and Finished, at both sides."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.support import pki
from tests.support.edits import Edit, setting, with_extension
from tests.support.engine import anchors, client, credentials, server
from tests.support.hostile import APPLICATION, HANDSHAKE, Hostile, HostileClient, HostileServer
from tests.support.verdicts import connected, refused
from tlswrite.crypto.credentials import Credentials, load_credentials
from tlswrite.crypto.signatures import CLIENT_CONTEXT, SERVER_CONTEXT, certificate_verify_content, sign
from tlswrite.errors import (
    CertificateError,
    CertificateRequired,
    DecodeError,
    DecryptError,
    IllegalParameter,
    MissingExtension,
    TLSError,
    UnsupportedExtension,
)
from tlswrite.iana import GREASE, AlertDescription, ExtensionType, HandshakeType, SignatureScheme
from tlswrite.limits import MAX_CHAIN_LENGTH
from tlswrite.messages.certificate import Certificate, CertificateEntry, CertificateVerify
from tlswrite.messages.finish import Finished

E = ExtensionType
S = SignatureScheme


def facing_client(edits: dict[str, Edit] | None = None, **kinds: Any) -> Hostile:
    """A server that shows a certificate."""
    victim = kinds.pop("victim", {})
    return HostileServer(client(**victim), edits, **kinds)


def facing_server(edits: dict[str, Edit] | None = None, **kinds: Any) -> Hostile:
    """A client that shows a certificate, since it is asked."""
    victim = {"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": anchors(), **kinds.pop("victim", {})}
    return HostileClient(server(**victim), edits, **{"owner": credentials(client=True), **kinds})


#: The key of the victim's alerts: a server's are under the application key (§4.5.3).
both = pytest.mark.parametrize(
    ("face", "under"), [(facing_client, HANDSHAKE), (facing_server, APPLICATION)], ids=["client", "server"]
)
Face = Callable[..., Hostile]


def entries(*ders: bytes, extensions: tuple[tuple[int, bytes], ...] = ()) -> Edit:
    """Another chain."""
    return setting(entries=tuple(CertificateEntry(der, extensions) for der in ders))


# ---- CertificateRequest ----------------------------------------------------------------------------------


def request(edit: Edit, **victim: Any) -> HostileServer:
    hostile = HostileServer(client(**victim), {"certificate_request": edit}, ask=True)
    hostile.run()
    return hostile


def test_a_request_without_signature_algorithms() -> None:
    # RFC 9846 §4.4.2: MUST be specified.
    hostile = request(with_extension(E.SIGNATURE_ALGORITHMS, None))
    refused(hostile, MissingExtension, "signature_algorithms", under=HANDSHAKE)


def test_a_request_with_a_context() -> None:
    # RFC 9846 §4.4.2: SHALL be zero length in the handshake.
    refused(request(setting(request_context=b"x")), IllegalParameter, "context", under=HANDSHAKE)


@pytest.mark.parametrize("code", [E.KEY_SHARE, E.COOKIE, E.SUPPORTED_VERSIONS, E.EARLY_DATA, E.PADDING])
def test_a_request_with_an_extension_that_is_not_for_it(code: ExtensionType) -> None:
    refused(request(with_extension(code, b"")), IllegalParameter, code.name.lower(), under=HANDSHAKE)


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\1\4", b"\0\2\4\3\0", b"\0\4\4\3"])
def test_a_request_with_malformed_signature_algorithms(data: bytes) -> None:
    refused(request(with_extension(E.SIGNATURE_ALGORITHMS, data)), DecodeError, under=HANDSHAKE)


@pytest.mark.parametrize("owner", [None, credentials(client=True)], ids=["without", "with"])
def test_unrecognized_extensions_of_a_request_are_ignored(owner: Credentials | None) -> None:
    # RFC 9846 §4.4.2, §9.3: clients MUST ignore unrecognized extensions; §4.3.5: and OIDs of oid_filters
    # that they do not recognize, which here is each.
    filters = b"\0\x0a\x03\x55\x1d\x0f\0\x04\x03\x02\x07\x80"
    hostile = HostileServer(client(credentials=owner), ask=True)
    more = [(value, b"") for value in GREASE] + [(0x7777, b"x"), (E.OID_FILTERS, filters)]
    hostile.edits = {"certificate_request": lambda m: added(m, more)}
    hostile.run()
    connected(hostile)
    (answer,) = hostile.heard(HandshakeType.CERTIFICATE)
    # RFC 9846 §4.5.1: MUST send a Certificate, without certificates where none is suitable, and a Finished.
    assert [entry.der for entry in answer.entries] == list(() if owner is None else owner.chain)
    assert len(hostile.heard(HandshakeType.CERTIFICATE_VERIFY)) == (owner is not None)


def added(message: bytes, more: list[tuple[int, bytes]]) -> bytes:
    for code, data in more:
        changed = with_extension(code, data)(message)
        assert isinstance(changed, bytes)
        message = changed
    return message


@pytest.mark.parametrize("schemes", [(S.ed25519,), (S.rsa_pkcs1_sha256, S.ecdsa_sha1), GREASE])
def test_a_request_that_no_key_of_ours_fits(schemes: tuple[int, ...]) -> None:
    # RFC 9846 §4.5.2: MUST be one of the request's; without a suitable one the Certificate is empty.
    hostile = HostileServer(client(credentials=credentials(client=True)), ask=True)
    hostile.schemes = schemes
    hostile.run()
    connected(hostile)
    assert hostile.heard(HandshakeType.CERTIFICATE)[0].entries == ()


def test_without_a_request_no_certificate_is_sent() -> None:
    # RFC 9846 §4.5.1: if and only if the server has requested it.
    hostile = HostileServer(client(credentials=credentials(client=True)))
    hostile.run()
    connected(hostile)
    assert not hostile.heard(HandshakeType.CERTIFICATE)


# ---- Certificate -----------------------------------------------------------------------------------------


def test_a_server_without_certificate() -> None:
    # RFC 9846 §4.5.1.3: "decode_error".
    hostile = facing_client({"certificate": setting(entries=())})
    hostile.run()
    refused(hostile, DecodeError, "no certificate", under=HANDSHAKE)


@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_client_without_certificate(mode: ssl.VerifyMode) -> None:
    # RFC 9846 §4.5.1.3: continue, or "certificate_required".
    hostile = facing_server(owner=None, victim={"verify_mode": mode})
    hostile.run()
    if mode == ssl.CERT_OPTIONAL:
        connected(hostile)
        assert hostile.victim.getpeercert(True) is None
    else:
        refused(hostile, CertificateRequired, under=APPLICATION)


@both
def test_a_certificate_that_answers_another_request(face: Face, under: str) -> None:
    # RFC 9846 §4.5.1: the context of the request, zero length for a server.
    hostile = face({"certificate": setting(request_context=b"x")})
    hostile.run()
    refused(hostile, IllegalParameter, "answers no request", under=under)


@both
@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        # RFC 9846 §4.5.1: MUST correspond to ones of the ClientHello, or of the CertificateRequest; §4.3:
        # "unsupported_extension"; what belongs in another message: "illegal_parameter".
        ((E.STATUS_REQUEST, b"\1\0\0\1x"), UnsupportedExtension),
        ((E.SIGNED_CERTIFICATE_TIMESTAMP, b"\0\0"), UnsupportedExtension),
        ((0x7777, b""), UnsupportedExtension),
        ((GREASE[0], b""), UnsupportedExtension),
        ((E.SERVER_NAME, b""), IllegalParameter),
        ((E.SIGNATURE_ALGORITHMS, b"\0\2\4\3"), IllegalParameter),
    ],
)
def test_extensions_of_a_certificate(
    extension: tuple[int, bytes], expected: type[TLSError], face: Face, under: str
) -> None:
    hostile = face(victim={"status_request": False})
    hostile.edits = {"certificate": entries(*owner_of(hostile).chain, extensions=(extension,))}
    hostile.run()
    refused(hostile, expected, under=under)


def owner_of(hostile: Hostile) -> Credentials:
    assert isinstance(hostile, HostileClient | HostileServer) and hostile.owner is not None
    return hostile.owner


@both
def test_extensions_of_a_certificate_that_stand_twice(face: Face, under: str) -> None:
    hostile = face()
    twice = ((0x7777, b""), (0x7777, b""))
    hostile.edits = {"certificate": entries(*owner_of(hostile).chain, extensions=twice)}
    hostile.run()
    refused(hostile, IllegalParameter, "twice", under=under)


@both
def test_a_chain_that_is_too_long(face: Face, under: str) -> None:
    hostile = face()
    hostile.edits = {"certificate": entries(*owner_of(hostile).chain * (MAX_CHAIN_LENGTH + 1))}
    hostile.run()
    refused(hostile, DecodeError, f"more than {MAX_CHAIN_LENGTH}", under=under)


@both
def test_certificates_that_nobody_needs_are_passed_over(face: Face, under: str) -> None:
    # RFC 9846 §4.5.1: handle potentially extraneous certificates and arbitrary orderings.
    hostile = face()
    extra = [pki.stranger().certificate_der, pki.intermediate().certificate_der]
    hostile.edits = {"certificate": entries(*owner_of(hostile).chain, *extra)}
    hostile.run()
    connected(hostile)


@both
@pytest.mark.parametrize("der", [b"\0", b"\x30\0", b"\x30\x82\xff\xff" + bytes(100), bytes(1000)])
def test_a_certificate_that_is_none(der: bytes, face: Face, under: str) -> None:
    # RFC 9846 §6.2: corrupt: "bad_certificate".
    hostile = face({"certificate": entries(der)})
    hostile.run()
    error = refused(hostile, CertificateError, "cannot be read", under=under)
    assert error.alert == AlertDescription.BAD_CERTIFICATE


def test_a_certificate_of_no_bytes() -> None:
    hostile = facing_client({"certificate": entries(b"")})
    hostile.run()
    refused(hostile, DecodeError, under=HANDSHAKE)


def loaded(issued: pki.Issued) -> Credentials:
    return load_credentials(issued.chain_pem, issued.key_pem)


@pytest.mark.parametrize(
    ("make", "alert"),
    [
        (pki.expired, AlertDescription.CERTIFICATE_EXPIRED),
        (pki.not_yet_valid, AlertDescription.CERTIFICATE_EXPIRED),
        (pki.from_stranger, AlertDescription.UNKNOWN_CA),
        (pki.wrong_name, AlertDescription.BAD_CERTIFICATE),
        (pki.wrong_usage, AlertDescription.UNSUPPORTED_CERTIFICATE),
    ],
    ids=["expired", "not yet valid", "unknown CA", "another name", "another use"],
)
def test_a_servers_certificate_that_does_not_verify(
    make: Callable[[], pki.Issued], alert: AlertDescription
) -> None:
    hostile = facing_client(owner=loaded(make()))
    hostile.run()
    assert refused(hostile, CertificateError, under=HANDSHAKE).alert == alert


@pytest.mark.parametrize(
    ("options", "alert"),
    [
        (
            {"not_before": pki.NOW - 2 * pki.DAY, "not_after": pki.NOW - pki.DAY},
            AlertDescription.CERTIFICATE_EXPIRED,
        ),
        ({"issuer": pki.stranger()}, AlertDescription.UNKNOWN_CA),
        ({"client": False}, AlertDescription.UNSUPPORTED_CERTIFICATE),
    ],
    ids=["expired", "unknown CA", "another use"],
)
@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_clients_certificate_that_does_not_verify(
    options: dict[str, Any], alert: AlertDescription, mode: ssl.VerifyMode
) -> None:
    owner = loaded(pki.issue(("client",), **{"client": True, **options}))
    hostile = facing_server(owner=owner, victim={"verify_mode": mode})
    hostile.run()
    # RFC 9846 §4.5.3: an alert about the client's Certificate is under the application key.
    assert refused(hostile, CertificateError, under=APPLICATION).alert == alert


@both
def test_a_certificate_of_somebody_else(face: Face, under: str) -> None:
    # Who has only the certificate has not its key: neither of the same kind nor of another.
    strangers = {
        S.ecdsa_secp256r1_sha256: pki.stranger().key,
        S.ed25519: pki.issue(("thief.example",), key_type="ed25519").key,
    }
    for scheme, key in strangers.items():
        hostile = face()
        hostile.edits = {"certificate_verify": signed(hostile, key, scheme)}
        hostile.run()
        refused(hostile, IllegalParameter if scheme == S.ed25519 else DecryptError, under=under)


def signed(hostile: Hostile, key: Any, scheme: int) -> Edit:
    """A CertificateVerify by another key."""

    def edit(_: bytes) -> bytes:
        context = SERVER_CONTEXT if isinstance(hostile, HostileServer) else CLIENT_CONTEXT
        content = certificate_verify_content(context, hostile.transcript.digest())
        return CertificateVerify(scheme, sign(key, scheme, content)).encode()

    return edit


# ---- CertificateVerify -----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "scheme",
    [
        *(S.rsa_pkcs1_sha256, S.rsa_pkcs1_sha384, S.rsa_pkcs1_sha512, S.rsa_pkcs1_sha1, S.ecdsa_sha1),
        # MD5, SHA-224 and DSA in TLS 1.2's pairs; unknown; reserved.
        *(0x0101, 0x0103, 0x0301, 0x0303, 0x0402, 0x0202, 0, 0xFFFF, 0xFE00, *GREASE[:2]),
    ],
)
def test_schemes_that_are_forbidden(scheme: int, face: Face, under: str) -> None:
    # RFC 9846 §4.5.2: SHA-1 MUST NOT be used; §4.3.3: RSASSA-PKCS1-v1_5 is not for signed messages; MD5,
    # SHA-224 and DSA MUST NOT be used; one that was offered. The signature itself is good.
    hostile = face({"certificate_verify": setting(scheme=scheme)})
    hostile.run()
    refused(hostile, IllegalParameter, "not offered", under=under)


@both
@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256()], ids=["SHA-1", "SHA-256"])
@pytest.mark.parametrize("scheme", [S.rsa_pkcs1_sha1, S.rsa_pkcs1_sha256, S.rsa_pss_rsae_sha256])
def test_a_pkcs1_signature_by_whatever_name(scheme: int, digest: Any, face: Face, under: str) -> None:
    hostile = face(owner=credentials("rsa", client=face is facing_server))
    key: Any = owner_of(hostile).private_key

    def edit(_: bytes) -> bytes:
        context = SERVER_CONTEXT if face is facing_client else CLIENT_CONTEXT
        content = certificate_verify_content(context, hostile.transcript.digest())
        signature = key.sign(content, padding.PKCS1v15(), digest)
        return CertificateVerify(scheme, signature).encode()

    hostile.edits = {"certificate_verify": edit}
    hostile.run()
    refused(hostile, DecryptError if scheme == S.rsa_pss_rsae_sha256 else IllegalParameter, under=under)


@both
@pytest.mark.parametrize("salt", [0, 20, 31, 33])
def test_a_salt_of_another_length(salt: int, face: Face, under: str) -> None:
    # RFC 9846 §4.3.3: the length of the salt MUST be equal to the length of the output of the digest.
    hostile = face(owner=credentials("rsa", client=face is facing_server))
    key: Any = owner_of(hostile).private_key

    def edit(_: bytes) -> bytes:
        context = SERVER_CONTEXT if face is facing_client else CLIENT_CONTEXT
        content = certificate_verify_content(context, hostile.transcript.digest())
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        signature = key.sign(content, pss, hashes.SHA256())
        return CertificateVerify(S.rsa_pss_rsae_sha256, signature).encode()

    hostile.edits = {"certificate_verify": edit}
    hostile.run()
    refused(hostile, DecryptError, under=under)


@both
@pytest.mark.parametrize(
    "scheme", [S.ed25519, S.ecdsa_secp384r1_sha384, S.rsa_pss_rsae_sha256, S.rsa_pss_pss_sha256]
)
def test_a_scheme_that_does_not_fit_the_key(scheme: int, face: Face, under: str) -> None:
    # RFC 9846 §4.5.2: MUST be compatible with the key in the sender's end-entity certificate.
    hostile = face({"certificate_verify": setting(scheme=scheme)})
    hostile.run()
    refused(hostile, IllegalParameter, "by an EC key on secp256r1", under=under)


@both
def test_a_scheme_that_we_know_and_did_not_offer(face: Face, under: str) -> None:
    victim: dict[str, Any] = {"signature_schemes": (S.rsa_pss_rsae_sha256,)}
    if face is facing_server:
        victim["credentials"] = (credentials("rsa"),)
    hostile = face(victim=victim)
    hostile.run()
    refused(hostile, IllegalParameter, "not offered", under=under)


@both
@pytest.mark.parametrize("signature", [b"", b"\0", bytes(64), bytes(72), b"\x30\6\2\1\0\2\1\0", bytes(60000)])
def test_a_signature_that_is_none(signature: bytes, face: Face, under: str) -> None:
    # RFC 9846 §4.5.2: if the verification fails: "decrypt_error".
    hostile = face({"certificate_verify": setting(signature=signature)})
    hostile.run()
    refused(hostile, DecryptError, "does not verify", under=under)


@both
def test_a_signature_over_something_else(face: Face, under: str) -> None:
    # The other side's context string; another transcript; without the padding.
    for change in (
        lambda hash: certificate_verify_content(
            CLIENT_CONTEXT if face is facing_client else SERVER_CONTEXT, hash
        ),
        lambda hash: certificate_verify_content(
            SERVER_CONTEXT if face is facing_client else CLIENT_CONTEXT, bytes(32)
        ),
        lambda hash: hash,
    ):
        hostile = face()
        hostile.edits = {"certificate_verify": signed_over(hostile, change)}
        hostile.run()
        refused(hostile, DecryptError, "does not verify", under=under)


def signed_over(hostile: Hostile, content: Callable[[bytes], bytes]) -> Edit:
    owner = owner_of(hostile)
    scheme = owner.schemes[0]
    return lambda _: CertificateVerify(
        scheme, sign(owner.private_key, scheme, content(hostile.transcript.digest()))
    ).encode()


@both
def test_a_signature_of_another_connection(face: Face, under: str) -> None:
    first = face()
    heard = keep(first, "certificate_verify")
    first.run()
    connected(first)
    second = face({"certificate_verify": lambda _: heard[0]})
    second.run()
    refused(second, DecryptError, under=under)


def keep(hostile: Hostile, name: str) -> list[bytes]:
    """Where the messages of a step will be found."""
    kept: list[bytes] = []

    def edit(message: bytes) -> bytes:
        kept.append(message)
        return message

    hostile.edits = {name: edit}
    return kept


# ---- Finished --------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("verify_data", [bytes(32), b"\xff" * 32])
def test_a_finished_that_is_wrong(verify_data: bytes, face: Face, under: str) -> None:
    # RFC 9846 §4.5.3: MUST verify, and MUST terminate with "decrypt_error".
    hostile = face({"finished": lambda _: Finished(verify_data).encode()})
    hostile.run()
    refused(hostile, DecryptError, "Finished does not verify", under=under)


@both
def test_a_finished_of_the_other_side(face: Face, under: str) -> None:
    # A mirror: the MAC under the other direction's key.
    hostile = face()

    def edit(_: bytes) -> bytes:
        schedule = hostile.schedule
        other = schedule.client_handshake if face is facing_client else schedule.server_handshake
        return hostile.finished_of(other)

    hostile.edits = {"finished": edit}
    hostile.run()
    refused(hostile, DecryptError, under=under)


@both
def test_a_transcript_that_differs(face: Face, under: str) -> None:
    hostile = face()
    hostile.step(*(step for step in ("client_hello", "server_hello") if step in hostile.STEPS))
    hostile.transcript.add(b"somebody heard another message")
    steps = ("encrypted_extensions", "certificate") if face is facing_client else ("certificate",)
    hostile.run(*steps, "certificate_verify")
    refused(hostile, DecryptError, under=under)


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_REQUIRED])
def test_the_key_must_be_proved_whatever_is_verified(mode: ssl.VerifyMode) -> None:
    # RFC 9846 §4.5.2: the receiver of a CertificateVerify MUST verify the signature, also where it does not
    # care for the chain.
    victim = {"verify_mode": mode, "check_hostname": mode == ssl.CERT_REQUIRED}
    hostile = facing_client({"certificate_verify": setting(signature=bytes(64))}, victim=victim)
    hostile.run()
    refused(hostile, DecryptError, under=HANDSHAKE)


def test_certificate_message_of_the_client_is_echoed_by_context() -> None:
    hostile = HostileServer(client(credentials=credentials(client=True)), ask=True)
    hostile.run()
    connected(hostile)
    answer: Certificate = hostile.heard(HandshakeType.CERTIFICATE)[0]
    assert answer.request_context == b""

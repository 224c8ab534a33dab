"""The client's handshake in TLS 1.2: its steps, and every answer of a server that it must not take."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import (
    BOTH,
    ECDHE,
    HOST,
    ONLY_1_2,
    anchors,
    client_config,
    credentials,
    server_config,
)
from tests.support.handshakes import Edit, Handshake, Recorder, Side, client_refuses, editing, with_extension
from tlswrite.config import ClientConfig
from tlswrite.crypto import signatures12
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import (
    CertificateError,
    DecodeError,
    DecryptError,
    HandshakeFailure,
    IllegalParameter,
    ProtocolVersionError,
    TLSError,
    TooMuchError,
    UnexpectedMessage,
    UnsupportedExtension,
)
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import make_offer
from tlswrite.iana import CipherSuite, ExtensionType, HandshakeType, NamedGroup, SignatureScheme
from tlswrite.limits import MAX_EMPTY_RECORDS
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.framing import MESSAGES12
from tlswrite.messages.hello import ServerHello
from tlswrite.negotiate import client_handshake
from tlswrite.tls12.client import ClientHandshake
from tlswrite.tls12.handshake import Last, Progress

SH, CT, SKE, CR, SHD, CV, CKE, FIN = (
    HandshakeType.SERVER_HELLO,
    HandshakeType.CERTIFICATE,
    HandshakeType.SERVER_KEY_EXCHANGE,
    HandshakeType.CERTIFICATE_REQUEST,
    HandshakeType.SERVER_HELLO_DONE,
    HandshakeType.CERTIFICATE_VERIFY,
    HandshakeType.CLIENT_KEY_EXCHANGE,
    HandshakeType.FINISHED,
)
E = ExtensionType


def run(
    client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, edit: Edit | None = None
) -> Handshake:
    return Handshake(
        client_config(**ONLY_1_2, **(client or {})), server_config(**ONLY_1_2, **(server or {})), edit
    )


def asking(**fields: Any) -> dict[str, Any]:
    """Fields of a server that asks for a certificate."""
    return {"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": anchors(), **fields}


def refuses(
    edit: Edit | None,
    expected: type[TLSError],
    match: str = "",
    client: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
) -> None:
    client_refuses(
        edit,
        expected,
        match,
        client=client_config(**ONLY_1_2, **(client or {})),
        server=server_config(**ONLY_1_2, **(server or {})),
    )


def changing(kind: HandshakeType, **fields: Any) -> Edit:
    return editing(kind, lambda message: replace(message, **fields), messages=MESSAGES12)


def extending(extension: int, data: bytes | None) -> Edit:
    return editing(SH, lambda message: with_extension(message, extension, data), messages=MESSAGES12)


# ---- the steps ----


def test_the_messages_and_waits_of_a_handshake() -> None:
    # RFC 5246 §7.3, figure 1.
    made = run()
    assert made.complete, (made.client.error, made.server.error)
    assert made.client.waits == ["WAIT_SH", "WAIT_CERT", "WAIT_SKE", "WAIT_CR_SHD", "WAIT_FINISHED"]
    assert made.client.io.log == [
        "write key",
        "client_hello",
        "write key",
        "client_key_exchange",
        "change_cipher_spec",
        "write key",
        "finished",
        "read key",
        "complete",
    ]


def test_the_messages_and_waits_with_a_client_certificate() -> None:
    made = run({"credentials": credentials(client=True)}, asking())
    assert made.complete, (made.client.error, made.server.error)
    assert made.client.waits[-3:] == ["WAIT_CR_SHD", "WAIT_SHD", "WAIT_FINISHED"]
    assert made.client.io.log[3:7] == [
        "certificate",
        "client_key_exchange",
        "certificate_verify",
        "change_cipher_spec",
    ]
    facts = made.server.io.result
    assert facts is not None and facts.peer_chain == credentials(client=True).chain
    assert facts.signature_scheme == SignatureScheme.ecdsa_secp256r1_sha256


def test_the_facts_on_both_sides() -> None:
    made = run({"alpn_protocols": ("x", "h2")}, {"alpn_protocols": ("h2",)})
    client, server = made.client.io.result, made.server.io.result
    assert client is not None and server is not None
    for facts in (client, server):
        assert (facts.version, facts.alpn, facts.group) == (0x0303, "h2", NamedGroup.x25519)
        assert facts.extended_main_secret and not facts.session_reused
        assert "secret" not in repr(facts)
    assert client.server_name == server.server_name == HOST
    assert client.peer_chain == credentials().chain and server.peer_chain == ()
    assert client.suite is server.suite


@pytest.mark.parametrize(
    "key_type",
    ["ecdsa_secp256r1", "ecdsa_secp384r1", "ecdsa_secp521r1", "ed25519", "ed448", "rsa", "rsa_pss"],
)
def test_every_kind_of_key_of_either_side(key_type: str) -> None:
    made = run(
        {"credentials": credentials(key_type, client=True)}, asking(credentials=(credentials(key_type),))
    )
    assert made.complete, (made.client.error, made.server.error)


@pytest.mark.parametrize("group", [NamedGroup.x25519, NamedGroup.secp256r1, NamedGroup.secp384r1])
def test_every_group(group: NamedGroup) -> None:
    made = run(server={"groups": (group,)})
    assert made.client.io.result is not None and made.client.io.result.group == group


def test_a_hello_request_is_passed_over_while_a_handshake_is_under_way() -> None:
    # RFC 5246 §7.4.1.1: it is ignored by a client that is negotiating, and is no part of the transcript.
    def edit(name: str, raw: bytes) -> list[bytes]:
        return [b"\0\0\0\0", raw] if name == "server" and raw[0] != SH else [raw]

    assert run(edit=edit).complete


def test_a_flood_of_hello_requests_is_refused() -> None:
    def edit(name: str, raw: bytes) -> list[bytes]:
        return [*[b"\0\0\0\0"] * (MAX_EMPTY_RECORDS + 1), raw] if raw[0] == SKE else [raw]

    refuses(edit, TooMuchError, "hello_request")


def test_a_hello_request_before_the_server_hello_is_unexpected() -> None:
    # Until then it may be TLS 1.3, which has no such message.
    io = Recorder()
    side = Side(io, client_handshake(io, client_config(**BOTH), HOST))
    side.start()
    side.receive(b"\0\0\0\0")
    assert type(side.error) is UnexpectedMessage


@pytest.mark.parametrize(
    ("before", "extra"),
    [
        (CT, SHD),
        (SKE, SHD),
        (SKE, CT),
        (SHD, SKE),
        (SHD, CT),
        (FIN, SHD),
        (SHD, HandshakeType.NEW_SESSION_TICKET),
    ],
)
def test_messages_out_of_order(before: HandshakeType, extra: HandshakeType) -> None:
    def edit(name: str, raw: bytes) -> list[bytes]:
        return [bytes((extra, 0, 0, 0)), raw] if name == "server" and raw[0] == before else [raw]

    refuses(edit, UnexpectedMessage, f"{extra.name.lower()} received in state")


@pytest.mark.parametrize("missing", [CT, SKE, SHD])
def test_messages_left_out(missing: HandshakeType) -> None:
    made = run(edit=lambda name, raw: [] if name == "server" and raw[0] == missing else raw)
    assert not made.complete
    assert missing == SHD or type(made.client.error) is UnexpectedMessage


# ---- ServerHello ----


@pytest.mark.parametrize(
    ("fields", "expected", "match"),
    [
        ({"legacy_version": 0x0302}, ProtocolVersionError, "the server chose TLS 1.1"),
        ({"legacy_version": 0x0304}, ProtocolVersionError, "the server chose TLS 1.3"),
        # RFC 5246 §7.4.1.3: one of the suites, and the one compression method, that were offered.
        ({"cipher_suite": 0xC013}, IllegalParameter, "CipherSuite(0xc013), which was not offered"),
        ({"cipher_suite": 0x1301}, IllegalParameter, "not offered for TLS 1.2"),
        ({"compression_method": 1}, IllegalParameter, "compression method 1"),
    ],
)
def test_fields_of_the_server_hello(fields: dict[str, Any], expected: type[TLSError], match: str) -> None:
    refuses(changing(SH, **fields), expected, match)


def test_a_suite_that_is_known_and_was_not_offered() -> None:
    suite = CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    offered = (CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,)
    refuses(changing(SH, cipher_suite=suite), IllegalParameter, "not offered", {"cipher_suites": offered})


@pytest.mark.parametrize(
    ("extension", "data", "expected"),
    [
        (E.RENEGOTIATION_INFO, b"\1x", HandshakeFailure),
        (E.RENEGOTIATION_INFO, b"", DecodeError),
        (E.EXTENDED_MAIN_SECRET, b"x", DecodeError),
        (E.EXTENDED_MAIN_SECRET, None, HandshakeFailure),
        (E.EC_POINT_FORMATS, b"\1\1", IllegalParameter),
        (E.EC_POINT_FORMATS, b"\0", DecodeError),
        (E.SERVER_NAME, b"x", DecodeError),
        (E.RECORD_SIZE_LIMIT, b"\0\x3f", IllegalParameter),
        (E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn_server(b"spdy"), UnsupportedExtension),
        # RFC 5246 §7.4.1.4: not asked for: MUST abort with "unsupported_extension", wherever else it may stand.
        (E.KEY_SHARE, b"", UnsupportedExtension),
        (E.SUPPORTED_VERSIONS, b"\3\3", UnsupportedExtension),
        (E.COOKIE, b"", UnsupportedExtension),
        (E.MAX_FRAGMENT_LENGTH, b"\1", UnsupportedExtension),
        # Asked for, and no answer of a server's.
        (E.SIGNATURE_ALGORITHMS, b"\0\2\4\3", IllegalParameter),
        (0x7777, b"", UnsupportedExtension),
    ],
)
def test_extensions_of_the_server_hello(extension: int, data: bytes | None, expected: type[TLSError]) -> None:
    refuses(extending(extension, data), expected)


def test_a_server_without_secure_renegotiation() -> None:
    # RFC 5746 §4.1.
    refuses(extending(E.RENEGOTIATION_INFO, None), HandshakeFailure, "legacy_server_connect=True")
    made = run({"legacy_server_connect": True}, edit=extending(E.RENEGOTIATION_INFO, None))
    # The transcripts differ; the client went as far as that.
    assert type(made.server.error) is DecryptError


def test_a_server_without_extended_main_secret_where_that_is_allowed() -> None:
    made = Handshake(
        client_config(**ONLY_1_2, require_extended_main_secret=False),
        server_config(**ONLY_1_2, require_extended_main_secret=False),
    )
    assert made.client.io.result is not None and made.client.io.result.extended_main_secret
    lax = {"require_extended_main_secret": False}
    lacking = run(lax, lax, lambda name, raw: without_extended(raw) if name == "client" else raw)
    # The server saw another hello than was sent, so the Finished messages differ: both went as far as that.
    assert type(lacking.server.error) is DecryptError


def without_extended(raw: bytes) -> bytes:
    if raw[0] != HandshakeType.CLIENT_HELLO:
        return raw
    hello = MESSAGES12[HandshakeType.CLIENT_HELLO].parse(raw[4:])
    return bytes(with_extension(hello, E.EXTENDED_MAIN_SECRET, None).encode())


def test_a_renegotiation_stays_in_its_version() -> None:
    # RFC 5246 §E.1, RFC 9846 §4.2.2: "protocol_version".
    config = client_config(**ONLY_1_2)
    last = Last(b"c" * 12, b"s" * 12, (), Progress(), None)
    offer = make_offer(config, HOST, SYSTEM, last.client_verify_data)
    again = ClientHandshake(Recorder(), config, HOST, SYSTEM, offer, last)
    for version in (0x0302, 0x0304):
        hello = ServerHello(bytes(32), b"", offer.hello.cipher_suites[0], (), version)
        with pytest.raises(ProtocolVersionError, match=r"instead of TLS 1\.2"):
            again.take_server_hello(hello, hello.encode())


def test_without_the_servers_record_size_limit_there_is_none() -> None:
    # RFC 8449 §4: both must have sent it.
    made = run({"record_size_limit": 64}, {"record_size_limit": 64}, extending(E.RECORD_SIZE_LIMIT, None))
    assert made.client.io.sealers[-1].max_content == 16384
    assert type(made.client.error or made.server.error) is DecryptError


def test_the_answer_to_max_fragment_length() -> None:
    asked = {"max_fragment_length": 1024}
    both = ext12.encode_max_fragment_length(1024)
    refuses(extending(E.MAX_FRAGMENT_LENGTH, both), IllegalParameter, "record_size_limit and", asked)

    def other(message: Any) -> Any:
        message = with_extension(message, E.RECORD_SIZE_LIMIT, None)
        return with_extension(message, E.MAX_FRAGMENT_LENGTH, ext12.encode_max_fragment_length(2048))

    refuses(editing(SH, other, messages=MESSAGES12), IllegalParameter, "2048, which was not asked", asked)


# ---- certificate and key exchange ----


def test_a_server_without_a_certificate() -> None:
    refuses(changing(CT, entries=()), DecodeError, "no certificate")


def test_a_certificate_of_the_wrong_kind_for_the_suite() -> None:
    rsa = credentials("rsa").chain
    refuses(changing(CT, entries=rsa), IllegalParameter, "another kind of key")


def test_a_certificate_that_nobody_vouches_for() -> None:
    strangers = TrustAnchors.from_pem(pki.stranger().certificate_pem)
    refuses(None, CertificateError, client={"trust_anchors": strangers})
    unverified = {"trust_anchors": strangers, "verify_mode": ssl.CERT_NONE, "check_hostname": False}
    assert run(unverified).complete


@pytest.mark.parametrize(
    ("fields", "expected", "match"),
    [
        ({"group": NamedGroup.x448}, IllegalParameter, "x448, which was not offered"),
        ({"group": NamedGroup.X25519MLKEM768}, IllegalParameter, "which was not offered"),
        ({"group": 0x0A0A}, IllegalParameter, "which was not offered"),
        ({"scheme": SignatureScheme.ecdsa_sha1}, IllegalParameter, "which was not offered"),
        ({"scheme": SignatureScheme.ecdsa_secp384r1_sha384}, DecryptError, ""),
        ({"scheme": SignatureScheme.rsa_pkcs1_sha256}, IllegalParameter, "by an EC key"),
        ({"public": bytes(32)}, DecryptError, ""),
        ({"signature": b"x"}, DecryptError, ""),
    ],
)
def test_fields_of_the_key_exchange(fields: dict[str, Any], expected: type[TLSError], match: str) -> None:
    refuses(changing(SKE, **fields), expected, match)


def test_an_explicit_curve() -> None:
    # RFC 8422 §5.4.
    refuses(
        editing(SKE, lambda m: m.encode()[:4] + b"\1" + m.encode()[5:], messages=MESSAGES12),
        IllegalParameter,
        "curve type 1",
    )


def signed_again(change: Callable[[Any], Any]) -> Edit:
    """The server's key exchange changed and signed again: as by a server that means it."""
    randoms: dict[str, bytes] = {}

    def edit(name: str, raw: bytes) -> bytes:
        if raw[0] in (HandshakeType.CLIENT_HELLO, SH):
            randoms[name] = raw[6:38]
        if raw[0] != SKE:
            return raw
        message = change(MESSAGES12[SKE].parse(raw[4:]))
        signed = randoms["client"] + randoms["server"] + message.params
        key = credentials().private_key
        signature = signatures12.sign(key, message.scheme, signed)
        return bytes(replace(message, signature=signature).encode())

    return edit


@pytest.mark.parametrize(
    ("public", "match"),
    [(b"x", "instead of 32"), (bytes(32), "small order"), (b"\1" + bytes(31), "small order")],
)
def test_shares_that_are_none(public: bytes, match: str) -> None:
    refuses(signed_again(lambda m: replace(m, public=public)), IllegalParameter, match)


def test_a_server_may_sign_with_another_hash_of_ecdsa() -> None:
    # RFC 8422 §5.10, RFC 5246 §7.4.1.4.1: the curve is no part of the scheme.
    edit = signed_again(lambda m: replace(m, scheme=SignatureScheme.ecdsa_secp521r1_sha512))
    made = run(edit=edit)
    assert type(made.server.error) is DecryptError and made.client.error is None


def test_a_finished_that_does_not_verify() -> None:
    def of_server(change: Edit) -> Edit:
        return lambda name, raw: change(name, raw) if name == "server" else raw

    refuses(of_server(changing(FIN, verify_data=bytes(12))), DecryptError, "Finished does not verify")
    refuses(of_server(changing(FIN, verify_data=bytes(11))), DecodeError, "11 bytes instead of 12")


# ---- the client's certificate ----


def test_no_certificate_that_the_server_could_take() -> None:
    # RFC 5246 §7.4.6: a client without a suitable certificate MUST send an empty one.
    mine = {"credentials": credentials(client=True)}
    for fields in ({"certificate_types": (1,)}, {"schemes": (SignatureScheme.rsa_pkcs1_sha256,)}):
        made = run(mine, asking(verify_mode=ssl.CERT_OPTIONAL), changing(CR, **fields))
        assert made.sent("client", CT)[0].entries == ()
        assert not made.sent("client", CV)
    made = run({}, asking(verify_mode=ssl.CERT_OPTIONAL))
    assert made.complete and made.sent("client", CT)[0].entries == ()


def test_a_client_of_both_versions_meets_an_old_server() -> None:
    made = Handshake(client_config(**BOTH, groups=ECDHE), server_config(**ONLY_1_2))
    assert made.complete
    assert made.client.io.result is not None and made.client.io.result.version == 0x0303


def test_key_log() -> None:
    # The format of NSS: one line, with the main secret (RFC 9850).
    lines: list[str] = []
    made = run({"keylog": lines.append}, {"keylog": lines.append})
    assert made.complete and len(lines) == 2 and lines[0] == lines[1]
    label, random, secret = lines[0].split()
    assert (
        label == "CLIENT_RANDOM" and random == made.sent("client", HandshakeType.CLIENT_HELLO)[0].random.hex()
    )
    assert len(bytes.fromhex(secret)) == 48


def test_the_default_configuration_offers_both_versions() -> None:
    assert [int(version) for version in ClientConfig().versions] == [0x0304, 0x0303]

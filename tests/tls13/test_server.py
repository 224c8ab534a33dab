"""The server's handshake, step by step against the RFC's figures and its MUSTs."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import HOST, anchors, client_config, credentials, server_config
from tests.support.handshakes import (
    CCS,
    CH,
    CR,
    CT,
    CV,
    EE,
    FIN,
    SH,
    Edit,
    Handshake,
    Recorder,
    Side,
    changing,
    editing,
    extending,
    server_refuses,
    with_extension,
)
from tlswrite.config import ServerConfig
from tlswrite.crypto.x509 import load_credentials
from tlswrite.errors import (
    DecodeError,
    DecryptError,
    HandshakeFailure,
    IllegalParameter,
    MissingExtension,
    NoApplicationProtocol,
    ProtocolVersionError,
    TLSError,
    UnexpectedMessage,
    UnrecognizedName,
)
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.iana import (
    GREASE,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from tlswrite.messages import extensions as ext
from tlswrite.negotiate import server_handshake
from tlswrite.tls13.server import ServerHandshake

P256 = (NamedGroup.secp256r1,)
BOTH = (NamedGroup.x25519, NamedGroup.secp256r1)


# ---- the figures ------------------------------------------------------------------------------------


def test_the_waits_are_those_of_the_figure() -> None:
    run = Handshake()
    assert run.complete
    assert run.server.waits == ["START", "WAIT_FINISHED"]
    assert run.server.io.log == [
        "server_hello",
        CCS,
        "read key",
        "write key",
        "encrypted_extensions",
        "certificate",
        "certificate_verify",
        "finished",
        "write key",
        "read key",
        "complete",
    ]
    assert run.server.io.ccs_allowed == [True]
    assert run.server.io.plaintext_alert_allowed == [True]


def test_the_waits_with_retry_and_client_authentication_are_those_of_the_figure() -> None:
    run = Handshake(
        client_config(groups=BOTH, credentials=credentials(client=True)),
        server_config(groups=P256, verify_mode=ssl.CERT_REQUIRED, trust_anchors=anchors()),
    )
    assert run.complete
    assert run.server.waits == ["START", "START", "WAIT_CERT", "WAIT_CV", "WAIT_FINISHED"]
    assert run.server.io.log == [
        "server_hello",
        CCS,
        "server_hello",
        "read key",
        "write key",
        "encrypted_extensions",
        "certificate_request",
        "certificate",
        "certificate_verify",
        "finished",
        "write key",
        "read key",
        "complete",
    ]


def test_an_empty_certificate_skips_wait_cv() -> None:
    run = Handshake(server=server_config(verify_mode=ssl.CERT_OPTIONAL, trust_anchors=anchors()))
    assert run.complete
    assert run.server.waits == ["START", "WAIT_CERT", "WAIT_FINISHED"]
    assert run.server.io.result is not None and run.server.io.result.peer_chain == ()


@pytest.mark.parametrize(
    ("step", "waits"),
    [
        (ServerHandshake.receive_client_identity, ["WAIT_CERT"]),
    ],
)
def test_each_step_can_be_started_alone(step: Any, waits: list[str]) -> None:
    io = Recorder()
    side = Side(io, step(ServerHandshake(io, server_config(), SYSTEM)))
    side.start()
    assert side.waits == waits


@pytest.mark.parametrize(
    "kind", [SH, EE, CR, CT, CV, FIN, HandshakeType.KEY_UPDATE, HandshakeType.HELLO_REQUEST]
)
def test_what_is_no_client_hello_is_refused_at_the_start(kind: HandshakeType) -> None:
    io = Recorder()
    side = Side(io, server_handshake(io, server_config()))
    side.start()
    side.receive(bytes((kind, 0, 0, 0)))
    assert type(side.error) is UnexpectedMessage
    assert f"{kind.name.lower()} received in state START" in side.error.message


@pytest.mark.parametrize("unexpected", [b"\x18\0\0\1\0", b"\x01\0\0\0", b"\x05\0\0\0", b"\x0f\0\0\0"])
def test_nothing_but_finished_comes_last(unexpected: bytes) -> None:
    # RFC 9846 §4.7.3: a KeyUpdate prior to a Finished; §4.2.2: a ClientHello at any other time.
    def edit(_: str, raw: bytes) -> list[bytes]:
        return [unexpected, raw] if raw[0] == FIN else [raw]

    server_refuses(
        lambda n, r: edit(n, r) if n == "client" else r, UnexpectedMessage, "in state WAIT_FINISHED"
    )


# ---- ClientHello ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extension", "data", "expected", "match"),
    [
        # RFC 9846 §E.2: without supported_versions, and a server with TLS 1.3 alone: "protocol_version".
        (ExtensionType.SUPPORTED_VERSIONS, None, ProtocolVersionError, "the client offers TLS 1.2"),
        (
            ExtensionType.SUPPORTED_VERSIONS,
            b"\6\x0a\x0a\3\3\3\2",
            ProtocolVersionError,
            "the client offers TLS 1.2, TLS 1.1; this server accepts TLS 1.3",
        ),
        (ExtensionType.SUPPORTED_VERSIONS, b"\2\x7f\x1c", ProtocolVersionError, "no version known here"),
        (ExtensionType.SUPPORTED_VERSIONS, b"\0", DecodeError, ""),
        # RFC 9846 §9.2: what a TLS 1.3 ClientHello MUST have: "missing_extension".
        (ExtensionType.SIGNATURE_ALGORITHMS, None, MissingExtension, "signature_algorithms"),
        (ExtensionType.SUPPORTED_GROUPS, None, MissingExtension, "supported_groups"),
        (ExtensionType.KEY_SHARE, None, MissingExtension, "key_share"),
        # RFC 9846 §4.3.9: pre_shared_key without psk_key_exchange_modes MUST be refused.
        (ExtensionType.PRE_SHARED_KEY, b"", MissingExtension, "psk_key_exchange_modes"),
        # RFC 9846 §4.3: a recognised extension that does not belong here: "illegal_parameter".
        (ExtensionType.OID_FILTERS, b"\0\0", IllegalParameter, "oid_filters"),
        (ExtensionType.SUPPORTED_GROUPS, b"\0\0", DecodeError, ""),
        (ExtensionType.SIGNATURE_ALGORITHMS, b"\0\1\4", DecodeError, ""),
        (ExtensionType.SIGNATURE_ALGORITHMS_CERT, b"\0\1\4", DecodeError, ""),
        (ExtensionType.KEY_SHARE, b"\0\1\4", DecodeError, ""),
        (ExtensionType.SERVER_NAME, b"", DecodeError, ""),
        (ExtensionType.POST_HANDSHAKE_AUTH, b"\0", DecodeError, ""),
        # RFC 8449 §4.
        (ExtensionType.RECORD_SIZE_LIMIT, b"\0\x3f", IllegalParameter, "63"),
        # RFC 9846 §4.2.1: nothing in common: "handshake_failure".
        (
            ExtensionType.SIGNATURE_ALGORITHMS,
            b"\0\2\x08\x07",
            HandshakeFailure,
            "the client verifies ed25519",
        ),
    ],
)
def test_extensions_of_the_client_hello(
    extension: int, data: bytes | None, expected: type[TLSError], match: str
) -> None:
    server_refuses(extending(CH, extension, data), expected, match)


def test_an_older_client_is_refused_in_words() -> None:
    def change(message: Any) -> Any:
        return replace(with_extension(message, ExtensionType.SUPPORTED_VERSIONS, None), legacy_version=0x0301)

    error = server_refuses(editing(CH, change), ProtocolVersionError, "the client offers TLS 1.0")
    assert error.alert == AlertDescription.PROTOCOL_VERSION


@pytest.mark.parametrize(
    ("fields", "expected", "match"),
    [
        # RFC 9846 §4.2.2: a legacy_version that is not 0x0303: "protocol_version".
        ({"legacy_version": 0x0304}, ProtocolVersionError, "0x0304"),
        ({"legacy_version": 0x0301}, ProtocolVersionError, "0x0301"),
        # RFC 9846 §4.2.2: any other value than one zero byte: "illegal_parameter".
        ({"compression_methods": b"\0\1"}, IllegalParameter, "compression"),
        ({"compression_methods": b"\1"}, IllegalParameter, "compression"),
        (
            {"cipher_suites": (0xC02F, 0x1304)},
            HandshakeFailure,
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ),
        ({"cipher_suites": GREASE}, HandshakeFailure, "no cipher suite in common"),
    ],
)
def test_fields_of_the_client_hello(fields: dict[str, Any], expected: type[TLSError], match: str) -> None:
    server_refuses(changing(CH, **fields), expected, match)


def test_groups_without_overlap_are_a_handshake_failure() -> None:
    # RFC 9846 §4.2.1: "handshake_failure" or "insufficient_security".
    server_refuses(None, HandshakeFailure, "the client supports", server=server_config(groups=P256))


def test_a_share_for_a_group_that_is_not_listed_is_illegal() -> None:
    # RFC 9846 §4.3.8: clients MUST NOT offer shares for groups not listed in supported_groups.
    edit = extending(CH, ExtensionType.SUPPORTED_GROUPS, ext.encode_supported_groups((NamedGroup.secp384r1,)))
    server_refuses(edit, IllegalParameter, "not among the supported groups")


def test_an_invalid_share_is_illegal() -> None:
    data = ext.encode_key_share_client(((NamedGroup.x25519, bytes(32)),))
    edit = extending(CH, ExtensionType.KEY_SHARE, data)
    server_refuses(edit, IllegalParameter, "small order", client=client_config(grease=False))


def test_unknown_values_of_all_kinds_are_passed_over() -> None:
    # RFC 8701 §4 and RFC 9846 §9.3: a server MUST ignore what it does not recognise.
    def change(message: Any) -> Any:
        for value in GREASE:
            message = with_extension(message, value, b"\x12\x34")
        versions = ext.encode_supported_versions_client((*GREASE, 0x0304, 0x0303))
        message = with_extension(message, ExtensionType.SUPPORTED_VERSIONS, versions)
        return replace(message, cipher_suites=(*GREASE, *message.cipher_suites))

    run = Handshake(edit=editing(CH, change))
    # All was accepted; what the client cannot do is agree on the transcript.
    assert run.server.error is None
    assert run.server.io.log[-3:] == ["certificate_verify", "finished", "write key"]
    assert type(run.client.error) is DecryptError


def test_grease_of_the_client_is_tolerated_in_many_shapes() -> None:
    for _ in range(200):
        assert Handshake(client_config(groups=BOTH, alpn_protocols=("h2",))).complete


# ---- HelloRetryRequest ------------------------------------------------------------------------------


def retry_refused(edit: Edit, expected: type[TLSError], match: str = "", *, cookie: bool = False) -> None:
    server = server_config(groups=P256, hello_retry_cookie=cookie)
    server_refuses(edit, expected, match, client=client_config(groups=BOTH), server=server)


@pytest.mark.parametrize(
    "fields",
    [{"random": bytes(32)}, {"session_id": b""}, {"cipher_suites": (CipherSuite.TLS_AES_128_GCM_SHA256,)}],
)
def test_the_second_client_hello_keeps_its_fields(fields: dict[str, Any]) -> None:
    # RFC 9846 §4.2.2: the same ClientHello without modification, except …
    retry_refused(changing(CH, nth=1, **fields), IllegalParameter, "differs")


@pytest.mark.parametrize(
    ("extension", "data", "match"),
    [
        (ExtensionType.SERVER_NAME, None, "differs"),
        (ExtensionType.SERVER_NAME, ext.encode_server_name("other.example"), "differs"),
        (0x1234, b"", "differs"),
        # RFC 9846 §4.3.2: a cookie that was not asked for is one more difference.
        (ExtensionType.COOKIE, b"\0\1c", "differs"),
        # RFC 9846 §4.2.2: early data is not permitted after a HelloRetryRequest.
        (ExtensionType.EARLY_DATA, b"", "early data"),
        # RFC 9846 §4.3.8: a single share, of the group that was asked for.
        (ExtensionType.KEY_SHARE, None, "one key share"),
        (ExtensionType.KEY_SHARE, b"\0\0", "one key share"),
        (
            ExtensionType.KEY_SHARE,
            ext.encode_key_share_client(((NamedGroup.x25519, bytes(range(32))),)),
            "one key share",
        ),
    ],
)
def test_the_second_client_hello_keeps_its_extensions(extension: int, data: bytes | None, match: str) -> None:
    retry_refused(extending(CH, extension, data, nth=1), IllegalParameter, match)


def test_padding_may_change_and_early_data_may_go() -> None:
    # RFC 9846 §4.2.2: "padding" may come, go or change; "early_data" must go.
    seen = 0

    def change(message: Any) -> Any:
        nonlocal seen
        seen += 1
        message = with_extension(message, ExtensionType.PADDING, bytes(seen))
        return with_extension(message, ExtensionType.EARLY_DATA, b"") if seen == 1 else message

    def edit(name: str, raw: bytes) -> bytes:
        return editing(CH, change)(name, raw) if name == "client" else raw

    run = Handshake(client_config(groups=BOTH), server_config(groups=P256), edit)
    assert run.server.error is None
    assert run.server.waits == ["START", "START", "WAIT_FINISHED"]


def test_the_order_of_extensions_may_change() -> None:
    edit = editing(CH, lambda m: replace(m, extensions=m.extensions[::-1]), nth=1)
    run = Handshake(client_config(groups=BOTH), server_config(groups=P256), edit)
    assert run.server.error is None
    assert run.server.waits == ["START", "START", "WAIT_FINISHED"]


def test_the_cookie_must_come_back_unchanged() -> None:
    # RFC 9846 §4.3.2: the client MUST copy it.
    retry_refused(extending(CH, ExtensionType.COOKIE, None, nth=1), MissingExtension, "cookie", cookie=True)
    wrong = ext.encode_cookie(bytes(32))
    retry_refused(extending(CH, ExtensionType.COOKIE, wrong, nth=1), IllegalParameter, "cookie", cookie=True)
    empty = b"\0\0"
    retry_refused(extending(CH, ExtensionType.COOKIE, empty, nth=1), DecodeError, cookie=True)


def test_cookies_differ_from_connection_to_connection() -> None:
    server = server_config(hello_retry_cookie=True)
    cookies = {
        Handshake(server=server).sent("server", SH)[0].extension(ExtensionType.COOKIE) for _ in range(3)
    }
    assert len(cookies) == 3


def test_without_a_reason_nothing_is_retried() -> None:
    run = Handshake(client_config(groups=BOTH), server_config(groups=BOTH))
    assert run.server.waits == ["START", "WAIT_FINISHED"]


def test_everything_is_chosen_once() -> None:
    names: list[str | None] = []

    def choose(name: str | None) -> None:
        names.append(name)

    server = server_config(sni_callback=choose, hello_retry_cookie=True)
    assert Handshake(server=server).complete
    assert names == [HOST]


# ---- EncryptedExtensions ----------------------------------------------------------------------------


def test_nothing_is_answered_that_was_not_asked() -> None:
    # RFC 9846 §4.3: MUST NOT send extension responses to what was not requested.
    def change(message: Any) -> Any:
        for extension in (ExtensionType.SERVER_NAME, ExtensionType.RECORD_SIZE_LIMIT):
            message = with_extension(message, extension, None)
        return message

    server = server_config(groups=BOTH, alpn_protocols=("h2",), record_size_limit=1024)
    run = Handshake(None, server, editing(CH, change))
    assert run.sent("server", EE)[0].extensions == ()
    assert run.server.io.sealers[-1].max_content == 16384


def test_what_is_asked_is_answered() -> None:
    run = Handshake(
        client_config(alpn_protocols=("h2",)), server_config(groups=BOTH, alpn_protocols=("h2", "h3"))
    )
    assert run.sent("server", EE)[0].extensions == (
        (ExtensionType.SERVER_NAME, b""),
        (ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, b"\0\3\2h2"),
        (ExtensionType.RECORD_SIZE_LIMIT, b"\x40\x01"),
    )


def test_a_record_size_limit_goes_before_a_max_fragment_length() -> None:
    # RFC 8449 §5: a server that supports record_size_limit MUST ignore the other where both come.
    asking = client_config(max_fragment_length=512)
    run = Handshake(asking)
    assert run.complete
    answer = run.sent("server", EE)[0]
    assert answer.extension(ExtensionType.MAX_FRAGMENT_LENGTH) is None
    assert answer.extension(ExtensionType.RECORD_SIZE_LIMIT) == b"\x40\x01"
    assert run.server.io.sealers[-1].max_content == 16384
    run = Handshake(asking, None, extending(CH, ExtensionType.RECORD_SIZE_LIMIT, None))
    answer = run.sent("server", EE)[0]
    assert answer.extension(ExtensionType.MAX_FRAGMENT_LENGTH) == b"\1"
    assert run.server.io.sealers[-1].max_content == 512


def test_a_client_may_name_a_larger_limit_than_there_is() -> None:
    # RFC 8449 §4: a server MUST NOT enforce the upper bound.
    run = Handshake(edit=extending(CH, ExtensionType.RECORD_SIZE_LIMIT, b"\xff\xff"))
    assert run.server.error is None
    assert run.server.io.sealers[-1].max_content == 16384


def test_protocols_without_overlap_are_refused() -> None:
    # RFC 7301 §3.2: a fatal "no_application_protocol" alert.
    client = client_config(alpn_protocols=("h3", "grpc"), grease=False)
    server = server_config(alpn_protocols=("h2",))
    server_refuses(None, NoApplicationProtocol, "the client offers h3, grpc", client=client, server=server)
    # A side that says nothing does not mind.
    for quiet in (Handshake(client, server_config()), Handshake(client_config(), server)):
        assert quiet.complete
        assert quiet.client.io.result is not None and quiet.client.io.result.alpn is None


# ---- choice of credentials --------------------------------------------------------------------------


def test_the_callback_chooses_credentials_or_a_configuration_or_nothing() -> None:
    made = pki.issue(("localhost",), key_type="ed25519")
    other = load_credentials(made.chain_pem, made.key_pem)
    answers: list[Any] = [other, server_config(credentials=(other,), alpn_protocols=("h2",)), None]
    for answer, chain, alpn in zip(
        answers, [other.chain, other.chain, credentials().chain], [None, "h2", None], strict=True
    ):
        run = Handshake(
            client_config(alpn_protocols=("h2",)), server_config(sni_callback=lambda _, answer=answer: answer)
        )
        assert run.complete
        facts = run.client.io.result
        assert facts is not None and facts.peer_chain == chain and facts.alpn == alpn


def test_the_callback_may_refuse_a_name() -> None:
    def choose(name: str | None) -> ServerConfig | None:
        raise UnrecognizedName(f"no server named {name} here")

    error = server_refuses(
        None, UnrecognizedName, "no server named localhost", server=server_config(sni_callback=choose)
    )
    assert error.alert == AlertDescription.UNRECOGNIZED_NAME

"""What a client takes for an answer to its hello: ServerHello, HelloRetryRequest, EncryptedExtensions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.engine import client_config, server_config
from tests.support.handshakes import (
    CH,
    CT,
    CV,
    EE,
    SH,
    Handshake,
    changing,
    client_refuses,
    editing,
    extending,
    open_record,
    with_extension,
)
from tlswrite.errors import (
    DecodeError,
    DecryptError,
    IllegalParameter,
    MissingExtension,
    ProtocolVersionError,
    RecordOverflow,
    TLSError,
    UnexpectedMessage,
    UnsupportedExtension,
)
from tlswrite.iana import (
    GREASE,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    NamedGroup,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages.hello import DOWNGRADE_TLS11, DOWNGRADE_TLS12, ServerHello

P256 = (NamedGroup.secp256r1,)
#: A server that answers the default client's x25519 share with a request for P-256.
BOTH = (NamedGroup.x25519, NamedGroup.secp256r1)


# ---- ServerHello and HelloRetryRequest --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected", "match"),
    [
        # RFC 9846 §4.2.3: a legacy_version that is not 0x0303: "protocol_version".
        ({"legacy_version": 0x0302}, ProtocolVersionError, "legacy_version 0x0302"),
        ({"legacy_version": 0x0304}, ProtocolVersionError, "legacy_version 0x0304"),
        # RFC 9846 §4.2.3: a legacy_session_id_echo that does not match: "illegal_parameter".
        ({"session_id": b""}, IllegalParameter, "session id"),
        ({"session_id": bytes(32)}, IllegalParameter, "session id"),
        # RFC 9846 §4.2.3: a cipher suite that was not offered: "illegal_parameter".
        ({"cipher_suite": 0x1304}, IllegalParameter, "CipherSuite(0x1304), which was not offered"),
        ({"cipher_suite": CipherSuite.TLS_AES_256_GCM_SHA384}, IllegalParameter, "which was not offered"),
        # RFC 9846 §4.2.3: any other compression method: "illegal_parameter".
        ({"compression_method": 1}, IllegalParameter, "compression method 1"),
    ],
)
@pytest.mark.parametrize("retry", [False, True], ids=["ServerHello", "HelloRetryRequest"])
def test_fields_of_the_hello(
    fields: dict[str, Any], expected: type[TLSError], match: str, retry: bool
) -> None:
    client = client_config(cipher_suites=(CipherSuite.TLS_AES_128_GCM_SHA256,), groups=BOTH)
    server = server_config(groups=P256 if retry else BOTH)
    client_refuses(changing(SH, **fields), expected, match, client=client, server=server)


@pytest.mark.parametrize("value", GREASE)
def test_reserved_values_are_refused_where_a_server_chooses(value: int) -> None:
    # RFC 8701 §3.1: clients MUST reject GREASE values when negotiated by the server.
    client_refuses(changing(SH, cipher_suite=value), IllegalParameter, "not offered")
    version = ext.encode_supported_versions_server(value)
    client_refuses(extending(SH, ExtensionType.SUPPORTED_VERSIONS, version), IllegalParameter, "not offered")
    share = ext.encode_key_share_server(value, b"\0")
    client_refuses(extending(SH, ExtensionType.KEY_SHARE, share), IllegalParameter, "of which none was sent")
    for kind in (SH, EE):
        client_refuses(extending(kind, value, b""), UnsupportedExtension, "not offered")
    client_refuses(
        editing(CT, lambda m: replace(m, entries=(with_extension(m.entries[0], value, b""),))),
        UnsupportedExtension,
    )
    client_refuses(changing(CV, scheme=value), IllegalParameter, "not offered")
    asked = ext.encode_key_share_hello_retry(value)
    client = client_config(groups=BOTH)
    retry = extending(SH, ExtensionType.KEY_SHARE, asked)
    client_refuses(retry, IllegalParameter, "not offered", client=client, server=server_config(groups=P256))


@pytest.mark.parametrize("sentinel", [DOWNGRADE_TLS12, DOWNGRADE_TLS11])
def test_the_downgrade_sentinel_is_an_illegal_parameter(sentinel: bytes) -> None:
    # RFC 9846 §4.2.3: TLS 1.3 clients MUST check; a match: "illegal_parameter".
    answer = ServerHello(bytes(24) + sentinel, b"", 0xC02F, ())
    client_refuses(editing(SH, lambda _: answer), IllegalParameter, "downgrade")


@pytest.mark.parametrize(
    ("version", "name"),
    [(0x0303, "TLS 1.2"), (0x0302, "TLS 1.1"), (0x0301, "TLS 1.0"), (0x0300, "SSL 3.0"), (0x9999, "0x9999")],
)
def test_an_older_server_is_refused_in_words(version: int, name: str) -> None:
    # RFC 9846 §E.1: a version that is not supported: "protocol_version".
    answer = ServerHello(bytes(32), b"", 0xC02F, (), legacy_version=version, has_extensions=False)
    error = client_refuses(editing(SH, lambda _: answer), ProtocolVersionError, name)
    assert error.alert == AlertDescription.PROTOCOL_VERSION


@pytest.mark.parametrize("version", [0x0303, 0x0305, 0x7F1C])
def test_a_version_that_was_not_offered_is_illegal(version: int) -> None:
    # RFC 9846 §4.3.1: not offered, or prior to TLS 1.3: "illegal_parameter".
    data = ext.encode_supported_versions_server(version)
    client_refuses(extending(SH, ExtensionType.SUPPORTED_VERSIONS, data), IllegalParameter, "not offered")


def test_a_retry_request_must_have_supported_versions() -> None:
    # RFC 9846 §4.2.4: the server's extensions MUST contain "supported_versions".
    client_refuses(
        extending(SH, ExtensionType.SUPPORTED_VERSIONS, None),
        MissingExtension,
        "supported_versions",
        client=client_config(groups=BOTH),
        server=server_config(groups=P256),
    )


def test_the_version_may_not_change_after_a_retry_request() -> None:
    # RFC 9846 §4.2.4: the value MUST be retained: "illegal_parameter".
    client_refuses(
        extending(SH, ExtensionType.SUPPORTED_VERSIONS, b"\x03\x05", nth=1),
        IllegalParameter,
        client=client_config(groups=BOTH),
        server=server_config(groups=P256),
    )


def test_an_older_server_hello_after_a_retry_request_is_refused() -> None:
    # RFC 9846 §4.2.4: the value MUST be retained: "illegal_parameter".
    client_refuses(
        extending(SH, ExtensionType.SUPPORTED_VERSIONS, None, nth=1),
        IllegalParameter,
        "another version",
        client=client_config(groups=BOTH),
        server=server_config(groups=P256),
    )


def test_a_server_hello_without_key_share_is_refused() -> None:
    # RFC 9846 §9.2: key_share is REQUIRED.
    client_refuses(extending(SH, ExtensionType.KEY_SHARE, None), MissingExtension, "key_share")


def test_a_share_of_another_group_is_refused() -> None:
    # RFC 9846 §4.3.8: the same group as one of the client's shares.
    data = ext.encode_key_share_server(NamedGroup.secp256r1, b"\x04" + bytes(64))
    error = client_refuses(extending(SH, ExtensionType.KEY_SHARE, data), IllegalParameter, "secp256r1")
    assert "none was sent" in error.message


def test_a_share_of_another_group_than_requested_is_refused() -> None:
    # RFC 9846 §4.3.8: after a HelloRetryRequest the group MUST be the one it asked for.
    data = ext.encode_key_share_server(NamedGroup.x25519, bytes(range(32)))
    client_refuses(
        extending(SH, ExtensionType.KEY_SHARE, data, nth=1),
        IllegalParameter,
        "x25519",
        client=client_config(groups=BOTH),
        server=server_config(groups=P256),
    )


def test_an_invalid_share_is_refused() -> None:
    # RFC 9846 §7.4.2: the all-zero shared secret.
    data = ext.encode_key_share_server(NamedGroup.x25519, bytes(32))
    client_refuses(extending(SH, ExtensionType.KEY_SHARE, data), IllegalParameter, "small order")


def test_another_suite_than_that_of_the_retry_request_is_refused() -> None:
    # RFC 9846 §4.2.4: MUST check that the suite is the same: "illegal_parameter".
    client_refuses(
        changing(SH, cipher_suite=CipherSuite.TLS_AES_256_GCM_SHA384, nth=1),
        IllegalParameter,
        "another cipher suite",
        client=client_config(groups=BOTH),
        server=server_config(groups=P256),
    )


def test_a_second_retry_request_is_unexpected() -> None:
    # RFC 9846 §4.2.4: MUST abort the handshake with "unexpected_message".
    first: list[bytes] = []

    def edit(_: str, raw: bytes) -> bytes:
        if raw[0] == SH:
            first.append(raw)
            return first[0]
        return raw

    client, server = client_config(groups=BOTH), server_config(groups=P256)
    client_refuses(edit, UnexpectedMessage, "second HelloRetryRequest", client=client, server=server)


@pytest.mark.parametrize(
    ("extension", "data", "expected"),
    [
        # RFC 9846 §4.3: an answer to what was not asked: "unsupported_extension".
        (ExtensionType.EXTENDED_MAIN_SECRET + 10000, b"", UnsupportedExtension),
        (ExtensionType.PRE_SHARED_KEY, b"\0\0", UnsupportedExtension),
        # RFC 9846 §4.3: a recognised extension in the wrong message: "illegal_parameter".
        (ExtensionType.SERVER_NAME, b"", IllegalParameter),
        (ExtensionType.RECORD_SIZE_LIMIT, b"\x40\x00", IllegalParameter),
        (ExtensionType.COOKIE, b"\0\1c", IllegalParameter),
        (ExtensionType.EXTENDED_MAIN_SECRET, b"", IllegalParameter),
    ],
)
def test_extensions_that_do_not_belong_in_a_server_hello(
    extension: int, data: bytes, expected: type[TLSError]
) -> None:
    client_refuses(extending(SH, extension, data), expected)


@pytest.mark.parametrize(
    ("extension", "data", "expected"),
    [
        (0x1234, b"", UnsupportedExtension),
        (ExtensionType.SERVER_NAME, b"", IllegalParameter),
        (ExtensionType.PRE_SHARED_KEY, b"\0\0", IllegalParameter),
    ],
)
def test_extensions_that_do_not_belong_in_a_retry_request(
    extension: int, data: bytes, expected: type[TLSError]
) -> None:
    client, server = client_config(groups=BOTH), server_config(groups=P256)
    client_refuses(extending(SH, extension, data), expected, client=client, server=server)


@pytest.mark.parametrize(
    ("key_share", "match"),
    [
        # RFC 9846 §4.3.8: (1) a group of supported_groups, (2) not one of which a share was sent.
        (NamedGroup.secp521r1, "secp521r1, which was not offered"),
        (NamedGroup.x25519, "x25519, of which a share was sent"),
        # RFC 9846 §4.2.4: no change in the ClientHello: "illegal_parameter".
        (None, "no change"),
    ],
)
def test_retry_requests_that_must_not_be_followed(key_share: NamedGroup | None, match: str) -> None:
    data = None if key_share is None else ext.encode_key_share_hello_retry(key_share)
    client, server = client_config(groups=BOTH), server_config(groups=P256)
    edit = extending(SH, ExtensionType.KEY_SHARE, data)
    client_refuses(edit, IllegalParameter, match, client=client, server=server)


def test_the_second_client_hello_is_the_first_with_what_was_asked_for() -> None:
    # RFC 9846 §4.2.2: the same ClientHello without modification, except …
    run = Handshake(client_config(groups=BOTH), server_config(groups=P256, hello_retry_cookie=True))
    assert run.complete
    first, second = run.sent("client", CH)
    retry = run.sent("server", SH)[0]
    assert retry.is_hello_retry_request
    assert second.extensions[-1] == (ExtensionType.COOKIE, retry.extension(ExtensionType.COOKIE))
    assert len(second.extensions) == len(first.extensions) + 1
    for (code, old), (same, new) in zip(first.extensions, second.extensions, strict=False):
        assert code == same
        if code == ExtensionType.KEY_SHARE:
            assert [group for group, _ in ext.parse_key_share_client(new)] == [NamedGroup.secp256r1]
        else:
            assert old == new
    assert replace(second, extensions=first.extensions) == first


def test_a_retry_request_for_a_cookie_alone_keeps_the_shares() -> None:
    run = Handshake(server=server_config(hello_retry_cookie=True))
    assert run.complete
    first, second = run.sent("client", CH)
    assert first.extension(ExtensionType.KEY_SHARE) == second.extension(ExtensionType.KEY_SHARE)
    assert run.sent("server", SH)[0].extension(ExtensionType.KEY_SHARE) is None


# ---- EncryptedExtensions ----------------------------------------------------------------------------

LIMIT = ExtensionType.RECORD_SIZE_LIMIT
ALPN = ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION


@pytest.mark.parametrize(
    ("extension", "data", "expected", "match"),
    [
        (0x1234, b"", UnsupportedExtension, "not offered"),
        (ALPN, b"\0\3\2h2", UnsupportedExtension, "not offered"),
        (ExtensionType.EARLY_DATA, b"", UnsupportedExtension, "early_data"),
        # RFC 9846 §4.4.1: forbidden extensions: "illegal_parameter".
        (ExtensionType.KEY_SHARE, b"", IllegalParameter, "key_share"),
        (ExtensionType.SUPPORTED_VERSIONS, b"\3\4", IllegalParameter, "supported_versions"),
        (ExtensionType.COOKIE, b"\0\1c", IllegalParameter, "cookie"),
        (ExtensionType.SIGNATURE_ALGORITHMS, b"\0\2\4\3", IllegalParameter, "signature_algorithms"),
        # RFC 6066 §3: SHALL be empty.
        (ExtensionType.SERVER_NAME, b"\0", DecodeError, "not empty"),
        (ExtensionType.SUPPORTED_GROUPS, b"\0", DecodeError, ""),
        # RFC 8449 §4.
        (LIMIT, b"\0\x3f", IllegalParameter, "63"),
        (LIMIT, b"\x40\x02", IllegalParameter, "16386"),
        (LIMIT, b"\x40", DecodeError, ""),
    ],
)
def test_what_encrypted_extensions_may_not_say(
    extension: int, data: bytes, expected: type[TLSError], match: str
) -> None:
    client_refuses(extending(EE, extension, data), expected, match)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"\0\3\2h3", IllegalParameter), (b"\0\6\2h2\2h1", IllegalParameter), (b"\0\1\0", DecodeError)],
)
def test_protocols_that_were_not_offered(data: bytes, expected: type[TLSError]) -> None:
    client = client_config(alpn_protocols=("h2", "h1"))
    client_refuses(extending(EE, ALPN, data), expected, client=client)


def test_a_server_may_send_its_groups_and_a_client_goes_on() -> None:
    # RFC 9846 §4.3.7: not acted upon before the handshake is complete.
    run = Handshake(
        client_config(groups=BOTH),
        server_config(groups=(NamedGroup.secp521r1, NamedGroup.x25519)),
    )
    assert run.complete
    data = run.sent("server", EE)[0].extension(ExtensionType.SUPPORTED_GROUPS)
    assert ext.parse_supported_groups(data) == (NamedGroup.secp521r1, NamedGroup.x25519)


def test_record_size_limits_hold_both_ways_once_both_have_sent_them() -> None:
    # RFC 8449 §4: the limit is what a protected record may hold, content type included.
    run = Handshake(client_config(record_size_limit=512), server_config(record_size_limit=1024))
    assert run.complete
    assert [sealer.max_content for sealer in run.client.io.sealers[2:]] == [1023, 1023]
    assert [sealer.max_content for sealer in run.server.io.sealers] == [511, 511]
    over = run.server.io.sealers[-1]
    over.max_content = 600
    with pytest.raises(TLSError, match="512"):
        open_record(run.client.io.openers[-1], over.seal(23, bytes(512)))


def test_record_size_limits_hold_in_the_handshake_too() -> None:
    run = Handshake(client_config(record_size_limit=512), server_config(record_size_limit=1024))
    for opener, sealer, limit in (
        (run.client.io.openers[0], run.server.io.sealers[0], 512),
        (run.server.io.openers[0], run.client.io.sealers[2], 1024),
    ):
        sealer.max_content = 2000
        with pytest.raises(RecordOverflow, match=str(limit)):
            open_record(opener, sealer.seal(22, bytes(limit)))


def test_without_the_servers_record_size_limit_there_is_none() -> None:
    run = Handshake(client_config(record_size_limit=64), edit=extending(EE, LIMIT, None))
    # The server's Finished does not verify then, but its extensions were taken as they were.
    assert type(run.client.error) is DecryptError
    assert run.client.io.sealers[-1].max_content == 16384


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        # RFC 6066 §4: a length other than the one asked for; RFC 8449 §5: both extensions in one answer.
        ({ExtensionType.MAX_FRAGMENT_LENGTH: b"\2", LIMIT: None}, "1024, which was not asked for"),
        ({ExtensionType.MAX_FRAGMENT_LENGTH: b"\5", LIMIT: None}, "not 1 to 4"),
        ({ExtensionType.MAX_FRAGMENT_LENGTH: b"\1"}, "record_size_limit and max_fragment_length"),
    ],
)
def test_answers_to_max_fragment_length(answer: dict[int, bytes | None], match: str) -> None:
    def change(message: Any) -> Any:
        for extension, data in answer.items():
            message = with_extension(message, extension, data)
        return message

    client = client_config(max_fragment_length=512)
    client_refuses(editing(EE, change), IllegalParameter, match, client=client)
    # Unasked, it is no answer at all.
    client_refuses(editing(EE, change), UnsupportedExtension, "max_fragment_length")

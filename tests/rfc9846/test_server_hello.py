"""§4.2.3, §4.2.4, §4.3: what a client does with ServerHello, HelloRetryRequest and EncryptedExtensions."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import pytest

from tests.support.edits import Edit, adding, setting, with_extension
from tests.support.engine import client
from tests.support.hostile import HANDSHAKE, PLAIN, HostileServer
from tests.support.verdicts import connected, refused
from tlswrite.errors import (
    DecodeError,
    IllegalParameter,
    MissingExtension,
    ProtocolVersionError,
    TLSError,
    UnexpectedMessage,
    UnsupportedExtension,
)
from tlswrite.iana import GREASE, CipherSuite, ExtensionType, HandshakeType, NamedGroup
from tlswrite.messages import extensions as ext
from tlswrite.messages.extensions import ALLOWED, Place
from tlswrite.messages.hello import (
    DOWNGRADE_TLS11,
    DOWNGRADE_TLS12,
    HELLO_RETRY_REQUEST_RANDOM,
    ClientHello,
    ServerHello,
)

E = ExtensionType
X25519, P256, P384 = NamedGroup.x25519, NamedGroup.secp256r1, NamedGroup.secp384r1

#: A client that offers two groups and sends a share of one.
CHOOSY: dict[str, Any] = {"groups": (X25519, P256), "key_shares": (X25519,)}


def retry_for(group: int) -> tuple[int, bytes]:
    return (E.KEY_SHARE, ext.encode_key_share_hello_retry(group))


COOKIE = (E.COOKIE, ext.encode_cookie(b"come again"))


def face(edit: Edit, name: str = "server_hello", **fields: Any) -> HostileServer:
    """A server that edits its ServerHello, EncryptedExtensions, or HelloRetryRequest."""
    retry = (retry_for(P256),) if name == "hello_retry_request" else None
    share = (fields.get("key_shares") or (X25519,))[0]
    hostile = HostileServer(
        client(**{**CHOOSY, **fields}), {name: edit}, retry=retry, group=share if retry is None else P256
    )
    steps = hostile.STEPS
    hostile.run(*steps[: steps.index(name) + 1])
    return hostile


def retried(
    *extensions: tuple[int, bytes], group: int = P256, edits: dict[str, Edit] | None = None
) -> HostileServer:
    """A server that asks for another hello."""
    return HostileServer(client(**CHOOSY), edits, retry=extensions, group=group)


hello_and_retry = pytest.mark.parametrize("name", ["server_hello", "hello_retry_request"])


# ---- fields ----------------------------------------------------------------------------------------------


@hello_and_retry
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # RFC 9846 §4.2.3: not equal to 0x0303: "protocol_version".
        ({"legacy_version": 0x0301}, ProtocolVersionError),
        ({"legacy_version": 0x0302}, ProtocolVersionError),
        ({"legacy_version": 0x0304}, ProtocolVersionError),
        # RFC 9846 §4.2.3: does not match what it sent: "illegal_parameter".
        ({"session_id": b""}, IllegalParameter),
        ({"session_id": bytes(32)}, IllegalParameter),
        # RFC 9846 §4.2.3: not offered: "illegal_parameter".
        ({"cipher_suite": CipherSuite.TLS_AES_256_GCM_SHA384}, IllegalParameter),
        ({"cipher_suite": 0x1304}, IllegalParameter),
        ({"cipher_suite": 0xC02F}, IllegalParameter),
        ({"cipher_suite": 0x0005}, IllegalParameter),
        *(({"cipher_suite": value}, IllegalParameter) for value in GREASE),
        # RFC 9846 §4.2.3: MUST have the value 0: "illegal_parameter".
        ({"compression_method": 1}, IllegalParameter),
        ({"compression_method": 255}, IllegalParameter),
    ],
)
def test_fields(fields: dict[str, Any], expected: type[TLSError], name: str) -> None:
    suites = (CipherSuite.TLS_AES_128_GCM_SHA256,)
    refused(face(setting(**fields), name, cipher_suites=suites), expected, under=PLAIN)


@pytest.mark.parametrize("session_id", [b"\0", bytes(32)])
def test_a_session_id_that_was_not_sent(session_id: bytes) -> None:
    hostile = face(setting(session_id=session_id), middlebox_compatibility=False)
    refused(hostile, IllegalParameter, "session id", under=PLAIN)


# ---- version ---------------------------------------------------------------------------------------------


@hello_and_retry
@pytest.mark.parametrize("version", [0x0300, 0x0303, 0x0305, 0x7F1C, *GREASE[:2]])
def test_a_version_that_was_not_offered(version: int, name: str) -> None:
    # RFC 9846 §4.3.1: not offered, or prior to TLS 1.3: "illegal_parameter".
    edit = with_extension(E.SUPPORTED_VERSIONS, ext.encode_supported_versions_server(version))
    refused(face(edit, name), IllegalParameter, "version", under=PLAIN)


@hello_and_retry
@pytest.mark.parametrize("data", [b"", b"\3", b"\3\4\0", b"\2\3\4"])
def test_supported_versions_that_is_malformed(data: bytes, name: str) -> None:
    refused(face(with_extension(E.SUPPORTED_VERSIONS, data), name), DecodeError, under=PLAIN)


def test_a_retry_request_without_version() -> None:
    # RFC 9846 §4.2.4: MUST contain "supported_versions".
    edit = with_extension(E.SUPPORTED_VERSIONS, None)
    refused(face(edit, "hello_retry_request"), MissingExtension, "supported_versions", under=PLAIN)


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302, 0x0303, 0x0304])
def test_an_older_server(version: int) -> None:
    # RFC 9846 §E.1: not supported by the client: "protocol_version".
    hello = ServerHello(bytes(32), b"", 0xC02F, (), legacy_version=version).encode()
    refused(face(lambda _: hello), ProtocolVersionError, "TLS 1.3", under=PLAIN)


@pytest.mark.parametrize("sentinel", [DOWNGRADE_TLS12, DOWNGRADE_TLS11])
@pytest.mark.parametrize("version", [0x0301, 0x0302, 0x0303])
def test_a_downgrade(version: int, sentinel: bytes) -> None:
    # RFC 9846 §4.2.3: MUST check the last 8 bytes; a match: "illegal_parameter".
    hello = ServerHello(bytes(24) + sentinel, b"", 0xC02F, (), legacy_version=version).encode()
    refused(face(lambda _: hello), IllegalParameter, "downgrade", under=PLAIN)


def test_the_sentinel_means_nothing_in_tls_1_3() -> None:
    hostile = HostileServer(client(), {"server_hello": setting(random=bytes(24) + DOWNGRADE_TLS12)})
    hostile.run()
    connected(hostile)


# ---- extensions of the hellos ----------------------------------------------------------------------------


@hello_and_retry
@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        # RFC 9846 §4.3: what was not asked for: "unsupported_extension".
        ((0x7777, b""), UnsupportedExtension),
        ((E.PRE_SHARED_KEY, b"\0\0"), UnsupportedExtension),
        *(((value, b""), UnsupportedExtension) for value in GREASE),
        # RFC 9846 §4.3: recognized, and not specified for the message: "illegal_parameter".
        ((E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn((b"h2",))), IllegalParameter),
        ((E.SERVER_NAME, b""), IllegalParameter),
        ((E.SUPPORTED_GROUPS, ext.encode_supported_groups((X25519,))), IllegalParameter),
        ((E.EARLY_DATA, b""), IllegalParameter),
        ((E.PSK_KEY_EXCHANGE_MODES, b"\1\1"), IllegalParameter),
        ((E.POST_HANDSHAKE_AUTH, b""), IllegalParameter),
        ((E.RECORD_SIZE_LIMIT, b"\x40\0"), IllegalParameter),
        ((E.RENEGOTIATION_INFO, b"\0"), IllegalParameter),
    ],
)
def test_extensions_that_do_not_belong_there(
    extension: tuple[int, bytes], expected: type[TLSError], name: str
) -> None:
    if name == "hello_retry_request" and extension[0] == E.PRE_SHARED_KEY:
        expected = IllegalParameter  # It is not for a HelloRetryRequest in any case.
    refused(face(adding(extension), name), expected, under=PLAIN)


def test_a_cookie_is_for_a_retry_request_only() -> None:
    refused(face(adding(COOKIE)), IllegalParameter, "cookie", under=PLAIN)


@hello_and_retry
def test_the_same_extension_twice(name: str) -> None:
    version = (E.SUPPORTED_VERSIONS, b"\3\4")
    refused(face(adding(version), name), IllegalParameter, "twice", under=PLAIN)


# ---- key share -------------------------------------------------------------------------------------------


def test_no_share() -> None:
    # RFC 9846 §9.2: key_share is REQUIRED; a server without a PSK has nothing else.
    refused(face(with_extension(E.KEY_SHARE, None)), MissingExtension, "key_share", under=PLAIN)


@pytest.mark.parametrize("group", [P256, P384, 0x0100, *GREASE[:3]])
def test_a_share_of_a_group_that_was_not_shared(group: int) -> None:
    # RFC 9846 §4.3.8: the same group as one of the client's shares, GREASE not being one (RFC 8701 §3.1).
    edit = with_extension(E.KEY_SHARE, ext.encode_key_share_server(group, b"\4" + bytes(64)))
    refused(face(edit), IllegalParameter, "of which none was sent", under=PLAIN)


@pytest.mark.parametrize("share", [bytes(32), b"\1" + bytes(31), bytes(31), bytes(33)])
def test_a_share_that_is_not_valid(share: bytes) -> None:
    # RFC 9846 §7.4.2: MUST check for the all-zero value and abort.
    edit = with_extension(E.KEY_SHARE, ext.encode_key_share_server(X25519, share))
    refused(face(edit), IllegalParameter, "x25519", under=PLAIN)


@pytest.mark.parametrize("share", [b"\0", b"\4" + bytes(64), b"\2" + bytes(32), b"\4" + b"\xff" * 64])
def test_a_point_that_is_not_valid(share: bytes) -> None:
    # RFC 9846 §4.3.8.2: MUST validate that it is a point on the curve.
    edit = with_extension(E.KEY_SHARE, ext.encode_key_share_server(P256, share))
    refused(face(edit, groups=(P256,), key_shares=(P256,)), IllegalParameter, "secp256r1", under=PLAIN)


@pytest.mark.parametrize("length", [0, 1088, 1119, 1121])
def test_a_ciphertext_of_another_length(length: int) -> None:
    group = NamedGroup.X25519MLKEM768
    edit = with_extension(E.KEY_SHARE, ext.encode_key_share_server(group, bytes(length)))
    expected = DecodeError if length == 0 else IllegalParameter
    hostile = HostileServer(client(groups=(group, X25519)), {"server_hello": edit})
    hostile.run("server_hello")
    refused(hostile, expected, under=PLAIN)


@pytest.mark.parametrize("data", [b"", b"\0\x1d", b"\0\x1d\0\0", b"\0\x1d\0\x20x", b"\0\x1d\0\1\0\0"])
def test_a_share_that_is_malformed(data: bytes) -> None:
    refused(face(with_extension(E.KEY_SHARE, data)), DecodeError, under=PLAIN)


# ---- HelloRetryRequest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extensions",
    [(retry_for(P256),), (COOKIE,), (retry_for(P256), COOKIE), (COOKIE, retry_for(P256))],
    ids=["share", "cookie", "share and cookie", "cookie and share"],
)
def test_a_retry_request_is_followed(extensions: tuple[tuple[int, bytes], ...]) -> None:
    group = P256 if retry_for(P256) in extensions else X25519
    hostile = retried(*extensions, group=group)
    hostile.run()
    connected(hostile)
    first, second = hostile.heard(HandshakeType.CLIENT_HELLO)
    # RFC 9846 §4.2.2: the same without modification, except for what was asked for.
    before, after = dict(first.extensions), dict(second.extensions)
    if group == P256:
        # RFC 9846 §4.3.8: a single share, of the group that was asked for.
        assert [each for each, _ in ext.parse_key_share_client(after.pop(E.KEY_SHARE))] == [P256]
        before.pop(E.KEY_SHARE)
    # RFC 9846 §4.3.2: MUST copy the contents.
    cookie = dict(extensions).get(E.COOKIE)
    assert after.pop(E.COOKIE, None) == cookie
    assert before == after
    assert plain_fields(first) == plain_fields(second)
    # RFC 9846 §4.3.2: MUST NOT use cookies in the initial ClientHello of other connections.
    assert HostileServer(client(**CHOOSY)).hello.extension(E.COOKIE) is None


def plain_fields(hello: ClientHello) -> tuple[object, ...]:
    return astuple(replace(hello, extensions=()))


@pytest.mark.parametrize(
    ("extensions", "match"),
    [
        # RFC 9846 §4.2.4: would not result in any change.
        ((), "no change"),
        # RFC 9846 §4.3.8: (1) not offered, (2) a share was sent; "illegal_parameter".
        ((retry_for(P384),), "not offered"),
        ((retry_for(GREASE[5]),), "not offered"),
        ((retry_for(X25519),), "of which a share was sent"),
        ((retry_for(X25519), COOKIE), "of which a share was sent"),
    ],
)
def test_a_retry_request_that_must_not_be_followed(
    extensions: tuple[tuple[int, bytes], ...], match: str
) -> None:
    hostile = retried(*extensions)
    hostile.run("hello_retry_request")
    refused(hostile, IllegalParameter, match, under=PLAIN)


def test_a_grease_share_is_no_share() -> None:
    # RFC 8701 §3.1: also where it was really sent.
    hostile = HostileServer(client(**CHOOSY))
    reserved = [group for group in hostile.shares if group in GREASE]
    assert len(reserved) == 1
    hostile.retry_extensions = (retry_for(reserved[0]),)
    hostile.run("hello_retry_request")
    refused(hostile, IllegalParameter, "not offered", under=PLAIN)


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\2x", b"\0\1xy"])
def test_a_cookie_that_is_malformed(data: bytes) -> None:
    hostile = retried((E.COOKIE, data))
    hostile.run("hello_retry_request")
    refused(hostile, DecodeError, under=PLAIN)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\x17\0"])
def test_a_request_for_a_share_that_is_malformed(data: bytes) -> None:
    hostile = retried((E.KEY_SHARE, data))
    hostile.run("hello_retry_request")
    refused(hostile, DecodeError, under=PLAIN)


def test_a_cookie_that_cannot_be_returned() -> None:
    hostile = retried((E.COOKIE, ext.encode_cookie(bytes(65400))))
    hostile.run("hello_retry_request")
    refused(hostile, IllegalParameter, "too large", under=PLAIN)


@pytest.mark.parametrize("extensions", [(COOKIE,), (retry_for(P256),)])
def test_a_second_retry_request(extensions: tuple[tuple[int, bytes], ...]) -> None:
    # RFC 9846 §4.2.4: "unexpected_message".
    hostile = retried(*extensions)
    hostile.step("hello_retry_request")
    more = ((E.SUPPORTED_VERSIONS, b"\3\4"), (E.COOKIE, b"\0\1x"))
    again = ServerHello(HELLO_RETRY_REQUEST_RANDOM, hostile.hello.session_id, hostile.suite.id, more)
    hostile.handshake(again.encode())
    hostile.flush()
    refused(hostile, UnexpectedMessage, "second HelloRetryRequest", under=PLAIN)


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        # RFC 9846 §4.2.4: MUST check that the suite is the same.
        (setting(cipher_suite=CipherSuite.TLS_CHACHA20_POLY1305_SHA256), "another cipher suite"),
        # RFC 9846 §4.2.4: selected_version MUST be retained.
        (with_extension(E.SUPPORTED_VERSIONS, b"\3\3"), "version"),
        (with_extension(E.SUPPORTED_VERSIONS, None), "another version"),
        # RFC 9846 §4.3.8: MUST verify that the group is the same.
        (with_extension(E.KEY_SHARE, ext.encode_key_share_server(X25519, bytes(range(32)))), "x25519"),
    ],
)
def test_a_server_hello_that_does_not_keep_to_the_retry_request(edit: Edit, match: str) -> None:
    hostile = retried(retry_for(P256), edits={"server_hello": edit})
    hostile.run("hello_retry_request", "server_hello")
    refused(hostile, IllegalParameter, match, under=PLAIN)


# ---- EncryptedExtensions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(code for code, places in ALLOWED.items() if Place.EE not in places))
def test_extensions_that_are_forbidden_there(code: ExtensionType) -> None:
    # RFC 9846 §4.4.1: MUST check for forbidden extensions: "illegal_parameter".
    refused(face(adding((code, b"")), "encrypted_extensions"), IllegalParameter, under=HANDSHAKE)


@pytest.mark.parametrize(
    "code", [E.EARLY_DATA, E.MAX_FRAGMENT_LENGTH, E.CLIENT_CERTIFICATE_TYPE, 0x7777, *GREASE]
)
def test_extensions_that_were_not_offered(code: int) -> None:
    # RFC 9846 §4.3: "unsupported_extension"; a GREASE value that was offered is not one to answer.
    refused(face(adding((code, b"")), "encrypted_extensions"), UnsupportedExtension, under=HANDSHAKE)


def test_an_answer_about_protocols_that_nobody_asked() -> None:
    answer = (E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn((b"h2",)))
    hostile = face(adding(answer), "encrypted_extensions")
    refused(hostile, UnsupportedExtension, "application_layer", under=HANDSHAKE)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # RFC 7301 §3.1: exactly one name; §3.2: one that was offered.
        (ext.encode_alpn((b"h2", b"h3")), IllegalParameter),
        (ext.encode_alpn((b"smtp",)), IllegalParameter),
        (ext.encode_alpn((b"h2 ",)), IllegalParameter),
        *((ext.encode_alpn((value.to_bytes(2, "big"),)), IllegalParameter) for value in GREASE[:3]),
        (ext.encode_alpn(()), DecodeError),
        (b"\0\1\0", DecodeError),
        (b"", DecodeError),
        (ext.encode_alpn((b"h2",)) + b"\0", DecodeError),
    ],
)
def test_protocols(data: bytes, expected: type[TLSError]) -> None:
    edit = adding((E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, data))
    hostile = face(edit, "encrypted_extensions", alpn_protocols=("h2", "h3"))
    refused(hostile, expected, under=HANDSHAKE)


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        # RFC 6066 §3: extension_data SHALL be empty.
        ((E.SERVER_NAME, b"\0"), DecodeError),
        ((E.SERVER_NAME, ext.encode_server_name("localhost")), DecodeError),
        # RFC 8449 §4: smaller than 64 is "illegal_parameter", so may be what the protocol does not have.
        ((E.RECORD_SIZE_LIMIT, b"\0\x3f"), IllegalParameter),
        ((E.RECORD_SIZE_LIMIT, b"\x40\2"), IllegalParameter),
        ((E.RECORD_SIZE_LIMIT, b"\x40"), DecodeError),
        ((E.RECORD_SIZE_LIMIT, b"\x40\0\0"), DecodeError),
        ((E.SUPPORTED_GROUPS, b""), DecodeError),
        ((E.SUPPORTED_GROUPS, b"\0\1\0"), DecodeError),
        ((E.SUPPORTED_GROUPS, b"\0\2\0\x1d\0"), DecodeError),
    ],
)
def test_answers_that_are_wrong(extension: tuple[int, bytes], expected: type[TLSError]) -> None:
    refused(face(adding(extension), "encrypted_extensions"), expected, under=HANDSHAKE)


def test_the_same_answer_twice() -> None:
    edit = adding((E.SERVER_NAME, b""), (E.SERVER_NAME, b""))
    refused(face(edit, "encrypted_extensions"), IllegalParameter, "twice", under=HANDSHAKE)


def test_groups_of_the_server_change_nothing() -> None:
    # RFC 9846 §4.3.7: MUST NOT act upon them before the handshake is complete; unknown ones are none of ours.
    groups = ext.encode_supported_groups((*GREASE, P384, P256))
    hostile = HostileServer(client(**CHOOSY), {"encrypted_extensions": adding((E.SUPPORTED_GROUPS, groups))})
    hostile.run()
    connected(hostile)
    assert hostile.victim.group() == "x25519"

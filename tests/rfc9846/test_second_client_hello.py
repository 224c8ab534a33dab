"""§4.2.2, §4.2.4, §4.3.2: what a server that sent a HelloRetryRequest does with the second ClientHello."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.edits import Edit, adding, setting, with_extension
from tests.support.engine import server
from tests.support.hostile import CCS, PLAIN, HostileClient
from tests.support.verdicts import connected, refused
from tlswrite.crypto import groups
from tlswrite.errors import DecodeError, IllegalParameter, MissingExtension, TLSError, UnexpectedMessage
from tlswrite.iana import CipherSuite, ContentType, ExtensionType, HandshakeType, NamedGroup
from tlswrite.messages import extensions as ext
from tlswrite.messages.hello import ClientHello

E = ExtensionType
X25519, P256 = NamedGroup.x25519, NamedGroup.secp256r1


def face(
    edit: Edit | None = None, *, cookie: bool = False, share: bool = True, **kinds: Any
) -> HostileClient:
    """A client that edits its second hello; the server asks for a share, a cookie, or both."""
    hostile = HostileClient(
        server(groups=(P256, X25519), hello_retry_cookie=cookie),
        {} if edit is None else {"second_client_hello": edit},
        **{"offered": (X25519, P256), "shared": () if share else (X25519,), **kinds},
    )
    hostile.run()
    return hostile


def shares(*wanted: NamedGroup) -> Edit:
    entries = [(group, groups.generate(group).public) for group in wanted]
    return with_extension(E.KEY_SHARE, ext.encode_key_share_client(entries))


@pytest.mark.parametrize(("cookie", "share"), [(False, True), (True, False), (True, True)])
def test_a_retry(cookie: bool, share: bool) -> None:
    hostile = face(cookie=cookie, share=share)
    request = hostile.request
    assert request is not None
    # RFC 9846 §4.2.4: MUST contain supported_versions; the minimal set; nothing that was not offered, but a
    # cookie.
    expected = (
        {E.SUPPORTED_VERSIONS} | ({E.COOKIE} if cookie else set()) | ({E.KEY_SHARE} if share else set())
    )
    assert {code for code, _ in request.extensions} == expected
    assert (request.legacy_version, request.session_id) == (0x0303, hostile.session_id)
    retry, hello = hostile.heard(HandshakeType.SERVER_HELLO)
    # RFC 9846 §4.2.4: the same cipher suite.
    assert retry.cipher_suite == hello.cipher_suite
    # RFC 9846 §E.4: change_cipher_spec right behind the first message, and only there.
    assert [record.content_type for record in hostile.records[:3]] == [
        ContentType.HANDSHAKE,
        ContentType.CHANGE_CIPHER_SPEC,
        ContentType.HANDSHAKE,
    ]
    connected(hostile)


@pytest.mark.parametrize(
    "edit",
    [
        setting(random=bytes(32)),
        setting(session_id=b""),
        setting(cipher_suites=(CipherSuite.TLS_AES_128_GCM_SHA256, 0x00FF)),
        setting(cipher_suites=(CipherSuite.TLS_AES_256_GCM_SHA384,)),
        setting(legacy_version=0x0302),
        setting(compression_methods=b"\0\1"),
        with_extension(E.SUPPORTED_GROUPS, ext.encode_supported_groups((P256,))),
        with_extension(E.SIGNATURE_ALGORITHMS, ext.encode_signature_algorithms((0x0403,))),
        with_extension(E.SUPPORTED_VERSIONS, ext.encode_supported_versions_client((0x0304, 0x0303))),
        with_extension(E.SUPPORTED_VERSIONS, None),
        adding((E.SERVER_NAME, ext.encode_server_name("elsewhere.example"))),
        adding((E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn((b"h2",)))),
        adding((E.COOKIE, ext.encode_cookie(b"nobody gave it"))),
        adding((0x7777, b"")),
    ],
)
def test_what_must_not_change(edit: Edit) -> None:
    # RFC 9846 §4.2.2: the client MUST send the same ClientHello without modification, with few exceptions.
    refused(face(edit), IllegalParameter, "differs", under=PLAIN)


def test_what_may_change() -> None:
    # RFC 9846 §4.2.2: padding; the order of extensions means nothing (§4.3).
    connected(face(adding((E.PADDING, bytes(100)))))
    connected(face(with_extension(E.PADDING, None), extensions=((E.PADDING, bytes(10)),)))

    def turned(message: bytes) -> bytes:
        hello = ClientHello.parse(message[4:])
        return replace(hello, extensions=hello.extensions[::-1]).encode()

    connected(face(turned))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        # RFC 9846 §4.3.8: only a new KeyShareEntry for the group indicated.
        (shares(X25519), IllegalParameter),
        (shares(P256, X25519), IllegalParameter),
        (shares(), IllegalParameter),
        (with_extension(E.KEY_SHARE, None), IllegalParameter),
        (with_extension(E.KEY_SHARE, b"\0"), DecodeError),
        (with_extension(E.KEY_SHARE, b"\0\5\0\x17\0\1\0"), IllegalParameter),
    ],
)
def test_shares(edit: Edit, expected: type[TLSError]) -> None:
    refused(face(edit), expected, under=PLAIN)


def test_shares_may_not_change_for_a_cookie() -> None:
    refused(face(shares(X25519), cookie=True, share=False), IllegalParameter, "differs", under=PLAIN)


def test_early_data_does_not_come_again() -> None:
    # RFC 9846 §4.2.2: early data is not permitted after a HelloRetryRequest.
    hostile = face(adding((E.EARLY_DATA, b"")), extensions=((E.EARLY_DATA, b""),))
    refused(hostile, IllegalParameter, "early data", under=PLAIN)
    connected(face(extensions=((E.EARLY_DATA, b""),)))


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (None, MissingExtension),
        (ext.encode_cookie(b"forged"), IllegalParameter),
        (ext.encode_cookie(bytes(32)), IllegalParameter),
        (ext.encode_cookie(bytes(65000)), IllegalParameter),
        (b"", DecodeError),
        (b"\0\0", DecodeError),
    ],
)
def test_a_cookie_that_was_not_given(cookie: bytes | None, expected: type[TLSError], share: bool) -> None:
    # RFC 9846 §4.3.2: MUST copy the contents.
    refused(face(with_extension(E.COOKIE, cookie), cookie=True, share=share), expected, under=PLAIN)


def test_a_cookie_that_is_changed_cut_or_longer() -> None:
    for change in (
        lambda cookie: bytes((cookie[0] ^ 1,)) + cookie[1:],
        lambda cookie: cookie[:-1],
        lambda cookie: cookie + b"\0",
    ):
        hostile = HostileClient(server(hello_retry_cookie=True))
        hostile.step("client_hello")
        assert hostile.request is not None
        given = hostile.request.extension(E.COOKIE)
        assert given is not None
        changed = ext.encode_cookie(change(ext.parse_cookie(given)))
        hostile.edits = {"second_client_hello": with_extension(E.COOKIE, changed)}
        hostile.run("second_client_hello")
        refused(hostile, IllegalParameter, "cookie", under=PLAIN)


def test_a_cookie_of_another_connection() -> None:
    # The same hello on two connections: the cookies differ, and one is of no use for the other.
    first = HostileClient(server(hello_retry_cookie=True))
    second = HostileClient(server(hello_retry_cookie=True))
    second.random, second.shares = first.random, first.shares
    for hostile in (first, second):
        hostile.step("client_hello")
    assert first.request is not None and second.request is not None
    one, other = (request.extension(E.COOKIE) for request in (first.request, second.request))
    assert one != other
    second.edits = {"second_client_hello": with_extension(E.COOKIE, one)}
    second.run("second_client_hello")
    refused(second, IllegalParameter, "cookie", under=PLAIN)


def test_change_cipher_spec_between_the_hellos() -> None:
    # RFC 9846 §4.3.2, §E.4: a client in compatibility mode sends it there.
    hostile = HostileClient(server(hello_retry_cookie=True))
    hostile.step("client_hello")
    hostile.raw(CCS)
    hostile.run("second_client_hello", "finished")
    connected(hostile)


def test_a_third_client_hello() -> None:
    hostile = HostileClient(server(hello_retry_cookie=True))
    hostile.step("client_hello", "second_client_hello")
    hostile.handshake(hostile.second_client_hello())
    hostile.flush()
    refused(hostile, UnexpectedMessage, "client_hello received", under="the application key")


def test_nothing_is_spent_before_the_cookie_came_back() -> None:
    # Neither signature nor key exchange: the flight is one small message.
    hostile = HostileClient(server(hello_retry_cookie=True))
    hostile.step("client_hello")
    assert [message[0] for message in hostile.messages] == [HandshakeType.SERVER_HELLO]
    assert len(hostile.messages[0]) < 200

"""§4.2.2, §4.3, §9.2: what a server does with a ClientHello."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.edits import Edit, adding, setting, with_extension
from tests.support.engine import server
from tests.support.hostile import CCS, PLAIN, HostileClient
from tests.support.verdicts import connected, refused
from tlswrite.codec import vector8, vector16
from tlswrite.crypto import groups
from tlswrite.errors import (
    DecodeError,
    HandshakeFailure,
    IllegalParameter,
    MissingExtension,
    NoApplicationProtocol,
    ProtocolVersionError,
    TLSError,
    UnexpectedMessage,
    UnrecognizedName,
)
from tlswrite.iana import (
    GREASE,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages.framing import frame

E = ExtensionType
SUITE = CipherSuite.TLS_AES_128_GCM_SHA256
X25519 = NamedGroup.x25519
P256 = NamedGroup.secp256r1


def face(edit: Edit | None = None, *, victim: dict[str, Any] | None = None, **kinds: Any) -> HostileClient:
    """A client whose hello is edited, and the server's answer to it."""
    hostile = HostileClient(server(**(victim or {})), {} if edit is None else {"client_hello": edit}, **kinds)
    hostile.run()
    return hostile


def shares(*entries: tuple[int, bytes]) -> Edit:
    return with_extension(E.KEY_SHARE, ext.encode_key_share_client(entries))


def body(
    *,
    legacy_version: bytes = b"\3\3",
    session_id: bytes = b"\0",
    suites: bytes = b"\0\2\x13\1",
    compression: bytes = b"\1\0",
    extensions: bytes = b"\0\0",
) -> Edit:
    """A hello put together of fields, lengths included."""
    whole = legacy_version + bytes(32) + session_id + suites + compression + extensions
    return lambda _: frame(HandshakeType.CLIENT_HELLO, whole)


VERSIONS = (E.SUPPORTED_VERSIONS, ext.encode_supported_versions_client((0x0304,)))


# ---- version ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0x0200, 0x0300, 0x0301, 0x0302, 0x0304, 0x0305, 0x7F1C])
def test_another_legacy_version(version: int) -> None:
    # RFC 9846 §4.2.2: not equal to 0x0303: MUST abort the handshake with a "protocol_version" alert.
    refused(face(setting(legacy_version=version)), ProtocolVersionError, "legacy_version", under=PLAIN)


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0303, 0x0304])
def test_without_supported_versions(version: int) -> None:
    # RFC 9846 §4.3.1, §E.2: TLS 1.2 at most, also where legacy_version says more: "protocol_version".
    hostile = HostileClient(server(), {"client_hello": with_extension(E.SUPPORTED_VERSIONS, None)})
    message = hostile.make("client_hello")
    hostile.handshake(message[:4] + version.to_bytes(2, "big") + message[6:])
    hostile.flush()
    refused(hostile, ProtocolVersionError, "TLS 1.3", under=PLAIN)


def test_without_extensions() -> None:
    # RFC 9846 §4.2.2: detected by the end of the message.
    refused(face(body(extensions=b"")), ProtocolVersionError, under=PLAIN)


@pytest.mark.parametrize("versions", [(0x0303,), (0x0305,), (0x0303, 0x0302, 0x0301), (GREASE[3],)])
def test_supported_versions_without_tls_1_3(versions: tuple[int, ...]) -> None:
    # RFC 9846 §4.3.1: MUST be prepared to receive it; legacy_version MUST NOT be used.
    edit = with_extension(E.SUPPORTED_VERSIONS, ext.encode_supported_versions_client(versions))
    refused(face(edit), ProtocolVersionError, under=PLAIN)


def test_unknown_versions_are_ignored_and_their_order_too() -> None:
    # RFC 9846 §4.3.1: MUST ignore any unknown versions.
    versions = (GREASE[0], 0x0305, 0x0303, 0x0304, 0xFFFF)
    edit = with_extension(E.SUPPORTED_VERSIONS, ext.encode_supported_versions_client(versions))
    connected(face(edit))


@pytest.mark.parametrize("data", [b"", b"\0", b"\1\3", b"\3\3\4\3", b"\2\3\4\0", b"\4\3\4"])
def test_supported_versions_that_is_malformed(data: bytes) -> None:
    refused(face(with_extension(E.SUPPORTED_VERSIONS, data)), DecodeError, under=PLAIN)


# ---- fields ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [b"\1", b"\0\1", b"\1\0", b"\0\0", b"\x40"])
def test_compression(methods: bytes) -> None:
    # RFC 9846 §4.2.2: exactly one byte, set to zero, or "illegal_parameter".
    refused(face(setting(compression_methods=methods)), IllegalParameter, "compression", under=PLAIN)


@pytest.mark.parametrize(
    "edit",
    [
        body(session_id=vector8(bytes(33))),
        body(suites=b"\0\0"),
        body(suites=b"\0\3\x13\1\x13"),
        body(suites=b"\0\4\x13\1"),
        body(compression=b"\0"),
        body(extensions=b"\0"),
        body(extensions=b"\0\1\0"),
        body(extensions=b"\0\4\0\x2b\0\1"),
        body(extensions=b"\0\0\0"),
    ],
)
def test_fields_that_are_malformed(edit: Edit) -> None:
    # RFC 9846 §6: "decode_error"; §4.2.2: a valid extensions block with no data following.
    refused(face(edit), DecodeError, under=PLAIN)


def test_the_session_id_may_be_of_any_size() -> None:
    for size in (0, 1, 31, 32):
        hostile = face(setting(session_id=bytes(size)))
        # RFC 9846 §4.2.3: legacy_session_id_echo.
        assert hostile.heard(HandshakeType.SERVER_HELLO)[0].session_id == bytes(size)
        connected(hostile)


def test_unknown_suites_are_ignored() -> None:
    # RFC 9846 §4.2.2: MUST ignore those and process the remaining ones as usual; RFC 8701 §4.
    connected(face(setting(cipher_suites=(*GREASE, 0x00FF, 0x5600, 0xC02F, 0x1304, SUITE))))


@pytest.mark.parametrize("suites", [(0xC02F,), (0x1304, 0x1305), (0x0005, 0x000A), GREASE])
def test_no_suite_in_common(suites: tuple[int, ...]) -> None:
    # RFC 9846 §4.2.1: "handshake_failure"; §E.5: RC4 MUST NOT be negotiated for any reason.
    refused(face(setting(cipher_suites=suites)), HandshakeFailure, "cipher suite", under=PLAIN)


# ---- extensions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [E.SIGNATURE_ALGORITHMS, E.SUPPORTED_GROUPS, E.KEY_SHARE])
def test_mandatory_extensions(missing: ExtensionType) -> None:
    # RFC 9846 §9.2: MUST abort the handshake with a "missing_extension" alert.
    refused(face(with_extension(missing, None)), MissingExtension, missing.name.lower(), under=PLAIN)


def test_the_same_extension_twice() -> None:
    # RFC 9846 §4.3: MUST NOT be more than one of the same type, unknown ones included.
    for code, data in (VERSIONS, (0x7777, b"")):
        refused(face(adding((code, data), (code, data))), IllegalParameter, "twice", under=PLAIN)


def test_an_extension_that_belongs_elsewhere() -> None:
    # RFC 9846 §4.3: recognized and not specified for the message: "illegal_parameter". Of those in the
    # table, only oid_filters is not for a ClientHello.
    refused(face(adding((E.OID_FILTERS, b"\0\0"))), IllegalParameter, "oid_filters", under=PLAIN)


def test_extensions_that_are_not_known_or_not_used_are_ignored() -> None:
    # RFC 9846 §4.2.2: servers MUST ignore unrecognized extensions; §4.5.1.1: status_request_v2 (17) is not
    # acted upon; §E.5: truncated_hmac (4) is not used; §4.3: what is ignored is not decoded.
    ignored = [(code, b"whatever") for code in (*GREASE, 4, 5, 14, 15, 17, 18, 21, 27, 34, 35, 47, 0xFE0D)]
    hostile = face(adding(*ignored))
    (parameters,) = hostile.heard(HandshakeType.ENCRYPTED_EXTENSIONS)
    # The one answer is to supported_groups (§4.3.7).
    assert [code for code, _ in parameters.extensions] == [E.SUPPORTED_GROUPS]
    connected(hostile)


PARSED: dict[ExtensionType, bytes] = {
    E.SUPPORTED_VERSIONS: VERSIONS[1],
    E.SUPPORTED_GROUPS: ext.encode_supported_groups((X25519,)),
    E.SIGNATURE_ALGORITHMS: ext.encode_signature_algorithms((SignatureScheme.ecdsa_secp256r1_sha256,)),
    E.SIGNATURE_ALGORITHMS_CERT: ext.encode_signature_algorithms((SignatureScheme.ecdsa_secp256r1_sha256,)),
    E.KEY_SHARE: ext.encode_key_share_client(((X25519, bytes(range(32))),)),
    E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION: ext.encode_alpn((b"h2",)),
    E.SERVER_NAME: ext.encode_server_name("localhost"),
    E.RECORD_SIZE_LIMIT: ext.encode_record_size_limit(16385),
    E.POST_HANDSHAKE_AUTH: b"",
    E.EARLY_DATA: b"",
    E.PSK_KEY_EXCHANGE_MODES: b"\x01\x01",
}


@pytest.mark.parametrize("code", PARSED)
def test_data_left_over_in_an_extension(code: ExtensionType) -> None:
    # RFC 9846 §4.3: MUST abort with "decode_error" if there is data left over after parsing the structure.
    refused(face(with_extension(code, PARSED[code] + b"\0")), DecodeError, under=PLAIN)


@pytest.mark.parametrize("code", [code for code, data in PARSED.items() if data])
def test_an_extension_that_is_cut_or_empty(code: ExtensionType) -> None:
    for data in (PARSED[code][:-1], b""):
        refused(face(with_extension(code, data)), DecodeError, under=PLAIN)


# ---- groups and shares -----------------------------------------------------------------------------------


@pytest.mark.parametrize("offered", [(0x0018, 0x0100), (0x001E,), GREASE, (0x0016,)])
def test_no_group_in_common(offered: tuple[int, ...]) -> None:
    # RFC 9846 §4.2.1: "handshake_failure" or "insufficient_security".
    hostile = face(offered=offered, shared=(), victim={"groups": (X25519, P256)})
    refused(hostile, HandshakeFailure, "group", under=PLAIN)


def test_shares_of_unknown_groups_are_ignored() -> None:
    # RFC 9846 §C.3; RFC 8701 §3.1.
    def edit(message: bytes) -> bytes:
        entries = [(value, b"\0") for value in GREASE] + [(X25519, hostile.shares[X25519].public)]
        return bytes(shares(*entries)(message))

    hostile = HostileClient(server(), {"client_hello": edit}, offered=(*GREASE, X25519))
    hostile.run()
    connected(hostile)


def test_an_empty_list_of_shares_asks_for_a_retry() -> None:
    # RFC 9846 §4.3.8: permitted; §4.2.1: the server MUST respond with a HelloRetryRequest.
    hostile = face(shared=())
    assert hostile.request is not None
    connected(hostile)


def test_a_share_may_come_again() -> None:
    # RFC 9846 §4.3.8: receiving implementations MUST permit reuse by the peer.
    first = face()
    second = HostileClient(server())
    second.shares = first.shares
    second.run()
    connected(second)
    # The server's own is new each time.
    one, other = (
        each.heard(HandshakeType.SERVER_HELLO)[0].extension(E.KEY_SHARE) for each in (first, second)
    )
    assert one != other


def test_a_share_for_a_group_that_is_not_listed() -> None:
    refused(face(shared=(X25519, P256)), IllegalParameter, "not among the supported", under=PLAIN)


def test_two_shares_for_one_group() -> None:
    entry = (X25519, groups.generate(X25519).public)
    refused(face(shares(entry, entry)), IllegalParameter, "two shares", under=PLAIN)


#: Points of small order on curve25519 (RFC 7748 §6.1): the shared secret would be zero.
SMALL_ORDER = [
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]
ON_CURVE = groups.generate(P256).public
MLKEM = NamedGroup.X25519MLKEM768


@pytest.mark.parametrize(
    ("group", "share"),
    [
        *((X25519, point) for point in SMALL_ORDER),
        (X25519, bytes(31)),
        (X25519, bytes(33)),
        # RFC 9846 §4.3.8.2: not at infinity, coordinates in range, on the curve; uncompressed.
        (P256, b"\0"),
        (P256, b"\4" + bytes(64)),
        (P256, b"\4" + b"\xff" * 64),
        (P256, ON_CURVE[:-1] + bytes((ON_CURVE[-1] ^ 1,))),
        (P256, b"\2" + ON_CURVE[1:33]),
        (P256, b"\6" + ON_CURVE[1:]),
        (P256, ON_CURVE + b"\0"),
        (P256, ON_CURVE[:-1]),
        # draft-ietf-tls-ecdhe-mlkem §4.1: coefficients out of range, a wrong length, a bad curve part.
        (MLKEM, b"\xff" * 1184 + bytes(range(32))),
        (MLKEM, bytes(1184) + bytes(32)),
        (MLKEM, bytes(1184)),
    ],
    # The point is another in each process: no part of a name.
    ids=lambda value: f"{len(value)}bytes" if isinstance(value, bytes) else None,
)
def test_a_share_that_is_not_valid(group: NamedGroup, share: bytes) -> None:
    # RFC 9846 §4.3.8.2, §7.4.2: MUST validate, MUST check for the all-zero value; "illegal_parameter".
    hostile = face(shares((group, share)), offered=(group,), shared=(), victim={"groups": (group,)})
    refused(hostile, IllegalParameter, "key share", under=PLAIN)


@pytest.mark.parametrize("schemes", [(0x0401, 0x0501), (0x0201, 0x0203), GREASE, (0x0807,)])
def test_no_signature_scheme_in_common(schemes: tuple[int, ...]) -> None:
    # RFC 9846 §4.5.2: one offered by the client; §4.3.3: never RSASSA-PKCS1-v1_5 or SHA-1.
    edit = with_extension(E.SIGNATURE_ALGORITHMS, ext.encode_signature_algorithms(schemes))
    refused(face(edit), HandshakeFailure, "signature scheme", under=PLAIN)


# ---- pre-shared keys, which this server does not have ----------------------------------------------------

#: One identity that nobody knows, one binder.
PSK = (E.PRE_SHARED_KEY, vector16(vector16(b"ticket") + bytes(4)) + vector16(vector8(bytes(32))))
MODES = (E.PSK_KEY_EXCHANGE_MODES, b"\1\1")


def test_an_unknown_key_is_ignored() -> None:
    # RFC 9846 §4.3.11: unknown PSKs are ignored, and the handshake goes on without.
    hostile = face(adding(MODES, PSK))
    assert hostile.heard(HandshakeType.SERVER_HELLO)[0].extension(E.PRE_SHARED_KEY) is None
    connected(hostile)


def test_a_key_without_modes() -> None:
    # RFC 9846 §4.3.9: servers MUST abort the handshake.
    refused(face(adding(PSK)), MissingExtension, "psk_key_exchange_modes", under=PLAIN)


def test_a_key_that_is_not_last() -> None:
    # RFC 9846 §4.3.11: MUST be the last extension, otherwise "illegal_parameter".
    refused(face(adding(PSK, MODES)), IllegalParameter, "not the last", under=PLAIN)


# ---- names and protocols ---------------------------------------------------------------------------------


def host(name: bytes, kind: int = 0) -> bytes:
    return bytes((kind,)) + vector16(name)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # RFC 6066 §3: MUST NOT contain more than one name of the same type.
        (host(b"a.example") + host(b"b.example"), IllegalParameter),
        (b"", DecodeError),
        (host(b""), DecodeError),
        (host(b"a.example")[:-1], DecodeError),
        (host(b"a..example"), DecodeError),
        (host(b"a.example."), DecodeError),
        (host(b"a\0.example"), DecodeError),
        (host("ü.example".encode()), DecodeError),
        (host(b"a" * 64 + b".example"), DecodeError),
        (host(b".".join([b"a" * 60] * 5)), DecodeError),
    ],
)
def test_a_server_name_that_is_none(names: bytes, expected: type[TLSError]) -> None:
    refused(face(with_extension(E.SERVER_NAME, vector16(names))), expected, under=PLAIN)


@pytest.mark.parametrize(
    "names",
    [host(b"192.0.2.1"), host(b"2001:db8::1"), host(b"x", kind=9), host(b"x", kind=9) + host(b"a.example")],
)
def test_names_that_are_passed_over(names: bytes) -> None:
    connected(face(with_extension(E.SERVER_NAME, vector16(names))))


def test_a_name_that_is_not_served() -> None:
    def choose(name: str | None) -> None:
        raise UnrecognizedName(f"no {name} here")

    hostile = face(
        adding((E.SERVER_NAME, ext.encode_server_name("a.example"))), victim={"sni_callback": choose}
    )
    refused(hostile, UnrecognizedName, "no a.example here", under=PLAIN)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ext.encode_alpn((b"h3", b"grpc")), NoApplicationProtocol),
        (ext.encode_alpn((b"H2",)), NoApplicationProtocol),
        (ext.encode_alpn((b"h2\0",)), NoApplicationProtocol),
        (vector16(b"\0"), DecodeError),
        (vector16(b"\2h2\0"), DecodeError),
        (vector16(b""), DecodeError),
    ],
)
def test_protocols(data: bytes, expected: type[TLSError]) -> None:
    # RFC 7301 §3.2: no protocol in common: "no_application_protocol"; names are compared byte by byte.
    edit = adding((E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, data))
    refused(face(edit, victim={"alpn_protocols": ("h2",)}), expected, under=PLAIN)


def test_a_name_is_no_protocol_and_a_protocol_no_name() -> None:
    protocols = (E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn((b"localhost", b"h2")))
    name = (E.SERVER_NAME, ext.encode_server_name("h2"))
    hostile = face(adding(protocols, name), victim={"alpn_protocols": ("h2",)})
    connected(hostile)
    assert hostile.victim.selected_alpn_protocol() == "h2"
    assert hostile.victim.negotiated is not None and hostile.victim.negotiated.server_name == "h2"


@pytest.mark.parametrize(("limit", "expected"), [(0, IllegalParameter), (63, IllegalParameter)])
def test_a_record_size_limit_that_is_too_small(limit: int, expected: type[TLSError]) -> None:
    # RFC 8449 §4: a value smaller than 64 MUST be treated as a fatal error: "illegal_parameter".
    refused(face(adding((E.RECORD_SIZE_LIMIT, limit.to_bytes(2, "big")))), expected, under=PLAIN)


# ---- what is no ClientHello at all ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        # RFC 9846 §E.5: an SSL 2.0 CLIENT-HELLO MUST NOT negotiate TLS 1.3.
        bytes.fromhex("802e0103040015000000100100800700c0030080060040020080040080") + bytes(20),
        b"\0" * 100,
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
)
def test_another_protocol(data: bytes) -> None:
    hostile = HostileClient(server())
    hostile.raw(data)
    hostile.flush()
    refused(hostile, UnexpectedMessage, "is this TLS?", under=PLAIN)


def test_it_may_come_in_any_pieces() -> None:
    # RFC 9846 §C.3: a ClientHello split into several small fragments.
    for pieces in (1, 2, 7, 100):
        hostile = HostileClient(server())
        message = hostile.make("client_hello")
        for at in range(0, len(message), pieces):
            hostile.record(ContentType.HANDSHAKE, message[at : at + pieces])
        hostile.flush()
        hostile.run("finished")
        connected(hostile)


@pytest.mark.parametrize("version", [0x0000, 0x0002, 0x0300, 0x0301, 0x0303, 0x0304, 0x9999])
def test_the_version_of_its_record_is_ignored(version: int) -> None:
    # RFC 9846 §5.1, §E: legacy_record_version MUST be ignored for all purposes.
    hostile = HostileClient(server())
    hostile.plain(ContentType.HANDSHAKE, hostile.make("client_hello"), version)
    hostile.flush()
    hostile.run("finished")
    connected(hostile)


# ---- the answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: face(), lambda: face(session_id=b"")])
def test_the_answer(make: Callable[[], HostileClient]) -> None:
    hostile = make()
    (hello,) = hostile.heard(HandshakeType.SERVER_HELLO)
    # RFC 9846 §4.2.3: legacy_version MUST be 0x0303, legacy_compression_method 0; only extensions that
    # establish the context; random of its own.
    assert (hello.legacy_version, hello.compression_method) == (0x0303, 0)
    assert sorted(code for code, _ in hello.extensions) == [E.SUPPORTED_VERSIONS, E.KEY_SHARE]
    assert hello.random != hostile.random
    # RFC 9846 §E.4: change_cipher_spec right behind it, if and only if the session id is not empty.
    kinds = [record.content_type for record in hostile.records[:3]]
    spec = [ContentType.CHANGE_CIPHER_SPEC] if hostile.session_id else []
    assert kinds[: 1 + len(spec)] == [ContentType.HANDSHAKE, *spec]
    assert [record.content_type for record in hostile.records].count(CCS[0]) == len(spec)
    # RFC 9846 §5.1: ServerHello ends with its record.
    assert hostile.records[0].content == hostile.messages[0]

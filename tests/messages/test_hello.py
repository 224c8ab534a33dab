"""ClientHello and ServerHello."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import replace

import pytest

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import CipherSuite, ExtensionType, HandshakeType, NamedGroup
from tlswrite.messages.extensions import (
    parse_key_share_client,
    parse_server_name,
    parse_supported_versions_client,
)
from tlswrite.messages.hello import (
    DOWNGRADE_TLS11,
    DOWNGRADE_TLS12,
    HELLO_RETRY_REQUEST_RANDOM,
    ClientHello,
    ServerHello,
)

RANDOM = bytes(range(32))
CLIENT_HELLO = ClientHello(
    random=RANDOM,
    session_id=bytes(32),
    cipher_suites=(0x0A0A, CipherSuite.TLS_AES_128_GCM_SHA256),
    extensions=((ExtensionType.SUPPORTED_VERSIONS, b"\x02\x03\x04"), (0x1A1A, b"")),
)
CLIENT_BODY = bytes.fromhex(
    f"0303{RANDOM.hex()}20{'00' * 32}00040a0a13010100000b002b00030203041a1a0000",
)
SERVER_HELLO = ServerHello(
    random=RANDOM,
    session_id=b"\x01",
    cipher_suite=CipherSuite.TLS_AES_256_GCM_SHA384,
    extensions=((ExtensionType.SUPPORTED_VERSIONS, b"\x03\x04"),),
)
SERVER_BODY = bytes.fromhex(f"0303{RANDOM.hex()}01011302000006002b00020304")


def test_client_hello_on_the_wire() -> None:
    assert CLIENT_HELLO.encode() == b"\x01" + len(CLIENT_BODY).to_bytes(3, "big") + CLIENT_BODY
    assert ClientHello.parse(CLIENT_BODY) == CLIENT_HELLO
    assert ClientHello.parse(memoryview(CLIENT_BODY)) == CLIENT_HELLO
    assert ClientHello.TYPE is HandshakeType.CLIENT_HELLO


def test_server_hello_on_the_wire() -> None:
    assert SERVER_HELLO.encode() == b"\x02" + len(SERVER_BODY).to_bytes(3, "big") + SERVER_BODY
    assert ServerHello.parse(SERVER_BODY) == SERVER_HELLO
    assert ServerHello.TYPE is HandshakeType.SERVER_HELLO
    assert not SERVER_HELLO.is_hello_retry_request


def test_hellos_hold_plain_values_and_compare_by_them() -> None:
    parsed = ClientHello.parse(memoryview(CLIENT_BODY))
    assert type(parsed.random) is bytes
    assert [type(data) for _, data in parsed.extensions] == [bytes, bytes]
    assert parsed == ClientHello.parse(CLIENT_BODY)
    assert parsed != replace(parsed, random=bytes(32))


def test_hello_of_the_ssl_module_comes_back_byte_for_byte() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = context.wrap_bio(incoming, outgoing, server_hostname="www.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    message = outgoing.read()[5:]
    hello = ClientHello.parse(message[4:])
    assert hello.encode() == message
    name = hello.extension(ExtensionType.SERVER_NAME)
    versions = hello.extension(ExtensionType.SUPPORTED_VERSIONS)
    shares = hello.extension(ExtensionType.KEY_SHARE)
    assert name is not None
    assert versions is not None
    assert shares is not None
    assert parse_server_name(name) == "www.example.com"
    assert 0x0304 in parse_supported_versions_client(versions)
    assert NamedGroup.x25519 in dict(parse_key_share_client(shares))


def test_hello_retry_request_is_told_by_its_random() -> None:
    # RFC 9846 §4.2.3.
    assert hashlib.sha256(b"HelloRetryRequest").digest() == HELLO_RETRY_REQUEST_RANDOM
    retry = replace(SERVER_HELLO, random=HELLO_RETRY_REQUEST_RANDOM)
    assert ServerHello.parse(retry.encode()[4:]).is_hello_retry_request


def test_downgrade_sentinels() -> None:
    # RFC 9846 §4.2.3.
    assert DOWNGRADE_TLS12.hex() == "444f574e47524401"
    assert DOWNGRADE_TLS11.hex() == "444f574e47524400"


@pytest.mark.parametrize("hello", [CLIENT_HELLO, SERVER_HELLO])
def test_hello_without_extensions(hello: ClientHello | ServerHello) -> None:
    # RFC 9846 §4.2.2: hellos of earlier versions may have none; an empty block is another thing on the wire.
    without = replace(hello, extensions=(), has_extensions=False)
    empty = replace(hello, extensions=())
    for variant in (without, empty):
        assert type(hello).parse(variant.encode()[4:]) == variant
    assert len(empty.encode()) == len(without.encode()) + 2
    with pytest.raises(DecodeError, match="2 bytes wanted"):
        type(hello).parse(without.encode()[4:] + b"\x00")


@pytest.mark.parametrize("hello", [CLIENT_HELLO, SERVER_HELLO])
def test_hello_cut_anywhere_is_a_decode_error(hello: ClientHello | ServerHello) -> None:
    body = hello.encode()[4:]
    no_extensions = len(replace(hello, extensions=(), has_extensions=False).encode()) - 4
    for cut in range(len(body)):
        if cut == no_extensions:
            continue
        with pytest.raises(DecodeError):
            type(hello).parse(body[:cut])


@pytest.mark.parametrize("hello", [CLIENT_HELLO, SERVER_HELLO])
def test_hello_with_data_after_the_extensions_is_a_decode_error(hello: ClientHello | ServerHello) -> None:
    # RFC 9846 §4.2.2.
    with pytest.raises(DecodeError, match="1 bytes left over"):
        type(hello).parse(hello.encode()[4:] + b"\x00")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(CLIENT_HELLO, session_id=bytes(33)), "vector of 33 bytes"),
        (replace(CLIENT_HELLO, cipher_suites=()), "vector of 0 bytes"),
        (replace(CLIENT_HELLO, compression_methods=b""), "vector of 0 bytes"),
        (replace(SERVER_HELLO, session_id=bytes(33)), "vector of 33 bytes"),
    ],
)
def test_vector_out_of_its_bounds_is_a_decode_error(wrong: ClientHello | ServerHello, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        type(wrong).parse(wrong.encode()[4:])


def test_odd_cipher_suites_are_a_decode_error() -> None:
    body = CLIENT_BODY.replace(bytes.fromhex("00040a0a1301"), bytes.fromhex("00030a0a13"))
    with pytest.raises(DecodeError, match="vector of 3 bytes where 2-byte elements"):
        ClientHello.parse(body)


@pytest.mark.parametrize("hello", [CLIENT_HELLO, SERVER_HELLO])
def test_duplicate_extension_is_an_illegal_parameter(hello: ClientHello | ServerHello) -> None:
    # RFC 9846 §4.3: there MUST NOT be more than one extension of the same type.
    twice = replace(hello, extensions=(*hello.extensions, hello.extensions[0]))
    with pytest.raises(IllegalParameter, match="an extension appears twice"):
        type(hello).parse(twice.encode()[4:])


def test_pre_shared_key_must_be_last_in_a_client_hello() -> None:
    # RFC 9846 §4.3.11.
    psk = (int(ExtensionType.PRE_SHARED_KEY), b"")
    last = replace(CLIENT_HELLO, extensions=(*CLIENT_HELLO.extensions, psk))
    assert ClientHello.parse(last.encode()[4:]) == last
    first = replace(CLIENT_HELLO, extensions=(psk, *CLIENT_HELLO.extensions))
    with pytest.raises(IllegalParameter, match="pre_shared_key is not the last extension"):
        ClientHello.parse(first.encode()[4:])
    anywhere = replace(SERVER_HELLO, extensions=(psk, *SERVER_HELLO.extensions))
    assert ServerHello.parse(anywhere.encode()[4:]) == anywhere


def test_values_that_the_handshake_judges_are_kept() -> None:
    odd = replace(
        CLIENT_HELLO, legacy_version=0x0301, compression_methods=b"\x01\x00", cipher_suites=(0xFFFF,)
    )
    assert ClientHello.parse(odd.encode()[4:]) == odd
    strange = replace(SERVER_HELLO, legacy_version=0x7F1C, compression_method=1, cipher_suite=0xFFFF)
    assert ServerHello.parse(strange.encode()[4:]) == strange

"""Handshake messages under arbitrary values and arbitrary bytes.

Two laws. What is encoded parses to an equal object. Bytes, arbitrary or a mutated message, either parse to an
object that encodes to the same bytes, or raise `DecodeError` or `IllegalParameter`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import KeyUpdateRequest
from tlswrite.limits import MAX_CHAIN_LENGTH
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.certificate import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
)
from tlswrite.messages.finish import (
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    KeyUpdate,
    NewSessionTicket,
)
from tlswrite.messages.framing import MESSAGES, MESSAGES12, HandshakeMessage, Joiner
from tlswrite.messages.hello import ClientHello, ServerHello
from tlswrite.messages.tls12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    HelloRequest,
    NewSessionTicket12,
    ServerHelloDone,
    ServerKeyExchange,
)

# ---- messages -----------------------------------------------------------------------------------------

u8s = st.integers(0, 0xFF)
u16s = st.integers(0, 0xFFFF)
u32s = st.integers(0, 0xFFFFFFFF)
randoms = st.binary(min_size=32, max_size=32)
session_ids = st.binary(max_size=32)
contexts = st.binary(max_size=255)
blobs = st.binary(min_size=1, max_size=300)


def is_order_legal(extensions: tuple[tuple[int, bytes], ...]) -> bool:
    return all(code != 41 for code, _ in extensions[:-1])


blocks = st.lists(
    st.tuples(st.one_of(u16s, st.integers(0, 51)), st.binary(max_size=40)),
    max_size=8,
    unique_by=lambda extension: extension[0],
).map(tuple)
suites = st.lists(u16s, min_size=1, max_size=20).map(tuple)

messages: dict[type[HandshakeMessage], st.SearchStrategy[Any]] = {
    ClientHello: st.one_of(
        st.builds(
            ClientHello,
            randoms,
            session_ids,
            suites,
            blocks.filter(is_order_legal),
            u16s,
            st.binary(min_size=1, max_size=3),
        ),
        st.builds(ClientHello, randoms, session_ids, suites, st.just(()), has_extensions=st.just(False)),
    ),
    ServerHello: st.one_of(
        st.builds(ServerHello, randoms, session_ids, u16s, blocks, u16s, u8s),
        st.builds(ServerHello, randoms, session_ids, u16s, st.just(()), has_extensions=st.just(False)),
    ),
    EncryptedExtensions: st.builds(EncryptedExtensions, blocks),
    Certificate: st.builds(
        Certificate, contexts, st.lists(st.builds(CertificateEntry, blobs, blocks), max_size=4).map(tuple)
    ),
    CertificateRequest: st.builds(CertificateRequest, contexts, blocks),
    CertificateVerify: st.builds(CertificateVerify, u16s, st.binary(max_size=300)),
    Finished: st.builds(Finished, st.binary(max_size=64)),
    KeyUpdate: st.builds(KeyUpdate, st.sampled_from(KeyUpdateRequest)),
    NewSessionTicket: st.builds(NewSessionTicket, u32s, u32s, contexts, blobs, blocks),
    EndOfEarlyData: st.just(EndOfEarlyData()),
    HelloRequest: st.just(HelloRequest()),
    Certificate12: st.builds(Certificate12, st.lists(blobs, max_size=MAX_CHAIN_LENGTH).map(tuple)),
    ServerKeyExchange: st.builds(
        ServerKeyExchange, u16s, st.binary(min_size=1, max_size=255), u16s, st.binary(max_size=300)
    ),
    CertificateRequest12: st.builds(
        CertificateRequest12,
        st.lists(u8s, min_size=1, max_size=255).map(tuple),
        suites,
        st.lists(blobs, max_size=4).map(tuple),
    ),
    ServerHelloDone: st.just(ServerHelloDone()),
    ClientKeyExchange: st.builds(ClientKeyExchange, st.binary(min_size=1, max_size=255)),
    CertificateStatus: st.builds(CertificateStatus, blobs),
    NewSessionTicket12: st.builds(NewSessionTicket12, u32s, st.binary(max_size=300)),
}
any_message = st.one_of(*messages.values())
kinds = st.sampled_from(sorted(messages, key=lambda kind: kind.__name__))


def test_every_message_is_tried() -> None:
    assert set(messages) == {*MESSAGES.values(), *MESSAGES12.values()}


@given(any_message)
def test_message_comes_back(message: HandshakeMessage) -> None:
    raw = message.encode()
    assert raw[0] == message.TYPE
    assert int.from_bytes(raw[1:4], "big") == len(raw) - 4
    assert type(message).parse(raw[4:]) == message
    assert type(message).parse(memoryview(raw)[4:]) == message


@given(kinds, st.binary(max_size=400))
def test_arbitrary_bytes_parse_faithfully_or_are_refused(kind: type[HandshakeMessage], body: bytes) -> None:
    assert_faithful_or_refused(kind, body)


@given(any_message, st.data())
def test_mutated_message_parses_faithfully_or_is_refused(
    message: HandshakeMessage, data: st.DataObject
) -> None:
    body = bytearray(message.encode()[4:])
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(body, data)
    assert_faithful_or_refused(type(message), bytes(body))


def mutate(body: bytearray, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body)))
    action = data.draw(st.sampled_from(["change", "cut", "insert", "remove", "repeat"]))
    if action == "change" and at < len(body):
        body[at] = data.draw(u8s)
    elif action == "cut":
        del body[at:]
    elif action == "insert":
        body[at:at] = data.draw(st.binary(min_size=1, max_size=4))
    elif action == "remove":
        del body[at : at + data.draw(st.integers(1, 4))]
    elif action == "repeat":
        body[at:at] = body[at : at + data.draw(st.integers(1, 40))]


def assert_faithful_or_refused(kind: type[HandshakeMessage], body: bytes) -> None:
    try:
        message = kind.parse(body)
    except (DecodeError, IllegalParameter):
        return
    assert message.encode()[4:] == body


# ---- extensions -----------------------------------------------------------------------------------------

labels = st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True)
hosts = (
    st.lists(labels, min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda host: not host.replace(".", "").isdigit())
)


def star(encode: Callable[..., bytes]) -> Callable[[Any], bytes]:
    return lambda value: encode(*value)


# parse, encode, values
Row = tuple[Callable[[bytes], Any], Callable[..., bytes], st.SearchStrategy[Any]]
EXTENSIONS: dict[str, Row] = {
    "server_name": (ext.parse_server_name, ext.encode_server_name, hosts),
    "alpn": (
        ext.parse_alpn,
        ext.encode_alpn,
        st.lists(st.binary(min_size=1, max_size=255), min_size=1, max_size=4).map(tuple),
    ),
    "alpn_server": (
        ext.parse_alpn_server,
        ext.encode_alpn_server,
        st.binary(min_size=1, max_size=255),
    ),
    "supported_versions_client": (
        ext.parse_supported_versions_client,
        ext.encode_supported_versions_client,
        st.lists(u16s, min_size=1, max_size=127).map(tuple),
    ),
    "supported_versions_server": (
        ext.parse_supported_versions_server,
        ext.encode_supported_versions_server,
        u16s,
    ),
    "supported_groups": (
        ext.parse_supported_groups,
        ext.encode_supported_groups,
        st.lists(u16s, min_size=1, max_size=40).map(tuple),
    ),
    "signature_algorithms": (
        ext.parse_signature_algorithms,
        ext.encode_signature_algorithms,
        st.lists(u16s, min_size=1, max_size=40).map(tuple),
    ),
    "key_share_client": (
        ext.parse_key_share_client,
        ext.encode_key_share_client,
        st.lists(st.tuples(u16s, blobs), max_size=4, unique_by=lambda share: share[0]).map(tuple),
    ),
    "key_share_server": (
        ext.parse_key_share_server,
        star(ext.encode_key_share_server),
        st.tuples(u16s, blobs),
    ),
    "key_share_hello_retry": (ext.parse_key_share_hello_retry, ext.encode_key_share_hello_retry, u16s),
    "cookie": (ext.parse_cookie, ext.encode_cookie, blobs),
    "record_size_limit": (
        ext.parse_record_size_limit,
        ext.encode_record_size_limit,
        st.integers(64, 0xFFFF),
    ),
    "psk_key_exchange_modes": (
        ext.parse_psk_key_exchange_modes,
        ext.encode_psk_key_exchange_modes,
        st.lists(u8s, min_size=1, max_size=255).map(tuple),
    ),
    "early_data_ticket": (ext.parse_early_data_ticket, ext.encode_early_data_ticket, u32s),
    "certificate_authorities": (
        ext.parse_certificate_authorities,
        ext.encode_certificate_authorities,
        st.lists(blobs, min_size=1, max_size=4).map(tuple),
    ),
    "status_request": (
        ext.parse_status_request,
        star(ext.encode_status_request),
        st.tuples(st.lists(blobs, max_size=3).map(tuple), st.binary(max_size=40)),
    ),
    "certificate_status": (ext.parse_certificate_status, ext.encode_certificate_status, blobs),
    "ec_point_formats": (
        ext12.parse_ec_point_formats,
        ext12.encode_ec_point_formats,
        st.lists(u8s, min_size=1, max_size=255).map(tuple),
    ),
    "renegotiation_info": (ext12.parse_renegotiation_info, ext12.encode_renegotiation_info, contexts),
    "max_fragment_length": (
        ext12.parse_max_fragment_length,
        ext12.encode_max_fragment_length,
        st.sampled_from([512, 1024, 2048, 4096]),
    ),
}


@pytest.mark.parametrize("name", EXTENSIONS)
@given(st.data())
def test_extension_comes_back(name: str, data: st.DataObject) -> None:
    parse, encode, values = EXTENSIONS[name]
    value = data.draw(values)
    assert parse(encode(value)) == value


@pytest.mark.parametrize("name", EXTENSIONS)
@given(st.data())
def test_mutated_extension_parses_faithfully_or_is_refused(name: str, data: st.DataObject) -> None:
    parse, encode, values = EXTENSIONS[name]
    body = bytearray(encode(data.draw(values)))
    mutate(body, data)
    assert_extension_faithful_or_refused(name, parse, encode, bytes(body))


@pytest.mark.parametrize("name", EXTENSIONS)
@given(st.binary(max_size=100))
@example(b"")
def test_arbitrary_extension_parses_faithfully_or_is_refused(name: str, body: bytes) -> None:
    parse, encode, _ = EXTENSIONS[name]
    assert_extension_faithful_or_refused(name, parse, encode, body)


def assert_extension_faithful_or_refused(
    name: str, parse: Callable[[bytes], Any], encode: Callable[..., bytes], body: bytes
) -> None:
    try:
        value = parse(body)
    except (DecodeError, IllegalParameter):
        return
    if value is None:
        # What is skipped by design: names and addresses of server_name, status that is not OCSP.
        assert name in ("server_name", "status_request")
    elif name == "server_name":
        assert value.encode() in body
    else:
        assert encode(value) == body


# ---- joiner -----------------------------------------------------------------------------------------------


@given(st.lists(any_message, max_size=5), st.lists(st.integers(1, 200), max_size=40))
def test_joiner_gives_back_what_any_fragmentation_cut(sent: list[HandshakeMessage], sizes: list[int]) -> None:
    stream = b"".join(message.encode() for message in sent)
    joiner = Joiner()
    found = []
    at = 0
    for size in [*sizes, len(stream)]:
        joiner.feed(stream[at : at + size])
        at += size
        while (message := joiner.next()) is not None:
            found.append(message)
    assert found == [(message.TYPE, message.encode()) for message in sent]
    assert joiner.empty


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_joiner_takes_arbitrary_bytes_or_refuses_them(fragments: list[bytes]) -> None:
    joiner = Joiner()
    taken = b""
    try:
        for fragment in fragments:
            joiner.feed(fragment)
            while (message := joiner.next()) is not None:
                taken += message[1]
    except DecodeError:
        return
    assert b"".join(fragments).startswith(taken)
    assert joiner.empty == (taken == b"".join(fragments))

"""Extensions: the block, the table of places, and each one's extension_data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import ExtensionType
from tlswrite.limits import MAX_EXTENSIONS
from tlswrite.messages import extensions as ext
from tlswrite.messages.extensions import ALLOWED, Place, check_allowed, encode_extensions, parse_extensions

# ---- the block --------------------------------------------------------------------------------------


def test_block_keeps_wire_order_and_unknown_types() -> None:
    block = ((51, b"share"), (0x1A1A, b""), (0, b"name"))
    raw = encode_extensions(block)
    assert raw.hex() == "0015" + "00330005" + b"share".hex() + "1a1a0000" + "00000004" + b"name".hex()
    assert parse_extensions(raw[2:]) == block
    assert parse_extensions(b"") == ()
    assert encode_extensions(()) == b"\x00\x00"


def test_block_cut_anywhere_is_a_decode_error() -> None:
    block = ((51, b"share"), (0x1A1A, b""), (0, b"name"))
    raw = encode_extensions(block)[2:]
    for cut in range(len(raw)):
        if cut in (0, 9, 13):  # between two extensions
            assert parse_extensions(raw[:cut]) == block[: (0, 9, 13).index(cut)]
            continue
        with pytest.raises(DecodeError):
            parse_extensions(raw[:cut])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("0033", "2 bytes left over at the end of the extensions"),
        ("003300050000", "extension 0x0033 runs 3 bytes past the end of the extensions"),
        ("0033ffff", "extension 0x0033 runs 65535 bytes past the end of the extensions"),
        ("00330000" + "00", "1 bytes left over at the end of the extensions"),
    ],
)
def test_malformed_block_is_a_decode_error(raw: str, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_extensions(bytes.fromhex(raw))
    assert caught.value.message == message


def test_duplicate_in_a_block_is_an_illegal_parameter() -> None:
    # RFC 9846 §4.3: there MUST NOT be more than one extension of the same type in a block.
    with pytest.raises(IllegalParameter) as caught:
        parse_extensions(encode_extensions(((0x1A1A, b""), (51, b""), (0x1A1A, b"x")))[2:])
    assert caught.value.message == "an extension appears twice in one message"


def test_number_of_extensions_is_bounded() -> None:
    most = tuple((code, b"") for code in range(MAX_EXTENSIONS))
    assert parse_extensions(encode_extensions(most)[2:]) == most
    with pytest.raises(DecodeError, match=f"{MAX_EXTENSIONS + 1} extensions in one message"):
        parse_extensions(encode_extensions((*most, (MAX_EXTENSIONS, b"")))[2:])


@pytest.mark.parametrize(
    "block", [((51, bytes(65536)),), ((70000, b""),), ((51, bytes(40000)), (52, bytes(40000)))]
)
def test_block_that_does_not_fit_is_the_callers_error(block: tuple[tuple[int, bytes], ...]) -> None:
    with pytest.raises(ValueError, match=r"cannot be encoded|does not fit"):
        encode_extensions(block)


# ---- places -------------------------------------------------------------------------------------------


def test_every_extension_that_has_a_name_has_a_place() -> None:
    assert set(ALLOWED) == set(ExtensionType)
    assert all(ALLOWED.values())


# The table of RFC 9846 §4.3, for the extensions that are recognised here.
RFC_TABLE = """
    server_name CH EE CR
    status_request CH CR CT
    supported_groups CH EE
    signature_algorithms CH CR
    application_layer_protocol_negotiation CH EE
    client_certificate_type CH EE
    server_certificate_type CH EE
    padding CH
    compress_certificate CH CR
    record_size_limit CH EE
    pre_shared_key CH SH
    early_data CH EE NST
    supported_versions CH SH HRR
    cookie CH HRR
    psk_key_exchange_modes CH
    certificate_authorities CH CR
    oid_filters CR
    post_handshake_auth CH
    signature_algorithms_cert CH CR
    key_share CH SH HRR
"""


@pytest.mark.parametrize("row", RFC_TABLE.strip().splitlines())
def test_recognised_extension_stands_only_in_its_places(row: str) -> None:
    name, *places = row.split()
    code = ExtensionType[name.upper()]
    for place in set(Place) - {Place.SH12}:
        block = ((0x1A1A, b""), (int(code), b""))
        if place.name in places:
            check_allowed(block, place)
            continue
        # RFC 9846 §4.3: it MUST abort the handshake with an "illegal_parameter" alert.
        with pytest.raises(IllegalParameter) as caught:
            check_allowed(block, place)
        assert caught.value.message == f"{name} must not stand in {place.value}"


@pytest.mark.parametrize("place", Place)
def test_unknown_extension_may_stand_anywhere(place: Place) -> None:
    check_allowed(((0x1A1A, b""), (0xFFFF, b"x")), place)
    check_allowed((), place)


# ---- each one's data ------------------------------------------------------------------------------------

Parse = Callable[[bytes], Any]
Encode = Callable[..., bytes]


def star(encode: Encode) -> Encode:
    """For a value that is encoded from its parts."""
    return lambda value: encode(*value)


# parse, encode, value, wire; the wire is cut at each offset, and a byte is added to it: both are errors.
WIRE: list[tuple[Parse, Encode, Any, str]] = [
    (
        ext.parse_server_name,
        ext.encode_server_name,
        "a.example",
        "000c" + "00" + "0009" + b"a.example".hex(),
    ),
    (
        ext.parse_alpn,
        ext.encode_alpn,
        (b"h2", b"http/1.1"),
        "000c" + "02" + b"h2".hex() + "08" + b"http/1.1".hex(),
    ),
    (ext.parse_alpn_server, ext.encode_alpn_server, b"h2", "0003" + "02" + b"h2".hex()),
    (
        ext.parse_supported_versions_client,
        ext.encode_supported_versions_client,
        (0x1A1A, 0x0304),
        "04" + "1a1a" + "0304",
    ),
    (ext.parse_supported_versions_server, ext.encode_supported_versions_server, 0x0304, "0304"),
    (ext.parse_supported_groups, ext.encode_supported_groups, (4588, 29), "0004" + "11ec" + "001d"),
    (
        ext.parse_signature_algorithms,
        ext.encode_signature_algorithms,
        (0x0403, 0x0807),
        "0004" + "0403" + "0807",
    ),
    (
        ext.parse_key_share_client,
        ext.encode_key_share_client,
        ((0x1A1A, b"\x00"), (29, b"public")),
        "000f" + "1a1a" + "0001" + "00" + "001d" + "0006" + b"public".hex(),
    ),
    (ext.parse_key_share_client, ext.encode_key_share_client, (), "0000"),
    (
        ext.parse_key_share_server,
        star(ext.encode_key_share_server),
        (29, b"public"),
        "001d" + "0006" + b"public".hex(),
    ),
    (ext.parse_key_share_hello_retry, ext.encode_key_share_hello_retry, 29, "001d"),
    (ext.parse_cookie, ext.encode_cookie, b"cookie", "0006" + b"cookie".hex()),
    (ext.parse_record_size_limit, ext.encode_record_size_limit, 64, "0040"),
    (ext.parse_psk_key_exchange_modes, ext.encode_psk_key_exchange_modes, (1, 0, 0x0B), "03" + "01000b"),
    (ext.parse_early_data_ticket, ext.encode_early_data_ticket, 0x01020304, "01020304"),
    (
        ext.parse_certificate_authorities,
        ext.encode_certificate_authorities,
        (b"one", b"two"),
        "000a" + "0003" + b"one".hex() + "0003" + b"two".hex(),
    ),
    (ext.parse_status_request, star(ext.encode_status_request), ((), b""), "01" + "0000" + "0000"),
    (
        ext.parse_status_request,
        star(ext.encode_status_request),
        ((b"id",), b"der"),
        "01" + "0004" + "0002" + b"id".hex() + "0003" + b"der".hex(),
    ),
    (
        ext.parse_certificate_status,
        ext.encode_certificate_status,
        b"ocsp",
        "01" + "000004" + b"ocsp".hex(),
    ),
]


@pytest.mark.parametrize(("parse", "encode", "value", "wire"), WIRE)
def test_data_on_the_wire(parse: Parse, encode: Encode, value: object, wire: str) -> None:
    raw = bytes.fromhex(wire)
    assert encode(value) == raw
    assert parse(raw) == value


@pytest.mark.parametrize(("parse", "encode", "value", "wire"), WIRE)
def test_data_cut_anywhere_is_a_decode_error(parse: Parse, encode: Encode, value: object, wire: str) -> None:
    raw = bytes.fromhex(wire)
    for cut in range(len(raw)):
        with pytest.raises(DecodeError):
            parse(raw[:cut])


@pytest.mark.parametrize(("parse", "encode", "value", "wire"), WIRE)
def test_data_left_over_is_a_decode_error(parse: Parse, encode: Encode, value: object, wire: str) -> None:
    # RFC 9846 §4.3: receivers MUST abort with "decode_error" if there is data left over.
    with pytest.raises(DecodeError, match="1 bytes left over"):
        parse(bytes.fromhex(wire) + b"\x00")


@pytest.mark.parametrize(
    ("parse", "encode"),
    [
        (ext.parse_early_data, ext.encode_early_data),
        (ext.parse_post_handshake_auth, ext.encode_post_handshake_auth),
        (ext.parse_status_request_empty, ext.encode_status_request_empty),
    ],
)
def test_empty_data(parse: Callable[[bytes], None], encode: Callable[[], bytes]) -> None:
    assert encode() == b""
    parse(b"")
    with pytest.raises(DecodeError, match="1 bytes left over"):
        parse(b"\x00")


@pytest.mark.parametrize(
    ("parse", "wire"),
    [
        (ext.parse_server_name, "0000"),
        (ext.parse_server_name, "0003" + "000000"),
        (ext.parse_alpn, "0000"),
        (ext.parse_alpn, "0001" + "00"),
        (ext.parse_alpn, "0003" + "0000" + "00"),
        (ext.parse_supported_versions_client, "00"),
        (ext.parse_supported_versions_client, "03" + "030403"),
        (ext.parse_supported_versions_client, "ff" + "03" * 255),
        (ext.parse_supported_groups, "0000"),
        (ext.parse_supported_groups, "0003" + "001d00"),
        (ext.parse_signature_algorithms, "0000"),
        (ext.parse_signature_algorithms, "0001" + "04"),
        (ext.parse_key_share_client, "0004" + "001d0000"),
        (ext.parse_key_share_server, "001d" + "0000"),
        (ext.parse_cookie, "0000"),
        (ext.parse_psk_key_exchange_modes, "00"),
        (ext.parse_certificate_authorities, "0000"),
        (ext.parse_certificate_authorities, "0002" + "0000"),
        (ext.parse_certificate_authorities, "0004" + "0000" + "0000"),
        (ext.parse_status_request, "01" + "0002" + "0000" + "0000"),
        (ext.parse_certificate_status, "01" + "000000"),
        (ext.parse_certificate_status, "01" + "008001" + "30" * 0x8001),
    ],
)
def test_data_out_of_its_bounds_is_a_decode_error(parse: Parse, wire: str) -> None:
    with pytest.raises(DecodeError):
        parse(bytes.fromhex(wire))


def server_name(*names: tuple[int, bytes]) -> bytes:
    body = b"".join(bytes([kind]) + len(name).to_bytes(2, "big") + name for kind, name in names)
    return len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    "host", ["localhost", "xn--bcher-kva.example", "_dmarc.example", "a-b.c1", "1.2.3.4.example", "x" * 63]
)
def test_server_name_of_a_host(host: str) -> None:
    assert ext.parse_server_name(ext.encode_server_name(host)) == host


@pytest.mark.parametrize(
    "host",
    [
        b"trailing.dot.",
        b".leading.dot",
        b"two..dots",
        b"sp ace",
        b"nul\x00",
        "bücher.example".encode(),
        b"line\n",
        b"x" * 64,
        b".".join([b"x" * 63] * 4),
        b"*.example",
    ],
)
def test_server_name_that_is_no_host_name_is_a_decode_error(host: bytes) -> None:
    # RFC 6066 §3: ASCII, A-labels, without a trailing dot.
    with pytest.raises(DecodeError, match="server_name is not a host name in ASCII"):
        ext.parse_server_name(server_name((0, host)))
    with pytest.raises(ValueError, match="not a host name in ASCII"):
        ext.encode_server_name(host.decode())


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "255.255.255.255", "::1", "fe80::1", "[::1]", "::ffff:1.2.3.4"]
)
def test_address_is_not_a_server_name(address: str) -> None:
    # RFC 6066 §3: literal addresses are not permitted; from a client that sends one it is as if none came.
    assert ext.parse_server_name(server_name((0, address.encode()))) is None
    with pytest.raises(ValueError, match="not a host name in ASCII"):
        ext.encode_server_name(address)


def test_server_names_of_other_types_are_skipped() -> None:
    assert ext.parse_server_name(server_name((7, b"\xff\x00"))) is None
    assert ext.parse_server_name(server_name((7, b"\xff"), (0, b"localhost"), (8, b"x"))) == "localhost"


def test_two_server_names_of_one_type_are_an_illegal_parameter() -> None:
    # RFC 6066 §3: MUST NOT contain more than one name of the same name_type.
    for kind in (0, 7):
        with pytest.raises(IllegalParameter, match="two names of one type"):
            ext.parse_server_name(server_name((kind, b"a"), (kind, b"a")))


def test_server_must_choose_exactly_one_protocol() -> None:
    # RFC 7301 §3.1.
    with pytest.raises(IllegalParameter, match="the server chose 2 application protocols"):
        ext.parse_alpn_server(ext.encode_alpn((b"h2", b"http/1.1")))


def test_two_shares_for_one_group_are_an_illegal_parameter() -> None:
    # RFC 9846 §4.3.8: clients MUST NOT offer multiple KeyShareEntry values for the same group.
    with pytest.raises(IllegalParameter, match="two shares for one group"):
        ext.parse_key_share_client(ext.encode_key_share_client(((29, b"a"), (23, b"b"), (29, b"c"))))


@pytest.mark.parametrize("limit", [0, 1, 63])
def test_small_record_size_limit_is_an_illegal_parameter(limit: int) -> None:
    # RFC 8449 §4.
    with pytest.raises(IllegalParameter, match=f"record_size_limit of {limit} is under 64"):
        ext.parse_record_size_limit(limit.to_bytes(2, "big"))


def test_status_request_for_something_else_is_ignored() -> None:
    assert ext.parse_status_request(b"\x02whatever") is None


def test_certificate_status_of_another_type_is_an_illegal_parameter() -> None:
    with pytest.raises(IllegalParameter, match="certificate status of the type 2"):
        ext.parse_certificate_status(b"\x02\x00\x00\x01x")


@pytest.mark.parametrize(
    ("encode", "value"),
    [
        (ext.encode_alpn, (b"x" * 256,)),
        (ext.encode_supported_versions_client, tuple(range(200))),
        (ext.encode_supported_groups, (70000,)),
        (ext.encode_psk_key_exchange_modes, (256,)),
        (ext.encode_cookie, bytes(65536)),
        (ext.encode_record_size_limit, 65536),
        (ext.encode_early_data_ticket, 1 << 32),
    ],
)
def test_value_that_does_not_fit_is_the_callers_error(encode: Encode, value: object) -> None:
    with pytest.raises(ValueError):
        encode(value)

"""Extensions of TLS 1.2: data on the wire, cut, left over, at their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import AlertDescription, ExtensionType
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.extensions import Place, check_allowed

Parse = Callable[[bytes], Any]
Encode = Callable[..., bytes]

# parse, encode, value, wire; the wire is cut at each offset, and a byte is added to it: both are errors.
WIRE: list[tuple[Parse, Encode, Any, str]] = [
    (ext12.parse_ec_point_formats, ext12.encode_ec_point_formats, (0,), "01" + "00"),
    (ext12.parse_ec_point_formats, ext12.encode_ec_point_formats, (2, 0, 255), "03" + "0200ff"),
    (ext12.parse_renegotiation_info, ext12.encode_renegotiation_info, b"", "00"),
    (
        ext12.parse_renegotiation_info,
        ext12.encode_renegotiation_info,
        b"client data!server data!",
        "18" + b"client data!server data!".hex(),
    ),
    (ext12.parse_max_fragment_length, ext12.encode_max_fragment_length, 512, "01"),
    (ext12.parse_max_fragment_length, ext12.encode_max_fragment_length, 1024, "02"),
    (ext12.parse_max_fragment_length, ext12.encode_max_fragment_length, 2048, "03"),
    (ext12.parse_max_fragment_length, ext12.encode_max_fragment_length, 4096, "04"),
    (ext12.parse_extended_main_secret, lambda _: ext12.encode_extended_main_secret(), None, ""),
]
of_each = pytest.mark.parametrize(("parse", "encode", "value", "wire"), WIRE)


@of_each
def test_data_on_the_wire(parse: Parse, encode: Encode, value: object, wire: str) -> None:
    raw = bytes.fromhex(wire)
    assert encode(value) == raw
    assert parse(raw) == value


@of_each
def test_data_cut_anywhere_is_a_decode_error(parse: Parse, encode: Encode, value: object, wire: str) -> None:
    raw = bytes.fromhex(wire)
    for cut in range(len(raw)):
        with pytest.raises(DecodeError) as caught:
            parse(raw[:cut])
        assert caught.value.alert is AlertDescription.DECODE_ERROR


@of_each
def test_data_left_over_is_a_decode_error(parse: Parse, encode: Encode, value: object, wire: str) -> None:
    with pytest.raises(DecodeError, match="1 bytes left over"):
        parse(bytes.fromhex(wire) + b"\x00")


def test_point_formats_are_one_at_least() -> None:
    # RFC 8422 §5.1.2: ECPointFormat ec_point_format_list<1..2^8-1>.
    with pytest.raises(DecodeError, match="vector of 0 bytes"):
        ext12.parse_ec_point_formats(b"\x00")
    most = tuple(range(255))
    assert ext12.parse_ec_point_formats(ext12.encode_ec_point_formats(most)) == most


def test_renegotiated_connection_may_be_of_any_length() -> None:
    # RFC 5746 §3.2: opaque renegotiated_connection<0..255>; what it must equal is judged elsewhere.
    for length in (0, 12, 24, 255):
        data = bytes(range(length))
        assert ext12.parse_renegotiation_info(ext12.encode_renegotiation_info(data)) == data
    with pytest.raises(ValueError, match="does not fit"):
        ext12.encode_renegotiation_info(bytes(256))


@pytest.mark.parametrize("code", [0, 5, 6, 255])
def test_other_fragment_lengths_are_illegal_parameters(code: int) -> None:
    # RFC 6066 §4: any other value: MUST abort with an "illegal_parameter" alert.
    with pytest.raises(IllegalParameter, match=f"max_fragment_length {code}, which is not 1 to 4") as caught:
        ext12.parse_max_fragment_length(bytes((code,)))
    assert caught.value.alert is AlertDescription.ILLEGAL_PARAMETER


@pytest.mark.parametrize("length", [0, 1, 511, 513, 8192, 16384, -512])
def test_a_length_without_a_code_is_the_callers_error(length: int) -> None:
    with pytest.raises(ValueError, match=f"max_fragment_length cannot be {length} bytes"):
        ext12.encode_max_fragment_length(length)


@pytest.mark.parametrize(
    ("extension", "in_server_hello"),
    [
        (ExtensionType.EC_POINT_FORMATS, True),
        (ExtensionType.EXTENDED_MAIN_SECRET, True),
        (ExtensionType.RENEGOTIATION_INFO, True),
        (ExtensionType.MAX_FRAGMENT_LENGTH, True),
        (ExtensionType.SERVER_NAME, True),
        (ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, True),
        (ExtensionType.RECORD_SIZE_LIMIT, True),
        (ExtensionType.STATUS_REQUEST, True),
        # RFC 9846 §4.3.1, §4.3.8: answers of TLS 1.3 alone.
        (ExtensionType.SUPPORTED_VERSIONS, False),
        (ExtensionType.KEY_SHARE, False),
        (ExtensionType.PRE_SHARED_KEY, False),
        (ExtensionType.COOKIE, False),
        # RFC 5246 §7.4.1.4.1: servers MUST NOT send this extension.
        (ExtensionType.SIGNATURE_ALGORITHMS, False),
    ],
)
def test_places_in_a_server_hello_of_tls_1_2(extension: ExtensionType, in_server_hello: bool) -> None:
    block = ((int(extension), b""),)
    check_allowed(block, Place.CH)
    if in_server_hello:
        check_allowed(block, Place.SH12)
        return
    with pytest.raises(IllegalParameter, match=extension.name.lower()):
        check_allowed(block, Place.SH12)


def test_the_module_has_no_extension_that_is_not_tried() -> None:
    tried = {parse.__name__ for parse, *_ in WIRE}
    assert tried == {name for name in ext12.__all__ if name.startswith("parse_")}

"""Extensions that only TLS 1.2 answers: extension_data, as in `extensions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tlswrite.codec import Reader, only_vector8, u8, vector8
from tlswrite.errors import IllegalParameter

__all__ = [
    "encode_ec_point_formats",
    "encode_extended_main_secret",
    "encode_max_fragment_length",
    "encode_renegotiation_info",
    "parse_ec_point_formats",
    "parse_extended_main_secret",
    "parse_max_fragment_length",
    "parse_renegotiation_info",
]


def parse_ec_point_formats(data: bytes) -> tuple[int, ...]:
    """ec_point_format_list (RFC 8422 §5.1.2)."""
    return tuple(only_vector8(data, 1))


def encode_ec_point_formats(formats: Sequence[int]) -> bytes:
    return vector8(bytes(formats))


def parse_extended_main_secret(data: bytes) -> None:
    """extended_master_secret: empty (RFC 7627 §5.1)."""
    Reader(data).finish()


def encode_extended_main_secret() -> bytes:
    return b""


def parse_renegotiation_info(data: bytes) -> bytes:
    """renegotiated_connection: verify_data of the last handshake, empty in a first one (RFC 5746 §3.2)."""
    return only_vector8(data)


def encode_renegotiation_info(info: bytes) -> bytes:
    return vector8(info)


def parse_max_fragment_length(data: bytes) -> int:
    """The largest plaintext of a record, in bytes (RFC 6066 §4)."""
    reader = Reader(data)
    code = reader.u8()
    reader.finish()
    if code not in _FRAGMENT_LENGTHS:
        # RFC 6066 §4: any other value: "illegal_parameter".
        raise IllegalParameter(f"max_fragment_length {code}, which is not 1 to 4")
    return _FRAGMENT_LENGTHS[code]


def encode_max_fragment_length(length: int) -> bytes:
    """ValueError for a length that has no code."""
    for code, each in _FRAGMENT_LENGTHS.items():
        if each == length:
            return u8(code)
    raise ValueError(f"max_fragment_length cannot be {length} bytes")


_FRAGMENT_LENGTHS: Final = {1: 512, 2: 1024, 3: 2048, 4: 4096}

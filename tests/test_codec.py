"""Presentation language: numbers and vectors, read and written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tlswrite.codec import (
    Reader,
    encode_u16s,
    only_u16,
    only_vector8,
    only_vector16,
    parse_u16s,
    u8,
    u16,
    u24,
    u32,
    vector8,
    vector16,
    vector24,
)
from tlswrite.errors import DecodeError

NUMBERS: list[tuple[Callable[[Reader], int], Callable[[int], bytes], int]] = [
    (Reader.u8, u8, 1),
    (Reader.u16, u16, 2),
    (Reader.u24, u24, 3),
    (Reader.u32, u32, 4),
]
Read = Callable[..., bytes]
Sub = Callable[..., Reader]
Write = Callable[[bytes], bytes]
VECTORS: list[tuple[Read, Sub, Write, int]] = [
    (Reader.vector8, Reader.sub8, vector8, 1),
    (Reader.vector16, Reader.sub16, vector16, 2),
    (Reader.vector24, Reader.sub24, vector24, 3),
]


@pytest.mark.parametrize(("read", "write", "size"), NUMBERS)
def test_numbers_are_big_endian_and_read_back(
    read: Callable[[Reader], int], write: Callable[[int], bytes], size: int
) -> None:
    value = int.from_bytes(bytes(range(1, size + 1)), "big")
    data = write(value)
    assert data == bytes(range(1, size + 1))
    reader = Reader(data)
    assert read(reader) == value
    reader.finish()
    for edge in (0, 256**size - 1):
        assert read(Reader(write(edge))) == edge


@pytest.mark.parametrize(("read", "write", "size"), NUMBERS)
def test_number_cut_short_is_a_decode_error(
    read: Callable[[Reader], int], write: Callable[[int], bytes], size: int
) -> None:
    for left in range(size):
        reader = Reader(b"\xff" * left)
        with pytest.raises(DecodeError) as caught:
            read(reader)
        assert caught.value.message == f"{size} bytes wanted at offset 0, {left} are left"


@pytest.mark.parametrize(("read", "write", "size"), NUMBERS)
def test_number_that_does_not_fit_is_the_callers_error(
    read: Callable[[Reader], int], write: Callable[[int], bytes], size: int
) -> None:
    with pytest.raises(ValueError, match=rf"^{256**size} does not fit into {size} bytes$"):
        write(256**size)
    with pytest.raises(ValueError, match="does not fit"):
        write(-1)


@pytest.mark.parametrize(("read", "sub", "write", "size"), VECTORS)
def test_vector_reads_back(read: Read, sub: Sub, write: Write, size: int) -> None:
    data = write(b"abc") + b"z"
    assert data[:size] == (3).to_bytes(size, "big")
    reader = Reader(data)
    assert read(reader) == b"abc"
    assert reader.rest() == b"z"
    assert reader.at_end()
    inside = sub(outer := Reader(data))
    assert inside.take(2) == b"ab"
    assert not inside.at_end()
    assert inside.u8() == ord("c")
    assert inside.at_end()
    with pytest.raises(DecodeError):
        inside.u8()  # the reader of a vector's inside does not see what follows the vector
    assert outer.u8() == ord("z")


@pytest.mark.parametrize(("read", "sub", "write", "size"), VECTORS)
def test_vector_cut_short_is_a_decode_error(read: Read, sub: Sub, write: Write, size: int) -> None:
    whole = write(b"abc")
    for cut in range(len(whole)):
        for function in (read, sub):
            with pytest.raises(DecodeError):
                function(Reader(whole[:cut]))


@pytest.mark.parametrize(("read", "sub", "write", "size"), VECTORS)
def test_vector_out_of_bounds_is_a_decode_error(read: Read, sub: Sub, write: Write, size: int) -> None:
    # RFC 9846 §6: an out-of-range length is a "decode_error".
    for function in (read, sub):
        function(Reader(write(b"abc")), 3, 3)
        for low, high in ((4, 9), (0, 2)):
            with pytest.raises(DecodeError) as caught:
                function(Reader(write(b"abc")), low, high)
            assert caught.value.message == (
                f"vector of 3 bytes at offset {size} where {low} to {high} are allowed"
            )


def test_vector_that_does_not_fit_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match=r"^256 does not fit into 1 bytes$"):
        vector8(bytes(256))
    with pytest.raises(ValueError, match=r"^65536 does not fit into 2 bytes$"):
        vector16(bytes(65536))
    with pytest.raises(ValueError, match=r"^16777216 does not fit into 3 bytes$"):
        vector24(bytes(1 << 24))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_reader_takes_bytes_like_objects_and_gives_bytes(kind: Callable[[bytes | bytearray], bytes]) -> None:
    source = bytearray(b"\x02abcd")
    reader = Reader(kind(source))
    source[1] = 0x7A  # what was given may change afterwards
    assert reader.vector8() == b"ab"
    rest = reader.rest()
    assert rest == b"cd"
    assert type(rest) is bytes
    reader.finish()


def test_take_past_the_end_is_a_decode_error_and_moves_nothing() -> None:
    reader = Reader(b"abc")
    assert reader.take(1) == b"a"
    with pytest.raises(DecodeError) as caught:
        reader.take(3)
    assert caught.value.message == "3 bytes wanted at offset 1, 2 are left"
    assert reader.take(0) == b""
    assert reader.take(2) == b"bc"


def test_left_over_data_is_a_decode_error() -> None:
    # RFC 9846 §4.3: data left over after parsing the structure.
    reader = Reader(b"abc")
    reader.u8()
    with pytest.raises(DecodeError) as caught:
        reader.finish()
    assert caught.value.message == "2 bytes left over at offset 1"


def test_lists_of_uint16() -> None:
    assert encode_u16s((1, 0xFFFF)) == b"\x00\x01\xff\xff"
    assert parse_u16s(b"\x00\x01\xff\xff") == (1, 0xFFFF)
    assert parse_u16s(b"") == ()
    assert encode_u16s(()) == b""


def test_odd_list_of_uint16_is_a_decode_error() -> None:
    # RFC 9846 §3.4: a 17-byte vector of uint16 would be illegal.
    with pytest.raises(DecodeError) as caught:
        parse_u16s(bytes(17))
    assert caught.value.message == "vector of 17 bytes where 2-byte elements are expected"


@pytest.mark.parametrize("value", [-1, 0x10000])
def test_list_of_uint16_refuses_other_numbers(value: int) -> None:
    with pytest.raises(ValueError, match="numbers of 16 bits"):
        encode_u16s((1, value))


@pytest.mark.parametrize(
    ("only", "read", "write"),
    [
        (only_vector8, Reader.vector8, vector8),
        (only_vector16, Reader.vector16, vector16),
    ],
)
@pytest.mark.parametrize(("low", "high"), [(0, 9), (3, 3), (4, 9), (0, 2)])
def test_a_vector_that_is_all_reads_as_a_reader_does(
    only: Callable[..., bytes], read: Read, write: Write, low: int, high: int
) -> None:
    whole = write(b"abc")
    for data in (*(whole[:cut] for cut in range(len(whole) + 1)), whole + b"z", write(b""), b"\xff" + whole):
        outcomes = []
        for function in (lambda data: only(data, low, high), lambda data: _all_of(read, data, low, high)):
            try:
                outcomes.append(function(data))
            except DecodeError as exc:
                outcomes.append(exc.message)
        assert outcomes[0] == outcomes[1]


def test_a_number_that_is_all() -> None:
    assert only_u16(b"\x01\x02") == 0x102
    with pytest.raises(DecodeError, match="2 bytes wanted at offset 0, 1 are left"):
        only_u16(b"\x01")
    with pytest.raises(DecodeError, match="1 bytes left over at offset 2"):
        only_u16(b"\x01\x02\x03")


def _all_of(read: Read, data: bytes, low: int, high: int) -> bytes:
    reader = Reader(data)
    content = read(reader, low, high)
    reader.finish()
    return content

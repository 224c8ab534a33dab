"""Reading and writing of the TLS presentation language (RFC 9846 §3).

A `Reader` walks over one bytes object; `sub8`, `sub16` and `sub24` give a reader of a vector's inside that
shares that object, so nesting copies nothing. Every failure to read is `DecodeError`: the peer's fault. Every
failure to write is ValueError: the caller's.

Refused: a reader over slices of memoryview. Making a view and then bytes of it costs more than the slice of
bytes that the message objects want in the end, and a view would keep a receive buffer exported.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tlswrite.errors import DecodeError

__all__ = [
    "Reader",
    "encode_u16s",
    "only_u16",
    "only_vector8",
    "only_vector16",
    "parse_u16s",
    "u8",
    "u16",
    "u24",
    "u32",
    "vector8",
    "vector16",
    "vector24",
]


class Reader:
    """Reads numbers (RFC 9846 §3.3) and vectors (§3.4); raises `DecodeError` where they do not fit.

    `start` and `end` bound what is read of `data`; `low` and `high` are a vector's bounds, as in
    `opaque name<low..high>`. All in bytes.
    """

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes | bytearray | memoryview, start: int = 0, end: int | None = None) -> None:
        self._data = data if type(data) is bytes else bytes(data)
        self._at = start
        self._end = len(self._data) if end is None else end

    def u8(self) -> int:
        at = self._at
        if at >= self._end:
            raise self._short(1)
        self._at = at + 1
        return self._data[at]

    def u16(self) -> int:
        at = self._at
        end = at + 2
        if end > self._end:
            raise self._short(2)
        self._at = end
        data = self._data
        return data[at] << 8 | data[at + 1]

    def u24(self) -> int:
        return int.from_bytes(self.take(3), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        at = self._at
        end = at + size
        if end > self._end:
            raise self._short(size)
        self._at = end
        return self._data[at:end]

    def vector8(self, low: int = 0, high: int = 0xFF) -> bytes:
        """The contents of a vector whose length is one byte."""
        at = self._enter(self.u8(), low, high)
        return self._data[at : self._at]

    def vector16(self, low: int = 0, high: int = 0xFFFF) -> bytes:
        """The contents of a vector whose length is two bytes."""
        at = self._enter(self.u16(), low, high)
        return self._data[at : self._at]

    def vector24(self, low: int = 0, high: int = 0xFFFFFF) -> bytes:
        """The contents of a vector whose length is three bytes."""
        at = self._enter(self.u24(), low, high)
        return self._data[at : self._at]

    def sub8(self, low: int = 0, high: int = 0xFF) -> Reader:
        """A reader of the contents of a vector whose length is one byte."""
        return Reader(self._data, self._enter(self.u8(), low, high), self._at)

    def sub16(self, low: int = 0, high: int = 0xFFFF) -> Reader:
        """A reader of the contents of a vector whose length is two bytes."""
        return Reader(self._data, self._enter(self.u16(), low, high), self._at)

    def sub24(self, low: int = 0, high: int = 0xFFFFFF) -> Reader:
        """A reader of the contents of a vector whose length is three bytes."""
        return Reader(self._data, self._enter(self.u24(), low, high), self._at)

    def rest(self) -> bytes:
        """Everything not read yet."""
        return self.take(self._end - self._at)

    def at_end(self) -> bool:
        return self._at >= self._end

    def finish(self) -> None:
        """Raise `DecodeError` if anything is left over."""
        # RFC 9846 §4.3: data left over after parsing the structure is a "decode_error".
        if self._at < self._end:
            raise DecodeError(f"{self._end - self._at} bytes left over at offset {self._at}")

    def _enter(self, size: int, low: int, high: int) -> int:
        """Step over the `size` bytes of a vector; returns where they start."""
        at = self._at
        end = at + size
        # RFC 9846 §6: a length beyond the message's boundary, or out of range, is a "decode_error".
        if end > self._end:
            raise self._short(size)
        if not low <= size <= high:
            raise DecodeError(f"vector of {size} bytes at offset {at} where {low} to {high} are allowed")
        self._at = end
        return at

    def _short(self, size: int) -> DecodeError:
        return DecodeError(f"{size} bytes wanted at offset {self._at}, {self._end - self._at} are left")


def only_vector8(data: bytes, low: int = 0, high: int = 0xFF) -> bytes:
    """The contents of a vector with a length of one byte that is all of `data`."""
    size = len(data) - 1
    if size >= 0 and data[0] == size and low <= size <= high:
        return data[1:]
    reader = Reader(data)
    reader.vector8(low, high)
    reader.finish()
    raise AssertionError("one of the two raises")


def only_vector16(data: bytes, low: int = 0, high: int = 0xFFFF) -> bytes:
    """The contents of a vector with a length of two bytes that is all of `data`."""
    size = len(data) - 2
    if size >= 0 and data[0] << 8 | data[1] == size and low <= size <= high:
        return data[2:]
    reader = Reader(data)
    reader.vector16(low, high)
    reader.finish()
    raise AssertionError("one of the two raises")


def only_u16(data: bytes) -> int:
    """The number of 16 bits that is all of `data`."""
    if len(data) == 2:
        return data[0] << 8 | data[1]
    reader = Reader(data)
    reader.u16()
    reader.finish()
    raise AssertionError("one of the two raises")


def u8(value: int) -> bytes:
    return _number(value, 1)


def u16(value: int) -> bytes:
    return _number(value, 2)


def u24(value: int) -> bytes:
    return _number(value, 3)


def u32(value: int) -> bytes:
    return _number(value, 4)


def vector8(data: bytes) -> bytes:
    return _number(len(data), 1) + data


def vector16(data: bytes) -> bytes:
    return _number(len(data), 2) + data


def vector24(data: bytes) -> bytes:
    return _number(len(data), 3) + data


def parse_u16s(data: bytes) -> tuple[int, ...]:
    """The elements of a vector of uint16."""
    # RFC 9846 §3.4: the length must be an exact multiple of the length of an element.
    count, odd = divmod(len(data), 2)
    if odd:
        raise DecodeError(f"vector of {len(data)} bytes where 2-byte elements are expected")
    return struct.unpack(f">{count}H", data)


def encode_u16s(values: Sequence[int]) -> bytes:
    """The contents of a vector of uint16; ValueError for what is not one."""
    try:
        return struct.pack(f">{len(values)}H", *values)
    except struct.error as error:
        raise ValueError(f"not all of {values!r} are numbers of 16 bits") from error


def _number(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise ValueError(f"{value} does not fit into {size} bytes") from None

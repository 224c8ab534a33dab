"""The table of messages and the joiner of fragments."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tlswrite.errors import DecodeError
from tlswrite.iana import HandshakeType
from tlswrite.limits import MAX_CERTIFICATE_MESSAGE, MAX_HANDSHAKE_MESSAGE, MAX_OCSP_RESPONSE
from tlswrite.messages.framing import HEADER_SIZE, MESSAGES, Joiner, frame

STREAM = [
    frame(HandshakeType.ENCRYPTED_EXTENSIONS, b"\x00\x00"),
    frame(HandshakeType.CERTIFICATE, bytes(range(256)) * 3),
    frame(HandshakeType.END_OF_EARLY_DATA, b""),
    frame(HandshakeType.HELLO_REQUEST, b""),
    frame(HandshakeType.FINISHED, b"f" * 32),
]


def messages(joiner: Joiner) -> Iterator[tuple[int, bytes]]:
    while (message := joiner.next()) is not None:
        yield message


def test_table_has_every_message_of_tls_13_under_its_type() -> None:
    # RFC 9846 §B.3; message_hash is never sent.
    assert set(MESSAGES) == {
        HandshakeType.CLIENT_HELLO,
        HandshakeType.SERVER_HELLO,
        HandshakeType.NEW_SESSION_TICKET,
        HandshakeType.END_OF_EARLY_DATA,
        HandshakeType.ENCRYPTED_EXTENSIONS,
        HandshakeType.CERTIFICATE,
        HandshakeType.CERTIFICATE_REQUEST,
        HandshakeType.CERTIFICATE_VERIFY,
        HandshakeType.FINISHED,
        HandshakeType.KEY_UPDATE,
    }
    for message_type, message in MESSAGES.items():
        assert message.TYPE is message_type


def test_one_fragment_that_is_one_message_is_not_copied() -> None:
    joiner = Joiner()
    raw = STREAM[1]
    joiner.feed(raw)
    message = joiner.next()
    assert message is not None
    assert message[0] == HandshakeType.CERTIFICATE
    assert message[1] is raw
    assert joiner.next() is None


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 1000, 4096])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_stream_cut_into_fragments_comes_back(size: int, kind: type) -> None:
    # RFC 9846 §5.1: handshake messages may be coalesced or fragmented.
    joiner = Joiner()
    whole = b"".join(STREAM)
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(whole), size):
        joiner.feed(kind(whole[at : at + size]))
        found += messages(joiner)
    assert [raw for _, raw in found] == STREAM
    assert [message_type for message_type, _ in found] == [raw[0] for raw in STREAM]
    assert {type(raw) for _, raw in found} == {bytes}
    assert joiner.empty


def test_stream_cut_at_every_pair_of_offsets_comes_back() -> None:
    stream = [frame(1, b"ab"), frame(2, b""), frame(3, b"c")]
    whole = b"".join(stream)
    for first in range(len(whole) + 1):
        for second in range(first, len(whole) + 1):
            joiner = Joiner()
            found: list[tuple[int, bytes]] = []
            for part in (whole[:first], whole[first:second], whole[second:]):
                joiner.feed(part)
                found += messages(joiner)
            assert [raw for _, raw in found] == stream


def test_fragments_may_be_fed_before_earlier_messages_were_taken() -> None:
    joiner = Joiner()
    whole = b"".join(STREAM)
    joiner.feed(whole[:10])
    first = joiner.next()
    joiner.feed(whole[10:300])
    joiner.feed(whole[300:])
    found = [first, *messages(joiner)]
    assert [message[1] for message in found if message] == STREAM


def test_empty_tells_whether_a_message_is_incomplete() -> None:
    # RFC 9846 §5.1: a message must not span a key change.
    joiner = Joiner()
    assert joiner.empty
    whole = STREAM[0] + STREAM[1]
    joiner.feed(whole[:-1])
    assert not joiner.empty
    assert joiner.next() is not None
    assert not joiner.empty
    assert joiner.next() is None
    assert not joiner.empty
    joiner.feed(whole[-1:])
    assert not joiner.empty
    assert joiner.next() is not None
    assert joiner.empty
    joiner.feed(b"")
    assert joiner.empty


@pytest.mark.parametrize(
    ("message_type", "limit"),
    [
        (HandshakeType.CLIENT_HELLO, MAX_HANDSHAKE_MESSAGE),
        (HandshakeType.FINISHED, MAX_HANDSHAKE_MESSAGE),
        (99, MAX_HANDSHAKE_MESSAGE),
        (HandshakeType.CERTIFICATE, MAX_CERTIFICATE_MESSAGE),
        (HandshakeType.COMPRESSED_CERTIFICATE, MAX_CERTIFICATE_MESSAGE),
        (HandshakeType.CERTIFICATE_STATUS, 4 + MAX_OCSP_RESPONSE),
    ],
)
def test_message_over_its_bound_is_refused_by_its_header(message_type: int, limit: int) -> None:
    assert Joiner.max_size(message_type) == limit
    joiner = Joiner()
    joiner.feed(bytes([message_type]) + (limit + 1).to_bytes(3, "big"))
    for _ in range(2):  # and it stays refused
        with pytest.raises(DecodeError, match=rf" of {limit + 1} bytes, more than {limit} "):
            joiner.next()
    largest = frame(message_type, bytes(limit))
    joiner = Joiner()
    joiner.feed(largest[:HEADER_SIZE])
    assert joiner.next() is None
    joiner.feed(largest[HEADER_SIZE:])
    assert joiner.next() == (message_type, largest)


def test_refusal_names_the_message() -> None:
    joiner = Joiner()
    joiner.feed(b"\x14\xff\xff\xff")
    with pytest.raises(DecodeError) as caught:
        joiner.next()
    assert caught.value.message == f"FINISHED of 16777215 bytes, more than {MAX_HANDSHAKE_MESSAGE}"


def test_only_the_incomplete_message_is_held() -> None:
    # A peer must not make this side keep a whole fragment for a tail of one byte, nor for none.
    joiner = Joiner()
    joiner.feed(frame(1, bytes(16000)) + b"\x02")
    assert joiner.next() is not None
    assert joiner.next() is None
    assert held(joiner) < 100
    joiner.feed(b"\x00\x00\x00")
    assert joiner.next() == (2, b"\x02\x00\x00\x00")
    assert joiner.empty
    assert held(joiner) <= sys.getsizeof(b"")


def test_one_byte_fragments_cost_linear_time() -> None:
    # Counted in bytes copied rather than in seconds: a buffer that grows in place moves each byte at most a
    # few times, one rebuilt for each fragment some thousands of times.
    joiner = Joiner()
    raw = frame(HandshakeType.CERTIFICATE, bytes(20000))
    moves = 0
    place = None
    for at in range(len(raw) - 1):
        joiner.feed(raw[at : at + 1])
        assert joiner.next() is None
        if place != (place := id(joiner._data)):
            moves += 1
    assert moves <= 3
    joiner.feed(raw[-1:])
    assert joiner.next() == (HandshakeType.CERTIFICATE, raw)


def held(joiner: Joiner) -> int:
    return sys.getsizeof(joiner._data)

"""§5.1 to §5.4, RFC 8449: sizes and protection of records, at both sides."""

from __future__ import annotations

import pytest

from tests.support.engine import client, server
from tests.support.hostile import APPLICATION, HANDSHAKE, PLAIN, HostileClient, HostileServer
from tests.support.moments import (
    CONNECTED,
    PROTECTED,
    UNPROTECTED,
    Moment,
    at_connected_client,
    at_connected_server,
    moments,
)
from tests.support.verdicts import connected, refused
from tlswrite.errors import (
    BadRecordMAC,
    RecordOverflow,
    TooMuchError,
    TruncationError,
    UnexpectedMessage,
)
from tlswrite.iana import ContentType, ExtensionType
from tlswrite.limits import MAX_CIPHERTEXT, MAX_EMPTY_RECORDS, MAX_PLAINTEXT

DATA, ALERT = ContentType.APPLICATION_DATA, ContentType.ALERT
MESSAGE, SPEC = ContentType.HANDSHAKE, ContentType.CHANGE_CIPHER_SPEC


# ---- sizes -----------------------------------------------------------------------------------------------


@moments(UNPROTECTED)
def test_a_plaintext_record_that_is_too_long(make: Moment, under: str) -> None:
    # RFC 9846 §5.1: exceeds 2^14 bytes: MUST terminate with "record_overflow". The header tells.
    hostile = make()
    hostile.raw(b"\x16\3\3" + (MAX_PLAINTEXT + 1).to_bytes(2, "big"))
    hostile.flush()
    refused(hostile, RecordOverflow, under=under)


@moments(PROTECTED)
def test_a_ciphertext_record_that_is_too_long(make: Moment, under: str) -> None:
    # RFC 9846 §5.2: exceeds 2^14 + 256 bytes: MUST terminate with "record_overflow".
    hostile = make()
    hostile.raw(b"\x17\3\3" + (MAX_CIPHERTEXT + 1).to_bytes(2, "big"))
    hostile.flush()
    refused(hostile, RecordOverflow, under=under)


@moments(CONNECTED)
@pytest.mark.parametrize(
    ("content", "padding"), [(MAX_PLAINTEXT + 1, 0), (MAX_PLAINTEXT, 1), (0, MAX_PLAINTEXT + 1)]
)
def test_an_inner_plaintext_that_is_too_long(content: int, padding: int, make: Moment, under: str) -> None:
    # RFC 9846 §5.4: MUST NOT exceed 2^14 + 1 octets, padding included.
    hostile = make()
    hostile.record(DATA, bytes(content), padding=padding)
    hostile.flush()
    refused(hostile, RecordOverflow, under=under)
    assert not hostile.end.received


@moments(CONNECTED)
def test_the_longest_records(make: Moment, under: str) -> None:
    hostile = make()
    hostile.record(DATA, b"x" * MAX_PLAINTEXT)
    hostile.record(DATA, b"y", padding=MAX_PLAINTEXT - 1)
    hostile.record(DATA, b"", padding=MAX_PLAINTEXT)
    hostile.flush()
    assert hostile.end.received == b"x" * MAX_PLAINTEXT + b"y"
    connected(hostile)


def limited(limit: int | None, answer: int | None) -> HostileServer:
    hostile = HostileServer(client(record_size_limit=limit))
    if answer is not None:
        hostile.parameters = ((ExtensionType.RECORD_SIZE_LIMIT, answer.to_bytes(2, "big")),)
    return hostile


def test_our_record_size_limit_holds_once_it_is_agreed_on() -> None:
    # RFC 8449 §4: larger than the limit that was advertised: MUST generate "record_overflow". All protected
    # records count, in the handshake too, padding included.
    hostile = limited(200, 16385)
    hostile.run("server_hello", "encrypted_extensions")
    hostile.record(MESSAGE, hostile.make("certificate")[:200])
    hostile.flush()
    refused(hostile, RecordOverflow, "200", under=HANDSHAKE)
    hostile = limited(1000, 16385)
    hostile.run()
    hostile.record(DATA, bytes(999))
    hostile.record(DATA, b"x", padding=998)
    connected(hostile)
    hostile.record(DATA, b"x", padding=999)
    hostile.flush()
    refused(hostile, RecordOverflow, "1000", under=APPLICATION)


def test_our_record_size_limit_does_not_hold_where_it_was_not_answered() -> None:
    hostile = limited(64, None)
    hostile.run()
    hostile.record(DATA, bytes(MAX_PLAINTEXT))
    connected(hostile)


def test_the_peers_record_size_limit_is_kept() -> None:
    # RFC 8449 §4: MUST NOT generate a protected record with plaintext larger than the limit.
    hostile = limited(None, 64)
    hostile.run()
    hostile.victim.write(bytes(1000))
    hostile.listen()
    assert {len(record.content) for record in hostile.records if record.under == APPLICATION} == {
        63,
        1000 % 63,
    }
    assert all(len(record.content) < 64 for record in hostile.records if record.under == HANDSHAKE)
    asked = HostileClient(server(), extensions=((ExtensionType.RECORD_SIZE_LIMIT, b"\0\x40"),))
    asked.run()
    connected(asked)
    assert all(len(record.content) < 64 for record in asked.records if record.under != PLAIN)


@pytest.mark.parametrize(("code", "length"), [(1, 512), (2, 1024), (3, 2048), (4, 4096)])
def test_a_max_fragment_length_holds_both_ways(code: int, length: int) -> None:
    # RFC 6066 §4: for all records of the handshake and of data; the content counts, without its type.
    answer = (ExtensionType.MAX_FRAGMENT_LENGTH, bytes((code,)))
    asking = HostileClient(server(), extensions=(answer,))
    answering = HostileServer(client(max_fragment_length=length))
    answering.parameters = (answer,)
    for hostile in (asking, answering):
        hostile.run()
        hostile.record(DATA, bytes(length))
        hostile.record(DATA, b"x", padding=length - 1)
        connected(hostile)
        hostile.victim.write(bytes(2 * length + 1))
        hostile.listen()
        sizes = [len(record.content) for record in hostile.records if record.under == APPLICATION]
        assert sizes[-3:] == [length, length, 1]
        assert all(len(record.content) <= length for record in hostile.records if record.under == HANDSHAKE)
        hostile.record(DATA, bytes(length + 1))
        hostile.flush()
        refused(hostile, RecordOverflow, str(length + 1), under=APPLICATION)


# ---- protection ------------------------------------------------------------------------------------------


@moments(PROTECTED)
@pytest.mark.parametrize("at", [1, 2, 5, -17, -16, -1])
def test_a_byte_that_is_changed(at: int, make: Moment, under: str) -> None:
    # RFC 9846 §5.2: MUST terminate with "bad_record_mac". The header is authenticated too.
    hostile = make()
    assert hostile.writing is not None
    record = bytearray(hostile.writing.seal(b"data\x17"))
    record[at] ^= 1
    hostile.raw(bytes(record))
    hostile.flush()
    refused(hostile, BadRecordMAC, under=under)


@moments(PROTECTED)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 100])
def test_what_was_never_sealed(size: int, make: Moment, under: str) -> None:
    # RFC 9846 §6.2: bad_record_mac is used for all deprotection failures, a record too short among them.
    hostile = make()
    hostile.raw(b"\x17\3\3" + size.to_bytes(2, "big") + bytes(size))
    hostile.flush()
    refused(hostile, BadRecordMAC, under=under)


@moments(PROTECTED)
@pytest.mark.parametrize("inner", [b"", b"\0", bytes(100), bytes(MAX_PLAINTEXT + 1)])
def test_nothing_but_padding(inner: bytes, make: Moment, under: str) -> None:
    # RFC 9846 §5.4: no non-zero octet: "unexpected_message"; never scanned beyond the cleartext.
    hostile = make()
    assert hostile.writing is not None
    hostile.raw(hostile.writing.seal(inner))
    hostile.flush()
    refused(hostile, UnexpectedMessage, "nothing but padding", under=under)


@moments(CONNECTED)
def test_a_record_again_or_out_of_order(make: Moment, under: str) -> None:
    # RFC 9846 §5.3: the sequence number is part of the nonce.
    for order in ((0, 0), (1, 0), (1,), (2, 1)):
        hostile = make()
        assert hostile.writing is not None
        records = [hostile.writing.seal(bytes((index, 1, 23))) for index in range(3)]
        expected = b"".join(bytes((index, 1)) for at, index in enumerate(order) if at == index == 0)
        for index in order:
            hostile.raw(records[index])
        hostile.flush()
        refused(hostile, BadRecordMAC, under=under)
        assert hostile.end.received == expected


@moments(CONNECTED)
@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0304, 0xFFFF])
def test_the_version_of_a_protected_record_is_authenticated_and_ignored(
    version: int, make: Moment, under: str
) -> None:
    # RFC 9846 §E: included in the additional data, MAY otherwise be ignored.
    hostile = make()
    hostile.record(DATA, b"data", version=version)
    connected(hostile)


@moments(CONNECTED)
def test_empty_data_is_legal_and_a_flood_of_it_is_not(make: Moment, under: str) -> None:
    # RFC 9846 §5.1: zero-length fragments of Application Data MAY be sent.
    hostile = make()
    for _ in range(3):
        for padding in range(MAX_EMPTY_RECORDS):
            hostile.record(DATA, b"", padding=padding)
        connected(hostile)
    for _ in range(MAX_EMPTY_RECORDS + 1):
        hostile.record(DATA, b"")
    hostile.flush(size=22)
    refused(hostile, TooMuchError, "without progress", under=under)


def test_keys_of_one_direction_are_not_those_of_the_other() -> None:
    # A record that is sent back does not open.
    hostile = at_connected_client()
    hostile.victim.write(b"an echo?")
    echo = hostile.victim.bio_read()
    assert hostile.reading is not None
    hostile.reading.open(echo)
    hostile.raw(echo)
    hostile.flush()
    refused(hostile, BadRecordMAC, under=APPLICATION)
    assert not hostile.end.received


@pytest.mark.parametrize("kind", [DATA, MESSAGE, ALERT])
def test_a_record_that_does_not_end_is_waited_for(kind: ContentType) -> None:
    hostile = at_connected_server()
    assert hostile.writing is not None
    hostile.raw(hostile.writing.seal(b"\1\0" + bytes((kind,)))[:-1])
    hostile.flush()
    assert hostile.end.error is None
    hostile.end.put_eof()
    # RFC 9846 §6.1: without close_notify it cannot be known that all the data has come.
    assert type(hostile.end.error) is TruncationError

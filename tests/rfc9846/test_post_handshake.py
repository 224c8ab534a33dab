"""§4.7, §5.5, §7.2: KeyUpdate and NewSessionTicket, from a hostile peer and towards it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.edits import Edit, setting, with_extension
from tests.support.engine import client, server
from tests.support.hostile import APPLICATION, Hostile, HostileClient, HostileServer
from tests.support.moments import CONNECTED, Moment, moments
from tests.support.verdicts import connected, refused
from tlswrite.errors import (
    BadRecordMAC,
    CallerError,
    DecodeError,
    IllegalParameter,
    TLSError,
    TooMuchError,
)
from tlswrite.iana import GREASE, ContentType, ExtensionType, HandshakeType, KeyUpdateRequest
from tlswrite.limits import MAX_KEY_UPDATES_IN_A_ROW, MAX_TICKETS
from tlswrite.messages.finish import NewSessionTicket
from tlswrite.messages.framing import frame
from tlswrite.tls13.post_handshake import MAX_EPOCH

DATA = ContentType.APPLICATION_DATA
KU, NST = HandshakeType.KEY_UPDATE, HandshakeType.NEW_SESSION_TICKET


def updates(hostile: Hostile) -> list[int]:
    """request_update of the KeyUpdates that the victim sent."""
    return [update.request_update for update in hostile.heard(KU)]


# ---- KeyUpdate -------------------------------------------------------------------------------------------


@moments(CONNECTED)
@pytest.mark.parametrize("value", [2, 3, 255])
def test_a_request_that_there_is_not(value: int, make: Moment, under: str) -> None:
    # RFC 9846 §4.7.3: any other value: MUST terminate with "illegal_parameter".
    hostile = make()
    hostile.handshake(frame(KU, bytes((value,))))
    hostile.flush()
    refused(hostile, IllegalParameter, "request_update", under=under)


@moments(CONNECTED)
@pytest.mark.parametrize("body", [b"", b"\0\0", b"\1" * 100])
def test_a_key_update_of_another_size(body: bytes, make: Moment, under: str) -> None:
    hostile = make()
    hostile.handshake(frame(KU, body))
    hostile.flush()
    refused(hostile, DecodeError, under=under)


@moments(CONNECTED)
def test_keys_go_on_from_update_to_update(make: Moment, under: str) -> None:
    # RFC 9846 §4.7.3: upon receiving a KeyUpdate, the receiver MUST update its receiving keys.
    hostile = make()
    for _ in range(5 * MAX_KEY_UPDATES_IN_A_ROW):
        hostile.update_keys()
        hostile.record(DATA, b"x")
    hostile.flush()
    connected(hostile)
    assert not updates(hostile)


@moments(CONNECTED)
def test_data_under_the_key_that_was(make: Moment, under: str) -> None:
    hostile = make()
    old = hostile.writing
    hostile.update_keys()
    hostile.writing = old
    hostile.record(DATA, b"late")
    hostile.flush()
    refused(hostile, BadRecordMAC, under=under)


@moments(CONNECTED)
def test_data_under_the_key_that_will_be(make: Moment, under: str) -> None:
    # RFC 9846 §4.7.3: a KeyUpdate with the old key MUST be received before anything under the new key.
    hostile = make()
    assert hostile.writing is not None
    hostile.writing = hostile.writing.next()
    hostile.handshake(frame(KU, b"\0"))
    hostile.flush()
    refused(hostile, BadRecordMAC, under=under)


@moments(CONNECTED)
def test_an_answer_comes_before_the_next_data(make: Moment, under: str) -> None:
    # RFC 9846 §4.7.3: MUST send a KeyUpdate with update_not_requested prior to its next Application Data.
    hostile = make()
    for turn in range(1, 4):
        hostile.update_keys(request=1)
        hostile.flush()
        hostile.victim.write(b"data")
        hostile.listen()
        assert updates(hostile) == [KeyUpdateRequest.update_not_requested] * turn
        kinds = [record.content_type for record in hostile.records[-2:]]
        assert kinds == [ContentType.HANDSHAKE, DATA]
    connected(hostile)


@moments(CONNECTED)
def test_requests_that_come_while_nothing_is_read_are_answered_together(make: Moment, under: str) -> None:
    hostile = make()
    hostile.victim.write(b"waiting")
    for _ in range(20):
        hostile.update_keys(request=1)
    hostile.end.put(hostile._out)
    hostile._out = b""
    hostile.end.advance()
    hostile.victim.write(b"data")
    hostile.listen()
    assert updates(hostile) == [0]
    assert [record.content for record in hostile.records if record.content_type == DATA] == [
        b"waiting",
        b"data",
    ]


@moments(CONNECTED)
def test_a_flood_of_updates(make: Moment, under: str) -> None:
    for request in (0, 1):
        hostile = make()
        for _ in range(MAX_KEY_UPDATES_IN_A_ROW + 1):
            hostile.update_keys(request)
        hostile.flush()
        refused(hostile, TooMuchError, "flood", under=under)


@moments(CONNECTED)
def test_our_own_updates(make: Moment, under: str) -> None:
    # RFC 9846 §4.7.3: under the old key, everything else under the next; no second update_requested before
    # the peer's KeyUpdate has come.
    hostile = make()
    hostile.victim.key_update(request_peer=True)
    hostile.victim.key_update(request_peer=True)
    hostile.victim.key_update()
    hostile.victim.write(b"data")
    hostile.listen()
    assert updates(hostile) == [1, 0, 0]
    hostile.update_keys()
    hostile.flush()
    hostile.victim.key_update(request_peer=True)
    hostile.listen()
    assert updates(hostile) == [1, 0, 0, 1]
    connected(hostile)


@moments(CONNECTED)
def test_requests_that_cross(make: Moment, under: str) -> None:
    # RFC 9846 §4.7.3: each side will also send a response, and increments by two generations.
    hostile = make()
    hostile.victim.key_update(request_peer=True)
    hostile.update_keys(request=1)
    hostile.flush()
    hostile.update_keys()
    hostile.victim.write(b"data")
    hostile.listen()
    assert updates(hostile) == [1, 0]
    connected(hostile)


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_a_key_is_replaced_before_its_limit(limit: int) -> None:
    # RFC 9846 §5.5: MUST do a key update prior to reaching these limits.
    hostile = HostileClient(server(key_update_records=limit))
    hostile.run()
    for size in (1, 100, 5000, 50_000):
        hostile.victim.write(bytes(size))
        hostile.listen()
    under_one_key = 0
    for record in hostile.records:
        under_one_key = 0 if record.content_type == ContentType.HANDSHAKE else under_one_key + 1
        assert under_one_key <= limit or record.content_type != DATA
    assert len(updates(hostile)) == (7 - 1) // limit
    connected(hostile)


@moments(CONNECTED)
def test_at_the_last_epoch_a_request_is_ignored(make: Moment, under: str) -> None:
    # RFC 9846 §4.7.3: MUST NOT send its own KeyUpdate if that would exceed 2^48-1, and ignore the flag; a
    # receiver does not enforce it.
    hostile = make()
    after: Any = hostile.victim._control.after
    after._epoch = MAX_EPOCH
    hostile.update_keys(request=1)
    hostile.flush()
    connected(hostile)
    assert not updates(hostile)
    with pytest.raises(CallerError, match=r"2\^48-1"):
        hostile.victim.key_update()
    connected(hostile)


# ---- NewSessionTicket ------------------------------------------------------------------------------------

TICKET = NewSessionTicket(7200, 12345, b"\0", b"a ticket")


def ticketing(*messages: bytes) -> HostileServer:
    hostile = HostileServer(client())
    hostile.run()
    for message in messages:
        hostile.handshake(message)
    hostile.flush()
    return hostile


@pytest.mark.parametrize(
    "edit",
    [
        setting(),
        setting(lifetime=0),
        setting(lifetime=2**32 - 1),
        setting(nonce=bytes(255)),
        setting(ticket=bytes(60_000)),
        with_extension(ExtensionType.EARLY_DATA, b"\0\0\x40\0"),
        with_extension(GREASE[0], b"x"),
        with_extension(0x7777, b""),
    ],
)
def test_tickets_are_ignored(edit: Edit) -> None:
    # RFC 9846 §4.7.1: clients that do not support resumption MUST silently ignore it; §9.3: unrecognized
    # extensions too.
    message = edit(TICKET.encode())
    assert isinstance(message, bytes)
    hostile = ticketing(message, message)
    connected(hostile)
    assert not hostile.alerts


def test_tickets_for_as_long_as_there_is_data() -> None:
    hostile = ticketing()
    for _ in range(3 * MAX_TICKETS):
        hostile.handshake(TICKET.encode())
        hostile.record(DATA, b"x")
    hostile.flush()
    connected(hostile)


def test_a_flood_of_tickets() -> None:
    hostile = ticketing(*[TICKET.encode()] * (MAX_TICKETS + 1))
    refused(hostile, TooMuchError, "tickets", under=APPLICATION)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (frame(NST, TICKET.encode()[4:-1]), DecodeError),
        (frame(NST, TICKET.encode()[4:] + b"\0"), DecodeError),
        (NewSessionTicket(1, 1, b"", b"").encode(), DecodeError),
        (frame(NST, b""), DecodeError),
        (NewSessionTicket(1, 1, b"", b"t", ((ExtensionType.KEY_SHARE, b""),)).encode(), IllegalParameter),
        (NewSessionTicket(1, 1, b"", b"t", ((0x7777, b""), (0x7777, b""))).encode(), IllegalParameter),
    ],
)
def test_tickets_that_are_wrong(message: bytes, expected: type[TLSError]) -> None:
    refused(ticketing(message), expected, under=APPLICATION)

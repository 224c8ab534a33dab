"""§6: alerts that come, in each state of both sides; closing one way and both; what comes after the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.build import COMPILED
from tests.support.engine import client, client_config, server
from tests.support.hostile import Hostile, HostileClient, HostileServer, Record
from tests.support.moments import CONNECTED, PROTECTED, UNPROTECTED, Moment, moments
from tests.support.pump import Pair, take
from tests.support.verdicts import connected, over, refused
from tlswrite.connection import TLSConnection
from tlswrite.errors import (
    AlertReceived,
    CallerError,
    ConfigurationError,
    DecodeError,
    InternalError,
    TooMuchError,
    TruncationError,
    WantReadError,
    ZeroReturnError,
)
from tlswrite.iana import AlertDescription, ContentType, HandshakeType
from tlswrite.limits import MAX_EMPTY_RECORDS
from tlswrite.messages.framing import frame
from tlswrite.record.codes import ZERO_RETURN
from tlswrite.record.receive import OUT_ROOM

ALERT, DATA = ContentType.ALERT, ContentType.APPLICATION_DATA
CLOSE_NOTIFY, USER_CANCELED = AlertDescription.CLOSE_NOTIFY, AlertDescription.USER_CANCELED
#: All error alerts, and some that there are not.
ERRORS = sorted({*AlertDescription, 1, 21, 60, 100, 255} - {CLOSE_NOTIFY, USER_CANCELED})
HANDSHAKING = UNPROTECTED + PROTECTED[:2]


def alert(hostile: Hostile, description: int, level: int = 2) -> None:
    hostile.record(ALERT, bytes((level, description)))
    hostile.flush()


def ended(hostile: Hostile, number: int) -> None:
    """The victim heard the alert, says nothing in return, and is over."""
    error = hostile.end.error
    assert type(error) is AlertReceived, error
    assert error.received == number
    assert not hostile.alerts
    over(hostile, error)


@moments(UNPROTECTED + PROTECTED)
@pytest.mark.parametrize("number", ERRORS)
def test_every_error_alert_ends_the_connection(number: int, make: Moment, under: str) -> None:
    # RFC 9846 §6: MUST be treated as error alerts regardless of the AlertLevel; so MUST unknown ones.
    for level in (1, 2, 0, 255):
        hostile = make()
        alert(hostile, number, level)
        ended(hostile, number)


def test_an_alert_in_the_clear_of_a_client_that_has_no_keys() -> None:
    # RFC 9846 §A.1: it could not process the ServerHello.
    hostile = HostileClient(server())
    hostile.step("client_hello")
    hostile.plain(ALERT, b"\2\x2f")
    hostile.flush()
    ended(hostile, AlertDescription.ILLEGAL_PARAMETER)


def test_what_was_sealed_is_not_sent_once_an_error_alert_came() -> None:
    # RFC 9846 §6: MUST NOT allow any further data to be sent.
    for hostile in (HostileServer(client()), HostileClient(server())):
        hostile.run()
        hostile.victim.write(bytes(60_000))
        alert(hostile, AlertDescription.INTERNAL_ERROR)
        ended(hostile, AlertDescription.INTERNAL_ERROR)
        assert DATA not in [record.content_type for record in hostile.records]


def test_data_in_front_of_an_error_alert_is_delivered() -> None:
    hostile = HostileClient(server())
    hostile.run()
    hostile.record(DATA, b"the last words")
    alert(hostile, AlertDescription.INTERNAL_ERROR)
    assert hostile.end.received == b"the last words"
    ended(hostile, AlertDescription.INTERNAL_ERROR)


# ---- user_canceled ---------------------------------------------------------------------------------------


@moments(PROTECTED)
def test_user_canceled_is_passed_over(make: Moment, under: str) -> None:
    # RFC 9846 §6.1: continue to read data from the peer until a close_notify is received.
    for level in (1, 2):
        hostile = make()
        alert(hostile, USER_CANCELED, level)
        assert hostile.end.error is None
    alert(hostile, CLOSE_NOTIFY, 1)
    assert hostile.end.closed
    assert type(hostile.victim.error) is (type(None) if hostile.end.handshaken else ZeroReturnError)


@moments(UNPROTECTED + PROTECTED)
def test_a_flood_of_user_canceled(make: Moment, under: str) -> None:
    hostile = make()
    for _ in range(MAX_EMPTY_RECORDS + 1):
        hostile.record(ALERT, bytes((1, USER_CANCELED)))
    hostile.flush()
    refused(hostile, TooMuchError, "user_canceled", under=under)


# ---- close_notify ----------------------------------------------------------------------------------------


@moments(HANDSHAKING)
def test_close_notify_in_a_handshake(make: Moment, under: str) -> None:
    # RFC 9846 §6.1: MUST send a close_notify before closing, which is all that is left to do.
    hostile = make()
    alert(hostile, CLOSE_NOTIFY, 1)
    assert hostile.end.closed
    assert hostile.alerts == [Record(ALERT, bytes((1, CLOSE_NOTIFY)), under)]
    error = hostile.victim.error
    assert type(error) is ZeroReturnError
    over(hostile, error)


@moments(CONNECTED)
@pytest.mark.parametrize("level", [1, 2])
def test_half_a_connection_after_the_peers_close_notify(level: int, make: Moment, under: str) -> None:
    # RFC 9846 §6.1: it does not have any effect on the read side of the sender: writing goes on.
    hostile = make()
    hostile.record(DATA, b"all of it")
    alert(hostile, CLOSE_NOTIFY, level)
    assert hostile.end.closed and hostile.end.received == b"all of it"
    assert not hostile.alerts
    for _ in range(2):
        hostile.victim.write(b"still here")
        hostile.victim.key_update()
        hostile.listen()
    assert [record.content for record in hostile.records if record.content_type == DATA] == [
        b"still here"
    ] * 2
    with pytest.raises(ZeroReturnError):
        hostile.victim.read()
    assert hostile.victim.shutdown()
    hostile.listen()
    assert hostile.records[-1] == Record(ALERT, bytes((1, CLOSE_NOTIFY)), under)
    assert hostile.victim.error is None


@moments(CONNECTED)
def test_what_follows_close_notify_is_ignored(make: Moment, under: str) -> None:
    # RFC 9846 §6.1: any data received after a closure alert MUST be ignored, whatever it is.
    for kinds in (
        [(DATA, b"more")],
        [(ALERT, b"\2\x28")],
        [(ContentType.HANDSHAKE, frame(HandshakeType.CLIENT_HELLO, b""))],
        [(99, b"?")],
    ):
        hostile = make()
        hostile.record(ALERT, bytes((1, CLOSE_NOTIFY)))
        for kind, content in kinds:
            hostile.record(kind, content)
        hostile.raw(b"and no record at all")
        hostile.flush()
        hostile.record(DATA, b"later")
        hostile.flush()
        assert hostile.end.closed and hostile.end.error is None
        assert not hostile.end.received and not hostile.alerts
        out = memoryview(bytearray(OUT_ROOM))
        # The same through the driver's face.
        hostile.victim.receive_path.feed(memoryview(bytearray(b"\x17\3\3\0\1x")), 6)
        assert hostile.victim.receive_into(out) == ZERO_RETURN
        hostile.victim.feed_eof()
        assert hostile.victim.receive_into(out) == ZERO_RETURN


@moments(CONNECTED)
def test_half_a_connection_after_our_own_close_notify(make: Moment, under: str) -> None:
    hostile = make()
    assert not hostile.victim.shutdown()
    hostile.listen()
    close = Record(ALERT, bytes((1, CLOSE_NOTIFY)), under)
    assert hostile.records[-1] == close
    # RFC 9846 §6.1: the sender will not send any more messages: no data, no answer to a KeyUpdate, no alert.
    for call in (lambda: hostile.victim.write(b"more"), hostile.victim.key_update):
        with pytest.raises(CallerError):
            call()
    for _ in range(3):
        hostile.record(DATA, b"reading goes on")
        hostile.update_keys(request=1)
    hostile.flush()
    assert hostile.end.received == b"reading goes on" * 3
    assert not hostile.victim.shutdown()
    hostile.victim.close_notify()
    hostile.raw(b"\x17\3\3\0\x20" + bytes(32))
    hostile.flush()
    assert hostile.end.error is not None and hostile.end.error.alert == AlertDescription.BAD_RECORD_MAC
    assert hostile.alerts == [close] and hostile.records[-1] == close


@moments(CONNECTED)
def test_both_halves(make: Moment, under: str) -> None:
    hostile = make()
    hostile.victim.shutdown()
    hostile.record(DATA, b"what was under way")
    alert(hostile, CLOSE_NOTIFY, 1)
    assert hostile.end.received == b"what was under way"
    assert hostile.victim.shutdown()
    hostile.listen()
    assert hostile.alerts == [Record(ALERT, bytes((1, CLOSE_NOTIFY)), under)]


@moments(UNPROTECTED + PROTECTED)
def test_an_end_without_close_notify(make: Moment, under: str) -> None:
    # RFC 9846 §6.1: it cannot be known that all the data has been received.
    hostile = make()
    hostile.end.put_eof()
    assert type(hostile.end.error) is TruncationError
    hostile.listen()
    assert not hostile.alerts


def test_closing_waits_for_the_handshake() -> None:
    for hostile in (HostileServer(client()), HostileClient(server())):
        with pytest.raises(CallerError):
            hostile.victim.shutdown()
        hostile.victim.close_notify()
        hostile.listen()
        assert not hostile.alerts
        hostile.run()
        connected(hostile)


# ---- the end ---------------------------------------------------------------------------------------------


def test_nothing_begins_anew() -> None:
    hostile = HostileServer(client(), {"server_hello": lambda _: frame(HandshakeType.SERVER_HELLO, b"")})
    hostile.run("server_hello")
    before = len(hostile.records)
    with pytest.raises(DecodeError):
        hostile.victim.start_handshake()
    hostile.listen()
    assert len(hostile.records) == before


def test_what_cannot_begin_says_nothing() -> None:
    # The caller's fault is found before there is a peer to tell.
    with pytest.raises(ConfigurationError, match="neither a host name nor an IP address"):
        TLSConnection(client_config(), server_hostname="no name!")
    # Nor does it say anything, or begin later, where the fault is found when it begins.
    victim = TLSConnection(client_config(), server_hostname="localhost")
    victim.server_hostname = "no name!"
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="neither a host name nor an IP address"):
            victim.start_handshake()
    with pytest.raises(ConfigurationError):
        victim.write(b"data")
    assert not take(victim)


def test_what_fails_to_begin_for_no_good_reason() -> None:
    victim = TLSConnection(client_config(), server_hostname="localhost")
    wrong: Any = 5
    victim.server_hostname = wrong
    for _ in range(2):
        with pytest.raises(InternalError, match="TypeError" if COMPILED else "AttributeError"):
            victim.start_handshake()


def test_a_failure_while_data_waits_comes_behind_that_data() -> None:
    # The alert has its place in the sequence: it could not be read otherwise.
    hostile = HostileClient(server())
    hostile.run()
    hostile.victim.write(b"first")
    hostile.record(ContentType.CHANGE_CIPHER_SPEC, b"\1")
    hostile.flush()
    contents = [record.content for record in hostile.records[-2:]]
    assert contents == [b"first", bytes((2, AlertDescription.UNEXPECTED_MESSAGE))]


def test_the_engine_hears_what_the_other_engine_says() -> None:
    # Both ends real: the number that is sent is the number that is received.
    moves: list[Callable[[str, bytes], bytes]] = [
        lambda name, data: data if name == "server" else data[:6] + b"\1" + data[7:],
        lambda name, data: data if name == "client" else data[:200] + bytes((data[200] ^ 1,)) + data[201:],
    ]
    for tamper in moves:
        pair = Pair(client(), server(), tamper=tamper)
        pair.pump()
        errors = [end.error for end in pair.ends]
        heard = [error for error in errors if isinstance(error, AlertReceived)]
        said = [error for error in errors if error is not None and error.alert is not None]
        assert len(heard) == len(said) == 1, errors
        assert heard[0].received == said[0].alert


def test_a_want_is_no_end() -> None:
    hostile = HostileClient(server())
    hostile.run()
    for _ in range(3):
        with pytest.raises(WantReadError):
            hostile.victim.read()
    connected(hostile)

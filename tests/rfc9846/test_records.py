"""§5, §5.1: record types, change_cipher_spec, fragments, and where a record must end, at both sides."""

from __future__ import annotations

import pytest

from tests.support.engine import client, server
from tests.support.hostile import APPLICATION, CCS, HANDSHAKE, PLAIN, Hostile, HostileClient, HostileServer
from tests.support.moments import (
    CONNECTED,
    PROTECTED,
    UNPROTECTED,
    Moment,
    at_start,
    at_wait_ee,
    at_wait_finished,
    at_wait_sh,
    moments,
)
from tests.support.verdicts import connected, refused
from tlswrite.errors import (
    DecodeError,
    TooMuchError,
    UnexpectedMessage,
)
from tlswrite.iana import ContentType, HandshakeType
from tlswrite.limits import MAX_EMPTY_RECORDS
from tlswrite.messages.framing import frame

DATA, ALERT = ContentType.APPLICATION_DATA, ContentType.ALERT
MESSAGE, SPEC = ContentType.HANDSHAKE, ContentType.CHANGE_CIPHER_SPEC


# ---- types -----------------------------------------------------------------------------------------------


@moments(UNPROTECTED + PROTECTED)
@pytest.mark.parametrize("kind", [0, 19, 24, 25, 26, 63, 255])
def test_types_that_there_are_not(kind: int, make: Moment, under: str) -> None:
    # RFC 9846 §5: an unexpected record type: MUST terminate with "unexpected_message".
    hostile = make()
    hostile.plain(kind, b"\1")
    hostile.flush()
    refused(hostile, UnexpectedMessage, "is this TLS?", under=under)


@moments(PROTECTED)
@pytest.mark.parametrize("kind", [19, 24, 25, 255, SPEC])
def test_types_that_there_are_not_inside(kind: int, make: Moment, under: str) -> None:
    # RFC 9846 §5: a protected change_cipher_spec record too.
    hostile = make()
    hostile.record(kind, b"\1")
    hostile.flush()
    refused(hostile, UnexpectedMessage, "a record of type", under=under)


@moments(UNPROTECTED)
def test_application_data_without_a_key(make: Moment, under: str) -> None:
    # RFC 9846 §5.1: application data is always protected.
    hostile = make()
    hostile.plain(DATA, b"early")
    hostile.flush()
    refused(hostile, UnexpectedMessage, under=under)


@moments(PROTECTED[:2])
def test_application_data_in_the_middle_of_a_handshake(make: Moment, under: str) -> None:
    # RFC 9846 §6.2: premature Application Data: "unexpected_message".
    for content in (b"early", b""):
        hostile = make()
        hostile.record(DATA, content)
        hostile.flush()
        refused(hostile, UnexpectedMessage, "application data", under=under)
        assert not hostile.end.received


@moments(PROTECTED)
def test_a_message_in_the_clear_where_there_are_keys(make: Moment, under: str) -> None:
    hostile = make()
    hostile.plain(MESSAGE, frame(HandshakeType.KEY_UPDATE, b"\0"))
    hostile.flush()
    refused(hostile, UnexpectedMessage, "unprotected", under=under)


@moments([PROTECTED[0], *CONNECTED])
def test_an_alert_in_the_clear_where_there_are_keys(make: Moment, under: str) -> None:
    # Nobody on the way can close a connection (§6.1), or end it in another's name.
    for alert in (b"\1\0", b"\2\x28", b"\1\x5a"):
        hostile = make()
        hostile.plain(ALERT, alert)
        hostile.flush()
        refused(hostile, UnexpectedMessage, "unprotected", under=under)


# ---- change_cipher_spec ----------------------------------------------------------------------------------


@moments([UNPROTECTED[1], *PROTECTED[:2]])
def test_change_cipher_spec_is_dropped_in_a_handshake(make: Moment, under: str) -> None:
    # RFC 9846 §5: after the first ClientHello and before the peer's Finished: MUST simply drop it.
    hostile = make()
    for _ in range(MAX_EMPTY_RECORDS):
        hostile.raw(CCS)
    hostile.flush(size=5)
    assert hostile.end.error is None
    hostile.raw(CCS)
    hostile.flush()
    refused(hostile, TooMuchError, "change_cipher_spec", under=under)


def test_change_cipher_spec_between_all_records() -> None:
    for hostile in (HostileServer(client()), HostileClient(server())):
        for name in hostile.STEPS:
            if name != "client_hello":
                hostile.raw(CCS)
            hostile.step(name)
            if name != "finished":
                hostile.raw(CCS)
        hostile.flush()
        connected(hostile)


@moments([UNPROTECTED[1], *PROTECTED[:2]])
@pytest.mark.parametrize("content", [b"", b"\0", b"\2", b"\1\1", b"\xff", b"\1" * 100])
def test_change_cipher_spec_with_another_value(content: bytes, make: Moment, under: str) -> None:
    # RFC 9846 §5: any other value: MUST abort with "unexpected_message".
    hostile = make()
    hostile.plain(SPEC, content)
    hostile.flush()
    refused(hostile, UnexpectedMessage, "change_cipher_spec", under=under)


@moments([UNPROTECTED[0], *CONNECTED])
def test_change_cipher_spec_out_of_time(make: Moment, under: str) -> None:
    # RFC 9846 §5: before the first ClientHello or after the peer's Finished: an unexpected record type.
    hostile = make()
    hostile.raw(CCS)
    hostile.flush()
    refused(hostile, UnexpectedMessage, "change_cipher_spec", under=under)


def test_change_cipher_spec_before_the_first_hello_is_whole() -> None:
    hostile = at_start()
    hostile.record(MESSAGE, hostile.make("client_hello")[:50])
    hostile.raw(CCS)
    hostile.flush()
    refused(hostile, UnexpectedMessage, "change_cipher_spec", under=PLAIN)


# ---- fragments -------------------------------------------------------------------------------------------


@moments(UNPROTECTED + PROTECTED)
@pytest.mark.parametrize("kind", [MESSAGE, ALERT])
def test_empty_fragments(kind: ContentType, make: Moment, under: str) -> None:
    # RFC 9846 §5.1, §5.4: zero-length handshake and alert records: "unexpected_message", padded or not.
    for padding in (0, 100):
        hostile = make()
        hostile.record(kind, b"", padding=padding if hostile.writing is not None else 0)
        hostile.flush()
        refused(hostile, UnexpectedMessage, "empty", under=under)


@moments(UNPROTECTED + PROTECTED)
@pytest.mark.parametrize("content", [b"\1", b"\2", b"\1\0\1\0", b"\2\x28\0", b"\1\0" * 8000])
def test_alerts_cut_or_coalesced(content: bytes, make: Moment, under: str) -> None:
    # RFC 9846 §5.1: a record with an Alert type MUST contain exactly one message.
    hostile = make()
    hostile.record(ALERT, content)
    hostile.flush()
    refused(hostile, DecodeError, "an alert of", under=under)


@moments([(at_wait_sh, PLAIN), (at_wait_ee, HANDSHAKE), *CONNECTED])
def test_an_alert_between_fragments(make: Moment, under: str) -> None:
    # RFC 9846 §5.1: MUST NOT be interleaved with other record types.
    legal = {PLAIN: HandshakeType.SERVER_HELLO, HANDSHAKE: HandshakeType.ENCRYPTED_EXTENSIONS}
    for part in (1, 3):
        hostile = make()
        hostile.record(MESSAGE, bytes((legal.get(under, HandshakeType.KEY_UPDATE), 0, 0))[:part])
        hostile.record(ALERT, b"\1\x5a")
        hostile.flush()
        refused(hostile, UnexpectedMessage, "between the fragments", under=under)


@moments(CONNECTED)
def test_application_data_between_fragments(make: Moment, under: str) -> None:
    for content in (b"between", b""):
        hostile = make()
        hostile.record(MESSAGE, bytes((HandshakeType.KEY_UPDATE,)))
        hostile.record(DATA, content)
        hostile.flush()
        refused(hostile, UnexpectedMessage, under=under)
        assert not hostile.end.received


@moments([UNPROTECTED[1], *PROTECTED[:2]])
def test_change_cipher_spec_between_fragments_is_dropped_as_anywhere(make: Moment, under: str) -> None:
    # RFC 9846 §5: at any time, without further processing.
    hostile = make()
    step = {at_wait_sh: "server_hello", at_wait_ee: "encrypted_extensions"}.get(make, "finished")
    message = hostile.make(step)
    hostile.record(MESSAGE, message[:2])
    hostile.raw(CCS)
    hostile.record(MESSAGE, message[2:])
    hostile.after(step)
    hostile.step(*hostile.STEPS[hostile.STEPS.index(step) + 1 :])
    hostile.flush()
    connected(hostile)


def test_messages_in_one_record_and_in_many() -> None:
    # RFC 9846 §5.1: coalesced into a single record or fragmented across several.
    whole = HostileServer(client())
    whole.step("server_hello")
    whole.record(MESSAGE, b"".join(whole.make(name) for name in whole.STEPS[1:]))
    whole.after("finished")
    whole.flush()
    connected(whole)
    for size in (1, 5, 100):
        cut = HostileServer(client())
        for name in cut.STEPS:
            message = cut.make(name)
            for at in range(0, len(message), size):
                cut.record(MESSAGE, message[at : at + size])
            cut.after(name)
        cut.flush(size=1 if size == 5 else None)
        connected(cut)


# ---- a key change ends a record --------------------------------------------------------------------------


def behind(hostile: Hostile, step: str, more: bytes) -> None:
    hostile.record(MESSAGE, hostile.make(step) + more)
    hostile.after(step)
    hostile.flush()


MORE = [b"\x08", frame(HandshakeType.ENCRYPTED_EXTENSIONS, b"\0\0"), frame(HandshakeType.KEY_UPDATE, b"\0")]


@pytest.mark.parametrize("more", MORE)
def test_more_behind_a_client_hello(more: bytes) -> None:
    # RFC 9846 §5.1: MUST verify that all messages immediately preceding a key change align with a record
    # boundary: "unexpected_message". It is not answered, so there is no key yet.
    hostile = at_start()
    hostile.record(MESSAGE, hostile.make("client_hello") + more)
    hostile.flush()
    refused(hostile, UnexpectedMessage, "behind a ClientHello", under=PLAIN)
    assert not hostile.messages


@pytest.mark.parametrize("more", MORE)
def test_more_behind_a_server_hello(more: bytes) -> None:
    hostile = at_wait_sh()
    behind(hostile, "server_hello", more)
    refused(hostile, UnexpectedMessage, "behind a key change", under=PLAIN)


@pytest.mark.parametrize("more", MORE)
def test_more_behind_the_servers_finished(more: bytes) -> None:
    hostile = HostileServer(client())
    hostile.step(*hostile.STEPS[:-1])
    behind(hostile, "finished", more)
    refused(hostile, UnexpectedMessage, "behind a key change", under=HANDSHAKE)


@pytest.mark.parametrize("more", MORE)
def test_more_behind_the_clients_finished(more: bytes) -> None:
    hostile = at_wait_finished()
    behind(hostile, "finished", more)
    refused(hostile, UnexpectedMessage, "behind a key change", under=APPLICATION)


@moments(CONNECTED)
@pytest.mark.parametrize("more", [b"\x18", frame(HandshakeType.KEY_UPDATE, b"\0")])
def test_more_behind_a_key_update(more: bytes, make: Moment, under: str) -> None:
    hostile = make()
    hostile.record(MESSAGE, frame(HandshakeType.KEY_UPDATE, b"\0") + more)
    hostile.flush()
    refused(hostile, UnexpectedMessage, "behind a key change", under=under)

"""Verdicts on the victim of a hostile peer: connected, refused, or over (see `hostile`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.hostile import APPLICATION, Hostile, Record
from tests.support.pump import take
from tlswrite.errors import TLSError
from tlswrite.iana import ContentType, name_of
from tlswrite.record.receive import OUT_ROOM


def connected(hostile: Hostile) -> None:
    """Asserts that the victim is through the handshake and data passes both ways."""
    assert hostile.end.error is None, hostile.end.error
    assert hostile.end.handshaken
    hostile.record(ContentType.APPLICATION_DATA, b"ping")
    hostile.flush()
    assert hostile.end.error is None, hostile.end.error
    assert hostile.end.received.endswith(b"ping")
    hostile.victim.write(b"pong")
    hostile.listen()
    assert hostile.records[-1] == Record(ContentType.APPLICATION_DATA, b"pong", APPLICATION)


def refused(hostile: Hostile, expected: type[TLSError], match: str = "", *, under: str) -> TLSError:
    """Asserts that the victim ended in exactly that error, told so, and does nothing more.

    Its last record is the fatal alert of that error, `under` the keys that are named; every later call raises
    the same cause, and whatever else it is given, nothing comes after.
    """
    error = hostile.end.error
    assert type(error) is expected, f"{error!r} instead of {expected.__name__}"
    assert match in error.message, error.message
    assert error.alert is not None
    alert = Record(ContentType.ALERT, bytes((2, error.alert)), under)
    assert hostile.alerts == [alert], [name_of(ContentType, each.content_type) for each in hostile.records]
    assert hostile.records[-1] == alert
    over(hostile, error)
    return error


def over(hostile: Hostile, error: TLSError) -> None:
    """Asserts that the victim's connection stays over, with that cause."""
    victim = hostile.victim
    assert victim.error is not None and str(victim.error) == str(error)
    calls: dict[str, Callable[[], Any]] = {
        "do_handshake": victim.do_handshake,
        "start_handshake": victim.start_handshake,
        "read": victim.read,
        "receive_into": lambda: victim.receive_into(memoryview(bytearray(OUT_ROOM))),
        "write": lambda: victim.write(b"more"),
        "shutdown": victim.shutdown,
        "key_update": victim.key_update,
        "export": lambda: victim.export_keying_material("label", 32),
    }
    hostile.record(ContentType.APPLICATION_DATA, b"more")
    victim.bio_write(hostile._out)
    for name, call in calls.items():
        with pytest.raises(type(error)) as again:
            call()
        assert str(again.value) == str(error), name
    victim.close_notify()
    # What fails later is not the cause.
    assert type(victim.fail(ValueError("later"))) is type(error)
    assert str(victim.error) == str(error)
    assert not take(victim)

"""The runner: legality first, then the generator."""

from __future__ import annotations

import pytest

from tlswrite.errors import IllegalParameter, UnexpectedMessage
from tlswrite.handshake.runner import HandshakeGenerator, Runner, Wait
from tlswrite.iana import HandshakeType

WAIT_A = Wait("WAIT_A", HandshakeType.CERTIFICATE, HandshakeType.CERTIFICATE_REQUEST)
WAIT_B = Wait("WAIT_B", HandshakeType.FINISHED)


def steps(seen: list[tuple[int, bytes]]) -> HandshakeGenerator:
    seen.append((yield WAIT_A))
    message_type, raw = yield WAIT_B
    if raw == b"bad":
        raise IllegalParameter("bad")
    seen.append((message_type, raw))


def test_messages_resume_the_generator_in_order() -> None:
    seen: list[tuple[int, bytes]] = []
    runner = Runner(steps(seen))
    assert (runner.state, runner.done) == ("", False)
    runner.start()
    assert runner.state == "WAIT_A"
    runner.receive(HandshakeType.CERTIFICATE_REQUEST, b"one")
    assert runner.state == "WAIT_B"
    runner.receive(HandshakeType.FINISHED, b"two")
    assert (runner.state, runner.done) == ("", True)
    assert seen == [(HandshakeType.CERTIFICATE_REQUEST, b"one"), (HandshakeType.FINISHED, b"two")]
    with pytest.raises(UnexpectedMessage):
        runner.receive(HandshakeType.FINISHED, b"more")


def test_an_unexpected_message_is_refused_by_the_name_of_the_state() -> None:
    seen: list[tuple[int, bytes]] = []
    runner = Runner(steps(seen))
    with pytest.raises(UnexpectedMessage, match="finished received in state START"):
        runner.receive(HandshakeType.FINISHED, b"")
    runner.start()
    with pytest.raises(UnexpectedMessage, match="finished received in state WAIT_A"):
        runner.receive(HandshakeType.FINISHED, b"")
    with pytest.raises(UnexpectedMessage, match=r"handshaketype\(0x0063\) received in state WAIT_A"):
        runner.receive(99, b"")
    assert not seen


def test_failure_is_terminal() -> None:
    runner = Runner(steps([]))
    runner.start()
    runner.receive(HandshakeType.CERTIFICATE, b"")
    with pytest.raises(IllegalParameter):
        runner.receive(HandshakeType.FINISHED, b"bad")
    assert runner.done
    with pytest.raises(UnexpectedMessage):
        runner.receive(HandshakeType.FINISHED, b"good")


def test_close_ends_the_generator() -> None:
    closed: list[bool] = []

    def waiting() -> HandshakeGenerator:
        try:
            yield WAIT_A
        finally:
            closed.append(True)

    runner = Runner(waiting())
    runner.start()
    runner.close()
    runner.close()
    assert closed == [True]
    assert runner.done


def test_repr_names_state_and_types() -> None:
    assert repr(WAIT_A) == "Wait(WAIT_A: CERTIFICATE, CERTIFICATE_REQUEST)"

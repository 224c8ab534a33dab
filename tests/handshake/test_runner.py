"""The runner: legality first, then the generator."""

from __future__ import annotations

import pytest

from tlswrite.errors import IllegalParameter, TooMuchError, UnexpectedMessage
from tlswrite.handshake.runner import HandshakeGenerator, Runner, Wait
from tlswrite.iana import HandshakeType
from tlswrite.limits import MAX_EMPTY_RECORDS

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


# ---- messages that are passed over --------------------------------------------------------------------

WAIT_C = Wait("WAIT_C", HandshakeType.FINISHED, ignored=(HandshakeType.HELLO_REQUEST,))


def three(seen: list[int]) -> HandshakeGenerator:
    for wait in (WAIT_C, WAIT_C, WAIT_B):
        seen.append((yield wait)[0])


def test_an_ignored_message_does_not_reach_the_generator() -> None:
    # RFC 5246 §7.4.1.1: a HelloRequest in a handshake is ignored.
    seen: list[int] = []
    runner = Runner(three(seen))
    runner.start()
    for _ in range(2):
        runner.receive(HandshakeType.HELLO_REQUEST, b"\0\0\0\0")
        runner.check(HandshakeType.HELLO_REQUEST)
        assert runner.state == "WAIT_C"
        runner.receive(HandshakeType.FINISHED, b"")
    # Where a state does not ignore it, it is as unexpected as any other.
    assert runner.state == "WAIT_B"
    for step in (
        lambda: runner.check(HandshakeType.HELLO_REQUEST),
        lambda: runner.receive(HandshakeType.HELLO_REQUEST, b"\0\0\0\0"),
    ):
        with pytest.raises(UnexpectedMessage, match="hello_request received in state WAIT_B"):
            step()
    assert seen == [HandshakeType.FINISHED] * 2
    assert not runner.done


def test_a_state_that_ignores_one_type_refuses_the_others() -> None:
    runner = Runner(three([]))
    runner.start()
    for kind in HandshakeType:
        if kind not in (HandshakeType.FINISHED, HandshakeType.HELLO_REQUEST):
            with pytest.raises(UnexpectedMessage, match="received in state WAIT_C"):
                runner.receive(kind, b"")


def test_a_flood_of_ignored_messages_is_refused() -> None:
    # They are counted over the whole handshake: to ignore is work too.
    runner = Runner(three([]))
    runner.start()
    for turn in range(MAX_EMPTY_RECORDS):
        if turn == MAX_EMPTY_RECORDS // 2:
            runner.receive(HandshakeType.FINISHED, b"")
        runner.receive(HandshakeType.HELLO_REQUEST, b"\0\0\0\0")
    with pytest.raises(TooMuchError, match="a flood of hello_request messages"):
        runner.receive(HandshakeType.HELLO_REQUEST, b"\0\0\0\0")


def test_repr_leaves_out_what_is_ignored() -> None:
    assert repr(WAIT_C) == "Wait(WAIT_C: FINISHED)"
    assert WAIT_A.ignored == ()

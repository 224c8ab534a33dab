"""What an unauthenticated peer can make an engine hold, compute or say is bounded."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.edits import adding, setting, with_extension
from tests.support.engine import client, credentials, server
from tests.support.hostile import PLAIN, Hostile, HostileClient, HostileServer
from tests.support.moments import CONNECTED, PROTECTED, UNPROTECTED, Moment, moments
from tests.support.pump import take
from tests.support.verdicts import connected, refused
from tlswrite.codec import vector16
from tlswrite.errors import (
    DecodeError,
    HandshakeFailure,
    IllegalParameter,
    NoApplicationProtocol,
    TLSError,
    TooMuchError,
    WantWriteError,
)
from tlswrite.iana import ContentType, ExtensionType, HandshakeType
from tlswrite.limits import MAX_EXTENSIONS, MAX_HANDSHAKE_MESSAGE, SEND_WINDOW
from tlswrite.messages import extensions as ext
from tlswrite.messages.framing import frame
from tlswrite.messages.hello import ClientHello

E = ExtensionType

#: Far above what one message of 64 KiB may cost, below what a quadratic step over it does. Seconds of CPU.
MOMENT = 0.4


def costing(run: Callable[[], Any]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before


def hello(*extensions: tuple[int, bytes], **fields: Any) -> HostileClient:
    """A ClientHello with more in it."""

    def edit(message: bytes) -> bytes:
        for step in (setting(**fields), adding(*extensions)):
            changed = step(message)
            assert isinstance(changed, bytes)
            message = changed
        return message

    return HostileClient(server(alpn_protocols=("h2",)), {"client_hello": edit})


# ---- computing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b":" * 60_000 + b"!", b"1." * 30_000, b"a." * 30_000, b"a" * 60_000, b"-" * 60_000]
)
def test_a_long_name(name: bytes) -> None:
    hostile = hello((E.SERVER_NAME, vector16(b"\0" + vector16(name))))
    assert costing(hostile.run) < MOMENT
    refused(hostile, DecodeError, "server_name", under=PLAIN)


def test_many_groups_and_shares() -> None:
    groups = list(range(0x5000, 0x5000 + 16_000))
    shares = [(group, b"x") for group in groups[-6000:]]
    hostile = HostileClient(server())
    hello = ClientHello(
        bytes(32),
        b"",
        (0x1301,),
        (
            (E.SUPPORTED_VERSIONS, b"\2\3\4"),
            (E.SUPPORTED_GROUPS, ext.encode_supported_groups(groups)),
            (E.SIGNATURE_ALGORITHMS, b"\0\2\4\3"),
            (E.KEY_SHARE, ext.encode_key_share_client(shares)),
        ),
    )
    hostile.handshake(hello.encode())
    assert costing(hostile.flush) < MOMENT
    assert len(refused(hostile, HandshakeFailure, "group", under=PLAIN).message) < 1000


def test_many_suites_schemes_and_versions() -> None:
    many = tuple(range(0x2000, 0x2000 + 30_000))
    hostile = hello(cipher_suites=many)
    assert costing(hostile.run) < MOMENT
    assert len(refused(hostile, HandshakeFailure, "cipher suite", under=PLAIN).message) < 1000
    hostile = HostileClient(server())
    hostile.edits = {
        "client_hello": with_extension(E.SIGNATURE_ALGORITHMS, ext.encode_signature_algorithms(many))
    }
    assert costing(hostile.run) < MOMENT
    assert len(refused(hostile, HandshakeFailure, "signature", under=PLAIN).message) < 1000


def test_many_protocols() -> None:
    names = [b"%05d" % index for index in range(10_000)]
    hostile = hello((E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn(names)))
    assert costing(hostile.run) < MOMENT
    assert len(refused(hostile, NoApplicationProtocol, under=PLAIN).message) < 1000


def test_a_protocol_writes_nothing_into_a_log() -> None:
    # What a peer sends is quoted in messages, never a line of its own or a control character.
    names = [b"h3\r\nroot: logged in", b"\x1b[2J", b"\xff\xfe", b"x" * 255]
    hostile = hello((E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn(names)))
    hostile.run()
    message = refused(hostile, NoApplicationProtocol, under=PLAIN).message
    assert message.isprintable() and len(message) < 500


@pytest.mark.parametrize("count", [MAX_EXTENSIONS + 1, 16_000])
def test_many_extensions(count: int) -> None:
    hostile = hello(*((code, b"") for code in range(0x3000, 0x3000 + count - 4)))
    assert costing(hostile.run) < MOMENT
    refused(hostile, DecodeError, "extensions", under=PLAIN)


def test_as_many_extensions_as_there_may_be() -> None:
    hostile = hello(*((code, b"") for code in range(0x3000, 0x3000 + MAX_EXTENSIONS - 4)))
    hostile.run()
    assert hostile.end.handshaken


def test_a_message_in_the_smallest_pieces() -> None:
    # Linear: a hello of 60,000 bytes in records of one byte, and byte by byte.
    message = b""

    def edit(hello: bytes) -> bytes:
        nonlocal message
        changed = adding((E.PADDING, bytes(20_000)))(hello)
        assert isinstance(changed, bytes)
        message = changed
        return message

    for size in (None, 6):
        hostile = HostileClient(server(), {"client_hello": edit})
        hostile.make("client_hello")
        for at in range(len(message)):
            hostile.record(ContentType.HANDSHAKE, message[at : at + 1])
        assert costing(lambda: hostile.flush(size)) < 4 * MOMENT  # noqa: B023  # it is called at once
        assert hostile.end.error is None and len(hostile.messages) > 1


# ---- holding ---------------------------------------------------------------------------------------------


@moments(UNPROTECTED + PROTECTED)
def test_what_an_incomplete_message_makes_an_engine_hold(make: Moment, under: str) -> None:
    kinds = {
        "START": HandshakeType.CLIENT_HELLO,
        "WAIT_SH": HandshakeType.SERVER_HELLO,
        "WAIT_EE": HandshakeType.ENCRYPTED_EXTENSIONS,
        "WAIT_FINISHED": HandshakeType.FINISHED,
    }
    hostile = make()
    kind = kinds.get(hostile.victim.state, HandshakeType.NEW_SESSION_TICKET)
    tracemalloc.start()
    try:
        hostile.record(ContentType.HANDSHAKE, bytes((kind,)) + MAX_HANDSHAKE_MESSAGE.to_bytes(3, "big"))
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(3):
            hostile.record(ContentType.HANDSHAKE, bytes(16_384))
            hostile.flush()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert hostile.end.error is None
    assert held < 2 * MAX_HANDSHAKE_MESSAGE


@moments(CONNECTED)
def test_answers_do_not_pile_up(make: Moment, under: str) -> None:
    # A peer that asks and does not read.
    hostile = make()
    victim = hostile.victim
    for _ in range(2000):
        hostile.record(ContentType.APPLICATION_DATA, b"x")
        hostile.update_keys(request=1)
        hostile.end.put(hostile._out)
        hostile._out = b""
        hostile.end.advance()
    assert hostile.end.error is None
    assert victim.send_path.output_size < 200


def test_certificates_do_not_pile_up_for_a_server_that_does_not_read() -> None:
    victim = client(credentials=credentials(client=True), post_handshake_auth=True)
    hostile: Hostile = HostileServer(victim)
    hostile.run()
    assert isinstance(hostile, HostileServer)
    for turn in range(1000):
        hostile.record(ContentType.APPLICATION_DATA, b"x")
        hostile.handshake(hostile.certificate_request(turn.to_bytes(2, "big")))
        hostile.end.put(hostile._out)
        hostile._out = b""
        hostile.end.advance()
        if hostile.end.error is not None:
            break
    assert type(hostile.end.error) is TooMuchError
    assert len(take(victim)) < 3 * SEND_WINDOW


@moments(CONNECTED)
def test_a_caller_that_asks_for_more_than_it_sends(make: Moment, under: str) -> None:
    # A want, and nothing is out of step: what the caller does is not the peer's flood.
    hostile = make()
    victim = hostile.victim
    for _ in range(10_000):
        try:
            victim.key_update()
        except WantWriteError:
            break
    assert SEND_WINDOW < victim.send_path.output_size < SEND_WINDOW + 100
    hostile.listen()
    victim.key_update()
    connected(hostile)


def test_a_failed_connection_holds_little() -> None:
    # Its error is kept; the hello that caused it is not.
    hostile = hello((0x7777, bytes(40_000)), cipher_suites=(0xC02F,))
    hostile.run()
    refused(hostile, HandshakeFailure, under=PLAIN)
    victim = hostile.victim
    assert victim.receive_path.unread == 0
    assert victim._control.state == "START" and not victim._control.started
    assert len(str(victim.error)) < 1000


# ---- saying ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [(b"\r\nroot", IllegalParameter), (b"\x1b[2J", IllegalParameter), (b"\xff" * 255, IllegalParameter)],
)
def test_a_protocol_of_a_server_is_quoted(protocol: bytes, expected: type[TLSError]) -> None:
    answer = adding((E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, ext.encode_alpn((protocol,))))
    hostile = HostileServer(client(alpn_protocols=("h2",)), {"encrypted_extensions": answer})
    hostile.run("server_hello", "encrypted_extensions")
    message = refused(hostile, expected, under="the handshake key").message
    assert message.isprintable() and len(message) < 1200


@moments(UNPROTECTED)
def test_unknown_numbers_are_told_as_such(make: Moment, under: str) -> None:
    hostile = make()
    hostile.handshake(frame(200, bytes(10)))
    hostile.flush()
    error = hostile.end.error
    assert error is not None and "handshaketype(0x00c8)" in error.message

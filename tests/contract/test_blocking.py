"""The SSL_write contract on the blocking carrier: clauses W01 to W22."""

from __future__ import annotations

import array
import mmap
import select
import signal
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.engine import HOST, ONLY_1_2, anchors, client_config, credentials, server_config
from tests.support.threads import Aside, receive, until
from tlswrite import errors, limits
from tlswrite.config import Mode
from tlswrite.iana import AlertDescription
from tlswrite.messages.finish import NewSessionTicket
from tlswrite.sync import TLSSocket

Joined = Callable[..., tuple[TLSSocket, TLSSocket]]

BLOCK = limits.MAX_PLAINTEXT
BIG = bytes(at * 11 % 253 for at in range(1_000_003))
SMALL_BUFFER = 8192
VERSIONS = pytest.mark.parametrize("version", [{}, ONLY_1_2], ids=["TLS 1.3", "TLS 1.2"])


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 4096)
    memory[:] = bytes(range(256)) * 16
    return memory


def shaken(pair: tuple[TLSSocket, TLSSocket]) -> tuple[TLSSocket, TLSSocket]:
    """Both sides through the handshake."""
    client, server = pair
    aside = Aside(server.do_handshake)
    client.do_handshake()
    aside.result()
    return client, server


# ---- W01 to W03 ----


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"view"),
        memoryview(array.array("I", [1, 2, 3])),
        memoryview(bytes(24)).cast("B", (2, 3, 4)),
        array.array("d", [1.5]),
        mapped(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_w01_w19_any_contiguous_buffer_is_written(joined: Joined, data: Any) -> None:
    client, server = shaken(joined())
    expected = memoryview(data).tobytes()
    assert client.send(data) == len(expected)
    assert receive(server, len(expected)) == expected


@pytest.mark.parametrize("data", ["text", 5, None])
def test_w01_what_is_no_buffer_is_a_type_error(joined: Joined, data: Any) -> None:
    client, _ = shaken(joined())
    with pytest.raises(TypeError):
        client.send(data)
    with pytest.raises(BufferError, match="not contiguous"):
        client.send(memoryview(b"abcd")[::2])


@VERSIONS
def test_w02_the_first_write_negotiates(joined: Joined, version: dict[str, Any]) -> None:
    client, server = joined(dict(version), dict(version))
    aside = Aside(receive, server, 5)
    assert client.send(b"first") == 5
    assert aside.result() == b"first"
    client, server = joined(dict(version), dict(version))
    aside = Aside(server.send, b"served")
    assert receive(client, 6) == b"served"
    assert aside.result() == 6


def test_w03_no_connection_without_a_role() -> None:
    first, second = socket.socketpair()
    with first, second:
        with pytest.raises(TypeError, match="ClientConfig"):
            TLSSocket(first, None)  # type: ignore[arg-type]  # that it is refused is the test
        with pytest.raises(errors.ConfigurationError, match="server_hostname"):
            TLSSocket(first, client_config())
        # The socket is still the caller's.
        first.sendall(b"x")
        assert second.recv(1) == b"x"


# ---- W04, W05, W07, W09: the peer's messages in the middle of a write ----
#
# A write looks at its input where it is blocked. While nobody reads, it soon is; a reader that keeps up with it may
# spare it that. So each test waits, before it reads, until the writer has seen what it is to see.


@pytest.mark.parametrize("writer", ["client", "server"])
def test_w04_w09_renegotiations_in_the_middle_of_a_write(joined: Joined, writer: str) -> None:
    client, server = shaken(
        joined(ONLY_1_2, {**ONLY_1_2, "allow_client_renegotiation": True}, buffer=SMALL_BUFFER)
    )
    ours, theirs = (client, server) if writer == "client" else (server, client)
    after = ours.connection._control.after
    aside = Aside(ours.send, BIG)
    received = b""
    for _ in range(10):
        theirs.renegotiate()
        until(lambda: ours.connection.send_path.held)
        received += receive(theirs, 50_000)
    received += receive(theirs, len(BIG) - len(received))
    assert aside.result() == len(BIG)
    assert received == BIG
    assert ours.connection._control.after is not after
    assert ours.connection.send_path.read_wants > 0


def test_w04_w09_data_that_comes_meanwhile_is_kept_for_the_reader(joined: Joined) -> None:
    client, server = shaken(joined(ONLY_1_2, ONLY_1_2, buffer=SMALL_BUFFER))
    server.send(b"before ")
    server.renegotiate()
    server.send(b"behind")
    aside = Aside(client.send, BIG)
    until(lambda: client.connection.send_path.held)
    assert receive(server, len(BIG)) == BIG
    assert aside.result() == len(BIG)
    assert receive(client, 13) == b"before behind"


@pytest.mark.parametrize("reading", [False, True], ids=["alone", "beside a reader"])
def test_w05_w09_key_updates_in_the_middle_of_a_write(joined: Joined, reading: bool) -> None:
    client, server = shaken(joined(buffer=SMALL_BUFFER))
    reader = Aside(receive, client, 3) if reading else None
    aside = Aside(client.send, BIG)
    received = b""
    receive_path = client.connection.receive_path
    for _ in range(10):
        opener = receive_path._opener
        server.key_update(request_peer=True)
        until(lambda opener=opener: receive_path._opener is not opener)  # type: ignore[misc]
        received += receive(server, 50_000)
    received += receive(server, len(BIG) - len(received))
    assert aside.result() == len(BIG) and received == BIG
    # The answers came: what opens our records was replaced.
    assert server.connection.receive_path._opener.sequence < -(-len(BIG) // 16384)
    server.send(b"end")
    assert (reader.result() if reader is not None else receive(client, 3)) == b"end"


def test_w05_a_certificate_is_asked_for_in_the_middle_of_a_write(joined: Joined) -> None:
    mine = {"post_handshake_auth": True, "credentials": credentials(client=True)}
    client, server = shaken(joined(mine, {"trust_anchors": anchors()}, buffer=SMALL_BUFFER))
    # What came with the handshake, tickets, is out of the way.
    server.send(b"x")
    assert receive(client, 1) == b"x"
    before = client.connection.handled
    aside = Aside(client.send, BIG)
    server.verify_client_post_handshake()
    until(lambda: client.connection.handled > before)
    assert receive(server, len(BIG)) == BIG
    assert aside.result() == len(BIG)
    client.send(b"x")
    assert receive(server, 1) == b"x"
    assert server.getpeercert(True) == credentials(client=True).chain[0]


@pytest.mark.parametrize("auto_retry", [True, False])
def test_w07_without_auto_retry_a_renegotiation_surfaces_as_want_read(
    joined: Joined, auto_retry: bool
) -> None:
    mode = Mode.AUTO_RETRY if auto_retry else Mode(0)
    client, server = shaken(joined({**ONLY_1_2, "mode": mode}, ONLY_1_2, buffer=SMALL_BUFFER))

    def write() -> int:
        surfaced = 0
        while True:
            try:
                assert client.send(BIG) == len(BIG)
                return surfaced
            except ssl.SSLWantReadError:
                surfaced += 1

    aside = Aside(write)
    received = receive(server, 100_000)
    server.renegotiate()
    until(lambda: client.connection.send_path.held)
    received += receive(server, 100_000)
    # The server's part is done by its reading, which may come before or behind the client's.
    received += receive(server, len(BIG) - len(received))
    assert received == BIG
    assert aside.result() == (0 if auto_retry else 1)


@pytest.mark.parametrize("auto_retry", [True, False])
def test_w07_without_auto_retry_a_read_returns_at_a_record_that_is_no_data(
    joined: Joined, auto_retry: bool
) -> None:
    mode = Mode.AUTO_RETRY if auto_retry else Mode(0)
    client, server = shaken(joined({"mode": mode}))
    ticket = NewSessionTicket(lifetime=60, age_add=0, nonce=b"n", ticket=b"t", extensions=())
    server.connection._control.send(ticket.encode())
    server.send(b"")
    aside = Aside(client.recv, 10)
    if auto_retry:
        server.send(b"data")
        assert aside.result() == b"data"
    else:
        server.key_update()
        with pytest.raises(ssl.SSLWantReadError):
            aside.result()
        server.send(b"data")
        while True:
            try:
                assert client.recv(10) == b"data"
                break
            except ssl.SSLWantReadError:
                continue


# ---- W06: returns when all is written ----


@VERSIONS
def test_w06_w12_a_write_returns_when_all_of_it_is_written(joined: Joined, version: dict[str, Any]) -> None:
    client, server = shaken(joined(dict(version), dict(version), buffer=SMALL_BUFFER))
    aside = Aside(client.send, BIG)
    # The kernel takes a little at a time: it cannot have returned while most is unread.
    received = receive(server, len(BIG) // 2)
    assert aside.running
    received += receive(server, len(BIG) - len(received))
    assert aside.result() == len(BIG)
    assert received == BIG
    assert not client.connection.send_path.has_output


def test_w06_signals_do_not_disturb_a_write(joined: Joined) -> None:
    client, server = shaken(joined(buffer=SMALL_BUFFER))
    heard = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

    def slowly() -> bytes:
        received = b""
        for signals in range(1, 21):
            until(lambda signals=signals: len(heard) >= signals)  # type: ignore[misc]
            received += receive(server, 1000)
        return received + receive(server, len(BIG) - len(received))

    try:
        aside = Aside(slowly)
        assert client.send(BIG) == len(BIG)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert aside.result() == BIG
    assert len(heard) >= 20


def test_w06_a_signal_handler_that_raises_leaves_a_write_to_be_repeated(joined: Joined) -> None:
    class Stop(Exception):
        pass

    def stop(number: int, frame: object) -> None:
        raise Stop

    client, server = shaken(joined(buffer=SMALL_BUFFER))
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Stop):
            client.send(BIG)
    finally:
        signal.signal(signal.SIGALRM, before)
    aside = Aside(client.send, BIG)
    assert receive(server, len(BIG)) == BIG
    assert aside.result() == len(BIG)


@VERSIONS
@pytest.mark.parametrize("size", [len(BIG), 30_000])
def test_w06_w15_w17_a_write_that_timed_out_is_repeated_with_the_same_arguments(
    joined: Joined, version: dict[str, Any], size: int
) -> None:
    client, server = shaken(joined(dict(version), dict(version), buffer=SMALL_BUFFER))
    data = BIG[:size]
    client.settimeout(0.02)
    for _ in range(3):
        with pytest.raises(TimeoutError, match="same arguments"):
            client.send(data)
    for other in (bytes(size), data[:-1], bytes(bytearray(data))):
        with pytest.raises(errors.BadWriteRetry):
            client.send(other)
    client.settimeout(20)
    aside = Aside(client.send, data)
    assert receive(server, size) == data
    assert aside.result() == size
    # Nothing came twice.
    client.send(b"end")
    assert receive(server, 3) == b"end"
    assert client.connection.send_path.committed == size + 3


# ---- W08, W13, W14, W16: non-blocking, with select, as the manual describes ----


def patiently(sock: TLSSocket, call: Callable[[], Any]) -> Any:
    """Repeat a call on a non-blocking socket as its wants say."""
    while True:
        try:
            return call()
        except ssl.SSLWantReadError:
            assert select.select([sock], [], [], 20)[0]
        except ssl.SSLWantWriteError:
            assert select.select([], [sock], [], 20)[1]


@VERSIONS
def test_w08_w20_wants_and_select(joined: Joined, version: dict[str, Any]) -> None:
    client, server = joined(dict(version), dict(version), buffer=SMALL_BUFFER)
    client.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError) as want:
        client.send(BIG)
    assert isinstance(want.value, errors.WantReadError) and want.value.code == errors.SSLErrorCode.WANT_READ
    aside = Aside(server.do_handshake)
    patiently(client, client.do_handshake)
    aside.result()
    with pytest.raises(ssl.SSLWantWriteError):
        client.send(BIG)
    with pytest.raises(ssl.SSLWantReadError):
        client.recv(1)
    aside = Aside(receive, server, len(BIG))
    assert patiently(client, lambda: client.send(BIG)) == len(BIG)
    assert aside.result() == BIG


def test_w13_w14_partial_writes_are_message_blocks(joined: Joined) -> None:
    client, server = shaken(joined({"mode": Mode.ENABLE_PARTIAL_WRITE}, buffer=SMALL_BUFFER))
    client.setblocking(False)
    aside = Aside(receive, server, len(BIG))
    rest = memoryview(BIG)
    sizes = []
    while rest:
        count = patiently(client, lambda rest=rest: client.send(rest))  # type: ignore[misc]
        sizes.append(count)
        rest = rest[count:]
    assert aside.result() == BIG
    assert sum(sizes) == len(BIG) and len(sizes) > 1
    assert all(size % BLOCK == 0 for size in sizes[:-1])


def test_w13_sendall_writes_all_whatever_the_mode(joined: Joined) -> None:
    client, server = shaken(joined({"mode": Mode.ENABLE_PARTIAL_WRITE}, buffer=SMALL_BUFFER))
    aside = Aside(receive, server, len(BIG))
    client.sendall(BIG)
    assert aside.result() == BIG


@pytest.mark.parametrize("moving", [True, False])
def test_w16_an_equal_copy_with_a_moving_buffer(joined: Joined, moving: bool) -> None:
    mode = Mode.ACCEPT_MOVING_WRITE_BUFFER if moving else Mode(0)
    client, server = shaken(joined({"mode": mode}, buffer=SMALL_BUFFER))
    client.setblocking(False)
    data = bytearray(BIG)
    with pytest.raises(ssl.SSLWantWriteError):
        client.send(data)
    with pytest.raises(errors.BadWriteRetry):
        client.send(bytearray(len(BIG)))
    client.setblocking(True)
    aside = Aside(receive, server, len(BIG))
    if moving:
        assert client.send(bytearray(BIG)) == len(BIG)
    else:
        with pytest.raises(errors.BadWriteRetry):
            client.send(bytearray(BIG))
        assert client.send(data) == len(BIG)
    assert aside.result() == BIG


# ---- W18, W21, W22 ----


def test_w18_an_empty_write(joined: Joined) -> None:
    client, server = joined()
    aside = Aside(server.do_handshake)
    assert client.send(b"") == 0  # it negotiates all the same
    aside.result()
    before = client.connection.send_path._sealer.sequence
    assert client.send(b"") == 0
    assert client.connection.send_path._sealer.sequence == before


def test_w20_w21_an_error_is_told_apart_and_stays(joined: Joined) -> None:
    client, server = shaken(joined())
    server.connection._control.send_alert(AlertDescription.INTERNAL_ERROR)
    server.send(b"")
    for call in (
        lambda: client.recv(1),
        lambda: client.send(b"x"),
        client.do_handshake,
        lambda: client.recv(1),
    ):
        with pytest.raises(errors.AlertReceived) as caught:
            call()
        assert caught.value.code == errors.SSLErrorCode.SSL and not caught.value.retryable
    # A caller's mistake changes nothing.
    client, server = shaken(joined())
    with pytest.raises(errors.CallerError) as mistake:
        client.verify_client_post_handshake()
    assert mistake.value.retryable
    client.send(b"goes on")
    assert receive(server, 7) == b"goes on"


@VERSIONS
def test_w22_ends_are_told_apart(joined: Joined, version: dict[str, Any]) -> None:
    client, server = shaken(joined(dict(version), dict(version)))
    server.close()
    assert client.recv(1) == b"" and client.recv(1) == b""
    client, server = shaken(joined(dict(version), dict(version)))
    socket.socket(fileno=server.detach()).close()
    with pytest.raises(errors.TruncationError) as bare:
        client.recv(1)
    assert isinstance(bare.value, ssl.SSLEOFError) and bare.value.code == errors.SSLErrorCode.SYSCALL


def test_w22_a_reset_is_a_syscall_error_with_its_cause() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = socket.create_connection(listener.getsockname())
        second, _ = listener.accept()
    client, server = shaken((TLSSocket(first, client_config(), HOST), TLSSocket(second, server_config())))
    plain = socket.socket(fileno=server.detach())
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()
    with client:
        with pytest.raises(errors.SyscallError) as caught:
            client.recv(1)
        assert not isinstance(caught.value, errors.TruncationError)
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        with pytest.raises(errors.SyscallError):
            client.send(b"x")

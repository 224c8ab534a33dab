"""What moves bytes between the engine and a socket: buffers, bounds, locks."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.support.engine import HOST, ONLY_1_2, client_config, server_config
from tests.support.threads import Aside, receive, until
from tlswrite import limits
from tlswrite.errors import AlertReceived, SyscallError, WantReadError
from tlswrite.iana import AlertDescription
from tlswrite.sync import TLSSocket

Joined = Callable[..., tuple[TLSSocket, TLSSocket]]
BIG = bytes(at * 7 % 251 for at in range(2_000_003))


def shaken(pair: tuple[TLSSocket, TLSSocket]) -> tuple[TLSSocket, TLSSocket]:
    client, server = pair
    aside = Aside(server.do_handshake)
    client.do_handshake()
    aside.result()
    return client, server


def test_what_a_write_keeps_for_the_reader_is_bounded(joined: Joined) -> None:
    client, server = shaken(joined(buffer=8192))
    sending = Aside(server.sendall, BIG)
    writing = Aside(client.sendall, BIG)
    until(lambda: client.pending() > limits.KEPT_IN_WRITE)
    with client._lock:
        # The writer waits, and not for input.
        assert not client._polling
    assert client.pending() <= limits.KEPT_IN_WRITE + 128 * 1024
    assert sending.running and writing.running
    reading = Aside(receive, server, len(BIG))
    assert receive(client, len(BIG)) == BIG
    assert reading.result() == BIG
    sending.result()
    writing.result()


def test_an_alert_is_the_cause_of_a_write_that_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = socket.create_connection(listener.getsockname())
        second, _ = listener.accept()
    client, server = shaken((TLSSocket(first, client_config(), HOST), TLSSocket(second, server_config())))
    with client, server:
        server.connection._control.send_alert(AlertDescription.INTERNAL_ERROR)
        server.send(b"")
        server.close()  # input may be unread: then it is a reset
        with pytest.raises((AlertReceived, SyscallError)) as caught:
            for _ in range(1000):
                client.sendall(bytes(65536))
        assert isinstance(caught.value, AlertReceived)


def test_a_held_write_on_a_non_blocking_socket_beside_a_reader(joined: Joined) -> None:
    client, _ = shaken(joined(ONLY_1_2, ONLY_1_2))
    client.renegotiate()
    client.setblocking(False)
    client._reader = True  # as if a thread were in recv
    with pytest.raises(WantReadError):
        client.send(b"x")
    client._reader = False


def test_an_idle_socket_keeps_no_buffers(joined: Joined) -> None:
    client, server = shaken(joined())
    aside = Aside(server.sendall, BIG)
    receive(client, len(BIG))
    aside.result()
    assert client.pending() == 0
    assert client.connection.receive_path.unread == 0
    assert not client.connection.send_path.has_output


def test_a_reader_that_finishes_the_handshake_wakes_the_writer(joined: Joined) -> None:
    # Whoever takes the last message of the handshake, the other must not go on waiting for it.
    for _ in range(60):
        client, server = joined(ONLY_1_2, ONLY_1_2)
        client.settimeout(5)
        echo = Aside(lambda sock: sock.sendall(receive(sock, 1000)), server)
        writer = Aside(client.sendall, bytes(1000))
        assert receive(client, 1000) == bytes(1000)
        writer.result()
        echo.result()


def test_a_reader_that_comes_while_a_writer_waits_for_the_peer(joined: Joined) -> None:
    # The writer waits for a renegotiation, and so for input; what comes is the reader's all the same.
    for _ in range(20):
        client, server = shaken(joined(ONLY_1_2, {**ONLY_1_2, "allow_client_renegotiation": True}))
        server.renegotiate()
        reader = Aside(receive, server, 5)
        client.sendall(b"begin")
        assert reader.result() == b"begin"
        client.renegotiate()
        writer = Aside(client.sendall, b"x" * 5)
        back = Aside(receive, client, 5)
        server_reads = Aside(receive, server, 5)
        server.sendall(b"y" * 5)
        assert server_reads.result() == b"x" * 5
        assert back.result() == b"y" * 5
        writer.result()

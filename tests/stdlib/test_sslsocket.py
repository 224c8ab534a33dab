"""SSLSocket, beside the standard library's."""

from __future__ import annotations

import errno
import io
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import tlswrite
from tests.support import contexts, pki
from tests.support.contexts import client_context, server_context, sockets
from tests.support.threads import Aside, receive
from tlswrite.stdlib import SSLSocket
from tlswrite.sync import TLSSocket

#: Names that come from the standard library's classes as they are, or from a plain socket.
INHERITED = {
    "bind",
    "family",
    "fileno",
    "get_inheritable",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "makefile",
    "proto",
    "set_inheritable",
    "setsockopt",
    "type",
}


@pytest.fixture
def pair(cls: Any, files: pki.Files) -> Iterator[tuple[Any, Any]]:
    with sockets(client_context(cls), server_context(cls, files)) as made:
        yield made


@pytest.fixture
def listener(cls: Any, files: pki.Files) -> Iterator[Any]:
    """A listening socket with TLS, whose accepted sockets shake hands at once."""
    plain = socket.create_server(("127.0.0.1", 0))
    plain.settimeout(contexts.TIMEOUT)
    with server_context(cls, files).wrap_socket(plain, server_side=True) as made:
        yield made


def test_every_public_name_is_ours_or_a_sockets_own() -> None:
    ours = {
        name for each in SSLSocket.__mro__ if each.__module__.startswith("tlswrite.") for name in vars(each)
    }
    # Closing goes through `_real_close`, which the carrier has.
    public = {name for name in dir(ssl.SSLSocket) if not name.startswith("_")}
    # The last one is about sockets of another family, on Linux.
    assert public - ours - {"sendmsg_afalg"} == INHERITED | {"close"}


def test_it_is_both_kinds_of_socket(files: pki.Files) -> None:
    with sockets(client_context(), server_context(tlswrite.SSLContext, files)) as pair:
        for each in pair:
            assert isinstance(each, ssl.SSLSocket) and isinstance(each, TLSSocket)
            with pytest.raises(TypeError, match="public constructor"):
                type(each)()


def test_facts(pair: tuple[Any, Any]) -> None:
    client, server = pair
    assert client.version() == server.version() == "TLSv1.3"
    assert client.cipher() == server.cipher()
    assert (client.server_side, server.server_side) == (False, True)
    assert (client.server_hostname, server.server_hostname) == (contexts.HOST, None)
    assert client.getpeercert(True) == pki.issue().certificate_der
    assert client.cipher() in server.shared_ciphers()
    assert isinstance(client.context, ssl.SSLContext)
    assert (client.do_handshake_on_connect, client.suppress_ragged_eofs) == (True, True)
    assert (client.session_reused, client.compression(), client.selected_alpn_protocol()) == (
        False,
        None,
        None,
    )
    assert client.get_channel_binding() is None or client.version() == "TLSv1.3"
    with pytest.raises(ValueError):
        client.get_channel_binding("x")
    with pytest.warns(DeprecationWarning, match="NPN"):
        assert client.selected_npn_protocol() is None


def test_libraries_may_look_inside(cls: Any, files: pki.Files) -> None:
    client, server = client_context(cls), server_context(cls, files)
    client.set_alpn_protocols(["h2"])
    server.set_alpn_protocols(["h2"])
    with sockets(client, server) as (near, far):
        # httpcore does.
        assert near._sslobj.selected_alpn_protocol() == far._sslobj.selected_alpn_protocol() == "h2"
        assert near._sslobj.version() == near.version()


def test_the_chains(files: pki.Files) -> None:
    with sockets(client_context(), server_context(tlswrite.SSLContext, files)) as (client, server):
        assert client.get_unverified_chain() == [pki.issue().certificate_der]
        assert client.get_verified_chain() == [pki.issue().certificate_der, pki.authority().certificate_der]
        assert server.get_verified_chain() == server.get_unverified_chain() == []


def test_data_both_ways(pair: tuple[Any, Any]) -> None:
    client, server = pair
    assert client.send(b"one") == 3
    assert server.recv() == b"one"
    assert server.write(b"two") == 3
    assert client.read() == b"two"
    client.sendall(memoryview(b"three"))
    buffer = bytearray(8)
    assert server.recv_into(buffer) == 5
    client.send(b"four")
    assert server.recv_into(buffer, 2) == 2 and server.pending() == 2
    assert server.recv_into(buffer, None) == 2
    client.send(b"five")
    assert server.read(2, buffer) == 2 and buffer.startswith(b"fi")
    assert server.recv(0) == b""


def test_a_buffer_that_is_smaller_than_what_is_asked_for_is_filled(pair: tuple[Any, Any]) -> None:
    client, server = pair
    buffer = bytearray(4)
    client.sendall(b"abcdefghijkl")
    assert server.read(buffer=buffer) == 4 and buffer == b"abcd"
    assert server.read(100, buffer) == 4 and buffer == b"efgh"
    assert server.recv_into(buffer, 100) == 4 and buffer == b"ijkl"


@pytest.mark.parametrize(
    "call",
    [
        lambda sock: sock.send(b"x", 1),
        lambda sock: sock.sendall(b"x", 1),
        lambda sock: sock.recv(1, 1),
        lambda sock: sock.recv_into(bytearray(1), 1, 1),
        lambda sock: sock.sendto(b"x", ("127.0.0.1", 1)),
        lambda sock: sock.recvfrom(1),
        lambda sock: sock.recvfrom_into(bytearray(1)),
        lambda sock: sock.recv(-1),
    ],
)
def test_flags_and_addresses_are_no_part_of_tls(pair: tuple[Any, Any], call: Any) -> None:
    with pytest.raises(ValueError):
        call(pair[0])


@pytest.mark.parametrize("name", ["sendmsg", "recvmsg", "recvmsg_into", "dup"])
def test_calls_that_would_go_round_tls(pair: tuple[Any, Any], name: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(pair[0], name)(*([b""] if name != "dup" else []))


def test_a_blocking_send_is_of_all(pair: tuple[Any, Any]) -> None:
    client, server = pair
    data = bytes(1_000_000)
    reader = Aside(receive, server, len(data))
    assert client.send(data) == len(data)
    assert reader.result() == data


def test_files_over_it(pair: tuple[Any, Any], tmp_path: Path) -> None:
    client, server = pair
    with client.makefile("wb") as out, server.makefile("rb") as lines:
        out.write(b"first\nsecond\n")
        out.flush()
        assert (lines.readline(), lines.readline()) == (b"first\n", b"second\n")
    sent = tmp_path / "file"
    sent.write_bytes(bytes(range(256)) * 100)
    reader = Aside(receive, server, 25_000)
    with sent.open("rb") as file:
        assert client.sendfile(file, 100, 25_000) == 25_000
    assert reader.result() == sent.read_bytes()[100:25_100]
    assert client.sendfile(io.BytesIO(b"small")) == 5
    assert receive(server, 5) == b"small"


def test_timeouts(pair: tuple[Any, Any]) -> None:
    client, _ = pair
    client.settimeout(0.01)
    assert (client.gettimeout(), client.timeout, client.getblocking()) == (0.01, 0.01, True)
    with pytest.raises(TimeoutError):
        client.recv()


def test_without_blocking_it_wants(pair: tuple[Any, Any]) -> None:
    client, server = pair
    client.setblocking(False)
    with pytest.raises(ssl.SSLWantReadError):
        while True:
            client.recv()
    data = bytes(8_000_000)
    with pytest.raises(ssl.SSLWantWriteError):
        client.send(data)
    reader = Aside(receive, server, len(data))
    client.setblocking(True)
    # An equal object goes on where that one stopped.
    assert client.send(bytearray(data)) == len(data)
    assert reader.result() == data


def test_close_notify_is_an_end(pair: tuple[Any, Any]) -> None:
    client, server = pair
    unwrapping = Aside(client.unwrap)
    assert server.recv() == b""
    server.unwrap()
    unwrapping.result()


@pytest.mark.parametrize("suppress", [True, False])
def test_a_ragged_end(cls: Any, files: pki.Files, suppress: bool) -> None:
    contexts.skip_old_reference(cls)
    with sockets(client_context(cls), server_context(cls, files), suppress_ragged_eofs=suppress) as (
        client,
        server,
    ):
        # A descriptor of its own for the peer: closing says nothing in TLS.
        socket.socket(fileno=server.detach()).close()
        if suppress:
            assert client.recv() == b""
            assert client.recv_into(bytearray(3)) == 0
        else:
            with pytest.raises(ssl.SSLEOFError) as caught:
                client.recv()
            assert caught.value.args[0] == ssl.SSL_ERROR_EOF


def test_after_unwrap_it_is_a_plain_socket(pair: tuple[Any, Any]) -> None:
    client, server = pair
    client.mark = server.mark = "the application's"
    other = Aside(server.unwrap)
    plain, far = client.unwrap(), other.result()
    assert plain is client and far is server
    assert (plain.version(), plain.cipher(), plain.pending(), plain.mark) == (
        None,
        None,
        0,
        "the application's",
    )
    assert plain.gettimeout() == contexts.TIMEOUT
    plain.sendall(b"plain")
    assert far.recv(10) == b"plain"
    with pytest.raises(ValueError, match="No SSL wrapper"):
        plain.unwrap()
    assert isinstance(plain.context, ssl.SSLContext)


def test_unwrapping_takes_nothing_behind_close_notify(pair: tuple[Any, Any]) -> None:
    client, server = pair

    def end_and_say_more() -> None:
        server.unwrap()
        server.sendall(b"plain")

    other = Aside(end_and_say_more)
    plain = client.unwrap()
    other.result()
    assert receive(plain, 5) == b"plain"


# ---- connecting, accepting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["connect", "connect_ex"])
def test_connecting_shakes_hands(cls: Any, listener: Any, way: str) -> None:
    accepting = Aside(listener.accept)
    with client_context(cls).wrap_socket(socket.socket(), server_hostname=contexts.HOST) as client:
        client.settimeout(contexts.TIMEOUT)
        assert client.version() is None
        with pytest.raises(OSError) as caught:
            client.getpeercert()
        assert caught.value.errno == errno.ENOTCONN
        assert getattr(client, way)(listener.getsockname()) in (None, 0)
        assert client.version() == "TLSv1.3"
        accepted, address = accepting.result()
        with accepted:
            assert address == client.getsockname()
            assert type(accepted) is type(client)
            assert accepted.context is listener.context
        with pytest.raises(ValueError, match="already-connected"):
            getattr(client, way)(listener.getsockname())


def test_several_threads_accept(cls: Any, listener: Any) -> None:
    contexts.skip_old_reference(cls)
    threads, rounds = 4, 10

    def accept_some() -> None:
        for _ in range(rounds):
            listener.accept()[0].close()

    waiting = [Aside(accept_some) for _ in range(threads)]
    for _ in range(threads * rounds):
        with client_context(cls).wrap_socket(socket.socket(), server_hostname=contexts.HOST) as client:
            client.settimeout(contexts.TIMEOUT)
            client.connect(listener.getsockname())
            client.recv(1)
    for each in waiting:
        each.result()


def test_a_server_does_not_connect(listener: Any, files: pki.Files, cls: Any) -> None:
    with server_context(cls, files).wrap_socket(socket.socket(), server_side=True) as server:
        with pytest.raises(ValueError, match="server-side"):
            server.connect(listener.getsockname())
        with pytest.raises(ValueError, match="server-side"):
            server.connect_ex(listener.getsockname())


def test_the_handshake_can_be_left_for_later(cls: Any, files: pki.Files) -> None:
    first, second = socket.socketpair()
    options = {"do_handshake_on_connect": False}
    with (
        client_context(cls).wrap_socket(first, server_hostname=contexts.HOST, **options) as client,
        server_context(cls, files).wrap_socket(second, server_side=True, **options) as server,
    ):
        assert client.version() is None
        other = Aside(server.do_handshake)
        client.do_handshake()
        other.result()
        assert client.version() == "TLSv1.3"


def test_no_handshake_at_once_without_blocking(cls: Any) -> None:
    first, second = socket.socketpair()
    with first, second:
        first.setblocking(False)
        with pytest.raises(ValueError, match="do_handshake_on_connect should not be specified"):
            client_context(cls).wrap_socket(first, server_hostname=contexts.HOST)


def test_a_failed_handshake_closes_the_socket(cls: Any, files: pki.Files) -> None:
    with pytest.raises(ssl.SSLCertVerificationError), ExitStack() as stack:
        stack.enter_context(sockets(client_context(cls, trusting=False), server_context(cls, files)))


MISTAKES: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "no name": ({}, ValueError),
    "a server's name": ({"server_side": True, "server_hostname": "x"}, ValueError),
    "a server's session": ({"server_side": True, "session": 3}, ValueError),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_leaves_the_socket_alone(cls: Any, files: pki.Files, mistake: str) -> None:
    options, expected = MISTAKES[mistake]
    context = server_context(cls, files) if options.get("server_side") else client_context(cls)
    first, second = socket.socketpair()
    with first, second:
        with pytest.raises(expected):
            context.wrap_socket(first, **options)
        first.sendall(b"still plain")
        assert second.recv(100) == b"still plain"


def test_datagrams_are_refused(cls: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(NotImplementedError):
        client_context(cls).wrap_socket(sock, server_hostname=contexts.HOST)


def test_what_waits_in_a_socket_that_was_never_connected_is_no_plaintext(files: pki.Files) -> None:
    # CVE-2023-40217: a peer that closed before the handshake must not get its bytes to the application.
    first, second = socket.socketpair()
    second.sendall(b"GET / HTTP/1.1\r\n\r\n")
    second.close()
    context = server_context(tlswrite.SSLContext, files)
    with (
        context.wrap_socket(first, server_side=True, do_handshake_on_connect=False) as server,
        pytest.raises(ssl.SSLError),
    ):
        server.recv(100)


def test_a_session_is_resumed(cls: Any, files: pki.Files) -> None:
    client, server = client_context(cls), server_context(cls, files)
    with sockets(client, server) as (near, far):
        far.sendall(b"x")
        assert near.recv() == b"x"
        session = near.session
    with sockets(client, server, session=session) as (near, far):
        assert near.session_reused and far.session_reused
        with pytest.raises(ValueError):
            near.session = session


@pytest.mark.parametrize("writes", [False, True])
def test_wants_are_the_very_classes_of_ssl(pair: tuple[Any, Any], writes: bool) -> None:
    client, _ = pair
    client.setblocking(False)
    with pytest.raises(ssl.SSLWantWriteError if writes else ssl.SSLWantReadError) as caught:
        while True:
            client.send(bytes(8_000_000)) if writes else client.recv()
    assert type(caught.value) in (ssl.SSLWantReadError, ssl.SSLWantWriteError)

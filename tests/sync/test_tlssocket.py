"""TLSSocket as a socket: what users of `ssl.SSLSocket` call, against Python's `ssl` and `http` too."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import io
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import BOTH, ECDHE, HOST, ONLY_1_2, client_config, credentials, server_config
from tests.support.threads import Aside, receive
from tlswrite.config import Mode
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import (
    AlertReceived,
    CallerError,
    CertificateError,
    SyscallError,
    TruncationError,
    WantReadError,
    WantWriteError,
)
from tlswrite.session import SessionCache
from tlswrite.sync import TLSSocket

Joined = Callable[..., tuple[TLSSocket, TLSSocket]]
BIG = bytes(at * 7 % 251 for at in range(400_003))
VERSIONS = pytest.mark.parametrize("version", [{}, ONLY_1_2], ids=["TLS 1.3", "TLS 1.2"])


def shaken(pair: tuple[TLSSocket, TLSSocket]) -> tuple[TLSSocket, TLSSocket]:
    client, server = pair
    aside = Aside(server.do_handshake)
    client.do_handshake()
    aside.result()
    return client, server


# ---- a socket ----


def test_it_is_a_socket_that_took_over_the_descriptor() -> None:
    first, second = socket.socketpair()
    first.settimeout(3.5)
    number = first.fileno()
    with second, TLSSocket(first, client_config(), HOST) as sock:
        assert isinstance(sock, socket.socket)
        assert first.fileno() == -1 and sock.fileno() == number
        assert (sock.family, sock.type, sock.gettimeout(), sock.timeout) == (
            first.family,
            first.type,
            3.5,
            3.5,
        )
        assert sock.getblocking()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert sock.server_hostname == HOST and not sock.server_side
        assert (sock.version(), sock.cipher(), sock.group(), sock.compression()) == (None,) * 4
        assert not sock.session_reused and sock.pending() == 0
        assert sock.ocsp_response is None
        with pytest.raises(ValueError, match="handshake not done"):
            sock.getpeercert()
    assert sock.fileno() == -1


def test_what_it_cannot_be_made_of() -> None:
    with pytest.raises(TypeError, match="a socket is needed"):
        TLSSocket(io.BytesIO(), client_config(), HOST)  # type: ignore[arg-type]  # that is the test
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="stream"):
        TLSSocket(sock, client_config(), HOST)


def test_timeouts_as_sockets_have_them(joined: Joined) -> None:
    client, _ = joined()
    client.settimeout(None)
    assert client.gettimeout() is None and client.getblocking()
    client.setblocking(False)
    assert client.gettimeout() == 0 and not client.getblocking()
    client.setblocking(True)
    assert client.gettimeout() is None
    with pytest.raises(ValueError, match="out of range"):
        client.settimeout(-1)
    client.settimeout(0.01)
    with pytest.raises(TimeoutError):
        client.do_handshake()
    with pytest.raises(TimeoutError):
        client.recv(1)


@VERSIONS
def test_facts(joined: Joined, version: dict[str, Any]) -> None:
    fields = {**version, "alpn_protocols": ("h2",)}
    client, server = shaken(joined(fields, fields))
    assert client.version() == server.version() == ("TLSv1.2" if version else "TLSv1.3")
    assert client.cipher() is not None and client.cipher() == server.cipher()
    assert client.group() == "x25519"
    assert client.selected_alpn_protocol() == "h2"
    assert client.getpeercert(True) == credentials().chain[0]
    assert isinstance(client.getpeercert(), dict)
    assert server.getpeercert() is None
    assert server.server_side and server.server_hostname is None
    assert client.context is client.connection.config
    assert client.get_channel_binding() == server.get_channel_binding()
    label = b"EXPORTER-test"
    assert client.export_keying_material(label, 20) == server.export_keying_material(label, 20)


def test_calls_that_a_stream_with_keys_has_not(joined: Joined) -> None:
    client, _ = shaken(joined())
    for name, expected in (
        ("sendto", ValueError),
        ("recvfrom", ValueError),
        ("recvfrom_into", ValueError),
        ("sendmsg", NotImplementedError),
        ("recvmsg", NotImplementedError),
        ("recvmsg_into", NotImplementedError),
    ):
        with pytest.raises(expected, match="not allowed"):
            getattr(client, name)(b"x")
    with pytest.raises(NotImplementedError, match="dup"):
        client.dup()
    for call in (
        lambda: client.send(b"x", 1),
        lambda: client.sendall(b"x", 1),
        lambda: client.recv(1, 1),
        lambda: client.recv_into(bytearray(1), 1, 1),
    ):
        with pytest.raises(ValueError, match="non-zero flags"):
            call()
    with pytest.raises(CallerError):
        client.renegotiate()


def test_after_close_it_is_a_bad_descriptor(joined: Joined) -> None:
    client, _ = shaken(joined())
    client.close()
    client.close()
    for call in (lambda: client.send(b"x"), lambda: client.recv(1), client.do_handshake, client.unwrap):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == 9


# ---- reading ----


@VERSIONS
def test_reading_in_every_size(joined: Joined, version: dict[str, Any]) -> None:
    client, server = shaken(joined(dict(version), dict(version)))
    aside = Aside(server.sendall, BIG)
    received = client.recv(0)
    assert received == b""
    buffer = bytearray(20_000)
    for size in (1, 2, 100, 16_384, 16_640, 50_000):
        received += receive(client, size)
    while len(received) < len(BIG):
        room = min(len(buffer), len(BIG) - len(received))
        count = client.recv_into(buffer, room)
        received += buffer[:count]
    assert received == BIG
    aside.result()
    server.send(b"abc")
    assert client.read(1) == b"a"
    assert client.pending() == 2
    small = bytearray(2)
    assert client.read(2, small) == 2 and small == b"bc"
    assert client.recv_into(bytearray()) == 0
    with pytest.raises(ValueError, match="negative"):
        client.recv(-1)
    with pytest.raises(ValueError, match="negative"):
        client.recv_into(small, -1)
    with pytest.raises(ValueError, match="too small"):
        client.recv_into(small, 3)


def test_reading_into_a_buffer_of_any_size(joined: Joined) -> None:
    client, server = shaken(joined())
    buffer = bytearray(4)
    client.sendall(b"abcdefgh")
    # As `ssl.SSLSocket.read`, whose length is 1024 unless told otherwise.
    assert server.read(buffer=buffer) == 4 and buffer == b"abcd"
    assert server.read(2, buffer) == 2 and buffer == b"efcd"
    with pytest.raises(ValueError, match="buffer too small"):
        server.recv_into(buffer, 5)


def test_one_byte_at_a_time_on_the_wire(joined: Joined) -> None:
    client, server = shaken(joined())
    server.connection.write(b"slowly")
    wire = server.connection.bio_read()
    plain = socket.socket(fileno=socket.dup(server.fileno()))
    with plain:
        aside = Aside(receive, client, 6)
        for at in range(len(wire)):
            plain.sendall(wire[at : at + 1])
        assert aside.result() == b"slowly"


def test_a_bare_end_is_told_unless_that_is_suppressed(joined: Joined) -> None:
    for suppress in (False, True):
        client, server = shaken(joined(suppress_ragged_eofs=suppress))
        server.send(b"data")
        socket.socket(fileno=server.detach()).close()
        assert client.recv(10) == b"data"
        if suppress:
            assert client.recv(10) == b""
        else:
            with pytest.raises(TruncationError):
                client.recv(10)
    client, server = joined(suppress_ragged_eofs=True)
    socket.socket(fileno=server.detach()).close()
    with pytest.raises(SyscallError):
        client.recv(1)


# ---- files ----


def test_makefile_keeps_the_socket_open(joined: Joined) -> None:
    client, server = shaken(joined())
    with server.makefile("rwb") as stream:
        server.close()
        aside = Aside(client.sendall, b"line one\nline two\n")
        assert stream.readline() == b"line one\n"
        stream.write(b"answer")
        stream.flush()
        assert receive(client, 6) == b"answer"
        aside.result()
    assert client.recv(1) == b""
    assert server.fileno() == -1


def test_sendfile(joined: Joined, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(BIG)
    client, server = shaken(joined())
    aside = Aside(receive, server, 300_000)
    with path.open("rb") as file:
        assert client.sendfile(file, 1000, 300_000) == 300_000
    assert aside.result() == BIG[1000:301_000]


# ---- ends ----


@VERSIONS
def test_unwrap_returns_a_plain_socket_and_not_a_byte_is_lost(
    joined: Joined, version: dict[str, Any]
) -> None:
    client, server = shaken(joined(dict(version), dict(version)))
    client.send(b"over TLS")
    assert receive(server, 8) == b"over TLS"

    def leave() -> bytes:
        with server.unwrap() as plain:
            plain.sendall(b"and now in the clear")
            return plain.recv(100)

    aside = Aside(leave)
    with client.unwrap() as plain:
        assert plain.gettimeout() == 20
        assert receive(plain, 20) == b"and now in the clear"
        plain.sendall(b"indeed")
    assert aside.result() == b"indeed"
    assert client.fileno() == -1


def test_unwrap_before_the_handshake_and_with_data_unread(joined: Joined) -> None:
    client, server = joined()
    with pytest.raises(ValueError, match="No SSL wrapper"):
        client.unwrap()
    client, server = shaken(joined())
    server.send(BIG[:50_000])
    aside = Aside(lambda: server.unwrap().close())
    client.unwrap().close()
    aside.result()


def test_shutdown_of_one_direction(joined: Joined) -> None:
    client, server = shaken(joined())
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    server.send(b"still there")
    assert receive(client, 11) == b"still there"
    with pytest.raises(CallerError):
        client.send(b"x")


def test_a_certificate_that_is_refused_is_told_on_both_sides() -> None:
    first, second = socket.socketpair()
    strange = client_config(trust_anchors=pki_strangers())
    with TLSSocket(first, strange, HOST) as client, TLSSocket(second, server_config()) as server:
        aside = Aside(server.recv, 1)
        with pytest.raises(CertificateError):
            client.send(b"x")
        with pytest.raises(AlertReceived):
            aside.result()


def pki_strangers() -> Any:
    return TrustAnchors.from_pem(pki.stranger().certificate_pem)


# ---- threads ----


@pytest.mark.parametrize("size", [65536, 1000])
@VERSIONS
def test_a_reader_and_a_writer_at_once(joined: Joined, version: dict[str, Any], size: int) -> None:
    amount = (16 << 20) if size > 1000 else (2 << 20)
    client, server = shaken(joined(dict(version), {**version, **allowing(version)}))
    data = hashlib.sha256(b"threads").digest() * (amount // 32)

    def read(sock: TLSSocket) -> bytes:
        found, left = hashlib.sha256(), amount
        while left:
            part = sock.recv(min(size, left))
            assert part
            found.update(part)
            left -= len(part)
        return found.digest()

    def write(sock: TLSSocket) -> None:
        for at in range(0, amount, 1 << 18):
            sock.sendall(data[at : at + (1 << 18)])
            if version:
                sock.renegotiate()
            else:
                sock.key_update(True)

    readers = [Aside(read, sock) for sock in (client, server)]
    writers = [Aside(write, sock) for sock in (client, server)]
    expected = hashlib.sha256(data).digest()
    assert [reader.result() for reader in readers] == [expected, expected]
    for writer in writers:
        writer.result()


def allowing(version: dict[str, Any]) -> dict[str, Any]:
    return {"allow_client_renegotiation": True} if version else {}


def test_the_writer_waits_for_the_reader_where_it_must(joined: Joined) -> None:
    """More data is in front of the peer's handshake than a write keeps: somebody must read it."""
    client, server = shaken(joined(ONLY_1_2, ONLY_1_2))
    sending = Aside(server.sendall, BIG * 3)
    client.renegotiate()  # refused, but before that a write waits
    writing = Aside(client.sendall, b"behind")
    assert receive(client, 3 * len(BIG)) == BIG * 3
    reading = Aside(client.recv, 1)
    sending.result()
    assert receive(server, 6) == b"behind"
    writing.result()
    server.send(b"x")
    assert reading.result() == b"x"


# ---- peers ----


@VERSIONS
def test_python_ssl_as_the_server(version: dict[str, Any], tmp_path: Path) -> None:
    files = pki.write(tmp_path, pki.issue(key_type="ecdsa_secp256r1"), "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certfile, files.keyfile)
    first, second = socket.socketpair()

    def serve() -> None:
        with context.wrap_socket(second, server_side=True) as sock:
            sock.sendall(receive(sock, len(BIG)))
            sock.unwrap().close()

    aside = Aside(serve)
    with TLSSocket(first, client_config(**version), HOST) as client:
        writer = Aside(client.sendall, BIG)
        assert receive(client, len(BIG)) == BIG
        writer.result()
        assert client.recv(1) == b""
        client.shutdown(socket.SHUT_WR)
    aside.result()


@VERSIONS
def test_python_ssl_as_the_client(version: dict[str, Any]) -> None:
    context = ssl.create_default_context(cadata=pki.authority().certificate_pem.decode())
    if version:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    first, second = socket.socketpair()

    def call() -> bytes:
        with context.wrap_socket(first, server_hostname=HOST) as sock:
            sock.sendall(BIG)
            return receive(sock, len(BIG))

    aside = Aside(call)
    with TLSSocket(second, server_config(**BOTH, groups=ECDHE)) as server:
        server.sendall(receive(server, len(BIG)))
        assert aside.result() == BIG


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def https() -> Iterator[tuple[str, int]]:
    """The standard library's HTTP server over accepted TLSSockets."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.socket = TLSSocket(server.socket, server_config(**BOTH, groups=ECDHE))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[:2]  # type: ignore[misc]  # of an IPv4 socket
    server.shutdown()
    thread.join()
    server.server_close()


def test_http_client_and_http_server(https: tuple[str, int]) -> None:
    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = TLSSocket(self.sock, client_config(), HOST)

    connection = Connection(*https, timeout=20)
    for _ in range(3):
        connection.request("POST", "/", BIG)
        response = connection.getresponse()
        assert response.status == 200 and response.read() == BIG
    connection.close()


def test_connecting_through_it(https: tuple[str, int]) -> None:
    with TLSSocket(socket.socket(), client_config(), HOST) as sock:
        sock.settimeout(20)
        sock.connect(https)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        with sock.makefile("rb") as stream:
            assert stream.read().endswith(b"\r\n\r\nhi")


def test_do_handshake_can_block_on_a_non_blocking_socket(joined: Joined) -> None:
    client, server = joined()
    client.setblocking(False)
    with pytest.raises(WantReadError):
        client.do_handshake()
    aside = Aside(server.do_handshake)
    client.do_handshake(block=True)
    aside.result()
    assert client.gettimeout() == 0


def test_wants_of_a_full_socket(joined: Joined) -> None:
    client, _ = shaken(joined({"mode": Mode(0)}, buffer=8192))
    client.setblocking(False)
    with pytest.raises(WantWriteError):
        client.send(BIG)
    with pytest.raises(WantReadError):
        client.recv(1)


def test_it_comes_without_asyncio() -> None:
    code = "import sys, tlswrite; tlswrite.TLSSocket; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- sessions ----


@VERSIONS
def test_a_session_is_resumed(joined: Joined, version: dict[str, Any]) -> None:
    keys = TicketKeys()
    fields = {**version, "tickets": 1, "ticket_keys": keys}
    client, server = shaken(joined({**version, "session_cache": SessionCache()}, fields))
    server.sendall(b"x")
    assert client.recv(1) == b"x"
    session = client.session
    assert session is not None and server.session is None and not client.session_reused
    again, server = joined(version, fields)
    again.session = session
    shaken((again, server))
    assert again.session_reused and server.session_reused
    with pytest.raises(CallerError, match="before the handshake"):
        again.session = session

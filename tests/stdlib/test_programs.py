"""Programs of the standard library over a context: clients and servers of either class."""

from __future__ import annotations

import http.client
import http.server
import smtplib
import socket
import ssl
import threading
import urllib.error
import urllib.request
import xmlrpc.client
import xmlrpc.server
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.support import contexts, pki
from tests.support.contexts import client_context, server_context
from tests.support.threads import Aside

BODY = bytes(range(256)) * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(server: Any, context: Any) -> Iterator[int]:
    """A server on a thread of its own, over TLS; gives its port."""
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=contexts.CLASSES, ids=["to-ssl", "to-tlswrite"])
def server(request: pytest.FixtureRequest, files: pki.Files) -> Any:
    """A server's context, of either class."""
    return server_context(request.param, files)


@pytest.fixture
def port(server: Any) -> Iterator[int]:
    with serving(http.server.HTTPServer(("127.0.0.1", 0), Handler), server) as found:
        yield found


def test_http_client(cls: Any, port: int) -> None:
    connection = http.client.HTTPSConnection(
        "localhost", port, context=client_context(cls), timeout=contexts.TIMEOUT
    )
    for _ in range(2):
        connection.request("GET", "/")
        assert connection.getresponse().read() == BODY
    connection.request("POST", "/", body=BODY)
    assert connection.getresponse().read() == BODY
    connection.close()


def test_urllib(cls: Any, port: int) -> None:
    with urllib.request.urlopen(
        f"https://127.0.0.1:{port}/", context=client_context(cls), timeout=contexts.TIMEOUT
    ) as response:
        assert response.read() == BODY


def test_urllib_refuses_a_stranger(cls: Any, port: int) -> None:
    with pytest.raises(urllib.error.URLError) as caught:
        urllib.request.urlopen(f"https://127.0.0.1:{port}/", context=client_context(cls, trusting=False))
    assert isinstance(caught.value.reason, ssl.SSLCertVerificationError)


def test_xmlrpc(cls: Any, server: Any) -> None:
    made = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False)
    made.register_function(lambda text: text[::-1], "reverse")
    with (
        serving(made, server) as port,
        xmlrpc.client.ServerProxy(f"https://localhost:{port}/", context=client_context(cls)) as proxy,
    ):
        assert proxy.reverse("there and back") == "kcab dna ereht"


def mail_server(listener: socket.socket, context: Any) -> list[bytes]:
    """One session of a mail server that knows STARTTLS; gives the commands that came under TLS."""
    commands = []
    with ExitStack() as stack:
        sock, _ = listener.accept()
        sock.settimeout(contexts.TIMEOUT)
        stack.callback(lambda: sock.close())
        sock.sendall(b"220 here\r\n")
        assert sock.recv(1000).startswith(b"ehlo")
        sock.sendall(b"250-here\r\n250 STARTTLS\r\n")
        assert sock.recv(1000) == b"STARTTLS\r\n"
        sock.sendall(b"220 go on\r\n")
        sock = context.wrap_socket(sock, server_side=True)
        with sock.makefile("rb") as lines:
            for line in lines:
                commands.append(line.strip().upper())
                sock.sendall(b"221 bye\r\n" if commands[-1] == b"QUIT" else b"250 fine\r\n")
                if commands[-1] == b"QUIT":
                    break
    return commands


def test_starttls_of_smtplib(cls: Any, server: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(contexts.TIMEOUT)
        serving = Aside(mail_server, listener, server)
        with smtplib.SMTP("localhost", listener.getsockname()[1], timeout=contexts.TIMEOUT) as client:
            client.starttls(context=client_context(cls))
            assert client.sock is not None
            assert client.sock.version() == "TLSv1.3"  # type: ignore[attr-defined]
            assert client.noop()[0] == 250
        assert serving.result()[-2:] == [b"NOOP", b"QUIT"]


def test_asyncios_own_tls_over_it(cls: Any, files: pki.Files, server: Any) -> None:
    import asyncio

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.readexactly(len(BODY))
            writer.write(data)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        serving = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
        async with serving:
            reader, writer = await asyncio.open_connection(
                "localhost", serving.sockets[0].getsockname()[1], ssl=client_context(cls)
            )
            assert isinstance(writer.get_extra_info("ssl_object"), ssl.SSLObject)
            writer.write(BODY)
            await writer.drain()
            assert await reader.readexactly(len(BODY)) == BODY
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())

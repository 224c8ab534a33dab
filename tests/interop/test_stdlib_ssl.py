"""Python's own `ssl`, on memory BIOs so that it can half-close."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

from tests.interop.base import NAME, Peer, Session, Setup
from tests.interop.converse import PIECE, Stream, connect_on_thread, serve_on_thread
from tests.interop.suite import InteropSuite
from tests.interop.suite12 import InteropSuite12
from tests.support.pki import authority
from tlswrite.crypto.suites import SUITES
from tlswrite.iana import NamedGroup, ProtocolVersion

CURVES = {
    NamedGroup.x25519: "X25519",
    NamedGroup.secp256r1: "prime256v1",
    NamedGroup.secp384r1: "secp384r1",
    NamedGroup.secp521r1: "secp521r1",
}


class StdlibSSL(Peer):
    name = "python ssl"
    follows_hello_request = True
    max_fragment_length = ("server",)
    chooses_groups = ("server",)  # nor can its suites of TLS 1.3 be chosen

    def version(self) -> str:
        return ssl.OPENSSL_VERSION

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Session]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = setup.write(directory, "server")
        context.load_cert_chain(files.certfile, files.keyfile)
        if setup.client_certificate:
            context.load_verify_locations(cadata=authority().certificate_pem.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        for group in setup.groups:
            context.set_ecdh_curve(CURVES[group])
        return serve_on_thread(lambda sock: SSLStream(sock, context, setup, server_side=True), setup.flow)

    def connect(self, setup: Setup, directory: Path, port: int) -> contextlib.AbstractContextManager[Session]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=authority().certificate_pem.decode())
        if setup.client_certificate:
            files = setup.write(directory, "client")
            context.load_cert_chain(files.certfile, files.keyfile)
        return connect_on_thread(
            lambda sock: SSLStream(sock, context, setup, server_side=False), setup.flow, port
        )


class SSLStream(Stream):
    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, setup: Setup, *, server_side: bool
    ) -> None:
        context.minimum_version = context.maximum_version = ssl.TLSVersion(setup.version)
        if setup.suite is not None and setup.version == ProtocolVersion.TLS_1_2:
            context.set_ciphers(SUITES[setup.suite].openssl_name)
        if setup.alpn:
            context.set_alpn_protocols(list(setup.alpn))
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=server_side,
            server_hostname=None if server_side else NAME,
        )

    def handshake(self) -> None:
        self._finish(self.object.do_handshake)

    def read(self) -> bytes:
        try:
            return self._finish(self.object.read, PIECE)
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._finish(self.object.write, view[:PIECE]) :]

    def send_close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):  # the peer's has not come yet
            self.object.unwrap()
        self._flush()

    def facts(self) -> dict[str, Any]:
        return {
            "alpn": self.object.selected_alpn_protocol(),
            "cipher": (self.object.cipher() or ("",))[0],
            "client": bool(self.object.getpeercert(True)),
        }

    def _finish(self, call: Any, *arguments: Any) -> Any:
        while True:
            try:
                result = call(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(PIECE)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            except ssl.SSLError:
                self._flush()  # the alert
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        self.sock.sendall(self.outgoing.read())


class TestStdlibSSL(InteropSuite):
    peer = StdlibSSL()


class TestStdlibSSL12(InteropSuite12):
    peer = StdlibSSL()

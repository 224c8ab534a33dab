"""pyOpenSSL with the OpenSSL that `cryptography` carries: newer than the system's, with ML-KEM, ML-DSA."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

from tests.interop.base import ECDHE, KEY_TYPES, NAME, Missing, Peer, Session, Setup
from tests.interop.converse import PIECE, Stream, connect_on_thread, serve_on_thread
from tests.interop.suite import InteropSuite
from tests.interop.suite12 import InteropSuite12
from tests.support.pki import key_types
from tlswrite.crypto.suites import SUITES
from tlswrite.iana import NamedGroup, ProtocolVersion

try:
    from OpenSSL import SSL
except ImportError:
    SSL = None

#: The hybrids that OpenSSL offers and takes by default; pyOpenSSL cannot ask for the third.
HYBRIDS = (NamedGroup.X25519MLKEM768, NamedGroup.SecP256r1MLKEM768)


class PyOpenSSL(Peer):
    name = "pyOpenSSL"
    follows_hello_request = True
    max_fragment_length = ("server",)
    groups = (*ECDHE, *HYBRIDS)
    chooses_groups = ()  # it offers and takes them all
    key_types = tuple(name for name in key_types() if name in KEY_TYPES or name.startswith("mldsa"))

    def version(self) -> str:
        if SSL is None:
            raise Missing("no pyOpenSSL")
        return SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Session]:
        context = _context(setup)
        files = setup.write(directory, "server")
        context.use_certificate_chain_file(str(files.certfile))
        context.use_privatekey_file(str(files.keyfile))
        if setup.client_certificate:
            context.load_verify_locations(str(files.cafile))
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        if setup.alpn:
            ours = [name.encode() for name in setup.alpn]
            context.set_alpn_select_callback(lambda _, theirs: next(name for name in ours if name in theirs))
        return serve_on_thread(lambda sock: OpenSSLStream(sock, context, server_side=True), setup.flow)

    def connect(self, setup: Setup, directory: Path, port: int) -> contextlib.AbstractContextManager[Session]:
        context = _context(setup)
        files = setup.write(directory, "client")
        context.load_verify_locations(str(files.cafile))
        context.set_verify(SSL.VERIFY_PEER)
        if setup.client_certificate:
            context.use_certificate_chain_file(str(files.certfile))
            context.use_privatekey_file(str(files.keyfile))
        if setup.alpn:
            context.set_alpn_protos([name.encode() for name in setup.alpn])
        return connect_on_thread(
            lambda sock: OpenSSLStream(sock, context, server_side=False), setup.flow, port
        )


def _context(setup: Setup) -> Any:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(setup.version)
    context.set_max_proto_version(setup.version)
    if setup.suite is not None and setup.version == ProtocolVersion.TLS_1_2:
        context.set_cipher_list(SUITES[setup.suite].openssl_name.encode())
    elif setup.suite is not None:
        context.set_tls13_ciphersuites(setup.suite.name.encode())
    return context


class OpenSSLStream(Stream):
    """A connection on memory BIOs."""

    def __init__(self, sock: socket.socket, context: Any, *, server_side: bool) -> None:
        self.sock = sock
        self.connection = SSL.Connection(context, None)
        if server_side:
            self.connection.set_accept_state()
        else:
            self.connection.set_tlsext_host_name(NAME.encode())
            self.connection.set_connect_state()

    def handshake(self) -> None:
        self._finish(self.connection.do_handshake)

    def read(self) -> bytes:
        try:
            return self._finish(self.connection.recv, PIECE)
        except SSL.ZeroReturnError:
            return b""

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            self._finish(self.connection.sendall, data[at : at + PIECE])

    def send_close_notify(self) -> None:
        self.connection.shutdown()
        self._flush()

    def facts(self) -> dict[str, Any]:
        return {
            "alpn": self.connection.get_alpn_proto_negotiated().decode() or None,
            "cipher": self.connection.get_cipher_name(),
            "client": self.connection.get_peer_certificate() is not None,
        }

    def _finish(self, call: Any, *arguments: Any) -> Any:
        while True:
            try:
                result = call(*arguments)
            except SSL.WantReadError:
                self._flush()
                data = self.sock.recv(PIECE)
                if data:
                    self.connection.bio_write(data)
                else:
                    self.connection.bio_shutdown()
            except SSL.Error:
                self._flush()  # the alert
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self.sock.sendall(self.connection.bio_read(PIECE))


class TestPyOpenSSL(InteropSuite):
    peer = PyOpenSSL()


class TestPyOpenSSL12(InteropSuite12):
    peer = PyOpenSSL()

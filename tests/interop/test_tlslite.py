"""tlslite-ng: a TLS 1.3 written in Python by other hands."""

from __future__ import annotations

import contextlib
import importlib.metadata
import socket
import warnings
from pathlib import Path
from typing import Any

from tests.interop.base import NAME, Missing, Peer, Session, Setup, client_certificate, meeting
from tests.interop.converse import PIECE, Stream, connect_on_thread, serve_on_thread
from tests.interop.suite import SHORT, InteropSuite, read_key
from tests.support.pki import Issued
from tlswrite.iana import CipherSuite, ProtocolVersion

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports asyncore
        import tlslite
        from tlslite.constants import KeyUpdateMessageType
except ImportError:
    tlslite = None

CIPHERS = {
    "AES_128_GCM": "aes128gcm",
    "AES_256_GCM": "aes256gcm",
    "CHACHA20_POLY1305": "chacha20-poly1305",
}


def _cipher(suite: CipherSuite) -> str:
    return next(theirs for ours, theirs in CIPHERS.items() if ours in suite.name)


class TLSLite(Peer):
    name = "tlslite-ng"
    flows = ("echo", "close")
    record_size_limit = ("server", "client")
    verifies = ()

    def version(self) -> str:
        if tlslite is None:
            raise Missing("no tlslite-ng")
        return importlib.metadata.version("tlslite-ng")

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Session]:
        return serve_on_thread(lambda sock: ServerStream(sock, setup), setup.flow)

    def connect(self, setup: Setup, directory: Path, port: int) -> contextlib.AbstractContextManager[Session]:
        return connect_on_thread(lambda sock: ClientStream(sock, setup), setup.flow, port)


class TLSLiteStream(Stream):
    def __init__(self, sock: socket.socket, setup: Setup) -> None:
        self.connection = tlslite.TLSConnection(sock)
        self.connection.closeSocket = False
        self.setup = setup
        self.settings = tlslite.HandshakeSettings()
        self.settings.minVersion = self.settings.maxVersion = (3, setup.version & 0xFF)
        if setup.version == ProtocolVersion.TLS_1_2:
            self.settings.keyExchangeNames = ["ecdhe_rsa", "ecdhe_ecdsa"]
        if setup.suite is not None:
            self.settings.cipherNames = [_cipher(setup.suite)]
        if setup.groups:
            self.settings.eccCurves = [group.name for group in setup.groups]
            self.settings.keyShares = [setup.groups[0].name]
            self.settings.dhGroups = []
        self.alpn = [bytearray(name.encode()) for name in setup.alpn] or None

    def read(self) -> bytes:
        return bytes(self.connection.read(min=1, max=PIECE))

    def write(self, data: bytes) -> None:
        self.connection.write(data)

    def send_close_notify(self) -> None:
        if not self.connection.closed:  # it has answered ours already
            self.connection.close()

    def update_keys(self) -> None:
        for _ in self.connection.send_keyupdate_request(KeyUpdateMessageType.update_requested):
            pass

    def facts(self) -> dict[str, Any]:
        session = self.connection.session
        return {
            "alpn": bytes(session.appProto or b"").decode() or None,
            "client": session.clientCertChain is not None,
        }


class ServerStream(TLSLiteStream):
    def handshake(self) -> None:
        chain, key = _load(self.setup.server_certificate)
        self.connection.handshakeServer(
            certChain=chain,
            privateKey=key,
            reqCert=self.setup.client_certificate,
            settings=self.settings,
            alpn=self.alpn,
        )


class ClientStream(TLSLiteStream):
    def handshake(self) -> None:
        # It compresses its certificate when it offered to take compressed ones, where RFC 8879 §3 asks for
        # the offer of the server.
        self.settings.certificate_compression_send = []
        chain, key = _load(client_certificate()) if self.setup.client_certificate else (None, None)
        self.connection.handshakeClientCert(
            certChain=chain, privateKey=key, settings=self.settings, serverName=NAME, alpn=self.alpn
        )


def _load(issued: Issued) -> tuple[Any, Any]:
    chain = tlslite.X509CertChain()
    chain.parsePemList(issued.chain_pem.decode())
    return chain, tlslite.parsePEMKey(issued.key_pem.decode(), private=True)


class TestTLSLite(InteropSuite):
    peer = TLSLite()

    def test_key_update_by_the_peer(self, role: str, tmp_path: Path) -> None:
        with meeting(self.peer, role, Setup(flow="update"), tmp_path) as (link, session):
            link.handshake()
            for _ in range(3):
                before = read_key(link)
                session.exchange(link, SHORT)
                assert read_key(link) is not before
            session.finish(link)

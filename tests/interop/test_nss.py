"""NSS's tstclnt and selfserv, with databases made by certutil and pk12util."""

from __future__ import annotations

import contextlib
import ctypes.util
import shutil
import socket
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.interop.base import (
    DATA,
    HOST,
    LIMIT,
    LINE,
    NAME,
    REPLY,
    Missing,
    Peer,
    Session,
    Setup,
    client_certificate,
    digest,
    meeting,
)
from tests.interop.process import Child
from tests.interop.suite import InteropSuite, read_key
from tests.interop.suite12 import InteropSuite12
from tests.support.pki import Issued, authority
from tests.support.ports import free_port
from tests.support.pump import Link
from tlswrite.iana import NamedGroup, ProtocolVersion

GROUP_NAMES = {
    NamedGroup.x25519: "x25519",
    NamedGroup.secp256r1: "P256",
    NamedGroup.secp384r1: "P384",
    NamedGroup.secp521r1: "P521",
}
NICKNAME = "leaf"


class NSS(Peer):
    name = "nss"
    follows_hello_request = True
    interleaves = ("client",)
    takes_client_renegotiation = True
    flows = ("pipe",)
    record_size_limit = ("server", "client")
    alpn = ("server",)
    key_types = ("ecdsa_secp256r1", "ecdsa_secp384r1", "ecdsa_secp521r1", "rsa")
    key_types12 = key_types

    def version(self) -> str:
        return _version()

    @contextlib.contextmanager
    def serve(self, setup: Setup, directory: Path) -> Iterator[Session]:
        database = _database(directory, setup.server_certificate)
        (directory / "reply").write_bytes(REPLY)
        port = free_port()
        nickname = ["-n", NICKNAME] if setup.key_type.startswith("rsa") else ["-e", NICKNAME]
        arguments = ["selfserv", "-d", database, "-p", port, *nickname, *_common(setup)]
        if setup.client_certificate:
            arguments += ["-r", "-r"]
        if setup.alpn:
            arguments.append("-Q")
        with Child([*arguments, "-v"], cwd=directory) as child:
            session = ServerSession(child)
            session.port = port
            yield session

    @contextlib.contextmanager
    def connect(self, setup: Setup, directory: Path, port: int) -> Iterator[Session]:
        database = _database(directory, client_certificate() if setup.client_certificate else None)
        arguments = ["tstclnt", "-d", database, "-h", HOST, "-p", port, "-a", NAME, "-4", *_common(setup)]
        if setup.client_certificate:
            arguments += ["-n", NICKNAME]
        with Child(arguments, cwd=directory) as child:
            yield ClientSession(child)


def _common(setup: Setup) -> list[str]:
    version = "tls1.2" if setup.version == ProtocolVersion.TLS_1_2 else "tls1.3"
    arguments = ["-V", f"{version}:{version}"]
    if setup.suite is not None:
        arguments += ["-c", f":{setup.suite:04X}"]
    if setup.groups:
        arguments += ["-I", ",".join(GROUP_NAMES[group] for group in setup.groups)]
    return arguments


def _database(directory: Path, issued: Issued | None) -> str:
    """A database that trusts our authority and holds the certificate."""
    folder = directory / "nss"
    folder.mkdir()
    database = f"sql:{folder}"
    (directory / "ca.pem").write_bytes(authority().certificate_pem)
    _call("certutil", "-N", "-d", database, "--empty-password")
    _call("certutil", "-A", "-d", database, "-n", "ca", "-t", "CT,,", "-i", directory / "ca.pem")
    if issued is not None:
        encryption = BestAvailableEncryption(b"p12")
        (directory / "leaf.p12").write_bytes(
            pkcs12.serialize_key_and_certificates(
                NICKNAME.encode(), issued.key, issued.certificate, None, encryption
            )
        )
        _call("pk12util", "-d", database, "-i", directory / "leaf.p12", "-W", "p12", "-K", "")
    return database


def _call(*arguments: str | Path) -> None:
    subprocess.run(arguments, check=True, capture_output=True, timeout=LIMIT)


class NSSSession(Session):
    def __init__(self, child: Child) -> None:
        self.child = child

    def alive(self) -> bool:
        return self.child.process.poll() is None


class ServerSession(NSSSession):
    """selfserv answers one HTTP request, with a file, and closes. It takes no request over 10 KiB."""

    def exchange(self, link: Link, data: bytes = DATA) -> None:
        link.send(b"GET reply HTTP/1.0\r\n\r\n")
        self.receive(link)

    def receive(self, link: Link) -> None:
        answer = link.recv_until(b"\r\n\r\n") + link.recv(len(REPLY))
        assert answer.startswith(b"HTTP/1.0 200 OK")
        assert digest(answer[-len(REPLY) :]) == digest(REPLY)

    def finish(self, link: Link) -> dict[str, Any]:
        assert link.exchange(b"", None) == b""
        link.close()
        return self.wait()

    def failed(self, link: Link) -> None:
        self.child.wait_for(rb"PR_Read returned error -\d+")

    def wait(self) -> dict[str, Any]:
        self.child.wait_for(rb"bytes from reply")
        return {"client": b"CN=client.example" in self.child.stderr}


class ClientSession(NSSSession):
    """tstclnt joins its pipes to the connection; it ends after our close_notify and the end of its input."""

    def __init__(self, child: Child) -> None:
        super().__init__(child)
        self.printed = 0

    def exchange(self, link: Link, data: bytes = DATA) -> None:
        reply = REPLY[: len(data)]
        self.child.feed(reply)
        assert digest(link.exchange(data, len(reply))) == digest(reply)
        start, self.printed = self.printed, self.printed + len(data)
        assert digest(self.child.wait_for_output(self.printed)[start:]) == digest(data)

    def finish(self, link: Link) -> dict[str, Any]:
        self.child.close_stdin()
        return super().finish(link)

    def wait(self) -> dict[str, Any]:
        assert self.child.exit_status() == 0, self.child.stderr
        return {}


@cache
def _version() -> str:
    for program in ("tstclnt", "selfserv", "certutil", "pk12util"):
        if shutil.which(program) is None:
            raise Missing(f"no {program}")
    library = ctypes.util.find_library("nss3")
    if library is None:
        raise Missing("no libnss3")
    nss_get_version = ctypes.CDLL(library).NSS_GetVersion
    nss_get_version.restype = ctypes.c_char_p
    return f"NSS {nss_get_version().decode()}"


class TestNSS(InteropSuite):
    peer = NSS()

    def test_key_update_by_us(self, role: str, tmp_path: Path) -> None:
        if role == "client":
            return super().test_key_update_by_us(role, tmp_path)
        with meeting(self.peer, role, Setup(), tmp_path) as (link, session):
            assert isinstance(session, ServerSession)
            link.handshake()
            before = read_key(link)
            link.send(b"GET reply")
            link.connection.key_update()
            link.send(b" HTTP/1.0\r\n")
            link.connection.key_update(request_peer=True)
            link.send(b"X: y\r\n\r\n")
            session.receive(link)
            assert read_key(link) is not before, "the peer did not answer with a KeyUpdate"
            session.finish(link)

    def test_selfserv_echoes_a_request(self, tmp_path: Path) -> None:
        """What goes to a server and comes back: as much as selfserv takes."""
        body = REPLY[: 9000 // LINE * LINE].replace(b"\n", b" ") + b"\r\n"
        with meeting(self.peer, "server", Setup(), tmp_path) as (link, _):
            link.handshake()
            link.send(b"POST / HTTP/1.0\r\n\r\n" + body)
            assert body in link.exchange(b"", None)
            link.close()

    def test_half_close_by_us(self, role: str, tmp_path: Path) -> None:
        """After our close_notify tstclnt still sends 1 MiB, and we read it; selfserv cannot."""
        if role == "server":
            pytest.skip("selfserv ends at our close_notify")
        with meeting(self.peer, role, Setup(flow="pipe"), tmp_path) as (link, session):
            assert isinstance(session, ClientSession)
            link.handshake()
            link.half_close()
            link.sock.shutdown(socket.SHUT_WR)  # what it wrote makes tstclnt forget our close_notify
            session.child.feed(REPLY)
            assert digest(link.exchange(b"", len(REPLY))) == digest(REPLY)
            session.child.close_stdin()
            assert link.exchange(b"", None) == b""
            session.wait()


class TestNSS12(InteropSuite12):
    peer = NSS()

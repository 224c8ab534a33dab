"""OpenSSL's s_client and s_server."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.interop.base import (
    DATA,
    HOST,
    NAME,
    REPLY,
    Missing,
    Peer,
    Session,
    Setup,
    digest,
    free_port,
    meeting,
)
from tests.interop.process import Child
from tests.interop.suite import InteropSuite
from tests.support.pump import Link
from tlswrite.crypto.suites import SUITES
from tlswrite.iana import NamedGroup, ProtocolVersion

TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
VERSIONS = {TLS_1_2: "-tls1_2", TLS_1_3: "-tls1_3"}
GROUP_NAMES = {
    NamedGroup.x25519: "X25519",
    NamedGroup.secp256r1: "P-256",
    NamedGroup.secp384r1: "P-384",
    NamedGroup.secp521r1: "P-521",
}


class OpenSSL(Peer):
    name = "openssl"
    flows = ("pipe", "close")

    def version(self) -> str:
        return _version()

    @contextlib.contextmanager
    def serve(self, setup: Setup, directory: Path) -> Iterator[Session]:
        files = setup.write(directory, "server")
        port = free_port()
        arguments = ["-accept", f"{HOST}:{port}", "-naccept", "1"]
        arguments += ["-cert", files.certfile, "-key", files.keyfile]
        if setup.client_certificate:
            arguments += ["-CAfile", files.cafile, "-Verify", "2"]
        with self._run("s_server", setup, directory, arguments) as session:
            session.port = port
            yield session

    @contextlib.contextmanager
    def connect(self, setup: Setup, directory: Path, port: int) -> Iterator[Session]:
        files = setup.write(directory, "client")
        arguments = ["-connect", f"{HOST}:{port}", "-servername", NAME, "-CAfile", files.cafile]
        arguments += ["-verify_hostname", NAME, "-no_ign_eof"]
        if setup.client_certificate:
            arguments += ["-cert", files.certfile, "-key", files.keyfile]
        with self._run("s_client", setup, directory, arguments) as session:
            yield session

    @contextlib.contextmanager
    def _run(
        self, command: str, setup: Setup, directory: Path, arguments: list[Any]
    ) -> Iterator[OpenSSLSession]:
        log = directory / "messages"
        arguments[:0] = [
            "openssl",
            command,
            VERSIONS[setup.version],
            "-verify_return_error",
            "-msg",
            "-msgfile",
            log,
        ]
        if setup.flow != "commands":
            arguments.insert(2, "-quiet")  # nothing but data, and no letter is a command
        if setup.suite is not None:
            option = "-ciphersuites" if setup.version == TLS_1_3 else "-cipher"
            arguments += [option, SUITES[setup.suite].openssl_name]
        if setup.groups:
            arguments += ["-groups", ":".join(GROUP_NAMES[group] for group in setup.groups)]
        if setup.alpn:
            arguments += ["-alpn", ",".join(setup.alpn)]
        with Child(arguments, cwd=directory) as child:
            yield OpenSSLSession(child, log)


class OpenSSLSession(Session):
    def __init__(self, child: Child, log: Path) -> None:
        self.child = child
        self.log = log
        self.printed = 0
        self.closed_first = False

    def alive(self) -> bool:
        return self.child.process.poll() is None

    def exchange(self, link: Link, data: bytes = DATA) -> None:
        reply = REPLY[: len(data)]
        self.child.feed(reply)
        assert digest(link.exchange(data, len(reply))) == digest(reply)
        start, self.printed = self.printed, self.printed + len(data)
        assert digest(self.child.wait_for_output(self.printed)[start:]) == digest(data)

    def close_first(self) -> None:
        self.child.close_stdin()
        self.closed_first = True

    def wait(self) -> dict[str, Any]:
        assert self.child.exit_status() == 0, self.child.stderr
        came = [line for line in self.messages() if line.startswith("<<<")]
        seen: dict[str, Any] = {"key_updates": sum("KeyUpdate" in line for line in came)}
        if not self.closed_first:  # these programs do not wait for an answer to their own close_notify
            seen["close_notify"] = any("close_notify" in line for line in came)
        return seen

    def failed(self, link: Link) -> None:
        link.sock.close()
        self.child.exit_status()
        assert any("fatal" in line for line in self.messages())

    def messages(self) -> list[str]:
        """One line a message, as OpenSSL saw them; `<<<` came in, `>>>` went out."""
        return [line for line in self.log.read_text().splitlines() if line.startswith(("<<<", ">>>"))]


class TestOpenSSL(InteropSuite):
    peer = OpenSSL()

    @pytest.mark.parametrize("letter", ["k", "K"])
    def test_key_update_by_the_peer(self, role: str, letter: str, tmp_path: Path) -> None:
        """`k` changes its keys, `K` asks us to change ours too."""
        with meeting(self.peer, role, Setup(flow="commands"), tmp_path) as (link, session):
            assert isinstance(session, OpenSSLSession)
            link.handshake()
            for count, word in enumerate((b"before\n", b"after\n", b"again\n"), 1):
                session.child.write(word)
                assert link.recv(len(word)) == word
                # A letter is a command at the beginning of a read, so wait until it was read: s_client says
                # so, s_server reads its input before what comes from us.
                session.child.write(letter.encode() + b"\n")
                if role == "client":
                    session.child.wait_for(rb"(KEYUPDATE\n){%d}" % count)
                link.send(word)
                session.child.wait_for(rb"\n" + word)
            link.close()
            session.wait()
            updates = [line for line in session.messages() if "KeyUpdate" in line]
        assert sum(">>>" in line for line in updates) == 3


@cache
def _version() -> str:
    if shutil.which("openssl") is None:
        raise Missing("no openssl command")
    words = subprocess.check_output(["openssl", "version"], text=True)
    return words.partition(" (")[0].strip()

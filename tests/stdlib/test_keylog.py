"""keylog_filename, beside the standard library's."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support import pki
from tests.support.contexts import client_context, objects, server_context
from tlswrite.stdlib.keylog import KeyLog


def secrets(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("form", [str, Path])
def test_secrets_of_a_connection_are_appended(cls: Any, files: pki.Files, tmp_path: Path, form: Any) -> None:
    path = tmp_path / "keys.log"
    client = client_context(cls)
    client.keylog_filename = form(path)
    assert client.keylog_filename == form(path)
    assert path.read_text().startswith("# TLS secrets log file")
    objects(client, server_context(cls, files)).handshake()
    labels = {line.split()[0] for line in secrets(path)}
    assert {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET"} <= labels
    client.keylog_filename = None
    assert client.keylog_filename is None
    before = path.read_text()
    objects(client, server_context(cls, files)).handshake()
    assert path.read_text() == before


def test_both_sides_may_log_to_one_file(cls: Any, files: pki.Files, tmp_path: Path) -> None:
    path = tmp_path / "keys.log"
    client, server = client_context(cls), server_context(cls, files)
    client.keylog_filename = server.keylog_filename = str(path)
    objects(client, server).handshake()
    lines = secrets(path)
    assert len(lines) == 2 * len(set(lines))
    assert path.read_text().count("#") == 1
    client.keylog_filename = server.keylog_filename = None


@pytest.mark.parametrize("name", ["", "not/there"])
def test_a_file_that_cannot_be_opened_is_an_oserror_and_changes_nothing(
    cls: Any, tmp_path: Path, name: str
) -> None:
    client = client_context(cls)
    with pytest.raises(OSError):
        client.keylog_filename = str(tmp_path / name)
    assert client.keylog_filename is None


def test_a_file_that_is_made_is_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "keys.log"
    KeyLog(path).close()
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_lines_after_closing_are_dropped(tmp_path: Path) -> None:
    log = KeyLog(tmp_path / "keys.log")
    log.close()
    log.write("late")
    assert "late" not in (tmp_path / "keys.log").read_text()

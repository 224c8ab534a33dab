from __future__ import annotations

import argparse
import hashlib
import io
import re
import sys
from pathlib import Path

import pytest

from tlswrite.cli.demo import make_file, parse_size
from tlswrite.cli.main import main
from tlswrite.limits import SEND_WINDOW


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_made_file_goes_through_and_both_hashes_are_shown(
    loop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(loop)
    assert main(["demo", "--size", "6MiB", "--loop", loop]) == 0
    printed = capsys.readouterr().out
    assert "TLSv1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768, ecdsa_secp256r1_sha256" in printed
    sent, received = re.findall(r"SHA-256 \w+ +([0-9a-f]{64})", printed)
    assert sent == received
    assert "(equal)" in printed
    held, window = re.search(r"at most ([\d,]+) bytes; the send window is ([\d,]+)", printed).groups()
    assert 0 < int(held.replace(",", "")) <= int(window.replace(",", "")) == SEND_WINDOW
    # After the handshake a TLS 1.3 write never needs input.
    wants = re.search(r"WANT_WRITE ([\d,]+) times, WANT_READ 0 times", printed)
    assert int(wants[1].replace(",", "")) > 0
    assert re.search(r"^tlswrite +\d+ +\d+$", printed, re.MULTILINE)
    assert re.search(rf"^{loop}'s ssl +\d+ +\d+$", printed, re.MULTILINE)


def test_a_given_file_is_what_arrives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "given"
    path.write_bytes(b"some content\n" * 1000)
    assert main(["demo", str(path)]) == 0
    assert capsys.readouterr().out.count(hashlib.sha256(path.read_bytes()).hexdigest()) == 2


def test_an_empty_file_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert main(["demo", str(path)]) == 0
    assert hashlib.sha256(b"").hexdigest() in capsys.readouterr().out


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(tmp_path / "absent")]) == 1
    assert capsys.readouterr().err == f"tlswrite demo: No such file or directory: {tmp_path / 'absent'}\n"
    assert main(["demo", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"tlswrite demo: Is a directory: {tmp_path}\n"


def test_a_loop_that_is_not_installed_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert main(["demo", "--size", "1", "--loop", "uvloop"]) == 1
    assert capsys.readouterr().err == "tlswrite demo: uvloop is not installed here\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_when_the_file_is_made() -> None:
    with pytest.raises(OSError, match="No space left on device"), open("/dev/full", "wb") as full:
        make_file(full, 3 << 20)


def test_the_made_file_has_its_size() -> None:
    for size in (0, 1, (1 << 20) + 7):
        file = io.BytesIO()
        make_file(file, size)
        assert len(file.getvalue()) == size


@pytest.mark.parametrize(
    "text, size",
    [
        ("0", 0),
        ("1000000", 1000000),
        ("17B", 17),
        ("64KiB", 65536),
        ("64k", 65536),
        ("3 MB", 3 << 20),
        ("2g", 2 << 30),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5MiB", "12 parsecs"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="not a size"):
        parse_size(text)

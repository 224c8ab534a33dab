from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tlswrite.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "import sys; from tlswrite.cli import main; sys.exit(main())"]


def tlswrite(*arguments: str, **options) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize("installed", [True, False])
def test_the_version_is_the_distribution_s(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    if installed:
        (tmp_path / "tlswrite-7.8.9.dist-info").mkdir()
        (tmp_path / "tlswrite-7.8.9.dist-info" / "METADATA").write_text("Name: tlswrite\nVersion: 7.8.9\n")
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    expected = "7.8.9" if installed else "(from a source tree, not installed)"
    assert capsys.readouterr().out == f"tlswrite {expected}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["demo", "--wings"], ["demo", "a", "b"], ["demo", "--size", "big"]]
)
def test_wrong_arguments_end_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: tlswrite" in capsys.readouterr().err


def test_bench_passes_its_arguments_on() -> None:
    assert main(["bench", "--quick", "no-such-benchmark"]) == 2


def test_ctrl_c_ends_it_with_one_line_and_130() -> None:
    # Whoever runs this in the background may have SIGINT ignored, which children inherit.
    heed = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with tlswrite("demo", "--size", "2GiB", stdout=subprocess.PIPE, preexec_fn=heed) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("sending ")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "tlswrite demo: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_no_room_for_the_made_file_ends_it_with_one_line_and_1() -> None:
    def small_files_only() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    with tlswrite("demo", "--size", "8MiB", stdout=subprocess.PIPE, preexec_fn=small_files_only) as process:
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (1, "tlswrite demo: File too large\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_no_room_for_the_output_ends_it_with_one_line_and_1() -> None:
    with open("/dev/full", "w") as full, tlswrite("demo", "--size", "1", stdout=full) as process:
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (1, "tlswrite demo: No space left on device\n")


def test_a_reader_that_has_seen_enough_is_no_error_to_talk_about() -> None:
    read, write = os.pipe()
    os.close(read)
    with tlswrite("demo", "--size", "1", stdout=write) as process:
        os.close(write)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (1, "")

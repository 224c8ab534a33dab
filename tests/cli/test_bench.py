from __future__ import annotations

from pathlib import Path

import pytest

from tlswrite.cli import bench


def test_the_arguments_reach_the_benchmarks_and_the_status_comes_back(tmp_path: Path) -> None:
    package = tmp_path / "benchmarks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; sys.exit(len(sys.argv))\n")
    assert bench.run(["--quick", "echo"], tree=tmp_path) == 3


def test_the_source_tree_has_them() -> None:
    assert bench.run(["no-such-benchmark"]) == 2


def test_without_a_source_tree_they_are_said_to_be_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source tree"):
        bench.run([], tree=tmp_path)

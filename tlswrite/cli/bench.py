"""`tlswrite bench`: the benchmarks, which stand in the source tree and not in the wheel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["SUMMARY", "run"]

SUMMARY = "run the benchmarks, where the source tree is at hand (arguments as `python -m benchmarks`)"

SOURCE_TREE = Path(__file__).resolve().parents[2]


def run(arguments: Sequence[str], tree: Path = SOURCE_TREE) -> int:
    """Exit status of the benchmarks; raises FileNotFoundError where there is no source tree."""
    package = tree / "benchmarks"
    if not (package / "__main__.py").is_file():
        raise FileNotFoundError(
            2, "the benchmarks come with the source tree, and there is none here", str(package)
        )
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=tree, check=False).returncode

"""Arguments in, exit status out; whatever goes wrong ends in one clear line.

Exit status: 0 done, 1 a failure that the line on standard error names, 2 wrong arguments, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from tlswrite.cli import bench, demo

__all__ = ["main"]

FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command != "bench":
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        status = bench.run(rest) if options.command == "bench" else demo.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _end(options.command, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return FAILED  # whoever read the output has seen enough
    except OSError as exc:
        _drop_output()
        return _end(options.command, _in_words(exc), FAILED)
    return status


def _end(command: str, why: str, status: int) -> int:
    print(f"tlswrite {command}: {why}", file=sys.stderr)
    return status


def _in_words(exc: OSError) -> str:
    what = exc.strerror or str(exc)
    return f"{what}: {exc.filename}" if exc.filename is not None else what


def _drop_output() -> None:
    """Nothing more can be written: keep the interpreter from trying again, and complaining, at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tlswrite", description="TLS with OpenSSL's SSL_write semantics.")
    parser.add_argument("--version", action="version", version=f"tlswrite {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo.add_arguments(commands.add_parser("demo", help=demo.SUMMARY, description=demo.SUMMARY))
    commands.add_parser("bench", help=bench.SUMMARY, description=bench.SUMMARY, add_help=False)
    return parser


def _version() -> str:
    try:
        return metadata.version("tlswrite")
    except metadata.PackageNotFoundError:
        return "(from a source tree, not installed)"

"""The `tlswrite` command.

main          arguments in, exit status out; what goes wrong ends in one line
demo          a file through a slow reader, counted and compared
bench         the benchmarks of the source tree
transfer      one file over one connection: the protocols of both ends
progress      a bar on a terminal
"""

from __future__ import annotations

from tlswrite.cli.main import main

__all__ = ["main"]

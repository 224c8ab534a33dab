"""`python -m benchmarks [--list] [--quick] [--json FILE] [--svg DIRECTORY] [names…]`"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.growth import table as growth_table
from benchmarks.measures import FULL, MEASURES, SHORT, Findings, Setting, present, wanted
from benchmarks.plots import write_plots
from benchmarks.variants import VARIANTS, make_identity


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    measures = wanted(options.names)
    if not measures:
        known = ", ".join(each.name for each in MEASURES)
        print(f"python -m benchmarks: nothing of that name; there are: {known}", file=sys.stderr)
        return 2
    if options.list:
        width = max(len(each.name) for each in measures)
        for each in measures:
            print(f"{each.name.ljust(width)}  {each.summary}")
        return 0
    variants, missing = present(VARIANTS)
    for name, module in missing.items():
        print(f"{name} is left out: {module} is not installed", file=sys.stderr)
    effort = SHORT if options.quick else FULL
    findings = Findings()
    total = sum(each.ticks(effort, len(variants)) for each in measures)
    with _progress(total) as tick, tempfile.TemporaryDirectory(prefix="tlswrite-benchmarks-") as directory:
        setting = Setting(variants, make_identity(Path(directory)), effort, tick)
        for each in measures:
            each.run(setting, findings)
    for name, reason in findings.unsupported.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    print(command, "; ".join(f"{name} {value}" for name, value in report.machine().items()), sep="\n\n")
    if findings.results:
        print("", report.LEGEND, "", report.tables(findings.results), sep="\n")
    if findings.growths:
        print("", growth_table(findings.growths), sep="\n")
    if options.svg is not None:
        for path in write_plots(options.svg, findings.results, findings.growths):
            print(path, file=sys.stderr)
    if options.json is not None:
        options.json.write_text(
            report.as_json(command, findings.results, findings.growths, missing, findings.unsupported) + "\n"
        )
    # Who asked for it by name is told by the exit status too.
    return 1 if findings.unsupported and options.names else 0


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, where rich is installed; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU time, latency and memory of tlswrite and its peers, in one run.",
        epilog="`--list` tells every name; names that begin alike are asked for together: `echo`, `https`.",
    )
    parser.add_argument("names", nargs="*", help="what to measure, e.g. echo, one-way-1KiB, https; all")
    parser.add_argument("--list", action="store_true", help="tell what there is (of these names), and end")
    parser.add_argument("--quick", action="store_true", help="few, short slices: shows that it runs")
    parser.add_argument(
        "--svg", type=Path, metavar="DIRECTORY", help="also draw a plot of each into DIRECTORY"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure to FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""HTTPS requests under aiohttp and uvicorn, with wrk (a package of Debian's) as the load.

Each variant is a server in a process of its own (`https_server`); they take turns under the load. What counts is
the CPU time of the server process over the requests it answered, and the latency that wrk saw.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Result
from benchmarks.variants import Identity, Unsupported

__all__ = ["FRAMEWORKS", "Load", "measure_https", "parse_wrk"]

FRAMEWORKS = ("aiohttp", "uvicorn")
#: What is compared: library and loop.
SERVED = (("tlswrite", "asyncio"), ("ssl", "asyncio"), ("tlswrite", "uvloop"), ("ssl", "uvloop"))
CONNECTIONS = 16
_TICK = os.sysconf("SC_CLK_TCK")
_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted: requests, and the median and the 99th percentile of their latency in microseconds."""

    requests: int
    median: float
    p99: float


def measure_https(
    framework: str,
    identity: Identity,
    repetitions: int,
    seconds: int,
    tick: Callable[[], None] = lambda: None,
) -> list[Result]:
    """CPU of the server, and the latencies, of requests for 1 KiB on kept connections. Raises Unsupported."""
    if shutil.which("wrk") is None:
        raise Unsupported("wrk is not installed (Debian's package wrk)")
    if importlib.util.find_spec(framework) is None:
        raise Unsupported(f"{framework} is not installed")
    cost: dict[str, list[float]] = {}
    median: dict[str, list[float]] = {}
    tail: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        servers = {}
        for library, loop in SERVED:
            if importlib.util.find_spec(loop) is not None:
                servers[f"{library}/{loop}"] = stack.enter_context(
                    _server(framework, library, loop, identity)
                )
        for repetition in range(repetitions):
            names = list(servers)
            at = repetition % len(names)
            for name in [*names[at:], *names[:at]]:
                process, port = servers[name]
                before = _cpu_time(process.pid)
                load = _load(port, seconds)
                spent = _cpu_time(process.pid) - before
                cost.setdefault(name, []).append(1e6 * spent / load.requests)
                median.setdefault(name, []).append(load.median)
                tail.setdefault(name, []).append(load.p99)
            tick()
    family = f"https {framework}"
    columns = {"CPU": cost, "latency p50": median, "latency p99": tail}
    return [Result(family, column, figures) for column, figures in columns.items()]


def parse_wrk(text: str) -> Load:
    """The report of `wrk --latency`. Raises RuntimeError for one with failures, or without requests."""
    failures = re.search(r"Socket errors:.*|Non-2xx.*", text)
    requests = re.search(r"(\d+) requests in", text)
    if failures is not None or requests is None or not int(requests[1]):
        raise RuntimeError(f"wrk: {failures[0] if failures is not None else 'no requests'}")
    latency = {}
    for share in ("50%", "99%"):
        found = re.search(rf"^\s*{share}\s+([\d.]+)(us|ms|s)\s*$", text, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"wrk did not report the latency at {share}")
        latency[share] = float(found[1]) * _UNITS[found[2]]
    return Load(int(requests[1]), latency["50%"], latency["99%"])


def _load(port: int, seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"https://127.0.0.1:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60 + seconds)
    return parse_wrk(done.stdout)


@contextlib.contextmanager
def _server(
    framework: str, library: str, loop: str, identity: Identity
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    files = [str(identity.certfile), str(identity.keyfile)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.https_server", framework, library, loop, *files],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.strip().isdigit():
            raise RuntimeError(f"{framework} with {library} on {loop} did not start")
        yield process, int(line)
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _cpu_time(pid: int) -> float:
    """Seconds of CPU, user and system, that a process has taken so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK

"""HTTPS requests under aiohttp and uvicorn, with wrk (a package of Debian's) as the load.

Each variant is a server in a process of its own (`https_server`); they take turns under the load. What counts is
the CPU time of the server process over the requests it answered, and the latency that wrk saw. wrk keeps its
connections and sends the next request of each when the last one is answered; it does not verify certificates. The
floor is the same server without TLS, and the AEAD of the page at one end: half of what sealing and opening takes.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import Child
from benchmarks.https_server import BODY
from benchmarks.report import Result, floor
from benchmarks.schedule import turned
from benchmarks.variants import DEFAULTS_VARIANTS, HOST, Identity, Unsupported, Variant
from benchmarks.workloads import AEADCost

__all__ = ["FRAMEWORKS", "Load", "measure_https", "parse_wrk"]

FRAMEWORKS = ("aiohttp", "uvicorn")
CONNECTIONS = 16
MICRO = 1e6

#: What wrk writes at its end, the last line of it: JSON. Latencies are in microseconds.
SCRIPT = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "failures": %d, "p50": %f, "p99": %f, "p99.9": %f}\\n', summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""

#: Times the AEAD is carried out for one figure of it.
AEAD_OPERATIONS = 2000


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted: requests, and percentiles of their latency in microseconds."""

    requests: int
    p50: float
    p99: float
    p999: float


def measure_https(
    framework: str,
    variants: Sequence[Variant],
    identity: Identity,
    repetitions: int,
    seconds: int,
    tick: Callable[[], None] = lambda: None,
) -> list[Result]:
    """CPU of the server, and latencies, in microseconds, of requests for a page of 1 KiB. Raises Unsupported."""
    if shutil.which("wrk") is None:
        raise Unsupported("wrk is not installed (Debian's package wrk)")
    if importlib.util.find_spec(framework) is None:
        raise Unsupported(f"{framework} is not installed")
    defaults = [each for each in DEFAULTS_VARIANTS if each.missing() is None]
    columns: dict[str, dict[str, list[float]]] = {"CPU": {}, "p50": {}, "p99": {}, "p99.9": {}}
    aead: list[float] = []
    with contextlib.ExitStack() as stack:
        script = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "report.lua"
        script.write_text(SCRIPT)
        servers = [
            (variant, stack.enter_context(serving(framework, variant, identity)))
            for variant in [*variants, *defaults]
        ]
        for variant, server in servers:
            _verify(variant, server.greeting, identity)
        for repetition in range(repetitions):
            for variant, server in turned(servers, repetition):
                before = server.ask("cpu")
                load = _load(script, _scheme(variant), server.greeting, seconds)
                spent = server.ask("cpu") - before
                figures = (MICRO * spent / load.requests, load.p50, load.p99, load.p999)
                for column, figure in zip(columns.values(), figures, strict=True):
                    column.setdefault(variant.name, []).append(figure)
            aead.append(_aead())
            tick()
    cost = columns["CPU"]
    for name in [name for name in cost if name.startswith("TCP/")]:
        cost[f"{name} + AEAD"] = floor(cost[name], aead, 0.5)
    return [Result(f"https {framework}", column, figures) for column, figures in columns.items()]


def serving(framework: str, variant: Variant, identity: Identity) -> Child:
    """The server's process, whose greeting is its port, and which tells its CPU time in seconds."""
    directory = str(identity.certfile.parent)
    return Child("benchmarks.https_server", [framework, variant.name, directory])


def parse_wrk(text: str) -> Load:
    """What `SCRIPT` wrote. Raises RuntimeError for a load with failures, or without requests."""
    line = text.rstrip().rpartition("\n")[2]
    try:
        found = json.loads(line)
        load = Load(found["requests"], found["p50"], found["p99"], found["p99.9"])
        failures = found["failures"]
    except (ValueError, KeyError, TypeError) as error:
        raise RuntimeError(f"wrk did not report: {line!r}") from error
    if failures or not load.requests:
        raise RuntimeError(f"wrk: {failures} failures, {load.requests} requests")
    return load


def _verify(variant: Variant, port: int, identity: Identity) -> None:
    """Raise RuntimeError unless the page comes, over what every variant is to negotiate."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    if _scheme(variant) == "https":
        context = ssl.create_default_context(cafile=identity.cafile)
        connection = http.client.HTTPSConnection(HOST, port, timeout=30, context=context)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        tls = connection.sock
        if isinstance(tls, ssl.SSLSocket):
            negotiated = (tls.version(), (tls.cipher() or ("none",))[0])
            if negotiated != ("TLSv1.3", variant.library.suite.name):
                raise RuntimeError(f"{variant.name} is not like for like: {negotiated}")
        if connection.getresponse().read() != BODY:
            raise RuntimeError(f"{variant.name}: the page is not what is served")


def _load(script: Path, scheme: str, port: int, seconds: int) -> Load:
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "-s",
        str(script),
        f"{scheme}://{HOST}:{port}/",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60 + seconds)
    return parse_wrk(done.stdout)


def _scheme(variant: Variant) -> str:
    return "http" if variant.name.startswith("TCP/") else "https"


def _aead() -> float:
    """Microseconds of CPU time for sealing and opening a page."""
    cost = AEADCost(len(BODY))
    begin = time.process_time()
    cost.run(AEAD_OPERATIONS)
    return MICRO * (time.process_time() - begin) / AEAD_OPERATIONS

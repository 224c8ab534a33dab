from __future__ import annotations

import importlib.util
import os
import shutil
import ssl
import urllib.request

import pytest

from benchmarks import https
from benchmarks.https import FRAMEWORKS, Load, measure_https, parse_wrk
from benchmarks.https_server import BODY
from benchmarks.variants import Identity, Unsupported

REPORT = """Running 2s test @ https://127.0.0.1:1/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.61ms  201.47us   8.24ms   90.11%
    Req/Sec    10.01k   421.80    10.52k    85.00%
  Latency Distribution
     50%    1.57ms
     75%    1.66ms
     90%    1.75ms
     99%  950.00us
  19930 requests in 2.00s, 22.20MB read
Requests/sec:   9958.45
Transfer/sec:     11.09MB
"""


def test_the_report_of_wrk_is_read() -> None:
    assert parse_wrk(REPORT) == Load(19930, 1570.0, 950.0)


@pytest.mark.parametrize(
    "text",
    [
        REPORT.replace("19930 requests", "0 requests"),
        REPORT + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        REPORT + "  Non-2xx or 3xx responses: 7\n",
        REPORT.replace("99%", "98%"),
        "",
    ],
)
def test_a_load_that_failed_is_no_figure(text: str) -> None:
    with pytest.raises(RuntimeError, match="wrk"):
        parse_wrk(text)


def test_a_tool_or_framework_that_is_missing_is_named(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/wrk")
    with pytest.raises(Unsupported, match="no_such_framework is not installed"):
        measure_https("no_such_framework", identity, 1, 1)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unsupported, match="wrk is not installed"):
        measure_https("aiohttp", identity, 1, 1)


def test_the_time_of_a_process_grows_with_its_work() -> None:
    before = https._cpu_time(os.getpid())
    while https._cpu_time(os.getpid()) < before + 0.02:
        sum(range(10_000))
    assert before > 0


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_both_libraries_serve_the_page(framework: str, identity: Identity) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    context = ssl.create_default_context(cafile=str(identity.cafile))
    for library in ("tlswrite", "ssl"):
        with https._server(framework, library, "asyncio", identity) as (process, port):
            with urllib.request.urlopen(f"https://localhost:{port}/", context=context, timeout=30) as answer:
                assert answer.read() == BODY
            assert process.poll() is None
        assert process.poll() is not None


def test_a_server_that_does_not_start_is_told(identity: Identity) -> None:
    missing = Identity(identity.certfile.with_name("no"), identity.keyfile, identity.cafile)
    with (
        pytest.raises(RuntimeError, match="did not start"),
        https._server("aiohttp", "ssl", "asyncio", missing),
    ):
        pass


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_figures_of_a_real_load(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("aiohttp is not installed")
    monkeypatch.setattr(https, "SERVED", (("tlswrite", "asyncio"), ("ssl", "asyncio")))
    results = measure_https("aiohttp", identity, 1, 1)
    assert [result.column for result in results] == ["CPU", "latency p50", "latency p99"]
    for result in results:
        assert result.median("tlswrite/asyncio") > 0
        assert result.median("ssl/asyncio") > 0

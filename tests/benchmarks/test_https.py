from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from benchmarks import https
from benchmarks.https import FRAMEWORKS, Load, measure_https, parse_wrk
from benchmarks.variants import DEFAULTS_VARIANTS, VARIANTS, Identity, Unsupported, Variant, identity_in
from tests.benchmarks.conftest import every_variant

SOME = "aiohttp"

LINE = '{"requests": 19930, "failures": 0, "p50": 1570.0, "p99": 1750.5, "p99.9": 9501.0}\n'
REPORT = f"""Running 2s test @ https://127.0.0.1:1/
  19930 requests in 2.00s, 22.20MB read
Requests/sec:   9958.45
{LINE}"""


def test_the_report_of_wrk_is_read() -> None:
    assert parse_wrk(REPORT) == Load(19930, 1570.0, 1750.5, 9501.0)


@pytest.mark.parametrize(
    "text",
    [
        REPORT.replace('"requests": 19930', '"requests": 0'),
        REPORT.replace('"failures": 0', '"failures": 7'),
        REPORT.replace("p99.9", "p98"),
        REPORT.replace(LINE, "7"),
        REPORT.replace(LINE, ""),
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
        measure_https("no_such_framework", [], identity, 1, 1)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unsupported, match="wrk is not installed"):
        measure_https("aiohttp", [], identity, 1, 1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@every_variant
def test_every_variant_serves_the_page_and_negotiates_the_same(
    framework: str, variant: Variant, identity: Identity
) -> None:
    if importlib.util.find_spec(framework) is None or variant.missing() is not None:
        pytest.skip(f"{framework} or {variant.missing()} is not installed")
    with https.serving(framework, variant, identity) as server:
        https._verify(variant, server.greeting, identity)
        assert server.ask("cpu") > 0


def test_another_suite_or_page_is_no_like_for_like(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    (variant, *_) = (each for each in DEFAULTS_VARIANTS if each.missing() is None)
    with https.serving(SOME, variant, identity) as server:
        with pytest.raises(RuntimeError, match="not like for like"):
            https._verify(VARIANTS[0], server.greeting, identity)
        monkeypatch.setattr(https, "BODY", b"another")
        with pytest.raises(RuntimeError, match="not what is served"):
            https._verify(variant, server.greeting, identity)


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 1"):
        https.serving("aiohttp", VARIANTS[0], identity_in(tmp_path))


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_figures_of_a_real_load(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "DEFAULTS_VARIANTS", ())
    results = measure_https(SOME, [VARIANTS[0], VARIANTS[3]], identity, 1, 1)
    assert [result.column for result in results] == ["CPU", "p50", "p99", "p99.9"]
    for result in results:
        assert result.median("tlswrite/asyncio") > 0
    assert results[0].median("TCP/asyncio + AEAD") > results[0].median("TCP/asyncio")
    assert results[1].median("TCP/asyncio") <= results[3].median("TCP/asyncio")

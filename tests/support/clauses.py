"""The write contract's clauses against the tests that show them.

A test bears the ids of its clauses in its name (`test_w11_…`, `test_w13_w14_…`); its carrier follows from the
file it stands in (`carrier_of`). With `--clauses`, which the full test run passes, the run ends with a table
of clause, carrier, test and outcome, and it fails when

* a clause has no passing test on a carrier where it can occur,
* a test bears an id that is no clause.

A run of some files, without the option, is left alone. The table is made from test reports, which
pytest-xdist brings to the controlling process, so it is the same whatever the number of workers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pytest

MEMORY, ASYNCIO, BLOCKING = "memory", "asyncio", "blocking"
#: Tests of single parts that bear an id: shown, but they prove a clause on no carrier.
ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: what it promises, and the carriers where it can occur."""

    id: str
    summary: str
    carriers: tuple[str, ...]


CLAUSES = tuple(
    Clause(*row)
    for row in (
        ("W01", "write() takes the bytes of any contiguous buffer", (MEMORY, ASYNCIO, BLOCKING)),
        # A transport is handed out when its handshake is done: asyncio has no first write that negotiates.
        ("W02", "the first write negotiates by itself", (MEMORY, BLOCKING)),
        ("W03", "no connection without a role", (MEMORY, ASYNCIO, BLOCKING)),
        ("W04", "a renegotiation in the middle of a write is not noticed", (MEMORY, ASYNCIO, BLOCKING)),
        ("W05", "nor are TLS 1.3's post-handshake messages", (MEMORY, ASYNCIO, BLOCKING)),
        ("W06", "a blocking write returns when all is written, or on error", (BLOCKING,)),
        ("W07", "without AUTO_RETRY a renegotiation surfaces as WANT_READ", (BLOCKING,)),
        ("W08", "what cannot go on wants READ or WRITE", (MEMORY, ASYNCIO, BLOCKING)),
        ("W09", "a write may have to read", (MEMORY, ASYNCIO, BLOCKING)),
        ("W10", "readiness is all that a retry waits for", (ASYNCIO,)),
        ("W11", "data must be put in or taken out before a write goes on", (MEMORY,)),
        ("W12", "success means all of the buffer, by default", (MEMORY, ASYNCIO, BLOCKING)),
        # W13 to W16 are about results and retries, which the asyncio transport keeps to itself (A01).
        ("W13", "ENABLE_PARTIAL_WRITE: success when a part is written", (MEMORY, BLOCKING)),
        ("W14", "a part is one message block", (MEMORY, BLOCKING)),
        ("W15", "a retry has the same arguments", (MEMORY, BLOCKING)),
        ("W16", "ACCEPT_MOVING_WRITE_BUFFER: the same bytes, elsewhere", (MEMORY, BLOCKING)),
        ("W17", "no byte is sent twice, whatever happens between retries", (MEMORY, ASYNCIO, BLOCKING)),
        ("W18", "an empty write sends no application data", (MEMORY, ASYNCIO, BLOCKING)),
        ("W19", "the result is the number of bytes written", (MEMORY, ASYNCIO, BLOCKING)),
        ("W20", "each outcome is one exception class and one error code", (MEMORY, ASYNCIO, BLOCKING)),
        ("W21", "retryable or terminal can be told; terminal stays", (MEMORY, ASYNCIO, BLOCKING)),
        ("W22", "a clean end, a bare end and a reset are told apart", (MEMORY, ASYNCIO, BLOCKING)),
        ("A01", "transport.write() neither blocks nor raises a want", (ASYNCIO,)),
        ("A02", "no more ciphertext is held than one send window", (ASYNCIO,)),
        ("A03", "one count, one pair of watermarks", (ASYNCIO,)),
        ("A04", "the caller may reuse its buffer", (ASYNCIO,)),
        ("A05", "small writes of one iteration share records and a send", (ASYNCIO,)),
        ("A06", "writing goes on while reading is paused", (ASYNCIO,)),
        ("A07", "every call is safe inside every callback", (ASYNCIO,)),
        ("A08", "close() sends everything, abort() drops it", (ASYNCIO,)),
        ("A09", "write_eof() closes one direction only", (ASYNCIO,)),
        ("A10", "a cancelled write leaves the stream whole and its count known", (ASYNCIO,)),
        ("A11", "after a lost connection: warnings, one connection_lost, its true cause", (ASYNCIO,)),
        ("A12", "rekeying is not noticed", (ASYNCIO,)),
    )
)


def ids_of(test: str) -> tuple[str, ...]:
    """The clauses that a test function shows, from its name."""
    found = re.match(r"test((?:_[wa]\d\d)+)(?=_|$)", test)
    return tuple(part.upper() for part in found[1][1:].split("_")) if found else ()


def carrier_of(file: str) -> str:
    """The carrier that the tests of a file run on, from its path."""
    path = PurePosixPath(file)
    if path.parent.name == "contract":
        carrier = path.stem.removeprefix("test_")
        return carrier if carrier in (MEMORY, ASYNCIO, BLOCKING) else ELSEWHERE
    if "asyncio" in path.parts:
        return ASYNCIO
    if "sync" in path.parts:
        return BLOCKING
    return MEMORY if path.name == "test_connection.py" else ELSEWHERE


@dataclass(slots=True)
class Table:
    """Outcomes of tests by clause, carrier and test function."""

    clauses: tuple[Clause, ...] = CLAUSES
    #: (clause id, carrier) -> test function -> node id -> "passed", "failed" or "skipped".
    _rows: dict[tuple[str, str], dict[str, dict[str, str]]] = field(default_factory=dict)

    def record(self, node: str, phase: str, outcome: str) -> None:
        """Take one phase (setup, call, teardown) of the test with that node id; a failed one counts most."""
        if phase != "call" and outcome == "passed":
            return  # set-up and tear-down prove nothing
        file, *_, function = node.partition("[")[0].split("::")
        for clause in ids_of(function):
            tests = self._rows.setdefault((clause, carrier_of(file)), {}).setdefault(function, {})
            if tests.get(node) != "failed":
                tests[node] = outcome

    def lines(self) -> Iterable[str]:
        """The table for people."""
        width = max((len(test) for tests in self._rows.values() for test in tests), default=0)
        for clause in self.clauses:
            yield f"{clause.id}  {clause.summary}"
            for carrier in (MEMORY, ASYNCIO, BLOCKING, ELSEWHERE):
                for test, outcomes in sorted(self._rows.get((clause.id, carrier), {}).items()):
                    yield f"     {carrier:9} {test:{width}}  {_count(outcomes.values())}"

    def faults(self) -> list[str]:
        """Why the run fails, in words; empty when every clause has what it needs."""
        faults = []
        for clause in self.clauses:
            faults += [
                f"{clause.id} has no passing test on {carrier}: {clause.summary}"
                for carrier in clause.carriers
                if not self._passes(clause.id, carrier)
            ]
        known = {clause.id for clause in self.clauses}
        for (clause_id, _), tests in sorted(self._rows.items()):
            if clause_id not in known:
                faults.append(f"{clause_id} is no clause, but {', '.join(sorted(tests))} bears it")
        return faults

    def _passes(self, clause_id: str, carrier: str) -> bool:
        tests = self._rows.get((clause_id, carrier), {})
        return any(outcome == "passed" for outcomes in tests.values() for outcome in outcomes.values())


def _count(outcomes: Iterable[str]) -> str:
    counts = Counter(outcomes)
    return ", ".join(f"{counts[name]} {name}" for name in ("failed", "passed", "skipped") if counts[name])


# ---- the plugin -----------------------------------------------------------------------------------------


class ClausesPlugin:
    """Collects reports in the controlling process, and ends the run with the table."""

    def __init__(self) -> None:
        self.table = Table()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.table.record(report.nodeid, report.when, report.outcome)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("clauses of the write contract")
        for line in self.table.lines():
            terminalreporter.write_line(line)
        faults = self.table.faults()
        for fault in faults:
            terminalreporter.write_line(fault, red=True)
        terminalreporter.write_line(f"{len(CLAUSES)} clauses, {len(faults)} faults")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and self.table.faults():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clauses",
        action="store_true",
        help="end with the table of the write contract's clauses; fail when one has no passing test",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A worker of pytest-xdist sees only its own share of the tests.
    if config.getoption("--clauses") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ClausesPlugin(), "clauses")

"""Watermarks (clause A03), apart from what is counted: see test_write_side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support import engine
from tests.support.wire import Complaints, Recorder, turns
from tlswrite.asyncio.flow import DEFAULT_HIGH_WATER
from tlswrite.asyncio.layered import LayeredTransport
from tlswrite.asyncio.pipe import Pipe


class Lower(asyncio.Transport):
    """A transport underneath that holds what the test says."""

    size = 0

    def get_write_buffer_size(self) -> int:
        return self.size

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def abort(self) -> None:
        pass


class Counter(LayeredTransport):
    """Flow control over a number that the test sets."""

    def __init__(self, protocol: Any) -> None:
        loop = asyncio.get_running_loop()
        self.lower = Lower()
        pipe = Pipe(loop)
        pipe.take_over(self.lower)
        super().__init__(loop, pipe, protocol, engine.client())
        _made.append(self)

    def set(self, size: int) -> None:
        self.lower.size = size
        self._core._pause_protocol_if_full()
        self._core._resume_protocol_if_drained()


_made: list[Counter] = []


@pytest.fixture(autouse=True)
async def over() -> AsyncIterator[None]:
    yield
    while _made:
        _made.pop().abort()
    await turns()


async def test_a03_defaults_are_asyncios() -> None:
    transport = Counter(Recorder())
    assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
    assert DEFAULT_HIGH_WATER == 64 * 1024


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, (16 * 1024, 64 * 1024)),
        ({"high": 1000}, (250, 1000)),
        ({"low": 1000}, (1000, 4000)),
        ({"high": 1000, "low": 1000}, (1000, 1000)),
        ({"high": 0}, (0, 0)),
        ({"low": 0}, (0, 0)),
    ],
)
async def test_a03_limits_are_set_as_asyncio_defines(given: dict[str, int], limits: tuple[int, int]) -> None:
    transport = Counter(Recorder())
    transport.set_write_buffer_limits(**given)
    assert transport.get_write_buffer_limits() == limits


@pytest.mark.parametrize("given", [{"high": 1, "low": 2}, {"high": -1}, {"high": 5, "low": -1}])
async def test_a03_limits_that_cannot_be_are_refused(given: dict[str, int]) -> None:
    transport = Counter(Recorder())
    with pytest.raises(ValueError, match="must be >= low"):
        transport.set_write_buffer_limits(**given)
    assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)


async def test_a03_above_high_pauses_and_at_low_resumes() -> None:
    recorder = Recorder()
    transport = Counter(recorder)
    transport.set_write_buffer_limits(high=100, low=10)
    for size, calls in (
        (100, 0),
        (101, 1),
        (200, 1),
        (11, 1),
        (150, 1),
        (10, 2),
        (0, 2),
        (100, 2),
        (101, 3),
        (0, 4),
    ):
        transport.set(size)
        assert (
            recorder.calls == ["pause_writing", "resume_writing", "pause_writing", "resume_writing"][:calls]
        )


async def test_a03_lower_limits_pause_at_once() -> None:
    recorder = Recorder()
    transport = Counter(recorder)
    transport.set(50)
    transport.set_write_buffer_limits(high=49)
    assert recorder.calls == ["pause_writing"]
    transport.set_write_buffer_limits(high=48)
    assert recorder.calls == ["pause_writing"]


async def test_a03_high_zero_pauses_for_a_byte() -> None:
    recorder = Recorder()
    transport = Counter(recorder)
    transport.set_write_buffer_limits(high=0)
    for size in (0, 1, 0):
        transport.set(size)
    assert recorder.calls == ["pause_writing", "resume_writing"]


@pytest.mark.parametrize("name", ["pause_writing", "resume_writing"])
async def test_what_the_protocol_raises_is_reported_and_does_no_harm(
    name: str, complaints: Complaints
) -> None:
    def fail(recorder: Recorder) -> None:
        raise LookupError(name)

    recorder = Recorder(**{name: fail})
    transport = Counter(recorder)
    for size in (100_000, 0):
        transport.set(size)
    context = complaints.take()
    assert context["message"] == f"protocol.{name}() failed"
    assert isinstance(context["exception"], LookupError)
    assert (context["transport"], context["protocol"]) == (transport, recorder)
    assert recorder.calls == ["pause_writing", "resume_writing"]


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
async def test_an_interrupt_goes_on_up(stop: type[BaseException]) -> None:
    def interrupt(recorder: Recorder) -> None:
        raise stop

    transport = Counter(Recorder(pause_writing=interrupt))
    with pytest.raises(stop):
        transport.set(100_000)


async def test_without_a_protocol_nobody_is_told() -> None:
    transport = Counter(None)
    transport.set(100_000)
    transport.set(0)

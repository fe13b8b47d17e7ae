from __future__ import annotations

import asyncio

import pytest

from tests.benchmarks.load import _answer, burst, percentile, steady


class Echo:
    """Answers after a moment, and remembers how many were in flight at most."""

    def __init__(self) -> None:
        self.sent, self.flying, self.most = 0, 0, 0

    async def __call__(self) -> None:
        self.sent += 1
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(0.001)
        self.flying -= 1


async def test_a_burst_sends_every_request_and_keeps_so_many_in_flight() -> None:
    echo = Echo()
    latencies = await burst(echo, count=50, at_once=8)
    assert (echo.sent, len(latencies), echo.most) == (50, 50, 8)


async def test_a_steady_flow_sends_the_rate_for_the_time() -> None:
    echo = Echo()
    assert len(await steady(echo, rate=200, seconds=0.1)) == echo.sent == 20


async def test_a_slow_request_does_not_hold_back_the_next() -> None:
    started: list[int] = []
    last = asyncio.Event()

    async def waits_for_the_last() -> None:
        started.append(len(started))
        if len(started) == 3:
            last.set()
        await last.wait()

    assert len(await steady(waits_for_the_last, rate=100, seconds=0.03)) == 3


async def test_a_request_that_fails_is_told_with_its_reason() -> None:
    async def fails() -> None:
        raise ValueError("503 no room")

    assert await _answer({"count": 3, "at_once": 2}, fails) == {"error": "ValueError: 503 no room"}


@pytest.mark.parametrize(("share", "value"), [(50, 50.0), (99, 99.0), (100, 100.0), (1, 1.0)])
def test_a_percentile_is_one_of_the_values(share: int, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value

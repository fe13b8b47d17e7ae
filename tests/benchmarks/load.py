"""The client of one row: a process that sends requests when it is told to.

Orders come as JSON lines on standard input and are answered by JSON lines on standard output, see `Order` and `Answer`. Only the standard
library and uvloop are imported here, because the clients of the peers live in another virtual environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypedDict

import uvloop

#: Sends one request and returns when its result is here. Raises whatever went wrong.
Request = Callable[[], Awaitable[None]]

LONGEST = 60.0  #: seconds one request may take


class Order(TypedDict, total=False):
    """Either `count` requests, `at_once` of them in flight, or `rate` a second for `seconds`."""

    count: int
    at_once: int
    rate: int
    seconds: float


class Answer(TypedDict, total=False):
    """What carrying an order out took, in seconds, and the latencies, in ms; or only `error`."""

    seconds: float
    p50: float
    p99: float
    error: str


def serve(opened: AbstractAsyncContextManager[Request]) -> None:
    """Carry orders out until standard input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    async def carry_out_all() -> None:
        async with opened as request:
            while line := await asyncio.to_thread(sys.stdin.readline):
                answers.write(json.dumps(await _answer(json.loads(line), request)) + "\n")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(carry_out_all())


async def _answer(order: Order, request: Request) -> Answer:
    started = time.perf_counter()
    try:
        if "rate" in order:
            latencies = await steady(request, order["rate"], order["seconds"])
        else:
            latencies = await burst(request, order["count"], order["at_once"])
    except ExceptionGroup as faults:
        first: Exception = faults
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        return {"error": f"{type(first).__name__}: {first}"}
    return {"seconds": time.perf_counter() - started, "p50": percentile(latencies, 50), "p99": percentile(latencies, 99)}


async def burst(request: Request, count: int, at_once: int) -> list[float]:
    """The latencies, in ms, of `count` requests; the next one starts when one of those in flight has ended."""
    latencies: list[float] = []
    left = iter(range(count))

    async def caller() -> None:
        for _ in left:
            latencies.append(await _timed(request, time.perf_counter()))  # noqa: PERF401 - shared by all callers

    async with asyncio.TaskGroup() as callers:
        for _ in range(at_once):
            callers.create_task(caller())
    return latencies


async def steady(request: Request, rate: int, seconds: float) -> list[float]:
    """The latencies, in ms, of `rate` requests a second, from the moment each was due: a slow one does not hold back the next."""
    start = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        tasks = []
        for number in range(int(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(callers.create_task(_timed(request, due)))
    return [task.result() for task in tasks]


async def _timed(request: Request, due: float) -> float:
    async with asyncio.timeout(LONGEST):
        await request()
    return (time.perf_counter() - due) * 1000


def percentile(values: list[float], share: int) -> float:
    """The smallest value that `share` percent of the values do not exceed."""
    return sorted(values)[max(0, -(-len(values) * share // 100) - 1)]

"""Numbered requests while the sidecar and Redis are killed in turn: what was accepted ends, and every call stands in its run."""

from __future__ import annotations

import asyncio
from collections import Counter

from bridge.app import Bridge
from bridge.auth import LOCAL
from bridge.errors import Unavailable
from bridge.events import Submission
from bridge.ports import FunctionCall, FunctionResponse
from bridge.run import Run, Status
from bridge.testing import json_answer
from tests.dapr.machine import Machine
from tests.dapr.sidecar import Redis, Sidecar
from tests.dapr.test_bridge import bridge

REQUESTS, KILLS, PAUSE = 150, 6, 0.7


class Counting:
    """A function that keeps how often each correlation id came."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()

    def starting(self, _app: str) -> bool:
        return False

    def unserved(self, _app: str, _method: str, _path: str) -> str:
        return ""

    async def call(self, call: FunctionCall) -> FunctionResponse:
        self.effects[call.headers["x-correlation-id"]] += 1
        return json_answer("done")


async def accepted(made: Bridge, correlation_id: str) -> None:
    """Ask until it is accepted, as a client does."""
    while True:
        try:
            await made.services.bridge.submit(Submission("one", None, correlation_id), LOCAL)
        except Unavailable:
            await asyncio.sleep(0.2)
        else:
            return


async def ended(made: Bridge, correlation_id: str) -> Run:
    while True:
        try:
            run = await made.services.bridge.find(correlation_id, LOCAL, wait=5)
        except Unavailable:
            await asyncio.sleep(0.2)
        else:
            if run.status.final:
                return run


async def kill_in_turn(machine: Machine, storing: Redis, beside: Sidecar) -> None:
    for number in range(KILLS):
        await asyncio.sleep(PAUSE)
        if number % 2:
            await beside.program.kill()
            beside = await machine.sidecar()
        else:
            await storing.program.kill()
            storing = await machine.redis()


async def test_what_was_accepted_ends_although_sidecar_and_redis_are_killed(machine, tmp_path):
    storing, beside, functions = await machine.redis(), await machine.sidecar(), Counting()
    ids = [f"id-{number}" for number in range(REQUESTS)]
    async with bridge(tmp_path, beside, functions) as made:
        killing = asyncio.create_task(kill_in_turn(machine, storing, beside))

        async def ask_one_after_another(mine: list[str]) -> None:
            for each in mine:
                await accepted(made, each)
                await asyncio.sleep(0.1)

        await asyncio.gather(*(ask_one_after_another(ids[start::4]) for start in range(4)))
        await killing
        async with asyncio.timeout(50):
            runs = await asyncio.gather(*(ended(made, each) for each in ids))
    assert Counter(run.status for run in runs) == {Status.SUCCEEDED: REQUESTS}
    calls = {run.correlation_id: len(run.invocations[0].attempts) for run in runs}
    assert all(1 <= functions.effects[each] <= calls[each] for each in ids), "a call that no run knows of"

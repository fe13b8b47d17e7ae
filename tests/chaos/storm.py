"""Starts a bridge, drives load from all sides, kills it at moments drawn from a seed, and waits until everything has come to its end."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted, scripted
from tests.chaos import programs
from tests.chaos.clients import HttpCaller, Load, Publisher
from tests.chaos.ledger import Ledger
from tests.chaos.place import Place
from tests.chaos.verdict import Verdict, judge, unseen
from tests.chaos.wishes import CSHARP

PATIENCE = 120.0  #: seconds until everything accepted has ended: a deadline is at most a minute, a claim of a dead bridge 30 s
TOGETHER = 20  #: look-ups under way
MOST = 40_000  #: requests

Opening = Callable[[Scripted], AbstractAsyncContextManager[Place]]
"""Starts the bridges whose functions are in an app."""


@dataclass(frozen=True)
class Plan:
    """`seconds` of load with `kills` at moments that the seed decides; the pauses of callers are the longest, in seconds."""

    seconds: float = 60
    kills: int = 12
    seed: int = 0
    callers: int = 24
    publishers: int = 3
    pause: float = 0.05


@dataclass
class Storm:
    """What came of it. `ends`: how the process was ended, and how often."""

    verdict: Verdict
    ends: Counter[str] = field(default_factory=Counter)
    drained: float = 0.0
    audit: dict[str, Any] = field(default_factory=dict)
    audit_code: int | None = None

    @property
    def wrong(self) -> tuple[str, ...]:
        """Everything that must not be, in words."""
        misfits = tuple(f"{each['correlationId']}: {each['what']} (bridge audit)" for each in self.audit["misfits"])
        left = (f"{self.audit['unfinished']} unfinished (bridge audit)",) if self.audit["unfinished"] else ()
        return (*self.verdict.wrong, *misfits, *left)


def end_on_sigterm() -> None:
    """Let SIGTERM cancel the task that calls this, so that the processes it started are stopped."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def storm(plan: Plan, opening: Opening) -> Storm:
    """Raises TimeoutError if it does not come to an end."""
    ledger, longest = Ledger(), plan.seconds + 2 * PATIENCE + 60
    async with asyncio.timeout(longest), scripted(kept=0) as app, opening(app) as place, _programs(place, ledger):
        ends = await _under_load(plan, place, ledger)
        bridge = place.bridges[0]
        drained = await _drained(bridge, ledger)
        for invocation, number in place.worked():
            ledger.worked(invocation, number)
        await _look_at_everything(bridge, ledger, app)
        account, code = await audit(bridge, ledger)
    return Storm(judge(ledger), ends, drained, account, code)


@asynccontextmanager
async def _programs(place: Place, ledger: Ledger) -> AsyncIterator[None]:
    worker, reader = programs.Worker(ledger), programs.reader(ledger)
    worked = [entity for entity in programs.WORK if entity not in place.hosted]
    served = [(entity, worker.handle) for entity in worked] + [(entity, reader) for entity in programs.REPLIES]
    served += [(programs.SEEN, programs.witness(ledger))] if CSHARP in place.wishes else []
    tasks = [asyncio.create_task(programs.serve(partial(place.door, number), *each)) for number, each in enumerate(served)]
    try:
        yield
    finally:
        await _ended(tasks)
        for fault in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(fault, asyncio.CancelledError):
                ledger.surprises.append(f"a program on the bus ended: {fault!r}")


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel until they have heard it: `asyncio.wait_for` of Python 3.11 may swallow a cancel that comes as its answer does."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)


async def _under_load(plan: Plan, place: Place, ledger: Ledger) -> Counter[str]:
    load = Load(ledger, plan.seed, MOST, place.wishes)
    async with AsyncExitStack() as stack:
        sessions = [aiohttp.ClientSession(bridge.url, timeout=aiohttp.ClientTimeout(15)) for bridge in place.bridges]
        for session in sessions:
            await stack.enter_async_context(session)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for number in range(plan.callers):
            group.create_task(HttpCaller(load, number, sessions[number % len(sessions)], plan.pause).run())
        for number in range(plan.publishers):
            group.create_task(Publisher(load, number, place, plan.pause).run())
        try:
            ends = await _killed_again_and_again(plan, place)
        finally:
            load.stopped.set()
    return ends


async def _killed_again_and_again(plan: Plan, place: Place) -> Counter[str]:
    chance = random.Random(f"{plan.seed}/ends")
    began, ends = time.monotonic(), Counter[str]()
    moments = sorted(chance.uniform(0.5, plan.seconds) for _ in range(plan.kills))
    for moment, how in zip(moments, ways(chance, place.ends, plan.kills), strict=True):
        await asyncio.sleep(max(began + moment - time.monotonic(), 0))
        ends[how] += 1
        await place.end(how, chance)
    await asyncio.sleep(max(began + plan.seconds - time.monotonic(), 0))
    return ends


def ways(chance: random.Random, ends: Mapping[str, int], count: int) -> list[str]:
    """So many ways to end a process: each once, as far as there is room, and the others as often as their weights say."""
    drawn = chance.sample(list(ends), min(count, len(ends)))
    drawn += chance.choices(list(ends), list(ends.values()), k=count - len(drawn))
    chance.shuffle(drawn)
    return drawn


async def _drained(bridge: BridgeProcess, ledger: Ledger) -> float:
    """Seconds until everything accepted had ended and been replied to, or until patience is over."""
    began = time.monotonic()
    async with aiohttp.ClientSession(bridge.url) as http:
        while time.monotonic() < began + PATIENCE:
            open_runs = [each for each in ledger.accepted if each not in ledger.runs]
            await _look(http, ledger, open_runs, wait=5)
            silent = any(not ledger.replies.get(each) for each in ledger.accepted)
            if not open_runs and not silent and not unseen(ledger):
                break
            await asyncio.sleep(0.2)
    return time.monotonic() - began


async def _look(http: aiohttp.ClientSession, ledger: Ledger, ids: list[str], wait: int = 0) -> None:
    room = asyncio.Semaphore(TOGETHER)

    async def look(each: str) -> None:
        async with room, http.get(f"/v1/requests/{each}?wait={wait}") as answer:
            if answer.status < 300:
                ledger.saw(await answer.json())

    await asyncio.gather(*map(look, ids))


async def _look_at_everything(bridge: BridgeProcess, ledger: Ledger, app: Scripted) -> None:
    """Every run that was accepted or had an effect, as it stands at the end, and every dead letter."""
    ledger.effects += app.effects
    touched = {invocation.rpartition("/")[0] for invocation in ledger.effects}
    async with aiohttp.ClientSession(bridge.url) as http:
        await _look(http, ledger, sorted(ledger.accepted.keys() | touched))
        # A request that nobody was told of may have come again late, and its run began a moment ago.
        until = time.monotonic() + PATIENCE
        while (left := touched - ledger.runs.keys()) and time.monotonic() < until:
            await _look(http, ledger, sorted(left), wait=5)
        cursor = ""
        while True:
            async with http.get(f"/v1/deadletters?limit=200&cursor={cursor}") as answer:
                page = await answer.json()
            for letter in page["items"]:
                ledger.kept(letter)
            cursor = page.get("nextCursor", "")
            if not cursor:
                return


async def audit(bridge: BridgeProcess, ledger: Ledger) -> tuple[dict[str, Any], int | None]:
    """The bridge's own account once nothing is on its way any more, or after patience."""
    accepted = bridge.data_dir.parent / "accepted"
    accepted.write_text("\n".join(ledger.accepted))
    command = (sys.executable, "-m", "bridge", "--url", bridge.url, "audit", "--json", "--accepted", str(accepted))
    until = time.monotonic() + PATIENCE
    while True:
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        said, _ = await process.communicate()
        account = json.loads(said)
        if not (account["unfinished"] or account["repliesDue"]) or time.monotonic() > until:
            return account, process.returncode
        await asyncio.sleep(1)

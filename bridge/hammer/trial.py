"""Tries a policy: a bridge with it, in a folder of its own, is asked for an automation whose function is the one that was measured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bridge import app, settings
from bridge.auth import LOCAL
from bridge.durations import show
from bridge.errors import BridgeError
from bridge.events import Submission
from bridge.hammer.simulation import RequestTally
from bridge.run import Run

_AUTOMATION = "hammer.trial"
_LONGEST = 120.0  #: seconds for which the end of a request is waited for; one that is unfinished then has not succeeded


class CallBounds(NamedTuple):
    """How many calls may be made of all requests together, and how many the policy allows for one."""

    calls: int = 1_000_000
    attempts: int = 1


_UNBOUNDED = CallBounds()


@dataclass(frozen=True)
class TrialPlan:
    """What is asked for: so many requests at a rate a second, each with this input and deadline; `room` calls run at a time."""

    app: str
    path: str
    input: Any
    rate: float
    requests: int
    deadline: timedelta
    room: int
    bounds: CallBounds = _UNBOUNDED


async def run(plan: TrialPlan, found: settings.Settings, tell: Callable[[int], None]) -> RequestTally:
    """What came of the requests; `tell` gets how many have ended. Raises ConfigurationError, Unavailable."""
    async with app.open_bridge(found, {}) as bridge:
        return await ask(bridge, plan, tell)


async def ask(bridge: app.Bridge, plan: TrialPlan, tell: Callable[[int], None]) -> RequestTally:
    """Ask a bridge whose catalogue is that of the plan. A request that it refuses ends with the code of the refusal."""
    tally, now, ended = RequestTally(), asyncio.get_running_loop().time, asyncio.Event()
    service, began = bridge.services.bridge, now()

    async def one(number: int) -> None:
        try:
            accepted = await service.submit(Submission(_AUTOMATION, plan.input, f"hammer-{number}"), LOCAL)
            run = await service.ended(accepted.run, min(plan.deadline.total_seconds() + 5, _LONGEST))
        except BridgeError as fault:
            tally.add(fault.code, 0, 0.0)
        else:
            tally.add(run.status, _attempts(run), (run.updated_at - run.created_at).total_seconds())
        ended.set()
        tell(tally.asked)

    async with asyncio.TaskGroup() as asking:
        for number in range(plan.requests):
            await asyncio.sleep(max(began + number / plan.rate - now(), 0))
            while number > tally.asked and not _may_ask(plan.bounds, tally, number):
                ended.clear()
                await ended.wait()
            if not _may_ask(plan.bounds, tally, number):
                break
            asking.create_task(one(number))
    return tally


def _may_ask(bounds: CallBounds, tally: RequestTally, asked: int) -> bool:
    """Whether there is room for one more request, should every one that is under way take all attempts of the policy."""
    return tally.calls + (asked - tally.asked + 1) * bounds.attempts <= bounds.calls


def _attempts(run: Run) -> int:
    return len(run.invocations[0].attempts)


def settings_of(folder: Path, plan: TrialPlan, policy: str, where: dict[str, str]) -> settings.Settings:
    """Write the files of such a bridge; `where` is the function app as the settings have it. Raises ConfigurationError."""
    (folder / "resiliency.yaml").write_text(policy)
    (folder / "automations.yaml").write_text(catalogue(plan))
    given = {"data_dir": "data", "catalogue": "automations.yaml", "resiliency": "resiliency.yaml", "function_apps": {plan.app: where}}
    (folder / "bridge.yaml").write_text(yaml.safe_dump(given))
    return settings.load({}, {}, folder)


def catalogue(plan: TrialPlan) -> str:
    """The catalogue with the one automation."""
    target = {"name": "only", "http": {"app": plan.app, "path": plan.path, "concurrency": plan.room, "follow": "none"}}
    spec = {"input": {}, "deadline": show(plan.deadline), "targets": [target]}
    return json.dumps({"apiVersion": "bridge/v1", "kind": "Automation", "metadata": {"name": _AUTOMATION}, "spec": spec})

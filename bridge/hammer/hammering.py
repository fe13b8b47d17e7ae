"""Measures a function, finds a policy, and tries it: the three in their order, bounded in time and in calls."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import to_json

from bridge import app
from bridge.hammer import policyfile, search, trial
from bridge.hammer.guard import HammerTarget
from bridge.hammer.loadtest import LoadPlan, LoadTest
from bridge.hammer.measurement import LoadStep, Measurement
from bridge.hammer.report import HammerReport
from bridge.hammer.search import FoundPolicy, Goal
from bridge.hammer.simulation import RequestTally
from bridge.hammer.trial import CallBounds, TrialPlan
from bridge.ports import FunctionCall
from bridge.resilience import worst_case
from bridge.settings import FunctionApp, Settings

_MEASURING, _TRYING = 0.55, 0.35  #: of the time; the rest is for working out
_MEASURED = 0.7  #: of the calls; the rest is for trying


@dataclass(frozen=True)
class HammerPlan:
    """What is called, by the name of its app, with which JSON, in how many seconds and calls, and what for."""

    app: str
    target: HammerTarget
    goal: Goal
    load: LoadPlan
    patience: timedelta
    input: Any = None
    key_env: str | None = None

    @property
    def where(self) -> dict[str, str]:
        """The function app as the settings have it."""
        return {"url": self.target.origin, **({"key_env": self.key_env} if self.key_env else {})}


class HammerListener(Protocol):
    """Gets the progress."""

    def measured(self, step: LoadStep) -> None:
        """One more rate was measured."""

    def searching(self, measured: Measurement) -> None:
        """Policies are worked out now."""

    def trying(self, plan: TrialPlan, ended: int) -> None:
        """So many of the requests with the policy have ended."""


async def hammer(plan: HammerPlan, listener: HammerListener) -> HammerReport:
    """Do all three. Raises ConfigurationError for an app that cannot be called so, Unavailable."""
    measured, sent = await _measure(plan, listener)
    if measured.stopped:
        return HammerReport(plan.app, plan.goal, measured, None)
    listener.searching(measured)
    found = await asyncio.to_thread(search.find, measured, plan.goal)
    report = HammerReport(plan.app, plan.goal, measured, found)
    if found is None:
        return report
    left, attempts = plan.load.most - sent, worst_case(found.policy).attempts or 1
    if left < attempts:
        return replace(
            report, untried=f"{left} of the {plan.load.most:,} calls were left, and one request may need {attempts}. Raise --most."
        )
    return replace(report, tried=await _try(plan, report, found, CallBounds(left, attempts), listener))


async def _measure(plan: HammerPlan, listener: HammerListener) -> tuple[Measurement, int]:
    body = to_json(plan.input)
    call = FunctionCall(plan.app, "POST", plan.target.path, body, {"content-type": "application/json"}, plan.patience)
    load = replace(plan.load, seconds=plan.load.seconds * _MEASURING, most=int(plan.load.most * _MEASURED))
    settings = Settings(function_apps={plan.app: FunctionApp.model_validate(plan.where)})
    async with app.open_functions(settings) as functions:
        test = LoadTest(functions, call, load, listener.measured)
        return await test.run(), test.sent


async def _try(plan: HammerPlan, report: HammerReport, found: FoundPolicy, bounds: CallBounds, listener: HammerListener) -> RequestTally:
    number = max(int(found.rate * plan.load.seconds * _TRYING), 1)
    what = TrialPlan(plan.app, plan.target.path, plan.input, found.rate, number, plan.goal.deadline, plan.goal.room, bounds)
    with tempfile.TemporaryDirectory(prefix="bridge-hammer-") as name:
        settings = trial.settings_of(Path(name), what, policyfile.text(report), plan.where)
        return await trial.run(what, settings, lambda ended: listener.trying(what, ended))

"""Calls a function at rising rates until it breaks, then closes in on the rate at which it does. Bounded in time and in calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from bridge.errors import CallFailed
from bridge.hammer.measurement import LoadStep, MeasuredCall, Measurement, is_broken, quantile, useless
from bridge.outcome import Failed
from bridge.outcome.httpanswer import classify
from bridge.ports import FunctionCall, Functions

_LIMIT = 1_000_000  #: bytes of an output
_STEP = 1.2  #: seconds of a step at least: whoever counts calls by the second must have noticed
_STEPS = 12  #: that share the time
_CLOSER = 2  #: steps between the highest sound rate and the lowest broken one
_LOOK = 8  #: calls among which a recovered function answers half
_SETTLES = 1.0  #: seconds that a step waits for its last answers, and longer for a slow function


@dataclass(frozen=True)
class LoadPlan:
    """From the first rate, in calls a second, to the last; in so many seconds, and with so many calls at the most."""

    seconds: float
    most: int
    first: float = 5.0
    last: float = 200.0

    @property
    def step(self) -> float:
        """How long one step lasts, in seconds."""
        return max(self.seconds / _STEPS, _STEP)


class LoadTest:
    """One measurement of one function. The time limit of `call` is how long is waited for each answer; `tell` gets every step."""

    def __init__(self, functions: Functions, call: FunctionCall, plan: LoadPlan, tell: Callable[[LoadStep], None]) -> None:
        self._functions, self._call, self._plan, self._tell = functions, call, plan, tell
        self._steps: list[LoadStep] = []
        self._open: set[asyncio.Task[None]] = set()
        self._recoveries: list[float] = []
        self._sent, self._ends = 0, 0.0

    async def run(self) -> Measurement:
        """Measure. Calls that nobody has answered at the end are waited for as long as each may take."""
        self._ends = _now() + self._plan.seconds
        rate = self._plan.first
        while rate <= self._plan.last and self._has_room and not (self._steps and self._steps[-1].broken):
            await self._step(rate, self._plan.step * (1 if self._steps else 2))
            rate *= 2
            if len(self._steps) == 1 and useless(self._steps[0], len(self._open)):
                await self._await_open()
                stopped = useless(self._steps[0])
                if stopped:
                    return Measurement(tuple(self._steps), None, stopped)
        for _ in range(_CLOSER):
            broken = min((each.rate for each in self._steps if each.broken), default=0.0)
            if broken and self._has_room:
                await self._step(math.sqrt(broken * max(each.rate for each in self._steps if not each.broken)), self._plan.step)
        await self._await_open()
        return Measurement(tuple(self._steps), max(self._recoveries, default=None))

    async def _await_open(self) -> None:
        if self._open:
            await asyncio.wait(self._open)

    @property
    def sent(self) -> int:
        """How many calls were made."""
        return self._sent

    @property
    def _has_room(self) -> bool:
        return _now() < self._ends and self._sent < self._plan.most

    async def _step(self, rate: float, seconds: float) -> None:
        """Call at this rate, and judge the function by what has been answered a moment after."""
        step, tasks, began = LoadStep(rate), set[asyncio.Task[None]](), _now()
        for number in range(max(round(rate * seconds), 1)):
            await asyncio.sleep(max(began + number / rate - _now(), 0))
            if self._sent >= self._plan.most:
                break
            tasks.add(self._begin(step))
        ended, usual = _now(), quantile(self._steps[0].answered if self._steps else [], 0.5)
        _, pending = await asyncio.wait(tasks, timeout=max(_SETTLES, 3 * usual)) if tasks else (set(), set())
        step.broken = is_broken(step, len(pending), [each for each in self._steps if not each.broken])
        self._steps.append(step)
        self._tell(step)
        if step.broken:
            await self._recover(ended)

    def _begin(self, step: LoadStep) -> asyncio.Task[None]:
        self._sent += 1
        task = asyncio.create_task(self._measured(step))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return task

    async def _measured(self, step: LoadStep) -> None:
        call = replace(self._call, headers={**self._call.headers, "x-correlation-id": f"hammer-{self._sent}"})
        began = _now()
        try:
            outcome = classify(await self._functions.call(call), _LIMIT)
        except CallFailed as fault:
            outcome = classify(fault, _LIMIT)
        failed = outcome if isinstance(outcome, Failed) else None
        took = _now() - began
        hung = failed is not None and failed.code == "Timeout"
        step.calls.append(MeasuredCall(took, failed.code if failed else "", failed.status if failed else 200, hung))

    async def _recover(self, ended: float) -> None:
        """Call at the first rate until the function answers again, and note how long that took."""
        aside = LoadStep(self._plan.first)
        while self._has_room and _now() - ended < 4 * self._plan.step:
            self._begin(aside)
            await asyncio.sleep(1 / self._plan.first)
            if sum(not each.code for each in aside.calls[-_LOOK:]) * 2 >= _LOOK:
                break
        self._recoveries.append(_now() - ended)


def _now() -> float:
    return asyncio.get_running_loop().time()

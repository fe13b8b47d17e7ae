"""One attempt after another at an HTTP target: saved before the call, called under the policy of its app, recorded after it."""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge import lifecycle, telemetry
from bridge.calls import Calls
from bridge.crashpoints import CrashPoint, passed
from bridge.dispatch import Dispatch
from bridge.errors import Unavailable
from bridge.lifecycle import Lapsed, Over, Start, Tried, Wait
from bridge.outcome import Failed, Outcome
from bridge.parts import Parts
from bridge.ports import Delivery
from bridge.recorder import Recorder
from bridge.resilience import Refused
from bridge.run import Invocation, Run

#: What an attempt may take longer than its time limit before it counts as lost.
MARGIN = timedelta(seconds=2)
#: The longest pause between attempts that is waited out here; for a longer one the work item goes back to the bus.
HOLD = timedelta(seconds=5)
#: The pauses before an outcome that could not be stored is stored again, in seconds; then the call is made again.
PATIENCE = (0.1, 0.4, 1.0, 3.0)


class Attempts:
    """Works on the HTTP targets of runs."""

    def __init__(self, parts: Parts, recorder: Recorder, dispatch: Dispatch) -> None:
        self._clock, self._results, self._recorder, self._dispatch = parts.clock, parts.results, recorder, dispatch
        self._calls: Calls = parts.calls

    async def work(self, delivery: Delivery, run: Run, part: Invocation, event_id: str) -> Run | None:
        """Try until the invocation has ended or may not start: the run then. None: put off, it comes again. Raises Unavailable."""
        while True:
            part = run.invocation(part.target) or part
            step = lifecycle.next_step(run, part.target, self._clock.now())
            tried: Run | None
            match step:
                case Over():
                    return run
                case Wait(until):
                    tried = await self._waited(delivery, run, until)
                case Lapsed(attempt):
                    lost = Failed(code="OutcomeUnknown", message="The bridge stopped while the function was called.", unknown=True)
                    tried = await self._attempted(run, part, attempt, lost, event_id)
                case Start():
                    tried = await self._attempt(delivery, run, part, event_id)
            if tried is None:
                return None
            run = tried

    async def _attempt(self, delivery: Delivery, run: Run, part: Invocation, event_id: str) -> Run | None:
        """One try, if there is room and no breaker is open; the run after it."""
        target = part.control.target
        busy_until = self._calls.busy(run.automation, target, self._clock.now())
        if busy_until is not None:
            await self._dispatch.put_off(delivery, busy_until, "the target is busy or its app's breaker is open")
            return None
        async with self._calls.slot(run.automation, target) as place:
            if isinstance(place, Refused):
                await self._dispatch.put_off(delivery, place.until, "the app's breaker is open")
                return None
            now = self._clock.now()
            limit = min(self._calls.timeout(target), run.deadline - now)
            changed = await self._results.change(
                run.correlation_id, lambda current: lifecycle.begin(current, part.target, now=now, until=now + limit + MARGIN)
            )
            before, begun = changed or (run, run)
            started = begun.invocation(part.target)
            if begun is before or started is None:
                return begun
            number = len(started.attempts)
            passed(CrashPoint.ATTEMPT_SAVED_NOT_CALLED)
            telemetry.step("attempt.started", automation=run.automation, run=run.correlation_id, target=part.target, attempt=number)
            outcome = await self._calls.call(place, begun, started, limit)
        return await self._kept(begun, started, number - 1, outcome, event_id)

    async def _kept(self, run: Run, part: Invocation, attempt: int, outcome: Outcome, event_id: str) -> Run:
        """Record the outcome of a call. It is known here and nowhere else, so a store that is away for a moment is waited for."""
        for pause in PATIENCE:
            try:
                return await self._attempted(run, part, attempt, outcome, event_id)
            except Unavailable:
                await self._clock.sleep(pause)
        return await self._attempted(run, part, attempt, outcome, event_id)

    async def _attempted(self, run: Run, part: Invocation, attempt: int, outcome: Outcome, event_id: str) -> Run:
        """Record the outcome, with the pause before the next attempt if the policy allows one in time."""
        now = self._clock.now()
        again = self._calls.pause(part, attempt + 1, outcome, now) if isinstance(outcome, Failed) else None
        if again is not None and now + again >= run.deadline:
            again = None
        return await self._recorder.tried(run, part.target, Tried(attempt, outcome, again), event_id)

    async def _waited(self, delivery: Delivery, run: Run, until: datetime) -> Run | None:
        """Wait here for a short pause; put the work off for a longer one."""
        pause = until - self._clock.now()
        if pause > HOLD:
            await self._dispatch.put_off(delivery, until, "the next attempt may not start before", level="info")
            return None
        await self._clock.sleep(max(pause.total_seconds(), 0))
        return await self._results.find(run.correlation_id) or run

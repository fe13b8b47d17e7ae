"""Sends work: to the bridge's own queue for HTTP targets, to their topics for the others; and puts off what comes too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bridge import events, lifecycle, telemetry
from bridge.crashpoints import CrashPoint, passed
from bridge.errors import Undeliverable
from bridge.lifecycle import Cause, Lapsed, Start, Tried, Wait
from bridge.outcome import Failed
from bridge.parts import Parts
from bridge.ports import Delivery
from bridge.recorder import Recorder
from bridge.run import Invocation, Run


class Dispatch:
    """What the bridge puts on the bus to get a run done."""

    def __init__(self, parts: Parts, recorder: Recorder) -> None:
        self._bus, self._clock, self._results, self._recorder = parts.bus, parts.clock, parts.results, recorder
        self._public_url, self._lease = parts.public_url, parts.settings.dispatch_lease

    async def schedule(self, run: Run) -> None:
        """Set the deadline and queue the work of HTTP targets; again, if the request comes again. Raises Unavailable."""
        work = [part for part in _open(run) if part.control.target.http]
        messages = [events.invoked(run, part, self._clock.now(), self._public_url) for part in work]
        await self._bus.publish([events.deadline(run, run.deadline), *messages])
        calls = {"calls": ",".join(part.target for part in work)} if work else {}
        deadline = events.iso(run.deadline)
        telemetry.step("run.scheduled", automation=run.automation, run=run.correlation_id, deadline=deadline, **calls)

    async def topics(self, run: Run, delivery: Delivery, event_id: str) -> None:
        """Send the work of topic targets, each once: claimed before, marked after. What another delivery has claimed is looked at again."""
        targets = [part.target for part in _open(run) if part.control.target.topic]
        if not targets:
            return
        now = self._clock.now()
        changed = await self._results.change(run.correlation_id, lambda current: _claimed(current, targets, self._clock.now(), self._lease))
        if changed is None:
            return
        before, claimed = changed
        waits = []
        for target in targets:
            part = claimed.invocation(target)
            step = lifecycle.next_step(claimed, target, now)
            if part is not None and part is not before.invocation(target):
                await self._send(claimed, part, event_id)
            elif isinstance(step, Wait):
                waits.append(step.until)
        if waits:
            await self.put_off(delivery, min(waits), "another delivery sends the work")

    async def _send(self, run: Run, part: Invocation, event_id: str) -> None:
        number, now = len(part.attempts) - 1, self._clock.now()
        passed(CrashPoint.ATTEMPT_SAVED_NOT_CALLED)
        if now >= run.deadline:
            return  # saving the claim took too long; the timer ends the run
        try:
            await self._bus.publish([events.invoked(run, part, now, self._public_url)])
        except Undeliverable as fault:
            lost = Failed(code="Undeliverable", message=str(fault), hint="Does the topic of the catalogue exist on the bus?")
            ended = await self._recorder.tried(run, part.target, Tried(number, lost), event_id)
            await self._recorder.reply_if_ended(ended, event_id)
            return
        passed(CrashPoint.HALF_DISPATCHED)
        telemetry.step("run.dispatched", automation=run.automation, run=run.correlation_id, target=part.target, attempt=number + 1)
        await self._results.change(
            run.correlation_id, lambda current: lifecycle.accept(current, part.target, number, now=self._clock.now())
        )

    async def put_off(self, delivery: Delivery, until: datetime, because: str, *, level: str = "debug") -> None:
        """Let the same message come again at `until`. Raises Unavailable."""
        await self._bus.publish([replace(delivery.message, deliver_at=until)])
        telemetry.step("event.put_off", level=level, run=delivery.message.correlation_id, until=events.iso(until), because=because)


def _open(run: Run) -> list[Invocation]:
    return [part for part in run.invocations if not part.status.final]


def _claimed(run: Run, targets: list[str], now: datetime, lease: timedelta) -> Run:
    """Claim the dispatch of every target that may start; a claim whose time is over is taken again."""
    for target in targets:
        step = lifecycle.next_step(run, target, now)
        if isinstance(step, Lapsed):
            lost = Failed(code="DispatchUnknown", message="The bridge stopped while it sent the work.", unknown=True)
            run = lifecycle.finish(run, target, Tried(step.attempt, lost, timedelta(0)), Cause("", now, timedelta(0)))
        if isinstance(step, Lapsed | Start):
            run = lifecycle.begin(run, target, now=now, until=now + lease)
    return run

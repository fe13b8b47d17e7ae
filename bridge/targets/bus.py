"""Bus targets: functions, or other programs, that get their work from a topic. An attempt is one dispatch, saved before it is published.

Only `next_attempt_after` decides on a retry, from the attempts that the catalogue allows and the deadline of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bridge import events, lifecycle, nextstep, telemetry
from bridge.context import Context
from bridge.errors import Undeliverable
from bridge.lifecycle import AttemptResult, Causation
from bridge.nextstep import Lapsed, Start, Wait
from bridge.outcome import Failed, Outcome, Succeeded, errorswritten, outputsnotsent
from bridge.outcome.resultevent import Result
from bridge.ports import Delivery, Message
from bridge.recorder import Recorder
from bridge.run import Invocation, Run
from bridge.tracing import TraceContext, TraceSpan, spans


class BusTargets:
    """Publishes the work of bus targets."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context, self._bus, self._clock, self._runs = context, context.bus, context.clock, context.runs
        self._recorder, self._lease, self._run_clock = recorder, context.settings.dispatch_lease, context.run_clock
        self._sending: dict[
            str, TraceSpan
        ] = {}  # by token, which no other request has: dispatches that are being stored together with their run

    def dispatch_at_once(self, run: Run, invocation: Invocation) -> tuple[Run, Sequence[Message]]:
        """The run with its first attempts as accepted, and the messages with its work. An outbox stores both in one transaction."""
        now = self._run_clock.now(run)
        begun = lifecycle.begin(run, invocation.target, now=now, until=now + self._lease, process=self._run_clock.process)
        messages = [events.work(run, invocation, now, self._context.public_url, trace=self._sent_at_once(begun, invocation.target))]
        if _ends_when_published(invocation):
            # Stored together, so that the result says the truth: the broker has the work.
            result = {"status": "succeeded", "output": None}
            messages.append(events.result(f"{run.correlation_id}/{invocation.target}", run, invocation.control.token, result, now))
        return lifecycle.accept(begun, invocation.target, 0, now=now), messages

    def _sent_at_once(self, run: Run, target: str) -> TraceContext | None:
        """Begin the span of a dispatch that is stored together with its run; `settle` ends it."""
        invocation, span = run.invocation(target), self._span(run, target)
        if span is None or invocation is None:
            return None
        self._sending[invocation.control.token] = span
        return span.context

    def settle(self, run: Run, *, error: str = "") -> None:
        """Note that the dispatches of `dispatch_at_once` were stored, or with an error that they were not."""
        for each in run.invocations if self._sending else ():
            span = self._sending.pop(each.control.token, None)
            if span is not None:
                span.end(error)

    def _span(self, run: Run, target: str) -> TraceSpan | None:
        tracer, invocation = self._context.tracer, run.invocation(target)
        bus = invocation.control.target.bus if invocation is not None else None
        if tracer is None or invocation is None or bus is None or tracer.skips(run.control.traceparent):
            return None
        return spans.work(tracer, run, invocation, bus.name, self._context.settings.runtime)

    async def dispatch(self, run: Run, delivery: Delivery, event_id: str) -> None:
        """Publish the work that may start, once for each target. Raises Unavailable.

        Each attempt is claimed before it is published, and accepted afterwards. If another delivery has claimed an attempt, this delivery
        is rescheduled to the end of that claim.
        """
        targets = [each.target for each in run.invocations if each.control.target.bus and not each.status.final]
        if not targets or run.status.final:
            return
        now = self._run_clock.now(run)
        changed = await self._runs.change(run.correlation_id, lambda each: self._claimed(each, targets))
        if changed is None:
            return
        before, claimed = changed
        waits = []
        for target in targets:
            invocation = claimed.invocation(target)
            step = nextstep.next_step(claimed, target, now)
            if invocation is not None and invocation is not before.invocation(target):
                await self._publish(claimed, invocation, event_id)
            elif isinstance(step, Wait):
                waits.append(step.until)
        if claimed.status.final:
            # Another process may have ended the run with this event, and have gone before it replied.
            await self._recorder.reply_if_ended(claimed, event_id)
        elif waits:
            await self._context.reschedule(delivery, min(waits) - now, "another delivery publishes the work")

    async def _publish(self, run: Run, invocation: Invocation, event_id: str) -> None:
        number, now, target = len(invocation.attempts) - 1, self._run_clock.now(run), invocation.target
        named: dict[str, Any] = {"automation": run.automation, "run": run.correlation_id, "target": target, "attempt": number + 1}
        telemetry.step("run.dispatching", level="debug", **named)
        if now >= run.deadline:
            return  # saving the claim took too long; the timer ends the run
        span, ahead = self._span(run, target), self._run_clock.ahead(run)
        message = events.work(run, invocation, now, self._context.public_url, ahead=ahead, trace=span.context if span else None)
        try:
            await spans.around(span, self._bus.publish([message]))
        except Undeliverable as fault:
            lost = Failed(code="Undeliverable", message=str(fault), hint="Does the topic of the catalogue exist on the bus?")
            await self._recorder.attempt_ended(run, target, AttemptResult(number, lost), event_id)
            return
        telemetry.step("run.dispatched", **named)
        if _ends_when_published(invocation):
            await self._recorder.attempt_ended(run, target, AttemptResult(number, Succeeded.of(None)), event_id)
            return
        await self._runs.change(run.correlation_id, lambda each: lifecycle.accept(each, target, number, now=self._run_clock.now(each)))

    def _claimed(self, run: Run, targets: list[str]) -> Run:
        """Claim the dispatch of every target that may start. A claim can be taken over when its time is over or its process has ended.

        If there are other replicas, only its time counts. Unlike a call, work that was published goes on without the process, and its
        result mostly arrives before that time.
        """
        clock, now = self._run_clock, self._run_clock.now(run)
        for target in targets:
            step = nextstep.next_step(run, target, now, is_over=lambda process: clock.is_alone and clock.is_over(process))
            if isinstance(step, Lapsed):
                lost = Failed(code="DispatchUnknown", message="The bridge stopped while it published the work.", unknown=True)
                run = lifecycle.finish(run, target, AttemptResult(step.attempt, lost, timedelta(0)), Causation("", now, timedelta(0)))
            if isinstance(step, Lapsed | Start):
                run = lifecycle.begin(run, target, now=now, until=now + self._lease, process=clock.process)
        return run

    def outcome_of(self, invocation: Invocation, result: Result) -> Outcome | None:
        """The outcome that a result means for the invocation; None if the work goes on."""
        bus = invocation.control.target.bus
        settled = result.settled and bus is not None and bus.completes == "settled"
        outcome = outputsnotsent.noted(Succeeded.of(None), result.not_sent) if settled else result.outcome
        errors, count = bus.errors if bus is not None else None, result.errors_written
        if outcome is not None:
            return errorswritten.judged(outcome, lifecycle.errors_noted(invocation) if count is None else count, errors)
        if errors == "fail" and count and result.failure is None and not invocation.status.final:
            return errorswritten.failure(count)
        return None

    def next_attempt_after(self, run: Run, invocation: Invocation, outcome: Outcome) -> timedelta | None:
        """The pause before the work is dispatched again, which is always zero; None if it is not dispatched again."""
        bus = invocation.control.target.bus
        retriable = bus is not None and isinstance(outcome, Failed) and outcome.retriable
        left = bus is not None and len(invocation.attempts) < bus.attempts and self._run_clock.now(run) < run.deadline
        return timedelta(0) if retriable and left else None


def _ends_when_published(invocation: Invocation) -> bool:
    bus = invocation.control.target.bus
    return bus is not None and bus.completes == "published"

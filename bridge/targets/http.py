"""HTTP targets: functions that are called under the policy of their app. Each attempt is stored before the call, and its outcome
afterwards.

Only `_next_attempt_after` decides on a retry, from the policy of the app and the deadline of the run.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus

from bridge import lifecycle, logs, nextstep, resilience, telemetry
from bridge.catalog.target import HttpTarget
from bridge.context import Context
from bridge.errors import CallFailed
from bridge.lifecycle import AttemptResult
from bridge.nextstep import AskStatus, Expired, Lapsed, Over, Start, Wait
from bridge.outcome import Accepted, Failed, Outcome
from bridge.outcome.following import GoesOn
from bridge.ports import Delivery, FunctionCall, FunctionResponse, Functions
from bridge.recorder import Recorder, outcome_name, redacted
from bridge.resilience import CircuitOpen, Policies, TimeOfRun
from bridge.run import Invocation, Run, Status
from bridge.targets import answers, functioncall
from bridge.targets.slots import Slot, Slots
from bridge.targets.statuspolls import StatusPolls
from bridge.tracing import Tracer, TraceSpan, spans

#: An attempt counts as lost when it takes longer than its time limit by this.
MARGIN = timedelta(seconds=2)
#: The longest pause between attempts during which a delivery is kept. For a longer one the message is rescheduled.
HOLD = timedelta(seconds=5)
#: When an outcome cannot be stored, it is tried again after these pauses, in seconds. After them the message is delivered again.
PATIENCE = (0.1, 0.4, 1.0, 3.0, 5.0, 10.0, 10.0)
#: Until it is looked again whether an app has been started.
STARTING = timedelta(seconds=1)
#: The pauses before the first looks at the status of accepted work, in seconds, and until when it counts as just begun.
FIRST_LOOKS, FRESH = (0.1, 0.4), timedelta(seconds=2)
#: How many attempts may be begun before their message is delivered, and how many may be made while their request is handled. It is less
#: than the deliveries that are handled at a time, so that there is always room for others.
BEGUN_AT_MOST = 128


class HttpTargets:
    """Carries out the invocations of HTTP targets."""

    def __init__(self, context: Context, functions: Functions, policies: Policies, recorder: Recorder) -> None:
        self._context, self._clock, self._runs, self._recorder = context, context.clock, context.runs, recorder
        self._functions, self._policies, self._settings = functions, policies, context.settings
        self._slots, self._run_clock = Slots(policies, context.clock), context.run_clock
        self._random = random.Random()  # noqa: S311 - spreads retries, protects nothing
        #: Attempts that are saved and start when their message is delivered, by token: two requests of one id may be accepted at a time.
        self._begun: dict[str, Slot] = {}
        self._working = 0
        self._polls = StatusPolls(context, functions)

    def begin_at_once(self, run: Run, invocation: Invocation) -> Run:
        """Begin the first attempt if a slot is free now. It is stored together with the run, so its call needs no write of its own.

        Returns the same run if no slot is free. `withdraw` releases the slot.
        """
        target = _http(invocation)
        if self._working + len(self._begun) >= BEGUN_AT_MOST or self.is_starting(invocation):
            return run
        slot = self._slots.take_at_once((run.automation, invocation.target), target)
        if slot is None:
            return run
        begun = self._begun_now(run, invocation.target, target)
        if begun is run:
            self._slots.release(slot)
        else:
            self._begun[invocation.control.token] = slot
        return begun

    def has_room(self, run: Run, invocation: Invocation) -> bool:
        """Whether the target can be called at once, so that its work need not wait on the bus."""
        key = (run.automation, invocation.target)
        return self._working < BEGUN_AT_MOST and self._slots.is_free(key, _http(invocation)) and not self.is_starting(invocation)

    def is_starting(self, invocation: Invocation) -> bool:
        """Whether the app is being started on this machine. No attempt is made until it has started."""
        return self._functions.starting(_http(invocation).app)

    def breaker_open_until(self, run: Run, invocation: Invocation) -> datetime | None:
        """Until when the circuit breaker of the function blocks calls; None if it permits one now."""
        shut = self._slots.shut_for(_http(invocation))
        return None if shut is None else self._run_clock.now(run) + shut

    def is_busy(self, run: Run, invocation: Invocation) -> bool:
        """Whether the target has as many calls in progress as it allows."""
        return self._slots.is_full((run.automation, invocation.target), _http(invocation))

    def withdraw(self, run: Run) -> None:
        """Release the slot, because the run was not stored."""
        for invocation in run.invocations:
            slot = self._begun.pop(invocation.control.token, None)
            if slot is not None:
                self._slots.release(slot)

    async def work(self, delivery: Delivery, run: Run, target: str, event_id: str) -> None:
        """Make attempts until the invocation has ended, may not start, or must wait; then reschedule the message. Raises Unavailable."""
        self._working += 1
        try:
            invocation = run.invocation(target)
            slot = self._begun.pop(invocation.control.token, None) if invocation is not None else None
            current: Run | None = run if slot is None else await self._call(slot, run, target, event_id)
            while current is not None:
                current = await self._step(delivery, current, target, event_id)
        finally:
            self._working -= 1

    async def _step(self, delivery: Delivery, run: Run, target: str, event_id: str) -> Run | None:
        """The run after the next step, or None if this delivery is done."""
        match nextstep.next_step(run, target, self._run_clock.now(run), is_over=self._run_clock.is_over):
            case Over():
                await self._recorder.reply_if_ended(run, event_id)
                return None
            case Expired():
                # The timer would do so, too. But no delivery may be done while another process may still end the run with its event.
                await self._recorder.expired(run, target, event_id)
                return None
            case Wait(until):
                return await self._wait(delivery, run, until)
            case Lapsed(attempt):
                lost = Failed(code="OutcomeUnknown", message="The bridge stopped while the function was called.", unknown=True)
                return await self._record(run, target, attempt, lost, event_id)
            case Start():
                return await self._attempt(delivery, run, target, event_id)
            case AskStatus(attempt):
                return await self._follow(delivery, run, target, attempt, event_id)

    async def _wait(self, delivery: Delivery, run: Run, until: datetime) -> Run | None:
        pause = until - self._run_clock.now(run)
        if pause > HOLD:
            await self._context.reschedule(delivery, pause, "the next attempt may not start before", level="info")
            return None
        await self._clock.sleep(max(pause.total_seconds(), 0))
        return await self._runs.get(run.correlation_id) or run

    async def _follow(self, delivery: Delivery, run: Run, target: str, attempt: int, event_id: str) -> Run | None:
        """Ask for the status of accepted work: soon after its start, because most work ends quickly, and later when the function says."""
        invocation = run.invocation(target)
        assert invocation is not None  # noqa: S101 - `next_step` has found it
        fresh = self._run_clock.now(run) - invocation.attempts[attempt].started_at < FRESH
        if run.status is Status.CANCELING:
            await self._polls.terminate(run, invocation, _http(invocation))
        said: Outcome | GoesOn = GoesOn(timedelta(0))
        for pause in FIRST_LOOKS if fresh else (0.0,):
            await self._clock.sleep(pause)
            said = await self._polls.ask(run, invocation, _http(invocation))
            if not isinstance(said, GoesOn):
                return await self._record(run, target, attempt, said, event_id)
        assert isinstance(said, GoesOn)  # noqa: S101 - the loop ended without an outcome
        left = min(said.pause, max(run.deadline - self._run_clock.now(run), timedelta(0)))
        await self._context.reschedule(delivery, left, "the function is at work, and its status is polled then", level="info")
        return None

    async def terminate(self, run: Run, event_id: str) -> None:
        """End the accepted work of a canceled run, if the function said how, and record the result."""
        for invocation in run.invocations:
            if invocation.control.target.http is None or not invocation.attempts or not invocation.attempts[-1].outcome.open:
                continue
            if not await self._polls.terminate(run, invocation, _http(invocation)):
                continue
            for pause in FIRST_LOOKS:
                await self._clock.sleep(pause)
                said = await self._polls.ask(run, invocation, _http(invocation))
                if not isinstance(said, GoesOn):
                    await self._record(run, invocation.target, len(invocation.attempts) - 1, said, event_id)
                    break

    async def _attempt(self, delivery: Delivery, run: Run, target: str, event_id: str) -> Run | None:
        """Store that an attempt starts, and make it, if a slot is free and the circuit breaker is not open."""
        invocation = run.invocation(target)
        assert invocation is not None  # noqa: S101 - `next_step` has found it
        http, key = _http(invocation), (run.automation, target)
        if self.is_starting(invocation):
            await self._context.reschedule(delivery, STARTING, "its app is being started")
            return None
        busy_for = self._slots.busy_for(key, http)
        if busy_for is not None:
            await self._context.reschedule(delivery, busy_for, "the target is busy or its breaker is open")
            return None
        slot = await self._slots.take(key, http)
        if isinstance(slot, CircuitOpen):
            await self._context.reschedule(delivery, slot.until - self._clock.steady(), "its breaker is open")
            return None
        begun = None
        try:
            changed = await self._runs.change(run.correlation_id, lambda each: self._begun_now(each, target, http))
            before, after = changed or (run, run)
            begun = after if after is not before else None
        finally:
            if begun is None:
                self._slots.release(slot)
        return await self._call(slot, begun, target, event_id) if begun is not None else after

    async def _call(self, slot: Slot, run: Run, target: str, event_id: str) -> Run | None:
        """Make the attempt, which has been stored, and record its outcome."""
        invocation = run.invocation(target)
        assert invocation is not None  # noqa: S101 - its attempt was begun
        try:
            tracer = self._context.tracer
            if tracer is None or tracer.skips(run.control.traceparent):
                outcome = await self._outcome(slot, run, invocation)
            else:
                outcome = await self._outcome_traced(tracer, slot, run, invocation)
        finally:
            self._slots.release(slot)
        return await self._record(run, target, len(invocation.attempts) - 1, outcome, event_id)

    async def _outcome_traced(self, tracer: Tracer, slot: Slot, run: Run, invocation: Invocation) -> Outcome:
        span = spans.attempt(tracer, run, invocation, _http(invocation))
        token, ended = logs.TRACE.set(span.context), ("", "")
        try:
            outcome = await self._outcome(slot, run, invocation, span)
            shown = redacted(outcome, run) if isinstance(outcome, Failed) and span.recording else outcome
            ended = outcome_name(outcome), shown.code if isinstance(shown, Failed) else ""
        finally:
            logs.TRACE.reset(token)
            spans.attempt_ended(span, *ended)
        return outcome

    async def _outcome(self, slot: Slot, run: Run, invocation: Invocation, span: TraceSpan | None = None) -> Outcome:
        """Call the function within the rest of the attempt's time, and classify its answer."""
        number = len(invocation.attempts)
        telemetry.step("attempt.started", automation=run.automation, run=run.correlation_id, target=invocation.target, attempt=number)
        target, now = _http(invocation), self._run_clock.now(run)
        started_at = invocation.attempts[-1].started_at
        left = self._limit(run, target, started_at) - (now - started_at)
        if run.status is Status.CANCELING:
            return Failed(code="Canceled", message="The run was canceled before the function was called.")
        if left <= timedelta(0):
            message = "The time limit passed before the call could start."
            return Failed(code="Timeout", message=message, retriable=True, unknown=now >= run.deadline)
        trace = None if span is None else span.context
        headers = functioncall.headers(run, invocation, self._run_clock.ahead(run), self._context.public_url, trace)
        call = functioncall.made(run, target, left, headers)
        telemetry.UNFINISHED_CALLS.change(+1, target.app)
        try:
            answer = await self._answer(call)
        finally:
            telemetry.UNFINISHED_CALLS.change(-1, target.app)
        if span is not None and isinstance(answer, FunctionResponse):
            spans.attempt_answered(span, answer.status)
        outcome = self._explained(answers.classified(answer, target, self._settings.max_output_bytes), target)
        # The deadline or a slow store may have cut the time limit short.
        if resilience.counts(self._policies.for_app(target.app), outcome, left):
            self._slots.report(slot, outcome)
        return outcome

    def _explained(self, outcome: Outcome, target: HttpTarget) -> Outcome:
        """The outcome. If the local host answered instead of a function, the reason is its hint."""
        if not isinstance(outcome, Failed) or outcome.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
            return outcome
        reason = self._functions.unserved(target.app, target.method, target.path)
        return replace(outcome, hint=f"Nobody serves this target: {reason}.") if reason else outcome

    async def _answer(self, call: FunctionCall) -> FunctionResponse | CallFailed:
        try:
            return await self._functions.call(call)
        except CallFailed as fault:
            return fault

    async def _record(self, run: Run, target: str, attempt: int, outcome: Outcome, event_id: str) -> Run | None:
        again = self._next_attempt_after(run, target, attempt, outcome)
        # Only this process knows the outcome of the call, so it waits when the store is unavailable for a moment.
        result = AttemptResult(attempt, outcome, again)
        after = await self._recorder.attempt_ended(run, target, result, event_id, patience=PATIENCE)
        followed = isinstance(outcome, Accepted) and outcome.status_url
        return after if again is not None or followed else None

    def _next_attempt_after(self, run: Run, target: str, attempt: int, outcome: Outcome) -> timedelta | None:
        """The pause before the next attempt. None if the policy allows no more, or the pause would end after the deadline."""
        invocation, now = run.invocation(target), self._run_clock.now(run)
        if invocation is None or not isinstance(outcome, Failed):
            return None
        policy = self._policies.for_app(_http(invocation).app)
        time = TimeOfRun(elapsed=now - invocation.attempts[0].started_at, left=run.deadline - now)
        return resilience.next_pause(policy, attempt + 1, outcome, time, self._random)

    def _begun_now(self, run: Run, name: str, target: HttpTarget) -> Run:
        """The run with a new attempt at the target of this name; the same run if none may start."""
        now = self._run_clock.now(run)
        until = now + self._limit(run, target, now) + MARGIN
        return lifecycle.begin(run, name, now=now, until=until, process=self._run_clock.process)

    def _limit(self, run: Run, target: HttpTarget, started_at: datetime) -> timedelta:
        """The time limit of an attempt: that of the app's policy, or the time until the deadline if that is shorter."""
        return resilience.time_limit(self._policies.for_app(target.app), run.deadline - started_at)


def _http(invocation: Invocation) -> HttpTarget:
    target = invocation.control.target.http
    assert target is not None  # noqa: S101 - the work of bus targets never comes here
    return target

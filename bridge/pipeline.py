"""The path of a run through the bridge, by the events that move it.

    automation.requested ─ accept: create or load the run ─ dispatch: set its deadline, publish an automation.invoked per target ─ done
    automation.invoked (HTTP targets) ─ save the attempt ─ call the function under its policy ─ record ─ reply if ended ─ done
    automation.result, .cancel, .deadline, forwarded dead letters ─ record ─ reply if ended ─ done

Record, then publish, then acknowledge: if anything in between fails, the event is delivered again and finds what was recorded. If the
runtime has an outbox, a step and the messages that follow from it are one transaction. The API then needs no `automation.requested`: it
stores a run together with its work. An event that cannot be handled becomes a dead letter.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from bridge import cloudevents, events, lifecycle, logs, telemetry, tracing
from bridge.cloudevents import Event, wrapped
from bridge.context import Context
from bridge.deadletters import broker_reason
from bridge.dispatch import Dispatcher
from bridge.errors import Malformed, PortError, Refusal
from bridge.idempotency import correlation_id
from bridge.intake import Intake
from bridge.lifecycle import AttemptResult
from bridge.outcome import Failed
from bridge.outcome.resultevent import Result, read_result
from bridge.ports import Ack, Delivery, Handler, Message
from bridge.recorder import Recorder, redacted, secrets_of
from bridge.redaction import MAX_MESSAGE, redact_text
from bridge.run import Invocation, Run
from bridge.targets.bus import BusTargets
from bridge.targets.http import HttpTargets
from bridge.tracing import spans

_log = logging.getLogger("bridge")
_CRASHED = "CrashedProcess"


class Pipeline:
    """The handlers of the bridge's own subscriptions."""

    def __init__(  # noqa: PLR0913 - each tells one step of the story
        self,
        context: Context,
        *,
        intake: Intake,
        dispatcher: Dispatcher,
        http_targets: HttpTargets,
        bus_targets: BusTargets,
        recorder: Recorder,
    ) -> None:
        self._context, self._runs, self._settings = context, context.runs, context.settings
        self._intake, self._dispatcher, self._recorder = intake, dispatcher, recorder
        self._http_targets, self._bus_targets = http_targets, bus_targets

    def subscriptions(self) -> dict[str, Handler]:
        """The handler of each subscription. Requests arrive on one topic for each submitter that the settings identify by its topic."""
        steps = {
            **{f"{topic}/bridge": self.requested for topic in self._request_topics},
            f"{events.INVOCATIONS}/bridge": self.invoked,
            f"{events.RESULTS}/bridge": self.resulted,
            f"{events.TIMERS}/bridge": self.timer,
            events.DEADLETTERS: self.gave_up,
        }
        return {source: partial(self._handle, step) for source, step in steps.items()}

    @property
    def _request_topics(self) -> tuple[str, ...]:
        return events.REQUESTS, *self._settings.topics

    async def requested(self, delivery: Delivery) -> None:
        """`automation.requested`: create or load its run, and start the work."""
        event, fault = _request(delivery)
        tracer = self._context.tracer
        if tracer is None or tracer.skips(tracing.traceparent_of(event)):
            await self._requested(delivery, event, fault)
            return
        with spans.delivery(tracer, delivery, event, self._settings.runtime):
            await self._requested(delivery, event, fault)

    async def _requested(self, delivery: Delivery, event: Event, fault: Malformed | None) -> None:
        accepted = await (
            self._intake.refuse_delivered(delivery, event, fault) if fault else self._intake.accept_delivered(delivery, event)
        )
        run = accepted.run
        if not logs.TRACE.get()[0]:
            tracing.work_for(run)
        if run.status.final:
            await self._recorder.reply_if_ended(run, event.id)
            return
        if self._runs.has_outbox and (accepted.created or any(each.attempts for each in run.invocations)):
            return  # the work was stored with the run
        await self._dispatcher.dispatch(run, delivery, event.id)

    async def invoked(self, delivery: Delivery) -> None:
        """`automation.invoked` of an HTTP target: make attempts until the invocation has ended, must wait, or may not start."""
        event = delivery.message.read_event()
        run, invocation = await self._recorder.addressed(event, event.id, recent=True)
        tracing.work_for(run)
        await self._http_targets.work(delivery, run, invocation.target, event.id)

    async def resulted(self, delivery: Delivery) -> None:
        """`automation.result`: record the progress, the output or the error that a function reports."""
        event = delivery.message.read_event()
        if event.type != events.RESULT:
            raise Malformed(f"Events of type {event.type[:100]!r} are not taken here.", hint=f"Send {events.RESULT}.")
        result = read_result(event.data, self._settings.max_output_bytes)
        run, invocation = await self._recorder.addressed(event, event.get("causationid"))
        tracer = self._context.tracer
        if tracer is None or tracer.skips(run.control.traceparent):
            tracing.work_for(run)
            await self._resulted(delivery, event, run, invocation, result)
            return
        with spans.delivery(tracer, delivery, event, self._settings.runtime, run):
            await self._resulted(delivery, event, run, invocation, result)

    async def _resulted(self, delivery: Delivery, event: Event, run: Run, invocation: Invocation, result: Result) -> None:
        outcome = self._bus_targets.outcome_of(invocation, result)
        if outcome is None:
            await self._progress(run, invocation.target, result)
            return
        if any(attempt.ended_by == event.id for attempt in invocation.attempts):
            await self._recorder.reply_if_ended(run, event.id)
        else:
            again = self._bus_targets.next_attempt_after(run, invocation, outcome)
            ended = AttemptResult(len(invocation.attempts) - 1, outcome, again)
            run = await self._recorder.attempt_ended(run, invocation.target, ended, event.id)
        await self._bus_targets.dispatch(run, delivery, event.id)

    async def _progress(self, run: Run, target: str, result: Result) -> None:
        now, message = self._context.run_clock.now(run), redact_text(result.message or "", secrets_of(run))
        failure = redacted(result.failure, run) if result.failure else None

        def change(current: Run) -> Run:
            current = lifecycle.report(current, target, percent=result.percent, message=message, now=now)
            if result.errors_written is not None:
                current = lifecycle.note_errors(current, target, result.errors_written, now=now)
            return lifecycle.note_failure(current, target, failure, now=now) if isinstance(failure, Failed) else current

        await self._runs.change(run.correlation_id, change)
        why = {"code": failure.code} if isinstance(failure, Failed) else {}
        telemetry.step("progress", automation=run.automation, run=run.correlation_id, target=target, percent=result.percent, **why)

    async def timer(self, delivery: Delivery) -> None:
        """`automation.deadline`, `.cancel`: end the run if it is time. A timer that is delivered early is rescheduled."""
        event = delivery.message.read_event()
        found = await self._runs.get(correlation_id(event))
        if found is None or event.type not in (events.DEADLINE, events.CANCEL):
            return
        tracing.work_for(found)
        if found.status.final:
            await self._recorder.reply_if_ended(found, event.id)
            return
        telemetry.step("timer.came", automation=found.known_automation, level="debug", run=found.correlation_id, timer=event.type)
        cause, grace = self._recorder.cause(found, event.id), self._settings.cancel_grace
        if event.type == events.DEADLINE:
            due = found.deadline
            run = await self._recorder.timed_out(found, event.id)
        else:
            due = (found.control.cancel_at or cause.at) + grace
            await self._http_targets.terminate(found, event.id)
            run = await self._recorder.ended(found, lambda each: lifecycle.cancel(each, grace, cause), event.id)
        if not run.status.final and cause.at < due:
            await self._context.reschedule(delivery, due - cause.at, "it is not time yet")

    async def gave_up(self, delivery: Delivery) -> None:
        """A dead letter that the broker forwarded. If it was the work of a target, the invocation has failed."""
        reason, code = broker_reason(delivery.message), _code(delivery.message)
        try:
            event = events.of_work(delivery.message)
            run, invocation = await self._recorder.addressed(event, event.id)
        except Refusal:
            await self._dead_letter(delivery, code, reason)
            return
        tracing.work_for(run)
        reason = redact_text(reason, secrets_of(run))
        attempts = delivery.message.properties.get("deliveryCount", str(delivery.attempt))
        outcome = _given_up(code, f"{reason}.{lifecycle.last_failure(invocation)}", attempts)
        ended = AttemptResult(len(invocation.attempts) - 1, outcome)
        await self._recorder.attempt_ended(run, invocation.target, ended, event.id)
        target = invocation.control.target.bus
        topic = target.name if target else events.INVOCATIONS
        await self._context.deadletters.keep(delivery, code, reason, secret_paths=run.control.secret_paths, topic=topic)

    async def undeliverable(self, message: Message, reason: str) -> None:
        """Store a scheduled message as a dead letter, because the bus permanently refused it when it was due. Raises Unavailable.

        The run ends at its deadline, unless the event is replayed before.
        """
        await self._dead_letter(Delivery(source=message.topic, message=message), "Undeliverable", reason)

    async def _handle(self, step: Callable[[Delivery], Awaitable[None]], delivery: Delivery) -> Ack:
        """Run a handler. Returns RETRY if the bus or the store fails. Unreadable events, and bugs in this code, become dead letters."""
        token = logs.RUN.set(delivery.message.correlation_id)
        tracing.work_for_nothing()
        try:
            await step(delivery)
        except Refusal as refusal:
            why = wrapped.explained(refusal, delivery.message.body, requests=delivery.message.topic in self._request_topics)
            return await self._give_up(delivery, why.code, why.detail, why.hint)
        except PortError as fault:
            return _retry(delivery, fault)
        except Exception as fault:  # noqa: BLE001 - a mistake of ours must neither lose the event nor repeat it for ever
            _log.exception("the event %r of %s could not be handled", delivery.message.message_id, delivery.source)
            return await self._give_up(delivery, "InternalError", f"{type(fault).__name__} while handling the event")
        finally:
            logs.RUN.reset(token)
        return Ack.DONE

    async def _give_up(self, delivery: Delivery, reason: str, detail: str, hint: str = "") -> Ack:
        try:
            await self._dead_letter(delivery, reason, detail, hint)
        except PortError as fault:
            return _retry(delivery, fault)
        return Ack.DONE

    async def _dead_letter(self, delivery: Delivery, reason: str, detail: str, hint: str = "") -> None:
        """Store a delivery as a dead letter when there is no run that tells what to redact in it. Raises Unavailable."""
        await self._context.deadletters.keep(delivery, reason, detail, hint=hint, secret_paths=self._intake.secret_paths(delivery.message))


def _request(delivery: Delivery) -> tuple[Event, Malformed | None]:
    """The request in a delivery. If it is not a valid event: the usable part, and the reason. Raises Malformed if nothing is usable."""
    try:
        return delivery.message.read_event(), None
    except Malformed as fault:
        event = cloudevents.usable_part(delivery.message.body)
        if event is None:
            raise
        return event, wrapped.explained(fault, delivery.message.body, requests=True)


def _code(message: Message) -> str:
    """`CrashedProcess` for a message that was being handled at too many crashes, otherwise `GaveUp` after too many failed deliveries."""
    return _CRASHED if message.properties.get("DeadLetterReason") == _CRASHED else "GaveUp"


def _given_up(code: str, reason: str, attempts: str) -> Failed:
    if code == _CRASHED:
        hint = "Fix the cause, then replay the dead letter, which holds the event."
        return Failed(code=code, message=f"The work was given up: {reason}"[:MAX_MESSAGE], hint=hint)
    message = f"The bus gave the work up after {attempts} deliveries: {reason}"[:MAX_MESSAGE]
    return Failed(code=code, message=message, hint="The log of the function app says why it threw; the dead letter holds the event.")


def _retry(delivery: Delivery, fault: PortError) -> Ack:
    telemetry.retry(delivery.source, delivery.message.correlation_id, fault.detail)
    return Ack.RETRY

"""The story of a run, told by the events that move it (DESIGN 4).

    automation.requested ─ check ─ create or load the run ─ schedule its deadline ─ send one automation.invoked per target ─ done
    automation.invoked (HTTP targets) ─ save the attempt ─ call under the policy ─ record ─ reply if ended ─ done
    automation.result, .cancel, .deadline, forwarded dead letters ─ record ─ reply if ended ─ done

Record, then publish, then acknowledge: when anything in between fails, the event comes again and finds what was recorded. An event that can
lead nowhere becomes a dead letter. Doors (`doors.py`) only publish; everything that runs, ends or replies happens here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from bridge import envelope, events, lifecycle, request, telemetry
from bridge.attempts import Attempts
from bridge.crashpoints import CrashPoint, passed
from bridge.deadletters import broker_reason
from bridge.discretion import confidences, said
from bridge.dispatch import Dispatch
from bridge.errors import Malformed, PortError, Refusal
from bridge.intake import Intake
from bridge.lifecycle import Tried
from bridge.outcome import Failed
from bridge.parts import Parts
from bridge.ports import Ack, Delivery, Handler, Message
from bridge.recorder import Recorder
from bridge.result import Result, read_result
from bridge.run import Invocation, Run

_log = logging.getLogger("bridge")


class Pipeline:
    """Handlers of the bridge's own subscriptions."""

    def __init__(self, parts: Parts) -> None:
        self._clock, self._results, self._deadletters, self._settings = parts.clock, parts.results, parts.deadletters, parts.settings
        self._intake, self._recorder = Intake(parts), Recorder(parts)
        self._dispatch = Dispatch(parts, self._recorder)
        self._attempts = Attempts(parts, self._recorder, self._dispatch)

    def subscriptions(self) -> dict[str, Handler]:
        """Which handler takes the deliveries of which subscription."""
        return {
            f"{events.REQUESTS}/bridge": self._guarded(self.requested),
            f"{events.INVOCATIONS}/bridge": self._guarded(self.invoked),
            f"{events.RESULTS}/bridge": self._guarded(self.resulted),
            f"{events.TIMERS}/bridge": self._guarded(self.timer),
            events.DEADLETTERS: self._guarded(self.gave_up),
        }

    def _guarded(self, step: Callable[[Delivery], Awaitable[None]]) -> Handler:
        """RETRY for trouble with bus or store; a dead letter for what cannot be read and for our own mistakes; DONE otherwise."""

        async def handle(delivery: Delivery) -> Ack:
            try:
                try:
                    await step(delivery)
                except Refusal as refusal:
                    await self._keep(delivery, refusal.code, refusal.detail)
                except PortError:
                    raise
                except Exception as fault:  # noqa: BLE001 - a mistake of ours must neither lose the event nor repeat it for ever
                    _log.exception("the event %r of %s could not be handled", delivery.message.message_id, delivery.source)
                    await self._keep(delivery, "InternalError", f"{type(fault).__name__} while handling the event")
            except PortError as fault:
                telemetry.retry(delivery.source, delivery.message.correlation_id, fault.detail)
                return Ack.RETRY
            return Ack.DONE

        return handle

    async def _keep(self, delivery: Delivery, reason: str, detail: str) -> None:
        """As a dead letter of which no run tells what is secret. Raises Unavailable."""
        await self._deadletters.keep(delivery, reason, detail, secret_paths=self._intake.secrets(delivery))

    async def undeliverable(self, message: Message, why: str) -> None:
        """What the bus took for later and refused for good when it was due: a dead letter. Raises Unavailable.

        Its run ends at its deadline, unless the event is replayed before that.
        """
        delivery = Delivery(source=message.topic, message=message)
        await self._keep(delivery, "Undeliverable", why)

    async def requested(self, delivery: Delivery) -> None:
        """`automation.requested`: make it a run, send its work."""
        event = envelope.decode(delivery.message.body)
        run = await self._intake.run_of(event, delivery)
        if run.status.final:
            await self._recorder.reply_if_ended(run, event.id)
            return
        passed(CrashPoint.CREATED_NOT_SCHEDULED)
        await self._dispatch.schedule(run)
        passed(CrashPoint.SCHEDULED_NOT_DISPATCHED)
        await self._dispatch.topics(run, delivery, event.id)

    async def invoked(self, delivery: Delivery) -> None:
        """`automation.invoked` of an HTTP target: try until it has ended, must wait, or may not start."""
        event = envelope.decode(delivery.message.body)
        run, part = await self._recorder.addressed(event, event.id, recall=True)
        worked = await self._attempts.work(delivery, run, part, event.id)
        if worked is not None:
            await self._recorder.reply_if_ended(worked, event.id)

    async def resulted(self, delivery: Delivery) -> None:
        """`automation.result`: record what a function said: progress, its output, or its error."""
        event = envelope.decode(delivery.message.body)
        if event.type != events.RESULT:
            raise Malformed(f"Events of type {event.type[:100]!r} are not taken here.", hint=f"Send {events.RESULT}.")
        result = read_result(event.data, self._settings.max_output_bytes)
        run, part = await self._recorder.addressed(event, event.get("causationid"))
        if result.outcome is None:
            await self._progress(run, part.target, result)
            return
        if not any(attempt.ended_by == event.id for attempt in part.attempts):
            run = await self._recorder.tried(run, part.target, self._tried(run, part, result), event.id)
        await self._recorder.reply_if_ended(run, event.id)
        await self._dispatch.topics(run, delivery, event.id)

    def _tried(self, run: Run, part: Invocation, result: Result) -> Tried:
        topic, outcome = part.control.target.topic, result.outcome
        again = None
        if topic and isinstance(outcome, Failed) and outcome.retriable and len(part.attempts) < topic.attempts:
            again = timedelta(0) if self._clock.now() < run.deadline else None
        assert outcome is not None  # noqa: S101 - progress has been told apart by the caller
        return Tried(len(part.attempts) - 1, outcome, again)

    async def _progress(self, run: Run, target: str, result: Result) -> None:
        now = self._clock.now()
        message = said(result.message or "", confidences(run))
        await self._results.change(
            run.correlation_id, lambda current: lifecycle.report(current, target, percent=result.percent, message=message, now=now)
        )
        telemetry.step("progress", automation=run.automation, run=run.correlation_id, target=target, percent=result.percent)

    async def timer(self, delivery: Delivery) -> None:
        """`automation.deadline`, `.cancel`: end the run if it is time; a timer that comes early is put off."""
        event = envelope.decode(delivery.message.body)
        found = await self._results.find(request.correlation_id(event))
        if found is None or event.type not in (events.DEADLINE, events.CANCEL):
            return
        cause, grace = self._recorder.cause(event.id), self._settings.cancel_grace
        if event.type == events.DEADLINE:
            due = found.deadline
            run = await self._recorder.ended(found, lambda run: lifecycle.time_out(run, cause))
        else:
            due = (found.control.cancel_at or cause.at) + grace
            run = await self._recorder.ended(found, lambda run: lifecycle.cancel(run, grace, cause))
        await self._recorder.reply_if_ended(run, event.id)
        if not run.status.final and cause.at < due:
            await self._dispatch.put_off(delivery, due, "it is not time yet")

    async def gave_up(self, delivery: Delivery) -> None:
        """A dead letter that a broker forwards. If it was the work of a target, that target has failed."""
        reason = broker_reason(delivery.message)
        try:
            event = envelope.decode(delivery.message.body)
            run, part = await self._recorder.addressed(event, event.id)
        except Refusal:
            await self._keep(delivery, "GaveUp", reason)
            return
        reason = said(reason, confidences(run))
        attempts = delivery.message.properties.get("deliveryCount", str(delivery.attempt))
        outcome = Failed(
            code="GaveUp",
            message=f"The bus gave the work up after {attempts} deliveries: {reason}.",
            hint="The log of the function app says why it threw; the dead letter holds the event.",
        )
        run = await self._recorder.tried(run, part.target, Tried(len(part.attempts) - 1, outcome), event.id)
        await self._recorder.reply_if_ended(run, event.id)
        target = part.control.target.topic
        topic = target.name if target else events.INVOCATIONS
        await self._deadletters.keep(delivery, "GaveUp", reason, secret_paths=run.control.secret_paths, topic=topic)

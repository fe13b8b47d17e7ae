"""The story of a run, told by the events that move it (DESIGN 4).

    automation.requested ─ check ─ create or load the run ─ schedule its deadline ─ send one automation.invoked per target ─ done
    automation.invoked (HTTP targets) ─ save the attempt ─ call under the policy ─ record ─ reply if ended ─ done
    automation.result, .cancel, .deadline, forwarded dead letters ─ record ─ reply if ended ─ done

Record, then publish, then acknowledge: when anything in between fails, the event comes again and finds what was recorded. An event that can
lead nowhere becomes a dead letter. Doors (`doors.py`) only publish; everything that runs, ends or replies happens here.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bridge import envelope, events, lifecycle, request, telemetry
from bridge.calls import Calls
from bridge.deadletters import DeadLetters, broker_reason
from bridge.envelope import Event
from bridge.errors import Malformed, PortError, Refusal, Undeliverable
from bridge.identity import Caller, Signer
from bridge.lifecycle import Cause, Lapsed, Over, Start, Tried, Wait
from bridge.outcome import Failed, Outcome
from bridge.ports import Ack, Bus, Clock, Delivery, Handler
from bridge.replies import Replies
from bridge.request import Identity, Rules
from bridge.resilience import Refused
from bridge.result import Result, read_result
from bridge.results import Results
from bridge.run import Invocation, Run, Status
from bridge.settings import Settings

#: How long a dispatch to a topic may take before another delivery repeats it.
DISPATCH_LEASE = timedelta(seconds=30)
#: What an attempt may take longer than its time limit before it counts as lost.
MARGIN = timedelta(seconds=2)
#: The longest pause between attempts that is waited out here; for a longer one the work item goes back to the bus.
HOLD = timedelta(seconds=5)

_log = logging.getLogger("bridge")


@dataclass(frozen=True)
class Parts:
    """What the pipeline works with."""

    bus: Bus
    clock: Clock
    results: Results
    replies: Replies
    deadletters: DeadLetters
    calls: Calls
    rules: Rules
    signer: Signer
    settings: Settings


class Pipeline:
    """Handlers of the bridge's own subscriptions."""

    def __init__(self, parts: Parts) -> None:
        self._bus, self._clock, self._results, self._replies = parts.bus, parts.clock, parts.results, parts.replies
        self._deadletters, self._calls, self._rules, self._signer = parts.deadletters, parts.calls, parts.rules, parts.signer
        self._settings = parts.settings

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
                    await self._deadletters.keep(delivery, refusal.code, refusal.detail, secret_paths=self._secrets(delivery))
                except PortError:
                    raise
                except Exception as fault:  # noqa: BLE001 - a mistake of ours must neither lose the event nor repeat it for ever
                    _log.exception("the event %s of %s could not be handled", delivery.message.message_id, delivery.source)
                    await self._deadletters.keep(delivery, "InternalError", f"{type(fault).__name__} while handling the event")
            except PortError as fault:
                telemetry.step("retry", level="warning", run=delivery.message.correlation_id, source=delivery.source, reason=str(fault))
                return Ack.RETRY
            return Ack.DONE

        return handle

    def _secrets(self, delivery: Delivery) -> tuple[tuple[str, ...], ...]:
        """What to hide of an event that was refused: the secrets of the automation it names, if it names one."""
        try:
            named = envelope.parse_json(delivery.message.body)
            return self._rules.catalog.automations[named["subject"]].secret_paths
        except (Malformed, KeyError, TypeError):
            return ()

    # automation.requested

    async def requested(self, delivery: Delivery) -> None:
        """Take a request: make it a run, send its work."""
        event = envelope.decode(delivery.message.body)
        run = await self._accepted(event, delivery)
        if run is None:
            return
        if run.status.final:
            await self._reply_if_ended(run, event.id)
            return
        work = [events.invoked(run, part, self._clock.now(), self._public_url) for part in _open(run) if part.control.target.http]
        await self._bus.publish([events.deadline(run, run.deadline), *work])
        await self._dispatch(run, delivery, event.id)

    async def _accepted(self, event: Event, delivery: Delivery) -> Run | None:
        """The run of this request: the one that exists, or a new one; None if the id belongs to another request."""
        run = await self._results.find(request.correlation_id(event))
        signed = self._signer.is_ours(event.attributes)
        if run is not None and signed and request.signed_identity(event).matches(run):
            return run
        caller = self._caller(event, delivery, signed=signed)
        identity = request.identify(event, caller)
        if run is None:
            run, created = await self._results.create(self._new_run(event, identity, caller))
            if created and not run.status.final:
                telemetry.step("run.accepted", automation=run.automation, run=run.correlation_id, by=caller.name)
        if identity.matches(run):
            return run
        detail = f"The id {identity.correlation_id} belongs to another request for {run.automation}; that run is untouched."
        await self._deadletters.keep(delivery, "CorrelationConflict", detail, secret_paths=self._secrets(delivery))
        return None

    def _new_run(self, event: Event, identity: Identity, caller: Caller) -> Run:
        now = self._clock.now()
        try:
            return request.new_run(request.check(event, identity, caller, self._rules, now))
        except Refusal as refusal:
            telemetry.step("run.refused", level="warning", run=identity.correlation_id, code=refusal.code)
            late = refusal.code == "DeadlinePassed"
            refused = request.refused_run(event, identity, self._rules, now)
            cause = Cause(event.id, now, self._settings.retention)
            return lifecycle.refuse(refused, request.explain(refusal), Status.TIMED_OUT if late else Status.FAILED, cause)

    def _caller(self, event: Event, delivery: Delivery, *, signed: bool) -> Caller:
        """Whom a door has checked, else whom the settings name for the topic."""
        if signed and request.digest(event.data) == event.get("inputdigest"):
            return Caller(event.get("authid"), self._signed_roles(event))
        topic = delivery.source.partition("/")[0]
        identity = self._settings.topics.get(topic)
        return Caller(identity.submitter, frozenset(identity.roles)) if identity else Caller(f"topic:{topic}")

    def _signed_roles(self, event: Event) -> frozenset[str]:
        # The door has held the caller's roles against `allow.submit`; its signature stands for that answer.
        automation = self._rules.catalog.automations.get(event.subject)
        return frozenset(automation.allow.submit or ()) if automation else frozenset()

    async def _dispatch(self, run: Run, delivery: Delivery, event_id: str) -> None:
        """Send the work of topic targets, each once: claimed before, marked after. What another delivery has claimed is looked at again."""
        targets = [part.target for part in _open(run) if part.control.target.topic]
        if not targets:
            return
        now = self._clock.now()
        steps = {target: lifecycle.next_step(run, target, now) for target in targets}
        changed = await self._results.change(run.correlation_id, lambda current: _claimed(current, targets, self._clock.now()))
        if changed is None:
            return
        before, claimed = changed
        for target in targets:
            part = claimed.invocation(target)
            if part is not None and part.attempts and part is not before.invocation(target):
                await self._send(claimed, part, event_id)
        waits = [step.until for step in steps.values() if isinstance(step, Wait)]
        if waits:
            await self._put_off(delivery, min(waits))

    async def _send(self, run: Run, part: Invocation, event_id: str) -> None:
        try:
            await self._bus.publish([events.invoked(run, part, self._clock.now(), self._public_url)])
        except Undeliverable as fault:
            lost = Failed(code="Undeliverable", message=str(fault), hint="Does the topic of the catalogue exist on the bus?")
            await self._record(run, part.target, Tried(len(part.attempts) - 1, lost), event_id)
            return
        number = len(part.attempts) - 1
        telemetry.step("run.dispatched", automation=run.automation, run=run.correlation_id, target=part.target, attempt=len(part.attempts))
        await self._results.change(
            run.correlation_id, lambda current: lifecycle.accept(current, part.target, number, now=self._clock.now())
        )

    # automation.invoked, for HTTP targets

    async def invoked(self, delivery: Delivery) -> None:
        """Work on one HTTP target until it has ended, must wait, or may not start."""
        event = envelope.decode(delivery.message.body)
        run, part = await self._invocation(event, event.id)
        while True:
            match lifecycle.next_step(run, part.target, self._clock.now()):
                case Over():
                    await self._reply_if_ended(run, event.id)
                    return
                case Wait(until):
                    if not await self._waited(delivery, until):
                        return
                    run = await self._results.find(run.correlation_id) or run
                case Lapsed(attempt):
                    lost = Failed(code="OutcomeUnknown", message="The bridge stopped while the function was called.", unknown=True)
                    run = await self._attempted(run, part, attempt, lost, event.id)
                case Start():
                    started = await self._attempt(delivery, run, part, event.id)
                    if started is None:
                        return
                    run = started

    async def _attempt(self, delivery: Delivery, run: Run, part: Invocation, event_id: str) -> Run | None:
        """One try: saved before the call, so that nobody repeats what may be running. None: put off, the function takes no call now."""
        target = part.control.target
        busy_until = self._calls.busy(run.automation, target, self._clock.now())
        if busy_until is not None:
            await self._put_off(delivery, busy_until)
            return None
        async with self._calls.slot(run.automation, target) as place:
            if isinstance(place, Refused):
                await self._put_off(delivery, place.until)
                return None
            now = self._clock.now()
            limit = min(self._calls.timeout(target), run.deadline - now)
            until = now + limit + MARGIN
            changed = await self._results.change(
                run.correlation_id, lambda current: lifecycle.begin(current, part.target, now=now, until=until)
            )
            before, begun = changed or (run, run)
            started = begun.invocation(part.target)
            if begun is before or started is None:
                return begun
            number = len(started.attempts)
            telemetry.step("attempt.started", automation=run.automation, run=run.correlation_id, target=part.target, attempt=number)
            outcome = await self._calls.call(place, begun, started, limit)
        return await self._attempted(begun, started, number - 1, outcome, event_id)

    async def _attempted(self, run: Run, part: Invocation, attempt: int, outcome: Outcome, event_id: str) -> Run:
        """Record the outcome, with the pause before the next attempt if the policy allows one in time."""
        now = self._clock.now()
        again = self._calls.pause(part, attempt + 1, outcome, now) if isinstance(outcome, Failed) else None
        if again is not None and now + again >= run.deadline:
            again = None
        return await self._record(run, part.target, Tried(attempt, outcome, again), event_id)

    # automation.result

    async def resulted(self, delivery: Delivery) -> None:
        """Record what a function said: progress, its output, or its error."""
        event = envelope.decode(delivery.message.body)
        if event.type != events.RESULT:
            raise Malformed(f"Events of type {event.type[:100]!r} are not taken here.", hint=f"Send {events.RESULT}.")
        result = read_result(event.data, self._settings.max_output_bytes)
        run, part = await self._invocation(event, event.get("causationid"))
        if result.outcome is None:
            await self._progress(run, part.target, result)
            return
        if not any(attempt.ended_by == event.id for attempt in part.attempts):
            run = await self._record(run, part.target, self._tried(run, part, result), event.id)
        await self._reply_if_ended(run, event.id)
        await self._dispatch(run, delivery, event.id)

    def _tried(self, run: Run, part: Invocation, result: Result) -> Tried:
        topic, outcome = part.control.target.topic, result.outcome
        again = None
        if topic and isinstance(outcome, Failed) and outcome.retriable and len(part.attempts) < topic.attempts:
            again = timedelta(0) if self._clock.now() < run.deadline else None
        assert outcome is not None  # noqa: S101 - progress has been told apart by the caller
        return Tried(len(part.attempts) - 1, outcome, again)

    async def _progress(self, run: Run, target: str, result: Result) -> None:
        now = self._clock.now()
        await self._results.change(
            run.correlation_id, lambda current: lifecycle.report(current, target, percent=result.percent, message=result.message, now=now)
        )
        telemetry.step("progress", automation=run.automation, run=run.correlation_id, target=target, percent=result.percent)

    # automation.deadline, automation.cancel

    async def timer(self, delivery: Delivery) -> None:
        """End a run at its deadline, or because somebody wants it ended; a timer that comes early is put off."""
        event = envelope.decode(delivery.message.body)
        found = await self._results.find(request.correlation_id(event))
        if found is None or event.type not in (events.DEADLINE, events.CANCEL):
            return
        cause = self._cause(event.id)
        if event.type == events.DEADLINE:
            due = found.deadline
            changed = await self._results.change(found.correlation_id, lambda run: lifecycle.time_out(run, cause))
        else:
            due = (found.control.cancel_at or cause.at) + self._settings.cancel_grace
            changed = await self._results.change(
                found.correlation_id, lambda run: lifecycle.cancel(run, self._settings.cancel_grace, cause)
            )
        before, run = changed or (found, found)
        self._tell_end(before, run)
        await self._reply_if_ended(run, event.id)
        if not run.status.final and cause.at < due:
            await self._put_off(delivery, due)

    # dead letters of the broker

    async def gave_up(self, delivery: Delivery) -> None:
        """A broker gave up on an event. If it was the work of a target, that target has failed."""
        reason = broker_reason(delivery.message)
        try:
            event = envelope.decode(delivery.message.body)
            run, part = await self._invocation(event, event.id)
        except Refusal:
            await self._deadletters.keep(delivery, "GaveUp", reason)
            return
        attempts = delivery.message.properties.get("deliveryCount", str(delivery.attempt))
        outcome = Failed(
            code="GaveUp",
            message=f"The bus gave the work up after {attempts} deliveries: {reason}.",
            hint="The log of the function app says why it threw; the dead letter holds the event.",
        )
        run = await self._record(run, part.target, Tried(len(part.attempts) - 1, outcome), event.id)
        await self._reply_if_ended(run, event.id)
        await self._deadletters.keep(delivery, "GaveUp", reason, secret_paths=run.control.secret_paths)

    # what they share

    async def _invocation(self, event: Event, invocation_id: str) -> tuple[Run, Invocation]:
        """The run and the part that an event speaks of. Raises Malformed unless the event carries that part's token."""
        correlation_id, _, target = invocation_id.rpartition("/")
        run = await self._results.find(correlation_id) if correlation_id else None
        part = run.invocation(target) if run else None
        token = part.control.token if part else ""
        if not hmac.compare_digest(token.encode(), event.get("invocationtoken").encode()) or run is None or part is None:
            raise Malformed(
                f"No invocation {invocation_id[:130]!r} has this token.", hint="Echo causationid and invocationtoken of the event."
            )
        return run, part

    async def _record(self, run: Run, target: str, tried: Tried, event_id: str) -> Run:
        """Write down how an attempt went. No answer by the deadline is the deadline's end, not the function's."""
        cause = self._cause(event_id)
        timed_out = isinstance(tried.outcome, Failed) and tried.outcome.unknown and cause.at >= run.deadline

        def change(current: Run) -> Run:
            return lifecycle.time_out(current, cause) if timed_out else lifecycle.finish(current, target, tried, cause)

        before, after = await self._results.change(run.correlation_id, change) or (run, run)
        code = tried.outcome.code if isinstance(tried.outcome, Failed) else ""
        name = "result.late" if before.status.final else "attempt.ended"
        fields = {"code": code} if code else {}
        telemetry.step(name, automation=run.automation, run=run.correlation_id, target=target, **fields)
        self._tell_end(before, after)
        return after

    def _tell_end(self, before: Run, after: Run) -> None:
        if before.status.final or not after.status.final:
            return
        seconds = (after.updated_at - after.created_at).total_seconds()
        telemetry.ended(after.known_automation, after.status, seconds, after.correlation_id)

    async def _reply_if_ended(self, run: Run, event_id: str) -> None:
        """The event that ended the run sends the reply, again whenever it is delivered again."""
        if run.status.final and run.control.ended_by == event_id:
            await self._replies.send(run)

    async def _waited(self, delivery: Delivery, until: datetime) -> bool:
        """Wait here for a short pause; put the event off for a longer one."""
        pause = until - self._clock.now()
        if pause > HOLD:
            await self._put_off(delivery, until)
            return False
        await self._clock.sleep(max(pause.total_seconds(), 0))
        return True

    async def _put_off(self, delivery: Delivery, until: datetime) -> None:
        telemetry.step("attempt.put_off", level="debug", run=delivery.message.correlation_id, until=events.iso(until))
        await self._bus.publish([replace(delivery.message, deliver_at=until)])

    def _cause(self, event_id: str) -> Cause:
        return Cause(event_id, self._clock.now(), self._settings.retention)

    @property
    def _public_url(self) -> str:
        return self._settings.public_url or ""


def _open(run: Run) -> list[Invocation]:
    return [part for part in run.invocations if not part.status.final]


def _claimed(run: Run, targets: list[str], now: datetime) -> Run:
    """Claim the dispatch of every target that may start; a claim whose time is over is taken again."""
    for target in targets:
        step = lifecycle.next_step(run, target, now)
        if isinstance(step, Lapsed):
            lost = Failed(code="DispatchUnknown", message="The bridge stopped while it sent the work.", unknown=True)
            run = lifecycle.finish(run, target, Tried(step.attempt, lost, timedelta(0)), Cause("", now, timedelta(0)))
        if isinstance(step, Lapsed | Start):
            run = lifecycle.begin(run, target, now=now, until=now + DISPATCH_LEASE)
    return run

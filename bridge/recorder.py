"""Records the outcome of attempts and the end of runs, and publishes the reply of a run that ended.

With an outbox this is one transaction. Without one, the order is: record, then publish, then acknowledge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Raw

from bridge import events, lifecycle, resilience, telemetry
from bridge.auth import invocation_with
from bridge.cloudevents import LARGE, Event
from bridge.context import Context
from bridge.errors import Full, Malformed, Unavailable, Undeliverable
from bridge.index import Entry, Index
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Accepted, Failed, Outcome, Succeeded
from bridge.ports import Delivery, Message
from bridge.redaction import redact_json, redact_text, secret_texts
from bridge.run import Attempt, AttemptOutcome, Invocation, Run
from bridge.runs import Outgoing
from bridge.tracing import TraceSpan, spans


class Recorder:
    """Ends runs; no other code does. `replies` is the index of published replies, for the audit."""

    def __init__(self, context: Context, replies: Index) -> None:
        self._context, self._runs, self._clock, self._bus = context, context.runs, context.clock, context.bus
        self._replies, self._retention = replies, context.settings.retention

    def cause(self, run: Run, event_id: str) -> Causation:
        """The cause of a change that this event makes now to a run."""
        return Causation(event_id, self._context.run_clock.now(run), self._retention)

    async def addressed(self, event: Event, invocation_id: str, *, recent: bool = False) -> tuple[Run, Invocation]:
        """The run and the invocation that an event belongs to. With `recent` they may be as they were a moment ago.

        Raises Unavailable, and Malformed unless the event contains the token of that invocation.
        """
        correlation_id, _, target = invocation_id.rpartition("/")
        get = self._runs.get_recent if recent else self._runs.get
        run = await get(correlation_id) if correlation_id else None
        invocation = invocation_with(event.get("invocationtoken"), run, target)
        if run is None or invocation is None:
            raise Malformed(
                f"No invocation {invocation_id[:130]!r} has this token.", hint="Echo causationid and invocationtoken of the event."
            )
        return run, invocation

    async def attempt_ended(self, run: Run, target: str, result: AttemptResult, event_id: str, *, patience: Sequence[float] = ()) -> Run:
        """Record the outcome of an attempt, and reply if that ended the run. Raises Unavailable.

        If no answer came by the deadline, or the answer was that the deadline has passed, the run is timed out rather than failed. If the
        outcome cannot be stored, this is retried after the pauses in `patience`, in seconds.
        """
        outcome = await _redacted(result.outcome, run)
        result = result if outcome is result.outcome else replace(result, outcome=outcome)
        cause = self.cause(run, event_id)
        timed_out = resilience.too_late(result.outcome, run.deadline - cause.at)
        if timed_out and cause.at < run.deadline:
            # The time limit of the call ended with the run's, and timers are not exact: this one, too, may wake a moment early.
            await self._clock.sleep((run.deadline - cause.at).total_seconds())
            cause = self.cause(run, event_id)
            cause = replace(cause, at=max(cause.at, run.deadline))

        def change(current: Run) -> Run:
            return lifecycle.expire(current, target, cause) if timed_out else lifecycle.finish(current, target, result, cause)

        telemetry.step("attempt.answered", automation=run.automation, level="debug", run=run.correlation_id, target=target)
        before, after, replied = await self._changed_patiently(run, change, event_id, patience)
        if before.status.final:
            telemetry.step("result.late", automation=run.automation, run=run.correlation_id, target=target)
        else:
            telemetry.step("attempt.ended", automation=run.automation, run=run.correlation_id, target=target, **_fields(result))
        await self._ended(before, after, event_id, replied=replied)
        return after

    async def ended(self, run: Run, change: Callable[[Run], Run], event_id: str) -> Run:
        """Apply a deadline or a cancel to the run, and reply if that ended it. Raises Unavailable."""
        before, after, replied = await self._changed(run, change, event_id)
        await self._ended(before, after, event_id, replied=replied)
        return after

    async def timed_out(self, run: Run, event_id: str) -> Run:
        """End the run if its deadline has passed, and reply. Raises Unavailable."""
        cause = self.cause(run, event_id)
        return await self.ended(run, lambda each: lifecycle.time_out(each, cause), event_id)

    async def expired(self, run: Run, target: str, event_id: str) -> Run:
        """Like `timed_out`, for an event that is the work of a target. Raises Unavailable."""
        cause = self.cause(run, event_id)
        return await self.ended(run, lambda each: lifecycle.expire(each, target, cause), event_id)

    async def reply_if_ended(self, run: Run, event_id: str) -> None:
        """Publish the reply if this event ended the run; a redelivery of the event publishes it again. Raises Unavailable."""
        # With an outbox the reply was stored with the end, so only a redelivery of the same event publishes it again.
        concerned = run.control.ended_by == event_id if self._runs.has_outbox else lifecycle.was_ended_by(run, event_id)
        if run.status.final and concerned:
            await self._publish_reply(run)
            await self._note_reply(run)

    async def _changed_patiently(
        self, run: Run, change: Callable[[Run], Run], event_id: str, patience: Sequence[float]
    ) -> tuple[Run, Run, bool]:
        for pause in patience:
            try:
                return await self._changed(run, change, event_id)
            except Unavailable:
                await self._clock.sleep(pause)
        return await self._changed(run, change, event_id)

    async def _changed(self, run: Run, change: Callable[[Run], Run], event_id: str) -> tuple[Run, Run, bool]:
        """The run before and after, and whether its reply was published with it."""
        sending: list[TraceSpan] = []  # the span of the reply, once there is one

        def reply(changed: Run) -> Outgoing:
            if not changed.status.final or changed.control.ended_by != event_id:
                return Outgoing()
            return Outgoing([self._reply(changed, sending)], [events.deadline_key(changed)])

        if self._runs.has_outbox:
            error = "NotStored"
            try:
                before, after = await self._runs.change(run.correlation_id, change, reply) or (run, run)
                error = "" if after is not before and after.status.final else error
            except (Undeliverable, Full):
                pass  # the outbox refuses the reply; the outcome can be stored alone, and is more important
            else:
                return before, after, before is not after
            finally:
                for span in sending:
                    span.end(error)
        before, after = await self._runs.change(run.correlation_id, change) or (run, run)
        return before, after, False

    async def _ended(self, before: Run, after: Run, event_id: str, *, replied: bool) -> None:
        if after.status.final and not before.status.final:
            seconds = (after.updated_at - after.created_at).total_seconds()
            telemetry.ended(after.known_automation, after.status, seconds, after.correlation_id, submitter=after.control.submitter)
        if not replied:
            await self.reply_if_ended(after, event_id)
        elif after.status.final and after.control.ended_by == event_id:
            self._tell_reply(after)
            await self._note_reply(after)

    async def _publish_reply(self, run: Run) -> None:
        """Publish the reply. If the bus permanently refuses it, it becomes a dead letter."""
        sending: list[TraceSpan] = []
        reply = self._reply(run, sending)
        try:
            await spans.around(sending[0] if sending else None, self._bus.publish([reply]))
        except Undeliverable as fault:
            await self._context.deadletters.keep(Delivery(source=reply.topic, message=reply), "ReplyUndeliverable", str(fault))
        else:
            self._tell_reply(run)

    def _reply(self, run: Run, sending: list[TraceSpan]) -> Message:
        """The reply, with the span in `sending` as its parent. If there is none and telemetry is configured, a span is begun."""
        tracer = self._context.tracer
        if tracer is None or tracer.skips(run.control.traceparent):
            return events.ended(run, self._context.public_url)
        if not sending:
            reply_id = events.reply_id(run.correlation_id, run.created_at)
            sending.append(spans.reply(tracer, run, reply_id, self._context.settings.runtime))
        return events.ended(run, self._context.public_url, sending[0].context)

    def _tell_reply(self, run: Run) -> None:
        telemetry.step("run.replied", automation=run.known_automation, run=run.correlation_id, topic=run.control.reply_topic)

    async def _note_reply(self, run: Run) -> None:
        reply_id = events.reply_id(run.correlation_id, run.created_at)
        await self._replies.add(Entry(created_at=self._clock.now(), id=reply_id, subject=run.status))


async def _redacted(outcome: Outcome, run: Run) -> Outcome:
    """Like `redacted`. Searching a large output for many secrets takes long, so it is done in a thread."""
    if isinstance(outcome, Succeeded) and len(bytes(outcome.output_json)) > LARGE:
        return await asyncio.to_thread(redacted, outcome, run)
    return redacted(outcome, run)


def secrets_of(run: Run) -> tuple[str, ...]:
    """The secret texts of a run, which no record of it may contain: its `writeOnly` input and its tokens."""
    tokens = [invocation.control.token for invocation in run.invocations]
    tokens += [text for each in run.invocations if each.attempts and each.attempts[-1].status_url for text in _addresses(each.attempts[-1])]
    if not run.control.secret_paths:
        return tuple(tokens)
    return (*secret_texts(run.input, run.control.secret_paths), *tokens)


def _addresses(attempt: Attempt) -> list[str]:
    """The addresses of accepted work, and the keys in them."""
    urls = [url for url in (attempt.status_url, attempt.terminate_url) if url]
    return [*urls, *(value for url in urls for name, value in parse_qsl(urlsplit(url).query) if name in ("code", "sig"))]


def redacted(outcome: Outcome, run: Run) -> Outcome:
    """The outcome with `***` in place of the run's secrets; the same object if it contains none."""
    secrets = secrets_of(run)
    match outcome:
        case Accepted():
            return outcome
        case Succeeded(written):
            output = redact_json(bytes(written), secrets)
            return outcome if output is None else replace(outcome, output_json=Raw(output))
        case Failed():
            return replace(
                outcome,
                code=redact_text(outcome.code, secrets),
                message=redact_text(outcome.message, secrets),
                hint=redact_text(outcome.hint, secrets),
            )


def _fields(result: AttemptResult) -> dict[str, Any]:
    fields: dict[str, Any] = {"attempt": result.attempt + 1, "outcome": outcome_name(result.outcome)}
    if isinstance(result.outcome, Failed):
        fields["code"] = result.outcome.code
    if result.again is not None:
        fields["again_in"] = result.again.total_seconds()
    return fields


def outcome_name(outcome: Outcome) -> str:
    """The name of the outcome in the record of an attempt."""
    match outcome:
        case Accepted():
            return AttemptOutcome.ACCEPTED
        case Failed(unknown=True):
            return AttemptOutcome.UNKNOWN
        case Failed():
            return AttemptOutcome.FAILED
    return AttemptOutcome.SUCCEEDED

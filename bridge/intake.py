"""Turns an `automation.requested` event into its run: an existing one, a new one, or a refusal.

The API calls `Intake.accept` with the caller that it authenticated. The pipeline calls it with an event from a topic. Its caller is the one
that the event's signature proves, or else the one that the settings give the topic.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import UNSET, Raw

from bridge import cloudevents, events, lifecycle, telemetry, tracing
from bridge.auth import ADMIN, Caller
from bridge.catalog import Automation, Catalog
from bridge.cloudevents import Event
from bridge.context import Context
from bridge.dispatch import WHERE_IT_IS, Dispatcher
from bridge.errors import (
    CorrelationConflict,
    DeadlinePassed,
    Forbidden,
    Full,
    InvalidCorrelationId,
    Malformed,
    Refusal,
    ReplyTopicNotAllowed,
    TooLarge,
    Undeliverable,
)
from bridge.events import RESULT
from bridge.idempotency import IdempotencyKey, correlation_id, digest, idempotency_key, signed_key
from bridge.jsontext import parse_json
from bridge.lifecycle import Causation
from bridge.ports import Delivery, Message
from bridge.run import VERSION, Control, Invocation, InvocationControl, Run, RunError, Status
from bridge.tracing import NOWHERE, TraceContext, spans
from bridge.validation import Validation


@dataclass(frozen=True)
class Rules:
    """The configuration that requests are checked against."""

    catalog: Catalog
    reply_topics: Collection[str]
    default_reply_topic: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The run of a request, and whether this request created it. If not, the request is a repeat."""

    run: Run
    created: bool


class Intake:
    """Accepts `automation.requested` events."""

    def __init__(self, context: Context, rules: Rules, dispatcher: Dispatcher, validation: Validation) -> None:
        self._runs, self._rules, self._dispatcher, self._validation = context.runs, rules, dispatcher, validation
        self._signer, self._clock, self._settings, self._tracer = context.signer, context.clock, context.settings, context.tracer
        self._context = context

    async def accept(self, event: Event, caller: Caller, *, key: IdempotencyKey | None = None, delivered: bool = False) -> Acceptance:
        """The run of this request. When this returns, the run and the messages that start its work are durable.

        `key` saves computing it again. `delivered` says that the event came from the bus, which delivers it again if this fails. If the
        runtime has no outbox, any other event is published first. Raises CorrelationConflict if the correlation id belongs to another
        request, another Refusal if the request is refused, Unavailable if it could not be made durable.
        """
        key = key or await _key(event, caller.name)
        made = tracing.of_event(event)
        if self._tracer is None or self._tracer.skips(made.traceparent):
            return await self._accepted(event, caller, key, made, delivered=delivered)
        with spans.acceptance(self._tracer, made) as span:
            accepted = await self._accepted(event, caller, key, span.context, delivered=delivered)
            spans.accepted(span, accepted.run, created=accepted.created)
            return accepted

    async def _accepted(self, event: Event, caller: Caller, key: IdempotencyKey, trace: TraceContext, *, delivered: bool) -> Acceptance:
        existing = await self._runs.get_recent(key.correlation_id) if delivered else await self._runs.get(key.correlation_id)
        if existing is not None:
            return Acceptance(_same(existing, key), created=False)
        automation = check(event, caller, self._rules)
        await self._validation.require_fit(automation, event)
        clock, now = self._runs.clock.start()
        run = new_run(event, key, automation, self._rules, now, clock=clock, trace=trace)
        tracing.work_for(run)
        if self._runs.is_full:
            raise Full("The store of runs has no room.", hint="Raise data_limit, or shorten retention.", retry_after=30)
        self._dispatcher.require_carried(run, self._settings.max_event_bytes)
        try:
            if self._runs.has_outbox:
                stored, created = await self._store_with_work(run)
            else:
                stored, created = await self._store(run, event, key, delivered=delivered)
        except Undeliverable as fault:
            raise TooLarge(str(fault), hint=WHERE_IT_IS) from None
        if created:
            telemetry.step("run.accepted", automation=stored.automation, run=stored.correlation_id, by=caller.name)
            if self._runs.has_outbox:
                self._dispatcher.log_prepared(stored)
        return Acceptance(_same(stored, key), created)

    async def _store_with_work(self, run: Run) -> tuple[Run, bool]:
        """Store the run together with the messages that start its work."""
        run, work = self._dispatcher.prepare(run)
        created = False
        try:
            stored, created = await self._runs.create(run, work=work)
        finally:
            if not created:
                self._dispatcher.withdraw(run)
        return stored, created

    async def _store(self, run: Run, event: Event, key: IdempotencyKey, *, delivered: bool) -> tuple[Run, bool]:
        """Publish the request, then store the run. The delivery of the request starts the work."""
        if delivered:
            return await self._runs.create(run)
        if self._tracer is None or self._tracer.skips(run.control.traceparent):
            return await self._runs.create(run, first=[self._request(event, key, run)])
        with spans.request(self._tracer, event, events.REQUESTS, self._settings.runtime) as span:
            return await self._runs.create(run, first=[self._request(tracing.moved(event, span.context), key, run)])

    def _request(self, event: Event, key: IdempotencyKey, run: Run) -> Message:
        """The message that sends the request to the pipeline. Raises Undeliverable."""
        message = events.requested(events.signed(event, key, self._signer, run.created_at))
        self._context.require_carried(message)
        return message

    async def accept_delivered(self, delivery: Delivery, event: Event) -> Acceptance:
        """Like `accept`, for an event from a topic: a request that is refused becomes a run that ended with the reason.

        Raises Malformed, InvalidCorrelationId or CorrelationConflict (such an event cannot become a run), Unavailable.
        """
        signed = self._signer.is_ours(event.attributes, self._clock.now(), self._settings.retention)
        run = await self._runs.get_recent(correlation_id(event))
        if run is not None and signed and signed_key(event).matches(run):
            return Acceptance(run, created=False)
        caller = self._caller(event, delivery, signed=signed)
        key = await _key(event, caller.name)
        try:
            return await self.accept(event, caller, key=key, delivered=True)
        except (CorrelationConflict, Full):
            raise
        except Refusal as refusal:
            return await self._refuse(event, key, refusal)

    async def refuse_delivered(self, delivery: Delivery, event: Event, fault: Malformed) -> Acceptance:
        """The run of a request that is not a valid event.

        `event` is the usable part of it, and `fault` is the reason that the run ends with. Raises `fault` if the correlation id cannot be
        used, CorrelationConflict, Unavailable.
        """
        try:
            named = correlation_id(event)
        except InvalidCorrelationId:
            raise fault from None
        caller = self._caller(event, delivery, signed=False)
        content = hashlib.sha256(delivery.message.body).hexdigest() if event.data is None else digest(event.data)
        return await self._refuse(event, IdempotencyKey(named, event.subject[:100], caller.name, content), fault)

    async def _refuse(self, event: Event, key: IdempotencyKey, refusal: Refusal) -> Acceptance:
        """Store a run that ends at once with the refusal, so that a look-up explains it."""
        telemetry.step("run.refused", level="warning", run=key.correlation_id, code=refusal.code)
        clock, now = self._runs.clock.start()
        status = Status.TIMED_OUT if isinstance(refusal, DeadlinePassed) else Status.FAILED
        cause = Causation(event.id, now, self._settings.retention)
        run = refused_run(event, key, self._rules, now, clock=clock, trace=tracing.here())
        run = lifecycle.refuse(run, explain(refusal), status, cause)
        stored, created = await self._runs.create(run)
        if created:
            telemetry.ended(run.known_automation, run.status, 0, run.correlation_id, submitter=run.control.submitter)
        return Acceptance(_same(stored, key), created)

    def secret_paths(self, message: Message) -> tuple[tuple[str, ...], ...]:
        """The places to redact in an event that cannot become a run: the secrets of the automation that it names.

        A message with only the input names the automation in its label. If the automation is not known, all data is redacted as soon as any
        automation has secrets. The same applies to a result.
        """
        try:
            event = parse_json(message.body)
        except Malformed:
            return ()
        attributes = event if isinstance(event, dict) else {}
        automations = self._rules.catalog.automations
        automation = automations.get(str(attributes.get("subject")))
        if automation is None and not {"specversion", "data"} & attributes.keys():
            automation = automations.get(message.label)
        if automation is not None and attributes.get("type") != RESULT:
            return automation.secret_paths
        concerned = self._rules.catalog if automation is None else [automation]
        return ((),) if any(each.secret_paths for each in concerned) else ()

    def _caller(self, event: Event, delivery: Delivery, *, signed: bool) -> Caller:
        """The caller that the API authenticated, or else the one that the settings give the topic."""
        if signed and digest(event.data) == event.get("inputdigest"):
            return Caller(event.get("authid"), self._signed_roles(event))
        topic = delivery.source.partition("/")[0]
        identity = self._settings.topics.get(topic)
        return Caller(identity.submitter, frozenset(identity.roles)) if identity else Caller(f"topic:{topic}")

    def _signed_roles(self, event: Event) -> frozenset[str]:
        # The API compared the caller's roles with `allow.submit` before it signed the event. An empty list lets only
        # admin pass, and no list everybody.
        automation = self._rules.catalog.automations.get(event.subject)
        allowed = automation.allow.submit if automation else ()
        return frozenset(allowed) if allowed else frozenset({ADMIN})


async def _key(event: Event, submitter: str) -> IdempotencyKey:
    """The key of a request. For a large request it is computed in a thread, so that other tasks need not wait."""
    if len(event.data_json) <= cloudevents.LARGE:
        return idempotency_key(event, submitter)
    return await asyncio.to_thread(idempotency_key, event, submitter)


def _same(run: Run, key: IdempotencyKey) -> Run:
    if not key.matches(run):
        raise CorrelationConflict(f"The correlation id {run.correlation_id!r} belongs to another request; that run is untouched.")
    return run


def check(event: Event, caller: Caller, rules: Rules) -> Automation:
    """The automation that the event requests, if the caller and the event are allowed to request it. `Validation` checks the input.

    Raises UnknownAutomation, Forbidden or ReplyTopicNotAllowed.
    """
    automation = rules.catalog.get(event.subject)
    if not caller.may_submit(automation):
        needed = ", ".join(automation.allow.submit or ())
        raise Forbidden(f"{caller.name} may not submit {automation.name}.", hint=f"It needs one of the roles: {needed}.")
    reply_topic = event.get("replytopic")
    if reply_topic and reply_topic not in rules.reply_topics:
        raise ReplyTopicNotAllowed(f"Replies may not go to {reply_topic[:100]!r}.")
    return automation


def deadline(event: Event, automation: Automation, now: datetime) -> datetime:
    """The deadline of the run: the automation's own limit, or the time that the event asks for if that is earlier.

    Raises Malformed or DeadlinePassed.
    """
    own = now + automation.deadline
    asked_for = event.get("expirytime")
    if "expirytime" not in event.attributes:
        return own
    asked = cloudevents.timestamp(asked_for)
    if asked is None:
        raise Malformed(f"expirytime {asked_for[:40]!r} is not an RFC 3339 time.", hint="Write it like 2026-01-31T12:00:00Z.")
    if asked <= now:
        raise DeadlinePassed(f"The deadline {asked_for} has passed; it is {now.isoformat()} here.")
    return own if asked >= own else asked.astimezone(now.tzinfo)


def new_run(  # noqa: PLR0913 - the request, what it is checked against, and the time
    event: Event,
    key: IdempotencyKey,
    automation: Automation,
    rules: Rules,
    now: datetime,
    *,
    clock: str = "",
    trace: TraceContext | None = None,
) -> Run:
    """A new run for a checked request, created `now` by `clock`. It contains a copy of the plan, and a token for each invocation.

    `trace` is its place in a trace, by default that of its event. Raises Malformed or DeadlinePassed.
    """
    traceparent, tracestate = trace or tracing.of_event(event)
    return Run(
        correlation_id=key.correlation_id,
        automation=automation.name,
        status=Status.PENDING,
        created_at=now,
        updated_at=now,
        deadline=deadline(event, automation, now),
        input_json=Raw(event.data_json),
        invocations=tuple(
            Invocation(
                target=target.name,
                status=Status.PENDING,
                attempts=(),
                control=InvocationControl(target=target, token=secrets.token_urlsafe(24)),
            )
            for target in automation.targets
        ),
        control=Control(
            digest=key.digest,
            submitter=key.submitter,
            readers=automation.allow.read,
            reply_topic=event.get("replytopic") or rules.default_reply_topic,
            request_id=event.id,
            rule=automation.rule.text,
            secret_paths=automation.secret_paths,
            traceparent=traceparent,
            tracestate=tracestate,
            clock=clock,
        ),
        rerun_of=event.get("rerunof")[:100] or None,
        version=VERSION,
    )


def refused_run(  # noqa: PLR0913 - as for `new_run`
    event: Event, key: IdempotencyKey, rules: Rules, now: datetime, *, clock: str = "", trace: TraceContext = NOWHERE
) -> Run:
    """A run for a refused request from a topic. The caller ends it with the reason.

    `trace` is the span of the refusal, if there is one; otherwise the run is in the trace of its event.
    """
    known = rules.catalog.automations.get(event.subject)
    reply_topic = event.get("replytopic")
    traceparent, tracestate = trace if trace.traceparent else tracing.of_event(event)
    return Run(
        correlation_id=key.correlation_id,
        automation=key.automation,
        status=Status.PENDING,
        created_at=now,
        updated_at=now,
        deadline=now,
        input_json=Raw(event.data_json) if known and event.data is not None else UNSET,
        invocations=(),
        control=Control(
            digest=key.digest,
            submitter=key.submitter,
            readers=known.allow.read if known else None,
            reply_topic=reply_topic if reply_topic in rules.reply_topics else rules.default_reply_topic,
            request_id=event.id,
            rule="all",
            secret_paths=known.secret_paths if known else (),
            traceparent=traceparent,
            tracestate=tracestate,
            clock=clock,
        ),
        version=VERSION,
    )


def explain(refusal: Refusal) -> RunError:
    """A refusal as the error of a run."""
    errors: tuple[dict[str, Any], ...] = tuple(dict(violation) for violation in refusal.errors)
    return RunError(code=refusal.code, message=refusal.detail, hint=refusal.hint, errors=errors)

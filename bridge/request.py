"""A request: the event that asks for an automation, checked (contract 3.1, 3.5.6)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from bridge.catalog import Automation, Catalog
from bridge.envelope import Event, timestamp
from bridge.errors import (
    DeadlinePassed,
    Forbidden,
    InvalidCorrelationId,
    InvalidInput,
    Malformed,
    Refusal,
    ReplyTopicNotAllowed,
)
from bridge.identity import Caller
from bridge.run import Control, Invocation, InvocationControl, Problem, Run, Status

REQUESTED = "automation.requested"
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:@-]{1,100}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two requests the same one (contract 3.1: one correlation id, one run)."""

    correlation_id: str
    automation: str
    submitter: str
    digest: str

    def matches(self, run: Run) -> bool:
        """Whether `run` is the run of this request."""
        return (run.automation, run.control.submitter, run.control.digest) == (self.automation, self.submitter, self.digest)


def signed_identity(event: Event) -> Identity:
    """The identity a door has written into an event that carries its signature."""
    return Identity(event.correlation_id, event.subject, event.get("authid"), event.get("inputdigest"))


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, by whom, until when, and where the answer goes."""

    identity: Identity
    event_id: str
    automation: Automation
    input: Any
    created_at: datetime
    deadline: datetime
    reply_topic: str
    traceparent: str = ""
    tracestate: str = ""
    rerun_of: str = ""


def identify(event: Event, caller: Caller) -> Identity:
    """Tell which request this event is. Raises Malformed or InvalidCorrelationId: then it cannot become a run."""
    if event.type != REQUESTED:
        raise Malformed(f"Events of type {event.type[:100]!r} are not taken here.", hint=f"Send {REQUESTED}.")
    return Identity(correlation_id(event), event.subject[:100], caller.name, digest(event.data))


@dataclass(frozen=True)
class Rules:
    """What a request is held against."""

    catalog: Catalog
    reply_topics: Collection[str]
    default_reply_topic: str


def correlation_id(event: Event) -> str:
    """The event's correlation id. Raises InvalidCorrelationId."""
    value = event.correlation_id
    if not _CORRELATION_ID.fullmatch(value):
        shown = value if len(value) <= 100 else f"{value[:40]}… ({len(value)} characters)"
        raise InvalidCorrelationId(f"{shown!r} is not a correlation id.")
    return value


def digest(value: Any) -> str:
    """SHA-256 of the RFC 8785 form, in hexadecimal. Raises Malformed for numbers that JSON cannot carry.

    RFC 8785 numbers are doubles. Where an integer is beyond 2^53 it is written out, and every text is marked as one, so that 2^60 and
    2^60 + 1 stay two inputs and no text stands for a number.
    """
    try:
        try:
            canonical = rfc8785.dumps(value)
        except rfc8785.IntegerDomainError:
            canonical = b"by kind:" + rfc8785.dumps(_by_kind(value))
    except rfc8785.FloatDomainError:
        raise Malformed("A number of the input is beyond what JSON numbers can hold.", hint="Send such numbers as strings.") from None
    return hashlib.sha256(canonical).hexdigest()


def _by_kind(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _by_kind(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_by_kind(part) for part in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 - 1:
        return f"integer {value}"
    return f"text {value}" if isinstance(value, str) else value


def check(event: Event, identity: Identity, caller: Caller, rules: Rules, now: datetime) -> Request:
    """Hold an `automation.requested` event against the contract and the catalogue.

    Raises UnknownAutomation, Forbidden, InvalidInput, DeadlinePassed, ReplyTopicNotAllowed or Malformed.
    """
    automation = rules.catalog.get(event.subject)
    if not caller.may_submit(automation):
        needed = ", ".join(automation.allow.submit or ())
        raise Forbidden(f"{caller.name} may not submit {automation.name}.", hint=f"It needs one of the roles: {needed}.")
    violations = automation.violations(event.data)
    if violations:
        detail = f"The input does not fit the schema of {automation.name}: {violations[0]['detail']}."
        raise InvalidInput(detail, hint=f"GET /v1/automations/{automation.name} shows the schema.", errors=violations)
    reply_topic = event.get("replytopic") or rules.default_reply_topic
    if reply_topic not in rules.reply_topics:
        raise ReplyTopicNotAllowed(f"Replies may not go to {reply_topic[:100]!r}.")
    return Request(
        identity=identity,
        event_id=event.id,
        automation=automation,
        input=event.data,
        created_at=now,
        deadline=_deadline(event, automation, now),
        reply_topic=reply_topic,
        traceparent=event.get("traceparent") if _TRACEPARENT.fullmatch(event.get("traceparent")) else "",
        tracestate=event.get("tracestate")[:512],
        rerun_of=event.get("rerunof")[:100],
    )


def _deadline(event: Event, automation: Automation, now: datetime) -> datetime:
    own = now + automation.deadline
    if "expirytime" not in event.attributes:
        return own
    asked = timestamp(event.get("expirytime"))
    if asked is None:
        raise Malformed(f"expirytime {event.get('expirytime')[:40]!r} is not RFC 3339.", hint="Write it like 2026-01-31T12:00:00Z.")
    if asked <= now:
        raise DeadlinePassed(f"The deadline {event.get('expirytime')} has passed; it is {now.isoformat()} here.")
    return own if asked >= own else asked.astimezone(now.tzinfo)


def new_run(request: Request) -> Run:
    """The run of a request, with its plan frozen and a token for each invocation."""
    extra = {"rerun_of": request.rerun_of} if request.rerun_of else {}
    return Run(
        correlation_id=request.identity.correlation_id,
        automation=request.automation.name,
        status=Status.PENDING,
        created_at=request.created_at,
        updated_at=request.created_at,
        deadline=request.deadline,
        input=request.input,
        invocations=tuple(
            Invocation(
                target=target.name,
                status=Status.PENDING,
                attempts=(),
                control=InvocationControl(target=target, token=secrets.token_urlsafe(24)),
            )
            for target in request.automation.targets
        ),
        control=Control(
            digest=request.identity.digest,
            submitter=request.identity.submitter,
            readers=request.automation.allow.read,
            reply_topic=request.reply_topic,
            request_id=request.event_id,
            rule=request.automation.rule.text,
            secret_paths=request.automation.secret_paths,
            traceparent=request.traceparent,
            tracestate=request.tracestate,
        ),
        **extra,
    )


def refused_run(event: Event, identity: Identity, rules: Rules, now: datetime) -> Run:
    """The run of a request that arrived over a topic and cannot be taken: it is ended at once, so that a look-up explains why."""
    known = rules.catalog.automations.get(event.subject)
    reply_topic = event.get("replytopic")
    return Run(
        correlation_id=identity.correlation_id,
        automation=identity.automation,
        status=Status.PENDING,
        created_at=now,
        updated_at=now,
        deadline=now,
        invocations=(),
        control=Control(
            digest=identity.digest,
            submitter=identity.submitter,
            readers=known.allow.read if known else None,
            reply_topic=reply_topic if reply_topic in rules.reply_topics else rules.default_reply_topic,
            request_id=event.id,
            rule="all",
            secret_paths=known.secret_paths if known else (),
        ),
        **({"input": event.data} if known else {}),
    )


def explain(refusal: Refusal) -> Problem:
    """A refusal as the error of a run."""
    more: dict[str, Any] = {"hint": refusal.hint} if refusal.hint else {}
    if refusal.errors:
        more["errors"] = tuple(dict(violation) for violation in refusal.errors)
    return Problem(code=refusal.code, message=refusal.detail, **more)

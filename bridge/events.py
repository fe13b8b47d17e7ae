"""Builds the events that the bridge sends, each as the message that contains it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from bridge.auth import Signer
from bridge.cloudevents import REQUESTED, Event
from bridge.idempotency import IdempotencyKey
from bridge.ports import Message
from bridge.run import Invocation, Run, Status, json_bytes
from bridge.runview import view_json
from bridge.tracing import TraceContext

SOURCE = "/automation-bridge"

INVOKED = "automation.invoked"
RESULT = "automation.result"
CANCEL = "automation.cancel"
DEADLINE = "automation.deadline"
_ENDED = {
    Status.SUCCEEDED: "automation.succeeded",
    Status.FAILED: "automation.failed",
    Status.TIMED_OUT: "automation.timedout",
    Status.CANCELED: "automation.canceled",
}

REQUESTS = "automation-requests"
INVOCATIONS = "automation-invocations"
RESULTS = "automation-results"
TIMERS = "automation-timers"
DEADLETTERS = "automation-deadletters"

MAX_REPLY = 200_000  #: bytes; a larger reply has `outputUrl` instead of the output


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that arrived over HTTP, before it is checked. `input_json` is the same input as JSON; there may be only that."""

    automation: str
    input: Any
    correlation_id: str = ""
    deadline: str = ""
    rerun_of: str = ""
    traceparent: str = ""
    tracestate: str = ""
    input_json: bytes = b""


@lru_cache(maxsize=4096)
def iso(moment: datetime) -> str:
    """The time in RFC 3339 and UTC, as in the JSON of runs."""
    return moment.isoformat().replace("+00:00", "Z")


def submitted(request: Submission, now: datetime) -> Event:
    """The `automation.requested` event of a plain HTTP request."""
    event_id = str(uuid.uuid4())
    return _event(
        {
            "id": event_id,
            "type": REQUESTED,
            "subject": request.automation,
            "time": iso(now),
            "correlationid": request.correlation_id or event_id,
            "expirytime": request.deadline,
            "rerunof": request.rerun_of,
            "traceparent": request.traceparent,
            "tracestate": request.tracestate,
        },
        request.input,
        request.input_json,
    )


def signed(event: Event, key: IdempotencyKey, signer: Signer, now: datetime) -> Event:
    """The event with the caller that the API authenticated, the time, and the bridge's signature added."""
    named = {**event.attributes, "correlationid": key.correlation_id, "authid": key.submitter, "inputdigest": key.digest}
    return Event(signer.sign(named, now), event.data, event.data_json)


def requested(event: Event) -> Message:
    """The message with an `automation.requested` event."""
    return _message(REQUESTS, event)


def invoked(run: Run, invocation: Invocation, now: datetime, public_url: str, *, ahead: timedelta = timedelta(0)) -> Message:
    """The `automation.invoked` event for an HTTP target, which the bridge sends to itself. Its id is the same on every retry.

    `now` is the time of the run, and `ahead` is by how much the wall clock is ahead of it.
    """
    return _message(INVOCATIONS, _invoked(run, invocation, now, public_url, ahead))


def work(  # noqa: PLR0913 - the work, and when and where it is sent
    run: Run,
    invocation: Invocation,
    now: datetime,
    public_url: str,
    *,
    ahead: timedelta = timedelta(0),
    trace: TraceContext | None = None,
) -> Message:
    """The message with the work of a bus target: the `automation.invoked` event, or only the input. It expires at the deadline.

    Its properties have what a function needs if it does not read the event. `trace` is the dispatch in the trace of
    the run.
    """
    target = invocation.control.target.bus
    assert target is not None  # noqa: S101 - the work of HTTP targets is `invoked`
    event = _invoked(run, invocation, now, public_url, ahead, trace)
    named = {
        "correlationid": run.correlation_id,
        "invocationid": event.id,
        "invocationtoken": invocation.control.token,
        "invocationurl": event.get("invocationurl"),
        "deadline": event.get("expirytime"),
        "traceparent": event.get("traceparent"),
        "completes": "settled" if target.completes == "settled" else "",
        "errors": "fail" if target.errors == "fail" else "",
    }
    message = _message(
        target.name, event, time_to_live=run.deadline - now, properties={name: value for name, value in named.items() if value}
    )
    if target.body != "input":
        return message
    return replace(message, body=json_bytes(run.input_json), content_type="application/json", event=None)


def _invoked(  # noqa: PLR0913, PLR0917 - as `work`
    run: Run, invocation: Invocation, now: datetime, public_url: str, ahead: timedelta, trace: TraceContext | None = None
) -> Event:
    invocation_id, (traceparent, tracestate) = (
        f"{run.correlation_id}/{invocation.target}",
        trace or (run.control.traceparent, run.control.tracestate),
    )
    attributes = {
        "id": invocation_id,
        "type": INVOKED,
        "subject": run.automation,
        "time": iso(now + ahead),
        "correlationid": run.correlation_id,
        "causationid": run.control.request_id,
        "expirytime": iso(run.deadline + ahead),
        "invocationtoken": invocation.control.token,
        "invocationurl": invocation_url(public_url, invocation_id),
        "traceparent": traceparent,
        "tracestate": tracestate,
    }
    return _event(attributes, data_json=json_bytes(run.input_json))


def of_work(message: Message) -> Event:
    """The event with the work of an invocation, even if the message has only the input. Raises Malformed."""
    properties = {name.lower(): value for name, value in message.properties.items()}
    if "invocationid" not in properties:
        return message.read_event()
    named = {"id": properties["invocationid"], "type": INVOKED, "invocationtoken": properties.get("invocationtoken", "")}
    return _event({**named, "subject": message.label, "correlationid": message.correlation_id})


def invocation_url(public_url: str, invocation_id: str) -> str:
    """The URL for progress and cancel of an invocation; empty if the bridge has no public address."""
    return f"{public_url}/v1/invocations/{invocation_id}" if public_url else ""


def result(invocation_id: str, run: Run, token: str, data: Mapping[str, Any], now: datetime) -> Message:
    """The `automation.result` event for a function's POST to its invocation URL."""
    attributes = {
        "id": str(uuid.uuid4()),
        "type": RESULT,
        "subject": run.automation,
        "time": iso(now),
        "correlationid": run.correlation_id,
        "causationid": invocation_id,
        "invocationtoken": token,
    }
    return _message(RESULTS, _event(attributes, data))


def deadline(run: Run, deliver_at: datetime) -> Message:
    """The scheduled event that ends the run at its deadline."""
    return _timer(run, DEADLINE, deliver_at)


def cancel(run: Run, deliver_at: datetime | None = None) -> Message:
    """The event that cancels the run."""
    return _timer(run, CANCEL, deliver_at)


def probe() -> Message:
    """An event that shows whether the bus accepts events. It changes nothing, because no timer has its type."""
    return _message(TIMERS, _event({"id": "bridge.probe", "type": "automation.probe", "correlationid": "bridge.probe"}, {}))


def deadline_key(run: Run) -> tuple[str, str]:
    """Topic and message id of the scheduled event that ends the run at its deadline."""
    return TIMERS, f"{run.correlation_id}/~deadline"


def _timer(run: Run, kind: str, deliver_at: datetime | None) -> Message:
    # A target's name has no tilde, so no invocation id is the same as one of these ids.
    attributes = {
        "id": f"{run.correlation_id}/~{kind.removeprefix('automation.')}",
        "type": kind,
        "subject": run.automation,
        "correlationid": run.correlation_id,
        "causationid": run.control.request_id,
    }
    return _message(TIMERS, _event(attributes, {}), deliver_at=deliver_at)


def reply_id(correlation_id: str, created_at: datetime) -> str:
    """The id of a run's reply. It is the same each time the reply is sent, and differs for a later run of the same correlation id."""
    return f"{correlation_id}/{iso(created_at)}"


def ended(run: Run, public_url: str, trace: TraceContext | None = None) -> Message:
    """The reply, which tells how the run ended. `trace` is the span in which it is published."""
    traceparent, tracestate = trace or (run.control.traceparent, run.control.tracestate)
    attributes = {
        "id": reply_id(run.correlation_id, run.created_at),
        "type": _ENDED[run.status],
        "subject": run.automation,
        "time": iso(run.updated_at),
        "correlationid": run.correlation_id,
        "causationid": run.control.request_id,
        "traceparent": traceparent,
        "tracestate": tracestate,
    }
    message = _message(run.control.reply_topic, _event(attributes, data_json=view_json(run, with_input=False)))
    if len(message.body) <= MAX_REPLY:
        return message
    url = f"{public_url}/v1/requests/{run.correlation_id}/output" if run.status is Status.SUCCEEDED else ""
    for brief in (False, True):
        shown = view_json(run, with_input=False, with_outputs=False, brief=brief, output_url=url)
        message = _message(run.control.reply_topic, _event(attributes, data_json=shown))
        if len(message.body) <= MAX_REPLY:
            return message
    return message


def _event(attributes: Mapping[str, str], data: Any = None, data_json: bytes = b"") -> Event:
    present = {name: value for name, value in attributes.items() if value}
    return Event({"specversion": "1.0", "source": SOURCE, "datacontenttype": "application/json", **present}, data, data_json)


def _message(topic: str, event: Event, **properties: Any) -> Message:
    return Message(
        topic=topic,
        body=event.encode(),
        message_id=event.id,
        correlation_id=event.correlation_id,
        label=event.subject,
        event=None if "deliver_at" in properties else event,  # a scheduled message waits long and must not keep its content in memory twice
        **properties,
    )

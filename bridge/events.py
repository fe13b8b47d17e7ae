"""The events the bridge itself sends (contract 3.1), each as the message that carries it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.envelope import Event
from bridge.identity import Signer
from bridge.ports import Message
from bridge.request import REQUESTED, Identity
from bridge.run import Invocation, Run, Status, view

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

MAX_REPLY = 200_000  #: bytes; a larger reply goes without its output and with `outputUrl`


@dataclass(frozen=True, slots=True)
class Ask:
    """What a door was asked for, before it is checked."""

    automation: str
    input: Any
    correlation_id: str = ""
    deadline: str = ""
    rerun_of: str = ""
    traceparent: str = ""
    tracestate: str = ""


def iso(moment: datetime) -> str:
    """RFC 3339 in UTC, as in the run's own JSON."""
    return moment.isoformat().replace("+00:00", "Z")


def asked(request: Ask, now: datetime) -> Event:
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
    )


def signed(event: Event, identity: Identity, signer: Signer, now: datetime) -> Event:
    """The event with the caller the door has checked, the time, and the door's signature."""
    named = {**event.attributes, "correlationid": identity.correlation_id, "authid": identity.submitter, "inputdigest": identity.digest}
    return Event(signer.sign(named, now), event.data)


def requested(event: Event) -> Message:
    """The request, on its way."""
    return _message(REQUESTS, event)


def invoked(run: Run, part: Invocation, now: datetime, public_url: str) -> Message:
    """The work item of one target. Its id is the same on every repeat; behind a topic it must not start after the deadline."""
    target = part.control.target
    invocation_id = f"{run.correlation_id}/{part.target}"
    event = _event(
        {
            "id": invocation_id,
            "type": INVOKED,
            "subject": run.automation,
            "time": iso(now),
            "correlationid": run.correlation_id,
            "causationid": run.control.request_id,
            "expirytime": iso(run.deadline),
            "invocationtoken": part.control.token,
            "invocationurl": invocation_url(public_url, invocation_id),
            "traceparent": run.control.traceparent,
            "tracestate": run.control.tracestate,
        },
        run.input,
    )
    if target.topic is None:
        return _message(INVOCATIONS, event)
    return _message(target.topic.name, event, time_to_live=run.deadline - now)


def invocation_url(public_url: str, invocation_id: str) -> str:
    """Where progress and cancel of an invocation are (contract 3.6); empty if the bridge has no public address."""
    return f"{public_url}/v1/invocations/{invocation_id}" if public_url else ""


def result(invocation_id: str, run: Run, token: str, data: Mapping[str, Any], now: datetime) -> Message:
    """What a function said at its invocation URL, as the event it stands for."""
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
    """The wish to end the run early."""
    return _timer(run, CANCEL, deliver_at)


def probe() -> Message:
    """An event that changes nothing, to learn whether the bus takes events: no run has its type of timer."""
    return _message(TIMERS, _event({"id": "bridge.probe", "type": "automation.probe", "correlationid": "bridge.probe"}, {}))


def _timer(run: Run, kind: str, deliver_at: datetime | None) -> Message:
    # The tilde keeps these ids apart from invocation ids: a target's name has none.
    attributes = {
        "id": f"{run.correlation_id}/~{kind.removeprefix('automation.')}",
        "type": kind,
        "subject": run.automation,
        "correlationid": run.correlation_id,
        "causationid": run.control.request_id,
    }
    return _message(TIMERS, _event(attributes, {}), deliver_at=deliver_at)


def reply_id(correlation_id: str, created_at: datetime) -> str:
    """The id of a run's reply: the same however often it is sent, and another one once the correlation id is used again."""
    return f"{correlation_id}/{iso(created_at)}"


def ended(run: Run, public_url: str) -> Message:
    """The reply: how the run ended."""
    attributes = {
        "id": reply_id(run.correlation_id, run.created_at),
        "type": _ENDED[run.status],
        "subject": run.automation,
        "time": iso(run.updated_at),
        "correlationid": run.correlation_id,
        "causationid": run.control.request_id,
        "traceparent": run.control.traceparent,
        "tracestate": run.control.tracestate,
    }
    shown = view(run, leave_out=frozenset({"input"}))
    message = _message(run.control.reply_topic, _event(attributes, shown))
    if len(message.body) <= MAX_REPLY:
        return message
    url = f"{public_url}/v1/requests/{run.correlation_id}"
    shown = _without_outputs(shown) | ({"outputUrl": f"{url}/output"} if run.status is Status.SUCCEEDED else {})
    message = _message(run.control.reply_topic, _event(attributes, shown))
    if len(message.body) <= MAX_REPLY:
        return message
    return _message(run.control.reply_topic, _event(attributes, _shortened(shown)))


def _without_outputs(shown: Mapping[str, Any]) -> dict[str, Any]:
    parts = [{name: value for name, value in part.items() if name not in ("output", "lateResult")} for part in shown["invocations"]]
    return {**{name: value for name, value in shown.items() if name != "output"}, "invocations": parts}


def _shortened(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The run without its details, for one whose errors and attempts alone are too long for a message."""
    parts = [{"target": part["target"], "status": part["status"], "attempts": []} for part in shown["invocations"]]
    short = {**shown, "invocations": parts}
    if "error" in short:
        short["error"] = {"code": short["error"]["code"], "message": short["error"]["message"][:2_000]}
    return short


def _event(attributes: Mapping[str, str], data: Any) -> Event:
    present = {name: value for name, value in attributes.items() if value}
    return Event({"specversion": "1.0", "source": SOURCE, "datacontenttype": "application/json", **present}, data)


def _message(topic: str, event: Event, **properties: Any) -> Message:
    return Message(
        topic=topic,
        body=event.encode(),
        message_id=event.id,
        correlation_id=event.correlation_id,
        label=event.subject,
        **properties,
    )

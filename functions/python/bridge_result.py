"""The two events of a function behind a topic: it receives `automation.invoked` and sends `automation.result`.

An output binding of Azure Functions carries a body and no properties, so the answer is one complete CloudEvent in the structured JSON
format. It is one object: an array would become several messages.
"""

from __future__ import annotations

import sys
from typing import Any

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

SOURCE = "/python-functions"

#: The attributes by which the bridge recognizes the run that a result belongs to.
_REQUIRED = ("subject", "correlationid", "invocationtoken")
#: Attributes of the invocation that are copied to its result.
_COPIED = ("subject", "correlationid", "invocationtoken", "traceparent", "tracestate")
#: Where an app that uses OpenTelemetry has loaded it.
_PROPAGATION = "opentelemetry.propagate"


class NotAnInvocation(ValueError):
    """The message is no `automation.invoked` event, so no result can be sent. After its last delivery it becomes a dead letter."""


def read_invoked(body: bytes) -> CloudEvent:
    """The event in the body of a message. Raises NotAnInvocation."""
    try:
        event = JSONFormat().read(CloudEvent, body)
    except (ValueError, AttributeError, TypeError, RecursionError, CloudEventValidationError) as fault:
        raise NotAnInvocation(
            f"The message is not a CloudEvent in JSON ({type(fault).__name__}). Only the bridge sends to this topic."
        ) from fault
    if not isinstance(event, CloudEvent) or event.get_type() != "automation.invoked":
        raise NotAnInvocation(f"The message is a {event.get_type()!r} event. This function takes automation.invoked.")
    missing = [name for name in _REQUIRED if not event.get_attributes().get(name)]
    if missing:
        raise NotAnInvocation(f"The event {event.get_id()!r} has no {', '.join(missing)}. Send the request to the bridge, not here.")
    return event


def succeeded(invoked: CloudEvent, output: Any) -> str:
    """The result of work that was done."""
    return _result(invoked, {"status": "succeeded", "output": output})


def failed(invoked: CloudEvent, code: str, message: str, *, retriable: bool = False) -> str:
    """The result of work that could not be done; `retriable` asks the bridge to send it once more if the catalogue allows."""
    return _result(invoked, {"status": "failed", "error": {"code": code, "message": message, "retriable": retriable}})


def _result(invoked: CloudEvent, data: dict[str, Any]) -> str:
    known = invoked.get_attributes()
    attributes = {
        "type": "automation.result",
        "source": SOURCE,
        "causationid": invoked.get_id(),
        "datacontenttype": "application/json",
        **{name: known[name] for name in _COPIED if known.get(name)},
        **_trace_context(str(known.get("traceparent") or "")),
    }
    return JSONFormat().write(CloudEvent(attributes, data)).decode()


def _trace_context(invoked: str) -> dict[str, str]:
    """The span that the function works in, if it is of the trace of the invocation: then the result is below it."""
    propagation = sys.modules.get(_PROPAGATION)
    if propagation is None:
        return {}
    carrier: dict[str, str] = {}
    propagation.inject(carrier)
    current: dict[str, str] = {name: carrier[name] for name in ("traceparent", "tracestate") if name in carrier}
    return current if invoked and current.get("traceparent", "")[:35] == invoked[:35] else {}

"""The spans of the bridge: names, kinds, parents and attributes, by OpenTelemetry's conventions for HTTP and messaging.

A span is a child of the current span of the task, if that belongs to the trace of the run; otherwise of the span in which the run was
accepted. `bridge.…` are the bridge's own attributes. None of them comes from an input, an output or a token, and none contains the message
of an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bridge import logs, tracing
from bridge.catalog.target import HttpTarget
from bridge.cloudevents import Event
from bridge.errors import BridgeError
from bridge.ports import Delivery
from bridge.run import Invocation, Run
from bridge.tracing import Attributes, SpanKind, TraceContext, Tracer, TraceSpan

MAX_CODE = 100  #: characters of an error's code, which a function may have made up
INTERRUPTED = "Interrupted"  #: the error of a span whose work was cut off because the bridge stops


def door(tracer: Tracer, scope: Mapping[str, Any], route: str, caller: TraceContext) -> TraceSpan:
    """The span of a call of the API, as ASGI describes it. `route` is its path with the names of the parameters instead of their values."""
    method = scope["method"]
    span = tracer.start(SpanKind.SERVER, f"{method} {route}", caller)
    if span.recording:
        span.set({"http.request.method": method, "http.route": route, "url.path": scope["path"], "url.scheme": scope["scheme"]})
    return span


def door_closed(span: TraceSpan, status: int) -> None:
    """Note the status of the answer; 0 if there was none. A mistake of the caller is not an error of the span."""
    if span.recording and status:
        span.set({"http.response.status_code": status})
    span.end("" if 0 < status < 500 else str(status or INTERRUPTED))


@contextmanager
def acceptance(tracer: Tracer, made: TraceContext) -> Iterator[TraceSpan]:
    """The span of checking a request and storing its run.

    Its parent is the span in which the event was `made`, and it is linked to the call that brought the event.
    """
    here = tracing.here()
    parent = here if not made.traceparent or made.trace_id == here.trace_id else made
    links = [here] if here.traceparent and here.trace_id != parent.trace_id else []
    with _within(tracer.start(SpanKind.INTERNAL, "accept", parent, links)) as span:
        yield span


def accepted(span: TraceSpan, run: Run, *, created: bool) -> None:
    """Note the run of a request, and whether it existed before."""
    if span.recording:
        span.set({**_of_run(run), "bridge.repeated": not created})


def attempt(tracer: Tracer, run: Run, invocation: Invocation, target: HttpTarget) -> TraceSpan:
    """The span of one call of a function. It does not contain the address of the app, and neither do log lines."""
    span = tracer.start(SpanKind.CLIENT, f"{target.method} {target.path}", _parent(run))
    if span.recording:
        number = len(invocation.attempts)
        again = {"http.request.resend_count": number - 1} if number > 1 else {}
        span.set(
            {
                **_of_invocation(run, invocation),
                "bridge.app": target.app,
                "http.request.method": target.method,
                "url.template": target.path,
                **again,
            }
        )
    return span


def attempt_answered(span: TraceSpan, status: int) -> None:
    """Note the status of the function's answer."""
    if span.recording:
        span.set({"http.response.status_code": status})


def attempt_ended(span: TraceSpan, outcome: str, code: str) -> None:
    """Note the outcome, empty if nobody waits for it any longer. `code` is that of the error, with secrets redacted."""
    if span.recording and outcome:
        span.set({"bridge.outcome": outcome})
    span.end(code[:MAX_CODE] if outcome else INTERRUPTED)


@contextmanager
def request(tracer: Tracer, event: Event, topic: str, system: str) -> Iterator[TraceSpan]:
    """The span of publishing a request that the API accepted. Its context is in the event."""
    more = {"messaging.message.conversation_id": event.correlation_id}
    with _within(_send(tracer, tracing.here(), topic, system, event.id, more)) as span:
        yield span


def work(tracer: Tracer, run: Run, invocation: Invocation, topic: str, system: str) -> TraceSpan:
    """The span of dispatching work to its topic or queue. Its context is in the message."""
    message_id = f"{run.correlation_id}/{invocation.target}"
    return _send(tracer, _parent(run), topic, system, message_id, _of_invocation(run, invocation))


def reply(tracer: Tracer, run: Run, message_id: str, system: str) -> TraceSpan:
    """The span of publishing the reply of an ended run."""
    return _send(tracer, _parent(run), run.control.reply_topic, system, message_id, {**_of_run(run), "bridge.status": str(run.status)})


async def around(span: TraceSpan | None, publishing: Awaitable[None]) -> None:
    """Publish within the span, which ends with the error that is raised. Without a span, just publish."""
    if span is None:
        await publishing
        return
    with _within(span):
        await publishing


@contextmanager
def delivery(tracer: Tracer, delivered: Delivery, event: Event, system: str, run: Run | None = None) -> Iterator[TraceSpan]:
    """The span of handling a delivery.

    It is linked to the span in which the event was made, and its child if that is in the run's trace.
    """
    made = tracing.of_event(event)
    own = tracing.of_run(run) if run is not None else made
    # A function that hands the traceparent on may have left out the state that belongs to it.
    parent = TraceContext(made.traceparent, made.tracestate or own.tracestate) if made.trace_id == own.trace_id else own
    topic, _, subscription = delivered.source.partition("/")
    with _within(tracer.start(SpanKind.CONSUMER, f"process {topic}", parent, [made] if made.traceparent else [])) as span:
        if span.recording:
            named = {"messaging.destination.subscription.name": subscription} if subscription else {}
            span.set({**_messaging("process", topic, system, event.id), **named, **(_of_run(run) if run is not None else {})})
        yield span


def _send(tracer: Tracer, parent: TraceContext, topic: str, system: str, message_id: str, more: Attributes) -> TraceSpan:  # noqa: PLR0913, PLR0917 - each is one attribute
    span = tracer.start(SpanKind.PRODUCER, f"send {topic}", parent)
    if span.recording:
        span.set({**_messaging("send", topic, system, message_id), **more})
    return span


def _messaging(operation: str, topic: str, system: str, message_id: str) -> Attributes:
    return {
        "messaging.system": system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        "messaging.message.id": message_id,
    }


def _of_run(run: Run) -> Attributes:
    named = {"bridge.automation": run.known_automation} if run.known_automation else {}
    return {**named, "bridge.correlation_id": run.correlation_id, "messaging.message.conversation_id": run.correlation_id}


def _of_invocation(run: Run, invocation: Invocation) -> Attributes:
    return {**_of_run(run), "bridge.target": invocation.target, "bridge.attempt": len(invocation.attempts)}


def _parent(run: Run) -> TraceContext:
    here, own = tracing.here(), tracing.of_run(run)
    return here if here.trace_id == own.trace_id else own


@contextmanager
def _within(span: TraceSpan) -> Iterator[TraceSpan]:
    """Make this the current span for log lines and further spans. It ends with the error that is raised."""
    token = logs.TRACE.set(span.context)
    error = INTERRUPTED
    try:
        yield span
        error = ""
    except BridgeError as fault:
        error = fault.code
        raise
    except Exception as fault:
        error = type(fault).__name__
        raise
    finally:
        logs.TRACE.reset(token)
        span.end(error)

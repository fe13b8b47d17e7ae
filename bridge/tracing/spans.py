"""The spans that the bridge makes: their names, kinds, parents and attributes, by OpenTelemetry's conventions for HTTP and messaging.

A span is a child of the one that the task works in, if that belongs to the trace of the run; else of the one in which the run was accepted.
`bridge.…` are attributes of our own. None of them comes from an input, an output or a token, and no error has its message here.
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
    """A call of the API, as ASGI describes it; `route` is its path with the names of the parameters in place of their values."""
    method = scope["method"]
    span = tracer.start(SpanKind.SERVER, f"{method} {route}", caller)
    if span.recording:
        span.set({"http.request.method": method, "http.route": route, "url.path": scope["path"], "url.scheme": scope["scheme"]})
    return span


def door_closed(span: TraceSpan, status: int) -> None:
    """The answer had this status; 0 if there was none. What the caller did wrong is no error of the bridge."""
    if span.recording and status:
        span.set({"http.response.status_code": status})
    span.end("" if 0 < status < 500 else str(status or INTERRUPTED))


@contextmanager
def acceptance(tracer: Tracer, made: TraceContext) -> Iterator[TraceSpan]:
    """The check of a request and the storing of its run, below where its event was `made`, with a link to the call that brought it."""
    here = tracing.here()
    parent = here if not made.traceparent or made.trace_id == here.trace_id else made
    links = [here] if here.traceparent and here.trace_id != parent.trace_id else []
    with _within(tracer.start(SpanKind.INTERNAL, "accept", parent, links)) as span:
        yield span


def accepted(span: TraceSpan, run: Run, *, created: bool) -> None:
    """Note the run that a request led to, and whether it was there before."""
    if span.recording:
        span.set({**_of_run(run), "bridge.repeated": not created})


def attempt(tracer: Tracer, run: Run, invocation: Invocation, target: HttpTarget) -> TraceSpan:
    """One call of a function. The address of its app is as little in it as it is in a log line."""
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
    """The function answered with this status."""
    if span.recording:
        span.set({"http.response.status_code": status})


def attempt_ended(span: TraceSpan, outcome: str, code: str) -> None:
    """The attempt has this outcome, empty if nobody waits for it any more; `code` is the error's, from which secrets were redacted."""
    if span.recording and outcome:
        span.set({"bridge.outcome": outcome})
    span.end(code[:MAX_CODE] if outcome else INTERRUPTED)


@contextmanager
def request(tracer: Tracer, event: Event, topic: str, system: str) -> Iterator[TraceSpan]:
    """The publishing of a request that the API accepted. What this span hands on is in the event."""
    more = {"messaging.message.conversation_id": event.correlation_id}
    with _within(_send(tracer, tracing.here(), topic, system, event.id, more)) as span:
        yield span


def work(tracer: Tracer, run: Run, invocation: Invocation, topic: str, system: str) -> TraceSpan:
    """The dispatch of work to its topic or queue. What this span hands on is in the message."""
    message_id = f"{run.correlation_id}/{invocation.target}"
    return _send(tracer, _parent(run), topic, system, message_id, _of_invocation(run, invocation))


def reply(tracer: Tracer, run: Run, message_id: str, system: str) -> TraceSpan:
    """The publishing of the reply of a run that has ended."""
    return _send(tracer, _parent(run), run.control.reply_topic, system, message_id, {**_of_run(run), "bridge.status": str(run.status)})


async def around(span: TraceSpan | None, publishing: Awaitable[None]) -> None:
    """Publish within the span, which ends with the error that is raised; without a span publish."""
    if span is None:
        await publishing
        return
    with _within(span):
        await publishing


@contextmanager
def delivery(tracer: Tracer, delivered: Delivery, event: Event, system: str, run: Run | None = None) -> Iterator[TraceSpan]:
    """The handling of a delivery: linked to where its event was made, and below it if that is the trace of the run."""
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
    """Log lines and further spans belong to this one, which ends with the error that is raised."""
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

"""The bridge's view of traces: the position of a request in its trace, and the port for exporting spans (docs/telemetry.md).

A bridge without telemetry has no tracer. It passes a caller's trace context on unchanged, and calls nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from bridge import logs
from bridge.cloudevents import Event, tracecontext
from bridge.run import Run

Attributes = Mapping[str, str | int | bool]


class TraceContext(NamedTuple):
    """A span and its trace, as the two header values of W3C Trace Context. Both are empty if there is no trace."""

    traceparent: str = ""
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty without a trace."""
        return self.traceparent[3:35]

    @property
    def sampled(self) -> bool:
        """Whether the service that began the trace records it: the lowest bit of the flags (section 3.2.2.5.1)."""
        return self.traceparent[54:55] in _ODD


_ODD = frozenset("13579bdf")
NOWHERE = TraceContext()  #: the context of what belongs to no trace


class SpanKind(StrEnum):
    """The role of the bridge in a span (OpenTelemetry, span kinds)."""

    SERVER = "server"
    INTERNAL = "internal"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class TraceSpan(Protocol):
    """One piece of work, from `Tracer.start` to `end`. It is exported when it has ended, unless its trace is not recorded."""

    @property
    def context(self) -> TraceContext:
        """The context to pass on, so that others can make their spans children of this one."""

    @property
    def recording(self) -> bool:
        """Whether attributes are recorded."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes. Inputs, outputs, tokens, keys and addresses of functions must never be among them."""

    def end(self, error: str = "") -> None:
        """End the span. `error` is the kind of error that the work ended with, such as a code or a status."""


class Tracer(Protocol):
    """Starts spans, and passes ended spans to an exporter that never makes a caller wait."""

    def start(self, kind: SpanKind, name: str, parent: TraceContext, links: Sequence[TraceContext] = ()) -> TraceSpan:
        """A child span of `parent`, or the first span of a new trace. `links` are spans of other work that led to it."""

    def skips(self, traceparent: str) -> bool:
        """Whether no span is needed below this parent, because its trace is not recorded. Its context is then passed on unchanged.

        If few traces are recorded, this is all that telemetry costs most requests, so it is called before anything else is done. The
        traceparent is valid, or empty.
        """


def of_event(event: Event) -> TraceContext:
    """The trace context in which the event was made; NOWHERE if it has none that is valid."""
    return TraceContext(*tracecontext.forwarded(event.get("traceparent"), event.get("tracestate")))


def traceparent_of(event: Event) -> str:
    """The traceparent of the event if it is valid, otherwise an empty text. `Tracer.skips` needs this one."""
    return tracecontext.forwarded(event.get("traceparent"), "")[0]


def here() -> TraceContext:
    """The current span of the task."""
    return TraceContext(*logs.TRACE.get())


def of_run(run: Run) -> TraceContext:
    """The trace context in which the run was accepted."""
    return TraceContext(run.control.traceparent, run.control.tracestate)


def work_for(run: Run) -> None:
    """Assign the log lines and the spans of this task to the trace of the run, if it has one."""
    if run.control.traceparent:
        logs.TRACE.set((run.control.traceparent, run.control.tracestate))


def work_for_nothing() -> None:
    """Assign them to no trace again. A bus may start the task of a delivery from the task of another run, which published it."""
    if logs.TRACE.get()[0]:
        logs.TRACE.set(NOWHERE)


def moved(event: Event, context: TraceContext) -> Event:
    """The event with `context` in place of its own trace context."""
    own = {name: value for name, value in event.attributes.items() if name not in ("traceparent", "tracestate")}
    named = {"traceparent": context.traceparent, "tracestate": context.tracestate}
    return Event({**own, **{name: value for name, value in named.items() if value}}, event.data, event.data_json)

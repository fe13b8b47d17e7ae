"""Traces as the bridge sees them: where a request stands in one, and the port through which spans leave (docs/telemetry.md).

A bridge without telemetry has no tracer. It hands a caller's trace context on as it came, and nothing here is called.
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
    """A span and its trace, in the two texts of W3C Trace Context. Both are empty where there is no trace."""

    traceparent: str = ""
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty without a trace."""
        return self.traceparent[3:35]

    @property
    def sampled(self) -> bool:
        """Whether whoever began the trace records it: the lowest bit of the flags (section 3.2.2.5.1)."""
        return self.traceparent[54:55] in _ODD


_ODD = frozenset("13579bdf")
NOWHERE = TraceContext()  #: the context of what belongs to no trace


class SpanKind(StrEnum):
    """The part that the bridge has in what the span is about (OpenTelemetry, span kinds)."""

    SERVER = "server"
    INTERNAL = "internal"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class TraceSpan(Protocol):
    """One piece of work, from `Tracer.start` to `end`. It is exported once it has ended, and never if nobody records its trace."""

    @property
    def context(self) -> TraceContext:
        """What is handed on, so that others make their spans children of this one."""

    @property
    def recording(self) -> bool:
        """Whether attributes are of any use."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes. Inputs, outputs, tokens, keys and addresses of functions are never among them."""

    def end(self, error: str = "") -> None:
        """The work is done; `error` is the kind of error that it ended with, such as a code or a status."""


class Tracer(Protocol):
    """Starts spans, and hands those that ended to an exporter that never keeps a caller waiting."""

    def start(self, kind: SpanKind, name: str, parent: TraceContext, links: Sequence[TraceContext] = ()) -> TraceSpan:
        """A span below `parent`, or the first one of a new trace. `links` are spans of other work that led to it."""

    def skips(self, traceparent: str) -> bool:
        """Whether no span is made below this parent, because nobody records its trace. Then its context goes on as it came.

        This is what most requests cost where few traces are recorded, so it is asked before anything else is done. The traceparent is
        valid, or empty.
        """


def of_event(event: Event) -> TraceContext:
    """Where the event was made; NOWHERE if it does not say so in a valid way."""
    return TraceContext(*tracecontext.forwarded(event.get("traceparent"), event.get("tracestate")))


def traceparent_of(event: Event) -> str:
    """The traceparent of the event if it is valid, else an empty text. `Tracer.skips` is asked about this one, not about what was sent."""
    return tracecontext.forwarded(event.get("traceparent"), "")[0]


def here() -> TraceContext:
    """The span that the task works in."""
    return TraceContext(*logs.TRACE.get())


def of_run(run: Run) -> TraceContext:
    """Where the run was accepted."""
    return TraceContext(run.control.traceparent, run.control.tracestate)


def work_for(run: Run) -> None:
    """Let the log lines and the spans of this task belong to the trace of the run, if it is in one."""
    if run.control.traceparent:
        logs.TRACE.set((run.control.traceparent, run.control.tracestate))


def work_for_nothing() -> None:
    """Let them belong to no trace again: a bus may start the task of a delivery where the task of another run published it."""
    if logs.TRACE.get()[0]:
        logs.TRACE.set(NOWHERE)


def moved(event: Event, context: TraceContext) -> Event:
    """The event with `context` in place of the one that it had."""
    own = {name: value for name, value in event.attributes.items() if name not in ("traceparent", "tracestate")}
    named = {"traceparent": context.traceparent, "tracestate": context.tracestate}
    return Event({**own, **{name: value for name, value in named.items() if value}}, event.data, event.data_json)

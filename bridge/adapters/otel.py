"""Spans through the OpenTelemetry SDK. Loaded only where telemetry is configured (docs/telemetry.md).

Spans wait in a bounded queue for a thread that exports them. A collector that is away costs the spans beyond that queue, and nobody a
moment.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from bridge.tracing import Attributes, SpanKind, TraceContext, TraceSpan

SCOPE = "automation-bridge"  #: the instrumentation scope, and the name of the service unless OTEL_SERVICE_NAME says another
_ROOT = Context()
_EVEN = frozenset("02468ace")  #: the last digit of the flags of a trace that nobody records
#: W3C Trace Context, level 1, section 3.3.1.3.1; level 2 lets a key begin with a digit, and have several @ in any place.
_KEY = re.compile(r"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}")
_KINDS = {kind: trace.SpanKind[kind.name] for kind in SpanKind}


class OtelTracer:
    """`tracing.Tracer` on a provider of the SDK."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer, self._sampler = provider.get_tracer(SCOPE), provider.sampler
        self._parent_decides, self._bound = isinstance(provider.sampler, ParentBased), _bound(provider.sampler)
        self._ids = provider.id_generator if isinstance(provider.id_generator, _Ids) else None
        self._random = random.Random()  # noqa: S311 - as the SDK's own: an id protects nothing

    def start(self, kind: SpanKind, name: str, parent: TraceContext, links: Sequence[TraceContext] = ()) -> TraceSpan:
        """A span below `parent`, or the first one of a new trace.

        Whether a new trace is recorded is decided before the SDK makes anything, because that costs many times what the decision does.
        """
        if parent.traceparent:
            if self.skips(parent.traceparent):
                return _Unrecorded(parent)
        elif self._ids is not None:
            drawn = self._random.randbytes(24)  # the id of the trace, and that of what stands for its first span
            trace_id = int.from_bytes(drawn[:16], "big")
            if self._drops(trace_id, kind, name):
                return _Unrecorded(TraceContext(f"00-{drawn[:16].hex()}-{drawn[16:].hex()}-00"))
            self._ids.chosen = trace_id
        context = trace.set_span_in_context(NonRecordingSpan(_remote(parent)), Context()) if parent.traceparent else _ROOT
        remote = [trace.Link(_remote(each)) for each in links]
        span = self._tracer.start_span(name, context=context, kind=_KINDS[kind], links=remote, record_exception=False)
        return _OtelSpan(span, parent.tracestate)

    def skips(self, traceparent: str) -> bool:
        """Whether the sampler leaves the decision to the parent, and nobody records its trace."""
        return self._parent_decides and traceparent[54:55] in _EVEN

    def _drops(self, trace_id: int, kind: SpanKind, name: str) -> bool:
        """Whether the new trace of this id is not recorded."""
        if self._bound is not None:
            return trace_id & TraceIdRatioBased.TRACE_ID_LIMIT >= self._bound
        return self._sampler.should_sample(_ROOT, trace_id, name, _KINDS[kind]).decision is Decision.DROP


def _bound(sampler: Sampler) -> int | None:
    """A new trace is recorded if the lower half of its id is less than this; None if the sampler has to be asked.

    Most requests are asked about in vain, and the SDK takes many times as long for its answer as it takes to compare two numbers.
    """
    root = getattr(sampler, "_root", None) if isinstance(sampler, ParentBased) else sampler
    return root.bound if type(root) is TraceIdRatioBased else None


class _Ids(RandomIdGenerator):
    """Ids of the SDK, but a trace id may be chosen before its first span is made."""

    chosen = 0  #: the id of the next trace that the SDK makes; 0 for any

    def generate_trace_id(self) -> int:
        """The one that was chosen, else a new one."""
        chosen, self.chosen = self.chosen, 0
        return chosen or super().generate_trace_id()


class _OtelSpan:
    """`tracing.TraceSpan` of the SDK. It hands on the tracestate of its parent as that came: no sampler of ours adds to it."""

    def __init__(self, span: trace.Span, tracestate: str) -> None:
        self._span, self.recording, found = span, span.is_recording(), span.get_span_context()
        traceparent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
        self.context = TraceContext(traceparent, tracestate)

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def end(self, error: str = "") -> None:
        if error and self.recording:
            self._span.set_attribute("error.type", error)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()


class _Unrecorded:
    """What stands for a span of a trace that nobody records: those below it are below its parent."""

    recording = False

    def __init__(self, context: TraceContext) -> None:
        self.context = context

    def set(self, attributes: Attributes) -> None:
        pass

    def end(self, error: str = "") -> None:
        pass


def _remote(context: TraceContext) -> SpanContext:
    """The context of a span that somebody else made. Its texts were checked when they came in.

    Of a tracestate that the SDK would drop it gets nothing, because it writes a warning with the caller's text for each.
    """
    _, trace_id, span_id, flags = context.traceparent.split("-")[:4]
    state = _state(context.tracestate) if context.tracestate else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)), trace_state=state)


def _state(tracestate: str) -> TraceState | None:
    """The members for the SDK, which knows the keys of level 1 only, each once; None if there are others."""
    members = [(key, value) for key, _, value in (member.partition("=") for member in tracestate.split(","))]
    keys = {key for key, _ in members}
    return TraceState(members) if len(keys) == len(members) and all(map(_KEY.fullmatch, keys)) else None


def provider_of(processor: SpanProcessor, resource: Resource | None = None, sampler: Sampler | None = None) -> TracerProvider:
    """A provider of the SDK that hands its spans to `processor`; without a sampler the one that OTEL_TRACES_SAMPLER names."""
    provider = TracerProvider(sampler=sampler, resource=resource or Resource.create(), shutdown_on_exit=False, id_generator=_Ids())
    provider.add_span_processor(processor)
    return provider

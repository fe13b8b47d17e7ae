"""Spans that stay in the memory of a test, and how they belong together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

from bridge.adapters.otel import OtelTracer, provider_of

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  #: a trace that somebody else has begun, and records
TRACE_ID = CALLER[3:35]
UNSAMPLED = f"{CALLER[:-2]}00"  #: the same, which nobody records


class Recorded:
    """A tracer, and the spans that ended, in the order in which they began."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(provider_of(SimpleSpanProcessor(self._exporter), sampler=sampler or ParentBased(ALWAYS_ON)))

    @property
    def spans(self) -> list[ReadableSpan]:
        return sorted(self._exporter.get_finished_spans(), key=lambda each: each.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        (found,) = [each for each in self.spans if each.name == name]
        return found

    def tree(self) -> list[str]:
        """Each span as `kind name`, after the names of those that it is below; `caller` stands for a span of somebody else."""
        by_id = {_id(each.context): each for each in self.spans}

        def path(span: ReadableSpan) -> Iterator[str]:
            if span.parent is not None:
                above = by_id.get(_id(span.parent))
                yield from path(above) if above else ["caller"]
            yield span.name

        return [f"{each.kind.name} {' > '.join(path(each))}" for each in self.spans]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def traceparent_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


def _id(context: Any) -> int:
    return int(context.span_id)

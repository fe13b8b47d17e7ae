"""A collector in the test: it takes spans and metrics by OTLP over HTTP on loopback, and keeps them."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it was sent. Ids are in hexadecimal; `error` says whether its status is one."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    resource: dict[str, Any]
    error: bool


@dataclass(frozen=True)
class ReceivedPoint:
    """A value of a metric as it was sent. That of a histogram is how many values it has; `sum` is theirs together."""

    metric: str
    unit: str
    attributes: dict[str, Any]
    value: float
    sum: float
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    delta: bool
    started: int
    resource: dict[str, Any]


@dataclass
class Receiver:
    """The collector, its address and what it got: spans, and the points of each export of metrics. `raw` is the same as text."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    exports: list[list[ReceivedPoint]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a program sends its spans here, soon after they have ended, and its metrics."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "200"}

    async def take(self, request: web.Request) -> web.Response:
        sent = request_of(await request.read(), request.content_type)
        self.headers.append(dict(request.headers))
        self.raw.append(str(sent))
        self.spans += spans_of(sent)
        if request.content_type == "application/json":
            return web.json_response({})
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf")

    async def take_metrics(self, request: web.Request) -> web.Response:
        sent = ExportMetricsServiceRequest.FromString(await request.read())
        self.headers.append(dict(request.headers))
        self.raw.append(str(sent))
        self.exports.append(list(_points(sent)))
        return web.Response(body=ExportMetricsServiceResponse().SerializeToString(), content_type="application/x-protobuf")

    async def until_measured(self, there: Callable[[list[ReceivedPoint]], bool]) -> list[ReceivedPoint]:
        """The points of the first export that has what is waited for."""
        looked_at = 0
        async with asyncio.timeout(30):
            while True:
                for points in self.exports[looked_at:]:
                    looked_at += 1
                    if there(points):
                        return points
                await asyncio.sleep(0.02)

    async def until(self, there: Callable[[list[ReceivedSpan]], bool]) -> list[ReceivedSpan]:
        """The spans, once those that are waited for have come."""
        async with asyncio.timeout(30):
            while not there(self.spans):
                await asyncio.sleep(0.02)
        return self.spans

    def tree(self) -> list[str]:
        """Each span as `kind names`, the names being those of the spans that it is below and its own; `caller` stands for a strange one."""
        by_id = {each.span_id: each for each in self.spans}

        def path(span: ReceivedSpan) -> Iterator[str]:
            if span.parent_id:
                yield from path(by_id[span.parent_id]) if span.parent_id in by_id else ["caller"]
            yield span.name

        return sorted(f"{each.kind} {' > '.join(path(each))}" for each in self.spans)


def request_of(body: bytes, content_type: str) -> ExportTraceServiceRequest:
    """What was sent, in either encoding of OTLP. Its JSON has ids in hexadecimal, where that of protobuf has base64.

    Raises for fields that OTLP does not have.
    """
    if content_type != "application/json":
        return ExportTraceServiceRequest.FromString(body)
    encoded = re.sub(rb'"(traceId|spanId|parentSpanId)":"([0-9a-f]+)"', _in_base64, body)
    return json_format.Parse(encoded, ExportTraceServiceRequest())


def _in_base64(found: re.Match[bytes]) -> bytes:
    return b'"%s":"%s"' % (found[1], base64.b64encode(bytes.fromhex(found[2].decode())))


def spans_of(sent: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    """The spans of all groups, each with the attributes of its resource."""
    for group in sent.resource_spans:
        resource = _attributes(group.resource.attributes)
        for span in (each for scope in group.scope_spans for each in scope.spans):
            links = tuple(each.span_id.hex() for each in span.links)
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            yield ReceivedSpan(
                span.name, KINDS[span.kind], *ids, links, _attributes(span.attributes), resource, error=span.status.code == 2
            )


def _points(sent: ExportMetricsServiceRequest) -> Iterator[ReceivedPoint]:
    for group in sent.resource_metrics:
        resource = _attributes(group.resource.attributes)
        for metric in (each for scope in group.scope_metrics for each in scope.metrics):
            data = getattr(metric, metric.WhichOneof("data") or "")
            delta = getattr(data, "aggregation_temporality", 0) == 1
            for point in data.data_points:
                value, total, bounds, buckets = _value(point)
                named = _attributes(point.attributes)
                yield ReceivedPoint(
                    metric.name, metric.unit, named, value, total, bounds, buckets, delta, point.start_time_unix_nano, resource
                )


def _value(point: Any) -> tuple[float, float, tuple[float, ...], tuple[int, ...]]:
    if hasattr(point, "bucket_counts"):
        assert not point.HasField("min")
        assert not point.HasField("max")
        return point.count, point.sum, tuple(point.explicit_bounds), tuple(point.bucket_counts)
    return getattr(point, point.WhichOneof("value")), 0, (), ()


def _attributes(given: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in given}


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A collector while the context is open."""
    receiver = Receiver()
    application = web.Application(client_max_size=10 * 2**20)
    application.router.add_post("/v1/traces", receiver.take)
    application.router.add_post("/v1/metrics", receiver.take_metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()

"""The export of spans and metrics by OTLP over HTTP. Loaded only where telemetry is configured (docs/telemetry.md).

The SDK reads its own variables: sampler, batches, limits, resource, headers of the exporters; `settings.exporting` has refused what it
would pass over with a warning.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import metadata

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry

from bridge.adapters import otellogs
from bridge.adapters.otel import SCOPE, OtelTracer, provider_of
from bridge.adapters.otelperiodic import PeriodicExport, periodic_export
from bridge.errors import ConfigurationError
from bridge.settings.exporting import Exports

LAST_EXPORT = 3.0  #: seconds that the last spans and metrics may take to leave when the bridge stops


@asynccontextmanager
async def exporting(exports: Exports, registries: Sequence[CollectorRegistry] = ()) -> AsyncIterator[OtelTracer | None]:
    """A tracer, if spans are exported. They are, and the metrics in the registries, until the context ends and the last ones have left.

    Raises ConfigurationError for what the SDK refuses.
    """
    otellogs.tame()
    provider, metrics = _made(exports, registries)
    if metrics is not None:
        metrics.start()
    try:
        yield OtelTracer(provider) if provider is not None else None
    finally:
        last = [*([provider.shutdown] if provider is not None else []), *([metrics.finish] if metrics is not None else [])]
        await asyncio.to_thread(_within, LAST_EXPORT, last)


def _made(exports: Exports, registries: Sequence[CollectorRegistry]) -> tuple[TracerProvider | None, PeriodicExport | None]:
    provider = metrics = None
    kind, signal, resource = "spans", "TRACES", _resource()
    try:
        if exports.spans:
            provider = provider_of(BatchSpanProcessor(OTLPSpanExporter()), resource)
        if exports.metrics is not None:
            kind, signal = "metrics", "METRICS"
            metrics = periodic_export(exports.metrics, registries, resource, SCOPE)
    except (ValueError, RuntimeError) as fault:  # the second one for a provider of credentials that is not installed
        mend = f"change the variable, or set OTEL_{signal}_EXPORTER=none"
        raise ConfigurationError([f"{kind} cannot be exported: {fault}; {mend}"]) from None
    return provider, metrics


def _resource() -> Resource:
    """Who sends: this process, and not another replica, whose totals would otherwise be taken for the same ones."""
    own = {SERVICE_NAME: SCOPE, SERVICE_VERSION: metadata.version(SCOPE), SERVICE_INSTANCE_ID: str(uuid.uuid4())}
    return Resource.create(own).merge(OTELResourceDetector().detect())


def _within(seconds: float, last: Sequence[Callable[[], None]]) -> None:
    """Do all at the same time, and wait so long for them.

    They work in threads that end with the process, because the SDK may wait for a collector longer than whoever stops the bridge.
    """
    threads = [threading.Thread(target=each, name="last-export", daemon=True) for each in last]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))

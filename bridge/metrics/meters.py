"""The metrics of HTTP and messaging by OpenTelemetry's conventions, which are counted only where they are exported.

HTTP: opentelemetry.io/docs/specs/semconv/http/http-metrics (stable); messaging: …/messaging/messaging-metrics (in development), both as of
1.44. An attribute has one of few values: the names of topics, apps, routes and paths are those of the configuration, and never what a
caller sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram

from bridge.metrics import Instrument, Kind

#: Seconds: the boundaries that both conventions advise for every duration.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
INTERRUPTED = "Interrupted"  #: the error of what was cut off, because the bridge stops or nobody waits any more
ABANDONED = "abandoned"  #: the error of a delivery that will come again
OTHER = "_OTHER"  #: what stands for every method that is not known (attribute registry, http.request.method)
#: RFC 9110, RFC 5789, and QUERY, as the convention lists them.
METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))

_HTTP = {"method": "http.request.method", "status": "http.response.status_code", "error": "error.type"}
_SERVER = {**_HTTP, "scheme": "url.scheme", "route": "http.route"}
#: In place of `server.address` and `server.port` stands the name of the app: no telemetry has the address of a function.
_CLIENT = {**_HTTP, "app": "bridge.app", "template": "url.template"}
_MESSAGING = {
    "system": "messaging.system",
    "operation": "messaging.operation.name",
    "destination": "messaging.destination.name",
}
_PRODUCER = {**_MESSAGING, "error": "error.type"}
_CONSUMER = {**_MESSAGING, "subscription": "messaging.destination.subscription.name"}
INTEGERS = frozenset(("http.response.status_code",))  #: the attributes that are numbers

CONVENTIONAL: Mapping[str, Instrument] = {
    "http_server_request_duration": Instrument("http.server.request.duration", Kind.HISTOGRAM, "s", _SERVER),
    "http_client_request_duration": Instrument("http.client.request.duration", Kind.HISTOGRAM, "s", _CLIENT),
    "messaging_client_sent_messages": Instrument("messaging.client.sent.messages", Kind.COUNTER, "{message}", _PRODUCER),
    "messaging_client_operation_duration": Instrument(
        "messaging.client.operation.duration", Kind.HISTOGRAM, "s", {**_PRODUCER, "type": "messaging.operation.type"}
    ),
    "messaging_client_consumed_messages": Instrument("messaging.client.consumed.messages", Kind.COUNTER, "{message}", _CONSUMER),
    "messaging_process_duration": Instrument("messaging.process.duration", Kind.HISTOGRAM, "s", {**_CONSUMER, "error": "error.type"}),
}
_MOST = 4096  #: pairs of labels whose series are remembered, because to look one up costs twice as much as to count


class Meters:
    """Counts calls and messages. `system` is what the bus is called in `messaging.system`. Durations are in seconds."""

    def __init__(self, system: str) -> None:
        self.registry = CollectorRegistry()
        self._system = system
        served = self._histogram("http_server_request_duration", "Duration of HTTP server requests.")
        called = self._histogram("http_client_request_duration", "Duration of HTTP client requests.")
        lasted = self._histogram(
            "messaging_client_operation_duration", "Duration of messaging operation initiated by a producer or consumer client."
        )
        processed = self._histogram("messaging_process_duration", "Duration of processing operation.")
        counted = self._counter("messaging_client_sent_messages", "Number of messages producer attempted to send to the broker.")
        consumed = self._counter("messaging_client_consumed_messages", "Number of messages that were delivered to the application.")
        self._served, self._called = _observing(served), _observing(called)
        self._lasted, self._processed = _observing(lasted), _observing(processed)
        self._counted, self._consumed = _counting(counted), _counting(consumed)

    def served(self, method: str, scheme: str, route: str, status: int, seconds: float) -> None:
        """A request to the API was answered; `route` is empty for a path that is none, `status` 0 if there was no answer.

        What the caller did wrong is no error of the server (HTTP spans, status).
        """
        error = "" if 0 < status < 500 else str(status or INTERRUPTED)
        known = method if method in METHODS else OTHER
        # In the order of _SERVER.
        self._served(known, str(status or ""), error, "https" if scheme == "https" else "http", route)(seconds)

    def called(self, method: str, app: str, template: str, status: int, error: str, seconds: float) -> None:  # noqa: PLR0913, PLR0917 - attributes
        """A function was called; `template` is its path with the names of parameters, `error` why there was no answer."""
        # In the order of _CLIENT.
        failed = str(status) if status >= 400 else error
        self._called(method, str(status or ""), failed, app, template)(seconds)

    def sent(self, topic: str, messages: int, error: str, seconds: float) -> None:
        """Messages were sent to a topic or queue in one operation, or could not be because of the error."""
        self._counted(self._system, "send", topic, error)(messages)
        self._lasted(self._system, "send", topic, error, "send")(seconds)

    def consumed(self, source: str) -> None:
        """A message was delivered from a queue or "topic/subscription"."""
        topic, _, subscription = source.partition("/")
        self._consumed(self._system, "process", topic, subscription)(1)

    def processed(self, source: str, error: str, seconds: float) -> None:
        """It was handled; `error` says if it will come again, or was cut off."""
        topic, _, subscription = source.partition("/")
        self._processed(self._system, "process", topic, subscription, error)(seconds)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, list(CONVENTIONAL[name].attributes), buckets=BOUNDS, registry=self.registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, list(CONVENTIONAL[name].attributes), registry=self.registry)


def _observing(histogram: Histogram) -> Callable[..., Callable[[float], None]]:
    return lru_cache(_MOST)(lambda *labels: histogram.labels(*labels).observe)


def _counting(counter: Counter) -> Callable[..., Callable[[float], None]]:
    return lru_cache(_MOST)(lambda *labels: counter.labels(*labels).inc)

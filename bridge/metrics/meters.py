"""The metrics of HTTP and messaging by OpenTelemetry's conventions, which are counted only where they are exported.

HTTP: opentelemetry.io/docs/specs/semconv/http/http-metrics (stable); messaging: …/messaging/messaging-metrics (in development), both as of
1.44. An attribute has one of few values: the names of topics, apps, routes and paths are those of the configuration, and never what a
caller sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

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


class _Durations(dict[tuple[str | int, ...], tuple[list[int], list[float]]]):
    """By series how many durations lay up to each boundary and beyond the last, and their sum.

    Prometheus' own histogram takes three times as long for each, with locks that one thread does not need.
    """

    def add(self, series: tuple[str | int, ...], seconds: float) -> None:
        """Count one."""
        counts, total = self.get(series) or self.setdefault(series, ([0] * (len(BOUNDS) + 1), [0.0]))
        counts[bisect_left(BOUNDS, seconds)] += 1
        total[0] += seconds


class Meters:
    """Counts calls and messages, in one thread; any may read. `system` is the name in `messaging.system`. Durations are in seconds."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._served, self._called, self._lasted, self._processed = _Durations(), _Durations(), _Durations(), _Durations()
        self._sent: Counter[tuple[str | int, ...]] = Counter()
        self._consumed: Counter[tuple[str | int, ...]] = Counter()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def served(self, method: str, scheme: str, route: str, status: int, seconds: float) -> None:
        """A request to the API was answered; `route` is empty for a path that is none, `status` 0 if there was no answer."""
        known = method if method in METHODS else OTHER
        self._served.add((known, "https" if scheme == "https" else "http", route, status), seconds)

    def called(self, method: str, app: str, template: str, status: int, error: str, seconds: float) -> None:  # noqa: PLR0913, PLR0917 - attributes
        """A function was called; `template` is its path with the names of parameters, `error` why there was no answer."""
        self._called.add((method, app, template, status, error), seconds)

    def sent(self, topic: str, messages: int, error: str, seconds: float) -> None:
        """Messages were sent to a topic or queue in one operation, or could not be because of the error."""
        self._sent[topic, error] += messages
        self._lasted.add((topic, error), seconds)

    def consumed(self, source: str) -> None:
        """A message was delivered from a queue or "topic/subscription"."""
        self._consumed[source,] += 1

    def processed(self, source: str, error: str, seconds: float) -> None:
        """It was handled; `error` says if it will come again, or was cut off."""
        self._processed.add((source, error), seconds)

    def collect(self) -> Iterator[Metric]:
        """All series, as a collector of Prometheus."""
        yield _histogram("http_server_request_duration", "Duration of HTTP server requests.", self._served, _server)
        yield _histogram("http_client_request_duration", "Duration of HTTP client requests.", self._called, _client)
        text = "Duration of messaging operation initiated by a producer or consumer client."
        yield _histogram("messaging_client_operation_duration", text, self._lasted, self._operation)
        yield _histogram("messaging_process_duration", "Duration of processing operation.", self._processed, self._process)
        text = "Number of messages producer attempted to send to the broker."
        yield _counter("messaging_client_sent_messages", text, self._sent, self._send)
        text = "Number of messages that were delivered to the application."
        yield _counter("messaging_client_consumed_messages", text, self._consumed, self._process)

    def _send(self, topic: str, error: str) -> Mapping[str, str]:
        return {"system": self._system, "operation": "send", "destination": topic, "error": error}

    def _operation(self, topic: str, error: str) -> Mapping[str, str]:
        return {**self._send(topic, error), "type": "send"}

    def _process(self, source: str, error: str = "") -> Mapping[str, str]:
        topic, _, subscription = source.partition("/")
        return {"system": self._system, "operation": "process", "destination": topic, "subscription": subscription, "error": error}


def _server(method: str, scheme: str, route: str, status: int) -> Mapping[str, str]:
    """What the caller did wrong is no error of the server (HTTP spans, status)."""
    error = "" if 0 < status < 500 else str(status or INTERRUPTED)
    return {"method": method, "scheme": scheme, "route": route, "status": str(status or ""), "error": error}


def _client(method: str, app: str, template: str, status: int, error: str) -> Mapping[str, str]:
    failed = str(status) if status >= 400 else error
    return {"method": method, "app": app, "template": template, "status": str(status or ""), "error": failed}


def _histogram(name: str, text: str, durations: _Durations, labelled: Callable[..., Mapping[str, str]]) -> Metric:
    labels = list(CONVENTIONAL[name].attributes)
    family = HistogramMetricFamily(name, text, labels=labels)
    for series, (counts, total) in list(durations.items()):
        up_to = zip((*map(str, BOUNDS), "+Inf"), accumulate(tuple(counts)), strict=True)
        named = labelled(*series)
        family.add_metric([named[each] for each in labels], list(up_to), total[0])
    return family


def _counter(name: str, text: str, counts: Counter[tuple[str | int, ...]], labelled: Callable[..., Mapping[str, str]]) -> Metric:
    labels = list(CONVENTIONAL[name].attributes)
    family = CounterMetricFamily(name, text, labels=labels)
    for series, count in list(counts.items()):
        named = labelled(*series)
        family.add_metric([named[each] for each in labels], count)
    return family

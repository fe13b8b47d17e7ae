"""The metrics for HTTP and messaging by OpenTelemetry's conventions, which are counted only if they are exported.

HTTP: opentelemetry.io/docs/specs/semconv/http/http-metrics (stable); messaging: …/messaging/messaging-metrics (in development), both as of
1.44. Each attribute has few values: the names of topics, apps, routes and paths come from the configuration, and never from what a
caller sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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


_Series = tuple[str | int, ...]  #: the values from which `collect` makes the labels


class _Durations:
    """How many durations of one series were up to each boundary and above the last, and their sum.

    Prometheus' own histogram takes three times as long for each, with locks that a single thread does not need.
    """

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts, self.sum = [0] * (len(BOUNDS) + 1), 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class _Sendings(_Durations):
    """The operations that sent messages, and the number of messages."""

    __slots__ = ("messages",)

    def __init__(self) -> None:
        super().__init__()
        self.messages = 0


class Meters:
    """Counts calls and messages, in one thread; any thread may read.

    `system` is the value of `messaging.system`. Durations are in seconds.
    """

    def __init__(self, system: str) -> None:
        self._system = system
        self._served: defaultdict[_Series, _Durations] = defaultdict(_Durations)
        self._called: defaultdict[_Series, _Durations] = defaultdict(_Durations)
        self._sent: defaultdict[_Series, _Sendings] = defaultdict(_Sendings)
        self._processed: defaultdict[_Series, _Durations] = defaultdict(_Durations)
        self._consumed: Counter[str] = Counter()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def served(self, method: str, scheme: str, route: str, status: int, seconds: float) -> None:
        """A request to the API was answered. `route` is empty for an unknown path, `status` is 0 if there was no answer."""
        known = method if method in METHODS else OTHER
        self._served[known, "https" if scheme == "https" else "http", route, status].add(seconds)

    def called(self, method: str, app: str, template: str, status: int, error: str, seconds: float) -> None:  # noqa: PLR0913, PLR0917 - attributes
        """A function was called; `template` is its path with the names of parameters, `error` why there was no answer."""
        self._called[method, app, template, status, error].add(seconds)

    def sent(self, topics: Sequence[str], error: str, seconds: float) -> None:
        """A message was sent to each of these topics and queues, all in one operation; with `error` it could not be sent."""
        for topic in set(topics):
            sendings = self._sent[topic, error]
            sendings.messages += topics.count(topic)
            sendings.add(seconds)

    def consumed(self, source: str) -> None:
        """A message was delivered from a queue or "topic/subscription"."""
        self._consumed[source] += 1

    def processed(self, source: str, error: str, seconds: float) -> None:
        """A delivery was handled. `error` says whether it will be redelivered, or was cut off."""
        self._processed[source, error].add(seconds)

    def collect(self) -> Iterator[Metric]:
        """All series, for a collector of Prometheus."""
        yield _histogram("http_server_request_duration", "Duration of HTTP server requests.", self._served, _server)
        yield _histogram("http_client_request_duration", "Duration of HTTP client requests.", self._called, _client)
        text = "Duration of messaging operation initiated by a producer or consumer client."
        yield _histogram("messaging_client_operation_duration", text, self._sent, self._operation)
        yield _histogram("messaging_process_duration", "Duration of processing operation.", self._processed, self._process)
        text = "Number of messages producer attempted to send to the broker."
        sent: Mapping[_Series, int] = {series: sendings.messages for series, sendings in list(self._sent.items())}
        yield _counter("messaging_client_sent_messages", text, sent, self._send)
        text = "Number of messages that were delivered to the application."
        consumed: Mapping[_Series, int] = {(source,): count for source, count in list(self._consumed.items())}
        yield _counter("messaging_client_consumed_messages", text, consumed, self._process)

    def _send(self, topic: str, error: str) -> Mapping[str, str]:
        return {"system": self._system, "operation": "send", "destination": topic, "error": error}

    def _operation(self, topic: str, error: str) -> Mapping[str, str]:
        return {**self._send(topic, error), "type": "send"}

    def _process(self, source: str, error: str = "") -> Mapping[str, str]:
        topic, _, subscription = source.partition("/")
        return {"system": self._system, "operation": "process", "destination": topic, "subscription": subscription, "error": error}


def _server(method: str, scheme: str, route: str, status: int) -> Mapping[str, str]:
    """The error type for a status. A mistake of the caller is not an error of the server (HTTP spans, status)."""
    error = "" if 0 < status < 500 else str(status or INTERRUPTED)
    return {"method": method, "scheme": scheme, "route": route, "status": str(status or ""), "error": error}


def _client(method: str, app: str, template: str, status: int, error: str) -> Mapping[str, str]:
    failed = str(status) if status >= 400 else error
    return {"method": method, "app": app, "template": template, "status": str(status or ""), "error": failed}


def _histogram(name: str, text: str, histograms: Mapping[_Series, _Durations], labelled: Callable[..., Mapping[str, str]]) -> Metric:
    labels = list(CONVENTIONAL[name].attributes)
    family = HistogramMetricFamily(name, text, labels=labels)
    for series, durations in list(histograms.items()):
        up_to = zip((*map(str, BOUNDS), "+Inf"), accumulate(tuple(durations.counts)), strict=True)
        named = labelled(*series)
        family.add_metric([named[each] for each in labels], list(up_to), durations.sum)
    return family


def _counter(name: str, text: str, counts: Mapping[_Series, int], labelled: Callable[..., Mapping[str, str]]) -> Metric:
    labels = list(CONVENTIONAL[name].attributes)
    family = CounterMetricFamily(name, text, labels=labels)
    for series, count in counts.items():
        named = labelled(*series)
        family.add_metric([named[each] for each in labels], count)
    return family

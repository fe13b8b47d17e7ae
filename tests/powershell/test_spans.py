"""The spans that Invoke-Automation sends, as a collector gets them: what is in them, and when there are none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import CompletedProcess
from threading import Condition, Thread
from typing import Any

import pytest

from tests.acceptance.otlp_receiver import ReceivedSpan, request_of, spans_of

from .test_pester import MODULE, run

TRACE, DISPATCH = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = (f"00-{TRACE}-{DISPATCH}-{flags}" for flags in ("01", "00"))
PATIENCE = 30  #: seconds


class Collector(ThreadingHTTPServer):
    """It keeps the spans it got and the requests that brought them; any other call is answered with the traceparent that it had."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.spans: list[ReceivedSpan] = []
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.changed = Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A program that has ended does not wait for its answer."""

    def span(self, name: str) -> ReceivedSpan:
        (found,) = (each for each in self.spans if each.name == name)
        return found


class _Exchange(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.changed:
            self.server.spans += spans_of(request_of(body, self.headers.get_content_type()))
            self.server.requests.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body.decode()))
            self.server.changed.notify_all()
        self._answer(503 if "refusing" in self.path else 200, "{}")

    def do_GET(self) -> None:
        """`/until/N` is answered once N spans have come."""
        if self.path.startswith("/until/"):
            with self.server.changed:
                self.server.changed.wait_for(lambda: len(self.server.spans) >= int(self.path.rpartition("/")[2]), PATIENCE)
        self._answer(404 if self.path.startswith("/missing") else 200, str(self.headers["traceparent"]))

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json" if body == "{}" else "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Keep standard error clean."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def an_event(automation: str = "host.inventory", **attributes: Any) -> str:
    known = {"type": "automation.invoked", "id": "order-1/inventory", "subject": automation, "correlationid": "order-1"}
    return json.dumps({**known, "invocationtoken": "the-token", "traceparent": SAMPLED, "data": {}, **attributes})


def invoked(event: str, work: str) -> str:
    return f"Invoke-Automation '{event}' {{ {work} }}"


def sent(collector: Collector, script: str, count: int, **environment: str) -> CompletedProcess[str]:
    """What the script has said, once so many spans of it have come."""
    found = run(f"{script}; Invoke-RestMethod {collector.url}/until/{count} | Out-Null", **environment)
    assert len(collector.spans) == count, f"{collector.spans}\n{found.stdout}\n{found.stderr}"
    return found


def test_work_and_the_calls_it_makes_are_spans_below_the_dispatch_and_the_result_is_below_the_work(collector: Collector) -> None:
    work = invoked(an_event(tracestate="vendor=1"), f"Invoke-RestMethod '{collector.url}/things?key=marked-key'")
    found = sent(collector, work, 2, OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.url}/")
    result = json.loads(found.stdout)
    inner, call = collector.span("host.inventory"), collector.span("GET")
    assert (inner.trace_id, inner.parent_id, inner.kind, inner.error) == (TRACE, DISPATCH, "CONSUMER", False), found.stderr
    assert (call.trace_id, call.parent_id, call.kind) == (TRACE, inner.span_id, "CLIENT")
    assert result["traceparent"] == f"00-{TRACE}-{inner.span_id}-01"
    assert result["tracestate"] == "vendor=1"
    assert result["data"]["output"] == f"00-{TRACE}-{call.span_id}-01"
    assert (call.attributes["http.response.status_code"], call.attributes["server.port"]) == (200, collector.server_port)
    assert inner.resource == {"service.name": "powershell-functions"}
    assert collector.requests[0][0] == "/v1/traces"


def test_a_span_has_no_input_no_output_no_token_and_of_an_error_its_code_alone(collector: Collector) -> None:
    event = an_event(data={"password": "marked-input"})
    calls = f"try {{ Invoke-RestMethod '{collector.url}/missing/marked-path?k=marked-query' }} catch {{ }}"
    failing = invoked(event, f"{calls}; 'marked-output'; throw @{{ code = 'NoSuchUser'; message = 'marked-text'; hint = 'marked-hint' }}")
    strange = invoked(an_event("strange.code"), "throw @{ code = 'marked code of the-token'; message = 'marked-text' }")
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20marked-key, x-team=ops",
    }
    found = sent(collector, f"{failing} -Verbose; {strange} -Verbose", 3, **environment)
    assert (collector.span("host.inventory").error, collector.span("host.inventory").attributes["error.type"]) == (True, "NoSuchUser")
    assert (collector.span("GET").error, collector.span("GET").attributes["error.type"]) == (True, "404")
    assert collector.span("strange.code").attributes["error.type"] == "_OTHER"
    bodies = "".join(body for _, _, body in collector.requests)
    assert "marked" not in bodies
    assert "the-token" not in bodies
    assert {(headers["authorization"], headers["x-team"]) for _, headers, _ in collector.requests} == {("Bearer marked-key", "ops")}
    assert not any(re.search("marked-key", text) for text in (found.stdout, found.stderr))


def test_a_request_of_an_http_function_is_a_server_span_that_is_named_after_its_folder(collector: Collector) -> None:
    headers = f"@{{ Traceparent = '{SAMPLED}'; 'X-Correlation-Id' = 'order-1' }}"
    request = f"[pscustomobject] @{{ Method = 'POST'; Headers = {headers}; Query = @{{}}; Params = @{{}}; Body = @{{}} }}"
    folder = '$folder = New-Item -ItemType Directory (Join-Path ([IO.Path]::GetTempPath()) "$(New-Guid)/MailboxReport")'
    files = 'Set-Content "$folder/function.json" \'{"bindings":[]}\'; '
    files += f"Set-Content \"$folder/run.ps1\" 'param($r) Invoke-Automation $r {{ Invoke-RestMethod {collector.url}/x }}'"
    script = f'{folder}; {files}; (& "$folder/run.ps1" ({request})).Body; Remove-Item -Recurse $folder.Parent'
    found = sent(collector, script, 2, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    inner = collector.span("MailboxReport")
    assert (inner.kind, inner.parent_id, inner.attributes) == (
        "SERVER",
        DISPATCH,
        {"faas.trigger": "http", "bridge.correlation_id": "order-1", "messaging.message.conversation_id": "order-1"},
    ), found.stderr
    assert json.loads(found.stdout) == f"00-{TRACE}-{collector.span('GET').span_id}-01"


SILENT = {
    "no endpoint": {},
    "switched off": {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "URL"},
    "no exporter": {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "URL"},
    "another exporter": {"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_ENDPOINT": "URL"},
    "gRPC": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "URL"},
    "a sampler that takes none": {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_EXPORTER_OTLP_ENDPOINT": "URL"},
    "no address": {"OTEL_EXPORTER_OTLP_ENDPOINT": "somewhere"},
}
SENDING = {
    "an endpoint": ({"OTEL_EXPORTER_OTLP_ENDPOINT": "URL/below", "OTEL_TRACES_SAMPLER": "parentbased_always_off"}, "/below/v1/traces"),
    "an address": (
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "URL/whole?key=k", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        "/whole?key=k",
    ),
    "a service": (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "OTEL_SERVICE_NAME": "mail", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
        "/v1/traces",
    ),
    "a resource": ({"OTEL_EXPORTER_OTLP_ENDPOINT": "URL", "OTEL_RESOURCE_ATTRIBUTES": "service.name=a%20b,team=ops"}, "/v1/traces"),
}


def with_variables(url: str, name: str, variables: dict[str, str]) -> str:
    """Work under these variables, and its result. The automation has the name of the case."""
    put = "; ".join(f"$env:{each} = '{text.replace('URL', url)}'" for each, text in variables.items())
    work = invoked(an_event(name), f"Invoke-RestMethod {url}/x")
    return f"Remove-Item env:OTEL_*; {put or '$null'}; {work}"


def test_the_variables_of_opentelemetry_say_whether_and_where_spans_are_sent(collector: Collector) -> None:
    cases = {**SILENT, **{name: variables for name, (variables, _) in SENDING.items()}}
    script = "; ".join(with_variables(collector.url, name, variables) for name, variables in cases.items())
    found = sent(collector, script, 8)
    results = {result["subject"]: result for result in map(json.loads, found.stdout.splitlines())}
    assert results.keys() == cases.keys(), found.stderr
    assert {each.name for each in collector.spans} == {*SENDING, "GET"}
    for name, result in results.items():
        # The trace is carried on in any case. Where nobody gets the span of the work, the result stays below the dispatch.
        assert TRACE in result["data"]["output"], name
        assert (result["traceparent"] == SAMPLED) == (name in SILENT), name
    assert {path for path, _, _ in collector.requests} == {path for _, path in SENDING.values()}
    assert collector.span("a service").resource == {"service.name": "mail"}
    assert collector.span("a resource").resource == {"service.name": "a b", "team": "ops"}


def test_what_nobody_records_is_not_recorded_here_and_goes_on_with_the_flag_that_says_so(collector: Collector) -> None:
    work = invoked(an_event(traceparent=UNSAMPLED), f"Invoke-RestMethod {collector.url}/x")
    traceless = invoked(an_event(traceparent=None), f"Invoke-RestMethod {collector.url}/x")
    script = f"{work}; {traceless}; {invoked(an_event('last'), '1')}"
    found = sent(collector, script, 1, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    unsampled, without, _ = map(json.loads, found.stdout.splitlines())
    assert [each.name for each in collector.spans] == ["last"]
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", unsampled["data"]["output"])
    assert unsampled["traceparent"] == UNSAMPLED
    assert without["data"]["output"] == "None"
    assert "traceparent" not in without


@pytest.mark.parametrize("place", ["nobody there", "refusing", "hanging"])
def test_a_collector_in_trouble_changes_nothing_for_the_function(collector: Collector, place: str) -> None:
    address = {"nobody there": "http://127.0.0.1:9", "refusing": f"{collector.url}/refusing", "hanging": collector.url}[place]
    with collector.changed if place == "hanging" else Condition():
        works = "; ".join(invoked(an_event(), f"{number}") for number in range(20))
        found = run(f"{works}; [Diagnostics.Activity]::Current", OTEL_EXPORTER_OTLP_ENDPOINT=address)
    assert [json.loads(line)["data"] for line in found.stdout.splitlines()] == [{"status": "succeeded", "output": n} for n in range(20)]
    assert not found.stderr


def test_what_became_of_spans_is_said_to_who_wants_to_know_when_the_next_ones_leave(collector: Collector) -> None:
    first, second = (invoked(an_event(name), f"Invoke-RestMethod {collector.url}/until/{n}") for n, name in enumerate(("first", "second")))
    refusing = f"{first}; Start-Sleep 1; {second} -Verbose 4>&1"
    found = sent(collector, refusing, 4, OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.url}/refusing", OTEL_EXPORTER_OTLP_HEADERS="a=marked")
    assert "Spans could not be sent: the collector answered 503." in found.stdout
    assert "marked" not in found.stdout + found.stderr


def test_an_activity_that_the_trace_has_already_is_joined(collector: Collector) -> None:
    outer = f"$outer = [Diagnostics.Activity]::new('outer').SetParentId('{SAMPLED}').Start(); $outer.Id"
    after = "[Diagnostics.Activity]::Current.Id; $outer.Stop()"
    script = f"{outer}; {invoked(an_event(), '[Diagnostics.Activity]::Current.Id')}; {after}; {invoked(an_event('last'), '1')}"
    found = sent(collector, script, 1, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    before, result, current, _ = found.stdout.splitlines()
    assert before == current == json.loads(result)["traceparent"] == json.loads(result)["data"]["output"]
    assert [each.name for each in collector.spans] == ["last"]


def test_work_in_several_runspaces_at_once_keeps_its_calls_apart(collector: Collector) -> None:
    traces = [f"{number:032x}" for number in range(1, 7)]
    calls = f"1..3 | ForEach-Object {{ Invoke-RestMethod {collector.url}/x }}"
    works = [invoked(an_event("work", traceparent=f"00-{each}-{DISPATCH}-01"), calls) for each in traces]
    jobs = ", ".join(f"(Start-ThreadJob -ThrottleLimit 6 {{ Import-Module '{MODULE}'; {work} }})" for work in works)
    sent(collector, f"{jobs} | Receive-Job -Wait | Out-Null", 24, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    trace_of = {each.span_id: each.trace_id for each in collector.spans if each.name == "work"}
    made = [each for each in collector.spans if each.name == "GET"]
    assert sorted(trace_of.values()) == traces
    assert sorted(each.trace_id for each in made) == sorted(traces * 3)
    assert all(trace_of[each.parent_id] == each.trace_id for each in made)


def test_looks_at_the_status_of_the_run_are_in_no_trace(collector: Collector) -> None:
    work = invoked(an_event(invocationurl=f"{collector.url}/i"), "Test-AutomationCanceled")
    sent(collector, work, 1, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert [each.name for each in collector.spans] == ["host.inventory"]

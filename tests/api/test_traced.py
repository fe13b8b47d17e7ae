"""The span of a call of the API: which calls have one, below what, and what the routes behind it see."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from bridge import api, logs
from bridge.api import reading
from bridge.api.traced import Traced, route
from bridge.catalog import Catalog
from bridge.resilience import Policies
from bridge.settings import Settings, Token
from tests.tracing_kit import CALLER, TRACE_ID, UNSAMPLED, Recorded, attributes, traceparent_of

SUBMIT = "/v1/automations/report/requests"


class Behind:
    """An application that notes what it was asked with, and answers with a status."""

    def __init__(self, status: int = 202) -> None:
        self.status, self.seen, self.trace = status, ("", ""), ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen, self.trace = reading.trace(Request(scope)), logs.TRACE.get()[0]
        if not self.status:
            raise ConnectionResetError
        await PlainTextResponse("", self.status)(scope, receive, send)


async def call(behind: Behind, method: str = "POST", path: str = SUBMIT, **headers: str | list[str]) -> Recorded:
    recorded = Recorded()
    named = [(name.encode(), each.encode()) for name, texts in headers.items() for each in ([texts] if isinstance(texts, str) else texts)]

    async def send(_message: Any) -> None:
        pass

    scope = {"type": "http", "method": method, "path": path, "scheme": "https", "headers": named, "query_string": b"key=secret"}
    await Traced(behind, recorded.tracer)(scope, send, send)  # type: ignore[arg-type]  # nothing is received
    return recorded


async def test_a_call_is_below_its_caller_and_says_what_it_was() -> None:
    recorded = await call(Behind(), traceparent=CALLER)
    assert recorded.tree() == ["SERVER caller > POST /v1/automations/{name}/requests"]
    assert attributes(recorded.spans[0]) == {
        "http.request.method": "POST",
        "http.response.status_code": 202,
        "http.route": "/v1/automations/{name}/requests",
        "url.path": SUBMIT,
        "url.scheme": "https",
    }


async def test_the_routes_see_the_span_in_place_of_the_caller_s() -> None:
    behind = Behind()
    recorded = await call(behind, traceparent=CALLER, tracestate=["vendor=1", "other=2"])
    own = traceparent_of(recorded.spans[0])
    assert behind.seen == (own, "vendor=1,other=2")
    assert behind.trace == own
    assert logs.TRACE.get() == ("", "")


@pytest.mark.parametrize("caller", ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", [CALLER, CALLER]])
async def test_without_one_valid_context_a_request_begins_a_trace(caller: str | list[str]) -> None:
    behind = Behind()
    recorded = await call(behind, traceparent=caller)
    assert recorded.tree() == ["SERVER POST /v1/automations/{name}/requests"]
    assert behind.seen[0] == traceparent_of(recorded.spans[0])
    assert TRACE_ID not in behind.seen[0]


async def test_a_context_that_nobody_records_goes_on() -> None:
    behind = Behind()
    recorded = await call(behind, traceparent=UNSAMPLED)
    assert (recorded.spans, behind.seen) == ([], (UNSAMPLED, ""))


@pytest.mark.parametrize(("status", "error"), [(202, None), (404, None), (503, "503")])
async def test_only_what_the_bridge_did_wrong_is_an_error(status: int, error: str | None) -> None:
    recorded = await call(Behind(status))
    assert attributes(recorded.spans[0]).get("error.type") == error


async def test_a_call_that_is_cut_off_ends_its_span() -> None:
    recorded, behind = Recorded(), Behind(0)
    scope = {"type": "http", "method": "POST", "path": SUBMIT, "scheme": "http", "headers": []}
    with pytest.raises(ConnectionResetError):
        await Traced(behind, recorded.tracer)(scope, None, None)  # type: ignore[arg-type]  # nothing is received or sent
    assert attributes(recorded.spans[0])["error.type"] == "Interrupted"


@pytest.mark.parametrize(
    ("method", "path", "begins"),
    [
        ("POST", "/v1/events", True),
        ("POST", "/v1/requests/order-1/rerun", True),
        ("GET", "/v1/requests/order-1", False),
    ],
)
async def test_only_what_asks_for_a_run_begins_a_trace_and_every_call_joins_one(method: str, path: str, begins: bool) -> None:
    assert len((await call(Behind(), method, path)).spans) == begins
    assert len((await call(Behind(), method, path, traceparent=CALLER)).spans) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/healthz/live", "/healthz/ready", "/metrics", "/openapi.json", "/nothing")),
        ("POST", "/v1/invocations/order-1/main"),
        ("OPTIONS", "/v1/events"),
    ],
)
async def test_what_monitoring_and_functions_ask_and_what_needs_no_token_has_no_span(method: str, path: str) -> None:
    assert (await call(Behind(), method, path, traceparent=CALLER)).spans == []


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("right", 400)])
async def test_only_a_caller_whose_token_is_known_has_spans(token: str, status: int) -> None:
    recorded = Recorded()
    known = Token(name="ada", sha256=hashlib.sha256(b"right").hexdigest())
    answered = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"no event"}

    async def send(message: Any) -> None:
        answered.append(message)

    headers = {"authorization": f"Bearer {token}", "content-type": "application/cloudevents+json", "traceparent": CALLER}
    named = [(name.encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/events", "scheme": "http", "headers": named, "query_string": b""}
    made = dataclasses.replace(services(), settings=Settings(tokens=(known,)), tracer=recorded.tracer)
    await api.create(made, frozenset())(scope, receive, send)
    assert answered[0]["status"] == status
    assert [attributes(each)["http.response.status_code"] for each in recorded.spans] == ([] if status == 401 else [status])


def test_every_call_of_the_api_has_its_route() -> None:
    paths = [each.path for each in api.routes(services()) if each.path.startswith("/v1/") and "/invocations/" not in each.path]
    assert paths
    assert [route(re.sub(r"\{\w+\}", "x", path)) for path in paths] == paths


def services() -> api.Services:
    return api.Services(None, None, None, Catalog({}), Policies(), Settings(), None, None, None)  # type: ignore[arg-type]  # the routes are not called

"""Bad input is always a clear problem, never a 5xx and never a lost event. One bridge takes it all."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.acceptance.runtimes import serving
from tests.acceptance.scripted import scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
Http = aiohttp.ClientSession
JSON = {"Content-Type": "application/json"}
EVENT = {"specversion": "1.0", "id": "e-1", "source": "/test", "type": "automation.requested", "subject": "echo", "data": {"text": "x"}}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(runtime_name: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Http]:
    folder = tmp_path_factory.mktemp("bridge")
    async with scripted() as app, serving(runtime_name, folder, app) as bridge, Http(bridge.url) as session:
        yield session


async def runs(http: Http) -> list[Any]:
    async with http.get("/v1/requests") as answer:
        items: list[Any] = (await answer.json())["items"]
        return items


async def post(http: Http, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    async with http.post(path, data=io.BytesIO(body), headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("application/")
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{oops", JSON, 400, "Malformed"),
        (b"", JSON, 400, "Malformed"),
        (b'{"number": NaN}', JSON, 400, "Malformed"),
        (b'{"number": 1e999}', JSON, 400, "Malformed"),
        (b"[" * 10_000 + b"]" * 10_000, JSON, 400, "Malformed"),
        (b"\xff\xfe", JSON, 400, "Malformed"),
        (b'{"text": 5}', JSON, 422, "InvalidInput"),
        (b'{"text": "x"}', {"Content-Type": "text/plain"}, 415, "UnsupportedMediaType"),
        (b'{"text": "' + b"x" * 2**20 + b'"}', JSON, 413, "TooLarge"),
        (b"{}", {**JSON, "X-Deadline": "2020-01-01T00:00:00Z"}, 422, "DeadlinePassed"),
        (b"{}", {**JSON, "X-Deadline": "tomorrow"}, 400, "Malformed"),
        (b"{}", {**JSON, "X-Correlation-Id": "with space"}, 400, "InvalidCorrelationId"),
        (b"{}", {**JSON, "X-Correlation-Id": "x" * 10_000}, 400, "InvalidCorrelationId"),
        (b"{}", {**JSON, "X-Correlation-Id": "naïve"}, 400, "InvalidCorrelationId"),
        (b"{}", {**JSON, "X-Filler": "x" * 40_000}, 431, "HeadersTooLarge"),
        (b"{}", {**JSON, "X-Correlation-Id": "."}, 400, "InvalidCorrelationId"),
        (b"{}", {**JSON, "X-Correlation-Id": ".."}, 400, "InvalidCorrelationId"),
        (b"{}", {**JSON, "Content-Encoding": "gzip"}, 415, "UnsupportedMediaType"),
        (b"{}", {"Content-Type": "application/json; charset=utf-16"}, 415, "UnsupportedMediaType"),
        ('{"text": "x"}'.encode("utf-8-sig"), JSON, 400, "Malformed"),
        ('{"text": "x"}'.encode("utf-16"), JSON, 400, "Malformed"),
        (b'{"text": "x", "text": "y"}', JSON, 400, "Malformed"),
    ],
)
async def test_a_bad_submission(http: Http, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    before = await runs(http)
    answered, problem = await post(http, "/v1/automations/echo/requests", body, headers)
    assert (answered, problem["code"]) == (status, code)
    assert problem["detail"]
    assert await runs(http) == before


async def test_a_schema_violation_says_where_and_which_rule(http: Http) -> None:
    _, problem = await post(http, "/v1/automations/echo/requests", b'{"text": 5, "number": "x"}', JSON)
    assert {(error["pointer"], error["rule"]) for error in problem["errors"]} == {("/text", "type"), ("/number", "type")}


async def test_an_unknown_automation_names_the_nearest(http: Http) -> None:
    status, problem = await post(http, "/v1/automations/ecko/requests", b"{}", JSON)
    assert (status, problem["code"], problem["hint"]) == (404, "UnknownAutomation", "Did you mean 'echo'?")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"id": ""}, 400, "Malformed"),
        ({"source": None}, 400, "Malformed"),
        ({"specversion": "0.3"}, 400, "Malformed"),
        ({"type": "automation.result"}, 400, "Malformed"),
        ({"type": "order.created"}, 400, "Malformed"),
        ({"subject": "nothing"}, 404, "UnknownAutomation"),
        ({"correlationid": "a/b"}, 400, "InvalidCorrelationId"),
        ({"replytopic": "somewhere-else"}, 422, "ReplyTopicNotAllowed"),
        ({"expirytime": "2020-01-01T00:00:00Z"}, 422, "DeadlinePassed"),
        ({"data": {"text": 5}}, 422, "InvalidInput"),
        ({"datacontenttype": "text/xml"}, 400, "Malformed"),
        ({"id": ".."}, 400, "InvalidCorrelationId"),
        ({"subject": "echo\uffff"}, 400, "Malformed"),
    ],
)
async def test_a_bad_event(http: Http, change: dict[str, object], status: int, code: str) -> None:
    answered, problem = await post(http, "/v1/events", json.dumps({**EVENT, **change}).encode(), STRUCTURED)
    assert (answered, problem["code"]) == (status, code)


async def test_a_bad_event_over_http_leaves_no_run_behind(http: Http) -> None:
    status, _ = await post(http, "/v1/events", json.dumps({**EVENT, "id": "nowhere", "source": ""}).encode(), STRUCTURED)
    assert status == 400
    async with http.get("/v1/requests/nowhere") as answer:
        assert answer.status == 404


async def test_a_name_that_stands_twice_is_told_with_its_place(http: Http) -> None:
    body = json.dumps(EVENT).encode().replace(b'{"text": "x"}', b'{"text": "x", "text": "x"}')
    status, problem = await post(http, "/v1/events", body, STRUCTURED)
    assert (status, [error["pointer"] for error in problem["errors"]]) == (400, ["/data/text"])
    body = json.dumps(EVENT).encode().replace(b'"id"', b'"subject": "other", "id"')
    status, problem = await post(http, "/v1/events", body, STRUCTURED)
    assert (status, [error["pointer"] for error in problem["errors"]]) == (400, ["/subject"])


async def test_an_event_by_structured_mode_binary_mode_and_batch(http: Http) -> None:
    status, run = await post(http, "/v1/events", json.dumps(EVENT).encode(), STRUCTURED)
    assert (status, run["correlationId"]) == (202, "e-1")
    binary = {f"ce-{name}": value for name, value in EVENT.items() if name != "data"} | {"ce-id": "e-2", **JSON}
    status, run = await post(http, "/v1/events", b'{"text": "x"}', binary)
    assert (status, run["correlationId"]) == (202, "e-2")
    batch = [{**EVENT, "id": "e-3"}, {**EVENT, "id": "e-4", "subject": "nothing"}, "no event", EVENT]
    status, answer = await post(http, "/v1/events", json.dumps(batch).encode(), {"Content-Type": "application/cloudevents-batch+json"})
    assert status == 202
    assert [item.get("correlationId") or item["code"] for item in answer["items"]] == ["e-3", "UnknownAutomation", "Malformed", "e-1"]


async def test_an_event_without_its_content_type_is_told_what_to_send(http: Http) -> None:
    status, problem = await post(http, "/v1/events", json.dumps(EVENT).encode(), JSON)
    assert (status, problem["code"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/requests/none", 404, "NotFound"),
        ("/v1/requests/a%2Fb", 404, "NotFound"),
        ("/v1/requests/" + "x" * 10_000, 404, "NotFound"),
        ("/v1/requests?cursor=made-up", 400, "Malformed"),
        ("/v1/requests?cursor=eyJhIjpbLTEsMF19", 400, "Malformed"),
        ("/v1/requests?status=Done", 400, "Malformed"),
        ("/v1/requests?limit=0", 400, "Malformed"),
        ("/v1/requests?limit=999999999", 400, "Malformed"),
        ("/v1/requests?since=yesterday", 400, "Malformed"),
        ("/v1/deadletters/none", 404, "NotFound"),
        ("/v1/automations/none", 404, "UnknownAutomation"),
        ("/v1/nothing", 404, "NotFound"),
        ("/../../etc/passwd", 404, "NotFound"),
    ],
)
async def test_a_bad_look_up(http: Http, path: str, status: int, code: str) -> None:
    async with http.get(path) as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_another_method_is_refused(http: Http) -> None:
    async with http.put("/v1/requests/x") as answer:
        assert (answer.status, (await answer.json())["code"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
async def test_a_page_of_another_origin_cannot_use_an_api_without_tokens(http: Http, headers: dict[str, str]) -> None:
    async with http.get("/v1/requests", headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (421, "WrongHost")

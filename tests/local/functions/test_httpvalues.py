"""HTTP for workers of Azure's protocol: what they are told of a request besides it, and what their values mean as responses."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from bridge.local.functions import requesttarget
from bridge.local.functions.handlervalues import BadAnswer
from bridge.local.functions.httpmessage import HttpRequest, HttpResponse
from bridge.local.functions.httpstream import BodyPieces
from bridge.local.functions.rpc import httpvalues, invocationmessages, returnedvalues, typedvalues
from bridge.local.functions.rpc.protocol import TypedData
from bridge.local.functions.worker import InvocationResponse

Json = dict[str, Any]
_ONE = [("Host", "localhost"), ("x-a", "1"), ("X-A", "2")]


def _metadata(path: str, route: dict[str, str | None] | None = None, body: str = "") -> Json:
    target = requesttarget.read(path.encode())
    assert target is not None
    request = HttpRequest("GET", "", target.path, target.query, {}, sent_headers=_ONE, target=target)
    found = httpvalues.metadata(route or {}, request, body.encode())
    return {name: value["string"] if "string" in value else json.loads(value["json"]) for name, value in found.items()}


def _named(path: str, route: dict[str, str | None] | None = None, body: str = "") -> Json:
    return {name: value for name, value in _metadata(path, route, body).items() if name not in ("Headers", "Query")}


def test_of_equal_names_the_route_hides_the_query_and_the_query_the_body() -> None:
    assert _named("/x?b=query&c=query", {"c": "route"}, '{"a": "body", "b": "body", "c": "body"}') == {
        "a": "body",
        "b": "query",
        "c": "route",
    }


def test_names_are_one_in_any_letter_case_under_the_form_that_came_first() -> None:
    assert _named("/x?NAME=query&Id=1", {"ID": "route"}, '{"name": "body"}') == {"name": "query", "Id": "route"}


def test_a_part_of_the_route_that_is_not_set_hides_what_else_has_its_name() -> None:
    assert _named("/x?two=query", {"one": "a", "two": None}, '{"Two": 2}') == {"one": "a"}


def test_the_key_of_a_function_is_in_the_query_and_not_beside_it() -> None:
    found = _metadata("/x?Code=secret&a=1&a=2")
    assert found == {"a": "2", "Query": {"Code": "secret", "a": "2"}, "Headers": {"Host": "localhost", "x-a": "1,2"}}


def test_a_name_of_the_caller_takes_the_place_of_the_headers() -> None:
    assert "Headers" not in _metadata("/x?headers=mine")
    assert _metadata("/x?headers=mine")["headers"] == "mine"


def _seen(path: str, *knows: str) -> dict[str, str | None]:
    """The trigger metadata that a worker with these capabilities is sent for a function with the parameter `req`, by kind."""
    target = requesttarget.read(path.encode())
    assert target is not None
    asked = HttpRequest("GET", "http://localhost/x", target.path, target.query, {}, target=target)
    made = httpvalues.invocation("Stock", "req", {}, asked, b"", None)
    trigger = {"name": made.parameter, "value": made.value, "metadata": made.metadata}
    order = {"id": "1", "trigger": trigger, "trace": {"parent": "", "state": ""}}
    sent = invocationmessages.request(order, "f", frozenset(knows)).invocation_request
    return {name: each.WhichOneof("data") for name, each in sent.trigger_metadata.items() if name not in ("Headers", "Query")}


def test_a_worker_that_finds_the_request_itself_is_not_sent_it_twice() -> None:
    removed = "RpcHttpTriggerMetadataRemoved"
    assert _seen("/x?a=1", removed) == {"a": "string"}
    assert _seen("/x?a=1") == {"a": "string", "req": "http", "$request": "http"}
    assert _seen("/x?REQ=1&$request=1", removed) == {"$request": "string"}


def test_what_the_host_has_as_sys_gives_way_to_what_the_caller_names_so() -> None:
    assert _seen("/x?Sys=1", "RpcHttpTriggerMetadataRemoved") == {"Sys": "string", "$sys": "json"}


@pytest.mark.parametrize(
    ("returned", "content_type", "body"),
    [
        ({"string": "a text"}, "text/plain; charset=utf-8", "a text"),
        ({"string": ""}, "text/plain; charset=utf-8", ""),
        ({"string": '"quoted"'}, "text/plain; charset=utf-8", "quoted"),
        ({"string": "[1,2]"}, "text/plain; charset=utf-8", "[\n  1,\n  2\n]"),
        ({"string": '{"a": 1}'}, "text/plain; charset=utf-8", '{\n  "a": 1\n}'),
        ({"string": '{"statusCode": 418}'}, "text/plain; charset=utf-8", '{\n  "statusCode": 418\n}'),
        ({"string": "true"}, "text/plain; charset=utf-8", "True"),
        ({"string": "1.50"}, "text/plain; charset=utf-8", "1.5"),
        ({"string": "null"}, "text/plain; charset=utf-8", ""),
        ({"string": "2026-11-28T10:00:00Z"}, "text/plain; charset=utf-8", "2026-11-28T10:00:00Z"),
        ({"string": '"2026-11-28T10:00:00Z"'}, "text/plain; charset=utf-8", "11/28/2026 10:00:00"),
        ({"json": '"2026-11-28T10:00:00Z"'}, "text/plain; charset=utf-8", "2026-11-28T10:00:00Z"),
        ({"json": '{"Time": "2026-11-28T10:00:00.50Z"}'}, "text/plain; charset=utf-8", '{\n  "Time": "2026-11-28T10:00:00.50Z"\n}'),
        ({"json": "42"}, "text/plain; charset=utf-8", "42"),
        ({"int": 7}, "text/plain; charset=utf-8", "7"),
        ({"double": 1.5}, "text/plain; charset=utf-8", "1.5"),
    ],
)
def test_a_value_that_is_no_response_is_its_body(returned: Json, content_type: str, body: str) -> None:
    answer = httpvalues.answered("$return", InvocationResponse(ok=True, result=returned), elsewhere=False)
    assert (answer.status, answer.headers, answer.body.decode()) == (200, [("Content-Type", content_type)], body)


def test_an_object_with_a_body_describes_the_response() -> None:
    described = {
        "STATUS": "202",
        "Body": {"x": [1, "2026-11-28T10:00:00.0Z"]},
        "headers": {"X-A": True, "Content-Type": "application/json"},
    }
    for returned in ({"string": json.dumps(described)}, {"json": json.dumps(described)}):
        answer = returnedvalues.bound(returned)
        assert (answer.status, answer.body) == (202, b'{"x":[1,"2026-11-28T10:00:00Z"]}')
        assert answer.headers == [("Content-Type", "application/json; charset=utf-8"), ("X-A", "True")]


@pytest.mark.parametrize(
    "described",
    [
        {"body": "", "statusCode": 100},
        {"body": "", "statusCode": 1000},
        {"body": "", "headers": {"x": None}},
        {"body": "", "headers": {"x": "a\nb"}},
        {"body": "", "headers": {"x": "ä"}},
    ],
)
def test_a_response_that_http_cannot_carry_is_refused(described: Json) -> None:
    with pytest.raises(BadAnswer):
        returnedvalues.bound({"json": json.dumps(described)})


@pytest.mark.parametrize(
    ("returned", "content_type", "body"),
    [
        ({"string": "only an output"}, "text/plain; charset=utf-8", b"only an output"),
        ({"json": '{"a": [1, null]}'}, "application/json; charset=utf-8", b'{"a":[1,null]}'),
        ({"bytes": b64encode(b"\0\1").decode()}, "application/json; charset=utf-8", b'"AAE="'),
    ],
)
def test_what_goes_to_a_queue_alone_answers_the_request_too(returned: Json, content_type: str, body: bytes) -> None:
    answer = httpvalues.answered("$return", InvocationResponse(ok=True, result=returned), elsewhere=True)
    assert (answer.status, answer.headers, answer.body) == (200, [("Content-Type", content_type)], body)


def test_nothing_returned_is_204() -> None:
    assert httpvalues.answered("$return", InvocationResponse(ok=True), elsewhere=False).status == 204
    assert httpvalues.answered("Answer", InvocationResponse(ok=True), elsewhere=False).status == 204


def test_an_answer_that_was_passed_on_stands_whatever_the_function_has_set() -> None:
    passed_on = HttpResponse(200, streamed=True)
    ended = InvocationResponse(ok=True, result={"http": passed_on}, outputs={"Answer": {"json": '{"StatusCode": 202}'}})
    assert httpvalues.answered("Answer", ended, elsewhere=False) is passed_on


def _response(status: str = "200", **body: Any) -> HttpResponse:
    data = TypedData()
    data.http.status_code = status
    data.http.headers["content-type"] = "text/html"
    for kind, content in body.items():
        setattr(data.http.body, kind, content)
    value = typedvalues.read(data)
    assert value is not None
    found: HttpResponse = value["http"]
    return found


def test_bytes_of_a_response_are_sent_as_they_are_and_text_names_its_charset() -> None:
    assert (_response(bytes=b"<p>").headers, _response(bytes=b"<p>").body) == ([("content-type", "text/html")], b"<p>")
    assert (_response(string="<p>").headers, _response(string="<p>").body) == ([("Content-Type", "text/html; charset=utf-8")], b"<p>")
    assert _response(json='{"a":1}').body == b'{\n  "a": 1\n}'


@pytest.mark.parametrize("status", ["100", "199", "1000", "abc"])
def test_a_status_that_ends_no_request_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match=status):
        _response(status)


def _told(*knows: str, forwarded: bool = False) -> Any:
    """RpcHttp of a request, for a worker with these capabilities."""
    request = HttpRequest("GET", "http://localhost/x", "/x", {"a": "", "b": "2"}, {"x-a": "", "x-b": "2"})
    request.pieces = BodyPieces(lambda: None, lambda: None) if forwarded else None
    data = TypedData()
    typedvalues.fill(data, {"call": httpvalues.HttpCall(request, {"r": ""}, b"", None)}, frozenset(knows))
    return data.http


def test_a_worker_without_the_nullable_maps_gets_a_query_without_empty_values() -> None:
    told = _told()
    assert (dict(told.query), dict(told.headers), dict(told.params)) == ({"b": "2"}, {"x-a": "", "x-b": "2"}, {"r": ""})
    assert dict(_told("IgnoreEmptyValuedRpcHttpHeaders").headers) == {"x-b": "2"}
    nullable = _told("UseNullableValueDictionaryForHttp")
    assert {name: each.value for name, each in nullable.nullable_query.items()} == {"a": "", "b": "2"}
    assert {name: each.value for name, each in nullable.nullable_params.items()} == {"r": ""}


def test_of_a_request_that_is_forwarded_a_worker_is_told_the_route_if_it_wants_it() -> None:
    assert not _told("UseNullableValueDictionaryForHttp", forwarded=True).ListFields()
    (part,) = _told("UseNullableValueDictionaryForHttp", "RequiresRouteParameters", forwarded=True).ListFields()
    assert part[0].name == "nullable_params"


@pytest.mark.parametrize(("path", "attribute"), [(None, "; path=/"), ("", ""), ("/x", "; path=/x")])
def test_a_cookie_has_the_path_that_was_set(path: str | None, attribute: str) -> None:
    data = TypedData()
    cookie = data.http.cookies.add(name="a", value="1")
    if path is not None:
        cookie.path.value = path
    value = typedvalues.read(data)
    assert value is not None
    assert value["http"].headers == [("Set-Cookie", f"a=1{attribute}")]

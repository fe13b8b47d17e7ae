"""What the body of a refusal says, in the shapes of the frameworks that functions are written with."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.outcome import errorbody
from bridge.outcome.errorbody import ErrorBody
from tests.core_kit import json_values, moderate

JSON = "application/json"
RFC_9110 = "https://tools.ietf.org/html/rfc9110#section-15.5.1"


def said(body: Any, status: int = 400) -> tuple[str, str]:
    """Code and message of a JSON body."""
    read = errorbody.read(JSON, json.dumps(body), status)
    return read.code, read.message


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        # Flask, Express, Go
        ({"error": "The csv has no header."}, "", "The csv has no header."),
        ({"error": {"code": "NoHeader", "message": "The csv has no header."}}, "NoHeader", "The csv has no header."),
        ({"success": False, "msg": "The csv has no header."}, "", "The csv has no header."),
        ({"ok": False, "reason": "quota exceeded"}, "", "quota exceeded"),
        # OAuth
        ({"error": "invalid_grant", "error_description": "The code has expired."}, "invalid_grant", "The code has expired."),
        # FastAPI
        ({"detail": "Item not found"}, "", "Item not found"),
        ({"detail": {"code": "NoItem", "message": "Item not found"}}, "NoItem", "Item not found"),
        ({"detail": [{"loc": ["body", "age"], "msg": "not an integer", "type": "int_parsing"}]}, "", "body.age: not an integer"),
        # ASP.NET Core and ASP.NET Web API
        (
            {"type": RFC_9110, "title": "Errors occurred.", "status": 400, "errors": {"Age": ["too low", "odd"]}, "traceId": "00-1"},
            "",
            "Errors occurred: Age: too low; odd",
        ),
        ({"Message": "The request is invalid.", "ModelState": {"m.Age": ["too low"]}}, "", "The request is invalid: m.Age: too low"),
        (
            {"Message": "An error has occurred.", "ExceptionMessage": "No such host.", "ExceptionType": "System.IO.IOException"},
            "System.IO.IOException",
            "No such host.",
        ),
        ("A text and nothing else", "", "A text and nothing else"),
        # GraphQL and JSON:API
        ({"data": None, "errors": [{"message": "No field x", "extensions": {"code": "BAD_FIELD"}}]}, "BAD_FIELD", "No field x"),
        ({"errors": [{"code": "7", "title": "Bad", "detail": "too short", "source": {"pointer": "/data/n"}}]}, "7", "/data/n: too short"),
        # Clouds
        ({"__type": "com.amazonaws.dynamodb#ValidationException", "message": "No such key"}, "ValidationException", "No such key"),
        ({"errorType": "KeyError", "errorMessage": "'a'", "stackTrace": ["line 1"]}, "KeyError", "'a'"),
        ({"error": {"code": 400, "message": "No such zone", "status": "INVALID_ARGUMENT"}}, "INVALID_ARGUMENT", "No such zone"),
        ({"kind": "Status", "status": "Failure", "message": "no pod x", "reason": "NotFound", "code": 404}, "NotFound", "no pod x"),
        ({"error": {"code": "X", "message": {"lang": "en", "value": "No such entity"}}}, "X", "No such entity"),
        ({"fault": {"faultstring": "Invalid key"}}, "", "Invalid key"),
        # NestJS, Spring, Laravel, Rails, Django, express-validator, zod, RFC 7807's example
        ({"statusCode": 400, "message": ["a is text", "b is missing"], "error": "Bad Request"}, "", "a is text; b is missing"),
        ({"status": 500, "error": "Internal Server Error", "message": "", "path": "/x"}, "", "Internal Server Error"),
        ({"message": "Invalid data.", "errors": {"mail": ["is taken"]}}, "", "Invalid data: mail: is taken"),
        ({"errors": ["Name is too long", "Age is odd"]}, "", "Name is too long; Age is odd"),
        (
            {"mail": ["This field is required."], "age": ["A number is required."]},
            "",
            "mail: This field is required.; age: A number is required.",
        ),
        ({"errors": [{"type": "field", "msg": "Invalid value", "path": "mail", "location": "body"}]}, "", "mail: Invalid value"),
        ({"error": {"name": "ZodError", "issues": [{"path": ["a", 0], "message": "Required"}]}}, "ZodError", "a.0: Required"),
        ({"title": "Not valid.", "invalid-params": [{"name": "age", "reason": "odd"}]}, "", "Not valid: age: odd"),
    ],
)
def test_the_person_sees_what_the_function_says(body: Any, code: str, message: str) -> None:
    assert said(body, status=404 if "kind" in body else 400) == (code, message)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"root_cause": [], "type": "index_not_found", "reason": "no such index"}}, "index_not_found", "no such index"),
        ({"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid request"}, "id": None}, "-32600", "Invalid request"),
        ({"ok": False, "error": "channel_not_found"}, "", "channel_not_found"),
        ({"Error": ["too long", "too odd"]}, "", "too long; too odd"),
        ({"ErrorCode": 17, "ErrMsg": "No such zone"}, "17", "No such zone"),
        ([{"code": "X", "field": "age", "message": "too low"}], "", "age: too low"),
        ({"error": {"errors": [{"domain": "global", "message": "No such zone"}], "code": 400}}, "", "No such zone"),
        ({"data": {"message": "No such zone"}}, "", "No such zone"),
        ({"error": 404}, "", '{"error": 404}'),
    ],
)
def test_names_of_fields_may_vary(body: Any, code: str, message: str) -> None:
    assert said(body) == (code, message)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("text/plain", "System.Exception: boom\r\n   at Program.Main() in a.cs:line 1\r\n   at B()", "System.Exception: boom"),
        ("text/plain", 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: boom\n', "ValueError: boom"),
        ("text/plain", "java.lang.Error: boom\n\tat a.B.c(B.java:1)", "java.lang.Error: boom"),
        ("text/plain", "panic: boom\n\ngoroutine 1 [running]:\nmain.main()", "panic: boom"),
        ("text/plain", "two\nlines", "two\nlines"),
        ("application/json", "words that are no JSON", "words that are no JSON"),
        ("application/json", "\ufffd", ""),
        ("text/xml", "<s:Reason><s:Text xml:lang='en'>No such zone</s:Text></s:Reason>", "No such zone"),
    ],
)
def test_of_a_text_the_frames_of_a_stack_trace_are_left_out(kind: str, text: str, message: str) -> None:
    assert errorbody.read(kind, text, 500).message == message


@pytest.mark.parametrize("body", [{"reply": {"state": "broken"}}, {"code": None, "message": {"a": 1}}])
def test_a_shape_that_nobody_knows_is_shown_as_it_is(body: Any) -> None:
    assert said(body) == ("", json.dumps(body))


def test_a_body_of_an_unknown_shape_is_cut() -> None:
    assert len(said({"values": {str(number): number for number in range(10_000)}})[1]) == 301


@pytest.mark.parametrize("body", [{}, [], "", None, {"message": ""}, {"errors": []}, {"error": {}}, {"detail": None}])
def test_a_body_without_content_says_nothing(body: Any) -> None:
    assert said(body) == ("", "")


def test_of_many_errors_the_first_ten_are_shown() -> None:
    message = said({"errors": [f"e{number}" for number in range(1000)]})[1]
    assert message.endswith("e9; and more")


def test_the_status_itself_is_no_code() -> None:
    assert [said({"code": code, "message": "m"}, 404)[0] for code in (404, "404", 5)] == ["", "", "5"]


def test_a_stack_trace_beside_the_message_is_left_out() -> None:
    assert said({"message": "boom", "details": "Traceback\n  line 1", "stack": "at x"}) == ("", "boom")


@pytest.mark.parametrize(
    ("kind", "text", "code", "message"),
    [
        ("text/plain", "method not allowed\n", "", "method not allowed"),
        ("", "no content type", "", "no content type"),
        ("text/plain", '{"message": "JSON that is called text"}', "", "JSON that is called text"),
        ("text/plain", "[ERROR] not JSON", "", "[ERROR] not JSON"),
        ("text/html", "<html><head><title>502 Bad\n Gateway</title></head><h1>Nginx</h1></html>", "", "502 Bad Gateway"),
        (
            "text/html",
            "<!doctype html><title>400 Bad Request</title><h1>Bad</h1><p>No <b>csv</b> &amp; no rows</p>",
            "",
            "400 Bad Request: No csv & no rows",
        ),
        ("", "<HTML><TITLE lang='en'>Down</TITLE>", "", "Down"),
        ("text/html", "<h1>Down for repair</h1>", "", "Down for repair"),
        ("text/html", "plain words", "", "plain words"),
        ("application/xml", "<?xml?><Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>", "NoSuchKey", "a < b"),
        (
            "text/xml",
            "<s:Envelope><s:Fault><faultcode>s:Client</faultcode><faultstring>No.</faultstring></s:Fault></s:Envelope>",
            "s:Client",
            "No.",
        ),
        ("application/x-www-form-urlencoded", "error=bad_code&error_description=It+has+expired", "bad_code", "It has expired"),
        ("application/json", '{"message": "cut off he', "", "cut off he"),
        ("application/json", "<html>", "", ""),
        ("image/png", "\ufffdPNG\x00", "", ""),
        ("application/octet-stream", "readable all the same", "", "readable all the same"),
    ],
)
def test_other_media_types_are_read_too(kind: str, text: str, code: str, message: str) -> None:
    read = errorbody.read(kind, text, 400)
    assert (read.code, read.message) == (code, message)


def test_hint_and_retriable_are_the_contracts_own() -> None:
    body = {"code": "Full", "message": "m", "hint": "h", "retriable": False}
    assert errorbody.read(JSON, json.dumps(body), 503) == ErrorBody("Full", "m", "h", final=True)
    assert errorbody.read(JSON, json.dumps({"error": body}), 503) == ErrorBody("Full", "m", "h", final=True)


@moderate
@given(json_values)
def test_no_json_breaks_it(value: Any) -> None:
    errorbody.read(JSON, json.dumps(value), 500)


@given(st.sampled_from(["", "text/html", "text/xml", "text/plain", JSON]), st.text())
def test_no_text_breaks_it(kind: str, text: str) -> None:
    errorbody.read(kind, text, 500)


@pytest.mark.parametrize("piece", ["<title>", "<p ", "<a:", "<a>", "[", '{"error":', "&amp", "</p", '{"errors":[', "<h1>x</", "a=b&"])
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    began = time.process_time()
    for kind in ("text/html", "text/xml", JSON, "application/x-www-form-urlencoded"):
        errorbody.read(kind, piece * (65_536 // len(piece)), 500)
    assert time.process_time() - began < 1

"""What a function's answer means."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import CallFailed
from bridge.outcome import MAX_CODE, Accepted, Failed, Outcome, Succeeded
from bridge.outcome.httpanswer import LONGEST_WAIT, classify
from bridge.ports import FunctionResponse
from bridge.redaction import MAX_MESSAGE

LIMIT = 1_000_000
JSON = "application/json; charset=utf-8"
PROBLEM = "application/problem+json"


def answered(status: int, body: bytes = b"", kind: str = JSON, **headers: str) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(FunctionResponse(status, {"content-type": kind, **named}, body), LIMIT)


def failed(status: int, body: bytes = b"", kind: str = JSON, **headers: str) -> Failed:
    outcome = answered(status, body, kind, **headers)
    assert isinstance(outcome, Failed)
    return outcome


@pytest.mark.parametrize(
    ("status", "kind", "body", "output"),
    [
        (200, JSON, b'{"a": 1}', {"a": 1}),
        (201, "application/vnd.acme+json", b"[1, 2]", [1, 2]),
        (200, "Application/JSON", b'\xef\xbb\xbf"with a byte order mark"', "with a byte order mark"),
        (200, JSON, b"1152921504606846976", 2**60),
        (200, JSON, b"null", None),
        (200, "text/plain", "grün".encode(), "grün"),
        (200, "text/plain; charset=iso-8859-1", b"gr\xfcn", "grün"),
        (200, 'text/plain; charset="utf-16"', "grün".encode("utf-16"), "grün"),
        (200, "text/plain; charset=rot13", b"not turned", "not turned"),
        (200, "text/plain; charset=klingon", b"as utf-8", "as utf-8"),
        (200, "application/xml", b"<a/>", "<a/>"),
        (200, "", b"no type at all", "no type at all"),
        (200, "text/plain", b'{"a": 1}', '{"a": 1}'),
        (204, JSON, b"", None),
        (200, JSON, b"", None),
    ],
)
def test_a_success_is_its_output(status: int, kind: str, body: bytes, output: Any) -> None:
    assert answered(status, body, kind) == Succeeded.of(output)


def test_accepted_means_the_result_follows_whatever_the_body_says() -> None:
    assert answered(202, b"{not json") == Accepted()


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (JSON, b"{", "not JSON"),
        (JSON, b"NaN", "not JSON"),
        (JSON, b'{"a": 1} trailing', "not JSON"),
        (JSON, b'"\\ud800"', "not JSON"),
        (JSON, b"[" * 5000, "not JSON"),
        (JSON, b"[1e400]", "too large"),
        (JSON, b"-" + b"9" * 400 + b".0", "too large"),
        ("image/png", b"\x89PNG", "image/png"),
        ("text/plain", b"\xff\xfe\xfa", "not text in utf-8"),
    ],
)
def test_an_output_that_cannot_be_kept_is_a_bad_answer(kind: str, body: bytes, says: str) -> None:
    outcome = failed(200, body, kind)
    assert (outcome.code, outcome.retriable, outcome.status) == ("BadAnswer", False, 200)
    assert says in outcome.message
    assert "JSON" in outcome.hint


def test_a_text_that_says_infinity_is_no_number() -> None:
    assert answered(200, b'["Infinity"]') == Succeeded.of(["Infinity"])


def test_a_compressed_answer_nobody_asked_for_is_a_bad_answer() -> None:
    assert "gzip" in failed(200, b"\x1f\x8b", content_encoding="gzip").message


@pytest.mark.parametrize(("size", "fits"), [(LIMIT - 2, True), (LIMIT - 1, False)])
def test_the_limit_counts_the_stored_json(size: int, fits: bool) -> None:
    outcome = answered(200, b"x" * size, "text/plain")
    assert isinstance(outcome, Succeeded) is fits
    assert fits or (isinstance(outcome, Failed) and outcome.code == "OutputTooLarge" and "1,000,001" in outcome.message)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_trouble_of_the_app_may_be_tried_again(status: int) -> None:
    outcome = failed(status)
    assert (outcome.code, outcome.retriable, outcome.unknown, outcome.status) == (f"Http{status}", True, False, status)


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 405, 409, 413, 422, 499])
def test_every_other_answer_stands_and_says_what_to_do(status: int) -> None:
    outcome = failed(status)
    assert (outcome.code, outcome.retriable) == (f"Http{status}", False)
    assert str(status) in outcome.message
    assert outcome.hint


def test_a_redirect_is_named_and_not_followed() -> None:
    outcome = failed(302, location="http://elsewhere/\x1b[31m")
    assert "http://elsewhere/ [31m" in outcome.message
    assert "not followed" in outcome.hint


@pytest.mark.parametrize(
    ("kind", "body", "code", "message", "hint"),
    [
        (JSON, {"code": "NoSuchHost", "message": "gone", "hint": "look"}, "NoSuchHost", "gone", "look"),
        (JSON, {"error": {"code": "NoSuchHost", "message": "gone"}}, "NoSuchHost", "gone", ""),
        (JSON, {"code": 42, "message": "gone"}, "42", "gone", ""),
        (PROBLEM, {"type": "https://a/b", "title": "Gone", "detail": "it is gone"}, "https://a/b", "it is gone", ""),
        (PROBLEM, {"type": "about:blank", "title": "Gone"}, "Gone", "Gone", ""),
        (PROBLEM, {"code": "Mine", "type": "https://a/b", "detail": "it is gone", "hint": "look"}, "Mine", "it is gone", "look"),
    ],
)
def test_what_a_function_says_of_its_failure_is_taken_over(kind: str, body: Any, code: str, message: str, hint: str) -> None:
    outcome = failed(422, json.dumps(body).encode(), kind)
    assert (outcome.code, outcome.message, outcome.hint) == (code, message, hint)


def test_a_plain_text_is_the_message() -> None:
    assert failed(409, b"already there\n", "text/plain").message == "already there"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'""', b"null", b'{"code": null, "message": {}}', b"{", b"\xff"])
def test_a_failure_that_says_nothing_usable_gets_the_usual_words(body: bytes) -> None:
    outcome = failed(404, body)
    assert (outcome.code, outcome.message) == ("Http404", "The function answered 404 (Not Found) and gave no message.")


def test_a_failure_in_the_shape_of_a_framework_is_told_in_its_words() -> None:
    outcome = failed(400, b'{"error": "invalid_grant", "error_description": "The code has expired."}')
    assert (outcome.code, outcome.message, outcome.hint) == ("invalid_grant", "The code has expired.", "")


def test_a_message_that_says_no_more_than_the_status_leaves_the_usual_hint() -> None:
    for status, body in ((404, b"<title>404 - Not Found</title>"), (502, b"<title>502 Bad Gateway</title>"), (401, b"Unauthorized")):
        assert failed(status, body, "text/html").hint == failed(status).hint != ""
    assert failed(404, b"<title>404 no such table</title>", "text/html").hint == ""


def test_a_token_that_is_refused_is_told_from_the_challenge() -> None:
    challenge = 'Bearer realm="x", error="invalid_token", error_description="The token has expired"'
    outcome = failed(401, b"", "", www_authenticate=challenge)
    assert (outcome.code, outcome.message) == ("invalid_token", "The token has expired")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_that_says_retriable_false_is_not_tried_again(status: int) -> None:
    assert not failed(status, b'{"code": "ValueError", "message": "boom", "retriable": false}').retriable
    assert failed(status, b'{"code": "ValueError", "message": "boom", "retriable": "false"}').retriable
    assert not failed(422, b'{"message": "boom", "retriable": true}').retriable


def test_codes_and_messages_are_bounded_and_cannot_forge_lines() -> None:
    outcome = failed(400, json.dumps({"code": "A" * 500, "message": "one\r\ntwo\x1b[2J \u202ethree" + "x" * 9000}).encode())
    assert len(outcome.code) == MAX_CODE
    assert len(outcome.message) == MAX_MESSAGE
    assert outcome.message.startswith("one two [2J three")


@given(st.integers(200, 599), st.sampled_from([JSON, PROBLEM, "text/plain", "text/html", ""]), st.binary(max_size=60))
def test_no_answer_breaks_it(status: int, kind: str, body: bytes) -> None:
    outcome = answered(status, body, kind)
    if isinstance(outcome, Failed):
        assert outcome.code
        assert outcome.message.isprintable()


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "120"}, timedelta(seconds=120)),
        ({"retry_after": "0"}, timedelta(0)),
        ({"retry_after": "9" * 400}, LONGEST_WAIT),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "soon"}, None),
        ({}, None),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, timedelta(seconds=30)),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, timedelta(0)),
        ({"retry_after": "Wed, 21 Oct 9026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, LONGEST_WAIT),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_clock_of_the_app(headers: dict[str, str], wait: timedelta | None) -> None:
    assert failed(503, **headers).retry_after == wait


@pytest.mark.parametrize(
    ("reason", "may_have_run", "code", "retriable", "unknown"),
    [
        ("ConnectionFailed", False, "ConnectionFailed", True, False),
        ("ConnectionLost", True, "ConnectionLost", True, True),
        ("Timeout", True, "Timeout", True, True),
        ("AnswerTooLarge", True, "OutputTooLarge", False, False),
        ("UnknownApp", False, "UnknownApp", True, False),
    ],
)
def test_no_answer_is_told_by_whether_it_may_have_run(reason: str, may_have_run: bool, code: str, retriable: bool, unknown: bool) -> None:
    outcome = classify(CallFailed(reason, "what happened", may_have_run=may_have_run), LIMIT)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retriable, outcome.unknown, outcome.status) == (code, retriable, unknown, None)
    assert outcome.message == "what happened"
    assert outcome.hint

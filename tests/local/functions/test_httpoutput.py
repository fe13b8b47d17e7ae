from __future__ import annotations

from typing import Any

import pytest

from bridge.local.functions import httpoutput


def made(body: dict[str, Any], *headers: tuple[str, str], status: str = "200") -> tuple[int, dict[str, str], bytes]:
    response = httpoutput.response({"http": {"status": status, "body": body, "headers": [list(each) for each in headers]}})
    return response.status, dict(response.headers), response.body


def test_a_function_that_pushed_nothing_answers_204() -> None:
    assert httpoutput.response(None).status == 204


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"string": "hi"}, "hi"),
        ({"json": '{"a":[1,{"b":null}],"c":{}}'}, '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n  "c": {}\n}'),
        ({"json": "true"}, "True"),
        ({"json": '"2026-11-28T10:00:00Z"'}, "2026-11-28T10:00:00Z"),
        ({"json": "1.50"}, "1.5"),
        ({"json": "null"}, ""),
        ({"json": "[" * 5000}, "[" * 5000),
        ({"int": 2**63 - 1}, "9223372036854775807"),
        ({"double": 2.0}, "2"),
        ({"double": "NaN"}, "NaN"),
        ({"string": "ä€😀"}, "ä€😀"),
        ({"string": "half \ud800"}, "half ?"),
    ],
)
def test_a_body_is_written_as_azure_writes_it(body: dict[str, Any], text: str) -> None:
    assert made(body)[2].decode() == text


def test_text_gets_a_charset_and_bytes_do_not() -> None:
    assert made({"string": "x"}, ("content-type", "image/png"))[1] == {"Content-Type": "image/png; charset=utf-8"}
    assert made({"string": "ä"}, ("content-type", "text/html; Charset=latin1"))[1:] == (
        {"Content-Type": "text/html; charset=utf-8"},
        "ä".encode(),
    )
    assert made({"string": "ä"}, ("content-type", "text/html; charset=utf-16"))[2] == "ä".encode("utf-16-le")
    assert made({"bytes": "AP8="}, ("content-type", "image/png"))[1:] == ({"content-type": "image/png"}, b"\x00\xff")


def test_of_two_content_types_the_last_counts_and_of_other_names_the_first() -> None:
    _, headers, _ = made(
        {"string": "x"}, ("Content-Type", "text/html"), ("X-A", "1"), ("x-a", "2"), ("content-type", "text/plain"), status="404"
    )

    assert headers == {"Content-Type": "text/plain; charset=utf-8", "X-A": "1"}


@pytest.mark.parametrize("status", ["204", "205", "304"])
def test_some_statuses_have_no_body(status: str) -> None:
    assert made({"string": "x"}, status=status)[2] == b""

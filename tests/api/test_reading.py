"""What the API reads from a request, and what it says where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from bridge.api import problem, reading
from bridge.errors import Malformed, TooLarge, UnsupportedMediaType

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def request(query: str = "", *parts: bytes, **headers: str) -> Request:
    """One whose body comes in these parts; `content_type` in `headers` is the header Content-Type."""
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return waiting.pop(0)

    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "query_string": query.encode(), "headers": lines}, receive)


async def test_a_body_of_many_parts_is_one_as_long_as_it_fits() -> None:
    assert await reading.body(request("", b"ab", b"cd"), 4) == b"abcd"
    with pytest.raises(TooLarge, match="larger than 3 bytes"):
        await reading.body(request("", b"ab", b"cd"), 3)


async def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    with pytest.raises(TooLarge):
        await reading.body(request("", b"ab", content_length="9"), 3)


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"])
def test_json_may_be_announced_in_many_ways(media_type: str) -> None:
    reading.require_json(request(content_type=media_type))


@pytest.mark.parametrize("media_type", ["", "text/json", "application/jsonl", "application/json, text/html"])
def test_what_is_not_announced_as_json_is_not_taken(media_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        reading.require_json(request(content_type=media_type))


@pytest.mark.parametrize(("query", "seconds"), [("", 0), ("wait=2.5", 2.5), ("wait=1e3", 60), ("wait=6.3e307", 60)])
def test_a_wait_is_a_number_of_seconds_up_to_the_longest(query: str, seconds: float) -> None:
    assert reading.wait(request(query), 60) == seconds


@pytest.mark.parametrize(("prefer", "seconds"), [("", None), ("wait=5", 5), ("respond-async, wait = 99", 60), ("await=5", None)])
def test_a_preferred_wait_stands_among_other_preferences(prefer: str, seconds: float | None) -> None:
    assert reading.preferred_wait(request(prefer=prefer), 60) == seconds


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "zstd", "identity, gzip", "x-made-up"])
async def test_a_content_coding_is_refused_by_its_name(coding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=coding) as caught:
        await reading.body(request("", b"{}", content_encoding=coding), 9)
    assert problem.answer(caught.value).headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
async def test_no_coding_is_one(coding: str) -> None:
    assert await reading.body(request("", b"{}", content_encoding=coding), 9) == b"{}"


def test_another_charset_than_utf_8_is_refused_by_its_name() -> None:
    with pytest.raises(UnsupportedMediaType, match="'utf-16'"):
        reading.require_json(request(content_type="application/json; charset=utf-16"))


def test_lines_of_tracestate_are_one_list() -> None:
    asked = request(traceparent=TRACEPARENT, tracestate="a=1,b=2")
    asked.scope["headers"].append((b"tracestate", b"c=3"))
    assert reading.trace(asked) == (TRACEPARENT, "a=1,b=2,c=3")


def test_of_several_traceparents_none_counts() -> None:
    asked = request(traceparent=TRACEPARENT, tracestate="a=1")
    asked.scope["headers"].append((b"traceparent", TRACEPARENT.encode()))
    assert reading.trace(asked) == ("", "")


@pytest.mark.parametrize(
    ("read", "query", "told"),
    [
        (lambda asked: reading.wait(asked, 60), "wait=soon", "wait='soon' is not a number of seconds"),
        (lambda asked: reading.wait(asked, 60), "wait=-1", "wait='-1'"),
        (reading.limit, "limit=0", "from 1 to 200"),
        (reading.limit, "limit=201", "from 1 to 200"),
        (reading.since, "since=yesterday", "since='yesterday' is not an RFC 3339 time"),
        (reading.number, "number=01", "is not the number of a replay"),
        (lambda asked: reading.choice(asked, "event"), "event=yes", "'yes' is neither true nor false"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_value(read: Any, query: str, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        read(request(query))


@pytest.mark.parametrize("header", ["x_correlation_id", "x_deadline"])
def test_a_header_that_is_there_and_says_nothing_is_refused(header: str) -> None:
    with pytest.raises(Malformed, match="is empty"):
        reading.submission(request(**{header: ""}), "one", (None, b"null"))

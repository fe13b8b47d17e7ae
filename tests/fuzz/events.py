"""Events that are nearly right, and bytes that are none."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from tests.core_kit import json_values

JSON = "application/json"
#: What stands in an event that is taken.
RIGHT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "order-1",
    "source": "/fuzz",
    "type": "automation.requested",
    "subject": "one",
}
NAMES = st.sampled_from(
    [
        *(*RIGHT, "correlationid", "causationid", "expirytime", "replytopic", "time", "datacontenttype", "traceparent", "tracestate"),
        *("invocationtoken", "authid", "authsignature", "inputdigest", "rerunof", "data_base64", "Data", "UPPER", "x" * 30, ""),
    ]
)
#: Values that mean something somewhere, and such that only look so.
TEXTS = st.sampled_from(
    [
        *("one", "two", "work", "order-1", "order-2", "order-1/only", "order-1/~deadline", "automation-replies", "automation.requested"),
        *("automation.result", "automation.invoked", "automation.cancel", "automation.deadline", "1.0", "0.3", JSON, "text/xml"),
        *("2026-01-31T12:00:30Z", "2020-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+14:00", "0001-01-01T00:00:00-14:00", "tomorrow"),
        *("", " ", "\0", "\n", "a/b", "../x", "x" * 101, "x" * 5_000, "ä", "\u202e", "\ud800", "%00", "e30=", "{}", "null"),
    ]
)
VALUES = TEXTS | st.text(max_size=12) | json_values


@st.composite
def attributes(draw: st.DrawFn) -> dict[str, Any]:
    """The attributes of an event that is right but for some of them."""
    fault = draw(st.integers(0, 3))
    changed = draw(st.dictionaries(NAMES, VALUES, max_size=3)) if fault > 1 else {}
    left_out = draw(st.sets(st.sampled_from(sorted(RIGHT)), max_size=1)) if fault == 3 else ()
    fresh = {"id": draw(st.sampled_from(["order-1", "order-2", "order-3"])), "subject": draw(st.sampled_from(["one", "two", "work"]))}
    return {name: value for name, value in {**RIGHT, **fresh, **changed}.items() if name not in left_out}


@st.composite
def structured(draw: st.DrawFn) -> bytes:
    """An event as JSON, sometimes with a fault in the JSON."""
    event = draw(attributes()) | draw(st.just({}) | st.fixed_dictionaries({"data": json_values}))
    if draw(st.booleans()) and "data" in event:
        event["data_base64"] = base64.b64encode(json.dumps(event.pop("data")).encode()).decode()
    return draw(broken(json.dumps(event).encode()))


@st.composite
def broken(draw: st.DrawFn, body: bytes) -> bytes:
    """The body as it is, most of the time; cut off, or with something in it that does not belong there."""
    fault = draw(st.integers(0, 5))
    at = draw(st.integers(0, len(body)))
    if fault == 4:
        return body[:at]
    if fault == 5:
        strange = st.binary(min_size=1, max_size=4) | st.sampled_from([b"NaN", b"1e400", b"\xef\xbb\xbf", b"[" * 300, b',"id":"order-9"'])
        return body[:at] + draw(strange) + body[at:]
    return body


bodies = st.integers(0, 7).flatmap(
    lambda kind: (
        structured() if kind < 6 else st.binary(max_size=60) if kind == 6 else json_values.map(lambda value: json.dumps(value).encode())
    )
)
batches = st.lists(attributes() | json_values, max_size=4)


@st.composite
def binary(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """Headers and body of an event in binary mode, as an HTTP server hands them over."""
    headers = {f"ce-{name.lower()}": _header(value) for name, value in draw(attributes()).items() if name}
    kind = draw(st.sampled_from([JSON, JSON, "application/json; charset=utf-8", "application/vnd.x+json", "text/plain", "", "/"]))
    return headers | ({"content-type": kind} if kind else {}), draw(broken(json.dumps(draw(json_values)).encode()))


def _header(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return quote(text, safe=" /:.-", errors="replace")

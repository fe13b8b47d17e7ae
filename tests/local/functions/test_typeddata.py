from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from bridge.local.functions import typeddata
from bridge.local.functions.httpmessage import HttpRequest


def http(body: bytes = b"", *, with_metadata: bool = False, query: str = "", **headers: str) -> Any:
    sent = {"host": "h", "content-length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
    pairs = [part.partition("=") for part in query.split("&") if part]
    joined: dict[str, str] = {}
    for name, _, text in pairs:
        joined[name] = f"{joined[name]},{text}" if name in joined else text
    request = HttpRequest("POST", f"http://h/api/f?{query}", "/api/f", joined, sent, sent_headers=list(sent.items()))
    return typeddata.http("F", "Request", {"id": "route"}, request, body, with_metadata=with_metadata)


def test_a_body_is_text_unless_its_type_says_bytes() -> None:
    assert http(b"{}").value["http"]["body"] == {"string": "{}"}
    assert http(b"\xef\xbb\xbfx\xff", content_type="text/plain").value["http"]["body"] == {"string": "x\ufffd"}
    assert http(b"\x00", content_type="application/octet-stream").value["http"]["body"] == {"bytes": "AA=="}
    assert http(b"--x", content_type="multipart/form-data; boundary=x").value["http"]["body"] == {"bytes": b64encode(b"--x").decode()}


def test_there_is_no_body_where_none_came() -> None:
    assert http().value["http"]["body"] is None


def test_the_query_has_no_empty_values_and_one_name_whatever_its_case() -> None:
    made = http(query="a=1&b=&A=2&a=3", with_metadata=True)

    assert made.value["http"]["query"] == {"a": "1,3,2"}
    assert json.loads(made.metadata["Query"]["json"]) == {"a": "3", "b": ""}


def test_of_equal_names_in_metadata_the_route_s_wins_then_the_query_s() -> None:
    metadata = http(b'{"id": "body", "q": "body", "n": 1}', query="q=query&id=query", with_metadata=True).metadata

    assert (metadata["id"], metadata["q"], metadata["n"]) == ({"string": "route"}, {"string": "query"}, {"string": "1"})
    assert metadata["Request"] == metadata["$request"] == {"trigger": True}


def test_the_key_of_a_function_is_not_among_what_the_query_tells() -> None:
    metadata = http(b'{"code": "body"}', query="CODE=key&q=1", with_metadata=True).metadata

    assert (metadata["code"], metadata["q"], "CODE" in metadata) == ({"string": "body"}, {"string": "1"}, False)
    assert json.loads(metadata["Query"]["json"]) == {"CODE": "key", "q": "1"}


def test_names_in_metadata_are_one_in_any_letter_case() -> None:
    metadata = http(b'{"Name": "body", "ID": 1}', query="name=query", with_metadata=True).metadata

    assert {name: value for name, value in metadata.items() if name.lower() in ("name", "id")} == {
        "Name": {"string": "query"},
        "ID": {"string": "route"},
    }


def test_headers_stand_in_metadata_as_kestrel_lists_them() -> None:
    metadata = http(b"{}", with_metadata=True, **{"x-own": "1", "ACCEPT": "a/b", "content-type": "c/d", "connection": "close"}).metadata

    assert list(json.loads(metadata["Headers"]["json"])) == ["Accept", "Connection", "Host", "Content-Type", "Content-Length", "x-own"]


def test_what_the_host_says_of_the_call_is_seen_only_beside_a_sys_of_the_body() -> None:
    assert "$sys" not in http(b"{}", with_metadata=True).metadata
    made = http(b'{"sys": "own"}', with_metadata=True).metadata

    assert made["sys"] == {"string": "own"}
    assert json.loads(made["$sys"]["json"])["MethodName"] == "F"


def test_metadata_are_made_only_for_functions_that_take_them() -> None:
    assert http(b'{"a": 1}').metadata == {}

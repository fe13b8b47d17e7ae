from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pydantic_core import from_json

from bridge.api.guard import AUTHORITY, MAX_HEADERS, Guard
from bridge.auth import LOCAL, Tokens
from bridge.settings import Token
from tests.core_kit import ALICE

TOKENS = Tokens((Token(name="alice", sha256=hashlib.sha256(b"s3cret").hexdigest(), roles=("operators",)),))
BEARER = {"authorization": "Bearer s3cret"}
HOSTS = ("localhost", "127.0.0.1", "::1")
ORIGINS = ("https://bridge.example",)


async def ask(
    path: str = "/v1/requests",
    tokens: Tokens = TOKENS,
    kind: str = "http",
    again: str = "",
    authority: str | None = None,
    below: str = "",
    **headers: str,
) -> tuple[dict[str, Any] | None, Any]:
    """What the app behind the guard saw, if the request passed; else status, headers and problem."""
    seen: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    raw += [(again.encode(), b"again")] if again else []
    scope = {"type": kind, "path": path, "headers": raw, "method": "GET", "state": {}}
    if authority is not None:
        scope["state"] = {AUTHORITY: authority.encode()}
    await Guard(app, tokens=tokens, hosts=HOSTS, origins=ORIGINS, below=below)(scope, None, send)  # type: ignore[arg-type]  # the guard reads no body
    if seen:
        return seen[0], None
    start, body = sent
    return None, (start["status"], dict(start["headers"]), from_json(body["body"]))


async def refused(*arguments: Any, **headers: Any) -> tuple[int, dict[bytes, bytes], dict[str, Any]]:
    seen, answer = await ask(*arguments, **headers)
    assert seen is None
    status, sent, problem = answer
    assert sent[b"content-type"] == b"application/problem+json"
    assert (problem["status"], bool(problem["detail"])) == (status, True)
    return status, sent, problem


# With tokens.


async def test_a_known_token_passes_and_names_the_caller():
    seen, _ = await ask(**BEARER)
    assert seen is not None
    assert seen["state"]["caller"] == ALICE


@pytest.mark.parametrize(
    "path", ["/v1/requests", "/v1/events", "/v1/deadletters", "/metrics", "/", "/healthz", "/v1/invocations", "//healthz/live"]
)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}])
async def test_every_other_path_needs_one(path, headers):
    status, sent, problem = await refused(path, **headers)
    assert (status, sent[b"www-authenticate"], problem["code"]) == (401, b"Bearer", "Unauthorized")
    assert "Bearer <token>" in problem["hint"]


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready", "/openapi.json", "/v1/invocations/order-1/main"])
async def test_probes_description_and_invocations_are_open(path):
    seen, _ = await ask(path)
    assert seen is not None
    assert "caller" not in seen.get("state", {})


async def test_with_tokens_any_host_and_origin_may_ask():
    seen, _ = await ask(**BEARER, host="bridge.example", origin="https://console.example")
    assert seen is not None


# Without tokens.


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"},
        {"host": "127.0.0.1:8080"},
        {"host": "[::1]:8080"},
        {"host": "LOCALHOST:8080"},
        {"host": "localhost:8080", "origin": "http://localhost:8080"},
        {"host": "Localhost:8080", "origin": "http://localhost:8080"},
        {"host": "localhost:8080", "origin": "https://bridge.example"},
    ],
)
async def test_without_tokens_this_machine_may_do_everything(headers):
    seen, _ = await ask(tokens=Tokens(), **headers)
    assert seen is not None
    assert seen["state"]["caller"] is LOCAL


@pytest.mark.parametrize("path", ["/v1/requests", "/healthz/live", "/v1/invocations/order-1/main"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"host": "evil.example@localhost.evil.example"},
        {"host": "[::1"},
        {"host": "localhost."},
        {"host": "localhost:evil"},
        {"host": "evil.example@localhost"},
        {"host": "localhost/evil.example"},
        {"host": "localhost?evil.example"},
        {"host": "localhost#evil.example"},
        {"host": "2130706433"},
        {"host": "0.0.0.0"},  # noqa: S104 - an address that reaches this machine, too
        {"host": "[::ffff:127.0.0.1]"},
        {"host": "localhost:8080", "origin": "http://localhost:3000"},
        {"host": "localhost:8080", "origin": "http://localhost"},
        {"host": "localhost:8080", "origin": "http://127.0.0.1:8080"},
        {"host": "localhost", "origin": "https://evil.example"},
        {"host": "localhost", "origin": "null"},
        {"host": "localhost", "origin": ""},
        {"host": "localhost", "origin": "http://["},
    ],
)
async def test_without_tokens_another_name_or_origin_is_refused_everywhere(path, headers):
    status, _, problem = await refused(path, Tokens(), **headers)
    assert (status, problem["code"]) == (421, "WrongHost")
    assert problem["hint"]


@pytest.mark.parametrize("authority", ["localhost", "127.0.0.1:8080", "[::1]:80", "LOCALHOST"])
async def test_an_address_in_the_request_line_may_name_this_machine_too(authority):
    seen, _ = await ask(tokens=Tokens(), host="localhost:8080", authority=authority)
    assert seen is not None


@pytest.mark.parametrize("authority", ["", "evil.example", "localhost@evil.example", "evil.example:80@localhost", "localhost."])
async def test_an_address_in_the_request_line_that_names_another_is_refused(authority):
    status, _, problem = await refused("/v1/requests", Tokens(), host="localhost:8080", authority=authority)
    assert (status, problem["code"]) == (421, "WrongHost")
    assert "request line" in problem["detail"]


async def test_such_an_address_does_not_make_up_for_another_host():
    status, _, _ = await refused("/v1/requests", Tokens(), host="evil.example", authority="localhost")
    assert status == 421


async def test_a_page_of_the_address_in_the_request_line_is_one_of_the_bridge():
    for origin, passes in (("http://127.0.0.1:9", True), ("http://localhost", False)):
        seen, _ = await ask(tokens=Tokens(), host="localhost", authority="127.0.0.1:9", origin=origin)
        assert (seen is not None) is passes


# Both.


@pytest.mark.parametrize(
    ("path", "passed_on"),
    [
        ("/base/v1/requests/a", "/v1/requests/a"),
        ("/base/healthz/live", "/healthz/live"),
        ("/base/openapi.json", "/openapi.json"),
        ("/v1/requests/a", "/v1/requests/a"),
        ("/base", "/base"),
        ("/base/../v1/requests", "/base/../v1/requests"),
        ("/based/v1/requests", "/based/v1/requests"),
    ],
)
async def test_the_path_that_the_api_is_served_below_may_be_there_or_not(path, passed_on):
    seen, _ = await ask(path, below="/base", **BEARER)
    assert seen is not None
    assert seen["path"] == passed_on


async def test_below_a_path_the_same_needs_a_token():
    for path, status in (("/base/v1/requests", 401), ("/base/metrics", 401)):
        assert (await refused(path, below="/base"))[0] == status
    assert (await ask("/base/healthz/live", below="/base"))[0] is not None


@pytest.mark.parametrize("path", ["/v1/requests", "/v1/v1/requests"])
async def test_a_path_like_one_of_the_api_hides_none(path):
    seen, _ = await ask(path, below="/v1", **BEARER)
    assert seen is not None
    assert seen["path"] == "/v1/requests"


async def test_several_trace_contexts_are_no_reason_to_refuse():
    seen, _ = await ask(again="traceparent", traceparent="x", **BEARER)
    assert seen is not None


@pytest.mark.parametrize("tokens", [TOKENS, Tokens()])
async def test_headers_beyond_the_limit_are_refused_with_both_sizes(tokens):
    status, _, problem = await refused("/healthz/live", tokens, x="y" * MAX_HEADERS)
    assert (status, problem["code"]) == (431, "HeadersTooLarge")
    assert "32,769 bytes; 32,768 are allowed" in problem["detail"]


@pytest.mark.parametrize(
    "name",
    ["host", "origin", "authorization", "content-type", "x-correlation-id", "x-deadline", "x-invocation-token", "ce-id", "ce-subject"],
)
async def test_a_header_that_decides_something_comes_once(name):
    status, _, problem = await refused(again=name, **{**BEARER, name.replace("-", "_"): "first"})
    assert (status, problem["code"]) == (400, "Malformed")
    assert name in problem["detail"]


async def test_other_headers_may_come_twice():
    seen, _ = await ask(prefer="wait=1", again="prefer", **BEARER)
    assert seen is not None


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity"])
async def test_a_transfer_coding_that_would_have_to_be_undone_is_refused_by_its_name(coding):
    status, _, problem = await refused("/healthz/live", transfer_encoding=coding)
    assert (status, problem["code"]) == (400, "Malformed")
    assert repr(coding) in problem["detail"]


async def test_chunks_are_none():
    seen, _ = await ask("/healthz/live", transfer_encoding="Chunked")
    assert seen is not None


async def test_headers_up_to_the_limit_pass():
    seen, _ = await ask("/healthz/live", x="y" * (MAX_HEADERS - 1))
    assert seen is not None


async def test_what_is_no_request_passes():
    seen, _ = await ask("", kind="lifespan")
    assert seen is not None

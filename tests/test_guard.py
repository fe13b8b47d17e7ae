from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pydantic_core import from_json

from bridge.guard import MAX_HEADERS, Guard
from bridge.identity import LOCAL, Tokens
from bridge.settings import Token
from tests.core_kit import ALICE

TOKENS = Tokens((Token(name="alice", sha256=hashlib.sha256(b"s3cret").hexdigest(), roles=("operators",)),))
BEARER = {"authorization": "Bearer s3cret"}
HOSTS = ("localhost", "127.0.0.1", "::1")
ORIGINS = ("https://bridge.example",)


async def ask(
    path: str = "/v1/requests", tokens: Tokens = TOKENS, kind: str = "http", again: str = "", **headers: str
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
    await Guard(app, tokens=tokens, hosts=HOSTS, origins=ORIGINS)({"type": kind, "path": path, "headers": raw, "method": "GET"}, None, send)  # type: ignore[arg-type]  # the guard reads no body
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


# Both.


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


async def test_headers_up_to_the_limit_pass():
    seen, _ = await ask("/healthz/live", x="y" * (MAX_HEADERS - 1))
    assert seen is not None


async def test_what_is_no_request_passes():
    seen, _ = await ask("", kind="lifespan")
    assert seen is not None

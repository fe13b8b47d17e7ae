"""Pages of the origins that the settings name may call the API, and no others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic_core import from_json

from bridge.settings import Settings, Token
from tests.api.test_openapi import answer
from tests.pipeline_kit import World, world

PAGE = {"origin": "https://console.example"}
STRANGERS = [
    "https://evil.example",
    "https://console.example.evil.example",
    "https://console.example:8443",
    "http://console.example",
    "https://CONSOLE.example",
    "null",
    "",
]
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type,ce-id,prefer"}
BEARER = {"authorization": "Bearer s3cret"}
ASK = "/v1/automations/one/requests"


@pytest.fixture
async def bridge(tmp_path: Path) -> World:
    made = await world(tmp_path)
    token = Token(name="ops", sha256=hashlib.sha256(b"s3cret").hexdigest())
    made.settings = Settings(tokens=(token,), cors_origins=("https://console.example",))
    return await made.start()


@pytest.mark.parametrize("path", [ASK, "/v1/events", "/v1/requests/order-1", "/v1/requests/order-1/events"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_browser_that_asks_for_a_page_of_the_list_hears_what_it_may_send(bridge: World, path: str, method: str) -> None:
    status, sent, body = await answer(bridge, "OPTIONS", path, b"", {**PAGE, **PREFLIGHT, "access-control-request-method": method})
    assert (status, body) == (204, b"")
    assert sent["access-control-allow-origin"] == PAGE["origin"]
    assert method in sent["access-control-allow-methods"].split(", ")
    assert sent["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert "Origin" in sent["vary"]
    assert "access-control-allow-credentials" not in sent


@pytest.mark.parametrize("origin", STRANGERS)
async def test_for_any_other_page_it_hears_no(bridge: World, origin: str) -> None:
    status, sent, body = await answer(bridge, "OPTIONS", ASK, b"", {**PREFLIGHT, "origin": origin})
    assert (status, sent["content-type"], from_json(body)["code"]) == (403, "application/problem+json", "Forbidden")
    assert "cors_origins" in from_json(body)["hint"]
    assert "access-control-allow-origin" not in sent


async def test_a_method_that_the_api_does_not_have_is_told(bridge: World) -> None:
    status, _, body = await answer(bridge, "OPTIONS", ASK, b"", {**PAGE, "access-control-request-method": "PUT"})
    assert status == 403
    assert "GET, HEAD, POST" in from_json(body)["hint"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("POST", ASK, {**BEARER, "content-type": "application/json"}, 202),
        ("POST", ASK, {**BEARER, "content-type": "text/plain"}, 415),
        ("GET", "/v1/requests/none", BEARER, 404),
        ("GET", "/v1/requests", {}, 401),
        ("GET", "/v1/nowhere", BEARER, 404),
        ("GET", "/v1/requests", {**BEARER, "x": "y" * 40_000}, 431),
    ],
)
async def test_a_page_of_the_list_reads_every_answer_and_where_to_go_on(
    bridge: World, method: str, path: str, headers: dict[str, str], expected: int
) -> None:
    status, sent, _ = await answer(bridge, method, path, b"{}" if method == "POST" else b"", {**PAGE, **headers})
    assert (status, sent["access-control-allow-origin"], sent["vary"]) == (expected, PAGE["origin"], "Origin")
    assert {"Location", "Retry-After"} <= set(sent["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize("origin", STRANGERS)
async def test_no_other_page_reads_an_answer(bridge: World, origin: str) -> None:
    status, sent, _ = await answer(bridge, "GET", "/v1/requests", b"", {**BEARER, "origin": origin})
    assert (status, sent["vary"]) == (200, "Origin")
    assert "access-control-allow-origin" not in sent


async def test_without_the_setting_nothing_is_said_of_origins(tmp_path: Path) -> None:
    _, sent, _ = await answer(await world(tmp_path), "GET", "/v1/requests", b"", {})
    assert not [name for name in sent if name.startswith("access-control") or name == "vary"]


async def test_without_tokens_a_loopback_page_of_the_list_may_do_everything_and_no_other(tmp_path: Path) -> None:
    made = await world(tmp_path)
    made.settings = Settings(cors_origins=("http://localhost:3000",))
    await made.start()
    headers = {"content-type": "application/json"}
    status, sent, _ = await answer(made, "POST", ASK, b"{}", {**headers, "origin": "http://localhost:3000"})
    assert (status, sent["access-control-allow-origin"]) == (202, "http://localhost:3000")
    for origin in ("http://localhost:3001", "https://localhost:3000", "http://127.0.0.1:3000"):
        assert (await answer(made, "POST", ASK, b"{}", {**headers, "origin": origin}))[0] == 421

"""The question of Event Grid, and of whoever keeps to CloudEvents' web hooks, whether events are expected here."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import from_json

from bridge.settings import Settings, Token
from tests.api.test_openapi import answer
from tests.pipeline_kit import World, world

SENDER = {"webhook-request-origin": "eventgrid.azure.net"}


@pytest.fixture(params=[(), (Token(name="ops", sha256="ab" * 32),)], ids=["without tokens", "with tokens"])
async def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = await world(tmp_path)
    made.settings = Settings(tokens=request.param)
    return await made.start()


async def test_a_sender_that_names_itself_may_deliver_at_any_rate(bridge: World) -> None:
    headers = {**SENDER, "webhook-request-rate": "120", "webhook-request-callback": "https://evil.example/?id=1"}
    status, sent, body = await answer(bridge, "OPTIONS", "/v1/events", b"", headers)
    assert (status, body) == (200, b"")
    assert (sent["webhook-allowed-origin"], sent["webhook-allowed-rate"], sent["allow"]) == ("eventgrid.azure.net", "*", "OPTIONS, POST")


async def test_without_the_question_there_is_no_consent(bridge: World) -> None:
    status, sent, _ = await answer(bridge, "OPTIONS", "/v1/events", b"", {})
    assert (status, sent["allow"]) == (200, "OPTIONS, POST")
    assert not [name for name in sent if name.startswith("webhook")]


@pytest.mark.parametrize("name", ["", "a b", "https://evil.example/", "a\r\nset-cookie: x", "x" * 300])
async def test_what_is_no_name_gets_no_consent(bridge: World, name: str) -> None:
    status, sent, body = await answer(bridge, "OPTIONS", "/v1/events", b"", {"webhook-request-origin": name})
    assert (status, from_json(body)["code"]) == (400, "Malformed")
    assert not [name for name in sent if name.startswith("webhook")]


async def test_the_consent_opens_nothing_else(bridge: World) -> None:
    needs_token = bool(bridge.settings.tokens)
    assert (await answer(bridge, "OPTIONS", "/v1/requests", b"", SENDER))[0] == (401 if needs_token else 405)
    event = {"content-type": "application/cloudevents+json", **SENDER}
    assert (await answer(bridge, "POST", "/v1/events", b"{}", event))[0] == (401 if needs_token else 400)

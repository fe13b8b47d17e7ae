"""Where an accepted request leads, and whose trace its events belong to."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic_core import from_json, to_json

from bridge.settings import Settings
from tests.api.test_openapi import BINARY, EVENT, JSON, answer
from tests.pipeline_kit import World, world

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN = TRACEPARENT.replace("-01", "-00")
ASKED = {"specversion": "1.0", "id": "id-1", "source": "/t", "type": "automation.requested", "subject": "one"}


@pytest.fixture
async def bridge(tmp_path: Path) -> World:
    return await world(tmp_path)


@pytest.mark.parametrize(
    ("public_url", "location"),
    [
        ("https://bridge.example.com", "/v1/requests/a:b@c"),
        ("https://host.example.com/teams/bridge", "/teams/bridge/v1/requests/a:b@c"),
    ],
)
async def test_a_location_is_below_the_path_of_the_public_url(bridge: World, public_url: str, location: str) -> None:
    bridge.settings = Settings(public_url=public_url)
    await bridge.start()
    _, sent, _ = await answer(bridge, "POST", "/v1/automations/one/requests", b"{}", {**JSON, "x-correlation-id": "a:b@c"})
    assert sent["location"] == location
    _, sent, body = await answer(bridge, "POST", "/v1/requests/a:b@c/rerun", b"", {})
    assert sent["location"] == location.replace("a:b@c", from_json(body)["correlationId"])


async def test_what_a_client_is_led_to_is_there(bridge: World) -> None:
    bridge.settings = Settings(public_url="https://host.example.com/base")
    await bridge.start()
    _, sent, _ = await answer(bridge, "POST", "/v1/events", b"{}", BINARY)
    assert (await answer(bridge, "GET", sent["location"], b"", {}))[0] == 202


@pytest.mark.parametrize(
    ("own", "headers", "expected"),
    [
        ({}, {}, ("", "")),
        ({}, {"traceparent": TRACEPARENT, "tracestate": "a=1"}, (TRACEPARENT, "a=1")),
        ({"tracestate": "b=2"}, {"traceparent": TRACEPARENT}, (TRACEPARENT, "")),
        ({"traceparent": OWN, "tracestate": "b=2"}, {"traceparent": TRACEPARENT, "tracestate": "a=1"}, (OWN, "b=2")),
        ({"traceparent": OWN}, {"tracestate": "a=1"}, (OWN, "")),
        ({}, {"traceparent": "x", "tracestate": "a=1"}, ("", "")),
    ],
)
async def test_an_event_without_a_trace_of_its_own_belongs_to_that_of_its_request(
    bridge: World, own: dict[str, str], headers: dict[str, str], expected: tuple[str, str]
) -> None:
    status, _, _ = await answer(bridge, "POST", "/v1/events", to_json({**ASKED, **own}), {**EVENT, **headers})
    batch = {**EVENT, **headers, "content-type": "application/cloudevents-batch+json"}
    await answer(bridge, "POST", "/v1/events", to_json([{**ASKED, **own, "id": "id-2"}]), batch)
    assert status == 202
    for correlation_id in ("id-1", "id-2"):
        control = (await bridge.run(correlation_id)).control
        assert (control.traceparent, control.tracestate) == expected


async def test_a_batch_in_another_charset_is_refused_as_a_whole(bridge: World) -> None:
    headers = {"content-type": "application/cloudevents-batch+json; charset=utf-16"}
    assert (await answer(bridge, "POST", "/v1/events", b"[]", headers))[0] == 415

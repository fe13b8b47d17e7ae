"""Server-sent events, and the client that comes back for more (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.run import Status
from tests.api.test_openapi import answer
from tests.pipeline_kit import World, world

PATH = "/v1/requests/id-1/events"


@pytest.fixture
async def ended(tmp_path: Path) -> World:
    made = await world(tmp_path)
    await made.ask("one")
    await made.bus.deliver()
    return made


async def last_event_id(bridge: World) -> str:
    _, _, body = await answer(bridge, "GET", PATH, b"", {})
    lines = body.decode().splitlines()
    assert [line.partition(":")[0] for line in lines if line] == ["event", "id", "data"]
    return lines[1].removeprefix("id: ")


async def test_an_event_source_that_has_seen_the_end_is_to_come_no_more(ended: World) -> None:
    status, sent, body = await answer(ended, "GET", PATH, b"", {"last-event-id": await last_event_id(ended)})
    assert (status, body) == (204, b"")
    assert "content-type" not in sent


@pytest.mark.parametrize("unknown", ["1", "order-1", "/", "é"])
async def test_nor_is_one_whose_last_event_came_from_elsewhere(ended: World, unknown: str) -> None:
    assert (await answer(ended, "GET", PATH, b"", {"last-event-id": unknown}))[0] == 204


@pytest.mark.parametrize("status", [status for status in Status if not status.final])
async def test_one_that_lost_the_connection_before_the_end_is_told_of_it(ended: World, status: Status) -> None:
    seen = (await last_event_id(ended)).replace("Succeeded", status)
    code, _, body = await answer(ended, "GET", PATH, b"", {"last-event-id": seen})
    assert code == 200
    assert b"Succeeded" in body


async def test_one_that_comes_for_the_first_time_is_told_too(ended: World) -> None:
    for headers in ({}, {"last-event-id": ""}):
        assert (await answer(ended, "GET", PATH, b"", headers))[0] == 200


async def test_there_is_no_end_of_a_run_that_is_not_there(ended: World) -> None:
    assert (await answer(ended, "GET", "/v1/requests/none/events", b"", {"last-event-id": "1"}))[0] == 404

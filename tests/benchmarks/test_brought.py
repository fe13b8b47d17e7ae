from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.benchmarks.brought import Waiting

EVENT = base64.b64encode(b"7 some event").decode()


@pytest.fixture
async def urls() -> AsyncIterator[dict[str, tuple[Waiting, str]]]:
    """Somebody who waits, for each way, and where events may be brought to."""
    found, runners = {}, []
    for way in ("single", "bulk"):
        waiting = Waiting(way)
        runner = web.ServerRunner(web.Server(waiting.answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        found[way] = waiting, f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    for runner in runners:
        await runner.cleanup()


async def _bring(url: str, body: dict[str, Any]) -> Any:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/bench", json=body) as answer:
        return await answer.json()


async def test_an_event_that_is_brought_alone_ends_its_request(urls: dict[str, tuple[Waiting, str]]) -> None:
    waiting, url = urls["single"]
    arrived = waiting.events[b"7"] = asyncio.get_running_loop().create_future()
    assert await _bring(url, {"data_base64": EVENT}) == {"status": "SUCCESS"}
    assert arrived.done()


async def test_each_event_of_a_bulk_delivery_is_acknowledged_by_its_own_id(urls: dict[str, tuple[Waiting, str]]) -> None:
    waiting, url = urls["bulk"]
    arrived = waiting.events[b"7"] = asyncio.get_running_loop().create_future()
    assert await _bring(url, {"entries": [{"entryId": "e", "event": EVENT}]}) == {"statuses": [{"entryId": "e", "status": "SUCCESS"}]}
    assert arrived.done()


async def test_only_the_bulk_way_asks_the_sidecar_for_bulk(urls: dict[str, tuple[Waiting, str]]) -> None:
    async with aiohttp.ClientSession() as session:
        asked = [json.loads(await (await session.get(f"{url}/dapr/subscribe")).read())[0] for _, url in urls.values()]
    assert ["bulkSubscribe" in each for each in asked] == [False, True]

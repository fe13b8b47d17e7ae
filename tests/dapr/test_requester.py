"""An application with a sidecar of its own asks for automations and gets the replies, with the components that ship for it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.acceptance.scripted import scripted
from tests.dapr.machine import Machine
from tests.dapr.process import bridge_on
from tests.dapr.serving import serving
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, sidecar

EVENT = {"specversion": "1.0", "id": "order-1", "source": "/orders", "type": "automation.requested", "subject": "echo"}


@asynccontextmanager
async def application(replies: asyncio.Queue[Any]) -> AsyncIterator[int]:
    """Its port."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/automation-replies":
            replies.put_nowait(await request.json())
        return web.json_response([] if request.path == "/dapr/subscribe" else {})

    async with serving(answer) as port:
        yield port


@pytest.fixture
async def replies() -> asyncio.Queue[Any]:
    return asyncio.Queue()


@pytest.fixture
async def orders(machine: Machine, tmp_path: Path, replies: asyncio.Queue[Any]) -> AsyncIterator[aiohttp.ClientSession]:
    """The API of the sidecar of the application."""
    resources = tmp_path / "orders"
    resources.mkdir()
    for path in (COMPONENTS / "requester" / "redis" / "bus.yaml", COMPONENTS / "requester" / "subscriptions.yaml"):
        shutil.copy(path, resources)
    (resources / "configuration.yaml").write_text("{apiVersion: dapr.io/v1alpha1, kind: Configuration, metadata: {name: orders}, spec: {}}")
    await machine.redis()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(application(replies))
        environ = {"REDIS_HOST": f"127.0.0.1:{machine.redis_port}"}
        own = await stack.enter_async_context(sidecar(tmp_path / "beside", resources, environ, port, app_id="orders", protocol="http"))
        http = await stack.enter_async_context(aiohttp.ClientSession(own.connection.address, headers={"dapr-api-token": API_TOKEN}))
        await ready(http)
        yield http


async def ready(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with http.get("/v1.0/healthz") as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def published(http: aiohttp.ClientSession, topic: str, event: dict[str, Any]) -> int:
    async with http.post(f"/v1.0/publish/bus/{topic}", json=event, headers={"content-type": "application/cloudevents+json"}) as answer:
        return answer.status


async def test_it_asks_gets_the_reply_and_looks_the_result_up(machine, tmp_path, orders, replies):
    await machine.sidecar()
    async with scripted() as app:
        bridge = await bridge_on(machine, tmp_path / "bridge", app).start()
        try:
            assert await published(orders, "automation-requests", {**EVENT, "data": {"text": "hello"}}) == 204
            reply = await asyncio.wait_for(replies.get(), 20)
            async with aiohttp.ClientSession(bridge.url) as http, http.get("/v1/requests/order-1") as answer:
                run = await answer.json()
        finally:
            await bridge.stop()
    assert (reply["type"], reply["correlationid"], reply["data"]["output"]) == ("automation.succeeded", "order-1", {"text": "hello"})
    assert (run["status"], run["output"]) == ("Succeeded", {"text": "hello"})


@pytest.mark.parametrize("topic", ["automation-results", "automation-invocations", "automation-timers", "automation-replies"])
async def test_it_can_publish_nothing_but_requests(orders, topic):
    assert await published(orders, topic, {**EVENT, "type": "automation.result", "data": {"status": "succeeded"}}) == 403

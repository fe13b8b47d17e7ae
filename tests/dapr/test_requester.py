"""An application with a sidecar of its own asks for automations and gets the replies, with the components that ship for it."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.dapr.machine import Machine
from tests.dapr.namespace import NamespaceMachine, connect, with_subscription
from tests.dapr.process import bridge_on
from tests.dapr.sidecar import API_TOKEN, COMPONENTS, Sidecar, free_ports, sidecar
from tests.dapr.subscriber import Subscriber

EVENT = {"specversion": "1.0", "id": "order-1", "source": "/orders", "type": "automation.requested", "subject": "echo"}
AWAY = 12.0  #: seconds: longer than Dapr tries anything again by itself
#: How the application may speak to its sidecar without losing what comes while it is away (docs/dapr.md), with `--app-max-concurrency`.
WAYS = [("grpc", -1), ("http", 1)]


@dataclass
class Orders:
    """The application that asks, and the API of its sidecar."""

    app: Subscriber
    http: aiohttp.ClientSession
    sidecar: Sidecar

    async def publish(self, topic: str, event: dict[str, Any]) -> int:
        headers = {"content-type": "application/cloudevents+json"}
        async with self.http.post(f"/v1.0/publish/orders-bus/{topic}", json=event, headers=headers) as answer:
            return answer.status

    async def replies(self, count: int) -> list[Any]:
        async with asyncio.timeout(30):
            while len({event["id"] for _, event in self.app.came}) < count:
                await asyncio.sleep(0.05)
        return [event for route, event in self.app.came if route == "/automation-replies"]


@asynccontextmanager
async def orders_on(
    machine: Machine, folder: Path, protocol: str = "http", at_once: int = 1, *, raw: bool = False
) -> AsyncIterator[Orders]:
    """Its sidecar; the application itself is not there yet. The bus must be. `raw` brings replies with rawPayload."""
    resources, (port, api) = folder / "orders", free_ports(2)
    resources.mkdir()
    bus = "azure" if isinstance(machine, NamespaceMachine) else "redis"
    for path in (f"{bus}/bus.yaml", "subscriptions.yaml", "resiliency.yaml"):
        shutil.copy(COMPONENTS / "requester" / path, resources)
    if bus == "azure":
        connect(resources / "bus.yaml")
    if raw:
        file = resources / "subscriptions.yaml"
        file.write_text(file.read_text().replace("  routes:", '  metadata: {rawPayload: "true"}\n  routes:'))
    (resources / "configuration.yaml").write_text("{apiVersion: dapr.io/v1alpha1, kind: Configuration, metadata: {name: orders}, spec: {}}")
    started = sidecar(folder / "beside", resources, machine.environ, port, api, app_id="orders", protocol=protocol, at_once=at_once)
    async with started as own, aiohttp.ClientSession(own.connection.address, headers={"dapr-api-token": API_TOKEN}) as http:
        app = Subscriber(port, protocol)
        async with app.there():
            await ready(http)
        yield Orders(app, http, own)


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


@asynccontextmanager
async def bridge_beside(machine: Machine, folder: Path, app: Scripted) -> AsyncIterator[BridgeProcess]:
    await machine.sidecar()
    async with bridge_on(machine, folder / "bridge", app) as bridge:
        yield bridge


async def test_it_asks_gets_the_reply_and_looks_the_result_up(machine: Machine, tmp_path: Path, app: Scripted) -> None:
    await machine.redis()
    await _asks_gets_the_reply_and_looks_the_result_up(machine, tmp_path, app)


async def test_it_does_so_on_service_bus(tmp_path: Path, app: Scripted) -> None:
    async with AsyncExitStack() as stack:
        entities = with_subscription("automation-replies/orders", tmp_path / "entities")
        machine = NamespaceMachine.planned(tmp_path / "machine", stack, entities)
        await machine.broker()
        await machine.redis()
        await _asks_gets_the_reply_and_looks_the_result_up(machine, tmp_path, app)


async def _asks_gets_the_reply_and_looks_the_result_up(machine: Machine, tmp_path: Path, app: Scripted) -> None:
    async with (
        orders_on(machine, tmp_path) as orders,
        orders.app.there(),
        bridge_beside(machine, tmp_path, app) as bridge,
        aiohttp.ClientSession(bridge.url) as http,
    ):
        assert await orders.publish("automation-requests", {**EVENT, "data": {"text": "hello"}}) == 204
        (reply,) = await orders.replies(1)
        async with http.get("/v1/requests/order-1") as answer:
            run = await answer.json()
    assert (reply["type"], reply["correlationid"], reply["data"]["output"]) == ("automation.succeeded", "order-1", {"text": "hello"})
    assert (run["status"], run["output"]) == ("Succeeded", {"text": "hello"})


@pytest.mark.parametrize(("protocol", "at_once"), WAYS, ids=[protocol for protocol, _ in WAYS])
async def test_replies_wait_for_an_application_that_is_away(
    machine: Machine, tmp_path: Path, app: Scripted, protocol: str, at_once: int
) -> None:
    names = [f"order-{number}" for number in range(20)]
    await machine.redis()
    async with (
        orders_on(machine, tmp_path, protocol, at_once) as orders,
        bridge_beside(machine, tmp_path, app) as bridge,
        aiohttp.ClientSession(bridge.url) as http,
    ):
        for name in names:
            async with http.post(
                "/v1/automations/echo/requests", json={}, headers={"X-Correlation-Id": name, "Prefer": "wait=20"}
            ) as answer:
                assert answer.status == 200
        await asyncio.sleep(AWAY)
        async with orders.app.there():
            replies = await orders.replies(len(names))
    assert {reply["data"]["correlationId"] for reply in replies} == set(names)


async def test_a_reply_that_the_application_cannot_take_yet_comes_again(machine: Machine, tmp_path: Path, app: Scripted) -> None:
    await machine.redis()
    async with orders_on(machine, tmp_path) as orders, orders.app.there(), bridge_beside(machine, tmp_path, app):
        orders.app.status = lambda _event: 200 if len(orders.app.came) > 2 else 500
        assert await orders.publish("automation-requests", {**EVENT, "data": {}}) == 204
        async with asyncio.timeout(20):
            while len(orders.app.came) < 3:
                await asyncio.sleep(0.05)
    assert {event["correlationid"] for _, event in orders.app.came} == {"order-1"}


@pytest.mark.parametrize(
    ("protocol", "raw", "exact"), [("http", False, True), ("grpc", False, False), ("http", True, True), ("grpc", True, True)]
)
async def test_an_integer_beyond_2_to_the_53rd_is_exact_over_http_and_with_raw_payload(
    machine: Machine, tmp_path: Path, app: Scripted, protocol: str, raw: bool, exact: bool
) -> None:
    number = 2**60 + 1
    await machine.redis()
    async with orders_on(machine, tmp_path, protocol, raw=raw) as orders, orders.app.there(), bridge_beside(machine, tmp_path, app):
        await orders.publish("automation-requests", {**EVENT, "data": {"number": number}})
        (reply,) = await orders.replies(1)
    if raw:
        reply = json.loads(base64.b64decode(reply["data_base64"])) if protocol == "http" else reply["data"]
    assert (reply["data"]["output"]["number"] == number) == exact


@pytest.mark.parametrize("topic", ["automation-results", "automation-invocations", "automation-timers", "automation-replies"])
async def test_it_can_publish_nothing_but_requests(machine: Machine, tmp_path: Path, topic: str) -> None:
    await machine.redis()
    async with orders_on(machine, tmp_path) as orders:
        assert await orders.publish(topic, {**EVENT, "type": "automation.result", "data": {"status": "succeeded"}}) == 403

"""What the bridge sends through daprd's Service Bus component, as azure-servicebus reads it on the other side."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.servicebus import ServiceBusReceivedMessage
from redis.asyncio import Redis

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.dapr.namespace import NamespaceMachine, with_subscription
from tests.dapr.process import bridge_on
from tests.dapr.servicebus import ServiceBus, body_of, properties, servicebus

TOGETHER = 30  #: requests at once, so that the bridge publishes several in one call
#: A subscription of the bridge's timers for nobody but these tests.
TIMERS = "automation-timers/watcher"


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[NamespaceMachine]:
    async with AsyncExitStack() as stack:
        made = NamespaceMachine.planned(tmp_path, stack, with_subscription(TIMERS, tmp_path / "entities"))
        await made.broker()
        await made.redis()
        await made.sidecar()
        yield made


@pytest.fixture
async def bridge(machine: NamespaceMachine, tmp_path: Path, app: Scripted) -> AsyncIterator[BridgeProcess]:
    async with bridge_on(machine, tmp_path / "bridge", app) as running:
        yield running


@pytest.fixture
async def http(bridge: BridgeProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(bridge.url) as session:
        yield session


@pytest.fixture
async def bus(machine: NamespaceMachine) -> AsyncIterator[ServiceBus]:
    async with servicebus(machine.namespace.connection_string) as client:
        yield client


async def ask(http: aiohttp.ClientSession, automation: str, name: str, value: Any = None, **headers: str) -> Any:
    headers = {"X-Correlation-Id": name, **headers}
    async with http.post(f"/v1/automations/{automation}/requests", json=value or {}, headers=headers) as answer:
        assert answer.status in (200, 202), await answer.text()
        return await answer.json()


async def timers(bus: ServiceBus, count: int) -> list[tuple[ServiceBusReceivedMessage, datetime]]:
    """The next timers, and when each came."""
    found = []
    for _ in range(count):
        message = await bus.next(TIMERS)
        found.append((message, datetime.now(UTC)))
        await bus.complete(TIMERS, message)
    return found


@pytest.mark.parametrize("count", [1, TOGETHER])
async def test_work_carries_what_a_receiver_needs_in_its_properties(http, bus, count):
    runs = {run["correlationId"]: run for run in await asyncio.gather(*(ask(http, "topic.work", f"order-{n}") for n in range(count)))}
    for _ in range(count):
        message = await bus.next("work/worker")
        assert_carries_what_a_receiver_needs(message, runs.pop(message.correlation_id))
        await bus.complete("work/worker", message)


def assert_carries_what_a_receiver_needs(message: ServiceBusReceivedMessage, run: Any) -> None:
    work, told, name = json.loads(body_of(message)), properties(message), run["correlationId"]
    assert (told["messageId"], told["correlationId"], told["label"]) == (f"{name}/worker", name, "topic.work")
    assert told["contentType"] == "application/cloudevents+json"
    named = ("correlationid", "invocationid", "invocationurl", "invocationtoken")
    expected = (name, f"{name}/worker", work["invocationurl"], work["invocationtoken"])
    assert tuple(told[name] for name in named) == expected
    assert datetime.fromisoformat(told["deadline"]) == datetime.fromisoformat(run["deadline"])
    left = datetime.fromisoformat(run["deadline"]) - told["enqueuedTime"]
    assert timedelta(0) <= told["timeToLive"] - left < timedelta(seconds=2)


async def test_a_reply_carries_the_id_and_the_name_that_subscriptions_filter_on(http, bus):
    run = await ask(http, "echo", "order-2", Prefer="wait=20")
    reply, told = await bus.message("automation-replies/requesters")
    assert (reply["type"], reply["data"]["status"]) == ("automation.succeeded", run["status"])
    assert (told["messageId"], told["correlationId"], told["label"]) == (reply["id"], "order-2", "echo")
    assert told["contentType"] == "application/cloudevents+json"


async def test_a_deadline_is_a_message_that_the_broker_holds_until_then(http, bus, machine):
    asked = (ask(http, "topic.unheard", f"order-{number}") for number in range(TOGETHER))
    runs = {run["correlationId"]: run for run in await asyncio.gather(*asked)}
    scheduled = [key async for key in keys(machine) if re.search("later/.+/.+/", key)]
    came = await timers(bus, len(runs))
    assert scheduled == [], "the bridge keeps nothing for later itself"
    assert {message.correlation_id for message, _ in came} == runs.keys()
    for message, when in came:
        deadline = datetime.fromisoformat(runs[message.correlation_id]["deadline"])
        assert message.message_id == f"{message.correlation_id}/~deadline"
        assert abs(message.scheduled_enqueue_time_utc - deadline) < timedelta(seconds=1)
        assert when >= deadline - timedelta(milliseconds=100)


async def keys(machine: NamespaceMachine) -> AsyncIterator[str]:
    """All that the sidecar has stored."""
    async with Redis(port=machine.redis_port, protocol=2) as redis:
        async for name in redis.scan_iter(match="*"):
            yield name.decode().replace("~1", "/")


async def test_a_cancel_waits_at_the_broker_for_its_grace_and_ends_the_run(http, bus):
    await ask(http, "topic.work", "order-3")
    await bus.receive("work/worker")
    async with http.delete("/v1/requests/order-3") as answer:
        assert answer.status == 202
    (now, _), (later, when) = await timers(bus, 2)
    assert (now.message_id, later.message_id) == ("order-3/~cancel", "order-3/~cancel")
    assert now.scheduled_enqueue_time_utc is None
    assert when >= later.scheduled_enqueue_time_utc - timedelta(milliseconds=100)
    async with http.get("/v1/requests/order-3?wait=20") as answer:
        assert (await answer.json())["status"] == "Canceled"


async def test_the_deadline_of_a_run_that_has_ended_comes_and_changes_nothing(http, bus):
    before = await ask(http, "slow", "order-4", {"seconds": 0.1}, Prefer="wait=20")
    await timers(bus, 1)
    await ask(http, "echo", "later", Prefer="wait=20")
    async with http.get("/v1/requests/order-4") as answer:
        assert await answer.json() == before
    async with http.get("/v1/deadletters") as answer:
        assert (await answer.json())["items"] == []

"""Events that the sidecar cannot bring stay on the bus, whether nobody listens or it speaks HTTP: each of hundreds that are tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.adapters.dapr.appcallback import AppCallbackServer
from bridge.adapters.dapr.sidecar import SidecarClient
from bridge.adapters.dapr.subscriptions import SubscriptionRegistry
from bridge.ports import Ack, Delivery
from tests.dapr.machine import Machine
from tests.dapr.sidecar import API_TOKEN, APP_TOKEN, COMPONENTS, Program, answers
from tests.dapr.streams import streams

EVENTS, TRIES = 400, 10  #: Over HTTP Dapr 1.18 takes about one failed try in a thousand for a success.
SOURCE = "automation-requests/bridge"


async def tried(beside: Program, times: int, failure: str = "connection refused") -> None:
    """Return when that many deliveries have failed."""
    async with asyncio.timeout(60):
        while beside.log.read_text().count(failure) < times:
            await asyncio.sleep(0.1)


async def test_nothing_is_lost_while_nobody_listens(machine: Machine, tmp_path: Path) -> None:
    machine.components = COMPONENTS / "redis"
    await machine.redis()
    beside = (await machine.sidecar()).program
    came, registry, all_came = set[bytes](), SubscriptionRegistry(frozenset({SOURCE})), asyncio.Event()

    async def take(delivery: Delivery) -> Ack:
        came.add(delivery.message.body)
        if len(came) == EVENTS:
            all_came.set()
        return Ack.DONE

    async with AppCallbackServer.open(machine.app_port, APP_TOKEN, SubscriptionRegistry(frozenset())):
        await answers(machine.port, beside)  # it subscribes once somebody listens
        async with SidecarClient.open(f"http://127.0.0.1:{machine.port}", API_TOKEN) as client:
            await client.wait_until_subscribed()
    async with streams(machine.redis_port, machine.port) as bus:
        for number in range(EVENTS):
            await bus.send("automation-requests", str(number).encode())
        await tried(beside, EVENTS * TRIES)
        assert (await bus.redis.xpending("automation-requests", "bridge"))["pending"] == EVENTS
    registry.register(SOURCE, take, concurrency=EVENTS)
    async with AppCallbackServer.open(machine.app_port, APP_TOKEN, registry):
        await asyncio.wait_for(all_came.wait(), 60)


async def test_nothing_is_taken_or_lost_that_a_sidecar_brings_over_http(machine: Machine) -> None:
    machine.components = COMPONENTS / "redis"
    await machine.redis()
    beside = (await machine.sidecar("http")).program
    registry, came = SubscriptionRegistry(frozenset({SOURCE})), list[Delivery]()

    async def take(delivery: Delivery) -> Ack:
        came.append(delivery)
        return Ack.DONE

    registry.register(SOURCE, take, concurrency=EVENTS)
    async with AppCallbackServer.open(machine.app_port, APP_TOKEN, registry):
        await answers(machine.port, beside)
        async with SidecarClient.open(f"http://127.0.0.1:{machine.port}", API_TOKEN) as client:
            await client.wait_until_subscribed()
        async with streams(machine.redis_port, machine.port) as bus:
            for number in range(EVENTS):
                await bus.send("automation-requests", str(number).encode())
            await tried(beside, EVENTS * TRIES, "status code returned: 503")
            assert (await bus.redis.xpending("automation-requests", "bridge"))["pending"] == EVENTS
    assert not came
    assert "Start the sidecar with --app-protocol grpc" in beside.log.read_text()

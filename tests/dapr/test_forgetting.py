"""What Redis Streams forget by themselves and keep under the policy that ships: an event that the bridge could not take yet."""

from __future__ import annotations

import asyncio

from bridge.adapters.dapr.appcallback import AppCallbackServer
from bridge.adapters.dapr.sidecar import SidecarClient
from bridge.adapters.dapr.subscriptions import SubscriptionRegistry
from bridge.ports import Ack, Delivery
from tests.dapr.machine import Machine
from tests.dapr.sidecar import API_TOKEN, APP_TOKEN, answers
from tests.dapr.streams import streams

SOURCE = "automation-requests/bridge"
FAILURES = 3  #: tries that come back as RETRY, before one that would not


async def tries_until_it_is_gone(machine: Machine) -> int:
    """How often an event was brought before Redis counted it as done."""
    await machine.redis()
    beside = (await machine.sidecar()).program
    registry, tries = SubscriptionRegistry(frozenset({SOURCE})), 0

    async def take(_: Delivery) -> Ack:
        nonlocal tries
        tries += 1
        return Ack.RETRY if tries <= FAILURES else Ack.DONE

    registry.register(SOURCE, take, concurrency=8)
    async with AppCallbackServer.open(machine.app_port, APP_TOKEN, registry), asyncio.timeout(30):
        await answers(machine.port, beside)
        async with SidecarClient.open(f"http://127.0.0.1:{machine.port}", API_TOKEN) as client:
            await client.wait_until_subscribed()
        async with streams(machine.redis_port, machine.port) as bus:
            await bus.send("automation-requests", b"event")
            while not tries or (await bus.redis.xpending("automation-requests", "bridge"))["pending"]:
                await asyncio.sleep(0.05)
    return tries


async def test_an_event_comes_until_it_is_taken(machine: Machine) -> None:
    assert await tries_until_it_is_gone(machine) > FAILURES


async def test_without_the_policy_it_would_be_gone_after_its_first_try(machine: Machine) -> None:
    (machine.components / "resiliency.yaml").unlink()
    assert await tries_until_it_is_gone(machine) == 1

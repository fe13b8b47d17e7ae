"""Events that the sidecar cannot bring, because nobody listens, stay on the bus: each of hundreds that it tries again and again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.adapters.dapr.callbacks import Callbacks
from bridge.adapters.dapr.readers import Readers
from bridge.adapters.dapr.sidecar import Sidecar
from bridge.ports import Ack, Delivery
from tests.dapr.machine import Machine
from tests.dapr.sidecar import API_TOKEN, APP_TOKEN, COMPONENTS, Program, answers
from tests.dapr.streams import streams

EVENTS, TRIES = 400, 10  #: Over HTTP Dapr 1.18 takes about one failed try in a thousand for a success.
SOURCE = "automation-requests/bridge"


async def tried(beside: Program, times: int) -> None:
    """Return when that many deliveries have failed."""
    async with asyncio.timeout(60):
        while beside.log.read_text().count("connection refused") < times:
            await asyncio.sleep(0.1)


async def test_nothing_is_lost_while_nobody_listens(machine: Machine, tmp_path: Path) -> None:
    machine.components = COMPONENTS / "redis"
    await machine.redis()
    beside = (await machine.sidecar()).program
    came, readers, all_came = set[bytes](), Readers(frozenset({SOURCE})), asyncio.Event()

    async def take(delivery: Delivery) -> Ack:
        came.add(delivery.message.body)
        if len(came) == EVENTS:
            all_came.set()
        return Ack.DONE

    async with Callbacks.open(machine.app_port, APP_TOKEN, Readers(frozenset())):
        await answers(machine.port, beside)  # it subscribes once somebody listens
        async with Sidecar.open(f"http://127.0.0.1:{machine.port}", API_TOKEN) as client:
            await client.settled()
    async with streams(machine.redis_port, machine.port) as bus:
        for number in range(EVENTS):
            await bus.send("automation-requests", str(number).encode())
        await tried(beside, EVENTS * TRIES)
        assert (await bus.redis.xpending("automation-requests", "bridge"))["pending"] == EVENTS
    readers.take(SOURCE, take, concurrency=EVENTS)
    async with Callbacks.open(machine.app_port, APP_TOKEN, readers):
        await asyncio.wait_for(all_came.wait(), 60)

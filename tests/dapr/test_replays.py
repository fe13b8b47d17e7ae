"""Replays of dead letters on Dapr: interrupted at any place, each goes on as the same event under the same message id."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.client import BridgeClient
from bridge.crashpoints import EXIT_CODE
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.scripted import Scripted
from tests.acceptance.test_deadletters import command, killed_amid_a_sweep, said, start_again
from tests.dapr.machine import Machine
from tests.dapr.process import bridge_on
from tests.dapr.streams import Streams, properties, streams

NO_REQUEST = {"specversion": "1.0", "source": "/test", "type": "order.created"}
LETTERS = 300


@pytest.fixture
async def bridge(machine: Machine, app: Scripted, tmp_path: Path) -> AsyncIterator[BridgeProcess]:
    await machine.redis()
    await machine.sidecar()
    made = await bridge_on(machine, tmp_path, app).start()
    yield made
    await made.stop()


@pytest.fixture
async def bus(machine: Machine, bridge: BridgeProcess) -> AsyncIterator[Streams]:
    async with streams(machine.redis_port, machine.port) as made:
        yield made


async def letters(bridge: BridgeProcess, count: int) -> list[Any]:
    """All dead letters, once there are so many."""
    async with asyncio.timeout(30), BridgeClient(bridge.url) as client:
        while len(found := [letter async for letter in client.dead_letters(limit=10_000)]) < count:
            await asyncio.sleep(0.05)
    return found


async def assert_each_came_back_as_one(bridge: BridgeProcess, count: int) -> None:
    found = await letters(bridge, 2 * count)
    firsts = Counter(letter["id"] for letter in found if "replayOf" not in letter)
    assert firsts.total() == count
    assert Counter(letter["replayOf"] for letter in found if "replayOf" in letter) == firsts


async def replay_the_rest(bridge: BridgeProcess) -> None:
    """The same command until each has been replayed: what was interrupted is free when its claim has ended."""
    while any("replayOf" not in letter and "replays" not in letter for letter in await letters(bridge, 1)):
        code, out = await said(await command(bridge, "replay", "--all", "--rate", "5000/s"))
        assert code == 0, out


async def published(bus: Streams) -> Counter[tuple[str, str]]:
    """How often each event was replayed, by its id and that of the message."""
    messages = [(json.loads(fields[b"data"])["id"], properties(fields)) for _, fields in await bus.redis.xrange("automation-requests")]
    return Counter((event, told["messageId"]) for event, told in messages if "messageId" in told)


@pytest.mark.parametrize(("point", "times"), [("deadletter.claimed", 1), ("deadletter.published", 2)])
async def test_a_replay_outlives_the_end_of_the_process_at(bridge: BridgeProcess, bus: Streams, point: str, times: int) -> None:
    await bus.send_event("automation-requests", {**NO_REQUEST, "id": "e-1"})
    (letter,) = await letters(bridge, 1)
    await bridge.stop()
    await start_again(bridge, BRIDGE_CRASH_AT=point)
    replay = await command(bridge, "replay", letter["id"])
    assert bridge.process is not None
    assert await bridge.process.wait() == EXIT_CODE
    assert (await said(replay))[0] == 5
    await start_again(bridge)
    await replay_the_rest(bridge)
    assert await published(bus) == {("e-1", f"{letter['id']}/1"): times}
    await assert_each_came_back_as_one(bridge, 1)


async def test_a_bridge_that_is_killed_while_many_are_replayed_loses_none_and_repeats_none(bridge: BridgeProcess, bus: Streams) -> None:
    await asyncio.gather(*(bus.send_event("automation-requests", {**NO_REQUEST, "id": f"e-{number}"}) for number in range(LETTERS)))
    expected = {(letter["event"]["id"], f"{letter['id']}/1") for letter in await letters(bridge, LETTERS)}
    await killed_amid_a_sweep(bridge)
    await replay_the_rest(bridge)
    await assert_each_came_back_as_one(bridge, LETTERS)
    assert set(await published(bus)) == expected

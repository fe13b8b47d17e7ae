"""`bridge deadletters` on a namespace that throttles, loses locks, repeats messages, detaches links: nothing is lost or done twice.

A copy that is sent twice has one message id, so that a queue with duplicate detection has it once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge import entities
from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.parked import bodies, client, command, entities_file, files, job, listed, park, said
from tests.dapr.faulty import FaultyNamespace, faulty_namespace

SUB_QUEUE = "jobs/$deadletterqueue"


@dataclass
class Place:
    namespace: FaultyNamespace
    bridge: BridgeProcess

    async def parked(self, count: int) -> None:
        async with client(self.namespace) as found:
            await park(found, *map(job, range(count)))

    async def replay(self) -> tuple[int | None, str, str]:
        return await said(await command(self.bridge, "replay", "--all", "--entity", "jobs"))

    async def left(self) -> list[Any]:
        """What is still in the sub-queue."""
        page = await listed(self.bridge, "entity=jobs")
        assert "missing" not in page
        return [letter for letter in page["items"] if "entity" in letter]

    async def replayed(self) -> None:
        """Do it again until nothing is left, as a user does."""
        async with asyncio.timeout(60):
            while await self.left():
                await self.replay()
                await asyncio.sleep(0.2)

    async def arrived(self, count: int) -> Counter[str]:
        async with client(self.namespace) as found:
            return await bodies(found, "jobs", count)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    file = entities_file(tmp_path)
    async with faulty_namespace(tmp_path / "namespace", entities.load(file)) as namespace:
        namespace.faults.at = SUB_QUEUE
        (tmp_path / "string").write_text(namespace.connection_string)
        config = f"{files(file)}servicebus: {{connection_string_file: '{tmp_path / 'string'}'}}\n"
        async with BridgeProcess(tmp_path / "bridge" / "data", config) as bridge:
            yield Place(namespace, bridge)
            assert "Traceback" not in bridge.log()


def each_once(count: int) -> Counter[str]:
    return Counter({json.dumps({"job": number}): 1 for number in range(count)})


@pytest.mark.parametrize("count", [1, 5])
async def test_a_lock_that_is_lost_after_the_copy_was_sent_costs_a_second_try_and_the_copy_arrives_once(place: Place, count: int) -> None:
    await place.parked(count)
    place.namespace.faults.loses_locks = True
    assert (await place.replay())[:2] == (0, f"replayed {count}, skipped 0, failed 0\n")
    assert len(place.namespace.faults.met) == count
    assert await place.left() == []
    assert await place.arrived(count) == each_once(count)


@pytest.mark.parametrize("count", [1, 5])
async def test_a_dead_letter_that_comes_again_although_it_was_removed_is_removed_again_and_not_sent(place: Place, count: int) -> None:
    await place.parked(count)
    place.namespace.faults.repeats = True
    assert (await place.replay())[:2] == (0, f"replayed {count}, skipped 0, failed 0\n")
    assert len(await place.left()) == count
    code, out, _ = await place.replay()
    assert (code, f"replayed 0, skipped {count}, failed 0\n" in out) == (0, True)
    assert await place.left() == []
    assert await place.arrived(count) == each_once(count)


async def test_a_copy_whose_outcome_is_not_known_is_sent_again_and_arrives_once(place: Place) -> None:
    await place.parked(5)
    place.namespace.faults.doubts = "jobs"
    await place.replay()
    await place.replayed()
    assert await place.arrived(5) == each_once(5)


async def test_a_namespace_that_is_too_busy_is_told_and_everything_stays_until_it_has_time(place: Place) -> None:
    await place.parked(5)
    place.namespace.faults.busy = 10**6
    code, out, err = await place.replay()
    assert (code, "failed 5 Unavailable" in out) == (6, True), (out, err)
    assert len(await place.left()) == 5
    place.namespace.faults.busy = 0
    assert (await place.replay())[:2] == (0, "replayed 5, skipped 0, failed 0\n")
    assert await place.arrived(5) == each_once(5)


#: When the service moves an entity to another node, and when a token has expired.
@pytest.mark.parametrize("condition", ["amqp:link:detach-forced", "amqp:unauthorized-access"])
async def test_links_that_are_detached_in_the_middle_leave_nothing_out_and_nothing_twice(place: Place, condition: str) -> None:
    await place.parked(200)
    sweep = await command(place.bridge, "replay", "--all", "--rate", "100/s")
    for _ in range(4):
        await asyncio.sleep(0.4)
        place.namespace.detach(condition)
    await said(sweep)
    await place.replayed()
    assert await place.arrived(200) == each_once(200)

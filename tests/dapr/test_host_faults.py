"""The functions host on a namespace that throttles, loses locks, repeats messages, detaches links: each run ends once, in one attempt."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.bridge_process import ROOT
from tests.acceptance.scripted import Scripted
from tests.chaos.hosted import FunctionsHost
from tests.dapr.faulty import entities_with_lock
from tests.dapr.faultyplace import NAMES, PATIENCE, Place, faulty_place

WORK = "/subscriptions/worker"  #: how the address of the functions' subscription ends


@pytest.fixture
async def place(tmp_path: Path, app: Scripted) -> AsyncIterator[Place]:
    if not (ROOT / ".venv-functions").exists():
        assert not os.environ.get("CI"), "make setup makes .venv-functions"
        pytest.skip("there is no .venv-functions: make setup")
    async with faulty_place(tmp_path, app, entities_with_lock(tmp_path / "entities", "PT1M"), hosted=True) as made:
        await FunctionsHost(made.bridge).ready()
        yield made


def effects(place: Place) -> Counter[str]:
    """How often the function was given each invocation."""
    return Counter(invocation for invocation, _ in FunctionsHost(place.bridge).worked())


async def asked(place: Place) -> None:
    await asyncio.gather(*(place.ask("topic.work", name) for name in NAMES))


async def given(place: Place, count: int) -> None:
    """Wait until the function was given so many messages."""
    async with asyncio.timeout(PATIENCE):
        while effects(place).total() < count:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", ["repeats", "loses_locks"])
async def test_work_whose_message_comes_again_although_it_was_completed_ends_once_in_one_attempt(place: Place, fault: str) -> None:
    place.namespace.faults.at = WORK
    setattr(place.namespace.faults, fault, True)
    await asked(place)
    await place.all_ended_well()
    await given(place, 2 * len(NAMES))
    assert effects(place) == Counter({f"{name}/worker": 2 for name in NAMES})
    await place.all_ended_well()


async def test_a_result_that_is_sent_again_because_its_outcome_was_not_known_ends_its_run_once(place: Place) -> None:
    place.namespace.faults.doubts = "automation-results"
    await asked(place)
    await place.all_ended_well()
    assert (place.namespace.faults.doubts, max(effects(place).values())) == ("", 1)


async def test_a_result_that_a_busy_namespace_refuses_is_sent_when_it_is_busy_no_more(place: Place) -> None:
    place.namespace.faults.busy, place.namespace.faults.busy_entity = 1, "automation-results"
    await place.ask("topic.work", "order-1")
    run = await place.ended("order-1")
    assert (run["status"], place.namespace.faults.busy, effects(place)) == ("Succeeded", 0, Counter({"order-1/worker": 1}))


@pytest.mark.parametrize("condition", ["amqp:link:detach-forced", "amqp:unauthorized-access", "com.microsoft:server-busy"])
async def test_links_that_the_service_detaches_again_and_again_are_attached_again(place: Place, condition: str) -> None:
    asking = asyncio.create_task(asked(place))
    detached = 0
    async with asyncio.timeout(PATIENCE):
        while detached < 5:
            await asyncio.sleep(0.3)
            detached += place.namespace.detach(condition, to=("work", "automation-results"))
    await asking
    runs = await asyncio.gather(*map(place.ended, NAMES))
    assert {(run["status"], len(run["invocations"][0]["attempts"])) for run in runs} == {("Succeeded", 1)}

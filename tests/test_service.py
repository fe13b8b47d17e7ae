"""Look-ups that wait for a run which is not there yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge import runs
from bridge.auth import LOCAL, Caller
from bridge.errors import NotFound, Unavailable
from bridge.run import Run, Status
from tests.core_kit import BOB
from tests.pipeline_kit import World, world


@pytest.fixture(params=[False, True], ids=["own store", "shared store"])
async def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = await world(tmp_path, outbox=not request.param)
    made.store.shared = request.param
    return made


def looking(bridge: World, correlation_id: str = "id-1", wait: float = 60, caller: Caller = LOCAL) -> asyncio.Task[Run]:
    return asyncio.create_task(bridge.bridge.services.bridge.find(correlation_id, caller, wait))


async def test_a_run_that_a_topic_brings_during_the_wait_is_found_and_waited_for(bridge: World) -> None:
    found = looking(bridge)
    await asyncio.sleep(0.01)
    await bridge.request("one")
    await bridge.bus.deliver()
    assert (await asyncio.wait_for(found, 20)).status is Status.SUCCEEDED


async def test_a_run_that_another_process_makes_is_found_too(bridge: World) -> None:
    if not bridge.store.shared:
        bridge.store.shared = True
        await bridge.start()
    found = looking(bridge, wait=1.5)
    await asyncio.sleep(0.01)
    await (await World(**{name: getattr(bridge, name) for name in bridge.__dataclass_fields__ if name != "bridge"}).start()).ask("work")
    assert (await asyncio.wait_for(found, 20)).correlation_id == "id-1"


async def test_a_run_that_is_there_but_does_not_end_comes_as_it_is_when_the_wait_is_over(bridge: World) -> None:
    found = looking(bridge, wait=0.3)
    await asyncio.sleep(0.01)
    await bridge.ask("work")
    assert not (await asyncio.wait_for(found, 20)).status.final


async def test_only_a_run_that_does_not_come_is_not_found(bridge: World) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(NotFound):
        await looking(bridge, wait=0.2)
    assert asyncio.get_running_loop().time() - started >= 0.19
    with pytest.raises(NotFound):
        await looking(bridge, wait=0)


async def test_a_run_of_somebody_else_looks_like_one_that_does_not_come(bridge: World) -> None:
    await bridge.ask("one")
    answers = []
    for correlation_id in ("id-1", "id-2"):
        started = asyncio.get_running_loop().time()
        with pytest.raises(NotFound) as caught:
            await looking(bridge, correlation_id, 0.2, BOB)
        assert asyncio.get_running_loop().time() - started >= 0.19
        answers.append(str(caught.value).replace(correlation_id, "ID"))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("correlation_id", ["..", "a b", "x" * 101, ""])
async def test_what_can_be_no_id_is_not_waited_for(bridge: World, correlation_id: str) -> None:
    with pytest.raises(NotFound):
        await asyncio.wait_for(looking(bridge, correlation_id, 60), 20)


async def test_not_more_than_a_bounded_number_may_wait_like_this(bridge: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_MOST_EXPECTED", 3)
    waiting = [looking(bridge, f"id-{number}", 0.2) for number in range(3)]
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable, match="3 callers wait"):
        await looking(bridge)
    await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(NotFound):
        await looking(bridge, wait=0.01)


async def test_a_bridge_that_stops_sends_them_elsewhere(bridge: World) -> None:
    found = looking(bridge, wait=60)
    await asyncio.sleep(0.01)
    bridge.bridge.services.bridge.stop_waiting()
    with pytest.raises(Unavailable, match="stops"):
        await asyncio.wait_for(found, 20)

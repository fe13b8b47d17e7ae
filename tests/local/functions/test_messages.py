"""The host and its worker as real processes, fed through a queue door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .conftest import StartHost
from .fake_door import FakeDoor


@pytest.fixture
async def door(data_dir: Path) -> AsyncIterator[FakeDoor]:
    async with FakeDoor(data_dir) as door:
        yield door


async def test_the_output_of_a_function_is_sent_before_its_message_is_completed(start_host: StartHost, door: FakeDoor) -> None:
    start_host()
    door.put({})
    await door.until(1, "complete")

    assert door.steps == ["receive", "send", "complete"]
    assert door.bodies() == [{"correlation": "c-1", "count": 1}]
    assert (door.sent[0]["topic"], door.sent[0]["contentType"]) == ("results", "text/plain")


async def test_an_array_becomes_a_message_an_element(start_host: StartHost, door: FakeDoor) -> None:
    start_host()
    door.put({"answer": [{"n": 2**60}, {"n": 2}]})
    await door.until(1, "complete")

    assert door.bodies() == [{"n": 2**60}, {"n": 2}]


async def test_a_function_that_raises_gets_its_message_again_until_the_broker_gives_up(start_host: StartHost, door: FakeDoor) -> None:
    host = start_host()
    door.put({"fail": True})
    await door.until(3, "abandon")

    assert len(door.dead) == 1
    assert door.sent == []
    host.wait_for_log("RuntimeError: told to fail")


async def test_a_message_whose_output_cannot_be_sent_comes_back(start_host: StartHost, door: FakeDoor) -> None:
    start_host()
    door.refuse_sends = True
    door.put({})
    await door.until(1, "abandon")
    door.refuse_sends = False
    await door.until(1, "complete")

    assert door.bodies() == [{"correlation": "c-1", "count": 2}]


async def test_a_message_that_kills_its_worker_is_abandoned(start_host: StartHost, door: FakeDoor) -> None:
    start_host()
    door.put({"die": True})
    await door.until(3, "abandon")
    door.put({})
    await door.until(1, "complete")

    assert len(door.dead) == 1


async def test_a_function_over_its_time_gets_its_message_again(start_host: StartHost, door: FakeDoor) -> None:
    host = start_host(host_json={"functionTimeout": "00:00:01"})
    door.put({"sleep": 30})
    await door.until(1, "abandon")

    assert "functionTimeout (1 s)" in host.log


async def test_no_more_messages_run_at_once_than_the_limit(start_host: StartHost, door: FakeDoor) -> None:
    start_host(host_json={"extensions": {"serviceBus": {"maxConcurrentCalls": 1}}})
    door.put({"sleep": 0.3, "answer": 1})
    door.put({"answer": 2})
    await door.until(2, "complete")

    assert door.bodies() == [1, 2]


async def test_the_lock_of_a_message_is_renewed_while_its_function_runs(start_host: StartHost, data_dir: Path) -> None:
    async with FakeDoor(data_dir, lock_seconds=1) as door:
        start_host()
        door.put({"sleep": 1.2})
        await door.until(1, "complete")

        assert door.steps.count("renew") >= 1


async def test_feeding_goes_on_after_the_connection_breaks(start_host: StartHost, door: FakeDoor) -> None:
    start_host()
    await door.until(1, "receive")
    door.hang_up()
    await door.until(2, "receive")
    door.put({})
    await door.until(1, "complete")


async def test_a_host_that_stops_asks_for_nothing_more_although_the_connection_breaks(start_host: StartHost, door: FakeDoor) -> None:
    host = start_host()
    door.put({"sleep": 2})
    await asyncio.to_thread(host.wait_for_log, "sleeps")
    stopping = asyncio.create_task(asyncio.to_thread(host.stop))
    await asyncio.to_thread(host.wait_for_log, "Stopping")
    door.hang_up()
    await asyncio.to_thread(host.wait_for_log, "succeeded")

    assert await stopping == 0
    assert door.steps.count("receive") == 1


async def test_a_message_that_waits_for_a_worker_goes_back_when_the_host_stops(
    start_host: StartHost, door: FakeDoor, tmp_path: Path
) -> None:
    host = start_host(host_json={"extensions": {"serviceBus": {"maxConcurrentCalls": 1}}}, START_MARK=str(tmp_path / "mark"))
    (tmp_path / "mark").touch()
    door.put({"die": True})
    await door.until(1, "abandon")
    await asyncio.to_thread(host.wait_for_log, "the worker did not start")

    assert await asyncio.to_thread(host.stop) == 0
    assert door.steps.count("abandon") == 1

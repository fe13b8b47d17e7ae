"""The host and its worker as real processes, fed from a namespace over AMQP."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.adapters.embedded.amqp.brokererrors import NotAllowed

from .conftest import StartHost
from .namespace import Namespace


async def test_the_output_of_a_function_is_sent_before_its_message_is_completed(start_host: StartHost, namespace: Namespace) -> None:
    start_host()
    await namespace.put({})
    await namespace.until(1, "complete")

    assert namespace.steps == ["receive", "send", "complete"]
    assert namespace.bodies() == [{"correlation": "c-1", "count": 1}]
    assert (namespace.sent[0].topic, namespace.sent[0].content_type) == ("results", "text/plain")


async def test_an_array_becomes_a_message_an_element(start_host: StartHost, namespace: Namespace) -> None:
    start_host()
    await namespace.put({"answer": [{"n": 2**60}, {"n": 2}]})
    await namespace.until(1, "complete")

    assert namespace.bodies() == [{"n": 2**60}, {"n": 2}]


async def test_a_function_that_raises_gets_its_message_again_until_the_broker_gives_up(start_host: StartHost, namespace: Namespace) -> None:
    host = start_host()
    await namespace.put({"fail": True})
    await namespace.until(3, "abandon")

    assert namespace.dead == 1
    assert namespace.sent == []
    await asyncio.to_thread(host.wait_for_log, "RuntimeError: told to fail")


async def test_a_message_whose_output_cannot_be_sent_comes_back(start_host: StartHost, namespace: Namespace) -> None:
    start_host()
    namespace.refusals = [NotAllowed("The topic is disabled.")]
    await namespace.put({})
    await namespace.until(1, "abandon")
    await namespace.until(1, "complete")

    assert namespace.bodies() == [{"correlation": "c-1", "count": 2}]


async def test_a_message_that_kills_its_worker_is_abandoned(start_host: StartHost, namespace: Namespace) -> None:
    start_host()
    await namespace.put({"die": True})
    await namespace.until(3, "abandon")
    await namespace.put({})
    await namespace.until(1, "complete")

    assert namespace.dead == 1


async def test_a_function_over_its_time_gets_its_message_again(start_host: StartHost, namespace: Namespace) -> None:
    host = start_host(host_json={"functionTimeout": "00:00:01"})
    await namespace.put({"sleep": 30})
    await namespace.until(1, "abandon")

    assert "functionTimeout (1 s)" in host.log


async def test_no_more_messages_run_at_once_than_the_limit(start_host: StartHost, namespace: Namespace) -> None:
    start_host(host_json={"extensions": {"serviceBus": {"maxConcurrentCalls": 1}}})
    await namespace.put({"sleep": 0.3, "answer": 1})
    await namespace.put({"answer": 2})
    await namespace.until(2, "complete")

    assert namespace.bodies() == [1, 2]


async def test_the_lock_of_a_message_is_renewed_while_its_function_runs(start_host: StartHost, data_dir: Path) -> None:
    async with Namespace(data_dir, lock="PT1S") as namespace:
        start_host()
        await namespace.put({"sleep": 1.2})
        await namespace.until(1, "complete")

        assert namespace.steps.count("renew") >= 1


async def test_feeding_goes_on_after_the_connection_breaks(start_host: StartHost, namespace: Namespace) -> None:
    start_host()
    await namespace.until(1, "receive")
    namespace.hang_up()
    await namespace.until(2, "receive")
    await namespace.put({})
    await namespace.until(1, "complete")


async def test_a_host_that_stops_asks_for_nothing_more_although_the_connection_breaks(start_host: StartHost, namespace: Namespace) -> None:
    host = start_host()
    await namespace.put({"sleep": 2})
    await asyncio.to_thread(host.wait_for_log, "sleeps")
    stopping = asyncio.create_task(asyncio.to_thread(host.stop))
    await asyncio.to_thread(host.wait_for_log, "Stopping")
    namespace.hang_up()
    await asyncio.to_thread(host.wait_for_log, "succeeded")

    assert await stopping == 0
    assert namespace.steps.count("receive") == 1


async def test_a_message_that_waits_for_a_worker_goes_back_when_the_host_stops(
    start_host: StartHost, namespace: Namespace, tmp_path: Path
) -> None:
    host = start_host(host_json={"extensions": {"serviceBus": {"maxConcurrentCalls": 1}}}, START_MARK=str(tmp_path / "mark"))
    (tmp_path / "mark").touch()
    await namespace.put({"die": True})
    await namespace.until(1, "abandon")
    await asyncio.to_thread(host.wait_for_log, "the worker did not start")

    assert await asyncio.to_thread(host.stop) == 0
    assert namespace.steps.count("abandon") == 1

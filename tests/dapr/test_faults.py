"""Service Bus throttles, loses locks, repeats messages and detaches links: every accepted id ends once, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.acceptance.results import result_of
from tests.acceptance.scripted import Scripted
from tests.dapr.faulty import entities_with_lock
from tests.dapr.faultyplace import NAMES, PATIENCE, Place, faulty_place
from tests.dapr.servicebus import CLOUDEVENTS, body_of, servicebus


@pytest.fixture
def lock() -> str:
    """How long a message is locked for the bridge, as components/servicebus.json has it."""
    return "PT1M"


@pytest.fixture
async def place(tmp_path: Path, app: Scripted, lock: str) -> AsyncIterator[Place]:
    async with faulty_place(tmp_path, app, entities_with_lock(tmp_path / "entities", lock)) as made:
        yield made


@pytest.mark.parametrize("automation", ["echo", "brisk", "topic.two"])
async def test_every_message_that_comes_again_after_it_was_completed_changes_nothing(place: Place, automation: str) -> None:
    place.namespace.faults.repeats = True
    await asyncio.gather(*(place.ask(automation, name) for name in NAMES))
    await place.all_ended_well()
    await place.met_faults()
    await place.all_ended_well()
    assert place.most_effects == 1


@pytest.mark.parametrize("automation", ["echo", "topic.two"])
async def test_every_lock_that_is_lost_before_the_message_is_completed_changes_nothing(place: Place, automation: str) -> None:
    place.namespace.faults.loses_locks = True
    await asyncio.gather(*(place.ask(automation, name) for name in NAMES))
    await place.all_ended_well()
    await place.met_faults()
    await place.all_ended_well()
    assert place.most_effects == 1


@pytest.mark.parametrize("lock", ["PT1S"])
async def test_a_lock_that_ends_again_and_again_while_the_function_runs_starts_it_no_second_time(place: Place) -> None:
    """The sidecar renews after 20 s, so the message comes again after 1 s although the bridge still has it in hand."""
    async with place.http.post(
        "/v1/automations/patient/requests", json={"seconds": 3.5}, headers={"X-Correlation-Id": "order-1"}
    ) as answer:
        assert answer.status == 202
    run = await place.ended("order-1")
    assert (run["status"], [attempt["outcome"] for attempt in run["invocations"][0]["attempts"]]) == ("Succeeded", ["Succeeded"])
    assert place.app.count("order-1") == 1


async def test_a_namespace_that_is_too_busy_for_a_moment_is_not_noticed(place: Place) -> None:
    place.namespace.faults.busy = 1  # the client of daprd pauses for about 4 s; the sidecar waits for 15 s
    async with place.http.post("/v1/automations/echo/requests", json={}, headers={"X-Correlation-Id": "order-1"}) as answer:
        assert answer.status == 202
    assert (await place.ended("order-1"))["status"] == "Succeeded"
    assert place.namespace.faults.busy == 0


async def test_a_namespace_that_stays_too_busy_is_told_and_what_was_accepted_goes_on_after_it(place: Place) -> None:
    await asyncio.gather(*(place.ask("unhurried", name) for name in NAMES[:10]))
    place.namespace.faults.busy = 10**6
    async with asyncio.timeout(PATIENCE):
        while True:
            async with place.http.post("/v1/automations/echo/requests", json={}, headers={"X-Correlation-Id": "refused"}) as answer:
                if answer.status == 503:
                    break
            await asyncio.sleep(0.1)
    place.namespace.faults.busy = 0
    await asyncio.gather(*(place.ask("unhurried", name) for name in NAMES[10:]))
    statuses = {run["status"] for run in await asyncio.gather(*map(place.ended, NAMES))}
    assert statuses == {"Succeeded"}


async def test_work_that_is_sent_again_because_its_outcome_was_not_known_comes_twice_byte_for_byte(place: Place) -> None:
    place.namespace.faults.doubts = "work"
    await place.ask("topic.work", "order-1")
    async with servicebus(place.namespace.connection_string) as bus:
        came = []
        for _ in range(2):
            message = await bus.next("work/worker")
            await bus.send_event("automation-results", result_of(json.loads(body_of(message))))
            await bus.complete("work/worker", message)
            came.append((message.message_id, body_of(message)))
        assert came == [("order-1/worker", came[0][1])] * 2
        reply, _ = await bus.receive("automation-replies/requesters")
    run = await place.ended("order-1")
    assert (run["status"], len(run["invocations"][0]["attempts"])) == ("Succeeded", 1)
    assert reply["data"]["status"] == "Succeeded"


async def test_a_request_that_azures_client_sends_again_because_its_outcome_was_not_known_is_one_run(place: Place) -> None:
    place.namespace.faults.doubts = "automation-requests"
    request = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "automation.requested", "subject": "topic.two"}
    event = json.dumps({**request, "correlationid": "order-1", "data": {}})
    async with ServiceBusClient.from_connection_string(place.namespace.connection_string, retry_backoff_factor=0.1) as client:
        async with client.get_topic_sender("automation-requests") as sender:
            await sender.send_messages(ServiceBusMessage(event, content_type=CLOUDEVENTS, message_id="e-1"))
        run = await place.ended("order-1")
        assert (run["status"], [len(part["attempts"]) for part in run["invocations"]]) == ("Succeeded", [1, 1])
        async with client.get_subscription_receiver("automation-replies", "requesters") as receiver:
            replies = [json.loads(str(each)) for each in await receiver.receive_messages(10, max_wait_time=3)]
    assert (place.namespace.faults.doubts, place.most_effects) == ("", 1)
    assert {(reply["id"], reply["data"]["status"]) for reply in replies} == {(f"order-1/{run['createdAt']}", "Succeeded")}


async def test_who_waits_for_a_busy_namespace_at_a_stopping_bridge_is_told_to_come_again(place: Place) -> None:
    place.namespace.faults.busy = 10**6
    asking = [
        asyncio.create_task(place.http.post("/v1/automations/echo/requests", json={}, headers={"X-Correlation-Id": name})) for name in NAMES
    ]
    async with asyncio.timeout(PATIENCE):
        while place.namespace.faults.busy == 10**6:
            await asyncio.sleep(0.05)
    await place.bridge.stop()
    for answer in await asyncio.gather(*asking):
        assert (answer.status, (await answer.json())["code"]) == (503, "Unavailable")
    assert "Traceback" not in place.bridge.log()


#: When the service moves an entity to another node, and when a token has expired.
@pytest.mark.parametrize("condition", ["amqp:link:detach-forced", "amqp:unauthorized-access"])
async def test_links_that_the_service_detaches_again_and_again_are_attached_again(place: Place, condition: str) -> None:
    async def detached() -> int:
        count = 0
        for _ in range(5):
            await asyncio.sleep(0.3)
            count += place.namespace.detach(condition)
        return count

    asking = asyncio.gather(*(place.ask(("echo", "topic.two")[number % 2], name) for number, name in enumerate(NAMES)))
    assert await detached() > 5
    await asking
    runs = await asyncio.gather(*map(place.ended, NAMES))
    assert {run["status"] for run in runs} == {"Succeeded"}


async def test_a_connection_that_is_cut_again_and_again_is_made_again(place: Place) -> None:
    asking = asyncio.gather(*(place.ask(("echo", "topic.two")[number % 2], name) for number, name in enumerate(NAMES)))
    for _ in range(4):
        await asyncio.sleep(0.3)
        place.machine.cable.cut()
    await asking
    runs = await asyncio.gather(*map(place.ended, NAMES))
    assert {run["status"] for run in runs} == {"Succeeded"}


async def test_poison_costs_exactly_its_deliveries_and_is_parked_with_the_reason(place: Place) -> None:
    await place.ask("topic.work", "poison")
    counts = []
    async with servicebus(place.namespace.connection_string) as bus:
        async with asyncio.timeout(PATIENCE):
            while (found := await bus.several("work/worker", 1, 2.0)) or not counts:
                counts += [message.delivery_count for message in found]
                for message in found:
                    await bus.abandon("work/worker", message)
    run = await place.ended("poison")
    assert counts == [0, 1], "its subscription delivers twice"
    assert (run["status"], run["error"]["code"], len(run["invocations"][0]["attempts"])) == ("Failed", "GaveUp", 1)
    assert "MaxDeliveryCountExceeded" in run["error"]["message"]
    assert "after 2 deliveries" in run["error"]["message"]
    async with place.http.get("/v1/deadletters") as answer:
        (letter,) = (await answer.json())["items"]
    assert (letter["reason"], letter["topic"]) == ("GaveUp", "work")
    assert "MaxDeliveryCountExceeded" in letter["detail"]

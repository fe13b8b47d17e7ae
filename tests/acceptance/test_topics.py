"""Programs on the bus: requesters that publish and read replies, functions behind a topic, and what becomes of events that lead nowhere."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess
from tests.acceptance.runtimes import Bus, Runtime
from tests.acceptance.scripted import Scripted

Http = aiohttp.ClientSession
EVENT = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "automation.requested", "subject": "echo", "data": {"text": "x"}}


async def run_of(http: Http, correlation_id: str) -> Any:
    """The ended run; one that is still on its way over the bus is waited for, too."""
    async with http.get(f"/v1/requests/{correlation_id}?wait=30") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def dead_letters(http: Http, count: int) -> list[Any]:
    for _ in range(100):
        async with http.get("/v1/deadletters") as answer:
            items: list[Any] = (await answer.json())["items"]
        if len(items) >= count:
            return items
        await asyncio.sleep(0.05)
    raise AssertionError(f"{len(items)} dead letters instead of {count}")


def result_of(event: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"result-of-{event['id']}",
        "source": "/worker",
        "type": "automation.result",
        "correlationid": event["correlationid"],
        "causationid": event["id"],
        "invocationtoken": event["invocationtoken"],
        "data": data,
    }


async def test_a_published_request_becomes_a_run_and_its_reply_comes_back(bus: Bus, http: Http) -> None:
    await bus.send_event("automation-requests", {**EVENT, "correlationid": "order-1", "replytopic": "my-replies"})
    reply, _ = await bus.receive("my-replies/me")
    run = await run_of(http, "order-1")
    assert (reply["type"], reply["subject"], reply["correlationid"]) == ("automation.succeeded", "echo", "order-1")
    assert (reply["id"], reply["causationid"]) == (f"order-1/{run['createdAt']}", "e-1")
    assert reply["data"] == {name: value for name, value in run.items() if name != "input"}


@pytest.mark.parametrize(
    ("automation", "value", "kind"),
    [("echo", {"text": "x"}, "succeeded"), ("act", {"act": "refuses"}, "failed"), ("slow", {}, "timedout")],
)
async def test_every_end_has_its_reply(bus: Bus, http: Http, app: Scripted, automation: str, value: Any, kind: str) -> None:
    async with http.post(f"/v1/automations/{automation}/requests", json=value) as answer:
        assert answer.status == 202
    reply, _ = await bus.receive("automation-replies/requesters")
    assert reply["type"] == f"automation.{kind}"
    app.release.set()


async def test_a_canceled_run_has_its_reply(bus: Bus, http: Http, app: Scripted) -> None:
    async with http.post("/v1/automations/topic.work/requests", json={}, headers={"X-Correlation-Id": "order-2"}) as answer:
        assert answer.status == 202
    async with http.delete("/v1/requests/order-2") as answer:
        assert answer.status == 202
    reply, _ = await bus.receive("automation-replies/requesters")
    assert (reply["type"], reply["data"]["error"]["code"]) == ("automation.canceled", "Canceled")


async def test_a_large_output_is_left_out_of_the_reply(bus: Bus, http: Http) -> None:
    async with http.post("/v1/automations/echo/requests", json={"text": "x" * 300_000}, headers={"Prefer": "wait=10"}) as answer:
        run = await answer.json()
    reply, _ = await bus.receive("automation-replies/requesters")
    assert "output" not in reply["data"]
    async with http.get(reply["data"]["outputUrl"]) as answer:
        assert await answer.json() == run["output"]


async def test_a_function_behind_a_topic(bus: Bus, http: Http) -> None:
    async with http.post("/v1/automations/topic.work/requests", json={"n": 2**60}, headers={"X-Correlation-Id": "order-3"}):
        pass
    work, _ = await bus.receive("work/worker")
    assert (work["id"], work["type"], work["subject"], work["data"]) == ("order-3/worker", "automation.invoked", "topic.work", {"n": 2**60})
    assert work["invocationurl"].endswith("/v1/invocations/order-3/worker")
    await bus.send_event("automation-results", result_of(work, status="running", progress={"percent": 50, "message": "half"}))
    await bus.send_event("automation-results", result_of(work, status="succeeded", output=7) | {"id": "r-2"})
    run = await run_of(http, "order-3")
    assert (run["status"], run["output"], run["progress"]) == ("Succeeded", 7, {"percent": 50, "message": "half"})


async def test_a_retriable_failure_sends_the_work_again_as_often_as_the_catalogue_says(bus: Bus, http: Http) -> None:
    async with http.post("/v1/automations/topic.work/requests", json={}, headers={"X-Correlation-Id": "order-4"}):
        pass
    for number in (1, 2):
        work, _ = await bus.receive("work/worker")
        failure = result_of(work, status="failed", error={"code": "Busy", "message": f"try {number}", "retriable": True})
        await bus.send_event("automation-results", failure | {"id": f"failure-{number}"})
    run = await run_of(http, "order-4")
    assert (run["status"], run["error"]["code"], run["error"]["message"]) == ("Failed", "Busy", "try 2")
    assert len(run["invocations"][0]["attempts"]) == 2


async def test_replies_and_work_carry_the_properties_that_a_broker_knows(bus: Bus, http: Http) -> None:
    async with http.post("/v1/automations/topic.work/requests", json={}, headers={"X-Correlation-Id": "order-8"}):
        pass
    work, properties = await bus.message("work/worker")
    assert (properties["messageId"], properties["label"]) == ("order-8/worker", "topic.work")
    assert properties.keys() & {"expiresAt", "ttlInSeconds"}
    await bus.send_event("automation-results", result_of(work, status="succeeded"))
    reply, properties = await bus.message("automation-replies/requesters")
    told = (properties["messageId"], properties["correlationId"], properties["label"])
    assert told == (reply["id"], "order-8", "topic.work")


async def test_a_function_that_answers_nothing_gets_the_bare_input_and_the_run_ends_when_the_broker_has_it(bus: Bus, http: Http) -> None:
    headers = {"X-Correlation-Id": "order-9", "Prefer": "wait=20"}
    async with http.post("/v1/automations/told/requests", json={"parcel": 2**60}, headers=headers) as answer:
        run = await answer.json()
    body, properties = await bus.message("pair/worker")
    assert (run["status"], run["output"], body) == ("Succeeded", None, {"parcel": 2**60})
    assert (properties["correlationId"], properties["label"]) == ("order-9", "told")


async def test_work_that_the_broker_gives_up_fails_the_run_at_once(runtime: Runtime, bridge: BridgeProcess, http: Http) -> None:
    async with http.post("/v1/automations/topic.work/requests", json={}, headers={"X-Correlation-Id": "order-5"}):
        pass
    await runtime.give_up(bridge, "work/worker")
    run = await run_of(http, "order-5")
    assert (run["status"], run["error"]["code"]) == ("Failed", "GaveUp")
    letter = (await dead_letters(http, 1))[0]
    assert (letter["reason"], letter["topic"], letter["event"]["invocationtoken"]) == ("GaveUp", "work", "***")


async def test_a_result_after_the_end_is_kept_apart(bus: Bus, http: Http) -> None:
    async with http.post("/v1/automations/topic.work/requests", json={}, headers={"X-Correlation-Id": "order-6"}):
        pass
    work, _ = await bus.receive("work/worker")
    await bus.send_event("automation-results", result_of(work, status="succeeded", output="first"))
    before = await run_of(http, "order-6")
    await bus.send_event("automation-results", result_of(work, status="failed", error={"code": "Late", "message": "x"}) | {"id": "other"})
    for _ in range(100):
        run = await run_of(http, "order-6")
        if "lateResult" in run["invocations"][0]:
            break
        await asyncio.sleep(0.02)
    assert run["invocations"][0].pop("lateResult")["status"] == "Failed"
    assert run == before


async def test_the_same_event_ten_times_is_one_run_and_one_call(bus: Bus, http: Http, app: Scripted) -> None:
    for _ in range(10):
        await bus.send_event("automation-requests", EVENT)
    await run_of(http, "e-1")
    await asyncio.sleep(0.3)
    assert app.count("e-1") == 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"subject": "nothing"}, "Failed", "UnknownAutomation"),
        ({"data": {"text": 5}}, "Failed", "InvalidInput"),
        ({"subject": "restricted"}, "Failed", "Forbidden"),
        ({"replytopic": "elsewhere"}, "Failed", "ReplyTopicNotAllowed"),
        ({"expirytime": "2020-01-01T00:00:00Z"}, "TimedOut", "DeadlinePassed"),
        ({"source": ""}, "Failed", "Malformed"),
        ({"specversion": "0.3"}, "Failed", "Malformed"),
        ({"time": "noon"}, "Failed", "Malformed"),
        ({"Bad-Name": 1}, "Failed", "Malformed"),
        ({"datacontenttype": "text/xml", "data": "<a/>"}, "Failed", "Malformed"),
    ],
)
async def test_a_bad_request_over_the_bus_is_a_run_that_explains_itself(
    bus: Bus, http: Http, change: dict[str, Any], status: str, code: str
) -> None:
    await bus.send_event("automation-requests", {**EVENT, **change})
    run = await run_of(http, "e-1")
    assert (run["status"], run["error"]["code"]) == (status, code)
    reply, _ = await bus.receive("automation-replies/requesters")
    assert reply["data"]["error"]["code"] == code


@pytest.mark.parametrize(
    ("topic", "body", "reason"),
    [
        ("automation-requests", b"{oops", "Malformed"),
        ("automation-requests", b"\xff\xfe", "Malformed"),
        ("automation-requests", b"[" * 5_000, "Malformed"),
        ("automation-requests", b'{"specversion":"1.0","id":"a b","source":"/x","type":"automation.requested"}', "InvalidCorrelationId"),
        ("automation-requests", b'{"specversion":"1.0","id":"a","source":"/x","type":"order.created"}', "Malformed"),
        ("automation-results", b'{"specversion":"1.0","id":"a","source":"/x","type":"automation.result","data":[]}', "Malformed"),
        (
            "automation-results",
            b'{"specversion":"1.0","id":"a","source":"/x","type":"automation.result","causationid":"x/y","data":{"status":"succeeded"}}',
            "Malformed",
        ),
    ],
)
async def test_an_event_that_can_be_no_run_is_a_dead_letter(bus: Bus, http: Http, topic: str, body: bytes, reason: str) -> None:
    await bus.send(topic, body)
    letter = (await dead_letters(http, 1))[0]
    assert (letter["reason"], letter["topic"]) == (reason, topic)
    async with http.get(f"/v1/deadletters/{letter['id']}") as answer:
        assert answer.status == 200


async def test_who_waits_for_a_run_before_its_event_is_on_the_bus_gets_its_end(bus: Bus, http: Http) -> None:
    async def look_up() -> tuple[int, Any]:
        async with http.get("/v1/requests/e-1?wait=20") as answer:
            return answer.status, await answer.json()

    looking = [asyncio.create_task(look_up()) for _ in range(3)]
    await asyncio.sleep(0.3)
    await bus.send_event("automation-requests", EVENT)
    found = await asyncio.wait_for(asyncio.gather(*looking), 20)
    assert [(status, run["status"]) for status, run in found] == [(200, "Succeeded")] * 3


async def test_whoever_looks_right_after_a_publish_finds_the_run_sixty_times_of_sixty(bus: Bus, http: Http) -> None:
    async def published(number: int) -> int:
        await bus.send_event("automation-requests", {**EVENT, "id": f"e-{number}"})
        async with http.get(f"/v1/requests/e-{number}?wait=20") as answer:
            return answer.status

    assert [await published(number) for number in range(60)] == [200] * 60


async def test_two_sources_with_one_id_need_correlation_ids_of_their_own(bus: Bus, http: Http) -> None:
    await bus.send_event("automation-requests", EVENT)
    await run_of(http, "e-1")
    other = {**EVENT, "source": "/invoices", "data": {"text": "y"}}
    await bus.send_event("automation-requests", other)
    assert (await dead_letters(http, 1))[0]["reason"] == "CorrelationConflict"
    await bus.send_event("automation-requests", {**other, "correlationid": "invoices-1"})
    assert (await run_of(http, "invoices-1"))["output"] == {"text": "y"}


async def test_a_conflict_over_the_bus_leaves_the_first_run_alone(bus: Bus, http: Http) -> None:
    await bus.send_event("automation-requests", EVENT)
    first = await run_of(http, "e-1")
    await bus.send_event("automation-requests", {**EVENT, "data": {"text": "y"}})
    assert (await dead_letters(http, 1))[0]["reason"] == "CorrelationConflict"
    assert await run_of(http, "e-1") == first


async def test_a_forged_result_changes_nothing(bus: Bus, http: Http) -> None:
    async with http.post("/v1/automations/topic.work/requests", json={}, headers={"X-Correlation-Id": "order-7"}):
        pass
    work, _ = await bus.receive("work/worker")
    await bus.send_event("automation-results", result_of(work, status="succeeded", output="forged") | {"invocationtoken": "guess"})
    await dead_letters(http, 1)
    async with http.get("/v1/requests/order-7") as answer:
        assert (await answer.json())["status"] == "Running"


async def test_a_dead_letter_is_replayed_and_discarded(bus: Bus, http: Http) -> None:
    await bus.send_event("automation-requests", EVENT)
    await run_of(http, "e-1")
    await bus.send_event("automation-requests", {**EVENT, "data": {"text": "y"}})
    letter = (await dead_letters(http, 1))[0]
    async with http.post(f"/v1/deadletters/{letter['id']}/replay") as answer:
        assert (answer.status, len((await answer.json())["replays"])) == (202, 1)
    again = await dead_letters(http, 2)
    for each in again:
        async with http.delete(f"/v1/deadletters/{each['id']}") as answer:
            assert answer.status == 204
    async with http.get("/v1/deadletters") as answer:
        assert (await answer.json())["items"] == []

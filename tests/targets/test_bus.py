"""Work is sent on: to every target, and to each once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bridge import lifecycle
from bridge.errors import Unavailable
from bridge.ports import Ack, Delivery, Message
from bridge.run import AttemptOutcome, Status
from bridge.testing import NOON
from tests.pipeline_kit import World, beaten, deliver_again, world


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path)


async def test_half_of_the_targets_dispatched_means_the_rest_follows_and_none_twice(started: World) -> None:
    await started.ask("two")
    requested = next(each for each in started.bus._waiting)
    started.bus._waiting.clear()
    handle = started.bridge.pipeline.subscriptions()["automation-requests/bridge"]
    for _ in range(2):
        await handle(replace(requested.delivery, source="automation-requests/bridge"))
    await started.bus.deliver()
    assert sorted(call.path for call in started.functions.calls) == ["/api/left", "/api/right"]


async def test_work_for_a_topic_is_sent_once_however_often_its_request_comes(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    for _ in range(5):
        await deliver_again(started, "automation-requests/bridge", "requested")
    assert len(started.sent("invoked")) == 1


async def test_both_kinds_of_targets_of_a_run_get_their_work_from_one_delivery(started: World) -> None:
    await started.ask("mixed")
    requested = next(each for each in started.bus._waiting)
    started.bus._waiting.clear()
    handle = started.bridge.pipeline.subscriptions()["automation-requests/bridge"]
    await handle(replace(requested.delivery, source="automation-requests/bridge"))
    assert sorted(started.sent("invoked")) == ["id-1/only", "id-1/worker"]


async def test_work_for_a_topic_is_sent_again_if_nobody_knows_whether_it_was(started: World) -> None:
    await started.ask("work")
    publish = started.bus.publish
    failures: list[Callable[[], None]] = [lambda: None]

    async def flaky(messages: list[Message]) -> None:
        if failures and messages[0].topic == "work":
            failures.pop()
            raise Unavailable("no answer")
        await publish(messages)

    started.bus.publish = flaky  # type: ignore[method-assign,assignment]
    await started.bus.deliver()
    assert started.sent("invoked") == []
    await started.bus.deliver()
    await started.pass_time(31)
    assert started.sent("invoked") == ["id-1/worker"]
    attempts = (await started.run()).invocations[0].attempts
    assert [each.outcome for each in attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.ACCEPTED]


async def test_a_request_whose_work_another_delivery_is_sending_comes_again(started: World) -> None:
    await started.ask("work")
    beaten(started, lambda run: lifecycle.begin(run, "worker", now=NOON, until=NOON + timedelta(seconds=20)))
    await started.bus.deliver()
    assert started.sent("invoked") == []
    await started.pass_time(31)
    assert started.sent("invoked") == ["id-1/worker"]


async def test_work_that_was_stored_with_its_run_is_sent_once_and_waits_for_its_result(tmp_path: Path) -> None:
    started = await world(tmp_path, outbox=True)
    run = (await started.ask("work")).run
    await started.bus.deliver()
    await started.pass_time(31)
    assert [each.outcome for each in run.invocations[0].attempts] == [AttemptOutcome.ACCEPTED]
    assert (await started.run(), started.sent("invoked")) == (run, ["id-1/worker"])


@pytest.mark.parametrize("outbox", [False, True])
async def test_work_that_ends_with_the_broker_s_yes_ends_the_run_once_it_is_published(tmp_path: Path, outbox: bool) -> None:
    started = await world(tmp_path, outbox=outbox)
    await started.ask("published", {"parcel": 7})
    await started.bus.deliver()
    run = await started.run()
    (sent,) = [message for message in started.bus.published if message.topic == "parcels"]
    assert (run.status, run.output, len(run.invocations[0].attempts)) == (Status.SUCCEEDED, None, 1)
    assert (sent.body, sent.content_type, sent.correlation_id, sent.label) == (b'{"parcel":7}', "application/json", "id-1", "published")
    assert sent.properties["invocationid"] == "id-1/worker"
    assert sent.properties["deadline"] == "2026-01-31T12:01:00Z"


async def test_a_dead_letter_after_the_broker_s_yes_is_a_late_result(started: World) -> None:
    await started.ask("published", {"parcel": 7})
    await started.bus.deliver()
    (sent,) = [message for message in started.bus.published if message.topic == "parcels"]
    given_up = replace(sent, properties={**sent.properties, "DeadLetterReason": "MaxDeliveryCountExceeded"})
    handle = started.bridge.pipeline.subscriptions()["automation-deadletters"]
    assert await handle(Delivery("automation-deadletters", given_up)) is Ack.DONE
    run = await started.run()
    late = run.invocations[0].late_result
    assert late is not None
    assert (run.status, late.status, late.error and late.error.code) == (Status.SUCCEEDED, Status.FAILED, "GaveUp")


async def test_the_settlement_that_the_host_reports_ends_work_that_completes_so_and_no_other(started: World) -> None:
    for number, automation in enumerate(("settled", "work"), 1):
        await started.ask(automation, correlation_id=f"id-{number}")
        await started.bus.deliver()
        token = (await started.run(f"id-{number}")).invocations[0].control.token
        report = {"status": "running", "settlement": "completed"}
        await started.bridge.services.bridge.report(f"id-{number}/worker", token, report)
        await started.bus.deliver()
    assert [(await started.run(name)).status for name in ("id-1", "id-2")] == [Status.SUCCEEDED, Status.RUNNING]
    assert [message.properties.get("completes") for message in started.bus.published if message.topic == "work"] == ["settled", None]


async def report(started: World, **data: object) -> None:
    token = (await started.run()).invocations[0].control.token
    await started.bridge.services.bridge.report("id-1/worker", token, data)


async def test_errors_of_a_message_are_on_record_before_its_host_is_answered_and_end_nothing(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    await report(started, status="running", errorsWritten=2)
    assert [attempt.errors_written for attempt in (await started.run()).invocations[0].attempts] == [2]
    await started.bus.deliver()
    assert (await started.run()).status is Status.RUNNING
    await report(started, status="succeeded", output=7)
    await started.bus.deliver()
    run = await started.run()
    assert (run.status, run.output, run.invocations[0].attempts[0].errors_written) == (Status.SUCCEEDED, 7, 2)


@pytest.mark.parametrize("overtaken", [False, True])
async def test_where_errors_fail_they_end_the_invocation_even_if_the_result_overtakes_them(started: World, overtaken: bool) -> None:
    await started.ask("strict.work")
    await started.bus.deliver()
    assert [each.properties["errors"] for each in started.bus.published if each.topic == "work"] == ["fail"]
    for data in ({"status": "running", "errorsWritten": 1}, {"status": "succeeded", "output": 7}):
        await report(started, **data)
    if overtaken:
        started.bus._waiting.reverse()
    await started.bus.deliver()
    run = await started.run()
    (attempt,) = run.invocations[0].attempts
    assert (run.status, run.error and run.error.code, attempt.errors_written) == (Status.FAILED, "ErrorsWritten", 1)


async def test_where_errors_fail_a_later_delivery_without_them_succeeds(started: World) -> None:
    await started.ask("strict.work")
    await started.bus.deliver()
    thrown = {"code": "Away", "message": "the server is away"}
    await report(started, status="running", error=thrown, errorsWritten=3)
    await report(started, status="running", errorsWritten=0)
    await report(started, status="succeeded", output=7)
    await started.bus.deliver()
    assert (await started.run()).status is Status.SUCCEEDED

"""The story of a run on ports in memory: what is written before what, what a redelivery finds, and what a crash leaves behind."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from bridge import events
from bridge.catalog import Automation
from bridge.cloudevents import Event
from bridge.errors import Conflict, Full, NotFound, Unavailable
from bridge.ports import Ack, Delivery, FunctionCall, FunctionResponse, Message
from bridge.run import Status, json_value
from bridge.testing import NOON, json_answer
from bridge.validation import Validation
from tests.pipeline_kit import World, deliver_again, deliver_work_again, message, world


@pytest.fixture(params=[False, True], ids=["without outbox", "with outbox"])
async def started(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return await world(tmp_path, outbox=request.param)


async def test_a_request_is_stored_and_only_a_delivery_calls(started: World) -> None:
    submitted = await started.ask("one")
    assert (submitted.run.status.final, started.functions.calls) == (False, [])
    await started.bus.deliver()
    assert (await started.run()).status is Status.SUCCEEDED
    assert [started.sent(kind) for kind in ("requested", "invoked", "deadline", "succeeded")] == [
        [] if started.outbox else [submitted.run.control.request_id],
        ["id-1/only"] if started.outbox else [],  # without an outbox the delivery of the request makes the only call of the run
        ["id-1/~deadline"],
        ["id-1/2026-01-31T12:00:00Z"],
    ]


async def test_a_refused_publish_leaves_no_run(started: World) -> None:
    started.bus.fail(Unavailable("the bus is away"))
    with pytest.raises(Unavailable):
        await started.ask("one")
    with pytest.raises(NotFound):
        await started.run()


async def test_with_an_outbox_run_and_work_are_stored_together_or_not_at_all(tmp_path: Path) -> None:
    started = await world(tmp_path, outbox=True)
    started.store.fail(Unavailable("the store is away"), key="run/")
    with pytest.raises(Unavailable):
        await started.ask("two")
    await started.bus.deliver()
    assert (started.bus.published, started.functions.calls) == ([], [])
    await started.ask("two")
    assert [started.sent(kind) for kind in ("invoked", "deadline")] == [["id-1/left", "id-1/right"], ["id-1/~deadline"]]


async def test_of_the_same_request_twice_at_the_same_time_the_call_is_made_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = await world(tmp_path, outbox=True)
    both_are_checked, fits = asyncio.Barrier(2), Validation.require_fit

    async def in_another_process(self: Validation, automation: Automation, event: Event) -> None:
        await both_are_checked.wait()
        await fits(self, automation, event)

    monkeypatch.setattr(Validation, "require_fit", in_another_process)
    first, second = await asyncio.gather(started.ask("one"), started.ask("one"))
    assert {first.created, second.created} == {True, False}
    await started.bus.deliver()
    assert (await started.run()).status is Status.SUCCEEDED
    assert len(started.functions.calls) == 1


async def test_with_an_outbox_the_first_attempt_is_saved_with_the_run(tmp_path: Path) -> None:
    started = await world(tmp_path, outbox=True)
    run = (await started.ask("one")).run
    writes = started.store.calls["save"]
    assert [attempt.outcome for attempt in run.invocations[0].attempts] == ["Running"]
    await started.bus.deliver()
    # One write of the run for its end, and one of the index of replies, which has a page and a list of its replicas.
    assert [call.path for call in started.functions.calls] == ["/api/one"]
    assert started.store.calls["save"] == writes + 1


async def test_with_an_outbox_a_request_that_comes_again_starts_nothing_again(tmp_path: Path) -> None:
    started = await world(tmp_path, outbox=True)
    await started.request("work")
    await started.bus.deliver()
    assert await deliver_again(started, "automation-requests/bridge", "requested") is Ack.DONE
    assert [started.sent(kind) for kind in ("invoked", "deadline")] == [["id-1/worker"], ["id-1/~deadline"]]


async def test_a_run_that_was_stored_before_there_was_an_outbox_is_started_by_its_request(tmp_path: Path) -> None:
    started = await world(tmp_path)
    await started.ask("one")
    started.outbox = True
    await started.start()
    await started.bus.deliver()
    assert ((await started.run()).status, started.sent("deadline")) == (Status.SUCCEEDED, ["id-1/~deadline"])


async def test_with_an_outbox_the_timer_of_a_run_that_ended_is_not_delivered(tmp_path: Path) -> None:
    started = await world(tmp_path, outbox=True)
    await started.ask("one")
    await started.bus.deliver()
    assert [each.topic for each in started.bus.waiting] == ["automation-replies"]


async def test_a_request_whose_run_was_never_created_is_made_by_its_delivery(tmp_path: Path) -> None:
    started = await world(tmp_path)
    started.store.fail(Unavailable("the store is away"), key="run/")
    with pytest.raises(Unavailable):
        await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    assert (run.status, run.control.submitter) == (Status.SUCCEEDED, "local")


async def test_a_create_that_succeeded_but_reported_failure_is_a_success(started: World) -> None:
    started.store.fail(Unavailable("no answer"), key="run/", written=True)
    assert (await started.ask("one")).created


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("automation-requests/bridge", "requested"),
        ("automation-invocations/bridge", "invoked"),
        ("automation-timers/bridge", "deadline"),
    ],
)
async def test_any_event_again_after_the_end_calls_nothing_and_changes_nothing(started: World, source: str, kind: str) -> None:
    await started.request("two")
    await started.bus.deliver()
    before = await started.run()
    assert await deliver_again(started, source, kind) is Ack.DONE
    await started.pass_time(100)
    assert (await started.run(), len(started.functions.calls)) == (before, 2)


async def test_the_event_that_ended_the_run_sends_the_reply_again_and_no_other_does(started: World) -> None:
    await started.request("one")
    await started.bus.deliver()
    await deliver_again(started, "automation-timers/bridge", "deadline")
    if started.outbox:
        await deliver_again(started, "automation-requests/bridge", "requested")
    assert len(started.sent("succeeded")) == 1
    await deliver_work_again(started)
    assert started.sent("succeeded") == ["id-1/2026-01-31T12:00:00Z"] * 2


async def test_the_only_call_of_a_run_goes_over_the_bus_where_there_is_no_room_for_it_now(tmp_path: Path) -> None:
    started = await world(tmp_path)
    started.bridge.pipeline._http_targets._working = 1_000
    await started.ask("one")
    await started.bus.deliver()
    assert (started.sent("invoked"), (await started.run()).output) == (["id-1/only"], "one")


async def test_a_reply_that_cannot_be_published_now_is_published_later(started: World) -> None:
    async def fail_then_answer(_: FunctionCall) -> FunctionResponse:
        # An outbox that has no room for the reply stores the outcome alone; then the reply is refused once more.
        for _ in range(2 if started.outbox else 1):
            started.bus.fail(Full("the replies have no room"))
        return json_answer("x")

    started.functions.answers["/api/one"] = [fail_then_answer]
    await started.ask("one")
    await started.bus.deliver()
    assert ((await started.run()).status, started.sent("succeeded")) == (Status.SUCCEEDED, [])
    await started.bus.deliver()
    assert (len(started.sent("succeeded")), len(started.functions.calls)) == (1, 1)


async def test_a_reply_that_the_bus_refuses_for_good_is_a_dead_letter(started: World) -> None:
    started.bus.unknown_topics.add("automation-replies")
    await started.ask("one")
    await started.bus.deliver()
    letters, _ = await started.bridge.services.deadletters.kept.page(10, "")
    assert [letter.reason for letter in letters] == ["ReplyUndeliverable"]


async def test_what_was_rescheduled_and_then_refused_for_good_is_a_dead_letter_that_can_be_replayed(started: World) -> None:
    await started.ask("one")
    timer = Message("automation-timers", b'{"type": "automation.deadline", "subject": "one"}', "t-1", "id-1", label="one")
    await started.bridge.pipeline.undeliverable(timer, "it is too large")
    (letter,), _ = await started.bridge.services.deadletters.kept.page(10, "")
    assert (letter.reason, letter.detail, letter.attempts) == ("Undeliverable", "it is too large", 1)
    assert (letter.topic, letter.original(), letter.correlation_id) == (timer.topic, timer.body, "id-1")


async def test_a_run_whose_work_the_bus_refuses_for_good_fails_and_is_replied_to(tmp_path: Path) -> None:
    started = await world(tmp_path)
    started.bus.unknown_topics.add("work")
    await started.ask("work")
    await started.bus.deliver()
    error = (await started.run()).error
    assert (error and error.code, len(started.sent("failed"))) == ("Undeliverable", 1)


async def test_nothing_starts_after_the_deadline(started: World) -> None:
    await started.ask("one")
    started.clock.advance(timedelta(minutes=2))
    await started.bus.deliver()
    run = await started.run()
    assert (run.status, started.functions.calls) == (Status.TIMED_OUT, [])
    assert len(started.sent("timedout")) == 1


async def test_a_timer_that_comes_early_is_rescheduled(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    assert await deliver_again(started, "automation-timers/bridge", "deadline") is Ack.DONE
    assert (await started.run()).status is Status.RUNNING
    assert [each.deliver_at for each in started.bus.waiting if b"automation.deadline" in each.body] == [(await started.run()).deadline] * 2


async def test_a_lost_timer_is_made_up_for_by_the_sweeper(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    started.bus._waiting.clear()
    started.clock.advance(timedelta(minutes=2))
    assert await started.bridge.sweeper.sweep() == 1
    await started.bus.deliver()
    assert (await started.run()).status is Status.TIMED_OUT
    assert await started.bridge.sweeper.sweep() == 0


async def test_conflicts_on_save_are_applied_again(started: World) -> None:
    await started.ask("two")
    for _ in range(3):
        started.store.fail(Conflict("somebody was faster"), key="run/")
    await started.bus.deliver()
    assert (await started.run()).output == {"left": "left", "right": "right"}


async def test_trouble_with_the_store_brings_the_event_back_and_loses_nothing(tmp_path: Path) -> None:
    started = await world(tmp_path)
    await started.ask("one")
    started.store.unreachable = Unavailable("the store is away")
    await started.bus.deliver()
    assert started.functions.calls == []
    started.store.unreachable = None
    await started.bus.deliver()
    assert (await started.run()).status is Status.SUCCEEDED


async def test_a_mistake_of_ours_is_a_dead_letter_and_not_a_loop(started: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started.bridge.services.bridge._runs, "get", None)
    assert (
        await started.bridge.pipeline.subscriptions()["automation-timers/bridge"](
            Delivery(
                "automation-timers/bridge",
                Message("automation-timers", b'{"specversion":"1.0","id":"x","source":"/x","type":"automation.deadline"}'),
            )
        )
        is Ack.DONE
    )
    letters, _ = await started.bridge.services.deadletters.kept.page(10, "")
    assert [letter.reason for letter in letters] == ["InternalError"]


async def say(world: World, number: int, token: str, **data: object) -> None:
    """What a worker behind the topic says of `id-1/worker`."""
    attributes = {"id": f"result-{number}", "correlationid": "id-1", "causationid": "id-1/worker", "invocationtoken": token}
    event = {"specversion": "1.0", "source": "/worker", "type": "automation.result", **attributes, "data": data}
    await world.bus.publish([Message("automation-results", json.dumps(event).encode(), message_id=f"result-{number}")])
    await world.bus.deliver()


async def test_a_worker_that_asks_for_it_gets_the_work_again_as_often_as_its_target_says(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    token = (await started.run()).invocations[0].control.token
    for number in range(2):
        await say(started, number, token, status="failed", error={"code": "Busy", "retriable": True})
    run = await started.run()
    assert (run.status, len(run.invocations[0].attempts), started.sent("invoked")) == (Status.FAILED, 2, ["id-1/worker"] * 2)


@pytest.mark.parametrize("token", ["", "guessed"])
async def test_a_result_without_the_token_of_its_work_is_a_dead_letter_and_changes_nothing(started: World, token: str) -> None:
    await started.ask("work")
    await started.bus.deliver()
    before = await started.run()
    await say(started, 1, token, status="succeeded", output="forged")
    letters, _ = await started.bridge.services.deadletters.kept.page(10, "")
    assert ([letter.reason for letter in letters], await started.run()) == (["Malformed"], before)


@pytest.mark.parametrize(
    ("reason", "code", "message"),
    [
        ("CrashedProcess", "CrashedProcess", "The work was given up: CrashedProcess: The bridge crashed 3 times"),
        ("MaxDeliveryCountExceeded", "GaveUp", "The bus gave the work up after 3 deliveries: MaxDeliveryCountExceeded"),
    ],
)
async def test_work_that_was_given_up_ends_its_run_with_the_reason(started: World, reason: str, code: str, message: str) -> None:
    await started.ask("work")
    await started.bus.deliver()
    token = (await started.run()).invocations[0].control.token
    event = {"specversion": "1.0", "id": "id-1/worker", "source": "/bridge", "type": "automation.invoked", "invocationtoken": token}
    properties = {"DeadLetterReason": reason, "DeadLetterErrorDescription": "The bridge crashed 3 times", "deliveryCount": "3"}
    await started.bus.publish([Message(events.DEADLETTERS, json.dumps(event).encode(), properties=properties)])
    await started.bus.deliver()
    run, (letters, _) = await started.run(), await started.bridge.services.deadletters.kept.page(10, "")
    assert run.error is not None
    assert (run.status, run.error.code, run.error.message.startswith(message)) == (Status.FAILED, code, True)
    assert [letter.reason for letter in letters] == [code]


async def test_a_result_after_the_end_is_kept_and_sends_no_reply(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    token = (await started.run()).invocations[0].control.token
    await say(started, 1, token, status="succeeded", output="in time")
    await say(started, 2, token, status="succeeded", output="late")
    run = await started.run()
    late = run.invocations[0].late_result
    assert late is not None
    assert (run.output, json_value(late.output_json), len(started.sent("succeeded"))) == ("in time", "late", 1)


@pytest.mark.parametrize("outbox", [False, True])
async def test_a_run_ends_at_its_deadline_and_not_before_although_the_clock_is_set_forward(tmp_path, outbox):
    started = await world(tmp_path, outbox=outbox)
    started.functions.answers["/api/one"] = [FunctionResponse(202, {}, b"")]
    await started.ask("one")
    await started.bus.deliver()
    started.clock.set_forward(timedelta(hours=1))
    await started.pass_time(30)
    assert (await started.run()).status is Status.RUNNING
    await started.pass_time(31)
    assert (await started.run()).status is Status.TIMED_OUT


@pytest.mark.parametrize("outbox", [False, True])
async def test_a_retry_comes_after_its_pause_although_the_clock_is_set_back(tmp_path, outbox):
    started = await world(tmp_path, outbox=outbox)
    started.functions.answers["/api/one"] = [FunctionResponse(503, {}, b""), json_answer("again")]
    await started.ask("one")
    started.clock.set_forward(-timedelta(hours=1))
    await started.bus.deliver()
    run = await started.run()
    assert (run.output, run.updated_at) == ("again", NOON + timedelta(seconds=1))


async def test_a_function_is_given_the_deadline_by_the_clock_that_it_has(tmp_path):
    started = await world(tmp_path)
    await started.ask("one")
    started.clock.set_forward(timedelta(hours=1))
    await started.bus.deliver()
    assert [call.headers["x-deadline"] for call in started.functions.calls] == [events.iso(NOON + timedelta(hours=1, minutes=1))]


async def test_what_the_function_threw_is_in_the_error_of_work_that_the_bus_gave_up(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    token = (await started.run()).invocations[0].control.token
    for number in range(2):
        error = {"code": "ValueError", "message": f"no such column, says {token}", "hint": "The log has more."}
        await say(started, number, token, status="running", error=error, progress={"percent": 40})
    run = await started.run()
    assert (run.status, len(run.invocations[0].attempts), started.sent("invoked")) == (Status.RUNNING, 1, ["id-1/worker"])
    await started.bridge.pipeline.gave_up(Delivery("automation-deadletters", message(started, "invoked"), attempt=3))
    ended = await started.run()
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (Status.FAILED, "GaveUp")
    assert ended.error.message.endswith("The last delivery failed with ValueError: no such column, says ***. The log has more.")


async def test_a_call_that_comes_too_late_to_its_host_times_its_run_out(started: World) -> None:
    async def late(call: FunctionCall) -> FunctionResponse:
        started.clock.advance(timedelta(minutes=1))
        return FunctionResponse(410, {"content-type": "application/json"}, b'{"code": "DeadlinePassed", "message": "too late"}')

    started.functions.answers["/api/one"] = [late]
    await started.ask("one")
    await started.bus.deliver()
    assert (await started.run()).status is Status.TIMED_OUT

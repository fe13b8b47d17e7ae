"""The story of a run on ports in memory: what is written before what, what a redelivery finds, and what a crash leaves behind."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.errors import Conflict, NotFound, Unavailable
from bridge.ports import Ack, Answer, Delivery, Message
from bridge.run import Status
from bridge.testing import json_answer
from tests.pipeline_kit import World, deliver_again, world


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path)


async def test_a_door_publishes_and_only_a_delivery_calls(started: World) -> None:
    submitted = await started.ask("one")
    assert (submitted.run.status, started.functions.calls) == (Status.PENDING, [])
    await started.bus.deliver()
    assert (await started.run()).status is Status.SUCCEEDED
    assert [started.sent(kind) for kind in ("requested", "invoked", "deadline", "succeeded")] == [
        [submitted.run.control.request_id],
        ["id-1/only"],
        ["id-1/~deadline"],
        ["id-1/2026-01-31T12:00:00Z"],
    ]


async def test_a_refused_publish_leaves_no_run(started: World) -> None:
    started.bus.fail(Unavailable("the bus is away"))
    with pytest.raises(Unavailable):
        await started.ask("one")
    with pytest.raises(NotFound):
        await started.run()


async def test_a_request_whose_run_was_never_created_is_made_by_its_delivery(started: World) -> None:
    started.store.fail(Unavailable("the store is away"), key="run/")
    with pytest.raises(Unavailable):
        await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    assert (run.status, run.control.submitter) == (Status.SUCCEEDED, "local")


async def test_a_create_that_succeeded_but_reported_failure_is_a_success(started: World) -> None:
    started.store.fail(Unavailable("no answer"), key="run/", written=True)
    assert not (await started.ask("one")).repeated


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("automation-requests/bridge", "requested"),
        ("automation-invocations/bridge", "invoked"),
        ("automation-timers/bridge", "deadline"),
    ],
)
async def test_any_event_again_after_the_end_calls_nothing_and_changes_nothing(started: World, source: str, kind: str) -> None:
    await started.ask("one")
    await started.bus.deliver()
    before = await started.run()
    assert await deliver_again(started, source, kind) is Ack.DONE
    await started.pass_time(100)
    assert (await started.run(), len(started.functions.calls)) == (before, 1)


async def test_the_event_that_ended_the_run_sends_the_reply_again_and_no_other_does(started: World) -> None:
    await started.ask("one")
    await started.bus.deliver()
    await deliver_again(started, "automation-requests/bridge", "requested")
    assert len(started.sent("succeeded")) == 1
    await deliver_again(started, "automation-invocations/bridge", "invoked")
    assert started.sent("succeeded") == ["id-1/2026-01-31T12:00:00Z"] * 2


async def test_a_reply_that_cannot_be_published_now_is_published_later(started: World) -> None:
    started.functions.answers["/api/one"] = [lambda _: fail_then_answer()]

    async def fail_then_answer() -> Answer:
        started.bus.fail(Unavailable("the bus is away"))
        return json_answer("x")

    await started.ask("one")
    await started.bus.deliver()
    assert ((await started.run()).status, started.sent("succeeded")) == (Status.SUCCEEDED, [])
    await started.bus.deliver()
    assert (len(started.sent("succeeded")), len(started.functions.calls)) == (1, 1)


async def test_a_reply_that_the_bus_refuses_for_good_is_a_dead_letter(started: World) -> None:
    started.bus.unknown_topics.add("automation-replies")
    await started.ask("one")
    await started.bus.deliver()
    letters, _ = await started.bridge.services.deadletters.page(10, "")
    assert [letter.reason for letter in letters] == ["ReplyUndeliverable"]


async def test_what_was_put_off_and_then_refused_for_good_is_a_dead_letter_that_can_be_replayed(started: World) -> None:
    await started.ask("one")
    timer = Message("automation-timers", b'{"type": "automation.deadline", "subject": "one"}', "t-1", "id-1", label="one")
    await started.bridge.pipeline.undeliverable(timer, "it is too large")
    (letter,), _ = await started.bridge.services.deadletters.page(10, "")
    assert (letter.reason, letter.detail, letter.attempts) == ("Undeliverable", "it is too large", 1)
    assert (letter.topic, letter.original(), letter.correlation_id) == (timer.topic, timer.body, "id-1")


async def test_a_run_whose_work_the_bus_refuses_for_good_fails_and_is_replied_to(started: World) -> None:
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


async def test_a_timer_that_comes_early_is_put_off(started: World) -> None:
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


async def test_trouble_with_the_store_brings_the_event_back_and_loses_nothing(started: World) -> None:
    await started.ask("one")
    started.store.unreachable = Unavailable("the store is away")
    await started.bus.deliver()
    assert started.functions.calls == []
    started.store.unreachable = None
    await started.bus.deliver()
    assert (await started.run()).status is Status.SUCCEEDED


async def test_a_mistake_of_ours_is_a_dead_letter_and_not_a_loop(started: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started.bridge.services.doors._results, "find", None)
    assert (
        await started.bridge.pipeline.subscriptions()["automation-timers/bridge"](
            Delivery(
                "automation-timers/bridge",
                Message("automation-timers", b'{"specversion":"1.0","id":"x","source":"/x","type":"automation.deadline"}'),
            )
        )
        is Ack.DONE
    )
    letters, _ = await started.bridge.services.deadletters.page(10, "")
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
    letters, _ = await started.bridge.services.deadletters.page(10, "")
    assert ([letter.reason for letter in letters], await started.run()) == (["Malformed"], before)

"""The story of a run on ports in memory: what is written before what, what a redelivery finds, and what a crash leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bridge import lifecycle
from bridge.errors import CallFailed, Conflict, NotFound, Unavailable
from bridge.ports import Ack, Answer, Call, Delivery, Message
from bridge.run import AttemptOutcome, Run, Status, dump, load
from bridge.testing import NOON, json_answer
from tests.pipeline_kit import World, world

BUSY = Answer(503, {}, b"")


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path)


def message(world: World, kind: str) -> Message:
    """The first message that carries an event of that type."""
    return next(each for each in world.bus.published if f'"automation.{kind}"'.encode() in each.body)


async def deliver_again(world: World, source: str, kind: str) -> Ack:
    return await world.bridge.pipeline.subscriptions()[source](Delivery(source, message(world, kind), attempt=2))


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


async def test_the_attempt_is_stored_before_the_call(started: World) -> None:
    seen: list[AttemptOutcome] = []

    async def look(_: Call) -> Answer:
        seen.append((await started.run()).invocations[0].attempts[-1].outcome)
        return json_answer("x")

    started.functions.answers["/api/one"] = [look]
    await started.ask("one")
    await started.bus.deliver()
    assert seen == [AttemptOutcome.RUNNING]


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


async def test_a_failed_call_is_repeated_as_the_policy_says(started: World) -> None:
    started.functions.answers["/api/one"] = [BUSY, json_answer("second")]
    await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    assert (run.output, [attempt.code for attempt in run.invocations[0].attempts]) == ("second", ["Http503", None])
    assert {call.headers["x-invocation-id"] for call in started.functions.calls} == {"id-1/only"}
    assert [call.headers["x-attempt"] for call in started.functions.calls] == ["1", "2"]


async def test_a_long_pause_is_spent_in_the_queue(tmp_path: Path) -> None:
    started = await world(tmp_path, "late")
    started.functions.answers["/api/one"] = [BUSY, json_answer("second")]
    await started.ask("one")
    await started.bus.deliver()
    assert len(started.functions.calls) == 1
    await deliver_again(started, "automation-invocations/bridge", "invoked")
    assert len(started.functions.calls) == 1
    await started.pass_time(20)
    assert (await started.run()).output == "second"


async def test_no_attempt_starts_that_could_only_start_after_the_deadline(tmp_path: Path) -> None:
    started = await world(tmp_path, "late")
    started.functions.answers["/api/one"] = [Answer(503, {"retry-after": "90"}, b"")]
    await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    assert (run.status, run.error and run.error.code, len(started.functions.calls)) == (Status.FAILED, "Http503", 1)


async def test_an_attempt_of_a_process_that_died_is_waited_for_and_then_repeated(started: World) -> None:
    async def die(_: Call) -> Answer:
        raise KeyboardInterrupt

    started.functions.answers["/api/one"] = [die, json_answer("again")]
    await started.ask("one")
    with pytest.raises(KeyboardInterrupt):
        await started.bus.deliver()
    await started.start()
    await deliver_again(started, "automation-invocations/bridge", "invoked")
    assert len(started.functions.calls) == 1
    await started.pass_time(13)
    run = await started.run()
    assert run.output == "again"
    assert [attempt.outcome for attempt in run.invocations[0].attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.SUCCEEDED]


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


async def test_while_the_breaker_is_open_work_waits_and_spends_no_attempt(started: World) -> None:
    started.functions.answers["/api/one"] = [CallFailed("ConnectionFailed", "away", may_have_run=False)]
    await started.ask("one")
    await started.bus.deliver()
    assert (await started.run()).status is Status.FAILED
    await started.ask("one", correlation_id="id-2")
    await started.bus.deliver()
    waiting = await started.run("id-2")
    assert (len(started.functions.calls), waiting.status, waiting.invocations[0].attempts) == (2, Status.PENDING, ())
    started.functions.answers["/api/one"] = [json_answer("back")]
    await started.pass_time(16)
    assert (await started.run("id-2")).output == "back"


async def test_conflicts_on_save_are_applied_again(started: World) -> None:
    await started.ask("two")
    for _ in range(3):
        started.store.fail(Conflict("somebody was faster"), key="run/")
    await started.bus.deliver()
    assert (await started.run()).output == {"left": "left", "right": "right"}


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


def beaten(world: World, change: Callable[[Run], Run]) -> None:
    """Let another process change the run right before the next save."""
    save = world.store.save

    async def second(key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        world.store.save = save  # type: ignore[method-assign]
        found = await world.store.get(key)
        assert found is not None
        await save(key, dump(change(load(found.value))), found.etag)
        return await save(key, value, etag, ttl)

    world.store.save = second  # type: ignore[method-assign]


async def test_a_request_whose_work_another_delivery_is_sending_comes_again(started: World) -> None:
    await started.ask("work")
    beaten(started, lambda run: lifecycle.begin(run, "worker", now=NOON, until=NOON + timedelta(seconds=20)))
    await started.bus.deliver()
    assert started.sent("invoked") == []
    await started.pass_time(31)
    assert started.sent("invoked") == ["id-1/worker"]


async def test_of_two_processes_that_start_the_same_attempt_at_the_same_moment_one_calls(started: World) -> None:
    await started.ask("one")
    beaten(started, lambda run: lifecycle.begin(run, "only", now=NOON, until=NOON + timedelta(seconds=12)))
    await started.bus.deliver()
    assert started.functions.calls == []


async def test_an_attempt_that_another_process_began_and_lost_meanwhile_is_repeated(started: World) -> None:
    await started.ask("one")
    beaten(started, lambda run: lifecycle.begin(run, "only", now=NOON, until=NOON))
    await started.bus.deliver()
    attempts = (await started.run()).invocations[0].attempts
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.SUCCEEDED]


def slow_save(world: World, seconds: float) -> None:
    """Let the next save take that long."""
    save = world.store.save

    async def slow(key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        world.store.save = save  # type: ignore[method-assign]
        world.clock.advance(timedelta(seconds=seconds))
        return await save(key, value, etag, ttl)

    world.store.save = slow  # type: ignore[method-assign]


async def test_what_saving_an_attempt_takes_counts_against_its_time_limit(started: World) -> None:
    await started.ask("one")
    slow_save(started, 4)
    await started.bus.deliver()
    assert [call.timeout for call in started.functions.calls] == [timedelta(seconds=6)]


@pytest.mark.parametrize(("automation", "kind"), [("one", "calls"), ("work", "invoked")])
async def test_nothing_starts_if_the_deadline_passes_while_the_attempt_is_saved(started: World, automation: str, kind: str) -> None:
    await started.ask(automation)
    slow_save(started, 61)
    await started.bus.deliver()
    assert (started.functions.calls, [each.topic for each in started.bus.published if each.topic == "work"]) == ([], [])
    assert (await started.run()).status is Status.TIMED_OUT


async def test_an_outcome_is_not_lost_because_the_store_is_away_for_a_moment(started: World) -> None:
    async def answer(_: Call) -> Answer:
        started.store.fail(Unavailable("the store is away"), key="run/", times=3)
        return json_answer("x")

    started.functions.answers["/api/one"] = [answer]
    await started.ask("one")
    await started.bus.deliver()
    assert ((await started.run()).output, len(started.functions.calls)) == ("x", 1)


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

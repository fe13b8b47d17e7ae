"""Attempts to call: stored before they start, repeated as the policy says, never two at once."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from bridge import lifecycle
from bridge.auth import LOCAL
from bridge.catalog.target import HttpTarget
from bridge.errors import CallFailed, Unavailable
from bridge.ports import Delivery, FunctionCall, FunctionResponse
from bridge.run import AttemptOutcome, Run, Status
from bridge.runview import view_json
from bridge.targets import http as http_targets
from bridge.testing import NOON, json_answer
from tests.pipeline_kit import World, beaten, deliver_work_again, world

BUSY = FunctionResponse(503, {}, b"")


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path)


async def test_the_attempt_is_stored_before_the_call(started: World) -> None:
    seen: list[AttemptOutcome] = []

    async def look(_: FunctionCall) -> FunctionResponse:
        seen.append((await started.run()).invocations[0].attempts[-1].outcome)
        return json_answer("x")

    started.functions.answers["/api/one"] = [look]
    await started.ask("one")
    await started.bus.deliver()
    assert seen == [AttemptOutcome.RUNNING]


async def test_a_failed_call_is_repeated_as_the_policy_says(started: World) -> None:
    started.functions.answers["/api/one"] = [BUSY, json_answer("second")]
    await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    assert (run.output, [attempt.code for attempt in run.invocations[0].attempts]) == ("second", ["Http503", None])
    assert {call.headers["x-invocation-id"] for call in started.functions.calls} == {"id-1/only"}
    assert [call.headers["x-attempt"] for call in started.functions.calls] == ["1", "2"]


async def test_a_404_of_the_host_says_why_nobody_serves_the_target_and_one_of_a_function_does_not(started: World) -> None:
    started.functions.answers["/api/one"] = [FunctionResponse(404, {}, b"")]
    started.functions.nobody_at["app", "POST", "/api/one"] = "app has no function at /api/one"
    await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    assert run.error is not None
    assert run.error.hint == "Nobody serves this target: app has no function at /api/one."
    started.functions.nobody_at.clear()
    await started.ask("one", correlation_id="id-2")
    await started.bus.deliver()
    run = await started.run("id-2")
    assert run.error is not None
    assert "Check the path" in run.error.hint


async def test_no_attempt_is_made_while_the_app_is_being_started(started: World) -> None:
    started.functions.answers["/api/one"] = [json_answer("first")]
    started.functions.loading.add("app")
    await started.ask("one")
    await started.bus.deliver()
    assert started.functions.calls == []
    waits = started.bridge.services.waits.of(await started.run())
    assert waits is not None
    assert (waits.reason, waits.message) == (
        "AppStarting",
        "only: its app is being started; an environment may have to be made for it first.",
    )
    started.functions.loading.clear()
    await started.pass_time(1)
    await started.bus.deliver()
    run = await started.run()
    assert (run.output, len(run.invocations[0].attempts)) == ("first", 1)


async def test_a_long_pause_is_spent_in_the_queue(tmp_path: Path) -> None:
    started = await world(tmp_path, "late")
    started.functions.answers["/api/one"] = [BUSY, json_answer("second")]
    await started.ask("one")
    await started.bus.deliver()
    assert len(started.functions.calls) == 1
    await deliver_work_again(started)
    assert len(started.functions.calls) == 1
    await started.pass_time(20)
    assert (await started.run()).output == "second"


async def test_no_attempt_starts_that_could_only_start_after_the_deadline(tmp_path: Path) -> None:
    started = await world(tmp_path, "late")
    started.functions.answers["/api/one"] = [FunctionResponse(503, {"retry-after": "90"}, b"")]
    await started.ask("one")
    await started.bus.deliver()
    run = await started.run()
    assert (run.status, run.error and run.error.code, len(started.functions.calls)) == (Status.FAILED, "Http503", 1)


async def die_in_a_call(started: World) -> None:
    """A process ends while it calls the function, and another one starts."""

    async def die(_: FunctionCall) -> FunctionResponse:
        raise KeyboardInterrupt

    started.functions.answers["/api/one"] = [die, json_answer("again")]
    await started.ask("one")
    with pytest.raises(KeyboardInterrupt):
        await started.bus.deliver()
    await started.start()


async def test_an_attempt_of_a_process_that_died_is_repeated_at_once_if_no_other_can_have_begun_it(started: World) -> None:
    await die_in_a_call(started)
    await deliver_work_again(started)
    run = await started.run()
    assert (run.output, run.updated_at) == ("again", NOON + timedelta(seconds=1))
    assert [attempt.outcome for attempt in run.invocations[0].attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.SUCCEEDED]


async def test_an_attempt_of_another_replica_is_waited_for_and_then_repeated(started: World) -> None:
    started.store.shared = True
    await die_in_a_call(started)
    await deliver_work_again(started)
    assert len(started.functions.calls) == 1
    await started.pass_time(13)
    run = await started.run()
    assert run.output == "again"
    assert [attempt.outcome for attempt in run.invocations[0].attempts] == [AttemptOutcome.UNKNOWN, AttemptOutcome.SUCCEEDED]


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
    async def answer(_: FunctionCall) -> FunctionResponse:
        started.store.fail(Unavailable("the store is away"), key="run/", times=3)
        return json_answer("x")

    started.functions.answers["/api/one"] = [answer]
    await started.ask("one")
    await started.bus.deliver()
    assert ((await started.run()).output, len(started.functions.calls)) == ("x", 1)


# With an outbox the first attempt is begun with its run: it has its slot, and is saved, before its message is delivered.

ROOM = HttpTarget(app="app", path="/api/one").concurrency


@pytest.fixture
async def begun(tmp_path: Path) -> World:
    return await world(tmp_path, outbox=True)


async def attempts(world: World, correlation_id: str) -> list[AttemptOutcome]:
    return [each.outcome for each in (await world.run(correlation_id)).invocations[0].attempts]


async def test_an_attempt_is_begun_with_its_run_while_its_target_has_room(begun: World) -> None:
    for number in range(ROOM + 1):
        await begun.ask("one", correlation_id=f"id-{number}")
    assert (await attempts(begun, f"id-{ROOM - 1}"), await attempts(begun, f"id-{ROOM}")) == ([AttemptOutcome.RUNNING], [])
    async with asyncio.timeout(10):
        await begun.bus.deliver()
    assert (len(begun.functions.calls), await attempts(begun, f"id-{ROOM}")) == (ROOM + 1, [AttemptOutcome.SUCCEEDED])


async def test_a_run_that_was_not_stored_gives_its_room_back(begun: World) -> None:
    for number in range(ROOM):
        begun.store.fail(Unavailable("the store is away"), key="run/")
        with pytest.raises(Unavailable):
            await begun.ask("one", correlation_id=f"id-{number}")
    await begun.ask("one")
    assert await attempts(begun, "id-1") == [AttemptOutcome.RUNNING]


async def test_no_more_attempts_are_begun_than_messages_are_handled_at_a_time(begun: World, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile: list[Run] = []

    async def ask_for_another(_: FunctionCall) -> FunctionResponse:
        meanwhile.append((await begun.ask("one", correlation_id="meanwhile")).run)
        return json_answer("x")

    monkeypatch.setattr(http_targets, "BEGUN_AT_MOST", 2)
    begun.functions.answers["/api/one"] = [ask_for_another, json_answer("x")]
    runs = [(await begun.ask("one", correlation_id=f"id-{number}")).run for number in range(3)]
    await begun.bus.deliver()
    assert [len(run.invocations[0].attempts) for run in (*runs, *meanwhile)] == [1, 1, 0, 0]
    assert [await attempts(begun, run.correlation_id) for run in (*runs, *meanwhile)] == [[AttemptOutcome.SUCCEEDED]] * 4


async def test_an_attempt_that_was_begun_is_not_made_once_its_run_is_being_canceled(begun: World) -> None:
    await begun.ask("one")
    await begun.bridge.services.bridge.cancel("id-1", LOCAL)
    await begun.bus.deliver()
    assert (begun.functions.calls, (await begun.run()).status) == ([], Status.CANCELED)


async def test_an_attempt_whose_message_comes_late_has_the_rest_of_its_time(begun: World) -> None:
    await begun.ask("one")
    begun.clock.advance(timedelta(seconds=4))
    await begun.bus.deliver()
    assert [call.timeout for call in begun.functions.calls] == [timedelta(seconds=6)]


async def test_a_stop_that_cuts_calls_off_leaves_their_messages_to_come_again(begun: World) -> None:
    async def never(_: FunctionCall) -> FunctionResponse:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    begun.functions.answers["/api/one"] = [never]
    for number in range(ROOM + 2):
        await begun.ask("one", correlation_id=f"id-{number}")
    handle = begun.bridge.pipeline.subscriptions()["automation-invocations/bridge"]
    work = [each for each in begun.bus.waiting if each.topic == "automation-invocations"]
    handling = [asyncio.ensure_future(handle(Delivery("automation-invocations/bridge", each))) for each in work]
    await asyncio.sleep(0)
    for task in handling:
        task.cancel()
    await asyncio.wait(handling)
    assert (len(handling), all(task.cancelled() for task in handling)) == (ROOM + 2, True)
    assert await begun.bridge.services.deadletters.kept.page(10, "") == ([], "")


@pytest.mark.parametrize(("early", "status"), [(1, Status.TIMED_OUT), (49, Status.TIMED_OUT), (51, Status.FAILED)])
async def test_a_timer_that_fires_a_moment_early_makes_no_failure_of_the_deadline(tmp_path: Path, early: int, status: Status) -> None:
    started = await world(tmp_path, retry="late")

    async def hang(call: FunctionCall) -> FunctionResponse:
        started.clock.advance(timedelta(seconds=60, milliseconds=-early))
        raise CallFailed("Timeout", "no answer", may_have_run=True)

    started.functions.answers["/api/one"] = [hang]
    await started.ask("one")
    await started.bus.deliver()
    assert (await started.run()).status is status


async def test_a_sleep_that_ends_a_moment_early_loses_no_outcome_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As timers do that are rounded to milliseconds."""
    started = await world(tmp_path, retry="late")

    async def hang(_: FunctionCall) -> FunctionResponse:
        started.clock.advance(timedelta(seconds=59, milliseconds=980))
        raise CallFailed("Timeout", "no answer", may_have_run=True)

    async def early(seconds: float) -> None:
        started.clock.advance(timedelta(seconds=seconds - 0.0007))

    monkeypatch.setattr(started.clock, "sleep", early)
    started.functions.answers["/api/one"] = [hang]
    await started.ask("one")
    await started.bus.deliver()
    assert ((await started.run()).status, len(started.sent("timedout"))) == (Status.TIMED_OUT, 1)


async def test_accepted_work_is_asked_for_its_status_until_it_ends_and_never_started_again(started: World) -> None:
    goes_on = FunctionResponse(202, {"location": "https://elsewhere.example/api/status", "retry-after": "10"}, b"")
    started.functions.answers["/api/one"] = [goes_on]
    started.functions.answers["/api/status"] = [goes_on, goes_on, goes_on, json_answer("done")]
    await started.ask("followed")
    await started.bus.deliver()
    run = await started.run()
    assert (run.status, run.invocations[0].attempts[-1].outcome) == (Status.RUNNING, AttemptOutcome.ACCEPTED)
    await started.start()  # another process
    for _ in range(2):
        await started.pass_time(11)
    run = await started.run()
    assert (run.status, run.output, len(run.invocations[0].attempts)) == (Status.SUCCEEDED, "done", 1)
    assert [(call.method, call.path) for call in started.functions.calls] == [("POST", "/api/one"), *[("GET", "/api/status")] * 4]


@pytest.mark.parametrize(("automation", "status", "code"), [("one", Status.SUCCEEDED, None), ("strict", Status.FAILED, "ErrorsWritten")])
async def test_the_errors_of_a_call_are_shown_and_end_it_where_the_catalogue_says_so(
    started: World, automation: str, status: Status, code: str | None
) -> None:
    started.functions.answers["/api/one"] = [FunctionResponse(200, {"content-type": "text/plain", "x-errors-written": "2"}, b"x")]
    await started.ask(automation)
    await started.bus.deliver()
    run = await started.run()
    (attempt,) = run.invocations[0].attempts
    assert (run.status, run.error and run.error.code, attempt.errors_written) == (status, code, 2)
    assert json.loads(view_json(run))["invocations"][0]["attempts"][0]["errorsWritten"] == 2

"""Attempts to call: stored before they start, repeated as the policy says, never two at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bridge import lifecycle
from bridge.errors import CallFailed, Unavailable
from bridge.ports import Answer, Call
from bridge.run import AttemptOutcome, Status
from bridge.testing import NOON, json_answer
from tests.pipeline_kit import World, beaten, deliver_again, world

BUSY = Answer(503, {}, b"")


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path)


async def test_the_attempt_is_stored_before_the_call(started: World) -> None:
    seen: list[AttemptOutcome] = []

    async def look(_: Call) -> Answer:
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
    async def answer(_: Call) -> Answer:
        started.store.fail(Unavailable("the store is away"), key="run/", times=3)
        return json_answer("x")

    started.functions.answers["/api/one"] = [answer]
    await started.ask("one")
    await started.bus.deliver()
    assert ((await started.run()).output, len(started.functions.calls)) == ("x", 1)

"""The audit: what was accepted, what became of it, and which ids do not fit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.audit import NO_REPLY, NOT_ENDED, AuditReport, Discrepancy
from bridge.errors import Unavailable
from bridge.ports import FunctionCall, FunctionResponse, Message, Stored
from bridge.testing import json_answer
from tests.pipeline_kit import World, world


@pytest.fixture
async def started(tmp_path: Path) -> World:
    return await world(tmp_path)


async def report(world: World) -> AuditReport:
    return await world.bridge.services.audit.take()


async def test_accepted_is_ended_and_unfinished(started: World) -> None:
    started.functions.answers["/api/right"] = []
    for automation in ("one", "two", "work"):
        await started.ask(automation, correlation_id=automation)
    await started.bus.deliver()
    await started.pass_time(3)
    taken = await report(started)
    assert (taken.accepted, taken.ended, taken.unfinished) == (3, {"Succeeded": 1, "Failed": 1}, 1)
    assert (taken.replies, taken.discrepancies, taken.discrepancy_count) == (2, [], 0)


async def test_a_run_that_ended_without_its_reply_is_named(started: World) -> None:
    async def away(_: FunctionCall) -> FunctionResponse:
        started.bus.fail(Unavailable("the bus is away"))
        return json_answer("x")

    started.functions.answers["/api/one"] = [away]
    await started.ask("one")
    await started.bus.deliver()
    assert (await report(started)).replies_due == 1
    started.clock.advance(timedelta(minutes=2))
    assert (await report(started)).discrepancies == [Discrepancy(correlation_id="id-1", what=NO_REPLY)]
    await started.bus.deliver()
    taken = await report(started)
    assert (taken.replies, taken.replies_due, taken.discrepancy_count) == (1, 0, 0)


async def test_a_run_that_nothing_ends_at_its_deadline_is_named(started: World) -> None:
    await started.ask("work")
    started.bus._waiting.clear()
    started.clock.advance(timedelta(minutes=3))
    assert (await report(started)).discrepancies == [Discrepancy(correlation_id="id-1", what=NOT_ENDED)]


async def test_what_was_asked_for_and_never_accepted_is_counted_apart(started: World) -> None:
    started.bus.fail(Unavailable("the bus is away"))
    with pytest.raises(Unavailable):
        await started.ask("one", correlation_id="refused")
    await started.ask("one")
    taken = await report(started)
    assert (taken.accepted, taken.not_accepted, taken.discrepancy_count) == (1, 1, 0)


async def test_an_ended_run_still_counts_when_it_is_kept_no_longer(started: World) -> None:
    await started.ask("one")
    await started.bus.deliver()
    started.clock.advance(timedelta(days=7, minutes=1))
    taken = await report(started)
    assert (taken.accepted, taken.ended, taken.forgotten, taken.replies) == (1, {}, 1, 1)


async def test_an_id_that_is_used_again_counts_for_each_of_its_runs(started: World) -> None:
    await started.ask("one")
    await started.bus.deliver()
    started.clock.advance(timedelta(days=7, minutes=1))
    await started.ask("one")
    await started.bus.deliver()
    taken = await report(started)
    assert (taken.accepted, taken.ended, taken.forgotten) == (2, {"Succeeded": 1}, 1)


async def test_dead_letters_are_counted_by_reason(started: World) -> None:
    await started.bus.publish([Message("automation-requests", b"\xff"), Message("automation-requests", b"\xfe")])
    await started.bus.deliver()
    assert (await report(started)).dead_letters == {"Malformed": 2}


async def test_a_reply_that_the_bus_refuses_for_good_counts_as_sent_and_as_a_dead_letter(started: World) -> None:
    started.bus.unknown_topics.add("automation-replies")
    await started.ask("one")
    await started.bus.deliver()
    taken = await report(started)
    assert (taken.replies, taken.dead_letters, taken.discrepancy_count) == (1, {"ReplyUndeliverable": 1}, 0)


async def test_the_account_may_begin_later(started: World) -> None:
    await started.ask("one", correlation_id="old")
    await started.bus.deliver()
    await started.bus.publish([Message("automation-requests", b"\xff")])
    await started.bus.deliver()
    started.clock.advance(timedelta(hours=1))
    begin = started.clock.now()
    await started.ask("one", correlation_id="new")
    await started.bus.deliver()
    taken = await started.bridge.services.audit.take(begin)
    assert (taken.accepted, taken.replies, taken.dead_letters) == (1, 1, {})


async def test_a_run_under_way_is_not_late_because_the_clock_was_set_forward(started: World) -> None:
    await started.ask("work")
    await started.bus.deliver()
    started.clock.set_forward(timedelta(hours=1))
    taken = await report(started)
    assert (taken.unfinished, taken.discrepancy_count) == (1, 0)


async def test_more_runs_than_one_page_of_the_index_are_counted_once_each(started: World) -> None:
    for number in range(250):
        await started.ask("one", correlation_id=f"id-{number}")
    await started.bus.deliver()
    taken = await report(started)
    assert (taken.accepted, taken.ended, taken.replies) == (250, {"Succeeded": 250}, 250)


async def test_what_is_asked_for_during_an_audit_is_no_part_of_it(started: World) -> None:
    await started.ask("one")
    await started.bus.deliver()
    get_many, asked = started.store.get_many, False

    async def meanwhile(keys: Sequence[str]) -> list[Stored | None]:
        nonlocal asked
        if any(key.startswith("replies/") for key in keys) and not asked:
            asked = True
            await started.ask("one", correlation_id="later")
        return await get_many(keys)

    started.store.get_many = meanwhile  # type: ignore[method-assign]
    taken = await report(started)
    assert asked
    assert (taken.accepted, taken.unfinished, taken.replies) == (1, 0, 1)


async def test_others_have_the_event_loop_during_an_audit(started: World) -> None:
    for number in range(250):
        await started.ask("one", correlation_id=f"id-{number}")
    auditing = asyncio.create_task(report(started))
    turns = 0
    while not auditing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 5


async def test_a_report_keeps_the_names_that_callers_know(started: World) -> None:
    await started.ask("work")
    started.bus._waiting.clear()
    started.clock.advance(timedelta(minutes=3))
    said = (await report(started)).model_dump(mode="json", by_alias=True)
    assert said == {
        "takenAt": "2026-01-31T12:03:00Z",
        "accepted": 1,
        "ended": {},
        "forgotten": 0,
        "unfinished": 1,
        "replies": 0,
        "repliesDue": 0,
        "deadLetters": {},
        "notAccepted": 0,
        "misfits": [{"correlationId": "id-1", "what": NOT_ENDED}],
        "misfitCount": 1,
    }

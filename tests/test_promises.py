"""The judge of the promises must notice: an honest journal is let through; each way of falsifying it is told with its promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bridge.ports import Ack
from tests.contracts.harsh import CALM
from tests.harsh_kit import HarshWorld, quiet
from tests.observed import Admitted, Called, Handled, Journal, Observation, Published, Stored
from tests.promises import broken


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet():
        yield


async def honest() -> Journal:
    """One run of an HTTP target and one of a topic target, to their ends."""
    world = HarshWorld(1, CALM)
    world.work = lambda event: [world.result(event.attributes, {"status": "succeeded", "output": "worked"})]
    await world.open()
    await world.ask("one", {"n": 1}, "called")
    await world.ask("work", {"n": 1}, "sent")
    await world.settle()
    return world.journal


async def test_an_honest_journal_breaks_no_promise() -> None:
    assert broken(await honest()) == []


def admits_first(entries: list[Observation]) -> list[Observation]:
    return sorted(entries, key=lambda each: not isinstance(each, Admitted))


def forgets_the_timers(entries: list[Observation]) -> list[Observation]:
    return [each for each in entries if not (isinstance(each, Published) and each.message.topic == "automation-timers")]


def forgets_the_work(entries: list[Observation]) -> list[Observation]:
    return [each for each in entries if not (isinstance(each, Published) and each.message.topic == "work")]


def ends_twice(entries: list[Observation]) -> list[Observation]:
    return [*entries, changed(runs(entries)[-1], b'"status":"Succeeded"', b'"status":"Failed"')]


def goes_on_after_the_end(entries: list[Observation]) -> list[Observation]:
    return [*entries, runs(entries)[0]]


def sends_no_reply(entries: list[Observation]) -> list[Observation]:
    return [each for each in entries if not (isinstance(each, Published) and each.message.topic == "automation-replies")]


def replies_before_the_end(entries: list[Observation]) -> list[Observation]:
    reply = next(each for each in entries if isinstance(each, Published) and each.message.topic == "automation-replies")
    return [reply, *entries]


def calls_again(entries: list[Observation]) -> list[Observation]:
    called = next(each for each in entries if isinstance(each, Called))
    call = replace(called.call, headers={**called.call.headers, "x-attempt": "2"})
    return [*entries, replace(called, number=2, call=call)]


def sends_the_work_again(entries: list[Observation]) -> list[Observation]:
    return [*entries, next(each for each in entries if isinstance(each, Published) and each.message.topic == "work")]


def calls_late(entries: list[Observation]) -> list[Observation]:
    return [replace(each, at=each.at + timedelta(minutes=5)) if isinstance(each, Called) else each for each in entries]


def sends_work_that_never_expires(entries: list[Observation]) -> list[Observation]:
    return [replace(each, message=replace(each.message, time_to_live=None)) if isinstance(each, Published) else each for each in entries]


def leaves_a_run_open(entries: list[Observation]) -> list[Observation]:
    return [*entries, changed(runs(entries)[0], b'"createdAt":"2026', b'"createdAt":"2025')]


def loses_a_message(entries: list[Observation]) -> list[Observation]:
    return [replace(each, ack=Ack.RETRY) if isinstance(each, Handled) and "results" in each.delivery.source else each for each in entries]


def invents_an_output(entries: list[Observation]) -> list[Observation]:
    return [changed(each, b'"output":"worked"', b'"output":"forged"') if isinstance(each, Stored) else each for each in entries]


def runs(entries: list[Observation]) -> list[Stored]:
    return [each for each in entries if isinstance(each, Stored) and each.key == "run/sent"]


def changed(stored: Stored, old: bytes, new: bytes) -> Stored:
    return replace(stored, value=stored.value.replace(old, new))


@pytest.mark.parametrize(
    ("promise", "falsified"),
    [
        (1, admits_first),
        (1, forgets_the_timers),
        (1, forgets_the_work),
        (2, ends_twice),
        (2, goes_on_after_the_end),
        (3, sends_no_reply),
        (3, replies_before_the_end),
        (4, calls_again),
        (4, sends_the_work_again),
        (5, calls_late),
        (5, sends_work_that_never_expires),
        (6, leaves_a_run_open),
        (6, loses_a_message),
        (7, invents_an_output),
    ],
)
async def test_a_falsified_journal_is_noticed(promise: int, falsified: Callable[[list[Observation]], list[Observation]]) -> None:
    journal = await honest()
    journal.entries = falsified(journal.entries)
    assert f"promise {promise}" in {breach.partition(":")[0] for breach in broken(journal)}

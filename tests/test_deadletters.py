from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.deadletters import DeadLetterFilter, broker_reason, store
from bridge.errors import BeingReplayed, Malformed, NotFound, Unavailable
from bridge.ports import Delivery, Message
from bridge.testing import NOON
from tests.core_kit import SECOND
from tests.deadletters_kit import BODY, KEEP, World, delivery


@pytest.fixture
def world() -> World:
    return World()


# Keeping.


async def test_the_same_delivery_again_is_the_same_dead_letter(world):
    first = await world.kept()
    world.clock.advance(SECOND)
    again = await world.kept(replace(delivery(), attempt=7))
    await world.replica("b").keep(delivery(), "Other", "by another replica")
    assert again == first
    assert await world.listed() == [first]


@pytest.mark.parametrize(
    "other",
    [
        delivery(message_id="m-2"),
        delivery(source="automation-timers/bridge"),
        delivery(b"other"),
        replace(delivery(), enqueued_at=NOON + SECOND),
        replace(delivery(), enqueued_at=None),
    ],
    ids=["id", "source", "body", "time", "no time"],
)
async def test_another_delivery_is_another_dead_letter(world, other):
    await world.kept()
    await world.kept(other)
    assert len({letter.id for letter in await world.listed()}) == 2


async def test_keeping_that_succeeded_but_reports_failure_is_keeping(world):
    world.store.fail(Unavailable("lost"), key="deadletter/", written=True)
    assert (await world.kept()).reason == "Malformed"


@pytest.mark.parametrize("key", ["deadletter/", "deadletters"])
async def test_keeping_that_failed_is_told_and_may_be_repeated(world, key):
    world.store.fail(Unavailable("down"), key=key)
    with pytest.raises(Unavailable):
        await world.kept()
    await world.kept()
    assert len(await world.listed()) == 1


async def test_a_dead_letter_ends_with_its_time(world):
    letter = await world.kept()
    world.clock.advance(KEEP)
    with pytest.raises(NotFound):
        await world.letters.get(letter.id)
    assert await world.listed() == []


# Listing.


async def test_dead_letters_of_all_replicas_are_listed_newest_first_page_by_page(world):
    for number, letters in enumerate([world.letters, world.replica("b"), world.letters]):
        world.clock.advance(SECOND)
        await letters.keep(delivery(message_id=str(number)), f"reason-{number}", "")
    first, cursor = await world.letters.page(2, "")
    second, end = await world.letters.page(2, cursor)
    assert [letter.reason for letter in first + second] == ["reason-2", "reason-1", "reason-0"]
    assert end == ""


async def test_a_list_of_none_is_empty(world):
    assert await world.letters.page(10, "") == ([], "")


async def test_a_cursor_that_was_made_up_is_refused(world):
    with pytest.raises(Malformed):
        await world.letters.page(10, "nonsense")


async def test_a_dead_letter_kept_twice_stands_on_one_page(world):
    await world.kept()
    await world.kept(delivery(message_id="m-2"))
    await world.kept()
    first, cursor = await world.letters.page(1, "")
    rest, _ = await world.letters.page(10, cursor)
    assert len(first + rest) == 2


async def test_a_list_can_be_of_one_reason_or_automation(world):
    await world.letters.keep(delivery(message_id="1"), "Malformed", "")
    await world.letters.keep(Delivery("t/s", Message("t", BODY, label="other")), "GaveUp", "")
    assert [letter.reason for letter in await world.listed(reason="GaveUp")] == ["GaveUp"]
    assert [letter.automation for letter in await world.listed(automation="report")] == ["report"]
    assert await world.listed(reason="Malformed", automation="other") == []


async def test_what_has_another_reason_is_not_read(world):
    for number in range(5):
        await world.letters.keep(delivery(message_id=str(number)), "Malformed", "")
    before = world.store.calls["get"]
    await world.listed()
    all_of_them = world.store.calls["get"] - before
    await world.listed(reason="GaveUp")
    assert world.store.calls["get"] - before - all_of_them == all_of_them - 5


async def test_a_list_of_what_was_never_replayed_has_neither_what_was_nor_what_came_back(world):
    never, replayed = await world.kept(), await world.kept(delivery(message_id="m-2"))
    await world.replay(replayed)
    await world.kept(Delivery("automation-requests/bridge", world.bus.published[0]))
    assert [letter.id for letter in await world.listed(replayed=False)] == [never.id]
    assert len(await world.listed(replayed=True)) == 2


async def test_pages_neither_skip_nor_repeat_nor_grow_while_letters_are_replayed_and_come_back(world):
    for number in range(10):
        await world.letters.keep(delivery(message_id=str(number)), "Malformed", "")
    seen, cursor = [], ""
    while True:
        letters, cursor = await world.letters.page(3, cursor, DeadLetterFilter(replayed=False))
        for letter in letters:
            await world.replay(letter)
            await world.letters.keep(Delivery("automation-requests/bridge", world.bus.published[-1]), "Malformed", "again")
        seen += letters
        if not cursor:
            break
    assert len({letter.id for letter in seen}) == len(seen) == 10


async def test_a_page_ends_before_it_is_too_large_and_goes_on(world, monkeypatch):
    monkeypatch.setattr(store, "PAGE_BYTES", 1_100)
    for number in range(5):
        await world.letters.keep(delivery(b"x" * 600, message_id=str(number)), "Malformed", "")
    pages, cursor = [], ""
    while not pages or cursor:
        letters, cursor = await world.letters.page(100, cursor)
        pages.append(len(letters))
    assert (max(pages), sum(pages)) == (2, 5)


async def test_a_filter_looks_for_so_long_at_a_time_and_its_cursor_goes_on(world, monkeypatch):
    monkeypatch.setattr(store, "BUDGET", 0)
    await world.letters.keep(delivery(message_id="wanted"), "GaveUp", "")
    for number in range(2):
        await world.letters.keep(delivery(message_id=str(number)), "Malformed", "")
    first, cursor = await world.letters.page(2, "", DeadLetterFilter(reason="GaveUp"))
    rest, end = await world.letters.page(2, cursor, DeadLetterFilter(reason="GaveUp"))
    assert (first, [letter.reason for letter in rest], end) == ([], ["GaveUp"], "")


async def test_a_dead_letter_that_was_kept_at_the_second_attempt_is_listed_once(world):
    world.store.fail(Unavailable("down"), key="deadletter/")
    with pytest.raises(Unavailable):
        await world.letters.keep(delivery(), "Malformed", "")
    world.clock.advance(SECOND)
    await world.letters.keep(delivery(), "Malformed", "")
    first, cursor = await world.letters.page(1, "")
    rest, _ = await world.letters.page(1, cursor)
    assert [len(first), len(rest)] == [1, 0]


# Discarding.


async def test_what_is_discarded_is_gone_with_its_body(world):
    letter = await world.kept()
    await world.letters.discard(letter.id, "root")
    assert await world.listed() == []
    for call in (world.letters.get(letter.id), world.replay(letter), world.letters.discard(letter.id, "root")):
        with pytest.raises(NotFound, match="GET /v1/deadletters lists them"):
            await call
    stored = await world.store.get(f"deadletter/{letter.id}")
    assert stored is None or b"hunter2" not in stored.value


async def test_what_is_being_replayed_is_not_discarded(world):
    letter = await world.kept()
    await world.interrupted(letter)
    with pytest.raises(BeingReplayed, match="Look again after 2026-01-31T12:00:30"):
        await world.letters.discard(letter.id, "root")


async def test_what_is_not_there_is_told_shortly(world):
    with pytest.raises(NotFound) as caught:
        await world.letters.get("x" * 10_000)
    assert len(caught.value.detail) < 200


# What a broker says.


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({}, "no reason given"),
        ({"DeadLetterReason": "MaxDeliveryCountExceeded"}, "MaxDeliveryCountExceeded"),
        ({"DeadLetterReason": "r", "DeadLetterErrorDescription": "d"}, "r: d"),
        ({"DeadLetterErrorDescription": "d"}, "d"),
    ],
)
def test_the_reason_of_a_broker_is_told_in_its_own_words(properties, said):
    assert broker_reason(Message("t", b"", properties=properties)) == said

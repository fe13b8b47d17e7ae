"""Replays of dead letters: who claims publishes, and whatever is interrupted is made again under the same message id."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bridge.deadletters import ReplayResult
from bridge.deadletters.deadletter import DeadLetter
from bridge.errors import BeingReplayed, ChangedMeanwhile, Conflict, Full, Malformed, NotReplayable, PortError, Unavailable, Undeliverable
from bridge.ports import Delivery
from tests.core_kit import SECOND, event
from tests.deadletters_kit import BODY, LEASE, World, delivery


@pytest.fixture
def world() -> World:
    return World()


async def test_a_replay_publishes_the_original_where_it_came_from(world):
    letter = await world.kept()
    replayed = await world.replay(letter)
    (message,) = world.bus.published
    assert (message.topic, message.body, message.correlation_id, message.label) == ("automation-requests", BODY, "order-1", "report")
    assert message.content_type == "application/cloudevents+json"
    assert replayed == ReplayResult(await world.letters.get(letter.id), now=True)


async def test_each_replay_is_on_record_and_a_message_of_its_own(world):
    letter = await world.kept()
    for _ in range(2):
        await world.replay(letter)
    assert world.sent() == [f"{letter.id}/1", f"{letter.id}/2"]
    shown = (await world.letters.get(letter.id)).view()["replays"]
    assert shown == [{"at": "2026-01-31T12:00:00Z", "by": "root", "messageId": name, "edited": False} for name in world.sent()]


async def test_the_replay_of_a_number_is_made_once(world):
    letter = await world.kept()
    first, again = [await world.replay(letter, number=1) for _ in range(2)]
    assert (first.now, again.now, again.dead_letter) == (True, False, first.dead_letter)
    assert world.sent() == [f"{letter.id}/1"]


async def test_a_number_that_is_not_the_next_one_is_refused(world):
    letter = await world.kept()
    with pytest.raises(Malformed, match="number=3 is not the next replay"):
        await world.replay(letter, number=3)
    assert world.sent() == []


async def test_of_two_replayers_at_once_only_one_publishes(world):
    letter = await world.kept()
    publish = world.bus.publish

    async def and_meanwhile(messages: Any) -> None:
        with pytest.raises(BeingReplayed, match="root replays dead letter"):
            await world.replay(letter, "b")
        await publish(messages)

    world.bus.publish = and_meanwhile
    await world.replay(letter)
    assert world.sent() == [f"{letter.id}/1"]


@pytest.mark.parametrize("wish", [{}, {"number": 1}])
async def test_of_two_who_have_read_the_same_letter_only_one_publishes(world, wish):
    letter = await world.kept()
    save = world.store.save

    async def after_the_other(*args: Any) -> str:
        world.store.save = save
        await world.replay(letter, "b", **wish)
        return await save(*args)

    world.store.save = after_the_other
    with pytest.raises(ChangedMeanwhile, match="changed by somebody else"):
        await world.replay(letter, **wish)
    assert world.sent() == [f"{letter.id}/1"]


async def test_of_two_who_claim_at_the_same_moment_only_one_publishes(world):
    letter = await world.kept()
    save = world.store.save

    async def after_the_same_claim(*args: Any) -> str:
        world.store.save = save
        await world.interrupted(letter)
        return await save(*args)

    world.store.save = after_the_same_claim
    with pytest.raises(ChangedMeanwhile):
        await world.replay(letter)
    assert world.sent() == [f"{letter.id}/1"]


@pytest.mark.parametrize("fault", [Unavailable("lost"), Conflict("lost")], ids=["unavailable", "conflict"])
async def test_a_claim_that_was_written_but_reports_failure_is_a_claim(world, fault):
    letter = await world.kept()
    world.store.fail(fault, key="deadletter/", written=True)
    assert (await world.replay(letter)).now
    assert world.sent() == [f"{letter.id}/1"]


async def test_without_a_claim_nothing_is_published(world):
    letter = await world.kept()
    world.store.fail(Unavailable("down"), key="deadletter/")
    with pytest.raises(Unavailable):
        await world.replay(letter)
    assert world.sent() == []


@pytest.mark.parametrize("published", [True, False])
async def test_an_interrupted_replay_says_so_and_is_made_again_under_the_same_id(world, published):
    letter = await world.kept()
    await world.interrupted(letter, published=published)
    assert (await world.letters.get(letter.id)).view()["replaying"] == {
        "at": "2026-01-31T12:00:00Z",
        "by": "root",
        "messageId": f"{letter.id}/1",
        "edited": False,
        "until": "2026-01-31T12:00:30Z",
    }
    with pytest.raises(BeingReplayed):
        await world.replay(letter, number=1)
    world.clock.advance(LEASE)
    replayed = await world.replay(letter, number=1)
    assert (set(world.sent()), len(replayed.dead_letter.replays)) == ({f"{letter.id}/1"}, 1)


async def test_an_interrupted_replay_does_not_stand_in_the_way_for_as_long_as_the_clock_was_set_back(world):
    letter = await world.kept()
    await world.interrupted(letter)
    world.clock.set_forward(timedelta(hours=-1))
    assert len((await world.replay(letter, number=1)).dead_letter.replays) == 1


async def test_an_interrupted_replay_has_not_been_made(world):
    letter = await world.kept()
    await world.interrupted(letter)
    assert [each.id for each in await world.listed(replayed=False)] == [letter.id]


async def test_what_came_back_from_both_messages_of_an_interrupted_replay_is_one_dead_letter(world):
    letter = await world.kept()
    await world.interrupted(letter)
    world.clock.advance(LEASE)
    await world.replay(letter)
    for message in world.bus.published:
        world.clock.advance(SECOND)
        await world.letters.keep(Delivery("automation-requests/bridge", message, enqueued_at=world.clock.now()), "Malformed", "again")
    assert len(await world.listed(replay_of=letter.id)) == 1


async def lose_the_process(world: World, letter: DeadLetter) -> None:
    await world.interrupted(letter)
    world.clock.advance(LEASE)


async def lose_the_answer(world: World, letter: DeadLetter) -> None:
    publish = world.bus.publish

    async def and_fail(messages: Any) -> None:
        world.bus.publish = publish  # type: ignore[method-assign]
        await publish(messages)
        raise Unavailable("lost")

    world.bus.publish = and_fail  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await world.replay(letter)


@pytest.mark.parametrize("lose", [lose_the_process, lose_the_answer])
async def test_another_event_after_a_replay_that_is_not_known_of_has_an_id_of_its_own(world, lose):
    letter = await world.kept()
    await lose(world, letter)
    replayed = await world.replay(letter, edited=event({"user": "alice"}).encode())
    assert world.sent() == [f"{letter.id}/1", f"{letter.id}/2"]
    assert [each.get("unconfirmed", False) for each in replayed.dead_letter.view()["replays"]] == [True, False]


async def test_a_numbered_replay_does_not_follow_upon_an_interrupted_one_of_another_event(world):
    letter = await world.kept()
    await world.interrupted(letter, edited=event({"user": "alice"}).encode())
    world.clock.advance(LEASE)
    with pytest.raises(NotReplayable, match="with another event was interrupted"):
        await world.replay(letter, number=1)


@pytest.mark.parametrize("fault", [Full("full"), Undeliverable("too large")], ids=["full", "undeliverable"])
async def test_a_replay_that_was_surely_not_published_leaves_the_letter_as_it_was(world, fault: PortError):
    letter = await world.kept()
    world.bus.fail(fault)
    with pytest.raises(type(fault)):
        await world.replay(letter)
    assert await world.letters.get(letter.id) == letter


async def test_a_replay_that_may_have_been_published_can_be_made_again_at_once_under_the_same_id(world):
    letter = await world.kept()
    world.bus.fail(Unavailable("down"))
    with pytest.raises(Unavailable):
        await world.replay(letter)
    await world.replay(letter)
    assert world.sent() == [f"{letter.id}/1"]


async def test_a_replay_that_cannot_be_confirmed_is_told_and_keeps_its_claim(world):
    letter = await world.kept()
    publish = world.bus.publish

    async def and_lose_the_store(messages: Any) -> None:
        await publish(messages)
        world.store.fail(Unavailable("down"), key="deadletter/")

    world.bus.publish = and_lose_the_store
    with pytest.raises(Unavailable):
        await world.replay(letter)
    with pytest.raises(BeingReplayed):
        await world.replay(letter)


async def test_a_replay_that_takes_longer_than_its_claim_is_told_that_another_took_its_place(world):
    letter = await world.kept()
    publish = world.bus.publish

    async def slowly(messages: Any) -> None:
        world.bus.publish = publish
        world.clock.advance(LEASE)
        await world.replay(letter, "b")
        await publish(messages)

    world.bus.publish = slowly
    with pytest.raises(ChangedMeanwhile):
        await world.replay(letter)
    assert set(world.sent()) == {f"{letter.id}/1"}


@pytest.mark.parametrize("passes", ["before the claim", "after the claim"])
async def test_work_is_not_replayed_once_its_deadline_has_passed(world, passes):
    body = event({}, type="automation.invoked", expirytime="2026-01-31T12:00:10Z").encode()
    letter = await world.kept(delivery(body))
    save = world.store.save

    async def slowly(*args: Any) -> str:
        world.store.save = save
        world.clock.advance(timedelta(seconds=10))
        return await save(*args)

    if passes == "before the claim":
        world.clock.advance(timedelta(seconds=10))
    else:
        world.store.save = slowly
    with pytest.raises(NotReplayable):
        await world.replay(letter)
    assert (world.sent(), await world.letters.get(letter.id)) == ([], letter)


async def test_an_edited_event_is_published_and_the_original_is_kept(world):
    letter = await world.kept()
    replayed = await world.replay(letter, edited=event({"user": "alice"}).encode())
    assert json.loads(world.bus.published[0].body)["data"] == {"user": "alice"}
    assert (replayed.dead_letter.original(), replayed.dead_letter.view()["replays"][0]["edited"]) == (BODY, True)


async def test_what_nobody_knows_the_topic_of_is_not_replayed(world):
    letter = await world.kept(delivery(source="automation-deadletters/bridge"))
    with pytest.raises(NotReplayable, match="does not tell which topic"):
        await world.replay(letter)
    assert world.sent() == []


async def test_a_replay_goes_to_the_topic_that_the_bridge_knows_although_the_bus_does_not_tell(world):
    letter = await world.kept(delivery(source="automation-deadletters/bridge"), topic="orders")
    await world.replay(letter)
    assert [message.topic for message in world.bus.published] == ["orders"]

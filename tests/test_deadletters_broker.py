"""The dead letters in the broker's sub-queues, beside those that the bridge keeps."""

from __future__ import annotations

import asyncio
import json

import pytest

from bridge.deadletters import AllDeadLetters, BrokerDeadLetters, DeadLetterFilter, ReplayRequest, subqueue
from bridge.deadletters.filter import EVERYTHING
from bridge.errors import BeingReplayed, Malformed, NotFound, NotReplayable, Unavailable, Undeliverable
from tests.core_kit import SECOND, event
from tests.deadletters_kit import World, delivery
from tests.subqueues_kit import NO_SUCH_ENTITY, MemorySubQueues


class Both(World):
    """A bridge with dead letters of its own, and a broker with sub-queues."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = MemorySubQueues(self.clock, "jobs", "orders/audit", "orders/worker")
        self.secret: tuple[tuple[str, ...], ...] = ()
        broker = BrokerDeadLetters(self.queues, self.letters, self.clock, lambda _message: self.secret)
        self.all = AllDeadLetters(self.letters, broker)

    async def ids(self, limit: int = 100, **only: object) -> list[str]:
        """All pages of the list."""
        found, cursor = [], ""
        while True:
            page = await self.all.page(limit, cursor, DeadLetterFilter(**only))  # type: ignore[arg-type]
            found += [each.id for each in page.dead_letters]
            cursor = page.cursor
            if not cursor:
                return found

    async def given_back(self) -> bool:
        """Whether nothing is locked any more, a moment later."""
        async with asyncio.timeout(20):
            while self.queues.locked:
                await asyncio.sleep(0.01)
        return True

    async def act(self, *ids: str, **wish: object) -> list[object]:
        request = ReplayRequest("root", **wish)  # type: ignore[arg-type]
        return await asyncio.gather(*(self.all.replay(each, request) for each in ids), return_exceptions=True)


@pytest.fixture
def both() -> Both:
    return Both()


# Listing.


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_the_bridge_s_own_come_first_then_those_of_each_entity_oldest_first(both, limit):
    own = await both.kept()
    for entity in ("orders/worker", "jobs", "jobs"):
        both.queues.park(entity)
    assert await both.ids(limit) == [own.id, "jobs@2", "jobs@3", "orders~worker@1"]


async def test_a_page_holds_a_bounded_number_of_bytes(both):
    for _ in range(20):
        both.queues.park("jobs", b"x" * 2**20)
    page = await both.all.page(100, "", EVERYTHING)
    assert (len(page.dead_letters), page.cursor) == (8, "broker:jobs@9")
    assert len(await both.ids()) == 20


async def test_they_are_chosen_by_entity_reason_text_automation_and_age(both):
    both.queues.park("orders/worker", b'{"note": "needle"}', reason="Bad", label="report")
    both.queues.park("orders/audit", b"{}", description="a Needle, too")
    both.queues.park("jobs", b"no JSON \xff")
    await both.kept()
    both.clock.advance(SECOND)
    assert await both.ids(entity="orders") == ["orders~audit@2", "orders~worker@1"]
    assert await both.ids(entity="Orders/Subscriptions/Worker/$DeadLetterQueue") == ["orders~worker@1"]
    assert await both.ids(text="NEEDLE") == ["orders~audit@2", "orders~worker@1"]
    assert await both.ids(reason="Bad") == await both.ids(automation="report", entity="orders") == ["orders~worker@1"]
    assert len(await both.ids(before=both.clock.now())) == 4
    assert await both.ids(before=both.clock.now() - 2 * SECOND) == []


async def test_what_is_masked_cannot_be_searched_for(both):
    both.secret = (("password",),)
    body = event({"password": "hunter2"}, invocationtoken="t0ken-1").encode()
    both.queues.park(
        "jobs",
        body,
        description="t0ken-1 is wrong for hunter2",
        properties={"invocationToken": "t0ken-1", "cloudEvents:invocationtoken": "t0ken-1"},
    )
    (letter,) = (await both.all.page(10, "", EVERYTHING)).dead_letters
    shown = letter.view()
    assert (shown["detail"], shown["event"]["data"]) == ("*** is wrong for ***", {"password": "***"})
    assert set(shown["properties"].values()) == {"***"}
    assert await both.ids(text="hunter2") == await both.ids(text="t0ken-1") == []


async def test_a_broker_that_is_away_leaves_the_bridge_s_own_and_is_named(both):
    own = await both.kept()
    both.queues.fault = Unavailable("The namespace cannot be reached.")
    page = await both.all.page(100, "", EVERYTHING)
    assert ([each.id for each in page.dead_letters], page.cursor) == ([own.id], "")
    assert [(each.entity, "cannot be reached" in each.detail) for each in page.missing] == [("", True)]


async def test_an_entity_that_is_not_there_leaves_the_others_and_is_named(both):
    both.queues.park("orders/worker")
    both.queues.faults["jobs"] = NO_SUCH_ENTITY
    page = await both.all.page(100, "", EVERYTHING)
    assert [each.id for each in page.dead_letters] == ["orders~worker@1"]
    assert [each.entity for each in page.missing] == ["jobs"]


@pytest.mark.parametrize("cursor", ["broker:", "broker:jobs", "broker:nowhere@1", "broker:jobs@x", "broker:jobs@" + "9" * 30])
async def test_a_cursor_that_was_made_up_is_refused_or_starts_anew(both, cursor):
    if cursor == "broker:":
        assert (await both.all.page(10, cursor, EVERYTHING)).cursor == ""
        return
    with pytest.raises(Malformed):
        await both.all.page(10, cursor, EVERYTHING)


@pytest.mark.parametrize("name", ["jobs@99", "nowhere@1", "jobs", "../jobs@1", "jobs@-1"])
async def test_an_id_that_nothing_has_is_not_found(both, name):
    for call in (both.all.get(name), both.all.replay(name, ReplayRequest("root")), both.all.discard(name, "root")):
        with pytest.raises(NotFound):
            await call


# Replaying.


async def test_a_copy_is_sent_then_the_message_is_settled_and_the_bridge_keeps_who_replayed_it(both):
    both.queues.park("orders/worker", b'{"job": 1}', label="report", correlation_id="order-1")
    (result,) = await both.act("orders~worker@1", number=1)
    (copy,) = both.queues.sent
    assert (copy.topic, copy.body, copy.message_id, copy.label) == ("orders", b'{"job": 1}', "orders~worker@1/1", "report")
    assert (result.now, both.queues.messages["orders/worker"]) == (True, [])
    kept = await both.all.get("orders~worker@1")
    assert [(each.by, each.message_id) for each in kept.replays] == [("root", "orders~worker@1/1")]
    (again,) = await both.act("orders~worker@1", number=1)
    assert (again.now, len(both.queues.sent)) == (False, 1)


async def test_a_replay_that_was_sent_and_not_settled_is_made_again_under_the_same_message_id(both):
    both.queues.park("jobs")
    both.queues.lost_locks = True
    (fault,) = await both.act("jobs@1")
    assert isinstance(fault, Unavailable)
    both.queues.lost_locks = False
    await both.act("jobs@1")
    assert [each.message_id for each in both.queues.sent] == ["jobs@1/1", "jobs@1/1"]


async def test_another_edit_has_another_message_id(both):
    both.queues.park("jobs", b'{"job": 1}')
    both.queues.lost_locks = True
    for edited in (b'{"job":2}', b'{"job":2}', b'{"job":3}'):
        await both.act("jobs@1", edited=edited)
    first, second, third = (each.message_id for each in both.queues.sent)
    assert first == second != third
    assert [json.loads(each.body) for each in both.queues.sent] == [{"job": 2}, {"job": 2}, {"job": 3}]


async def test_what_comes_back_names_the_dead_letter_that_it_came_from(both):
    both.queues.park("jobs")
    await both.act("jobs@1")
    both.queues.park("jobs", message_id="jobs@1/1")
    both.queues.park("jobs", message_id="jobs@99/1")
    assert [each.replay_of for each in (await both.all.page(10, "", DeadLetterFilter(entity="jobs"))).dead_letters[1:]] == ["jobs@1", ""]
    assert await both.ids(replayed=False) == ["jobs@3"]


async def test_a_refused_copy_stays_and_the_others_go(both):
    for body in (b"1", b"2", b"3"):
        both.queues.park("jobs", body)
    both.queues.refused[b"2"] = Undeliverable("too large")
    first, second, third = await both.act("jobs@1", "jobs@2", "jobs@3")
    assert (isinstance(second, Undeliverable), first.now, third.now) == (True, True, True)
    assert [each.number for each in both.queues.messages["jobs"]] == [2]
    assert await both.given_back()


async def test_work_whose_deadline_has_passed_is_not_replayed(both):
    both.queues.park("jobs", event({}, type="automation.invoked", expirytime="2026-01-31T11:00:00Z").encode())
    (fault,) = await both.act("jobs@1")
    assert (isinstance(fault, NotReplayable), both.queues.sent, await both.given_back()) == (True, [], True)


# Locking from the head.


async def test_what_was_not_chosen_is_given_back_at_once(both):
    for _ in range(100):
        both.queues.park("jobs")
    await both.all.discard("jobs@90", "root")
    assert (await both.given_back(), len(both.queues.messages["jobs"])) == (True, 99)
    assert both.queues.most_locked <= 90 + subqueue.BATCH


async def test_no_more_is_locked_than_the_chosen_one_needs(both):
    for _ in range(1_000):
        both.queues.park("jobs")
    await both.all.discard("jobs@1", "root")
    assert both.queues.most_locked <= subqueue.BATCH


async def test_many_are_acted_on_in_one_pass(both):
    for _ in range(500):
        both.queues.park("jobs")
    await asyncio.gather(*(both.all.discard(f"jobs@{number}", "root") for number in range(1, 501, 2)))
    assert both.queues.receipts <= 500 / subqueue.BATCH + 1
    assert [each.number for each in both.queues.messages["jobs"]] == list(range(2, 501, 2))


async def test_what_another_receiver_has_locked_is_being_replayed(both):
    both.queues.park("jobs")
    both.queues.locked.add(("jobs", 1))
    (fault,) = await both.act("jobs@1")
    assert isinstance(fault, BeingReplayed)


async def test_what_lies_behind_more_than_can_be_held_is_refused(both, monkeypatch):
    monkeypatch.setattr(subqueue, "MOST_ASIDE", 64)
    for _ in range(200):
        both.queues.park("jobs")
    (fault,) = await both.act("jobs@200")
    assert (isinstance(fault, NotReplayable), both.queues.locked) == (True, set())


async def test_what_is_chosen_while_another_is_looked_for_is_found_aside(both):
    both.queues.park("jobs")
    both.queues.park("jobs")
    both.queues.locked.add(("jobs", 2))
    chosen = asyncio.create_task(both.all.discard("jobs@2", "root"))
    lock = both.queues.lock_gate = asyncio.Event()
    await asyncio.sleep(0.02)
    other = asyncio.create_task(both.all.discard("jobs@1", "root"))
    await asyncio.sleep(0.02)
    lock.set()
    with pytest.raises(BeingReplayed):
        await chosen
    await other
    assert [each.number for each in both.queues.messages["jobs"]] == [2]


async def test_two_who_act_on_one_do_it_once(both):
    both.queues.park("jobs")
    ends = await both.act("jobs@1", "jobs@1")
    assert len(both.queues.sent) == 1
    assert sum(isinstance(each, BeingReplayed) for each in ends) == 1


async def test_a_bridge_that_stops_leaves_what_it_had_not_settled(both):
    both.queues.park("jobs")
    held = asyncio.Event()
    both.queues.send = lambda _copies: held.wait()
    acting = asyncio.create_task(both.all.replay("jobs@1", ReplayRequest("root")))
    await asyncio.sleep(0.05)
    await both.all.close()
    with pytest.raises(Unavailable):
        await acting
    assert len(both.queues.messages["jobs"]) == 1


async def test_the_bridge_s_own_dead_letter_says_which_subscriptions_its_replay_reaches(both):
    own = await both.kept(delivery(source="orders/worker"))
    assert list(both.all.reaches(own)) == ["orders/audit", "orders/worker"]

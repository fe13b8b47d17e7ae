from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import deadletters
from bridge.deadletter import DeadLetter
from bridge.deadletters import DeadLetters, Replayed, Terms, Wanted, broker_reason
from bridge.errors import (
    BeingReplayed,
    ChangedMeanwhile,
    Conflict,
    Full,
    Malformed,
    NotFound,
    NotReplayable,
    PortError,
    Unavailable,
    Undeliverable,
)
from bridge.index import Index
from bridge.ports import Delivery, Message
from bridge.replay import Wish
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import SECOND, event, moderate

KEEP = timedelta(days=7)
LEASE = timedelta(seconds=30)
BODY = event({"password": "hunter2", "user": "root"}, invocationtoken="t0ken", authsignature="s1gned").encode()


def delivery(body: bytes = BODY, *, source: str = "automation-requests/bridge", message_id: str = "m-1", **properties: str) -> Delivery:
    message = Message("automation-requests", body, message_id, "order-1", "report", properties=properties)
    return Delivery(source, message, attempt=2, enqueued_at=NOON)


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store, self.bus = MemoryStore(self.clock), MemoryBus(self.clock)
        self.letters = self.replica("a")

    def replica(self, name: str) -> DeadLetters:
        index = Index(self.store, self.clock, name="deadletters", replica=name, keep=KEEP)
        return DeadLetters(self.store, self.bus, index, self.clock, Terms(KEEP, LEASE))

    async def kept(self, given: Delivery | None = None, **options: Any) -> DeadLetter:
        """Keep it and give what the newest entry of the list is then."""
        await self.letters.keep(given or delivery(), "Malformed", "no event", **options)
        return (await self.letters.page(1, ""))[0][0]

    async def listed(self, **wanted: Any) -> list[DeadLetter]:
        return (await self.letters.page(100, "", Wanted(**wanted)))[0]

    async def replay(self, letter: DeadLetter, replica: str = "", **wish: Any) -> Replayed:
        return await (self.replica(replica) if replica else self.letters).replay(letter.id, Wish("root", **wish))

    async def interrupted(self, letter: DeadLetter, *, published: bool = True, **wish: Any) -> None:
        """A replay whose process ends between its claim and its confirmation, before or after the message was published."""
        publish = self.bus.publish

        async def and_end(messages: Any) -> None:
            if published:
                await publish(messages)
            raise asyncio.CancelledError

        self.bus.publish = and_end  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await self.replay(letter, **wish)
        self.bus.publish = publish  # type: ignore[method-assign]

    def sent(self) -> list[str]:
        """The message ids of all that was published."""
        return [message.message_id for message in self.bus.published]


@pytest.fixture
def world() -> World:
    return World()


# Keeping.


async def test_a_dead_letter_says_what_it_was_whence_it_came_and_why(world):
    letter = await world.kept()
    assert (letter.reason, letter.detail, letter.source, letter.topic, letter.attempts) == (
        "Malformed",
        "no event",
        "automation-requests/bridge",
        "automation-requests",
        2,
    )
    assert (letter.correlation_id, letter.automation, letter.kept_at, letter.original()) == ("order-1", "report", NOON, BODY)
    assert await world.letters.find(letter.id) == letter


async def test_what_a_broker_gave_up_tells_its_origin_and_attempts(world):
    given = delivery(
        source="automation-deadletters", **{"x-opt-deadletter-source": "automation-powershell/powershell", "deliveryCount": "3"}
    )
    letter = await world.kept(given)
    assert (letter.source, letter.topic, letter.attempts) == ("automation-powershell/powershell", "automation-powershell", 3)


@moderate
@given(st.binary(max_size=40))
def test_any_body_comes_back_as_it_was(body):
    letter = asyncio.run(World().kept(delivery(body)))
    assert letter.original() == body
    assert json.dumps(letter.view())


async def test_a_long_detail_is_cut(world):
    await world.letters.keep(delivery(), "Malformed", "x" * 1_000_000)
    assert len((await world.listed())[0].detail) == 2000


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


@pytest.mark.parametrize("count", ["many", "", "-1", "9" * 5_000, "٣"])
async def test_a_count_of_deliveries_that_is_none_does_no_harm(world, count):
    assert (await world.kept(delivery(deliveryCount=count))).attempts == 2


async def test_a_dead_letter_ends_with_its_time(world):
    letter = await world.kept()
    world.clock.advance(KEEP)
    with pytest.raises(NotFound):
        await world.letters.find(letter.id)
    assert await world.listed() == []


# Showing.


async def test_tokens_and_secrets_are_masked(world):
    shown = (await world.kept(secret_paths=(("password",),))).view()
    assert shown["event"]["data"] == {"password": "***", "user": "root"}
    assert (shown["event"]["invocationtoken"], shown["event"]["authsignature"]) == ("***", "***")
    assert not [secret for secret in ("hunter2", "t0ken", "s1gned") if secret in json.dumps(shown)]


async def test_a_view_names_what_it_knows_and_nothing_empty(world):
    shown = (await world.kept(Delivery("automation-timers/bridge", Message("automation-timers", b"[]")))).view()
    assert shown.keys() == {"id", "reason", "detail", "source", "topic", "attempts", "keptAt", "contentType", "event"}


@pytest.mark.parametrize(("body", "shown"), [(b"not json", "not json"), (b"\xff\x00", base64.b64encode(b"\xff\x00").decode()), (b"", "")])
async def test_what_is_no_json_is_shown_as_it_is(world, body, shown):
    assert (await world.kept(delivery(body))).view()["body"] == shown


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"data_base64": base64.b64encode(b'{"password": "hunter2"}').decode()}).encode(),
        json.dumps([{"invocationtoken": "t0ken", "data": {"password": "hunter2"}}]).encode(),
    ],
    ids=["base64", "batch"],
)
async def test_secrets_are_masked_however_they_are_written(world, body):
    shown = json.dumps((await world.kept(delivery(body), secret_paths=(("password",),))).view())
    hidden = ("hunter2", "t0ken", base64.b64encode(b'{"password": "hunter2"}').decode())
    assert not [secret for secret in hidden if secret in shown]


async def test_a_body_that_is_json_and_no_event_is_shown_as_its_value(world):
    assert (await world.kept(delivery(b"17"))).view()["event"] == 17


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
        letters, cursor = await world.letters.page(3, cursor, Wanted(replayed=False))
        for letter in letters:
            await world.replay(letter)
            await world.letters.keep(Delivery("automation-requests/bridge", world.bus.published[-1]), "Malformed", "again")
        seen += letters
        if not cursor:
            break
    assert len({letter.id for letter in seen}) == len(seen) == 10


async def test_a_page_ends_before_it_is_too_large_and_goes_on(world, monkeypatch):
    monkeypatch.setattr(deadletters, "PAGE_BYTES", 1_000)
    for number in range(5):
        await world.letters.keep(delivery(b"x" * 600, message_id=str(number)), "Malformed", "")
    pages, cursor = [], ""
    while not pages or cursor:
        letters, cursor = await world.letters.page(100, cursor)
        pages.append(len(letters))
    assert (max(pages), sum(pages)) == (2, 5)


async def test_a_filter_looks_through_so_many_at_a_time(world, monkeypatch):
    monkeypatch.setattr(deadletters, "LOOK_THROUGH", 2)
    await world.letters.keep(delivery(message_id="wanted"), "GaveUp", "")
    for number in range(2):
        await world.letters.keep(delivery(message_id=str(number)), "Malformed", "")
    first, cursor = await world.letters.page(10, "", Wanted(reason="GaveUp"))
    rest, end = await world.letters.page(10, cursor, Wanted(reason="GaveUp"))
    assert (first, [letter.reason for letter in rest], end) == ([], ["GaveUp"], "")


# Replaying.


async def test_a_replay_publishes_the_original_where_it_came_from(world):
    letter = await world.kept()
    replayed = await world.replay(letter)
    (message,) = world.bus.published
    assert (message.topic, message.body, message.correlation_id, message.label) == ("automation-requests", BODY, "order-1", "report")
    assert message.content_type == "application/cloudevents+json"
    assert replayed == Replayed(await world.letters.find(letter.id), now=True)


async def test_each_replay_is_on_record_and_a_message_of_its_own(world):
    letter = await world.kept()
    for _ in range(2):
        await world.replay(letter)
    assert world.sent() == [f"{letter.id}/1", f"{letter.id}/2"]
    shown = (await world.letters.find(letter.id)).view()["replays"]
    assert shown == [{"at": "2026-01-31T12:00:00Z", "by": "root", "messageId": name, "edited": False} for name in world.sent()]


async def test_a_replay_that_leads_nowhere_again_is_another_dead_letter_that_names_its_parent(world):
    letter = await world.kept()
    await world.replay(letter)
    back = await world.kept(Delivery("automation-requests/bridge", world.bus.published[0]))
    assert (back.view()["replayOf"], back.id != letter.id) == (letter.id, True)
    assert [each.id for each in await world.listed(replay_of=letter.id)] == [back.id]


async def test_who_only_says_to_be_a_replay_is_none(world):
    letter = await world.kept()
    forged = await world.kept(delivery(message_id=f"{letter.id}/1"))
    unknown = await world.kept(delivery(message_id=f"{'0' * 24}/1"))
    assert (forged.replay_of, unknown.replay_of) == ("", "")


async def test_the_lineage_leads_to_the_run_and_the_cause_where_only_the_event_names_them(world):
    body = event({}, correlationid="order-7", causationid="e-7").encode()
    shown = (await world.kept(Delivery("t/s", Message("t", body)))).view(event=False)
    assert (shown["correlationId"], shown["causationId"], shown["automation"]) == ("order-7", "e-7", "report")
    by_id = await world.kept(Delivery("t/s", Message("t", event({}, id="order-8").encode())))
    assert by_id.correlation_id == "order-8"


async def test_the_replay_of_a_number_is_made_once(world):
    letter = await world.kept()
    first, again = [await world.replay(letter, number=1) for _ in range(2)]
    assert (first.now, again.now, again.letter) == (True, False, first.letter)
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
    assert (await world.letters.find(letter.id)).view()["replaying"] == {
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
    assert (set(world.sent()), len(replayed.letter.replays)) == ({f"{letter.id}/1"}, 1)


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
    assert [each.get("unconfirmed", False) for each in replayed.letter.view()["replays"]] == [True, False]


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
    assert await world.letters.find(letter.id) == letter


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
    assert (world.sent(), await world.letters.find(letter.id)) == ([], letter)


async def test_an_edited_event_is_published_and_the_original_is_kept(world):
    letter = await world.kept()
    replayed = await world.replay(letter, edited=event({"user": "alice"}).encode())
    assert json.loads(world.bus.published[0].body)["data"] == {"user": "alice"}
    assert (replayed.letter.original(), replayed.letter.view()["replays"][0]["edited"]) == (BODY, True)


# Discarding.


async def test_what_is_discarded_is_gone_with_its_body(world):
    letter = await world.kept()
    await world.letters.discard(letter.id)
    assert await world.listed() == []
    for call in (world.letters.find(letter.id), world.replay(letter), world.letters.discard(letter.id)):
        with pytest.raises(NotFound, match="GET /v1/deadletters lists them"):
            await call
    stored = await world.store.get(f"deadletter/{letter.id}")
    assert stored is None or b"hunter2" not in stored.value


async def test_what_is_being_replayed_is_not_discarded(world):
    letter = await world.kept()
    await world.interrupted(letter)
    with pytest.raises(BeingReplayed, match="Look again after 2026-01-31T12:00:30"):
        await world.letters.discard(letter.id)


async def test_what_is_not_there_is_told_shortly(world):
    with pytest.raises(NotFound) as caught:
        await world.letters.find("x" * 10_000)
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

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

from bridge.deadletters import DeadLetter, DeadLetters, broker_reason
from bridge.errors import ChangedMeanwhile, Malformed, NotFound, Unavailable, Undeliverable
from bridge.index import Index
from bridge.ports import Delivery, Message
from bridge.testing import NOON, FakeClock, MemoryBus, MemoryStore
from tests.core_kit import SECOND, event, moderate

KEEP = timedelta(days=7)
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
        return DeadLetters(self.store, self.bus, index, self.clock, keep=KEEP)

    async def kept(self, given: Delivery | None = None, **options: Any) -> DeadLetter:
        """Keep it and give what the newest entry of the list is then."""
        await self.letters.keep(given or delivery(), "Malformed", "no event", **options)
        return (await self.letters.page(1, ""))[0][0]

    async def listed(self) -> list[DeadLetter]:
        return (await self.letters.page(100, ""))[0]


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


async def test_a_count_of_deliveries_that_is_none_does_no_harm(world):
    assert (await world.kept(delivery(deliveryCount="many"))).attempts == 2


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


# Replaying and discarding.


async def test_a_replay_publishes_the_original_where_it_came_from(world):
    letter = await world.kept()
    replayed = await world.letters.replay(letter.id)
    (message,) = world.bus.published
    assert (message.topic, message.body, message.correlation_id, message.label) == ("automation-requests", BODY, "order-1", "report")
    assert message.content_type == "application/cloudevents+json"
    assert replayed.replayed_at == (NOON,)
    assert await world.letters.find(letter.id) == replayed


async def test_each_replay_is_a_message_of_its_own(world):
    letter = await world.kept()
    for _ in range(2):
        await world.letters.replay(letter.id)
    assert [message.message_id for message in world.bus.published] == [f"{letter.id}/1", f"{letter.id}/2"]


async def test_a_replay_that_leads_nowhere_again_is_another_dead_letter(world):
    letter = await world.kept()
    await world.letters.replay(letter.id)
    await world.kept(Delivery("automation-requests/bridge", world.bus.published[0]))
    assert len(await world.listed()) == 2


@pytest.mark.parametrize("fault", [Unavailable("down"), Undeliverable("too large")])
async def test_a_replay_that_could_not_be_published_is_told_and_not_counted(world, fault):
    letter = await world.kept()
    world.bus.fail(fault)
    with pytest.raises(type(fault)):
        await world.letters.replay(letter.id)
    assert await world.letters.find(letter.id) == letter


async def test_what_is_discarded_is_gone_with_its_body(world):
    letter = await world.kept()
    await world.letters.discard(letter.id)
    assert await world.listed() == []
    for call in (world.letters.find, world.letters.replay, world.letters.discard):
        with pytest.raises(NotFound, match="GET /v1/deadletters lists them"):
            await call(letter.id)
    stored = await world.store.get(f"deadletter/{letter.id}")
    assert stored is None or b"hunter2" not in stored.value


async def test_what_is_not_there_is_told_shortly(world):
    with pytest.raises(NotFound) as caught:
        await world.letters.find("x" * 10_000)
    assert len(caught.value.detail) < 200


async def test_of_two_who_act_at_once_one_is_told_to_look_again(world):
    letter = await world.kept()
    publish = world.bus.publish

    async def and_meanwhile(messages: Any) -> None:
        await publish(messages)
        await world.replica("b").discard(letter.id)

    world.bus.publish = and_meanwhile
    with pytest.raises(ChangedMeanwhile, match="changed by somebody else"):
        await world.letters.replay(letter.id)


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

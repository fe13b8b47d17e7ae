"""Messages for later on a bus that cannot schedule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock

import pytest

from bridge.adapters.dapr import scheduler as scheduling
from bridge.adapters.dapr.schedule_store import SLOT, ScheduleStore, slot_of
from bridge.adapters.dapr.scheduler import GRACE, Scheduler
from bridge.errors import Unavailable, Undeliverable
from bridge.ports import Message
from bridge.testing import FakeClock, MemoryStore

LONG_AGO = datetime.now(UTC) - GRACE - timedelta(seconds=3 * SLOT)


class Bus:
    """Keeps what is published, after it has refused as often as it was told to."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[Message] = asyncio.Queue()
        self.faults: list[Exception] = []

    async def publish(self, messages) -> None:
        if self.faults:
            raise self.faults.pop(0)
        for message in messages:
            self.came.put_nowait(message)

    async def next(self) -> Message:
        return await asyncio.wait_for(self.came.get(), 10)


@dataclass
class Letters:
    """What was given up, after it could not be kept as often as a test said."""

    kept: list[tuple[str, bytes, str]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def keep(self, message: Message, why: str) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.kept.append((message.message_id, message.body, why))


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(FakeClock(), shared=True)


@asynccontextmanager
async def replica(store, bus, name="one") -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(ScheduleStore(store, name), every=0.01)
    await scheduler.start(bus.publish)
    try:
        yield scheduler
    finally:
        await scheduler.close()


def message(number=1, *, seconds=0.0) -> Message:
    return Message("topic", b"\xff%d" % number, f"m-{number}", "c", "label", deliver_at=datetime.now(UTC) + timedelta(seconds=seconds))


async def left(store, name, *messages):
    """What a replica that has ended left behind: pages of a slot that is long over."""
    pages = ScheduleStore(store, name)
    await pages.open()
    await pages.add_slots(frozenset({slot_of(LONG_AGO)}))
    await pages.add_page(slot_of(LONG_AGO), messages)


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def until_true(fact: Callable[[], object]) -> None:
    async def condition() -> bool:
        return bool(fact())

    await until(condition)


async def test_a_message_comes_when_it_is_due_and_not_before(store, bus):
    async with replica(store, bus) as scheduler:
        held = message(seconds=0.3)
        await scheduler.schedule(held)
        assert bus.came.empty()
        came = await bus.next()
        assert datetime.now(UTC) >= held.deliver_at
        assert (came.body, came.message_id, came.deliver_at) == (held.body, held.message_id, None)


async def test_messages_come_in_the_order_they_are_due(store, bus):
    async with replica(store, bus) as scheduler:
        await asyncio.gather(*(scheduler.schedule(message(number, seconds=number / 20)) for number in (3, 1, 2)))
        assert [(await bus.next()).message_id for _ in range(3)] == ["m-1", "m-2", "m-3"]


async def test_messages_of_the_same_moment_share_a_page(store, bus):
    async with replica(store, bus) as scheduler:
        due = datetime.now(UTC) + timedelta(hours=1)
        await asyncio.gather(*(scheduler.schedule(Message("topic", b"", deliver_at=due)) for _ in range(50)))
        assert [key for key in store.stored_keys() if key.count("/") == 3] == [f"later/one/{slot_of(due)}/0"]


async def test_what_is_due_much_later_is_read_from_its_page_when_the_time_comes(store, bus, monkeypatch):
    monkeypatch.setattr("bridge.adapters.dapr.scheduler.SOON", -timedelta(hours=1))
    async with replica(store, bus) as scheduler:
        await scheduler.schedule(message(1))
        await scheduler.schedule(message(2))
        await asyncio.sleep(0.05)
        assert bus.came.empty()
        monkeypatch.setattr("bridge.adapters.dapr.scheduler.SOON", timedelta(minutes=1))
        assert {(await bus.next()).message_id for _ in range(2)} == {"m-1", "m-2"}
    assert bus.came.empty()


async def test_pages_that_cannot_be_read_are_read_again(store, bus, monkeypatch):
    monkeypatch.setattr("bridge.adapters.dapr.scheduler.SOON", -timedelta(hours=1))
    async with replica(store, bus) as scheduler:
        await scheduler.schedule(message())
        store.unreachable = Unavailable("away")
        monkeypatch.setattr("bridge.adapters.dapr.scheduler.SOON", timedelta(minutes=1))
        await asyncio.sleep(0.05)
        store.unreachable = None
        assert (await bus.next()).message_id == "m-1"


async def test_slots_that_are_done_leave_nothing_in_the_record(store, bus):
    async with replica(store, bus) as scheduler:
        await scheduler.schedule(message(seconds=-SLOT - 1))
        await bus.next()

        async def let_go() -> bool:
            return not (await ScheduleStore(store, "x").records(["one"]))[0].slots

        await until(let_go)


async def test_what_a_process_held_is_published_by_the_next_of_its_name(store, bus):
    async with replica(store, bus) as scheduler:
        await scheduler.schedule(message(seconds=0.2))
    async with replica(store, bus):
        assert (await bus.next()).message_id == "m-1"


async def test_what_a_replica_left_is_published_by_another(store, bus):
    await left(store, "gone", message(1), message(2))
    async with replica(store, bus):
        assert {(await bus.next()).message_id for _ in range(2)} == {"m-1", "m-2"}

        async def let_go() -> bool:
            return not (await ScheduleStore(store, "x").records(["gone"]))[0].slots

        await until(let_go)
    assert bus.came.empty()


async def test_a_replica_that_is_a_little_late_is_left_alone(store, bus):
    late, others = Bus(), Bus()
    late.faults = [Unavailable("away")] * 100
    async with replica(store, late, "one") as scheduler, replica(store, others, "two"):
        await scheduler.schedule(message(seconds=-SLOT - 5))
        await asyncio.sleep(0.1)
        assert others.came.empty()


@pytest.mark.parametrize("fault", [Unavailable("away"), RuntimeError("a mistake")])
async def test_a_bus_that_is_away_gets_the_message_when_it_is_back(store, bus, fault):
    bus.faults = [fault]
    async with replica(store, bus) as scheduler:
        await scheduler.schedule(message())
        assert (await bus.next()).message_id == "m-1"


async def test_what_the_bus_refuses_for_good_is_given_up_and_does_not_hold_up_the_rest(store, bus):
    bus.faults, letters = [Undeliverable("no such topic")], Letters()
    async with replica(store, bus) as scheduler:
        scheduler.dead_letter_to(letters.keep)
        await scheduler.schedule(message(1))
        await scheduler.schedule(message(2))
        assert (await bus.next()).message_id == "m-2"
    assert letters.kept == [("m-1", b"\xff1", "no such topic")]


async def test_what_is_refused_for_good_waits_until_somebody_keeps_it(store, bus, monkeypatch):
    monkeypatch.setattr(scheduling, "_RETRY", 0.01)
    bus.faults, letters = [Undeliverable("no such topic")] * 100, Letters()
    async with replica(store, bus) as scheduler:
        await scheduler.schedule(message())
        await until_true(lambda: len(bus.faults) < 98)
        scheduler.dead_letter_to(letters.keep)
        await until_true(lambda: letters.kept)


async def test_what_cannot_be_kept_as_a_dead_letter_is_tried_again(store, bus, monkeypatch):
    monkeypatch.setattr(scheduling, "_RETRY", 0.01)
    bus.faults, letters = [Undeliverable("no such topic")] * 2, Letters(faults=[Unavailable("the store is away")])
    async with replica(store, bus) as scheduler:
        scheduler.dead_letter_to(letters.keep)
        await scheduler.schedule(message())
        await until_true(lambda: letters.kept)
    assert not letters.faults


async def test_what_another_replica_left_is_given_up_too(store, bus):
    await left(store, "gone", message())
    bus.faults, letters = [Undeliverable("no such topic")], Letters()
    async with replica(store, bus) as scheduler:
        scheduler.dead_letter_to(letters.keep)
        await until_true(lambda: letters.kept)


async def test_what_was_left_stays_while_the_bus_is_away(store, bus):
    await left(store, "gone", message())
    bus.faults = [Unavailable("away")] * 3
    async with replica(store, bus):
        assert (await bus.next()).message_id == "m-1"


async def test_a_message_that_cannot_be_stored_is_refused(store, bus):
    async with replica(store, bus) as scheduler:
        store.fail(Unavailable("full"), key="later/one/")
        with pytest.raises(Unavailable):
            await scheduler.schedule(message())
        await scheduler.schedule(message(2))
        assert (await bus.next()).message_id == "m-2"


async def test_a_page_whose_write_is_not_known_hides_no_later_page(store, bus):
    due = datetime.now(UTC) + timedelta(hours=1)
    async with replica(store, bus) as scheduler:
        store.fail(Unavailable("lost"), key=f"later/one/{slot_of(due)}/", written=True)
        with pytest.raises(Unavailable):
            await scheduler.schedule(Message("topic", b"first", deliver_at=due))
        await scheduler.schedule(Message("topic", b"second", deliver_at=due))
    found = [each.body async for each in ScheduleStore(store, "x").messages("one", slot_of(due))]
    assert found == [b"first", b"second"]


async def test_a_record_that_another_has_changed_is_read_again(store, bus):
    async with replica(store, bus) as scheduler:
        await scheduler.schedule(message(1, seconds=3600))
        key = "later/one"
        await store.save(key, b"[]", (await store.get(key)).etag)
        await scheduler.schedule(message(2, seconds=7200))
        assert len((await ScheduleStore(store, "x").records(["one"]))[0].slots) == 1


async def test_more_pages_than_are_read_at_a_time_are_all_read(store):
    pages = ScheduleStore(store, "one")
    await pages.open()
    await pages.add_slots(frozenset({7}))
    for number in range(20):
        await pages.add_page(7, [message(number)])
    assert [each.message_id async for each in pages.messages("one", 7)] == [f"m-{number}" for number in range(20)]


async def test_pages_of_an_earlier_process_are_not_in_the_way(store):
    for number in range(20):
        pages = ScheduleStore(store, "one")
        await pages.open()
        await pages.add_slots(frozenset({7}))
        await pages.add_page(7, [message(number)])
    assert [each.message_id async for each in pages.messages("one", 7)] == [f"m-{number}" for number in range(20)]


async def holding(store, name) -> ScheduleStore:
    """A replica that has something for later."""
    pages = ScheduleStore(store, name)
    await pages.open()
    await pages.add_slots(frozenset({slot_of(datetime.now(UTC))}))
    return pages


async def known(store) -> set[str]:
    return {each.replica for each in await ScheduleStore(store, "x").others()}


async def listed(store) -> bytes:
    return (await store.get("later")).value


async def test_replicas_that_begin_together_are_all_known(store):
    await asyncio.gather(*(holding(store, f"r{number}") for number in range(20)))
    assert await known(store) == {f"r{number}" for number in range(20)}


async def test_a_replica_that_holds_nothing_leaves_nothing(store, bus):
    async with replica(store, bus):
        assert list(store.stored_keys()) == []


async def test_of_a_replica_that_is_gone_nothing_is_left_in_the_end():
    clock = FakeClock()
    store = MemoryStore(clock, shared=True)
    await holding(store, "gone")
    clock.advance(timedelta(days=8))
    await asyncio.gather(known(store), known(store), known(store))
    assert await listed(store) == b"[]"


async def test_a_replica_that_released_all_is_forgotten_within_the_hour():
    clock = FakeClock()
    store = MemoryStore(clock, shared=True)
    await (await holding(store, "done")).release(lambda _: True)
    assert await known(store) == {"done"}
    clock.advance(timedelta(hours=1))
    assert await known(store) == set()
    assert await listed(store) == b"[]"


async def test_a_replica_that_was_forgotten_is_known_again_when_it_holds_something():
    clock = FakeClock()
    store = MemoryStore(clock, shared=True)
    idle = await holding(store, "idle")
    await idle.release(lambda _: True)
    clock.advance(timedelta(hours=2))
    assert await known(store) == set()
    await idle.add_slots(frozenset({slot_of(datetime.now(UTC))}))
    assert await known(store) == {"idle"}


async def test_a_replica_that_comes_back_while_another_forgets_it_stays_known(monkeypatch):
    clock = FakeClock()
    store = MemoryStore(clock, shared=True)
    await holding(store, "back")
    clock.advance(timedelta(days=8))
    other = ScheduleStore(store, "other")
    look = other.records

    async def records(names):
        found = await look(names)
        await holding(store, "back")
        return found

    monkeypatch.setattr(other, "records", records)
    await other.others()
    assert await known(store) == {"back"}


async def test_what_could_not_be_listed_is_not_held(store, bus):
    async with replica(store, bus) as scheduler:
        store.fail(Unavailable("away"), key="later")
        with pytest.raises(Unavailable):
            await scheduler.schedule(message(seconds=3600))
        assert await known(store) == set()
        await scheduler.schedule(message(seconds=3600))
        assert await known(store) == {"one"}


async def test_what_was_recorded_and_not_listed_is_listed_before_the_next(store, monkeypatch):
    pages, slots = ScheduleStore(store, "one"), frozenset({slot_of(datetime.now(UTC))})
    await pages.open()
    await store.create("later", b"[]")
    with monkeypatch.context() as away:
        away.setattr(store, "save", AsyncMock(side_effect=Unavailable("away")))
        with pytest.raises(Unavailable):
            await pages.add_slots(slots)
    assert await known(store) == set()
    await pages.add_slots(slots)
    assert await known(store) == {"one"}

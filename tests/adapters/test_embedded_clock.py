"""The embedded runtime when somebody sets the clock: what waits comes neither early nor late."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.store import SCHEMA, EmbeddedStore
from bridge.ports import Ack, Message
from tests.adapters.embedded_kit import entities, open_bus, subscription
from tests.contracts.conftest import Inbox

HOUR = 3600.0


class WallClock:
    """The wall clock of this process, which a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read, self._ahead = time.time, 0.0
        monkeypatch.setattr(time, "time", lambda: self._read() + self._ahead)

    def set(self, seconds: float) -> None:
        self._ahead += seconds

    def after(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(time.time() + seconds, UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def message(body: str = "x", **fields) -> Message:
    return Message("orders", body.encode(), **fields)


async def bodies(inbox: Inbox, count: int) -> list[str]:
    return [delivery.message.body.decode() for delivery in await inbox.take(count)]


async def test_a_message_for_now_comes_at_once_however_far_back_the_clock_is_set(tmp_path, inbox, clock):
    async with open_bus(tmp_path) as bus:
        await bus.publish([message("before")])
        clock.set(-HOUR)
        await bus.publish([message("after")])
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await bodies(inbox, 2) == ["before", "after"]


async def test_a_message_for_now_comes_at_once_after_a_restart_with_the_clock_set_back(tmp_path, inbox, clock):
    async with open_bus(tmp_path) as bus:
        await bus.publish([message("1"), message("2")])
    clock.set(-HOUR)
    async with open_bus(tmp_path) as bus:
        await bus.publish([message("3")])
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await bodies(inbox, 3) == ["1", "2", "3"]


async def test_a_message_that_is_abandoned_comes_again_after_its_pause_although_the_clock_is_set_back(tmp_path, clock):
    inbox = Inbox([Ack.RETRY])
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.publish([message()])
        await inbox.next()
        clock.set(-HOUR)
        assert (await inbox.next()).attempt == 2


async def test_a_message_that_was_abandoned_comes_again_after_a_restart_with_the_clock_set_back(tmp_path, inbox, clock):
    async with open_bus(tmp_path) as bus:
        again = Inbox([Ack.RETRY])
        await bus.subscribe("orders/all", again, concurrency=1)
        await bus.publish([message()])
        await again.next()
        bus.drain()
    clock.set(-HOUR)
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert (await inbox.next()).attempt == 2


@pytest.mark.parametrize("set_forward", [-HOUR, HOUR])
async def test_a_message_for_later_comes_neither_early_nor_late(tmp_path, inbox, clock, set_forward):
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        await bus.publish([message("later", deliver_at=clock.after(0.5)), message("much later", deliver_at=clock.after(60))])
        clock.set(set_forward)
        assert await bodies(inbox, 1) == ["later"]
        assert await inbox.stays_empty()


async def test_a_time_that_is_given_after_the_clock_was_set_counts_from_there(tmp_path, inbox, clock):
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        clock.set(HOUR)
        await bus.publish([message("later", deliver_at=clock.after(0.3)), message("much later", deliver_at=clock.after(60))])
        assert await bodies(inbox, 1) == ["later"]
        assert await inbox.stays_empty()


async def test_after_a_restart_with_the_clock_set_back_a_message_waits_no_longer_than_it_was_to_wait(tmp_path, inbox, clock):
    async with open_bus(tmp_path) as bus:
        await bus.publish([message("later", deliver_at=clock.after(0.5)), message("much later", deliver_at=clock.after(60))])
    clock.set(-HOUR)
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await bodies(inbox, 1) == ["later"]
        assert await inbox.stays_empty()


async def test_after_a_restart_the_wall_clock_says_what_is_due(tmp_path, inbox, clock):
    async with open_bus(tmp_path) as bus:
        await bus.publish([message("due", deliver_at=clock.after(HOUR)), message("later", deliver_at=clock.after(2 * HOUR))])
    clock.set(HOUR)
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await bodies(inbox, 1) == ["due"]
        assert await inbox.stays_empty()


@pytest.mark.parametrize("set_forward", [-HOUR, HOUR])
async def test_a_process_whose_clock_was_set_leaves_the_right_times_behind(tmp_path, inbox, clock, set_forward):
    async with open_bus(tmp_path) as bus:
        clock.set(set_forward)
        await bus.publish([message("later", deliver_at=clock.after(1)), message("much later", deliver_at=clock.after(60))])
        await bus._note_clock()  # every ten seconds
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await bodies(inbox, 1) == ["later"]
        assert await inbox.stays_empty()


@pytest.mark.parametrize("set_forward", [-HOUR, HOUR])
async def test_the_time_to_live_of_a_message_passes_as_fast_as_ever(tmp_path, inbox, clock, set_forward):
    known = entities(orders=[subscription(DeadLetteringOnMessageExpiration=True)])
    async with open_bus(tmp_path, known) as bus:
        await bus.publish([message("short", time_to_live=timedelta(seconds=0.3)), message("long", time_to_live=timedelta(seconds=60))])
        clock.set(set_forward)
        await asyncio.sleep(0.4)
        await bus.subscribe("orders/all", inbox, concurrency=1)
        assert await bodies(inbox, 1) == ["long"]
        assert await inbox.stays_empty()


@pytest.mark.parametrize("set_forward", [-HOUR, HOUR])
async def test_a_key_never_ends_before_its_time(tmp_path: Path, clock: WallClock, set_forward: float) -> None:
    async with Database.open(tmp_path, SCHEMA) as database:
        store = EmbeddedStore(database, data_limit=2**30)
        await store.create("key", b"value", timedelta(seconds=60))
        clock.set(set_forward)
        assert await store.get("key") is not None


async def test_a_clock_that_is_set_while_a_message_is_sent_for_later_delays_it_by_nothing(tmp_path, inbox, clock):
    async with open_bus(tmp_path) as bus:
        await bus.subscribe("orders/all", inbox, concurrency=1)
        soon = message("soon", deliver_at=clock.after(0.05), delay=timedelta(seconds=0.05))
        clock.set(-HOUR)
        await bus.publish([soon])
        assert await bodies(inbox, 1) == ["soon"]

"""One transaction for a write of the store and the messages that follow from it: all of it is there after a restart, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.adapters.embedded import Embedded
from bridge.errors import Conflict, Full, PortError, Undeliverable
from bridge.ports import Message, Write
from tests.adapters.embedded_kit import entities, subscription

KNOWN = entities(orders=[subscription()], timers=[subscription()])
RUN = Write("run/1", b"{}", "", None)
WORK = Message("orders", b"work", "work-1")
ROOM = 2


def timer(due: timedelta = timedelta(minutes=1)) -> Message:
    return Message("timers", b"timer", "timer-1", deliver_at=datetime.now(UTC) + due)


TIMER = ("timers", "timer-1")


def stored(embedded: Embedded) -> list[str]:
    return [message_id for (message_id,) in embedded.database.read("SELECT message_id FROM messages")]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Embedded]:
    async with Embedded.open(folder / "data", KNOWN, queue_limit=ROOM, data_limit=2**30, max_message=1_000) as embedded:
        yield embedded


async def test_what_was_committed_is_there_after_a_restart(tmp_path, inbox):
    async with opened(tmp_path) as embedded:
        etag = await embedded.outbox.commit(RUN, [WORK])
    async with opened(tmp_path) as embedded:
        await embedded.bus.subscribe("orders/all", inbox, concurrency=1)
        assert (await inbox.next()).message == WORK
        stored = await embedded.store.get("run/1")
        assert stored is not None
        assert (stored.value, stored.etag) == (b"{}", etag)


async def test_it_is_handed_out_at_once(tmp_path, inbox):
    async with opened(tmp_path) as embedded:
        await embedded.bus.subscribe("orders/all", inbox, concurrency=1)
        await embedded.outbox.commit(RUN, [WORK])
        assert (await inbox.next()).message == WORK


async def test_an_obsolete_timer_is_gone_from_memory_and_disk(tmp_path):
    async with opened(tmp_path) as embedded:
        etag = await embedded.outbox.commit(RUN, [timer()])
        assert embedded.bus.find_scheduled([TIMER])
        await embedded.outbox.commit(Write("run/1", b"[]", etag, None), [], [TIMER])
        assert not embedded.bus.find_scheduled([TIMER])
        assert stored(embedded) == []


async def test_a_commit_that_is_refused_leaves_the_timer(tmp_path):
    async with opened(tmp_path) as embedded:
        await embedded.outbox.commit(RUN, [timer()])
        with pytest.raises(Conflict):
            await embedded.outbox.commit(RUN, [], [TIMER])
        assert embedded.bus.find_scheduled([TIMER])
        assert stored(embedded) == ["timer-1"]


async def test_a_timer_that_was_handed_out_already_or_never_sent_is_no_trouble(tmp_path, inbox):
    async with opened(tmp_path) as embedded:
        await embedded.bus.subscribe("timers/all", inbox, concurrency=1)
        etag = await embedded.outbox.commit(RUN, [timer(timedelta(0))])
        await inbox.next()
        await embedded.outbox.commit(Write("run/1", b"[]", etag, None), [WORK], [TIMER, ("timers", "none"), ("nowhere", "none")])


@pytest.mark.parametrize(
    ("write", "message", "error"),
    [
        (Write("run/1", b"{}", "", None), WORK, Conflict),
        (Write("run/1", b"{}", "another version", None), WORK, Conflict),
        (Write("run/2", b"{}", "", None), Message("nowhere", b""), Undeliverable),
        (Write("run/2", b"{}", "", None), Message("orders", b"x" * 200_000), Undeliverable),
    ],
    ids=["exists", "changed", "unknown topic", "too large"],
)
async def test_what_is_refused_leaves_nothing_and_takes_no_room(tmp_path, inbox, write, message, error: type[PortError]):
    async with opened(tmp_path) as embedded:
        await embedded.outbox.commit(RUN, [timer()])
        for _ in range(ROOM + 1):
            with pytest.raises(error):
                await embedded.outbox.commit(write, [WORK, message], [TIMER])
        assert await embedded.store.get("run/2") is None
        await embedded.bus.publish([WORK] * ROOM)
        with pytest.raises(Full):
            await embedded.outbox.commit(Write("run/2", b"{}", "", None), [WORK])
        assert await embedded.store.get("run/2") is None
        await embedded.bus.subscribe("orders/all", inbox, concurrency=1)
        assert [each.message for each in await inbox.take(ROOM)] == [WORK] * ROOM
        assert await inbox.stays_empty()

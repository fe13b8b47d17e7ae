"""Stores scheduled messages on pages in the state store, so that any replica can find them.

Time is divided into slots of ten seconds. `later/<replica>/<slot>/<number>` is a page of messages that are due in the slot. A page is
written once and never changed. `later/<replica>` lists the slots of a replica that have pages, and `later` lists the replicas that have
such a record. This works in a store that cannot list its keys.

The record of a replica has a time to live. When it has expired, any replica may remove the name from the list. A replica that comes back
writes its record first and then the list, even if its name is still there. So a replica that looked for the record before that holds an old
version of the list, and its attempt to remove the name fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ConfigDict, TypeAdapter

from bridge.adapters.dapr.updates import update
from bridge.errors import Conflict, Unavailable
from bridge.index.pagedlog import write
from bridge.ports import Message, Store

SLOT = 10  #: seconds
KEEP = timedelta(days=7)  #: how long a page outlives its slot, and a replica's record its last page
KEEP_EMPTY = timedelta(hours=1)  #: how long a record without slots is kept
_ROOT = "later"
_ATTEMPTS = 5
_AT_ONCE = 8  #: pages that are read at a time

_PAGE: TypeAdapter[list[Message]] = TypeAdapter(list[Message], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))
_SLOTS: TypeAdapter[list[int]] = TypeAdapter(list[int])
_NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str])


def slot_of(moment: datetime) -> int:
    """The slot of a point in time."""
    return math.floor(moment.timestamp() / SLOT)


def end_of(slot: int) -> datetime:
    """The end of the slot."""
    return datetime.fromtimestamp((slot + 1) * SLOT, UTC)


@dataclass(frozen=True, slots=True)
class ReplicaSchedule:
    """The slots in which a replica still has messages, as its record in the store lists them."""

    replica: str
    slots: tuple[int, ...] = ()
    etag: str = ""


class ScheduleStore:
    """Reads and writes the pages. Every method that waits raises Unavailable."""

    def __init__(self, store: Store, replica: str) -> None:
        self._store, self._replica = store, replica
        self.own = ReplicaSchedule(replica)  #: the record of this replica as this process knows it
        self._next: dict[int, int] = {}  # by slot: the number of its next page
        self._changing = asyncio.Lock()
        self._listed = False  # whether the list was written since the record was there

    async def open(self) -> None:
        """Continue with the record of this replica in the store."""
        self._listed = False
        self.own = (await self.records([self._replica]))[0]

    async def add_slots(self, slots: frozenset[int]) -> None:
        """Add slots to the record. This happens before their pages are written, so that every page can be found."""
        async with self._changing:
            if not slots <= set(self.own.slots):
                await self._save_own(lambda own: tuple(sorted({*own, *slots})))
            if not self._listed:
                await self._write_list()
                self._listed = True

    async def add_page(self, slot: int, messages: Sequence[Message]) -> None:
        """Store messages of a slot that `add_slots` has named."""
        value, lifetime = _PAGE.dump_json(list(messages)), _until_end([slot]) + KEEP
        for _ in range(_ATTEMPTS):
            number = self._next.get(slot, 0)
            try:
                await self._store.create(self._page(self._replica, slot, number), value, lifetime)
            except Conflict:  # an earlier process of this name wrote it, or a request whose outcome was not known
                self._next[slot] = await self._free_page(slot, number)
                continue
            self._next[slot] = number + 1
            return
        raise Unavailable("A scheduled message could not be stored.")

    async def release(self, done: Callable[[int], bool]) -> None:
        """Remove the slots for which `done` returns true from this replica's record."""
        async with self._changing:
            if any(done(slot) for slot in self.own.slots):
                await self._save_own(lambda own: tuple(slot for slot in own if not done(slot)))
                self._next = {slot: number for slot, number in self._next.items() if slot in self.own.slots}

    async def release_of(self, record: ReplicaSchedule, slots: frozenset[int]) -> None:
        """Remove the slots from the record of another replica, which may have removed them itself meanwhile."""
        left = tuple(each for each in record.slots if each not in slots)
        with contextlib.suppress(Conflict):
            await self._store.save(f"{_ROOT}/{record.replica}", _SLOTS.dump_json(list(left)), record.etag, _lifetime(left))

    async def others(self) -> list[ReplicaSchedule]:
        """The records of all other replicas. Names without a record are removed from the list."""
        found = await self._store.get(_ROOT)
        names = _NAMES.validate_json(found.value) if found else []
        records = await self.records([name for name in names if name != self._replica])
        gone = {each.replica for each in records if not each.etag}
        if found and gone:
            with contextlib.suppress(Conflict):
                await self._store.save(_ROOT, _NAMES.dump_json([name for name in names if name not in gone]), found.etag)
        return [each for each in records if each.etag]

    async def records(self, replicas: Sequence[str]) -> list[ReplicaSchedule]:
        """The records in the store; an empty one for a replica that has none."""
        found = await self._store.get_many([f"{_ROOT}/{replica}" for replica in replicas])
        return [
            ReplicaSchedule(replica, tuple(_SLOTS.validate_json(each.value)), each.etag) if each else ReplicaSchedule(replica)
            for replica, each in zip(replicas, found, strict=True)
        ]

    async def messages(self, replica: str, slot: int) -> AsyncIterator[Message]:
        """All messages of a slot."""
        number = 0
        while True:
            pages = await self._store.get_many([self._page(replica, slot, number + each) for each in range(_AT_ONCE)])
            for page in pages:
                if page is None:
                    return
                for message in _PAGE.validate_json(page.value):
                    yield message
            number += _AT_ONCE

    async def _save_own(self, change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> None:
        for _ in range(_ATTEMPTS):
            slots = change(self.own.slots)
            value, lifetime = _SLOTS.dump_json(list(slots)), _lifetime(slots)
            try:
                etag = await write(self._store, f"{_ROOT}/{self._replica}", value, self.own.etag, lifetime)
            except Conflict:  # another replica has released slots of this one, or the record's time to live was over
                await self.open()
                continue
            self.own = ReplicaSchedule(self._replica, slots, etag)
            return
        raise Unavailable(f"The record of {self._replica} was changed by others {_ATTEMPTS} times in a row.")

    async def _write_list(self) -> None:
        """Write the list of all replicas including this one, even if its name is in the list already."""

        def with_own_name(found: bytes | None) -> bytes:
            return _NAMES.dump_json(sorted({*(_NAMES.validate_json(found) if found else ()), self._replica}))

        await update(self._store, _ROOT, with_own_name)

    async def _free_page(self, slot: int, number: int) -> int:
        """The first page number from `number` on that is free. A gap would hide the pages behind it."""
        while True:
            pages = await self._store.get_many([self._page(self._replica, slot, number + each) for each in range(_AT_ONCE)])
            if None in pages:
                return number + pages.index(None)
            number += _AT_ONCE

    def _page(self, replica: str, slot: int, number: int) -> str:
        return f"{_ROOT}/{replica}/{slot}/{number}"


def _lifetime(slots: Sequence[int]) -> timedelta:
    return _until_end(slots) + KEEP if slots else KEEP_EMPTY


def _until_end(slots: Sequence[int]) -> timedelta:
    return max([timedelta(0), *(end_of(slot) - datetime.now(UTC) for slot in slots)])

"""The pages on which messages for later are kept in the store, so that any replica finds them.

Time is cut into slots of ten seconds. `later/<replica>/<slot>/<number>` is a page of messages that fall due in the slot: written once,
never again. `later/<replica>` says which slots of a replica have pages, `later` which replicas have such a record. A store that cannot list
its keys is enough for this.

A record ends with its time, and then any replica takes its name off the list. One that comes back writes its record first and the list
after that, even if its name still stands there: so whoever has looked for the record before has an old version of the list in hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import ConfigDict, TypeAdapter

from bridge.errors import Conflict, Unavailable
from bridge.ports import Message, Store

SLOT = 10  #: seconds
KEEP = timedelta(days=7)  #: how long a page outlives its slot, and a replica's record its last page
KEEP_EMPTY = timedelta(hours=1)  #: how long a record without slots is kept
_ROOT = "later"
_ATTEMPTS = 5
_WRITERS = 50  #: replicas that may want to change the list of all at a time
_AT_ONCE = 8  #: pages that are read at a time

_PAGE: TypeAdapter[list[Message]] = TypeAdapter(list[Message], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))
_SLOTS: TypeAdapter[list[int]] = TypeAdapter(list[int])
_NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str])


def slot_of(moment: datetime) -> int:
    """The slot in which the moment lies."""
    return math.floor(moment.timestamp() / SLOT)


def end_of(slot: int) -> datetime:
    """When a slot is over."""
    return datetime.fromtimestamp((slot + 1) * SLOT, UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """A replica's slots that still have messages, as it stands in the store."""

    replica: str
    slots: tuple[int, ...] = ()
    etag: str = ""


class Held:
    """Reads and writes the pages. Every verb raises Unavailable."""

    def __init__(self, store: Store, replica: str) -> None:
        self._store, self._replica = store, replica
        self.own = Record(replica)  #: as this process knows it
        self._next: dict[int, int] = {}  # by slot: the number of its next page
        self._changing = asyncio.Lock()
        self._listed = False  # since the record was there

    async def open(self) -> None:
        """Take up the record of this replica as it stands."""
        self._listed = False
        self.own = (await self.records([self._replica]))[0]

    async def name(self, slots: frozenset[int]) -> None:
        """Say in the record that these slots have pages. This comes before the pages, so that none is ever out of sight."""
        async with self._changing:
            if not slots <= set(self.own.slots):
                await self._save_own(lambda own: tuple(sorted({*own, *slots})))
            if not self._listed:
                await self._list()
                self._listed = True

    async def keep(self, slot: int, messages: Sequence[Message]) -> None:
        """Store messages of a slot that has been named."""
        value, lifetime = _PAGE.dump_json(list(messages)), _until_end([slot]) + KEEP
        for _ in range(_ATTEMPTS):
            number = self._next.get(slot, 0)
            try:
                await self._store.create(self._page(self._replica, slot, number), value, lifetime)
            except Conflict:  # written by an earlier process of this name, or by a request whose outcome was not known
                self._next[slot] = await self._free(slot, number)
                continue
            self._next[slot] = number + 1
            return
        raise Unavailable("A message for later could not be stored.")

    async def release(self, done: Callable[[int], bool]) -> None:
        """Of the slots for which `done` says so nothing is left to be sent."""
        async with self._changing:
            if any(done(slot) for slot in self.own.slots):
                await self._save_own(lambda own: tuple(slot for slot in own if not done(slot)))
                self._next = {slot: number for slot, number in self._next.items() if slot in self.own.slots}

    async def release_of(self, record: Record, slots: frozenset[int]) -> None:
        """The same for another replica, which may have done it meanwhile."""
        left = tuple(each for each in record.slots if each not in slots)
        with contextlib.suppress(Conflict):
            await self._store.save(f"{_ROOT}/{record.replica}", _SLOTS.dump_json(list(left)), record.etag, _lifetime(left))

    async def others(self) -> list[Record]:
        """The records of all replicas but this one. Names whose record is gone are taken off the list."""
        found = await self._store.get(_ROOT)
        names = _NAMES.validate_json(found.value) if found else []
        records = await self.records([name for name in names if name != self._replica])
        gone = {each.replica for each in records if not each.etag}
        if found and gone:
            with contextlib.suppress(Conflict):
                await self._store.save(_ROOT, _NAMES.dump_json([name for name in names if name not in gone]), found.etag)
        return [each for each in records if each.etag]

    async def records(self, replicas: Sequence[str]) -> list[Record]:
        """The records as they stand; an empty one for a replica that has none."""
        found = await self._store.get_many([f"{_ROOT}/{replica}" for replica in replicas])
        return [
            Record(replica, tuple(_SLOTS.validate_json(each.value)), each.etag) if each else Record(replica)
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
            key, etag = f"{_ROOT}/{self._replica}", self.own.etag
            try:
                etag = await (self._store.save(key, value, etag, lifetime) if etag else self._store.create(key, value, lifetime))
            except Conflict:  # another replica has released slots of this one, or the time of the record was over
                await self.open()
                continue
            self.own = Record(self._replica, slots, etag)
            return
        raise Unavailable(f"The record of {self._replica} was changed by others {_ATTEMPTS} times in a row.")

    async def _list(self) -> None:
        """Write the list of all replicas, with this one."""
        for _ in range(_WRITERS):
            found = await self._store.get(_ROOT)
            names = _NAMES.validate_json(found.value) if found else []
            value = _NAMES.dump_json(sorted({*names, self._replica}))
            try:
                await (self._store.save(_ROOT, value, found.etag) if found else self._store.create(_ROOT, value))
            except Conflict:
                continue
            return
        raise Unavailable(f"The replica {self._replica} could not be made known.")

    async def _free(self, slot: int, number: int) -> int:
        """The first page from `number` on that does not exist: a gap would hide those after it."""
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

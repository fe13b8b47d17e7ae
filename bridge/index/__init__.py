"""An index of ids, newest first, in a store that cannot list its keys.

Each replica appends entries to a log of its own, `<name>/<replica>`. The key `<name>` lists the replicas.
"""

from __future__ import annotations

import asyncio
import base64
import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from pydantic import NonNegativeInt, TypeAdapter
from pydantic_core import to_json

from bridge.errors import Conflict, Malformed
from bridge.index.pagedlog import PAGE, Append, JsonPageCodec, LogReader, PagedLog, Roster, Span, spans
from bridge.ports import Clock, Store

Position = tuple[int, int]
"""A place in a log: a page, and how many of its entries a listing, which goes backwards, has not shown yet."""


class Entry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One entry of the index: its time, an id, the subject of that id, and until when the sweeper has to check it."""

    created_at: datetime
    id: str
    subject: str = ""
    due: datetime | None = None


class _Bookmark(msgspec.Struct, frozen=True):
    page: int
    version: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that follow each other in a listing."""

    entries: list[Entry]
    start: Mapping[str, Position]  #: by replica: the position before the first of them
    reached: list[tuple[str, Position]]  #: for each entry its replica and the position after it

    def cursor(self, place: int) -> Cursor:
        """The cursor that continues the listing after the entry at this place."""
        return Cursor({**self.start, **dict(self.reached[: place + 1])})


class Index:
    """One index. `replica` names this process, and no other process writes under that name."""

    def __init__(self, store: Store, clock: Clock, *, name: str, replica: str, keep: timedelta) -> None:
        self._store, self._clock, self._name, self._keep, self.replica = store, clock, name, keep, replica
        self._roster = Roster(store, name)
        self._log = PagedLog(store, f"{name}/{replica}", _PAGES, lifetime=self._lifetime, opening=lambda: self._roster.join(replica))

    def add(self, entry: Entry) -> Append:
        """Append an entry. Awaiting it returns when it is durable. Raises Unavailable."""
        return self._log.add(entry)

    async def spans(self) -> dict[str, Span]:
        """The range of pages of each replica that has ever written. Raises Unavailable."""
        replicas = await self._roster.names()
        found = await spans(self._store, [self._log_name(replica) for replica in replicas])
        return {replica: span for replica, span in zip(replicas, found, strict=True) if span is not None}

    def pages(self, replica: str, numbers: Sequence[int]) -> AsyncIterator[tuple[int, list[Entry]]]:
        """Pages of a replica with their numbers, in the order of `numbers`. Raises Unavailable."""
        return self._reader(replica).pages(numbers)

    async def bookmarks(self, replicas: Sequence[str]) -> list[int]:
        """The page that a walk over each replica's pages has reached, as stored by `bookmark`; 0 at first. Raises Unavailable."""
        found = await self._store.get_many([self._bookmark_key(replica) for replica in replicas])
        return [msgspec.json.decode(each.value, type=_Bookmark).page if each else 0 for each in found]

    async def bookmark(self, replica: str, page: int) -> None:
        """Store how far a walk has come, unless another process has stored more. Raises Unavailable."""
        key, value = self._bookmark_key(replica), msgspec.json.encode(_Bookmark(page))
        found = await self._store.get(key)
        try:
            if found is None:
                await self._store.create(key, value)
            elif msgspec.json.decode(found.value, type=_Bookmark).page < page:
                await self._store.save(key, value, found.etag)
        except Conflict:
            return  # another process walks at the same time

    async def end(self) -> Cursor:
        """The cursor for a listing that begins now. It shows no entry that is added later. Raises Unavailable."""
        return Cursor({each.replica: each.position for each in await self._from_the_end()})

    async def newest(self, cursor: str = "") -> AsyncIterator[Batch]:
        """The entries of all replicas, newest first, in batches.

        Raises Malformed for a cursor that the index did not write, and Unavailable.
        """
        # Replicas and entries that were added after the first page of a listing do not appear on later pages.
        walks = await (self._from(Cursor.read(cursor)) if cursor else self._from_the_end())
        reached = {each.replica: each.position for each in walks}
        while True:
            await asyncio.gather(*(each.fill() for each in walks if not each.left))
            walks = [each for each in walks if each.left]
            if not walks:
                return
            batch = _merged(walks, reached)
            yield batch
            reached = {**reached, **dict(batch.reached)}

    async def _from(self, cursor: Cursor) -> list[_Backwards]:
        replicas = list(cursor.positions)
        found = await spans(self._store, [self._log_name(replica) for replica in replicas])
        return [
            _Backwards(replica, self._reader(replica), span.first, min(cursor.positions[replica], (span.last, PAGE)))
            for replica, span in zip(replicas, found, strict=True)
            if span is not None
        ]

    async def _from_the_end(self) -> list[_Backwards]:
        """The end of each replica's pages, from their last pages, which are read together."""
        known = await self.spans()
        readers = {replica: self._reader(replica) for replica in known}
        pages = await self._store.get_many([readers[replica].key(span.last) for replica, span in known.items()])
        lasts = [_PAGES.load(page.value) if page else [] for page in pages]
        return [
            _Backwards(replica, readers[replica], span.first, (span.last, len(entries)), entries)
            for (replica, span), entries in zip(known.items(), lasts, strict=True)
        ]

    def _reader(self, replica: str) -> LogReader[Entry]:
        return LogReader(self._store, self._log_name(replica), _PAGES)

    def _log_name(self, replica: str) -> str:
        return f"{self._name}/{replica}"

    def _bookmark_key(self, replica: str) -> str:
        return f"{self._name}/{replica}/bookmark"

    def _lifetime(self, entries: Sequence[Entry]) -> timedelta:
        now = self._clock.now()
        latest = max([entry.due for entry in entries if entry.due is not None], default=now)
        return self._keep + max(latest - now, timedelta(0))


_PAGES = JsonPageCodec(Entry)


class _Backwards:
    """A walk over the entries of one replica, last first. `left` entries of the current page are still to come."""

    def __init__(self, replica: str, reader: LogReader[Entry], first: int, position: Position, page: list[Entry] | None = None) -> None:
        self.replica, self.position = replica, position
        self.number, self._most = position
        self.entries, self.left = page or [], len(page or ())
        self._pages = reader.pages(range(self.number - (page is not None), first - 1, -1))

    async def fill(self) -> None:
        """Read until there is at least one entry, or no more pages."""
        while not self.left:
            found = await anext(self._pages, None)
            if found is None:
                return
            self.number, self.entries = found
            at_most = self._most if self.number == self.position[0] else PAGE
            self.left = min(at_most, len(self.entries))

    def take(self) -> tuple[Entry, Position]:
        """The next entry, and the position after it."""
        self.left -= 1
        return self.entries[self.left], (self.number, self.left)

    def take_all(self) -> tuple[list[Entry], list[tuple[str, Position]]]:
        """All entries that were read, each with the position after it."""
        left, self.left = self.left, 0
        return self.entries[left - 1 :: -1], [(self.replica, (self.number, place)) for place in range(left - 1, -1, -1)]

    def order(self, place: int) -> tuple[float, str, int]:
        """The sort key when several walks are merged: the smallest comes next."""
        entry = self.entries[self.left - 1]
        return -entry.created_at.timestamp(), entry.id, place


def _merged(walks: Sequence[_Backwards], start: Mapping[str, Position]) -> Batch:
    """The next entries in order, until one walk has to read more."""
    if len(walks) == 1:
        entries, reached = walks[0].take_all()
        return Batch(entries, start, reached)
    batch = Batch([], start, [])
    heap = [each.order(place) for place, each in enumerate(walks)]
    heapq.heapify(heap)
    while len(batch.entries) < PAGE:
        place = heap[0][-1]
        walk = walks[place]
        entry, position = walk.take()
        batch.entries.append(entry)
        batch.reached.append((walk.replica, position))
        if not walk.left:
            break
        heapq.heapreplace(heap, walk.order(place))
    return batch


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a listing in each replica's pages. Its text is opaque to callers."""

    positions: dict[str, Position]

    def write(self) -> str:
        """The text that callers send back for the next page."""
        return base64.urlsafe_b64encode(to_json(self.positions)).decode().rstrip("=")

    @staticmethod
    def read(text: str) -> Cursor:
        """Read a cursor that `write` wrote. Raises Malformed."""
        try:
            return Cursor(dict(_POSITIONS.validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), strict=False)))
        except ValueError:
            raise Malformed("This cursor was not given by this bridge.", hint="Start without a cursor, then follow `nextCursor`.") from None


_POSITIONS: TypeAdapter[dict[str, tuple[NonNegativeInt, NonNegativeInt]]] = TypeAdapter(dict[str, tuple[NonNegativeInt, NonNegativeInt]])

"""Which ids there are, newest first, on a store that cannot list its keys (DESIGN 4, Index).

Each replica appends entries to pages of its own: `<name>/<replica>/<number>`. `<name>/<replica>` says which of its pages exist, `<name>`
which replicas there are. Entries of many callers that wait at the same time go into one write.
"""

from __future__ import annotations

import asyncio
import base64
import heapq
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, NonNegativeInt, TypeAdapter
from pydantic_core import to_json

from bridge.errors import Conflict, Malformed, PortError, Unavailable
from bridge.ports import Clock, Store

PAGE = 100  #: entries of one page
_ATTEMPTS = 5


class Entry(BaseModel):
    """One thing of the index: when it was made, its id, what it is about, and until when it is of interest to the sweeper."""

    created_at: datetime
    id: str
    subject: str = ""
    due: datetime | None = None


class _Page(BaseModel):
    entries: list[Entry]


class _Span(BaseModel):
    first: int
    last: int


class _Replicas(BaseModel):
    names: list[str]


Position = tuple[int, int]
"""A page and the place of an entry in it."""


@dataclass
class _Tail:
    """The page being filled, as it stands in the store."""

    number: int = -1
    etag: str = ""
    entries: list[Entry] = field(default_factory=list)


class Index:
    """One index; `replica` names this process, and nobody else writes under that name."""

    def __init__(self, store: Store, clock: Clock, *, name: str, replica: str, keep: timedelta) -> None:
        self._store, self._clock, self._name, self._replica, self._keep = store, clock, name, replica, keep
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._tail = _Tail()
        self._opened = False

    def add(self, entry: Entry) -> asyncio.Future[None]:
        """Append an entry; durable once the future is done, which may raise Unavailable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return done

    async def _flush(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:PAGE], self._waiting[PAGE:]
            try:
                await self._append([entry for entry, _ in taken])
            except Exception as fault:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                self._opened = False
                _tell(taken, fault if isinstance(fault, Unavailable) else Unavailable(f"The index {self._name} cannot be written: {fault}"))
            else:
                _tell(taken, None)

    async def _append(self, entries: Sequence[Entry]) -> None:
        try:
            await self._append_here(entries)
        except Conflict:
            # The page in hand may have reached the end of its time, or another of this name may have written: look once more.
            await self._open()
            await self._append_here(entries)

    async def _append_here(self, entries: Sequence[Entry]) -> None:
        if not self._opened:
            await self._open()
        if self._tail.number < 0 or len(self._tail.entries) + len(entries) > PAGE:
            await self._turn_page()
        grown = [*self._tail.entries, *entries]
        value = to_json(_Page(entries=grown), exclude_none=True)
        key = self._page_key(self._replica, self._tail.number)
        try:
            if self._tail.etag:
                self._tail.etag = await self._store.save(key, value, self._tail.etag, self._lifetime(grown))
            else:
                self._tail.etag = await self._store.create(key, value, self._lifetime(grown))
        except PortError:
            # Whether it was written is not known: what stands there decides.
            found = await self._store.get(key)
            if found is None or found.value != value:
                raise
            self._tail.etag = found.etag
        self._tail.entries = grown

    async def _open(self) -> None:
        """Take up where an earlier process of this name stopped."""
        await self._register()
        span = await self._span(self._replica)
        self._tail = _Tail()
        if span is not None:
            number = span[0].last
            found = await self._store.get(self._page_key(self._replica, number))
            entries = _Page.model_validate_json(found.value).entries if found else []
            self._tail = _Tail(number, found.etag if found else "", entries)
        self._opened = True

    async def _turn_page(self) -> None:
        """The span names the page before the page exists, so that no page is ever out of sight."""
        found = await self._span(self._replica)
        number = self._tail.number + 1
        span = _Span(first=await self._first(found[0]) if found else number, last=number)
        await self._write(f"{self._name}/{self._replica}", to_json(span), found[1] if found else "")
        self._tail = _Tail(number)

    async def _first(self, span: _Span) -> int:
        """The first page that is still there: pages end with their time to live, oldest first."""
        numbers = list(range(span.first, min(span.first + 10, span.last + 1)))
        pages = await self._store.get_many([self._page_key(self._replica, number) for number in numbers])
        gone = next((place for place, page in enumerate(pages) if page is not None), len(pages))
        return min(span.first + gone, span.last)

    async def _register(self) -> None:
        for _ in range(_ATTEMPTS):
            found = await self._store.get(self._name)
            names = _Replicas.model_validate_json(found.value).names if found else []
            if self._replica in names:
                return
            try:
                await self._write(self._name, to_json(_Replicas(names=[*names, self._replica])), found.etag if found else "")
            except Conflict:
                continue
            return
        raise Unavailable(f"The index {self._name} could not take the replica {self._replica}.")

    async def _write(self, key: str, value: bytes, etag: str) -> None:
        try:
            await (self._store.save(key, value, etag) if etag else self._store.create(key, value))
        except PortError:
            found = await self._store.get(key)
            if found is None or found.value != value:
                raise

    def _lifetime(self, entries: Sequence[Entry]) -> timedelta:
        now = self._clock.now()
        latest = max((entry.due for entry in entries if entry.due is not None), default=now)
        return self._keep + max(latest - now, timedelta(0))

    def _page_key(self, replica: str, number: int) -> str:
        return f"{self._name}/{replica}/{number}"

    async def _span(self, replica: str) -> tuple[_Span, str] | None:
        found = await self._store.get(f"{self._name}/{replica}")
        return (_Span.model_validate_json(found.value), found.etag) if found else None

    async def replicas(self) -> list[str]:
        """All names that ever wrote."""
        found = await self._store.get(self._name)
        return _Replicas.model_validate_json(found.value).names if found else []

    async def pages(self, replica: str, start: int = 0) -> AsyncIterator[tuple[int, list[Entry]]]:
        """The pages of a replica from `start` on, oldest first. Raises Unavailable."""
        span = await self._span(replica)
        if span is None:
            return
        for number in range(max(start, span[0].first), span[0].last + 1):
            found = await self._store.get(self._page_key(replica, number))
            yield number, _Page.model_validate_json(found.value).entries if found else []

    async def newest(self, cursor: str = "") -> AsyncIterator[tuple[Entry, Cursor]]:
        """Entries newest first, over all replicas, each with the cursor that continues after it.

        Raises Malformed for a cursor that was made up, Unavailable.
        """
        positions = Cursor.read(cursor).positions if cursor else {}
        heap: list[tuple[float, str, str, Position, Entry, AsyncIterator[tuple[Position, Entry]]]] = []
        reached: dict[str, Position] = {}
        # A replica or entry that came after the first page belongs to no later one.
        for replica in positions if cursor else await self.replicas():
            first = await _push(heap, replica, self._backwards(replica, positions.get(replica)))
            reached[replica] = (first[0], first[1] + 1) if first else (0, 0)
        while heap:
            _, _, replica, position, entry, rest = heapq.heappop(heap)
            reached[replica] = position
            yield entry, Cursor(dict(reached))
            await _push(heap, replica, rest)

    async def _backwards(self, replica: str, start: Position | None) -> AsyncIterator[tuple[Position, Entry]]:
        """The entries before `start`, last first, each with its own place."""
        span = await self._span(replica)
        if span is None:
            return
        page = min(start[0], span[0].last) if start else span[0].last
        for number in range(page, span[0].first - 1, -1):
            found = await self._store.get(self._page_key(replica, number))
            entries = _Page.model_validate_json(found.value).entries if found else []
            upto = min(start[1], len(entries)) if start and number == start[0] else len(entries)
            for place in range(upto - 1, -1, -1):
                yield (number, place), entries[place]


def _tell(taken: Sequence[tuple[Entry, asyncio.Future[None]]], fault: Unavailable | None) -> None:
    for _, done in taken:
        if done.done():
            continue
        if fault is None:
            done.set_result(None)
        else:
            done.set_exception(fault)


async def _push(heap: list[Any], replica: str, rest: AsyncIterator[tuple[Position, Entry]]) -> Position | None:
    """Put the replica's next entry among the others; its place, or None if there are no more."""
    async for position, entry in rest:
        heapq.heappush(heap, (-entry.created_at.timestamp(), entry.id, replica, position, entry, rest))
        return position
    return None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far back a listing has come in each replica's pages. Opaque to callers."""

    positions: dict[str, Position]

    def write(self) -> str:
        """The form that callers carry."""
        return base64.urlsafe_b64encode(to_json(self.positions)).decode().rstrip("=")

    @staticmethod
    def read(text: str) -> Cursor:
        """Read what `write` wrote. Raises Malformed."""
        try:
            return Cursor(dict(_POSITIONS.validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), strict=False)))
        except ValueError:
            raise Malformed("This cursor was not given by this bridge.", hint="Start without a cursor, then follow `nextCursor`.") from None


_POSITIONS: TypeAdapter[dict[str, tuple[NonNegativeInt, NonNegativeInt]]] = TypeAdapter(dict[str, tuple[NonNegativeInt, NonNegativeInt]])

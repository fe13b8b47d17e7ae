"""A log on numbered pages, for a store that cannot list its keys. One process writes to it, and every process may read it.

The key `<name>` holds the numbers of the first and last page, `<name>/<number>` is a page. Entries of callers that wait at the same time
share one write. Every record has a `version`; one without it was written before there were versions, and is read as version 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from bridge.errors import Conflict, PortError, Unavailable
from bridge.ports import Store

PAGE = 100  #: entries of one page
_AHEAD = 8  #: pages that a long walk reads at a time
_ATTEMPTS = 5

E = TypeVar("E")


class Span(msgspec.Struct, frozen=True):
    """The first and the last page of a log."""

    first: int
    last: int
    version: int = 1


class _RosterRecord(msgspec.Struct, frozen=True):
    names: list[str]
    version: int = 1


class _LogPage(msgspec.Struct, Generic[E]):
    entries: list[E]
    version: int = 1


class PageCodec(Protocol[E]):
    """How the entries of a page are stored."""

    def dump(self, entries: Sequence[E]) -> bytes:
        """The stored form of a page."""

    def load(self, value: bytes) -> list[E]:
        """Read a page that `dump` wrote. May raise any error for other bytes."""


class JsonPageCodec(Generic[E]):
    """Stores a page as `{"entries": […], "version": 1}`, for entries that msgspec can read and write."""

    def __init__(self, entry: type[E]) -> None:
        self._decoder: msgspec.json.Decoder[_LogPage[E]] = msgspec.json.Decoder(_LogPage[entry])  # type: ignore[valid-type]

    def dump(self, entries: Sequence[E]) -> bytes:
        """The stored form of a page."""
        return msgspec.json.encode(_LogPage(list(entries)))

    def load(self, value: bytes) -> list[E]:
        """Read a page that `dump` wrote. Raises msgspec.DecodeError."""
        return self._decoder.decode(value).entries


class Roster:
    """The names of all writers of logs of one kind, stored under one key."""

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._key = store, key

    async def names(self) -> list[str]:
        """All names that were ever added. Raises Unavailable."""
        return (await self._read())[0]

    async def join(self, name: str) -> None:
        """Add a name, unless it is there already. Raises Unavailable."""
        for _ in range(_ATTEMPTS):
            names, etag = await self._read()
            if name in names:
                return
            try:
                await write(self._store, self._key, msgspec.json.encode(_RosterRecord([*names, name])), etag)
            except Conflict:
                continue
            return
        raise Unavailable(f"The index {self._key} could not take the replica {name}.")

    async def _read(self) -> tuple[list[str], str]:
        found = await self._store.get(self._key)
        return (msgspec.json.decode(found.value, type=_RosterRecord).names, found.etag) if found else ([], "")


class Append:
    """An entry that is being appended.

    `submitted` completes when its page was handed to the store, `durable` when the store has it. Either may raise Unavailable. Awaiting the
    append itself waits until it is durable.
    """

    __slots__ = ("durable", "submitted")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.submitted: asyncio.Future[None] = loop.create_future()
        self.durable: asyncio.Future[None] = loop.create_future()

    def __await__(self) -> Generator[Any, None, None]:
        return self.durable.__await__()

    def submit(self) -> None:
        """Note that the page is handed to the store in this step of the event loop."""
        if not self.submitted.done():
            self.submitted.set_result(None)

    def end(self, fault: Unavailable | None) -> None:
        """Note that the entry is durable, or that `fault` prevented it."""
        for future in (self.submitted, self.durable):
            if future.done():
                continue
            if fault is None:
                future.set_result(None)
            else:
                future.set_exception(fault)
        if fault is not None and not self.submitted.cancelled():
            self.submitted.exception()  # few wait for it; whoever does is told all the same

    def forget(self) -> None:
        """Drop the result of an entry for which nobody waits any longer, including its error."""
        self.durable.add_done_callback(lambda done: done.cancelled() or done.exception())


class LogReader(Generic[E]):
    """Reads the pages of a log, which any process may write."""

    def __init__(self, store: Store, name: str, codec: PageCodec[E]) -> None:
        self._store, self._name, self._codec = store, name, codec

    async def span(self) -> Span | None:
        """The first and the last page; None if nothing was ever written. Raises Unavailable."""
        return (await spans(self._store, [self._name]))[0]

    async def pages(self, numbers: Sequence[int], ahead: int = 1) -> AsyncIterator[tuple[int, list[E]]]:
        """Pages with their numbers, in the order of `numbers`. A page whose time to live is over has no entries. Raises Unavailable.

        `ahead` is how many pages are read at first; the number grows as the caller goes on.
        """
        start = 0
        while start < len(numbers):
            together = numbers[start : start + ahead]
            found = await self._store.get_many([self.key(number) for number in together])
            for number, page in zip(together, found, strict=True):
                yield number, self._codec.load(page.value) if page else []
            start, ahead = start + len(together), min(ahead * 2, _AHEAD)

    def key(self, number: int) -> str:
        """The key under which a page is stored."""
        return f"{self._name}/{number}"


class PagedLog(LogReader[E]):
    """The log that this process writes. No other process may write under its name at the same time.

    `lifetime` returns how long a page with these entries is kept. `opening` is awaited before the first write, and makes the log
    known to readers.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        codec: PageCodec[E],
        *,
        lifetime: Callable[[Sequence[E]], timedelta],
        opening: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(store, name, codec)
        self._lifetime, self._opening = lifetime, opening
        self._waiting: list[tuple[E, Append]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._is_open = False
        # The page being filled, as it stands in the store.
        self._number, self._etag = -1, ""
        self._entries: list[E] = []

    def add(self, entry: E) -> Append:
        """Append an entry."""
        append = Append()
        self._waiting.append((entry, append))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return append

    async def _flush(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:PAGE], self._waiting[PAGE:]
            try:
                await self._append(taken)
            except Exception as fault:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                self._is_open = False
                _tell(taken, fault if isinstance(fault, Unavailable) else Unavailable(f"The log {self._name} cannot be written: {fault}"))
            else:
                _tell(taken, None)

    async def _append(self, taken: Sequence[tuple[E, Append]]) -> None:
        try:
            await self._append_here(taken)
        except Conflict:
            # The time to live of the page may be over, or another process of this name may have written, so read it again.
            await self._open()
            await self._append_here(taken)

    async def _append_here(self, taken: Sequence[tuple[E, Append]]) -> None:
        if not self._is_open:
            await self._open()
        if self._number < 0 or len(self._entries) + len(taken) > PAGE:
            await self._turn_page()
        grown = [*self._entries, *(entry for entry, _ in taken)]
        for _, append in taken:
            append.submit()
        self._etag = await write(self._store, self.key(self._number), self._codec.dump(grown), self._etag, self._lifetime(grown))
        self._entries = grown

    async def _open(self) -> None:
        """Continue where an earlier process of this name stopped."""
        await self._opening()
        span = await self.span()
        self._number, self._etag, self._entries = -1, "", []
        if span is not None:
            found = await self._store.get(self.key(span.last))
            self._number, self._etag = span.last, found.etag if found else ""
            self._entries = self._codec.load(found.value) if found else []
        self._is_open = True

    async def _turn_page(self) -> None:
        """Start a new page. The span names it before it exists, so that readers miss no page."""
        found = await self._store.get(self._name)
        number = self._number + 1
        first = await self._first(_span(found.value)) if found else number
        await write(self._store, self._name, msgspec.json.encode(Span(first, number)), found.etag if found else "")
        self._number, self._etag, self._entries = number, "", []

    async def _first(self, span: Span) -> int:
        """The first page that still exists. Pages end with their time to live, the oldest first."""
        numbers = range(span.first, min(span.first + 10, span.last + 1))
        pages = await self._store.get_many([self.key(number) for number in numbers])
        gone = next((place for place, page in enumerate(pages) if page is not None), len(pages))
        return min(span.first + gone, span.last)


async def spans(store: Store, names: Sequence[str]) -> list[Span | None]:
    """The spans of several logs; None for a log that was never written. Raises Unavailable."""
    return [_span(each.value) if each else None for each in await store.get_many(names)]


async def write(store: Store, key: str, value: bytes, etag: str = "", ttl: timedelta | None = None) -> str:
    """Create a key, or replace its version `etag`, and return the new etag. After an error the key is read, and the value decides.

    Raises Conflict, Unavailable.
    """
    try:
        return await (store.save(key, value, etag, ttl) if etag else store.create(key, value, ttl))
    except PortError:
        found = await store.get(key)
        if found is None or found.value != value:
            raise
        return found.etag


def _span(value: bytes) -> Span:
    return msgspec.json.decode(value, type=Span)


def _tell(taken: Sequence[tuple[E, Append]], fault: Unavailable | None) -> None:
    for _, append in taken:
        append.end(fault)

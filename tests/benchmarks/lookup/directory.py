"""Makes a data directory that has many runs, as if a bridge had worked on them for days.

One run of each kind goes through a bridge in memory. What that bridge stored is the pattern of all others, which differ in their ids and
their times only; the index pages are written by the bridge's own index. So a million runs take minutes and not hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge import events
from bridge.adapters.embedded.database import FILE, Database
from bridge.adapters.embedded.store import SCHEMA
from bridge.errors import Conflict
from bridge.index import PAGE, Entry, Index
from bridge.ports import Message, Stored
from bridge.testing import NOON, json_answer
from tests.benchmarks.payload import PAYLOAD
from tests.pipeline_kit import World, world

SPAN = timedelta(days=5)  #: over which the runs were asked for
USABLE = timedelta(days=1)  #: how long a directory can be used again: its runs are kept for seven days
KEEP = timedelta(days=8)
FAILED_ONE_IN = 100
DEAD_LETTER_ONE_IN = 100
_VERSION = 1  #: of what this module makes
_AT_ONCE = 20_000  #: runs in one transaction
_MARK = "the-id-of-the-pattern"
_STAMP = re.compile(rb'"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))"')


@dataclass(frozen=True)
class Directory:
    """A data directory with so many ended runs, the last of them asked for at `newest`."""

    path: Path
    runs: int
    newest: datetime

    def id_of(self, number: int) -> str:
        """The correlation id of a run, from 0 for the oldest."""
        return hashlib.blake2b(str(number).encode(), digest_size=12).hexdigest()

    def created_at(self, number: int) -> datetime:
        """When a run was asked for."""
        return self.newest - SPAN * ((self.runs - 1 - number) / self.runs)


class Pattern:
    """A stored record, to be repeated under other ids and at other times. The clock of the one in hand stood at NOON."""

    def __init__(self, value: bytes, mark: str) -> None:
        pieces = _STAMP.split(value)
        self._texts = [text.split(mark.encode()) for text in pieces[::2]]
        self._offsets = [datetime.fromisoformat(each.decode()) - NOON for each in pieces[1::2]]

    def at(self, name: str, created_at: datetime) -> bytes:
        """The record of that id."""
        own = name.encode()
        texts = [own.join(text) for text in self._texts]
        stamps = [f'"{events.iso(created_at + offset)}"'.encode() for offset in self._offsets]
        return b"".join(part for pair in zip(texts, [*stamps, b""], strict=True) for part in pair)


@dataclass(frozen=True)
class Patterns:
    """A run that succeeded, one that failed, one whose function never answers, and a dead letter."""

    succeeded: Pattern
    failed: Pattern
    waiting: Pattern
    dead_letter: Pattern

    @classmethod
    async def make(cls) -> Patterns:
        """Let a bridge in memory do one of each."""
        with contextlib.redirect_stdout(io.StringIO()):  # the steps that a bridge tells
            return await cls._make()

    @classmethod
    async def _make(cls) -> Patterns:
        with tempfile.TemporaryDirectory() as folder:
            here = await world(Path(folder))
        here.functions.answers["/api/one"] = [json_answer(PAYLOAD), json_answer({"message": "no such host"}, 400)]
        found = []
        for number, automation in enumerate(("one", "one", "work")):
            await here.ask(automation, PAYLOAD, f"{_MARK}-{number}")
            await here.bus.deliver()
            found.append(await _pattern(here, f"run/{_MARK}-{number}"))
        await here.bus.publish([Message("automation-requests", b"\xff")])
        await here.bus.deliver()
        key = next(key for key in here.store.stored_keys() if key.startswith("deadletter/"))
        return cls(*found, await _pattern(here, key))


async def _pattern(here: World, key: str) -> Pattern:
    stored = await here.store.get(key)
    assert stored is not None
    return Pattern(stored.value, key.partition("/")[2])


class Rows:
    """Implements what the index needs of `ports.Store`, on a file that no bridge has open, in the transaction of the caller."""

    shared = is_full = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def put(self, key: str, value: bytes, ends: float | None) -> None:
        self.connection.execute("INSERT OR REPLACE INTO state VALUES(?, ?, 'made', ?)", (key, value, ends))

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        if await self.get(key) is not None:
            raise Conflict(key)
        return await self.save(key, value, "", ttl)

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:  # noqa: ARG002 - nobody else writes
        self.put(key, value, (datetime.now(UTC) + ttl).timestamp() if ttl else None)
        return "made"

    async def get(self, key: str) -> Stored | None:
        found = self.connection.execute("SELECT value, etag FROM state WHERE key=?", (key,)).fetchone()
        return Stored(*found) if found else None

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        return [await self.get(key) for key in keys]


class _Now:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def make(folder: Path, runs: int) -> Directory:
    """The directory below `folder`, made if it is not there or too old."""
    path, note = folder / f"runs-{runs}", folder / f"runs-{runs}.json"
    if note.exists():
        said = json.loads(note.read_text())
        newest = datetime.fromisoformat(said["newest"])
        if said["version"] == _VERSION and datetime.now(UTC) - newest < USABLE:
            return Directory(path, runs, newest)
    made = Directory(path, runs, datetime.now(UTC) - timedelta(minutes=10))
    path.mkdir(parents=True, exist_ok=True)
    (path / FILE).unlink(missing_ok=True)
    patterns = await Patterns.make()
    async with Database.open(path, SCHEMA):
        pass
    with _opened(path) as connection:
        await _fill(Rows(connection), made, patterns)
    note.write_text(json.dumps({"version": _VERSION, "newest": made.newest.isoformat()}))
    return made


async def add_late(made: Directory, name: str) -> None:
    """One more run, the newest, that nobody ends: its deadline is over and its timer never comes. Nobody may have the file open."""
    pattern = (await Patterns.make()).waiting
    asked = datetime.now(UTC) - timedelta(minutes=5)
    with _opened(made.path) as connection:
        rows = Rows(connection)
        await _index(rows, "index").add(Entry(created_at=asked, id=name, subject="work", due=asked + timedelta(minutes=1)))
        rows.put(f"run/{name}", pattern.at(name, asked), None)


def forget_sweeps(made: Directory) -> None:
    """Take away what a sweeper remembers, so that the next pass is the first."""
    with _opened(made.path) as connection:
        connection.execute("DELETE FROM state WHERE key LIKE 'index/%/bookmark'")


class _opened:  # noqa: N801 - a context manager
    """A connection that syncs nothing; what was written is in the file itself in the end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(self._path / FILE, isolation_level=None)
        for pragma in ("synchronous=OFF", "cache_size=-1000000", "journal_mode=OFF"):
            self._connection.execute(f"PRAGMA {pragma}")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _index(rows: Rows, name: str) -> Index:
    return Index(rows, _Now(), name=name, replica="embedded", keep=KEEP)


async def _fill(rows: Rows, made: Directory, patterns: Patterns) -> None:
    index, replies, letters = (_index(rows, name) for name in ("index", "replies", "letters"))
    for numbers in _chunks(made.runs, _AT_ONCE):
        rows.connection.execute("BEGIN")
        for page in _chunks(len(numbers), PAGE):
            here = numbers[page.start : page.stop]
            await asyncio.gather(*(index.add(entry) for entry in _entries(made, here)))
            await asyncio.gather(*(replies.add(entry) for entry in _replied(made, here)))
            for number in here:
                pattern = patterns.succeeded if number % FAILED_ONE_IN else patterns.failed
                name, created_at = made.id_of(number), made.created_at(number)
                rows.put(f"run/{name}", pattern.at(name, created_at), (created_at + KEEP).timestamp())
        for number in numbers[::DEAD_LETTER_ONE_IN]:
            name, kept_at = made.id_of(-number - 1), made.created_at(number)
            await letters.add(Entry(created_at=kept_at, id=name, subject="Malformed"))
            rows.put(f"deadletter/{name}", patterns.dead_letter.at(name, kept_at), (kept_at + KEEP).timestamp())
        rows.connection.execute("COMMIT")


def _entries(made: Directory, numbers: range) -> Iterator[Entry]:
    for number in numbers:
        created_at = made.created_at(number)
        yield Entry(created_at=created_at, id=made.id_of(number), subject="one", due=created_at + timedelta(minutes=1))


def _replied(made: Directory, numbers: range) -> Iterator[Entry]:
    for number in numbers:
        created_at = made.created_at(number)
        yield Entry(created_at=created_at, id=events.reply_id(made.id_of(number), created_at), subject="Succeeded")


def _chunks(count: int, size: int) -> Iterator[range]:
    for start in range(0, count, size):
        yield range(start, min(start + size, count))

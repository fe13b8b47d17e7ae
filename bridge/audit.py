"""The audit checks that accepted = ended + unfinished, and that every ended run has its reply. It names every id that does not fit.

It compares three records that are written at different times: the index (before a run is created), the runs themselves, and the index of
replies (after a reply was published).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bridge import events
from bridge.deadletters import DeadLetters
from bridge.errors import LaterRelease
from bridge.index import Entry, Index
from bridge.ports import Clock
from bridge.run import Run
from bridge.runs import RunStore
from bridge.runs.runclock import RunClock
from bridge.timeslices import TimeSlices

#: A run without a reply this long after its end is a discrepancy, and so is a run without an end this long after its deadline.
GRACE = timedelta(minutes=1)
#: How many discrepancies are named. All of them are counted.
MAX_NAMED = 1_000
_TOGETHER = 100  #: dead letters read at a time
_SETS = 1_024  #: how many sets hold the names that were seen

NO_REPLY = "ended without a reply"
NOT_ENDED = "past its deadline and not ended"
NOT_READ = "written by a later release; whether it has ended is not known here"


class _Shown(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Discrepancy(_Shown):
    """A run that does not fit the other records, and why."""

    correlation_id: str
    what: str


class AuditReport(_Shown):
    """The figures of an audit.

    `forgotten` counts runs that ended and whose retention is over. `not_accepted` counts requests that were never accepted.
    """

    taken_at: datetime
    accepted: int = 0
    ended: dict[str, int] = {}
    forgotten: int = 0
    unfinished: int = 0
    replies: int = 0
    replies_due: int = 0
    dead_letters: dict[str, int] = {}
    not_accepted: int = 0
    discrepancies: list[Discrepancy] = Field([], alias="misfits")
    discrepancy_count: int = Field(0, alias="misfitCount")


class Audit:
    """Makes audit reports, one at a time, and yields the event loop every few milliseconds."""

    def __init__(self, results: RunStore, index: Index, replies: Index, deadletters: DeadLetters, clock: Clock) -> None:
        self._runs, self._index, self._replies, self._deadletters, self._clock = results, index, replies, deadletters, clock
        self._one = asyncio.Lock()

    async def take(self, since: datetime | None = None) -> AuditReport:
        """The report on requests since `since`, or on all that are stored. Needs about 200 bytes of memory a run. Raises Unavailable."""
        async with self._one:
            report = AuditReport(taken_at=self._clock.now())
            report.dead_letters = await self._dead_letters(since)
            # First the end of the index is fixed, then replies are read, then runs: a reply that is published after the replies were read
            # belongs to a run that has ended since, and counts as due.
            asked = (await self._index.end()).write()
            replied, seen = _SeenNames(), _SeenNames()
            async for entries in _since(self._replies, "", since):
                for entry in entries:
                    replied.add(entry.id)
            report.taken_at = self._clock.now()
            async for entries in _since(self._index, asked, since):
                await self._count(report, entries, replied, seen)
            await replied.forget()
            await seen.forget()
            report.accepted = sum(report.ended.values()) + report.forgotten + report.unfinished
            return report

    async def _count(self, report: AuditReport, entries: Sequence[Entry], replied: _SeenNames, seen: _SeenNames) -> None:
        runs = await self._runs.get_many([entry.id for entry in entries])
        for entry, run in zip(entries, runs, strict=True):
            name = events.reply_id(entry.id, entry.created_at)
            if not seen.add(name):
                continue
            has_reply = name in replied
            report.replies += has_reply
            if isinstance(run, LaterRelease):
                report.unfinished += 1
                _name(report, entry.id, NOT_READ)
            elif run is not None and run.created_at == entry.created_at:
                _judge(report, run, self._runs.clock, has_reply=has_reply)
            elif has_reply:
                report.forgotten += 1
            elif run is None:
                report.not_accepted += 1

    async def _dead_letters(self, since: datetime | None) -> dict[str, int]:
        reasons: Counter[str] = Counter()
        cursor = ""
        while True:
            letters, cursor = await self._deadletters.page(_TOGETHER, cursor)
            wanted = [letter for letter in letters if since is None or letter.kept_at >= since]
            reasons.update(letter.reason for letter in wanted)
            if not cursor or len(wanted) < len(letters):
                return dict(reasons)


def _judge(report: AuditReport, run: Run, clock: RunClock, *, has_reply: bool) -> None:
    if not run.status.final:
        report.unfinished += 1
        if run.deadline + GRACE < report.taken_at - clock.ahead(run):
            _name(report, run.correlation_id, NOT_ENDED)
        return
    report.ended[run.status] = report.ended.get(run.status, 0) + 1
    if has_reply:
        return
    if run.updated_at + GRACE < report.taken_at - clock.ahead(run):
        _name(report, run.correlation_id, NO_REPLY)
    else:
        report.replies_due += 1


def _name(report: AuditReport, correlation_id: str, what: str) -> None:
    report.discrepancy_count += 1
    if len(report.discrepancies) < MAX_NAMED:
        report.discrepancies.append(Discrepancy(correlation_id=correlation_id, what=what))


async def _since(index: Index, cursor: str, since: datetime | None) -> AsyncIterator[Sequence[Entry]]:
    """The entries from the cursor back to `since`, in pieces. Other tasks run between two pieces."""
    slices = TimeSlices()
    async for batch in index.newest(cursor):
        wanted = _not_before(batch.entries, since)
        for piece in slices.pieces(wanted):
            yield piece
            await slices.rest()
        if len(wanted) < len(batch.entries):
            return


def _not_before(entries: Sequence[Entry], since: datetime | None) -> Sequence[Entry]:
    """The entries before the first one that is older than `since`."""
    if since is None:
        return entries
    return entries[: next((place for place, entry in enumerate(entries) if entry.created_at < since), len(entries))]


class _SeenNames:
    """Tells whether a name was seen before, from 64 bits of its hash. With ten million names, one audit in 300,000 confuses two of them.

    The names are spread over many small sets, because one large set would block the event loop whenever it grows or is freed.
    """

    def __init__(self) -> None:
        self._sets: list[set[int]] = [set() for _ in range(_SETS)]

    def add(self, name: str) -> bool:
        """Add a name. Returns whether it is new."""
        bits = hash(name)
        among = self._sets[bits % _SETS]
        before = len(among)
        among.add(bits)
        return len(among) > before

    def __contains__(self, name: str) -> bool:
        bits = hash(name)
        return bits in self._sets[bits % _SETS]

    async def forget(self) -> None:
        """Free the memory, set by set. Other tasks run in between."""
        slices = TimeSlices()
        for piece in slices.pieces(range(_SETS)):
            del self._sets[-len(piece) :]
            await slices.rest()

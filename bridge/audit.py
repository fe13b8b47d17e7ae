"""The account of what was accepted: accepted = ended + unfinished, every ended run has its reply, and every id that does not fit is named.

Three records are held against each other that are written at different times: the index (before a run is created), the runs themselves,
and the index of replies (after a reply was published).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bridge import events
from bridge.deadletters import DeadLetters
from bridge.index import Entry, Index
from bridge.ports import Clock
from bridge.results import Results
from bridge.run import Run

#: How long after its end a run may be without a reply, and after its deadline without an end, before that is a misfit.
GRACE = timedelta(minutes=1)
#: How many misfits are named; all are counted.
MAX_NAMED = 1_000
_TOGETHER = 100  #: runs read at a time

NO_REPLY = "ended without a reply"
NOT_ENDED = "past its deadline and not ended"


class _Shown(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Misfit(_Shown):
    """An id that does not fit, and why."""

    correlation_id: str
    what: str


class Account(_Shown):
    """The figures. `forgotten`: ended, and looked up no more because retention is over. `not_accepted`: asked for and never accepted."""

    taken_at: datetime
    accepted: int = 0
    ended: dict[str, int] = {}
    forgotten: int = 0
    unfinished: int = 0
    replies: int = 0
    replies_due: int = 0
    dead_letters: dict[str, int] = {}
    not_accepted: int = 0
    misfits: list[Misfit] = []
    misfit_count: int = 0


class Audit:
    """Takes the account, one at a time."""

    def __init__(self, results: Results, index: Index, replies: Index, deadletters: DeadLetters, clock: Clock) -> None:
        self._results, self._index, self._replies, self._deadletters, self._clock = results, index, replies, deadletters, clock
        self._one = asyncio.Lock()

    async def take(self, since: datetime | None = None) -> Account:
        """The account of what was asked for since then, or of all that is kept. Holds about 200 bytes a run. Raises Unavailable."""
        async with self._one:
            account = Account(taken_at=self._clock.now())
            account.dead_letters = await self._letters(since)
            entries = [entry async for entry in _since(self._index, since)]
            # In this order, so that a reply which is on record when its run is read has been seen; one that comes meanwhile is due.
            replied = {entry.id async for entry in _since(self._replies, since)}
            account.taken_at = self._clock.now()
            await self._runs(account, entries, replied)
            return account

    async def _runs(self, account: Account, entries: list[Entry], replied: set[str]) -> None:
        seen: set[str] = set()
        ended: Counter[str] = Counter()
        for start in range(0, len(entries), _TOGETHER):
            together = entries[start : start + _TOGETHER]
            runs = await self._results.find_many([entry.id for entry in together])
            for entry, run in zip(together, runs, strict=True):
                name = events.reply_id(entry.id, entry.created_at)
                if name in seen:
                    continue
                seen.add(name)
                if run is not None and run.created_at == entry.created_at:
                    _count(account, run, ended, replied=name in replied)
                elif name in replied:
                    account.forgotten += 1
                elif run is None:
                    account.not_accepted += 1
        account.ended = dict(ended)
        account.replies = len(seen & replied)
        account.accepted = ended.total() + account.forgotten + account.unfinished

    async def _letters(self, since: datetime | None) -> dict[str, int]:
        reasons: Counter[str] = Counter()
        cursor = ""
        while True:
            letters, cursor = await self._deadletters.page(_TOGETHER, cursor)
            wanted = [letter for letter in letters if since is None or letter.kept_at >= since]
            reasons.update(letter.reason for letter in wanted)
            if not cursor or len(wanted) < len(letters):
                return dict(reasons)


def _count(account: Account, run: Run, ended: Counter[str], *, replied: bool) -> None:
    if not run.status.final:
        account.unfinished += 1
        if run.deadline + GRACE < account.taken_at:
            _name(account, run, NOT_ENDED)
        return
    ended[run.status] += 1
    if replied:
        return
    if run.updated_at + GRACE < account.taken_at:
        _name(account, run, NO_REPLY)
    else:
        account.replies_due += 1


def _name(account: Account, run: Run, what: str) -> None:
    account.misfit_count += 1
    if len(account.misfits) < MAX_NAMED:
        account.misfits.append(Misfit(correlation_id=run.correlation_id, what=what))


async def _since(index: Index, since: datetime | None) -> AsyncIterator[Entry]:
    async for entry, _ in index.newest():
        if since is not None and entry.created_at < since:
            return
        yield entry

"""Runs by correlation id: create, change, look up, wait.

Every write is a first write. After any failed one the key is read again and what stands there decides (DESIGN 4). Runs that this process
wrote lately are kept in memory; where other processes write too (`Store.shared`), who asks is answered from there for ended ones only.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import timedelta

from bridge import run as runs
from bridge.crashpoints import CrashPoint, passed
from bridge.errors import Conflict, PortError, Unavailable
from bridge.index import Entry, Index
from bridge.knownruns import Known, KnownRuns
from bridge.ports import Clock, Store
from bridge.run import Run
from bridge.watchers import Watchers

#: How long what this process wrote or read is taken for how the run stands, by those who write it next and learn of any difference then.
FRESH = timedelta(seconds=1)
_ATTEMPTS = 20
_POLL = (0.2, 0.3, 0.45, 0.7, 1.0)  #: seconds between looks for a run that another replica may change


class Results:
    """The store of runs; `remember` is about how many bytes of memory those kept in it may take."""

    def __init__(self, store: Store, index: Index, clock: Clock, *, remember: int = 64 * 1024 * 1024) -> None:
        self._store, self._index, self._clock = store, index, clock
        self._process, self._writes = secrets.token_hex(8), itertools.count()
        self._known, self._watchers = KnownRuns(remember), Watchers()
        self._creating: dict[str, asyncio.Future[tuple[Run, bool]]] = {}
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    @property
    def is_full(self) -> bool:
        """Whether there is no room for further runs."""
        return self._store.is_full

    async def find(self, correlation_id: str) -> Run | None:
        """The run as it stands, or None. A run that this process is creating is waited for. Raises Unavailable."""
        if correlation_id in self._creating:
            return (await asyncio.shield(self._creating[correlation_id]))[0]
        known = self._remembered(correlation_id)
        if known is not None and (known.run.status.final or not self._store.shared):
            return known.run
        return await self._read(correlation_id)

    async def recall(self, correlation_id: str) -> Run | None:
        """The run as it was a moment ago, at most FRESH. For who works on it, not for who asks about it. Raises Unavailable."""
        known = self._remembered(correlation_id)
        if known is not None and self._clock.now() - known.at < FRESH:
            return known.run
        return await self.find(correlation_id)

    async def find_many(self, correlation_ids: list[str]) -> list[Run | None]:
        """The runs in that order. Raises Unavailable."""
        stored = await self._store.get_many([_key(each) for each in correlation_ids])
        return [runs.load(each.value) if each is not None else None for each in stored]

    async def create(self, run: Run, published: Awaitable[None] | None = None) -> tuple[Run, bool]:
        """Store a new run, or give the one that has its id; and whether it is new. Callers in this process share one write.

        `published` is the sending of the request, which comes before the run: if it fails, so does this, and there is no run. Raises
        Unavailable and what `published` raises.
        """
        under_way = self._creating.get(run.correlation_id)
        if under_way is not None:
            if published is not None:
                await published
            existing, _ = await asyncio.shield(under_way)
            return existing, False
        created = self._creating[run.correlation_id] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._create(run, published)
            created.set_result(outcome)
        finally:
            del self._creating[run.correlation_id]
            if not created.done():
                created.set_exception(Unavailable("The run could not be stored."))
                created.exception()  # whoever waits gets it; nobody has to
        return outcome

    async def _create(self, run: Run, published: Awaitable[None] | None) -> tuple[Run, bool]:
        indexed = self._index.add(Entry(created_at=run.created_at, id=run.correlation_id, subject=run.automation, due=run.deadline))
        if published is not None:
            try:
                await published
            except BaseException:
                indexed.add_done_callback(lambda done: done.cancelled() or done.exception())
                raise
        await indexed
        passed(CrashPoint.PUBLISHED_NOT_CREATED)
        value = runs.dump(run)
        try:
            etag = await self._store.create(_key(run.correlation_id), value, self._lifetime(run))
        except PortError as fault:
            found = await self._store.get(_key(run.correlation_id))
            if found is None:
                raise fault if isinstance(fault, Unavailable) else Unavailable(str(fault)) from None
            if found.value != value:
                return self._learn(runs.load(found.value), found.etag, found.value), False
            etag = found.etag
        return self._learn(run, etag, value), True

    async def change(self, correlation_id: str, change: Callable[[Run], Run]) -> tuple[Run, Run] | None:
        """Apply `change` to the run as it stands and store what comes out: the run before and after, or None if there is no run.

        `change` may be called again when somebody else was faster. Raises Unavailable.
        """
        async with self._lock(correlation_id):
            for _ in range(_ATTEMPTS):
                known = self._remembered(correlation_id) or await self._fetch(correlation_id)
                if known is None:
                    return None
                changed = change(known.run)
                if changed is known.run:
                    return known.run, changed
                changed = self._named(changed)
                if await self._saved(changed, known.etag):
                    return known.run, changed
                self._known.forget(correlation_id)
        raise Unavailable(f"Run {correlation_id} was changed by others {_ATTEMPTS} times in a row.")

    def _named(self, run: Run) -> Run:
        # Two may change a run in the same way at the same moment; after a failed write each must know its own version from the other's.
        write = f"{self._process}/{next(self._writes)}"
        return run.model_copy(update={"control": run.control.model_copy(update={"write": write})})

    async def _saved(self, run: Run, etag: str) -> bool:
        value = runs.dump(run)
        try:
            etag = await self._store.save(_key(run.correlation_id), value, etag, self._lifetime(run))
        except PortError as fault:
            found = await self._store.get(_key(run.correlation_id))
            if found is None or found.value != value:
                if isinstance(fault, Conflict):
                    return False
                self._known.forget(run.correlation_id)
                raise
            etag = found.etag
        self._learn(run, etag, value)
        return True

    async def wait(self, correlation_id: str, seconds: float, seen: Run | None = None) -> Run | None:
        """The run once it has ended, or as it stands after `seconds`; None if there is none. `seen` is what the caller has just found."""
        latest: Run | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), contextlib.aclosing(self.follow(correlation_id, seen)) as runs_seen:
                async for latest in runs_seen:
                    if latest.status.final:
                        return latest
        return latest or await self.find(correlation_id)

    async def follow(self, correlation_id: str, seen: Run | None = None) -> AsyncGenerator[Run]:
        """The run now and at every change, until it has ended or waiting is over (`let_go`). Ends at once if there is no run.

        `seen` is the run that the caller has just found.
        """
        with self._watchers.watched(correlation_id) as changed:
            shown: Run | None = None
            pauses = iter(_POLL)
            latest = await self._since(correlation_id, seen)
            while latest is not None:
                if latest is not shown and latest != shown:
                    shown, pauses = latest, iter(_POLL)
                    yield latest
                if latest.status.final or self._watchers.letting_go:
                    return
                latest = await self._next(correlation_id, changed, next(pauses, _POLL[-1]))

    async def _since(self, correlation_id: str, seen: Run | None) -> Run | None:
        """The run, without another look where one has just been taken and the next follows soon."""
        if seen is None or not self._store.shared:
            return await self.find(correlation_id)
        known = self._remembered(correlation_id)
        return known.run if known else seen

    async def _next(self, correlation_id: str, changed: asyncio.Event, pause: float) -> Run | None:
        """The run after a change of this process, which has it in memory, or where others write too after the pause."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause if self._store.shared else None):
                await changed.wait()
                changed.clear()
            known = self._remembered(correlation_id)
            if known is not None:
                return known.run
        return await self.find(correlation_id)

    def let_go(self) -> None:
        """Who waits, now or later, gets the run as it stands: the bridge stops."""
        self._watchers.let_go()

    @contextlib.asynccontextmanager
    async def _lock(self, correlation_id: str) -> AsyncIterator[None]:
        """One change at a time for each run in this process, so that its own changes do not conflict."""
        lock, users = self._locks.setdefault(correlation_id, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                self._locks.pop(correlation_id, None)

    async def _read(self, correlation_id: str) -> Run | None:
        known = await self._fetch(correlation_id)
        return known.run if known else None

    async def _fetch(self, correlation_id: str) -> Known | None:
        before, now = self._known.get(correlation_id), self._clock.now()
        found = await self._store.get(_key(correlation_id))
        if found is None:
            return None
        newer = self._known.get(correlation_id)
        if newer is not None and (newer is not before or not self._store.shared):
            return newer
        run = newer.run if newer is not None and newer.is_stored_as(found.value) else runs.load(found.value)
        known = Known.of(run, found.etag, found.value, now)
        self._known.put(known)
        return known

    def _learn(self, run: Run, etag: str, value: bytes) -> Run:
        """Remember what was written, and wake those who wait for it. What was only read wakes nobody."""
        self._known.put(Known.of(run, etag, value, self._clock.now()))
        self._watchers.wake(run.correlation_id)
        return run

    def _remembered(self, correlation_id: str) -> Known | None:
        return self._known.kept(correlation_id, self._clock.now())

    def _lifetime(self, run: Run) -> timedelta | None:
        """Retention counts from the end; a run that has not ended is kept until it has."""
        return max(run.expires_at - self._clock.now(), timedelta(seconds=1)) if run.expires_at else None


def _key(correlation_id: str) -> str:
    return f"run/{correlation_id}"

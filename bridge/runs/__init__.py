"""Stores runs by correlation id: create, change, look up, wait.

Every write names the version that it replaces. After a failed write the key is read again, and its value decides whether the write
succeeded. A cache holds the runs that this process wrote or read last. If other processes write too (`Store.shared`), the cache answers a
look-up only for a run that has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

from msgspec.structs import replace

from bridge import run as records
from bridge import telemetry
from bridge.errors import Conflict, LaterRelease, PortError, Unavailable, Undeliverable
from bridge.index import Entry, Index
from bridge.index.pagedlog import Append
from bridge.ports import Bus, Clock, Message, Outbox, Store, Write
from bridge.run import Run
from bridge.runs.runcache import CachedRun, RunCache
from bridge.runs.runclock import RunClock

#: How long a cached run counts as current for a caller that is going to change it: a write of an outdated version fails anyway.
FRESH = timedelta(seconds=1)
_ATTEMPTS = 20
_MOST_EXPECTED = 500  #: callers that may wait for runs that are not there
_POLL = (0.2, 0.3, 0.45, 0.7, 1.0)  #: seconds between reads of a run that another replica may change


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The messages that follow from a change of a run, and the scheduled messages (topic, message id) that it makes obsolete."""

    messages: Sequence[Message] = ()
    obsolete: Sequence[tuple[str, str]] = ()


class RunStore:
    """The store of runs, with a cache of about `remember` bytes of memory."""

    def __init__(  # noqa: PLR0913 - each is one neighbour
        self, store: Store, bus: Bus, index: Index, clock: Clock, outbox: Outbox | None = None, *, remember: int = 64 * 1024 * 1024
    ) -> None:
        self._store, self._bus, self._index, self._clock, self._outbox = store, bus, index, clock, outbox
        process = f"{index.replica}/{secrets.token_hex(4)}" if store.shared else secrets.token_hex(4)
        self.clock = RunClock(clock, process, store)  #: the clock that the times of the runs follow
        self._writes = itertools.count()
        self._cache = RunCache(remember)
        self._creating: dict[str, asyncio.Future[tuple[Run, bool]]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._expected, self._stopping = 0, False

    @property
    def is_full(self) -> bool:
        """Whether there is no room for further runs."""
        return self._store.is_full

    @property
    def has_outbox(self) -> bool:
        """Whether a run and the messages that follow from it are stored in one transaction."""
        return self._outbox is not None

    # Look-ups.

    async def get(self, correlation_id: str) -> Run | None:
        """The current run, or None. Waits for a run that this process is creating at the moment. Raises Unavailable."""
        if correlation_id in self._creating:
            # What the bus cannot carry may be followed by a run all the same: one that ends with this reason.
            with contextlib.suppress(Undeliverable):
                return (await asyncio.shield(self._creating[correlation_id]))[0]
        cached = self._cached(correlation_id)
        if cached is not None and (not self._store.shared or cached.run.status.final):
            return cached.run
        return await self._read(correlation_id)

    async def get_recent(self, correlation_id: str) -> Run | None:
        """The run as it was at most FRESH ago, which is recent enough for a caller that is going to change it. Raises Unavailable."""
        cached = self._cached(correlation_id)
        if cached is not None and correlation_id not in self._creating and self._clock.steady() - cached.at < FRESH:
            return cached.run
        return await self.get(correlation_id)

    async def get_many(self, correlation_ids: list[str]) -> list[Run | LaterRelease | None]:
        """The runs in the order of the ids, read from the store; the reason for each that cannot be read. Raises Unavailable."""
        stored = await self._store.get_many([_key(each) for each in correlation_ids])
        return [_run_or_reason(each.value) if each is not None else None for each in stored]

    # Creation.

    async def create(self, run: Run, *, first: Sequence[Message] = (), work: Sequence[Message] = ()) -> tuple[Run, bool]:
        """Store a new run. Returns it, or the existing run with its id, and whether it is new. Callers in this process share one write.

        With an outbox, `work` is stored in the same transaction. Without one, `first` is published before the run is created, so that after
        a crash the run is created from that event. Raises Undeliverable or Unavailable; no run exists then.
        """
        under_way = self._creating.get(run.correlation_id)
        if under_way is not None:
            return (await asyncio.shield(under_way))[0], False
        created = self._creating[run.correlation_id] = asyncio.get_running_loop().create_future()
        try:
            outcome = await (self._create_with(run, work) if self._outbox is not None else self._create_after(run, first))
            created.set_result(outcome)
        except Undeliverable as fault:
            created.set_exception(fault)
            created.exception()  # marks the error as retrieved, because perhaps no caller waits for it
            raise
        finally:
            del self._creating[run.correlation_id]
            if not created.done():
                created.set_exception(Unavailable("The run could not be stored."))
                created.exception()  # marks the error as retrieved, because perhaps no caller waits for it
        return outcome

    async def _create_with(self, run: Run, work: Sequence[Message]) -> tuple[Run, bool]:
        """Create the run together with its work. The index entry is written before it, or in the same transaction."""
        indexed = self._indexed(run)
        try:
            # Writes are made in the order in which they are submitted, so the entry is never made after the run.
            await indexed.submitted
            outcome = await self._stored(run, Outgoing(work))
        except BaseException:
            indexed.forget()
            raise
        await indexed
        return outcome

    async def _create_after(self, run: Run, first: Sequence[Message]) -> tuple[Run, bool]:
        indexed = self._indexed(run)
        if first:
            try:
                await self._bus.publish(first)
            except BaseException:
                indexed.forget()
                raise
        await indexed
        if first:
            telemetry.step("run.requested", automation=run.automation, level="debug", run=run.correlation_id)
        return await self._stored(run, Outgoing())

    def _indexed(self, run: Run) -> Append:
        return self._index.add(Entry(created_at=run.created_at, id=run.correlation_id, subject=run.automation, due=run.deadline))

    async def _stored(self, run: Run, outgoing: Outgoing) -> tuple[Run, bool]:
        value = records.dump(run)
        try:
            etag = await self._write(Write(_key(run.correlation_id), value, "", self._lifetime(run)), outgoing)
        except PortError as fault:
            found = await self._store.get(_key(run.correlation_id))
            if found is None:
                raise fault if isinstance(fault, Unavailable | Undeliverable) else Unavailable(str(fault)) from None
            if found.value != value:
                return self._learn(records.load(found.value), found.etag, found.value), False
            etag = found.etag
        return self._learn(run, etag, value), True

    # Changes.

    async def change(
        self, correlation_id: str, change: Callable[[Run], Run], outgoing: Callable[[Run], Outgoing] | None = None
    ) -> tuple[Run, Run] | None:
        """Apply `change` to the current run and store the result. Returns the run before and after, or None if there is no run.

        `outgoing` returns what to publish together with the changed run; this needs an outbox. `change` is called again if another change
        was first. Raises Unavailable, and with `outgoing` Full or Undeliverable.
        """
        async with self._lock(correlation_id):
            for _ in range(_ATTEMPTS):
                cached = self._cached(correlation_id) or await self._fetch(correlation_id)
                if cached is None:
                    return None
                changed = change(cached.run)
                if changed is cached.run:
                    return changed, changed
                changed = self._named(changed)
                if await self._saved(changed, cached.etag, outgoing(changed) if outgoing else Outgoing()):
                    return cached.run, changed
                self._cache.forget(correlation_id)
        raise Unavailable(f"Run {correlation_id} was changed by others {_ATTEMPTS} times in a row.")

    def _named(self, run: Run) -> Run:
        # Two processes may make the same change at the same moment. After a failed write, each must recognise its own version.
        if not self._store.shared:
            return run
        return replace(run, control=replace(run.control, write=f"{self.clock.process}/{next(self._writes)}"))

    async def _saved(self, run: Run, etag: str, outgoing: Outgoing) -> bool:
        value = records.dump(run)
        try:
            etag = await self._write(Write(_key(run.correlation_id), value, etag, self._lifetime(run)), outgoing)
        except PortError as fault:
            found = await self._store.get(_key(run.correlation_id))
            if found is None or found.value != value:
                if isinstance(fault, Conflict):
                    return False
                self._cache.forget(run.correlation_id)
                raise
            etag = found.etag
        self._learn(run, etag, value)
        return True

    async def _write(self, write: Write, outgoing: Outgoing) -> str:
        if self._outbox is not None:
            return await self._outbox.commit(write, outgoing.messages, outgoing.obsolete)
        if write.etag:
            return await self._store.save(write.key, write.value, write.etag, write.ttl)
        return await self._store.create(write.key, write.value, write.ttl)

    def _lock(self, correlation_id: str) -> asyncio.Lock:
        """The lock of a run, so that changes by this process do not conflict with each other."""
        lock = self._locks.get(correlation_id)
        if lock is None:
            lock = self._locks[correlation_id] = asyncio.Lock()
        return lock

    # Waiting.

    async def wait(self, correlation_id: str, seconds: float, seen: Run | None = None) -> Run | None:
        """The run once it has ended, or as it is after `seconds`; None if there is none. `seen` is what the caller has just read."""
        latest = seen
        with contextlib.suppress(TimeoutError), self._notified(correlation_id) as changed:
            async with asyncio.timeout(seconds):
                pauses = iter(_POLL)
                latest = await self._latest(correlation_id, seen)
                while latest is not None and not latest.status.final and not self._stopping:
                    latest = await self._next(correlation_id, changed, next(pauses, _POLL[-1]))
                return latest
        return await self.get(correlation_id) if latest is None or not self._store.shared else latest

    async def appearing(self, correlation_id: str, seconds: float, wanted: Callable[[Run], bool]) -> Run | None:
        """Wait for a run with this id that is `wanted`. None if there is none after `seconds`.

        Raises Unavailable, also if too many callers wait like this: if other processes may create the run, each of them reads the store.
        """
        if self._expected >= _MOST_EXPECTED:
            raise Unavailable(f"{self._expected} callers wait for runs that are not there.", hint="Ask again in a moment.")
        self._expected += 1
        try:
            with contextlib.suppress(TimeoutError), self._notified(correlation_id) as changed:
                async with asyncio.timeout(seconds):
                    pauses = iter(_POLL)
                    found = await self.get(correlation_id)
                    while found is None or not wanted(found):
                        if self._stopping:
                            raise Unavailable("The bridge stops.", hint="Ask again in a moment.")
                        found = await self._next(correlation_id, changed, next(pauses, _POLL[-1]))
                    return found
        finally:
            self._expected -= 1
        return None

    async def follow(self, correlation_id: str, seen: Run | None = None) -> AsyncGenerator[Run]:
        """Yields the run now and at every change, until it has ended or `stop_waiting` was called. Yields nothing if there is no run.

        `seen` is the run that the caller has just read.
        """
        with self._notified(correlation_id) as changed:
            shown: Run | None = None
            pauses = iter(_POLL)
            latest = await self._latest(correlation_id, seen)
            while latest is not None:
                if latest is not shown and latest != shown:
                    shown, pauses = latest, iter(_POLL)
                    yield latest
                if latest.status.final or self._stopping:
                    return
                latest = await self._next(correlation_id, changed, next(pauses, _POLL[-1]))

    async def _latest(self, correlation_id: str, seen: Run | None) -> Run | None:
        """The current run. `seen` saves a read if the caller has just made one."""
        cached = self._cached(correlation_id)
        if cached is not None and (seen is not None or not self._store.shared):
            return cached.run
        return seen or await self.get(correlation_id)

    async def _next(self, correlation_id: str, changed: asyncio.Event, pause: float) -> Run | None:
        """The run after the next change by this process, or after the pause if other processes may have changed it."""
        with contextlib.suppress(TimeoutError):
            if self._store.shared:
                async with asyncio.timeout(pause):
                    await changed.wait()
            else:
                await changed.wait()
            changed.clear()
            cached = self._cached(correlation_id)
            if cached is not None:
                return cached.run
        return await self.get(correlation_id)

    @contextlib.contextmanager
    def _notified(self, correlation_id: str) -> Iterator[asyncio.Event]:
        """An event that this process sets at each change of the run while the context is open."""
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(correlation_id, set())
        waiting.add(changed)
        try:
            yield changed
        finally:
            waiting.discard(changed)
            if not waiting:
                self._waiting.pop(correlation_id, None)

    def stop_waiting(self) -> None:
        """End all waiting, now and in the future, because the bridge stops. Callers get the run as it is."""
        self._stopping = True
        for waiting in self._waiting.values():
            for changed in waiting:
                changed.set()

    # The cache.

    def _cached(self, correlation_id: str) -> CachedRun | None:
        known = self._cache.peek(correlation_id)
        return self._cache.get(correlation_id, self.clock.now(known.run)) if known else None

    async def _read(self, correlation_id: str) -> Run | None:
        cached = await self._fetch(correlation_id)
        return cached.run if cached else None

    async def _fetch(self, correlation_id: str) -> CachedRun | None:
        before, now = self._cache.peek(correlation_id), self._clock.steady()
        found = await self._store.get(_key(correlation_id))
        if found is None:
            return None
        newer = self._cache.peek(correlation_id)
        if newer is not None and (newer is not before or not self._store.shared):
            return newer
        run = newer.run if newer is not None and newer.is_stored_as(found.value) else records.load(found.value)
        cached = CachedRun.of(run, found.etag, found.value, now)
        self._cache.put(cached)
        return cached

    def _learn(self, run: Run, etag: str, value: bytes) -> Run:
        """Put a version into the cache. A version that was written also wakes the callers that wait for the run."""
        self._cache.put(CachedRun.of(run, etag, value, self._clock.steady()))
        for changed in self._waiting.get(run.correlation_id, ()):
            changed.set()
        return run

    def _lifetime(self, run: Run) -> timedelta | None:
        """The time to live of a run. Retention begins at its end, and a run that has not ended has no time to live."""
        return max(run.expires_at - self.clock.now(run), timedelta(seconds=1)) if run.expires_at else None


def _run_or_reason(value: bytes) -> Run | LaterRelease:
    try:
        return records.load(value)
    except LaterRelease as reason:
        return reason


def _key(correlation_id: str) -> str:
    return f"run/{correlation_id}"

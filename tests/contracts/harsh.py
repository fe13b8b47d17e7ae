"""The worst bus, store and functions that the ports allow.

Every verb lets others go first and may take its time. Deliveries come twice, to two workers at once, in any order; timers come early. A
create succeeds and reports failure; the first save over every version is a conflict; a publish fails after it took effect, wholly or in
part. A process may end before or after any verb. What goes wrong is drawn from a seed, so that the same seed gives the same story.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bridge.errors import CallFailed, Conflict, Unavailable, Undeliverable
from bridge.ports import Ack, Delivery, FunctionCall, FunctionResponse, Handler, Message, Stored, Write
from bridge.testing import FakeClock, MemoryStore
from tests.observed import Journal

#: How often one message is handed out twice or too early at most: repeats of repeats would multiply for ever.
REPEATS = 5
#: How many messages are under way at a time.
AT_ONCE = 16
#: How long a message stays away that was answered with RETRY, at least and at most, in seconds.
BACK = (0.5, 15.0)


@dataclass(frozen=True)
class Weather:
    """How often what goes wrong; shares between 0 and 1."""

    twice: float = 0.0  #: a delivery is handed to two workers at once
    lapses: float = 0.0  #: of those two, the first to answer answers for both: the other had lost its lock
    early: float = 0.0  #: a message for later is handed out now
    conflicts: bool = False  #: the first save over each version is a conflict
    unsaid: float = 0.0  #: a write took effect but reports failure
    refused: float = 0.0  #: a verb does nothing and says so
    partial: float = 0.0  #: of several messages some are stored, then the publish fails
    crash: float = 0.0  #: the process ends, before or after a verb
    slow: float = 0.0  #: a verb takes time
    longest: float = 0.0  #: how long a slow verb, or a function, takes at most, in seconds


CALM = Weather()
#: Nothing fails so that its outcome is unknown: here every target is called once, without exception.
REPEATING = Weather(twice=1.0, early=0.5, conflicts=True, unsaid=0.2)
#: Everything at once.
STORM = Weather(
    twice=0.8, lapses=0.3, early=0.5, conflicts=True, unsaid=0.1, refused=0.03, partial=0.1, crash=0.001, slow=0.003, longest=12.0
)


class HarshClock(FakeClock):
    """Implements `ports.Clock`. Time moves on whenever somebody waits, for everybody; meanwhile it stands still for all replicas."""

    async def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)


class Fate:
    """Draws what goes wrong."""

    def __init__(self, seed: int, clock: FakeClock, weather: Weather = CALM) -> None:
        self.random, self.clock, self.weather = Random(seed), clock, weather

    def strikes(self, share: float) -> bool:
        return share > 0 and self.random.random() < share

    async def passes(self) -> None:
        """Let others go first; perhaps time passes meanwhile."""
        for _ in range(self.random.randrange(3)):
            await asyncio.sleep(0)
        if self.strikes(self.weather.slow):
            self.takes(self.weather.longest)

    def takes(self, most: float) -> None:
        self.clock.advance(timedelta(seconds=self.random.uniform(0, most)))


class Crash(asyncio.CancelledError):
    """The process is gone. Nothing may catch this, so it is what a task that is canceled gets."""


@dataclass
class Life:
    """One process: it ends all at once, and nothing it has begun goes on."""

    fate: Fate
    journal: Journal
    at_end: Callable[[], None] = lambda: None
    alive: bool = True
    tasks: dict[asyncio.Future[Any], None] = field(default_factory=dict)

    def goes_on(self) -> None:
        """Raises Crash if the process has ended or ends here."""
        if self.alive and self.fate.strikes(self.fate.weather.crash):
            self.end()
        if not self.alive:
            raise Crash

    def end(self) -> None:
        self.alive = False
        self.journal.trouble("crash")
        self.at_end()
        for task in list(self.tasks):
            task.cancel()

    async def do(self, work: Awaitable[Any]) -> Any:
        """Do something as a part of this process. Raises Crash if the process ends before it is done."""
        task = asyncio.ensure_future(work)
        self.tasks[task] = None
        try:
            return await task
        except asyncio.CancelledError:
            raise Crash from None
        finally:
            del self.tasks[task]


class Mortal:
    """A port as one process sees it: the process may end before or after each verb, and then no verb gets through."""

    def __init__(self, port: Any, life: Life) -> None:
        self._port, self._life = port, life

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(verb):
            return verb

        async def lived(*arguments: Any, **options: Any) -> Any:
            self._life.goes_on()
            try:
                return await verb(*arguments, **options)
            finally:
                self._life.goes_on()

        return lived


class HarshStore(MemoryStore):
    """Implements `ports.Store`."""

    def __init__(self, fate: Fate, journal: Journal, *, shared: bool = True) -> None:
        super().__init__(fate.clock, shared=shared)
        self._fate, self._journal = fate, journal
        self._first_saves: set[tuple[str, str]] = set()

    async def create(self, key: str, value: bytes, ttl: timedelta | None = None) -> str:
        return await self.write(Write(key, value, "", ttl))

    async def save(self, key: str, value: bytes, etag: str, ttl: timedelta | None = None) -> str:
        return await self.write(Write(key, value, etag, ttl))

    async def write(self, write: Write, with_it: Callable[[], None] = lambda: None) -> str:
        """Make the write, and call `with_it` at the same moment."""
        key, value, etag, ttl = write
        await self._begins(key)
        if etag and self._fate.weather.conflicts and (key, etag) not in self._first_saves:
            self._first_saves.add((key, etag))
            raise Conflict(f"Somebody else is said to have changed {key!r}.")
        etag = await (super().save(key, value, etag, ttl) if etag else super().create(key, value, ttl))
        self._journal.stored(key, value)
        with_it()
        return await self._written(key, etag)

    async def get(self, key: str) -> Stored | None:
        await self._begins(key)
        found = await super().get(key)
        await self._fate.passes()
        return found

    async def get_many(self, keys: Sequence[str]) -> list[Stored | None]:
        return [await self.get(key) for key in keys]

    async def _begins(self, key: str) -> None:
        await self._fate.passes()
        if self._fate.strikes(self._fate.weather.refused):
            self._journal.trouble("store", key.removeprefix("run/"))
            raise Unavailable(f"The store cannot be reached for {key!r}.")

    async def _written(self, key: str, etag: str) -> str:
        await self._fate.passes()
        if self._fate.strikes(self._fate.weather.unsaid):
            raise Unavailable(f"No answer came from the store for {key!r}.")
        return etag


@dataclass(frozen=True, slots=True)
class _Waiting:
    delivery: Delivery
    due: datetime
    expires: datetime | None = None


@dataclass
class _Lock:
    """A message in the hands of a worker, or of two that each think it theirs; once it is done it comes to nobody again."""

    done: bool = False


class HarshBus:
    """Implements `ports.Bus`. Messages wait until `deliver` hands them out.

    Several may subscribe to one source: they are replicas, and each delivery goes to one of them, or at once to two.
    """

    def __init__(self, fate: Fate, journal: Journal, sources: Sequence[str]) -> None:
        self.unknown_topics: set[str] = set()  #: what is refused for good
        self._fate, self._clock, self._journal = fate, fate.clock, journal
        self._workers: dict[str, list[Handler]] = {source: [] for source in sources}
        self._waiting: list[_Waiting] = []
        self._repeated: Counter[bytes] = Counter()

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._fate.passes()
        unknown = [message.topic for message in messages if message.topic in self.unknown_topics]
        if unknown:
            raise Undeliverable(f"There is no topic {unknown[0]!r}.")
        if self._fate.strikes(self._fate.weather.refused):
            self._fails(messages, "The bus cannot be reached.")
        if len(messages) > 1 and self._fate.strikes(self._fate.weather.partial):
            self.store(self._fate.random.sample(messages, self._fate.random.randrange(1, len(messages))))
            self._fails(messages, "The bus went away in the middle.")
        self.store(messages)
        await self._fate.passes()
        if self._fate.strikes(self._fate.weather.unsaid):
            self._fails(messages, "No answer came from the bus.")

    def _fails(self, messages: Sequence[Message], said: str) -> None:
        for message in messages:
            self._journal.trouble("bus", message.correlation_id)
        raise Unavailable(said)

    def store(self, messages: Sequence[Message]) -> None:
        """What `publish` does when nothing goes wrong."""
        now = self._clock.now()
        for message in messages:
            self._journal.published(message)
            expires = now + message.time_to_live if message.time_to_live is not None else None
            sources = [source for source in self._workers if source == message.topic or source.startswith(f"{message.topic}/")]
            for source in sources:
                self._waiting.append(_Waiting(Delivery(source, message, enqueued_at=now), message.deliver_at or now, expires))

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:  # noqa: ARG002 - the port's signature
        self._workers[source].append(handler)

    def forget(self, scheduled: Sequence[tuple[str, str]]) -> None:
        """Hand out nothing of these scheduled messages, each named by topic and message id."""
        now, named = self._clock.now(), set(scheduled)
        self._waiting = [
            each
            for each in self._waiting
            if each.due <= now or (each.delivery.message.topic, each.delivery.message.message_id) not in named
        ]

    def leave(self, handlers: Sequence[Handler]) -> None:
        """These workers are gone."""
        for workers in self._workers.values():
            workers[:] = [each for each in workers if each not in handlers]

    @property
    def waiting(self) -> list[Message]:
        """What has not been handed out, or has come back."""
        return [each.delivery.message for each in self._waiting]

    @property
    def next_due(self) -> datetime | None:
        """When the next message is due; None if none waits for a worker."""
        return min((each.due for each in self._waiting if self._workers[each.delivery.source]), default=None)

    async def deliver(self, most: int = 1000) -> int:
        """Hand out what is due, and what the handlers publish meanwhile; how many deliveries that were."""
        count = 0
        while count < most and (taken := self._taken()):
            copies = [delivery for each in taken for delivery in self._copies(each)]
            count += len(copies)
            await asyncio.gather(*copies)
        return count

    def _taken(self) -> list[_Waiting]:
        """A few of the messages that are due, in any order; what has expired is gone."""
        now, taken, left = self._clock.now(), [], []
        self._fate.random.shuffle(self._waiting)
        for each in self._waiting:
            if each.expires is not None and each.expires <= now:
                continue
            waits = len(taken) >= AT_ONCE or not self._workers[each.delivery.source]
            (left if waits or not (each.due <= now or self._comes_early(each)) else taken).append(each)
        self._waiting = left
        return taken

    def _comes_early(self, each: _Waiting) -> bool:
        return self._fate.strikes(self._fate.weather.early) and self._again(each)

    def _again(self, each: _Waiting) -> bool:
        """Whether this message may trouble us once more."""
        self._repeated[each.delivery.message.body] += 1
        return self._repeated[each.delivery.message.body] <= REPEATS

    def _copies(self, each: _Waiting) -> list[Awaitable[None]]:
        workers = self._workers[each.delivery.source]
        twice = self._fate.strikes(self._fate.weather.twice) and self._again(each)
        first = self._fate.random.randrange(len(workers))
        one_lock = _Lock() if self._fate.strikes(self._fate.weather.lapses) else None
        return [self._hand_out(each, workers[(first + number) % len(workers)], one_lock or _Lock()) for number in range(1 + twice)]

    async def _hand_out(self, each: _Waiting, worker: Handler, lock: _Lock) -> None:
        since, ack = len(self._journal.entries), None
        await self._fate.passes()
        try:
            ack = await worker(each.delivery)
        except Crash:
            pass
        except Exception:  # noqa: BLE001 - a bus takes any exception of a handler as RETRY
            ack = Ack.RETRY
        self._journal.handled(each.delivery, ack, since)
        lock.done = lock.done or ack is Ack.DONE
        if not lock.done:
            away = timedelta(seconds=self._fate.random.uniform(*BACK))
            again = replace(each.delivery, attempt=each.delivery.attempt + 1)
            self._waiting.append(_Waiting(again, self._clock.now() + away, each.expires))


Answers = Callable[[FunctionCall], FunctionResponse | CallFailed]


class HarshFunctions:
    """Implements `ports.Functions`. What a function answers is for `answers` to say; how long it takes, for the fate."""

    def __init__(self, fate: Fate, journal: Journal, answers: Answers) -> None:
        self.answers = answers
        self._fate, self._journal = fate, journal

    def starting(self, _app: str) -> bool:
        return False

    def unserved(self, _app: str, _method: str, _path: str) -> str:
        return ""

    async def call(self, call: FunctionCall) -> FunctionResponse:
        number = self._journal.called(call)
        before = self._fate.clock.now()
        await self._fate.passes()
        self._fate.takes(self._fate.random.choice((0, 0, 0, 0.1, 1, self._fate.weather.longest)))
        outcome = self.answers(call)
        if self._fate.clock.now() - before >= call.timeout:
            outcome = CallFailed("Timeout", f"No answer within {call.timeout.total_seconds()} s.", may_have_run=True)
        self._journal.returned(number, outcome)
        if isinstance(outcome, CallFailed):
            raise outcome
        return outcome


class HarshOutbox:
    """Implements `ports.Outbox` on both: a commit takes effect as a whole or not at all, and it may report failure although it did."""

    def __init__(self, fate: Fate, store: HarshStore, bus: HarshBus) -> None:
        self._fate, self._store, self._bus = fate, store, bus

    async def commit(self, write: Write, messages: Sequence[Message], obsolete: Sequence[tuple[str, str]] = ()) -> str:
        unknown = [message.topic for message in messages if message.topic in self._bus.unknown_topics]
        if unknown:
            raise Undeliverable(f"There is no topic {unknown[0]!r}.")

        def publish() -> None:
            self._bus.store(messages)
            self._bus.forget(obsolete)

        return await self._store.write(write, publish)

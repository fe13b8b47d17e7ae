"""The bus of the embedded runtime: topics, subscriptions and queues as rows of one table."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from bridge.adapters.embedded import entry as rows
from bridge.adapters.embedded.database import Database, Work
from bridge.adapters.embedded.entry import Entry
from bridge.adapters.embedded.receiver import Lock, Receiver
from bridge.adapters.embedded.routing import Routing
from bridge.adapters.embedded.source import Source
from bridge.adapters.embedded.subscriber import Subscriber
from bridge.adapters.embedded.window import Window
from bridge.entities import DEAD_LETTERS, UNLIMITED, Entities, SubscriptionProperties
from bridge.errors import ConfigurationError, Full, PortError, Undeliverable
from bridge.ports import Handler, Message

WINDOW = 2_000  #: messages of one source that are kept in memory
ENVELOPE = 64 * 2**10  #: bytes a message may have beyond its body
_log = logging.getLogger("bridge.queue")
_PURGE_EVERY = 10.0  #: seconds
_PURGE_AT_ONCE = 200  #: messages


class Queue:
    """Implements `ports.Bus`, and the peek-lock interface that the door offers to other processes.

    `queue_limit` is the most messages one source holds (those sent for later do not count), `max_message` the largest body in bytes,
    `window` how many messages of one source are kept in memory. Raises ConfigurationError for entities that need more than is here.
    """

    def __init__(self, database: Database, entities: Entities, *, queue_limit: int, max_message: int, window: int = WINDOW) -> None:
        _refuse_what_is_not_here(entities)
        self._database, self._limit, self._max_message = database, queue_limit, max_message
        self._routing = Routing(entities)
        self._lives = {topic.name: topic.properties.default_message_time_to_live for topic in entities.topics}
        self._subscribers: list[Subscriber] = []
        self._sources: dict[str, Source] = {}
        for name, properties in entities.sources:
            behind = SubscriptionProperties.model_validate({"MaxDeliveryCount": UNLIMITED})
            for known, its in ((name, properties), (f"{name}/{DEAD_LETTERS}", behind)):
                self._sources[known] = Source(known, its, database, self._bury, Window(window))
        self._numbers = itertools.count(1)
        self._purge: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Learn what the file holds. Raises Unavailable."""
        held, last = await self._database.write(lambda connection: (rows.depths(connection), rows.last_id(connection)))
        # From the time in microseconds on, so that no number comes again after a restart although its message is gone.
        self._numbers = itertools.count(max(last + 1, time.time_ns() // 1000))
        for name, depth in held.items():
            if name in self._sources:
                self._sources[name].depth = depth
            else:
                _log.warning("%s messages wait in %s, which the entities file does not name; add it again to get them", depth, name)
        self._purge = asyncio.create_task(self._purge_expired())

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store every message durably, all of them or none.

        Raises Undeliverable (unknown topic, message too large), Full or Unavailable.
        """
        entries = [entry for message in messages for entry in self._entries(message)]
        counted = self._reserve(entries)
        try:
            if entries:
                await self._database.write(partial(rows.insert, entries), lambda _: self._arrive(entries))
        except PortError:
            for name, count in counted.items():
                self._sources[name].depth -= count
            raise

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Hand every message of `source` to `handler`. Raises Undeliverable if there is no such queue or subscription."""
        found = self._source(source)
        subscriber = Subscriber(found, handler, concurrency)
        self._subscribers.append(subscriber)
        found.attach(subscriber)

    def receive(self, source: str, push: Callable[[Lock], None]) -> Receiver:
        """A consumer with credit and locks. Raises Undeliverable if there is no such queue or subscription."""
        found = self._source(source)
        receiver = Receiver(found, push)
        found.attach(receiver)
        return receiver

    def drain(self) -> None:
        """Hand out nothing more. What is under way may end; publishing goes on."""
        for source in self._sources.values():
            source.stop()

    async def close(self, patience: float = 0) -> None:
        """Drain, let handlers go on for `patience` seconds and cancel the rest; their messages stay stored."""
        self.drain()
        if self._purge is not None:
            self._purge.cancel()
        await asyncio.gather(*(subscriber.finish(patience) for subscriber in self._subscribers))

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            raise Undeliverable(f"There is no queue or subscription named {name!r}.", hint='Write it "queue" or "topic/subscription".')
        return self._sources[name]

    def _entries(self, message: Message) -> Iterable[Entry]:
        size = len(message.body)
        if size > self._max_message + ENVELOPE:
            raise Undeliverable(f"A message of {size} bytes is too large; {self._max_message + ENVELOPE} are allowed.", hint="Send less.")
        sources = self._routing.sources(message)
        now = time.time()
        due = max(now, message.deliver_at.timestamp()) if message.deliver_at else now
        return [self._entry(name, message, due, message.time_to_live, self._lives.get(message.topic)) for name in sources]

    def _entry(self, source: str, message: Message, due: float, *lives: timedelta | None) -> Entry:
        """`lives`: how long the message may live by what it or its topic says; the shortest of these and its source's counts."""
        spans = [span for span in (*lives, self._sources[source].properties.default_message_time_to_live) if span is not None]
        expires = due + min(spans).total_seconds() if spans else None
        now = time.time()
        return Entry(next(self._numbers), source, message, due, now, expires, scheduled=due > now)

    def _reserve(self, entries: Iterable[Entry]) -> Counter[str]:
        """Count the entries in. Raises Full, and counts none, if one of their sources has no room."""
        counted = Counter(entry.source for entry in entries if not entry.scheduled)
        for name, count in counted.items():
            if self._sources[name].depth + count > self._limit:
                raise Full(f"{name} holds {self._sources[name].depth} messages; {self._limit} are allowed.", retry_after=5)
        for name, count in counted.items():
            self._sources[name].depth += count
        return counted

    def _arrive(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._sources[entry.source].accept(entry)

    def _bury(self, entry: Entry, reason: str, description: str) -> tuple[Work, Callable[[], None]]:
        explained = {
            **entry.message.properties,
            "DeadLetterReason": reason,
            "DeadLetterErrorDescription": description,
            "x-opt-deadletter-source": entry.source,
            "deliveryCount": str(entry.attempts),
        }
        message = replace(entry.message, properties=explained, deliver_at=None, time_to_live=None)
        target = self._sources[entry.source].properties.forward_dead_lettered_messages_to
        names = self._routing.sources_behind(target, message) if target else [_dead_letters_of(entry.source)]
        now = time.time()
        entries = [self._entry(name, message, now) for name in names]
        return partial(rows.move, entry.id, entries), partial(self._arrive_uncounted, entries)

    def _arrive_uncounted(self, entries: Sequence[Entry]) -> None:
        # Dead letters are taken even by a full source: refusing one would lose it or block where it comes from.
        for entry in entries:
            self._sources[entry.source].depth += 1
        self._arrive(entries)

    async def _purge_expired(self) -> None:
        """End what expired while nobody took it."""
        while True:
            try:
                found = await self._database.write(partial(rows.expired, time.time(), _PURGE_AT_ONCE))
            except PortError:
                found = []
            ended = [entry for entry in found if self._end_expired(entry)]
            await asyncio.sleep(0.05 if len(ended) == _PURGE_AT_ONCE else _PURGE_EVERY)

    def _end_expired(self, entry: Entry) -> bool:
        if entry.source in self._sources:
            return self._sources[entry.source].end_expired(entry)
        self._database.submit(partial(rows.delete, entry.id), lambda _: None)
        return True


def _dead_letters_of(source: str) -> str:
    return source if source.endswith(f"/{DEAD_LETTERS}") else f"{source}/{DEAD_LETTERS}"


def _refuse_what_is_not_here(entities: Entities) -> None:
    asked = [(name, "RequiresSession") for name, properties in entities.sources if properties.requires_session]
    deduplicating = [entity.name for entity in entities.queues if entity.properties.requires_duplicate_detection]
    deduplicating += [entity.name for entity in entities.topics if entity.properties.requires_duplicate_detection]
    asked += [(name, "RequiresDuplicateDetection") for name in deduplicating]
    if asked:
        raise ConfigurationError(
            [f"{name}: {field} is not available in the embedded runtime; set it to false in the entities file." for name, field in asked]
        )

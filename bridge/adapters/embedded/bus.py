"""The bus of the embedded runtime: the messages of all queues and subscriptions are rows of one table."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from bridge import telemetry
from bridge.adapters.embedded import duplicates, inhand, rulebook, sessions
from bridge.adapters.embedded import messages as table
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.drafts import Draft
from bridge.adapters.embedded.messagebatch import MessageBatch
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.placement import Placement
from bridge.adapters.embedded.queue import EXPIRED, TOO_OFTEN, MessageQueue, Move, Scheduled
from bridge.adapters.embedded.rulebook import Rulebook
from bridge.adapters.embedded.sessionqueue import SessionQueue
from bridge.adapters.embedded.subscriber import Subscriber
from bridge.adapters.embedded.topicschedule import TopicSchedule
from bridge.adapters.embedded.window import Window
from bridge.entities import DEAD_LETTERS, UNLIMITED, Entities, SubscriptionProperties
from bridge.errors import Full, PortError, Undeliverable
from bridge.ports import Handler, Message
from bridge.steadytime import SteadyTime

SCHEMA = (*table.SCHEMA, *rulebook.SCHEMA, *duplicates.SCHEMA, *sessions.SCHEMA)
WINDOW = 2_000  #: messages of one queue or subscription that are kept in memory
_log = logging.getLogger("bridge.queue")
_PURGE_EVERY = 1.0  #: seconds
_PURGE_AT_ONCE = 200  #: messages
_TIDY_EVERY = 10  #: turns of the purge
_OTHER_REASON = "DeadLettered"  #: how the metric counts what a receiver dead-letters, because it may give any reason
_COUNTERS = {reason: telemetry.DEAD_LETTERS.labels(reason) for reason in (TOO_OFTEN, EXPIRED, _OTHER_REASON)}


class EmbeddedBus:
    """Implements `ports.Bus`; `broker.EmbeddedBroker` offers the same messages to other processes.

    `queue_limit` is the most messages that one queue or subscription stores (scheduled ones do not count), `max_message` the largest body
    in bytes, `window` how many messages of one queue are kept in memory, `crashed_to` the queue for messages that crashed this process, if
    they have no queue for dead letters of their own.
    """

    def __init__(  # noqa: PLR0913 - each is one setting
        self,
        database: Database,
        entities: Entities,
        *,
        queue_limit: int,
        max_message: int,
        window: int = WINDOW,
        crashed_to: str = "",
        steady: SteadyTime | None = None,
    ) -> None:
        self.steady = steady or SteadyTime()
        self.largest_message = max_message  #: bytes
        self._ahead = 0.0
        self._database, self._limit = database, queue_limit
        self.rulebook = Rulebook(entities, database, self._rules_changed)
        properties = dict(_all_properties(entities))
        self._placement = Placement(entities, properties, self.rulebook.selecting, self.steady, crashed_to)
        self._subscribers: list[Subscriber] = []
        self._queues = {path: self._new_queue(path, its, window) for path, its in properties.items()}
        self._schedules = {topic.name: self._new_schedule(topic.name, window) for topic in entities.topics}
        self._stores = {**self._queues, **self._schedules}
        self._subscriptions = {topic.name: [f"{topic.name}/{each.name}" for each in topic.subscriptions] for topic in entities.topics}
        self._in_hand = inhand.InHand(database.path.with_name(inhand.FILE))
        self._purge: asyncio.Task[None] | None = None

    def _new_queue(self, path: str, properties: SubscriptionProperties, window: int) -> MessageQueue:
        kind = SessionQueue if properties.requires_session else MessageQueue
        return kind(path, properties, self._database, self._prepare_dead_letter, Window(window), time=self.steady)

    def _new_schedule(self, topic: str, window: int) -> TopicSchedule:
        return TopicSchedule(topic, SubscriptionProperties(), self._database, self._prepare_dead_letter, Window(window), time=self.steady)

    async def start(self) -> None:
        """Read how many messages the file holds, count the last crash, and start to purge expired ones. Raises Unavailable."""
        left = self._in_hand.open()
        self._in_hand.begin(await self._database.write(partial(inhand.count, left)))
        if left:
            _log.warning("the process before this one crashed with %s messages in hand; they are delivered again", len(left))
        await self._database.write(partial(table.restart_clock, self.steady.now()))
        depths, last = await self._database.write(lambda connection: (table.depths(connection), table.last_id(connection)))
        self._placement.start_after(last)
        await self.rulebook.start()
        for name, depth in depths.items():
            if name in self._stores:
                self._stores[name].depth = depth
            else:
                _log.warning("%s messages wait in %s, which the entities file does not name; add it again to get them", depth, name)
        for schedule in self._schedules.values():
            schedule.start(self._prepare_fan_out)
        self._purge = asyncio.create_task(self._purge_expired())

    def _rules_changed(self) -> None:
        self._placement.rules_changed()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store every message durably, all of them or none.

        Raises Undeliverable (unknown topic, message too large), Full or Unavailable.
        """
        await self._store(self.prepare(messages))

    async def send(self, name: str, drafts: Sequence[Draft]) -> list[int]:
        """Store messages to a queue or topic durably, all of them or none. Returns their numbers, 0 for one that nothing stores.

        Raises Undeliverable, Full or Unavailable.
        """
        batch = self._placement.batch([(name, draft) for draft in drafts])
        self._reserve(batch.copies)
        await self._store(batch)
        return batch.numbers

    async def _store(self, batch: MessageBatch) -> None:
        try:
            if batch.copies:
                await self._database.write(batch.insert, lambda _: self.committed(batch, ()))
        except PortError:
            self.rolled_back(batch)
            raise

    # The outbox stores messages in its own transactions, with these four.

    def prepare(self, messages: Sequence[Message]) -> MessageBatch:
        """One copy of each message for every queue that gets it, with room reserved. `committed` or `rolled_back` must follow.

        Raises Undeliverable or Full.
        """
        for message in messages:
            if len(message.body) > self.largest_message:
                raise Undeliverable(
                    f"A message of {len(message.body)} bytes is too large; {self.largest_message} are allowed.",
                    hint="Send a smaller message.",
                )
        batch = self._placement.batch_of(messages)
        self._reserve(batch.copies)
        return batch

    def rolled_back(self, batch: MessageBatch) -> None:
        """Release the room of copies that were not stored."""
        self._release(batch.copies)

    def committed(self, batch: MessageBatch, deleted: Iterable[Scheduled]) -> None:
        """Deliver the copies, which are durable now, and cancel the scheduled messages, which were deleted."""
        for each in deleted:
            self._stores[each.queue].cancel_scheduled(each)
        if batch.dropped:
            self._release(batch.dropped)
        self._deliver(batch.stored)

    def find_scheduled(self, keys: Iterable[tuple[str, str]]) -> list[Scheduled]:
        """The scheduled messages with these topics and message ids that have not been delivered."""
        candidates = ((self._queues[name], message_id) for topic, message_id in keys for name in self._subscriptions.get(topic, ()))
        found = (queue.find_scheduled(message_id) for queue, message_id in candidates)
        return [each for each in found if each is not None]

    async def subscribe(self, source: str, handler: Handler, *, concurrency: int) -> None:
        """Deliver every message of `source` to `handler`. Raises Undeliverable if there is no such queue or subscription."""
        queue = self.queue(source)
        subscriber = Subscriber(queue, handler, concurrency, self._in_hand)
        self._subscribers.append(subscriber)
        queue.attach(subscriber)

    def drain(self) -> None:
        """Deliver nothing more. Handlers that run may finish, and publishing goes on."""
        for store in self._stores.values():
            store.stop()

    async def close(self, patience: float = 0) -> None:
        """Drain, wait up to `patience` seconds for handlers and cancel the rest; their messages stay stored."""
        self.drain()
        self._in_hand.close()
        if self._purge is not None:
            self._purge.cancel()
        await asyncio.gather(*(subscriber.finish(patience) for subscriber in self._subscribers))

    def queue(self, name: str) -> MessageQueue:
        """A queue, a subscription ("topic/subscription") or its dead letters. Raises Undeliverable if there is none of this name."""
        if name not in self._queues:
            raise Undeliverable(f"There is no queue or subscription named {name!r}.", hint='Write it "queue" or "topic/subscription".')
        return self._queues[name]

    def schedule_of(self, topic: str) -> MessageQueue:
        """Where a topic keeps the messages that clients scheduled."""
        return self._schedules[topic]

    def _reserve(self, copies: Iterable[StoredMessage]) -> None:
        """Reserve room for all copies. Raises Full, and reserves none, if one of their queues is full."""
        counted = Counter(copy.queue for copy in copies if not copy.scheduled)
        for name, count in counted.items():
            if self._stores[name].depth + count > self._limit:
                raise Full(f"{name} holds {self._stores[name].depth} messages; {self._limit} are allowed.", retry_after=5)
        for name, count in counted.items():
            self._stores[name].depth += count

    def _release(self, copies: Iterable[StoredMessage]) -> None:
        for copy in copies:
            self._stores[copy.queue].depth -= not copy.scheduled

    def _deliver(self, copies: Iterable[StoredMessage]) -> None:
        for copy in copies:
            self._stores[copy.queue].add(copy)

    def _prepare_dead_letter(self, stored: StoredMessage, reason: str | None, description: str | None) -> Move:
        copies = self._placement.dead_letters(stored, reason, description)
        # One that is forwarded is none here: the bridge keeps and counts it, or it is a message of somebody's queue.
        if any(each.queue.endswith(f"/{DEAD_LETTERS}") for each in copies):
            _COUNTERS.get(reason or "", _COUNTERS[_OTHER_REASON]).inc()
        return self._move(stored, copies)

    def _prepare_fan_out(self, stored: StoredMessage) -> Move:
        return self._move(stored, self._placement.fan_out(stored))

    def _move(self, stored: StoredMessage, copies: Sequence[StoredMessage]) -> Move:
        return partial(table.move, stored.id, copies), partial(self._deliver_moved, copies)

    def _deliver_moved(self, copies: Sequence[StoredMessage]) -> None:
        # Even a full queue takes dead letters: to refuse one would lose it, or block the queue that it comes from.
        for copy in copies:
            self._stores[copy.queue].depth += 1
        self._deliver(copies)

    async def _purge_expired(self) -> None:
        """End messages that expired before a consumer took them."""
        for turn in itertools.count():
            ended = 0
            try:
                if self._database.read(*table.any_expired(self.steady.now())):
                    found = await self._database.write(partial(table.expired, self.steady.now(), _PURGE_AT_ONCE))
                    ended = sum(self._expire(stored) for stored in found)
                if turn % _TIDY_EVERY == 0:
                    await self._forget_ids()
                    await self._note_clock()
            except PortError:
                pass  # the disk is in trouble, which readiness reports; the next turn tries again
            await asyncio.sleep(0.05 if ended == _PURGE_AT_ONCE else _PURGE_EVERY)

    async def _forget_ids(self) -> None:
        if self._placement.windows:
            await self._database.write(partial(duplicates.forget, self._placement.windows, self.steady.now(), _PURGE_AT_ONCE))

    async def _note_clock(self) -> None:
        """Note it if somebody has set the clock."""
        ahead = self.steady.ahead
        if abs(ahead - self._ahead) > table.SET:
            await self._database.write(partial(table.note_ahead, ahead))
            _log.warning("the clock of this machine was set by %+.0f s; what waits goes on as if it had not been", ahead - self._ahead)
            self._ahead = ahead

    def _expire(self, stored: StoredMessage) -> bool:
        if stored.queue in self._stores:
            return self._stores[stored.queue].expire(stored)
        self._database.submit(partial(table.delete, stored.id), lambda _: None)
        return True


def _all_properties(entities: Entities) -> Iterable[tuple[str, SubscriptionProperties]]:
    of_dead_letters = SubscriptionProperties.model_validate({"MaxDeliveryCount": UNLIMITED})
    for name, properties in entities.sources:
        yield name, properties
        yield f"{name}/{DEAD_LETTERS}", of_dead_letters.model_copy(update={"lock_duration": properties.lock_duration})

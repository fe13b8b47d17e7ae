"""Makes of a message the copies that queues store: where they go, their numbers, when they are due and when they expire."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bridge.adapters.embedded.drafts import DELIVERIES, DESCRIPTION, REASON, SOURCE, Draft
from bridge.adapters.embedded.inhand import CRASHED
from bridge.adapters.embedded.messagebatch import MessageBatch
from bridge.adapters.embedded.messages import NOTHING, StoredMessage
from bridge.adapters.embedded.routing import QueueRoute, Routing, RulesOf
from bridge.entities import DEAD_LETTERS, Entities, SubscriptionProperties
from bridge.ports import Message
from bridge.steadytime import SteadyTime

_AGES = timedelta(days=36_500)  #: files exported from Azure say 10,675,199 days for no limit, which no calendar has
LONGEST_REASON = 4_096  #: characters of the reason and description of a dead letter (Azure's quota); the rest is cut off
NO_SESSION = "SessionIdMissing", "The subscription takes only messages with a session id, and this one has none."


class Placement:
    """Knows the entities, and gives numbers to messages.

    `properties` are those of every queue, subscription and dead-letter queue, by its name; `crashed_to` is the queue for messages that
    crashed the process, if they have none for dead letters of their own.
    """

    def __init__(
        self,
        entities: Entities,
        properties: Mapping[str, SubscriptionProperties],
        rules_of: RulesOf,
        steady: SteadyTime,
        crashed_to: str = "",
    ) -> None:
        self._properties, self._steady, self._crashed_to = properties, steady, crashed_to
        self._routing = Routing(entities, rules_of)
        self._topics = {topic.name: topic.properties.default_message_time_to_live for topic in entities.topics}
        #: For how many seconds each queue and topic that detects duplicates remembers an id.
        self.windows = {name: window.total_seconds() for name, window in entities.duplicate_windows if window is not None}
        self._numbers = itertools.count(1)

    def start_after(self, number: int) -> None:
        """Give numbers above this one, which is the highest that the database holds."""
        # Numbers start at the time in microseconds, so that none is used again after a restart although its message is gone.
        self._numbers = itertools.count(max(number + 1, time.time_ns() // 1000))

    def rules_changed(self) -> None:
        """Forget what was known of rules."""
        self._routing.rules_changed()

    def batch_of(self, messages: Sequence[Message]) -> MessageBatch:
        """The copies of messages of the bridge. Raises Undeliverable."""
        detecting: dict[int, tuple[str, ...]] = {}
        groups = [self._direct_copies(message) or self._copies(message.topic, Draft(message), detecting) for message in messages]
        return MessageBatch(groups, self._steady.now(), detecting, self.windows) if detecting else MessageBatch(groups)

    def _direct_copies(self, message: Message) -> list[StoredMessage]:
        """The copies of a message that no rule, forwarding or detection concerns, as most are; none if one may."""
        names = self._routing.direct(message.topic)
        if names is None:
            return []
        now, due = self._times(message)
        spans = message.time_to_live, self._topics.get(message.topic)
        return [self._plain_copy(name, message, now, due, spans) for name in names]

    def _plain_copy(self, queue: str, message: Message, now: float, due: float, spans: tuple[timedelta | None, ...]) -> StoredMessage:
        properties = self._properties[queue]
        if properties.requires_session:
            return self._copy(QueueRoute(queue, Draft(message), ()), now, due, *spans)
        expires = _end_of_life(due, (*spans, properties.default_message_time_to_live))
        return StoredMessage(next(self._numbers), queue, message, due, now, expires, 0, due > now, None, NOTHING)

    def _times(self, message: Message) -> tuple[float, float]:
        """Now, and when the message is due."""
        deliver_at = message.deliver_at
        # The wall clock is read first: the other way round, a message would come earlier by the time between the two.
        wait = deliver_at.timestamp() - time.time() if deliver_at else 0.0
        if deliver_at and message.delay is not None:
            wait = message.delay.total_seconds()
        now = self._steady.now()
        return now, max(now, now + wait)

    def batch(self, drafts: Sequence[tuple[str, Draft]]) -> MessageBatch:
        """The copies of messages, each of which is sent to a queue or topic. Raises Undeliverable."""
        detecting: dict[int, tuple[str, ...]] = {}
        groups = [self._copies(name, draft, detecting) for name, draft in drafts]
        return MessageBatch(groups, self._steady.now(), detecting, self.windows)

    def _copies(self, name: str, draft: Draft, detecting: dict[int, tuple[str, ...]]) -> list[StoredMessage]:
        now, due = self._times(draft.message)
        if due > now and draft.amqp is not None and name in self._topics:
            # The topic keeps a message that a client schedules, so that one number cancels it for all subscriptions.
            copy = self._copy(QueueRoute(name, draft, ()), now, due, draft.message.time_to_live)
            if name in self.windows and draft.message.message_id:
                detecting[copy.id] = (name,)
            return [copy]
        copies = []
        for route in self._routing.routes(name, draft):
            copy = self._copy(route, now, due, draft.message.time_to_live, self._topics.get(name))
            copies.append(copy)
            if route.detecting and draft.message.message_id:
                detecting[copy.id] = route.detecting
        return copies

    def fan_out(self, stored: StoredMessage) -> list[StoredMessage]:
        """The copies of a message that its topic kept until now."""
        now = self._steady.now()
        draft = Draft(replace(stored.message, deliver_at=None), stored.amqp, stored.added)
        left = timedelta(seconds=stored.expires - now) if stored.expires is not None else None
        return [self._copy(route, now, now, left, self._topics.get(stored.queue)) for route in self._routing.routes(stored.queue, draft)]

    def dead_letters(self, stored: StoredMessage, reason: str | None, description: str | None) -> list[StoredMessage]:
        """The copies of a dead letter: one in the queue's own dead letters, or those where they are forwarded to."""
        given = {REASON: reason, DESCRIPTION: description}
        why = {name: text[:LONGEST_REASON] for name, text in given.items() if text is not None}
        properties = {**stored.message.properties, **why, SOURCE: stored.queue, DELIVERIES: str(stored.attempts)}
        message = replace(stored.message, properties=properties, deliver_at=None, time_to_live=None)
        added = {**stored.added, **why} if stored.amqp is not None else stored.added
        draft = Draft(message, stored.amqp, added)
        target = self._properties[stored.queue].forward_dead_lettered_messages_to
        if reason == CRASHED and stored.queue != self._crashed_to:
            target = target or self._crashed_to
        routes = self._routing.routes(target, draft) if target else [QueueRoute(dead_letter_queue(stored.queue), draft, ())]
        now = self._steady.now()
        copies = [self._copy(route, now, now) for route in routes]
        if not target:
            copies[0].attempts = stored.attempts  # a dead letter keeps its count in Service Bus, where receivers read it
        return copies

    def _copy(self, route: QueueRoute, now: float, due: float, *times_to_live: timedelta | None) -> StoredMessage:
        """`times_to_live` are those of the message and of its topic; the shortest of these and the queue's own applies."""
        queue, draft, _ = route
        properties = self._properties.get(queue)
        if properties is not None and properties.requires_session:
            if not draft.session:
                return self._without_session(route, now)
            draft = draft.over_amqp()
        default = properties.default_message_time_to_live if properties is not None else None
        expires = _end_of_life(due, (*times_to_live, default))
        number = next(self._numbers)
        return StoredMessage(number, queue, draft.message, due, now, expires, 0, due > now, draft.amqp, draft.added)

    def _without_session(self, route: QueueRoute, now: float) -> StoredMessage:
        queue, draft, _ = route
        reason, description = NO_SESSION
        properties = {**draft.message.properties, REASON: reason, DESCRIPTION: description, SOURCE: queue, DELIVERIES: "0"}
        added = {**draft.added, REASON: reason, DESCRIPTION: description}
        message: Message = replace(draft.message, properties=properties, deliver_at=None, time_to_live=None)
        return StoredMessage(next(self._numbers), dead_letter_queue(queue), message, now, now, None, 0, False, draft.amqp, added)


def _end_of_life(due: float, times_to_live: tuple[timedelta | None, ...]) -> float | None:
    """When a message expires that is due at `due`: the shortest time to live counts, and one of ages is none."""
    spans = [span for span in times_to_live if span is not None]
    if not spans or (shortest := min(spans)) >= _AGES:
        return None
    return due + shortest.total_seconds()


def dead_letter_queue(name: str) -> str:
    """The name of the dead letters of a queue or subscription; those of dead letters are the same queue."""
    return name if name.endswith(f"/{DEAD_LETTERS}") else f"{name}/{DEAD_LETTERS}"

"""One queue or subscription: which consumer gets the next message, and how a message is settled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from bridge import telemetry
from bridge.adapters.embedded import messages as table
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.transaction import Work
from bridge.adapters.embedded.window import Window
from bridge.entities import UNLIMITED, SubscriptionProperties
from bridge.steadytime import SteadyTime

TOO_OFTEN, EXPIRED = "MaxDeliveryCountExceeded", "TTLExpiredException"  #: the reasons for which the queue itself dead-letters a message
IN_FLIGHT = 10_000  #: the most messages that are delivered and not settled yet, or whose settlement waits for the disk
_LONGEST_TIMER = 3600.0  #: seconds; a timer that never fires cannot be set
_RETRY_SECONDS = 1.0  #: how long to wait before a write that the disk refused is tried again


class Consumer(Protocol):
    """A consumer of messages. `credit` is how many more it can take."""

    credit: int

    def deliver(self, stored: StoredMessage) -> None:
        """Handle the message, then settle it with `complete`, `abandon` or `dead_letter` of its queue."""


Move = tuple[Work, Callable[[], None]]
"""The operation that replaces a message by copies in other queues, and what to call once that is durable."""
PrepareDeadLetter = Callable[[StoredMessage, str | None, str | None], Move]
"""From a message, a reason and a description: how it is moved to the dead letters."""


class Scheduled(NamedTuple):
    """Where a scheduled message is stored: its queue, its number, and when it is due (seconds since 1970, steady time)."""

    queue: str
    id: int
    due: float
    message_id: str


class MessageQueue:
    """Delivers messages that are due. Locks live in memory: only this process uses the file, and every lock ends with the process.

    What waits, waits by the steady `time`, so that it comes neither early nor late when somebody sets the clock. With a `session`,
    these are only the messages of that session.
    """

    depth = 0  #: stored messages that count towards the limit

    def __init__(  # noqa: PLR0913 - each is one neighbour
        self,
        name: str,
        properties: SubscriptionProperties,
        database: Database,
        prepare_dead_letter: PrepareDeadLetter,
        window: Window,
        *,
        time: SteadyTime,
        session: str | None = None,
    ) -> None:
        self.name, self.properties, self._time, self.session = name, properties, time, session or ""
        self._database, self._prepare_dead_letter, self._window = database, prepare_dead_letter, window
        self._loop = asyncio.get_running_loop()
        self._consumers: deque[Consumer] = deque()
        self._in_flight: set[int] = set()
        self._scheduled: dict[str, Scheduled] = {}  # by message id, until they are delivered
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._stopped = False

    def attach(self, consumer: Consumer) -> None:
        """Add a consumer. Consumers take turns."""
        self._consumers.append(consumer)
        self.pump()

    def detach(self, consumer: Consumer) -> None:
        """Deliver nothing more to a consumer."""
        self._consumers.remove(consumer)

    def stop(self) -> None:
        """Deliver nothing more. Messages in flight can still be settled."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def add(self, stored: StoredMessage) -> None:
        """Add a message that the database already holds."""
        self._note_scheduled(stored)
        self._window.add(stored)
        self.pump()

    def _note_scheduled(self, stored: StoredMessage) -> None:
        message_id = stored.message.message_id
        if stored.scheduled and message_id:
            self._scheduled[message_id] = Scheduled(self.name, stored.id, stored.due, message_id)

    def find_scheduled(self, message_id: str) -> Scheduled | None:
        """The scheduled message of this id, unless it has been delivered."""
        return self._scheduled.get(message_id)

    def cancel_scheduled(self, scheduled: Scheduled) -> None:
        """Do not deliver a scheduled message that was deleted from the database."""
        if self._scheduled.get(scheduled.message_id) == scheduled:
            del self._scheduled[scheduled.message_id]
            self._window.forget((scheduled.due, scheduled.id))

    def pump(self) -> None:
        """Deliver messages that are due to consumers with credit, and set a timer for the next message."""
        now = self._time.now()
        while (consumer := self._next_consumer()) is not None:
            stored = self._window.pop(now)
            if stored is None:
                self._wait_for_next(now)
                break
            if stored.id in self._in_flight:
                continue
            if stored.scheduled:
                self._scheduled.pop(stored.message.message_id, None)
            self._in_flight.add(stored.id)
            if stored.expires is not None and stored.expires <= now:
                self._expire(stored)
                continue
            stored.attempts += 1
            consumer.credit -= 1
            consumer.deliver(stored)

    def complete(self, stored: StoredMessage, then: Callable[[], None] | None = None) -> None:
        """Remove a message. `then` is called when that is durable."""
        self._write(stored, partial(table.delete, stored.id), partial(self._removed, stored, then))

    def settle_move(self, stored: StoredMessage, move: Move) -> None:
        """Replace a message by its copies in other queues."""
        work, arrive = move
        self._write(stored, work, partial(self._dead_lettered, stored, arrive, None))

    def abandon(self, stored: StoredMessage, pause: float, reason: str, then: Callable[[], None] | None = None) -> None:
        """Deliver the message again after `pause` seconds. After `MaxDeliveryCount` deliveries it becomes a dead letter instead."""
        if self._ends_by_count(stored, reason, then):
            return
        due = self._time.now() + pause
        self._write(stored, partial(table.reschedule, stored.id, due, stored.attempts), partial(self._abandoned, stored, due, then))

    def give_back(self, stored: StoredMessage, reason: str, then: Callable[[], None] | None = None) -> None:
        """Make the message available again at its old place, with what was added to it. Too many deliveries make it a dead letter."""
        if not self._ends_by_count(stored, reason, then):
            self._write(stored, partial(table.give_back, stored), partial(self._abandoned, stored, stored.due, then))

    def defer(self, stored: StoredMessage, then: Callable[[], None] | None = None) -> None:
        """Keep the message for whoever asks for its number."""
        stored.due = table.DEFERRED
        self._write(stored, partial(table.give_back, stored), partial(self._abandoned, stored, stored.due, then))

    def release(self, stored: StoredMessage) -> None:
        """Make the message available again as if it had not been delivered."""
        stored.attempts -= 1
        self._in_flight.discard(stored.id)
        self.add(stored)

    def claim(self, stored: StoredMessage) -> bool:
        """Deliver a message that was read from the database, outside the order. Returns False if it is in flight."""
        if stored.id in self._in_flight:
            return False
        self._in_flight.add(stored.id)
        return True

    def unclaim(self, stored: StoredMessage) -> None:
        """Undo `claim`, in the same turn of the event loop: a message that comes up for delivery while it is claimed is passed over."""
        self._in_flight.discard(stored.id)

    def cancel(self, stored: StoredMessage, then: Callable[[], None]) -> None:
        """Remove a scheduled message that was claimed. `then` is called when that is durable."""

        def removed(_found: bool) -> None:
            known = self._scheduled.get(stored.message.message_id)
            if known is not None and known.id == stored.id:
                del self._scheduled[stored.message.message_id]
            self._window.forget(stored.key)
            then()

        self._write(stored, partial(table.delete, stored.id), removed)

    def _ends_by_count(self, stored: StoredMessage, reason: str, then: Callable[[], None] | None) -> bool:
        ended = self.properties.max_delivery_count < UNLIMITED and stored.attempts >= self.properties.max_delivery_count
        if ended:
            self.dead_letter(stored, TOO_OFTEN, f"Given up after {stored.attempts} deliveries: {reason}", then)
        return ended

    def dead_letter(
        self, stored: StoredMessage, reason: str | None, description: str | None, then: Callable[[], None] | None = None
    ) -> None:
        """Move a message to the dead letters. `then` is called when that is durable."""
        work, arrive = self._prepare_dead_letter(stored, reason, description)
        self._write(stored, work, partial(self._dead_lettered, stored, arrive, then))

    def expire(self, stored: StoredMessage) -> bool:
        """End a message whose time to live is over, unless it is in flight. Returns whether it was ended."""
        if stored.id in self._in_flight:
            return False
        self._in_flight.add(stored.id)
        self._expire(stored)
        return True

    def _expire(self, stored: StoredMessage) -> None:
        if self.properties.dead_lettering_on_message_expiration:
            self.dead_letter(stored, EXPIRED, "The message's time to live ended before it was taken.")
        else:
            self.complete(stored)

    def _next_consumer(self) -> Consumer | None:
        if self._stopped or len(self._in_flight) >= IN_FLIGHT:
            return None
        for _ in range(len(self._consumers)):
            consumer = self._consumers[0]
            self._consumers.rotate(-1)
            if consumer.credit > 0:
                self._refill()
                return consumer
        return None

    def _write(self, stored: StoredMessage, work: Work, then: Callable[[bool], None]) -> None:
        """Store how a message was settled. While the disk refuses the write, the message stays in flight and the write is retried."""

        def committed(outcome: bool | Exception) -> None:
            if isinstance(outcome, Exception):
                telemetry.step("retry", level="warning", source=self.name, error=str(outcome))
                self._loop.call_later(_RETRY_SECONDS, self._write, stored, work, then)
                return
            self._in_flight.discard(stored.id)
            then(outcome)
            if len(self._in_flight) == IN_FLIGHT - 1:
                self.pump()

        self._database.submit(work, committed)

    def _removed(self, stored: StoredMessage, then: Callable[[], None] | None, found: bool) -> None:
        self.depth -= found and not stored.scheduled
        if then is not None:
            then()

    def _abandoned(self, stored: StoredMessage, due: float, then: Callable[[], None] | None, found: bool) -> None:
        stored.due = due
        if then is not None:
            then()
        if found:
            self.add(stored)

    def _dead_lettered(self, stored: StoredMessage, arrive: Callable[[], None], then: Callable[[], None] | None, found: bool) -> None:
        if found:
            arrive()
        self._removed(stored, then, found)

    def _refill(self) -> None:
        """Read messages behind the horizon. The read is queued among the writes, so it sees exactly the writes reported before it."""
        window = self._window
        if window.runs_low:
            window.reading = True
            self._database.submit(
                partial(table.read_from, self.name, self.session or None, window.horizon, window.limit, window.budget), self._refilled
            )

    def _refilled(self, outcome: tuple[list[StoredMessage], bool] | Exception) -> None:
        if isinstance(outcome, Exception):
            self._window.extend([], last=False)
            self._loop.call_later(_RETRY_SECONDS, self.pump)
            return
        read, last = outcome
        self._window.extend(read, last=last)
        self.pump()

    def _wait_for_next(self, now: float) -> None:
        due = self._window.next_due
        if self._timer is not None and now < self._wakes_at <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = min(due, now + _LONGEST_TIMER)
        self._timer = self._loop.call_later(max(self._wakes_at - now, 0.001), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.pump()

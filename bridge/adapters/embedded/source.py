"""One queue or subscription: who gets the next message, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from bridge import telemetry
from bridge.adapters.embedded import entry as rows
from bridge.adapters.embedded.database import Database, Work
from bridge.adapters.embedded.entry import Entry
from bridge.adapters.embedded.window import Window
from bridge.entities import UNLIMITED, SubscriptionProperties

TOO_OFTEN, EXPIRED = "MaxDeliveryCountExceeded", "TTLExpiredException"  #: why the queue itself gives a message up
IN_HAND = 10_000  #: the most messages that are handed out, or whose end waits for the disk
_OWN_REASONS = frozenset((TOO_OFTEN, EXPIRED))  #: those that count by name; a receiver may say anything
_AGAIN = 1.0  #: seconds until something the disk refused is tried again


class Consumer(Protocol):
    """Somebody who takes messages. `credit` is how many more it can take."""

    credit: int

    def take(self, entry: Entry) -> None:
        """Handle the entry, then end it with `complete`, `come_back` or `dead_letter` of its source."""


Bury = Callable[[Entry, str, str], tuple[Work, Callable[[], None]]]
"""How an entry becomes a dead letter with reason and description: what to write, and what to do once that is durable."""


class Source:
    """Hands out what is due. Locks live in memory: this process alone has the file, and when it ends all is given back."""

    def __init__(self, name: str, properties: SubscriptionProperties, database: Database, bury: Bury, window: Window) -> None:
        self.name, self.properties = name, properties
        self.depth = 0  #: stored entries that count towards the limit
        self._database, self._bury, self._window = database, bury, window
        self._loop = asyncio.get_running_loop()
        self._consumers: deque[Consumer] = deque()
        self._in_hand: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._stopped = False

    def attach(self, consumer: Consumer) -> None:
        """Let a consumer take part."""
        self._consumers.append(consumer)
        self.pump()

    def detach(self, consumer: Consumer) -> None:
        """Give a consumer nothing more."""
        self._consumers.remove(consumer)

    def stop(self) -> None:
        """Hand out nothing more; what is in hand may still be ended."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def accept(self, entry: Entry) -> None:
        """Take an entry that is stored."""
        self._window.add(entry)
        self.pump()

    def pump(self) -> None:
        """Hand out what is due to those who can take it; see to it that this goes on."""
        now = time.time()
        while (consumer := self._willing()) is not None:
            entry = self._window.pop(now)
            if entry is None:
                self._wait_for_next(now)
                break
            if entry.id in self._in_hand:
                continue
            self._in_hand.add(entry.id)
            if entry.expires is not None and entry.expires <= now:
                self._end_expired(entry)
                continue
            entry.attempts += 1
            consumer.credit -= 1
            consumer.take(entry)

    def complete(self, entry: Entry, then: Callable[[], None] | None = None) -> None:
        """Remove an entry. `then` is called when that is durable."""
        self._write(entry, partial(rows.delete, entry.id), partial(self._removed, entry, then))

    def come_back(self, entry: Entry, pause: float, reason: str, then: Callable[[], None] | None = None) -> None:
        """Hand the entry out again after `pause` seconds; one that was handed out too often becomes a dead letter."""
        if self.properties.max_delivery_count < UNLIMITED and entry.attempts >= self.properties.max_delivery_count:
            self.dead_letter(entry, TOO_OFTEN, f"Given up after {entry.attempts} deliveries: {reason}", then)
            return
        due = time.time() + pause
        self._write(entry, partial(rows.put_off, entry.id, due, entry.attempts), partial(self._returned, entry, due, then))

    def dead_letter(self, entry: Entry, reason: str, description: str, then: Callable[[], None] | None = None) -> None:
        """Move an entry to the dead letters."""
        work, arrive = self._bury(entry, reason, description)
        telemetry.DEAD_LETTERS.labels(reason if reason in _OWN_REASONS else "DeadLettered").inc()
        self._write(entry, work, partial(self._buried, entry, arrive, then))

    def end_expired(self, entry: Entry) -> bool:
        """End an entry whose time to live is over, unless somebody has it in hand; whether it did."""
        if entry.id in self._in_hand:
            return False
        self._in_hand.add(entry.id)
        self._end_expired(entry)
        return True

    def _end_expired(self, entry: Entry) -> None:
        if self.properties.dead_lettering_on_message_expiration:
            self.dead_letter(entry, EXPIRED, "The message's time to live ended before it was taken.")
        else:
            self.complete(entry)

    def _willing(self) -> Consumer | None:
        if self._stopped or len(self._in_hand) >= IN_HAND:
            return None
        for _ in range(len(self._consumers)):
            consumer = self._consumers[0]
            self._consumers.rotate(-1)
            if consumer.credit > 0:
                self._read_on()
                return consumer
        return None

    def _write(self, entry: Entry, work: Work, then: Callable[[bool], None]) -> None:
        """Store how an entry ends; while the disk refuses, the entry stays in hand and it is tried again."""

        def told(outcome: bool | Exception) -> None:
            if isinstance(outcome, Exception):
                telemetry.step("retry", level="warning", source=self.name, error=str(outcome))
                self._loop.call_later(_AGAIN, self._write, entry, work, then)
                return
            self._in_hand.discard(entry.id)
            then(outcome)
            if len(self._in_hand) == IN_HAND - 1:
                self.pump()

        self._database.submit(work, told)

    def _removed(self, entry: Entry, then: Callable[[], None] | None, found: bool) -> None:
        self.depth -= found and not entry.scheduled
        if then is not None:
            then()

    def _returned(self, entry: Entry, due: float, then: Callable[[], None] | None, found: bool) -> None:
        entry.due = due
        if then is not None:
            then()
        if found:
            self.accept(entry)

    def _buried(self, entry: Entry, arrive: Callable[[], None], then: Callable[[], None] | None, found: bool) -> None:
        if found:
            arrive()
        self._removed(entry, then, found)

    def _read_on(self) -> None:
        """Read what lies behind the horizon. Being an operation among the writes, it sees exactly what was told before it."""
        window = self._window
        if window.runs_low:
            window.reading = True
            self._database.submit(partial(rows.read_from, self.name, window.horizon, window.limit, window.budget), self._have_read)

    def _have_read(self, outcome: tuple[list[Entry], bool] | Exception) -> None:
        if isinstance(outcome, Exception):
            self._window.extend([], last=False)
            self._loop.call_later(_AGAIN, self.pump)
            return
        entries, last = outcome
        self._window.extend(entries, last=last)
        self.pump()

    def _wait_for_next(self, now: float) -> None:
        due = self._window.next_due
        if self._timer is not None and now < self._wakes_at <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        # Waking at least once an hour also answers a clock that was set.
        self._wakes_at = min(due, now + 3600)
        self._timer = self._loop.call_later(max(self._wakes_at - now, 0.001), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.pump()

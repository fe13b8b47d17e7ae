"""Messages that clients name by their sequence numbers: peeked, taken although they were deferred, or canceled before they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from bridge.adapters.embedded import messages as table
from bridge.adapters.embedded.amqp.brokererrors import MessageNotFound, NotAllowed
from bridge.adapters.embedded.amqp.brokervalues import BrokerMessage
from bridge.adapters.embedded.brokermessages import broker_message
from bridge.adapters.embedded.database import Database
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import MessageQueue
from bridge.adapters.embedded.sessionqueue import SessionQueue
from bridge.steadytime import SteadyTime

MOST_AT_ONCE = 1_000  #: numbers of one call, and messages of one peek
PEEKED_BYTES = 2**20  #: about how many bytes of messages one peek returns; Service Bus returns what fits into one reply as well


class NumberedMessages:
    """Finds messages of a queue by their numbers, in the database."""

    def __init__(self, database: Database, steady: SteadyTime) -> None:
        self._database, self._steady = database, steady

    def peek(self, queue: MessageQueue, session: str | None, number: int, count: int) -> list[BrokerMessage]:
        """Messages from a number on, in the order of their numbers. Raises Unavailable."""
        query = table.peek(queue.name, session, number, max(0, min(count, MOST_AT_ONCE)), queue.depth)
        now, left, found = self._steady.now(), PEEKED_BYTES, []
        for row in self._database.read(*query):
            stored = table.from_row(row)
            found.append(broker_message(stored, now, stored.attempts))
            left -= table.size(stored)
            if left <= 0:
                break
        return found

    def claim_deferred(self, queue: MessageQueue, session: str | None, numbers: Sequence[int]) -> list[StoredMessage]:
        """Deferred messages of a queue, or of one session of it. Raises MessageNotFound, NotAllowed, Unavailable."""
        return self._claim(queue, numbers, lambda stored: stored.deferred and (session is None or session_of(stored) == session))

    async def cancel_scheduled(self, queue: MessageQueue, numbers: Sequence[int]) -> None:
        """Delete scheduled messages, all of them or none. Raises MessageNotFound, NotAllowed, Unavailable."""
        now = self._steady.now()
        claimed = self._claim(queue, numbers, lambda stored: stored.scheduled and now < stored.due < table.DEFERRED)
        loop = asyncio.get_running_loop()
        ends: list[asyncio.Future[None]] = [loop.create_future() for _ in claimed]
        for stored, end in zip(claimed, ends, strict=True):
            settling_queue(queue, stored).cancel(stored, partial(_resolve, end))
        await asyncio.gather(*ends)

    def _claim(self, queue: MessageQueue, numbers: Sequence[int], fits: Callable[[StoredMessage], bool]) -> list[StoredMessage]:
        """Claim messages, or none of them if one is missing, does not fit or is in flight."""
        wanted = set(numbers)
        if len(wanted) > MOST_AT_ONCE:
            raise NotAllowed(f"{len(wanted):,} sequence numbers are too many; {MOST_AT_ONCE:,} are taken at once.")
        rows = self._database.read(*table.by_numbers(queue.name, wanted))
        found = [stored for stored in map(table.from_row, rows) if fits(stored)]
        claimed = [stored for stored in found if settling_queue(queue, stored).claim(stored)]
        if len(claimed) < len(wanted):
            for stored in claimed:
                settling_queue(queue, stored).unclaim(stored)
            missing = min(wanted - {stored.id for stored in claimed})
            raise MessageNotFound(f"{queue.name} has no such message with the sequence number {missing}, or another receiver has it.")
        return claimed


def session_of(stored: StoredMessage) -> str:
    """The session of a message; empty if it has none."""
    return (stored.amqp.session or "") if stored.amqp is not None else ""


def settling_queue(queue: MessageQueue, stored: StoredMessage) -> MessageQueue:
    """Where a message is settled: with sessions in its session, if that is open."""
    return queue.messages_of(session_of(stored)) if isinstance(queue, SessionQueue) else queue


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

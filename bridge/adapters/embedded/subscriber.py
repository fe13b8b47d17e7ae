"""A consumer in this process: it calls a handler for each message of a queue, a limited number at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from bridge import telemetry
from bridge.adapters.embedded.brokermessages import bridge_message
from bridge.adapters.embedded.inhand import ALONE_FROM, CRASHED, MOST, InHand
from bridge.adapters.embedded.messages import StoredMessage
from bridge.adapters.embedded.queue import MessageQueue
from bridge.ports import Ack, Delivery, Handler

FIRST_PAUSE = 0.1  #: seconds before the first redelivery of a message; doubles with each one
LONGEST_PAUSE = 15.0  #: seconds


def pause_after(attempt: int) -> float:
    """Seconds before a message is delivered again after its delivery number `attempt`."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt - 1, 20)))


class Subscriber:
    """Runs the handler in a task for each message. DONE completes the message; RETRY or an exception abandons it, with a pause.

    A message that was in hand at too many crashes of the process becomes a dead letter, and its handler is not run.
    """

    def __init__(self, queue: MessageQueue, handler: Handler, concurrency: int, in_hand: InHand) -> None:
        self.credit = concurrency
        self._queue, self._handler, self._in_hand = queue, handler, in_hand
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()

    def deliver(self, stored: StoredMessage) -> None:
        """Start the handler."""
        crashes = self._in_hand.crashes.get(stored.id, 0)
        if crashes >= MOST:
            self.credit += 1
            stored.attempts = max(stored.attempts, crashes)
            self._queue.dead_letter(stored, CRASHED, f"The bridge crashed {crashes} times while it handled this message")
            return
        task = self._loop.create_task(self._handle(stored) if crashes < ALONE_FROM else self._handle_alone(stored))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self, patience: float) -> None:
        """Wait up to `patience` seconds for running handlers, then cancel them; their messages stay stored."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _handle_alone(self, stored: StoredMessage) -> None:
        """Handle a message that may have crashed the process. While it waits for its turn, others are delivered in its place."""
        self.credit += 1
        self._queue.pump()
        async with self._in_hand.alone(stored.id):
            self.credit -= 1
            await self._handle(stored)

    async def _handle(self, stored: StoredMessage) -> None:
        self._in_hand.take(stored.id)
        try:
            message = stored.message if stored.amqp is None else bridge_message(stored)
            enqueued_at = datetime.fromtimestamp(stored.enqueued, UTC)
            ack = await self._handler(Delivery(stored.queue, message, stored.attempts, enqueued_at))
            reason = "the handler asked for it again"
        except Exception as fault:  # noqa: BLE001 - whatever a handler raises, its message must be delivered again
            ack, reason = Ack.RETRY, f"{type(fault).__name__}: {fault}".replace("\n", " ")
            telemetry.step("retry", level="error", run=stored.message.correlation_id or "-", source=stored.queue, error=reason)
        finally:
            self._in_hand.leave(stored.id)
        self.credit += 1
        if ack is Ack.DONE:
            self._queue.complete(stored)
        else:
            self._queue.abandon(stored, pause_after(stored.attempts), reason)
        self._queue.pump()

"""A handler in this process that takes messages of a source, so many at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from bridge import telemetry
from bridge.adapters.embedded.entry import Entry
from bridge.adapters.embedded.source import Source
from bridge.ports import Ack, Delivery, Handler

FIRST_PAUSE = 0.1  #: seconds until a message comes back for the first time; doubles every time
LONGEST_PAUSE = 15.0  #: seconds


def pause_after(attempt: int) -> float:
    """Seconds until a message comes back after its `attempt`th delivery."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt - 1, 20)))


class Subscriber:
    """Runs the handler in a task for each message. DONE removes the message; RETRY or an exception brings it back after a pause."""

    def __init__(self, source: Source, handler: Handler, concurrency: int) -> None:
        self.credit = concurrency
        self._source, self._handler = source, handler
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()

    def take(self, entry: Entry) -> None:
        """Start the handler."""
        task = self._loop.create_task(self._handle(entry))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def finish(self, patience: float) -> None:
        """Let running handlers go on for `patience` seconds, then cancel them; their messages stay stored."""
        if self._running:
            await asyncio.wait(self._running, timeout=patience)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _handle(self, entry: Entry) -> None:
        try:
            enqueued_at = datetime.fromtimestamp(entry.enqueued, UTC)
            ack = await self._handler(Delivery(entry.source, entry.message, entry.attempts, enqueued_at))
            reason = "the handler asked for it again"
        except Exception as fault:  # noqa: BLE001 - whatever a handler fails with, its message must come back
            ack, reason = Ack.RETRY, f"{type(fault).__name__}: {fault}".replace("\n", " ")
            telemetry.step("retry", level="error", run=entry.message.correlation_id or "-", source=entry.source, error=reason)
        self.credit += 1
        if ack is Ack.DONE:
            self._source.complete(entry)
        else:
            self._source.come_back(entry, pause_after(entry.attempts), reason)
        self._source.pump()

"""Replies: the event that tells the requester how the run ended."""

from __future__ import annotations

from bridge import events, telemetry
from bridge.deadletters import DeadLetters
from bridge.errors import Undeliverable
from bridge.index import Entry, Index
from bridge.ports import Bus, Clock, Delivery
from bridge.run import Run


class Replies:
    """Sends them, at least once each (DESIGN 3.5.3), and keeps an index of those that were sent, for the audit."""

    def __init__(self, bus: Bus, deadletters: DeadLetters, sent: Index, clock: Clock, *, public_url: str) -> None:
        self._bus, self._deadletters, self._sent, self._clock, self._public_url = bus, deadletters, sent, clock, public_url

    async def send(self, run: Run) -> None:
        """Publish the reply of an ended run; one that the bus refuses for good is kept as a dead letter. Raises Unavailable."""
        reply = events.ended(run, self._public_url)
        try:
            await self._bus.publish([reply])
        except Undeliverable as fault:
            await self._deadletters.keep(Delivery(source=reply.topic, message=reply), "ReplyUndeliverable", str(fault))
        else:
            telemetry.step("run.replied", automation=run.known_automation, run=run.correlation_id, topic=reply.topic)
        await self._sent.add(Entry(created_at=self._clock.now(), id=reply.message_id, subject=run.status))

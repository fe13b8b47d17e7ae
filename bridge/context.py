"""The ports and services that the pipeline and the service share. `app.py` wires them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from bridge import events, telemetry
from bridge.auth import Signer
from bridge.deadletters import DeadLetters
from bridge.errors import Undeliverable
from bridge.ports import Bus, Clock, Delivery, Message
from bridge.runs import RunStore
from bridge.runs.runclock import RunClock
from bridge.settings import Settings
from bridge.tracing import Tracer


@dataclass(frozen=True)
class Context:
    """The ports and services of one bridge."""

    bus: Bus
    clock: Clock
    runs: RunStore
    deadletters: DeadLetters
    signer: Signer
    settings: Settings
    tracer: Tracer | None = None  #: starts spans; None where no telemetry is configured

    @property
    def public_url(self) -> str:
        """The URL at which functions reach the bridge; empty if it has no public address."""
        return self.settings.public_url or ""

    @property
    def run_clock(self) -> RunClock:
        """The clock that the times of runs follow."""
        return self.runs.clock

    def require_carried(self, message: Message) -> None:
        """Raises Undeliverable for a new event with more bytes than `max_event_bytes`.

        The limit of the bus itself is a little higher: what a broker has delivered once must fit when it goes back, to be delivered later
        or again.
        """
        most, size = self.settings.max_event_bytes, len(message.body)
        if most is not None and size > most:
            raise Undeliverable(
                f"An event of {size:,} bytes is too large; {most:,} are allowed (max_event_bytes).", hint="Send a smaller input."
            )

    async def reschedule(self, delivery: Delivery, after: timedelta, because: str, *, level: str = "debug") -> None:
        """Publish the same message again, for delivery after this time. Raises Unavailable."""
        until = self.clock.now() + after
        await self.bus.publish([replace(delivery.message, deliver_at=until, delay=after, event=None)])
        telemetry.step("event.rescheduled", level=level, run=delivery.message.correlation_id, until=events.iso(until), because=because)

"""Service Bus triggers: a message becomes an invocation, its outputs are sent, then it is completed; any failure abandons it."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.crashpoints import passed
from bridge.local.functions import outputs
from bridge.local.functions.bindings import BusTrigger, Function
from bridge.local.functions.crashpoints import CrashPoint
from bridge.local.functions.feed import Feed, FeedError, Outgoing, Received, Verdict
from bridge.local.functions.invocations import Invocations, Trigger
from bridge.local.functions.metadata import trigger_metadata
from bridge.local.functions.supervisor import Supervisor, WorkerDown
from bridge.local.functions.worker import Done

log = logging.getLogger("bridge.functions")

_SHORTEST_RENEWAL = 0.5  #: seconds between two renewals, at least
_USUAL_LOCK = 30.0  #: seconds a lock is taken to last when the broker does not say


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a function may hold at once, and for how many seconds its locks are kept."""

    concurrent: int
    renewal_seconds: float


class Pump:
    """Feeds one function."""

    def __init__(self, function: Function, trigger: BusTrigger, feed: Feed, invocations: Invocations, limits: Limits) -> None:
        self._function = function
        self._trigger = trigger
        self._feed = feed
        self._invocations = invocations
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.concurrent)
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._stopped = False

    def start(self) -> None:
        """Take messages from here on."""
        self._feed.receive(self._trigger.entity, self._limits.concurrent, self._take)

    def stop(self) -> None:
        """Take no more; what comes is left to the broker, and what waits for its turn is not started."""
        self._stopped = True
        self._feed.leave(self._trigger.entity)

    @property
    def busy(self) -> bool:
        """Whether a function runs for a message, or its verdict is on the way."""
        return self._under_way > 0

    def _take(self, received: Received) -> None:
        if self._stopped:
            return
        task = asyncio.create_task(self._handle(received))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, received: Received) -> None:
        """Run the function as soon as there is a worker; a worker that is down does not count as a failed delivery.

        If the host stops first, the message goes back with the connection.
        """
        renewing = asyncio.create_task(self._renew(received))
        try:
            # Credit alone does not bound this: after a broken connection the broker has none of ours on its books.
            async with self._slots:
                while not self._stopped:
                    await self._supervisor.up()
                    with suppress(WorkerDown):
                        return await self._process(received)
        finally:
            renewing.cancel()

    async def _process(self, received: Received) -> None:
        """From the call to the verdict. Raises WorkerDown if the function could not start."""
        self._under_way += 1
        try:
            passed(CrashPoint.TAKEN_NOT_RUN)
            done = await self._invocations.run(self._function.name, self._as_trigger(received))
            passed(CrashPoint.RAN_NOT_SENT)
            verdict = await self._verdict(done)
            passed(CrashPoint.SENT_NOT_SETTLED)
            await self._settle(received, verdict)
        finally:
            self._under_way -= 1

    async def _verdict(self, done: Done) -> Verdict:
        if not done.ok:
            return Verdict.ABANDON
        try:
            if sending := self._outgoing(done):
                await self._feed.send(sending)
        except FeedError as problem:
            log.warning("%s succeeded, but its output was not sent: %s", self._function.name, problem)
            return Verdict.ABANDON
        return Verdict.COMPLETE

    @property
    def _supervisor(self) -> Supervisor:
        supervisor = self._invocations.supervisor
        if supervisor is None:
            raise WorkerDown
        return supervisor

    def _as_trigger(self, received: Received) -> Trigger:
        properties = received.properties
        application: Mapping[str, Any] = properties.get("applicationProperties") or {}
        return Trigger(
            parameter=self._trigger.parameter,
            value=_value(received.body),
            metadata=trigger_metadata(received.lock, properties),
            traceparent=str(application.get("Diagnostic-Id") or application.get("traceparent") or ""),
            tracestate=str(application.get("tracestate") or ""),
            on_behalf_of=str(properties.get("messageId") or ""),
        )

    def _outgoing(self, done: Done) -> list[Outgoing]:
        values = {**done.outputs, **({"$return": done.result} if done.result is not None else {})}
        sent_to = self._function.outputs
        return [
            Outgoing(sent_to[name], body, content_type)
            for name, value in values.items()
            if name in sent_to
            for body, content_type in outputs.messages(value)
        ]

    async def _settle(self, received: Received, verdict: Verdict) -> None:
        try:
            await self._feed.settle(received.lock, verdict)
        except FeedError as problem:
            log.warning("%s: the message could not be settled and will come again: %s", self._function.name, problem)

    async def _renew(self, received: Received) -> None:
        """Keep the lock alive at half its time, for no longer than the limit."""
        until = _time(received.properties.get("lockedUntil"))
        length = max((until - datetime.now(UTC)).total_seconds(), 0) if until else _USUAL_LOCK
        try:
            async with asyncio.timeout(self._limits.renewal_seconds):
                while True:
                    await asyncio.sleep(max(length / 2, _SHORTEST_RENEWAL))
                    await self._feed.renew(received.lock)
        except TimeoutError:
            log.warning("%s runs longer than maxAutoLockRenewalDuration; its message may be delivered again.", self._function.name)
        except FeedError as problem:
            log.warning("%s: the lock could not be renewed, so its message may be delivered again: %s", self._function.name, problem)


def _value(body: bytes) -> dict[str, Any]:
    try:
        return {"string": body.decode()}
    except UnicodeDecodeError:
        return {"bytes": b64encode(body).decode()}


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None

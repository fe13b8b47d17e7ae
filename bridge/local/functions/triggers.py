"""Service Bus triggers of single messages: a message becomes an invocation, its outputs are sent, then it is completed.

Any failure abandons it. What the bridge hears of its work is told in `messagecalls`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bridge.local.functions import bridgework, messagevalues
from bridge.local.functions.bindings import Function, ServiceBusTrigger
from bridge.local.functions.bridgework import BridgeWork
from bridge.local.functions.feed import Feed, FeedError, Received, Settlement, Wanted
from bridge.local.functions.invocations import AppInvocations
from bridge.local.functions.messagecalls import MessageCalls
from bridge.local.functions.reports import BridgeLink
from bridge.local.functions.workersupervisor import WorkerDown

log = logging.getLogger("bridge.functions")

_SHORTEST_RENEWAL = 0.5  #: seconds between two renewals, at least
_USUAL_LOCK = 30.0  #: seconds a lock is taken to last when the broker does not say
_SHORTEST_WAIT = 0.01  #: seconds of one wait for a worker


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """How many messages of a function run at once, and for how many seconds their locks are renewed.

    Of an entity with sessions, this many run of each session, `sessions` sessions are taken at a time, and one is given up after
    `session_idle` seconds without a message.
    """

    concurrent: int
    renewal_seconds: float
    sessions: int = 0
    session_idle: float = 60.0


class ServiceBusListener:
    """Runs one function for the messages of its topic subscription or queue."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that a message meets on its way
        self,
        function: Function,
        trigger: ServiceBusTrigger,
        feed: Feed,
        invocations: AppInvocations,
        limits: ListenerLimits,
        link: BridgeLink,
    ) -> None:
        """`feed` is that of the trigger's connection."""
        self._function, self._trigger, self._feed = function, trigger, feed
        self._invocations = invocations
        self._limits, self._link = limits, link
        self._calls = MessageCalls(function, trigger, feed, invocations, link)
        self._slots = asyncio.Semaphore(limits.concurrent * max(limits.sessions, 1))
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsettled = 0
        self._stopped = False

    def start(self) -> None:
        """Ask the broker for messages."""
        wanted = Wanted(self._limits.concurrent, self._limits.sessions, self._limits.session_idle)
        self._feed.receive(self._trigger.entity, wanted, self._take)

    def stop(self) -> None:
        """Ask for no more messages. What still comes is given back, and so is what waits for its turn: neither counts as delivered."""
        self._stopped = True
        self._feed.leave(self._trigger.entity)

    @property
    def busy(self) -> bool:
        """Whether a function runs for a message, or the message has not been settled yet."""
        return self._unsettled > 0

    def _take(self, received: Received) -> None:
        task = asyncio.create_task(self._handle(received))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, received: Received) -> None:
        """Run the function as soon as there is a worker; a worker that is down does not count as a failed delivery.

        Work of the bridge waits until its deadline. If the host stops first, the message is given back.
        """
        work = bridgework.of_message(received.properties, received.body, self._link.public_url)
        renewing = asyncio.create_task(self._renew(received))
        try:
            # Credit alone does not bound this: after a broken connection the broker has none of ours on its books.
            async with self._slots:
                while not self._stopped:
                    await self._worker(work)
                    with suppress(WorkerDown):
                        return await self._process(received, work)
            with suppress(FeedError):
                await self._feed.settle(received.lock, Settlement.RELEASE)
        finally:
            renewing.cancel()

    async def _worker(self, work: BridgeWork | None) -> None:
        """Wait until there is a worker, or until the deadline of the work."""
        left = work.seconds_left if work is not None else None
        with suppress(TimeoutError):
            async with asyncio.timeout(None if left is None else max(left, _SHORTEST_WAIT)):
                await self._invocations.ready()

    async def _process(self, received: Received, work: BridgeWork | None) -> None:
        """Run the function and settle the message. Raises WorkerDown if the function could not start."""
        self._unsettled += 1
        try:
            made = messagevalues.of_message(self._trigger, received, typed=self._invocations.typed)
            request = replace(made, work=work, held=messagevalues.held(self._feed, [received]) if self._invocations.rpc else None)
            (verdict,) = await self._calls.verdicts(request, [work])
            await self._calls.settle(received, verdict)
        finally:
            self._unsettled -= 1

    async def _renew(self, received: Received) -> None:
        """Keep the lock alive at half its time, for no longer than the limit. A limit of 0 is for no renewal at all."""
        if self._limits.renewal_seconds <= 0:
            return
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


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None

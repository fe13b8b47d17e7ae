"""Service Bus triggers of batches (`cardinality: many`): one call at a time, with the messages that are there.

All messages of a call share its end: they are completed, or each is abandoned. Their locks are not renewed, as in Azure, so a call that
takes longer than the locks runs again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge.local.functions import bridgework, messagevalues
from bridge.local.functions.bindings import Function, ServiceBusTrigger
from bridge.local.functions.bridgework import BridgeWork
from bridge.local.functions.feed import Feed, FeedError, Received, Settlement, Wanted
from bridge.local.functions.invocations import AppInvocations
from bridge.local.functions.messagecalls import MessageCalls
from bridge.local.functions.reports import BridgeLink
from bridge.local.functions.worker import InvocationResponse
from bridge.local.functions.workersupervisor import WorkerDown

log = logging.getLogger("bridge.functions")

_QUIET = 0.02  #: seconds without another message after which a batch is taken to be all that is there
_LATE = InvocationResponse(ok=False, late=True)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """A call waits up to `wait_seconds` for `smallest` messages. A session is given up after `session_idle` seconds without a message."""

    smallest: int = 1
    wait_seconds: float = 30.0
    session_idle: float = 60.0


class BatchListener:
    """Runs one function for batches of its topic subscription or queue; of an entity with sessions, one session at a time."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that a message meets on its way
        self,
        function: Function,
        trigger: ServiceBusTrigger,
        feed: Feed,
        invocations: AppInvocations,
        limits: BatchLimits,
        link: BridgeLink,
    ) -> None:
        """`feed` is that of the trigger's connection."""
        self._function, self._trigger, self._feed, self._invocations = function, trigger, feed, invocations
        self._limits, self._link = limits, link
        self._calls = MessageCalls(function, trigger, feed, invocations, link)
        self._waiting: deque[Received] = deque()
        self._in_hand: list[Received] = []
        self._came = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._stopped = False
        self.busy = False  #: whether a function runs for messages, or they have not been settled yet

    def start(self) -> None:
        """Ask the broker for messages."""
        sessions = 1 if self._trigger.sessions else 0
        self._feed.receive(self._trigger.entity, Wanted(self._trigger.largest_batch, sessions, self._limits.session_idle), self._take)
        self._running = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Ask for no more messages. What still comes is given back, and so is what waits for its turn: neither counts as delivered."""
        self._stopped = True
        self._feed.leave(self._trigger.entity)
        if self._running is not None and not self.busy:
            self._running.cancel()

    def _take(self, received: Received) -> None:
        self._waiting.append(received)
        self._came.set()

    async def _run(self) -> None:
        try:
            while not self._stopped:
                await self._collected()
                self._feed.pause(self._trigger.entity)  # what would come during the call would only wait, and its lock run
                self._in_hand = self._batch()
                try:
                    await self._handled(self._in_hand)
                except Exception:
                    log.exception("%s: the host failed on a batch because of a bug; its messages will be redelivered.", self._function.name)
                    await self._give_back(self._in_hand)
                self._in_hand = []
                self._feed.resume(self._trigger.entity)
        finally:
            await self._give_back([*self._in_hand, *self._waiting])

    async def _collected(self) -> None:
        """Wait until there are messages for a call."""
        while not self._waiting:
            await self._more(None)
        until = asyncio.get_running_loop().time() + self._limits.wait_seconds
        smallest = min(self._limits.smallest, self._trigger.largest_batch)
        while len(self._batch(take=False)) < smallest and await self._more(until - asyncio.get_running_loop().time()):
            pass
        while len(self._waiting) < self._trigger.largest_batch and await self._more(_QUIET):
            pass

    async def _more(self, seconds: float | None) -> bool:
        """Whether another message has come within the time."""
        self._came.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._came.wait()
        return self._came.is_set()

    def _batch(self, *, take: bool = True) -> list[Received]:
        """The messages of the next call: all are of one session."""
        found: list[Received] = []
        for received in self._waiting:
            if len(found) == self._trigger.largest_batch or (found and self._trigger.sessions and _session(received) != _session(found[0])):
                break
            found.append(received)
        for _ in found if take else ():
            self._waiting.popleft()
        return found

    async def _handled(self, batch: Sequence[Received]) -> None:
        """Run the function for the messages, without those whose deadline is over, as soon as there is a worker."""
        works = [bridgework.of_message(each.properties, each.body, self._link.public_url) for each in batch]
        pairs = list(zip(batch, works, strict=True))
        while pairs:
            await self._invocations.ready()
            for received, work in [each for each in pairs if _is_late(each[1])]:
                await self._calls.settle(received, await self._calls.verdict(_LATE, work))
            pairs = [each for each in pairs if not _is_late(each[1])]
            with suppress(WorkerDown):
                self.busy = True
                try:
                    await self._called(pairs)
                    return
                finally:
                    self.busy = False

    async def _called(self, pairs: Sequence[tuple[Received, BridgeWork | None]]) -> None:
        """Raises WorkerDown if the function could not start."""
        if not pairs:
            return
        messages, invocations = [received for received, _ in pairs], self._invocations
        request = messagevalues.of_batch(self._trigger, messages, typed=invocations.typed, collections=invocations.rpc)
        if invocations.rpc:
            request = replace(request, held=messagevalues.held(self._feed, messages))
        verdicts = await self._calls.verdicts(request, [work for _, work in pairs])
        settling = (self._calls.settle(received, verdict) for (received, _), verdict in zip(pairs, verdicts, strict=True))
        await asyncio.gather(*settling)

    async def _give_back(self, messages: Sequence[Received]) -> None:
        for received in messages:
            with suppress(FeedError):
                await self._feed.settle(received.lock, Settlement.RELEASE)


def _session(received: Received) -> object:
    return received.properties.get("sessionId")


def _is_late(work: BridgeWork | None) -> bool:
    return work is not None and work.is_late

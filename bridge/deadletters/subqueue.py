"""Replays or removes chosen messages of one dead-letter queue, which can be locked only from its head.

Small batches are locked. Chosen messages are handled. Others are held, because they would be at the head again if they were released at
once, and are released as soon as no chosen message is left. A pass ends before the first of its locks expires, and holds a limited number
of messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.errors import BeingReplayed, BridgeError, NotFound, NotReplayable, Unavailable
from bridge.ports import Clock, DeadLetterQueues, Message, ParkedMessage, SubQueueHead

BATCH = 32  #: messages that are locked at a time
MOST_ASIDE = 12_000  #: messages that are held aside
MOST_BYTES = 64 * 2**20  #: of their bodies
LINGER = 0.1  #: seconds that a pass waits for the next choice: a command that acts on many names them one after the other
SHARE = 0.7  #: of the time that a lock lasts, after which the pass gives everything back

Prepare = Callable[[ParkedMessage], Awaitable[Message | None]]
"""The copy of a locked message that is sent before it is settled; None if it is only removed. What it raises is the refusal."""


Sent = Callable[[ParkedMessage], None]
"""Is called when the copy of a message was sent and the message is not settled yet."""


@dataclass
class _Choice:
    """A message that a caller waits for."""

    prepare: Prepare
    sent: Sent
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, fault: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(fault)


class SubQueue:
    """One dead-letter queue. A message that is chosen during a pass is handled in that pass if it has not been passed yet."""

    def __init__(self, queues: DeadLetterQueues, entity: str, clock: Clock) -> None:
        self._queues, self._entity, self._clock = queues, entity, clock
        self._chosen: dict[int, _Choice] = {}
        self._came = asyncio.Event()
        self._passing: asyncio.Task[None] | None = None

    async def act(self, number: int, prepare: Prepare, sent: Sent) -> None:
        """Send the copy of a message, if there is one, then remove the message.

        Raises what `prepare` raises, NotFound, BeingReplayed (another receiver has it), NotReplayable (too many messages are in front of
        it), Undeliverable, Unavailable.
        """
        if number in self._chosen:
            raise BeingReplayed(f"Somebody else acts on message {number} of {self._entity} now.", hint="Look at it again.")
        choice = self._chosen[number] = _Choice(prepare, sent)
        self._came.set()
        if self._passing is None:
            self._passing = asyncio.create_task(self._pass_on())
        await asyncio.shield(choice.done)

    async def close(self) -> None:
        """Stop. Callers whose message is not settled get Unavailable."""
        if self._passing is not None:
            self._passing.cancel()
            await asyncio.wait([self._passing])

    async def _pass_on(self) -> None:
        """Make one pass after the other until no message is chosen."""
        try:
            while self._chosen:
                if not await self._pass():
                    self._refuse_out_of_reach()
        except BridgeError as fault:
            self._fail_all(fault)
        finally:
            self._passing = None
            self._fail_all(Unavailable("The bridge stopped before the dead letter was settled.", hint="Do the same again."))

    def _fail_all(self, fault: BridgeError) -> None:
        for number in list(self._chosen):
            self._chosen.pop(number).fail(fault)

    async def _pass(self) -> bool:
        """Make one pass. Returns whether any message was handled."""
        acted, aside = False, _Aside(self._clock)
        async with self._queues.head(self._entity) as head:
            try:
                while await self._more() and not aside.is_full:
                    waited_for = set(self._chosen)
                    batch = aside.take(self._chosen) or await head.lock(BATCH)
                    if not batch:
                        await self._explain_missing(waited_for)
                        acted = True
                    chosen = [each for each in batch if each.number in self._chosen]
                    aside.put([each for each in batch if each.number not in self._chosen])
                    await self._settle(head, chosen, aside)
                    acted = acted or bool(chosen)
            finally:
                await head.abandon(aside.messages)
        return acted

    async def _more(self) -> bool:
        """Whether a message is chosen, now or within a moment."""
        if not self._chosen:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), LINGER)
            except TimeoutError:
                return False
        return bool(self._chosen)

    async def _settle(self, head: SubQueueHead, chosen: Sequence[ParkedMessage], aside: _Aside) -> None:
        """Send the copies of these messages together, then remove the messages. A message whose copy is refused is held."""
        ready: list[tuple[ParkedMessage, Message | None]] = []
        for parked in chosen:
            try:
                ready.append((parked, await self._chosen[parked.number].prepare(parked)))
            except BridgeError as refusal:
                self._end(parked, refusal)
                aside.put([parked])
        for parked, fault in await self._send([(parked, copy) for parked, copy in ready if copy is not None]):
            self._end(parked, fault)
            aside.put([parked])
        left = [(parked, copy) for parked, copy in ready if parked.number in self._chosen]
        for parked, copy in left:
            if copy is not None:
                self._chosen[parked.number].sent(parked)
        await self._complete(head, [parked for parked, _ in left])

    async def _complete(self, head: SubQueueHead, messages: Sequence[ParkedMessage]) -> None:
        lost: BridgeError = Unavailable(
            "The lock of the dead letter ended before it was removed, so it is still there.",
            hint="Do the same again: a copy that was sent already has the same message id.",
        )
        try:
            left = {each.number for each in await head.complete(messages)} if messages else set()
        except BridgeError as fault:
            lost, left = fault, {each.number for each in messages}
        for each in messages:
            self._end(each, lost if each.number in left else None)

    async def _send(self, copies: Sequence[tuple[ParkedMessage, Message]]) -> list[tuple[ParkedMessage, BridgeError]]:
        """Send copies, and return the refused ones. If one of several is refused, all are sent one by one, with the same message ids."""
        if not copies:
            return []
        try:
            await self._queues.send(copies)
        except Unavailable as fault:
            return [(parked, fault) for parked, _ in copies]
        except BridgeError as fault:
            if len(copies) == 1:
                return [(copies[0][0], fault)]
            return [refused for copy in copies for refused in await self._send([copy])]
        return []

    def _end(self, parked: ParkedMessage, fault: BridgeError | None = None) -> None:
        choice = self._chosen.pop(parked.number)
        if fault is not None:
            choice.fail(fault)
        elif not choice.done.done():
            choice.done.set_result(None)

    async def _explain_missing(self, numbers: Collection[int]) -> None:
        """Tell each caller why its message did not come: it was removed, or another receiver has it."""
        for number in numbers:
            found = await self._queues.peek(self._entity, number, 1)
            there = bool(found) and found[0].number == number
            self._chosen.pop(number).fail(
                BeingReplayed(
                    f"Another receiver has locked message {number} of {self._entity}/$DeadLetterQueue.",
                    hint="Try again when its lock has ended.",
                )
                if there
                else NotFound(
                    f"Message {number} of {self._entity}/$DeadLetterQueue is gone.", hint="GET /v1/deadletters lists what is there."
                )
            )

    def _refuse_out_of_reach(self) -> None:
        for number in list(self._chosen):
            self._chosen.pop(number).fail(
                NotReplayable(
                    f"More dead letters lie before message {number} of {self._entity} than can be locked at a time.",
                    hint="Service Bus gives them in their order: replay or discard older ones first.",
                )
            )


class _Aside:
    """Locked messages that no caller has chosen yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[int, ParkedMessage] = {}
        self._bytes = 0
        self._until: datetime | None = None

    @property
    def messages(self) -> list[ParkedMessage]:
        """All held messages."""
        return list(self._held.values())

    @property
    def is_full(self) -> bool:
        """Whether no more messages may be held, or the first lock expires soon."""
        late = self._until is not None and self._clock.now() >= self._until
        return late or len(self._held) >= MOST_ASIDE or self._bytes >= MOST_BYTES

    def put(self, messages: Sequence[ParkedMessage]) -> None:
        """Hold these messages."""
        for each in messages:
            self._held[each.number] = each
            self._bytes += len(each.message.body)
            if self._until is None and each.locked_until is not None:
                now = self._clock.now()
                self._until = now + max(each.locked_until - now, timedelta()) * SHARE

    def take(self, chosen: dict[int, _Choice]) -> list[ParkedMessage]:
        """The messages that have been chosen meanwhile, oldest first."""
        found = [self._held.pop(number) for number in sorted(self._held.keys() & chosen.keys())]
        self._bytes -= sum(len(each.message.body) for each in found)
        return found

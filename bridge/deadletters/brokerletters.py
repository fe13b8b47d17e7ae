"""The dead letters in the dead-letter queues of the broker. They are listed by peeking, and replayed and discarded under the broker's
locks.

A replay sends a copy and then settles the message. If the process is killed in between, the replay is repeated with the same message id,
which duplicate detection drops. Without duplicate detection, the receiver has to recognize the repeat. The bridge keeps what was replayed,
and by whom.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bridge import telemetry
from bridge.deadletters import parked as sub_queues
from bridge.deadletters import replay
from bridge.deadletters.deadletter import DeadLetter, Replay
from bridge.deadletters.filter import DeadLetterFilter
from bridge.deadletters.replay import ReplayRequest
from bridge.deadletters.store import PAGE_BYTES, DeadLetters, ReplayResult
from bridge.deadletters.subqueue import SubQueue
from bridge.errors import Malformed, NotFound, PortError, Unavailable
from bridge.ports import Clock, DeadLetterQueues, Message, ParkedMessage
from bridge.redaction import Path

AT_ONCE = 100  #: messages of one peek
TOGETHER = 8  #: entities that are peeked at a time: each may need a connection first
BUDGET = 1.0  #: seconds after which a page ends with what it has, and its cursor goes on from there
PATIENCE = 8.0  #: seconds that one peek may take

SecretPaths = Callable[[Message], tuple[Path, ...]]
"""The places to redact in the event of a message."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of a list that the broker did not return, and why. If `entity` is empty, it is everything."""

    entity: str
    detail: str


@dataclass
class BrokerPage:
    """Dead letters of the broker, by entity, oldest first. `cursor` continues the list; `missing` names what could not be read."""

    dead_letters: list[DeadLetter] = field(default_factory=list)
    cursor: str = ""
    missing: list[Missing] = field(default_factory=list)
    size: int = 0  #: bytes of the bodies


@dataclass(frozen=True, slots=True)
class _Progress:
    """How much a page may still hold, and when it ends with what it has (a time of the monotonic clock)."""

    page: BrokerPage
    limit: int
    only: DeadLetterFilter
    until: float


class BrokerDeadLetters:
    """The dead letters in the dead-letter queues of one broker."""

    def __init__(self, queues: DeadLetterQueues, kept: DeadLetters, clock: Clock, secret_paths: SecretPaths) -> None:
        self._queues, self._kept, self._clock, self._secret_paths = queues, kept, clock, secret_paths
        self._sub_queues = {entity: SubQueue(queues, entity, clock) for entity in queues.entities}

    async def page(self, limit: int, cursor: str, only: DeadLetterFilter) -> BrokerPage:
        """The next `limit` dead letters after `cursor`, which has the form `entity@number`. Raises Malformed for any other cursor.

        Entities that the broker does not return are named, and the rest of the list is returned.
        """
        page = BrokerPage()
        entities = [entity for entity in self._queues.entities if only.is_about(entity)]
        first, number = _read(cursor) if cursor else ("", 0)
        if first and first not in entities:
            raise Malformed(f"The cursor {cursor[:100]!r} belongs to another list.", hint="Start again without a cursor.")
        walk = _Progress(page, limit, only, time.monotonic() + BUDGET)
        left = entities[entities.index(first) if first else 0 :]
        # A list that goes on within an entity has no use for the next ones yet.
        together = 1 if first else TOGETHER
        while left and not page.cursor:
            some, left, together = left[:together], left[together:], TOGETHER
            peeks = await asyncio.gather(*(self._peek(entity, number) for entity in some), return_exceptions=True)
            for entity, found in zip(some, peeks, strict=True):
                if not page.cursor and not await self._add(walk, entity, found):
                    return page
            number = 0
        return page

    async def _peek(self, entity: str, number: int) -> Sequence[ParkedMessage]:
        async with asyncio.timeout(PATIENCE):
            return await self._queues.peek(entity, number, AT_ONCE)

    async def _add(self, walk: _Progress, entity: str, found: Sequence[ParkedMessage] | BaseException) -> bool:
        """Add the dead letters of one entity and the position behind them. Returns False if the broker is unavailable."""
        page = walk.page
        try:
            while found:
                if isinstance(found, BaseException):
                    raise found
                for parked in found:
                    if len(page.dead_letters) >= walk.limit or page.size >= PAGE_BYTES:
                        page.cursor = f"{entity}@{parked.number}"
                        return True
                    letter = await self._letter(parked)
                    if walk.only.includes(letter):
                        page.dead_letters.append(letter)
                        page.size += len(parked.message.body)
                following = found[-1].number + 1
                if time.monotonic() >= walk.until:
                    page.cursor = f"{entity}@{following}"
                    return True
                found = await self._peek(entity, following)
        except (Unavailable, TimeoutError) as fault:
            page.missing.append(Missing("", str(fault) or "The broker did not answer in time."))
            return False
        except PortError as fault:
            page.missing.append(Missing(entity, str(fault)))
        return True

    async def _letter(self, parked: ParkedMessage) -> DeadLetter:
        return sub_queues.dead_letter(parked, self._secret_paths(parked.message), await self._kept.parent(parked.message))

    async def get(self, dead_letter_id: str) -> DeadLetter:
        """One dead letter. Raises NotFound, Unavailable."""
        entity, number = self._place(dead_letter_id)
        found = await self._queues.peek(entity, number, 1)
        if not found or found[0].number != number:
            raise self._gone(dead_letter_id)
        return await self._letter(found[0])

    async def replay(self, dead_letter_id: str, request: ReplayRequest) -> ReplayResult:
        """Send a copy of the message, or of the edited event, then settle the message. Raises what `SubQueue.act` raises, Malformed."""
        entity, number = self._place(dead_letter_id)
        made: list[DeadLetter] = []

        async def prepare(parked: ParkedMessage) -> Message:
            letter = await self._letter(parked)
            content = replay.body(letter, request)
            now = self._clock.now()
            claim = Replay(at=now, by=request.by, edited=request.edited is not None)
            made.append(sub_queues.claimed(letter, claim, content, timedelta()))
            return replay.message(made[-1], content, now)

        def sent(_parked: ParkedMessage) -> None:
            telemetry.step("deadletter.published", level="debug", run=made[-1].correlation_id, deadletter=dead_letter_id)

        await self._sub_queues[entity].act(number, prepare, sent)
        done = made[-1].confirmed()
        telemetry.step(
            "deadletter.replayed", run=done.correlation_id, deadletter=done.id, by=request.by, message=done.replays[-1].message_id
        )
        try:
            await self._kept.keep_replayed(done)
        except PortError as fault:
            # The replay is made and in the log; without the record only the list does not show it.
            telemetry.step("retry", level="warning", source=done.id, error=str(fault))
        return ReplayResult(done, now=True)

    async def discard(self, dead_letter_id: str, by: str) -> None:
        """Remove the message, for the caller `by`. Raises what `SubQueue.act` raises."""
        entity, number = self._place(dead_letter_id)

        async def prepare(_parked: ParkedMessage) -> None:
            return None

        await self._sub_queues[entity].act(number, prepare, lambda _parked: None)
        telemetry.step("deadletter.discarded", deadletter=dead_letter_id, by=by)

    def reaches(self, dead_letter: DeadLetter) -> Sequence[str]:
        """The subscriptions that a replay of this dead letter reaches, as far as their rules are known."""
        if dead_letter.entity:
            return dead_letter.reaches
        return self._queues.reaches(
            Message(
                dead_letter.topic,
                dead_letter.original(),
                correlation_id=dead_letter.correlation_id,
                label=dead_letter.automation,
                content_type=dead_letter.content_type,
            )
        )

    async def close(self) -> None:
        """Stop the operations in progress. A message that was not settled yet stays in its queue."""
        await asyncio.gather(*(each.close() for each in self._sub_queues.values()))

    def _place(self, dead_letter_id: str) -> tuple[str, int]:
        entity, number = sub_queues.place(dead_letter_id)
        if entity not in self._sub_queues:
            raise self._gone(dead_letter_id)
        return entity, number

    def _gone(self, dead_letter_id: str) -> NotFound:
        return NotFound(f"There is no dead letter {dead_letter_id[:100]!r}.", hint="GET /v1/deadletters lists them.")


def _read(cursor: str) -> tuple[str, int]:
    entity, _, number = cursor.rpartition("@")
    if not entity or not (number.isascii() and number.isdecimal() and len(number) <= 19):
        raise Malformed(f"The cursor {cursor[:100]!r} was not made here.", hint="Start again without a cursor.")
    return entity, int(number)

"""All dead letters in one list: first those of the bridge, newest first, then those in the broker's dead-letter queues, by entity."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from bridge.deadletters import parked
from bridge.deadletters.brokerletters import BrokerDeadLetters, Missing
from bridge.deadletters.deadletter import DeadLetter
from bridge.deadletters.filter import DeadLetterFilter
from bridge.deadletters.replay import ReplayRequest
from bridge.deadletters.store import DeadLetters, ReplayResult
from bridge.errors import NotFound

_BROKER = "broker:"  #: what a cursor into the broker's dead letters begins with


@dataclass(frozen=True)
class DeadLetterPage:
    """One page of the list. `cursor` continues it, if it is not empty; `missing` is what the broker did not return."""

    dead_letters: Sequence[DeadLetter]
    cursor: str
    missing: Sequence[Missing] = ()


class AllDeadLetters:
    """Lists, replays and discards dead letters of both kinds. `kept` are the bridge's own; without a `broker` there are no others."""

    def __init__(self, kept: DeadLetters, broker: BrokerDeadLetters | None) -> None:
        self.kept, self._broker = kept, broker

    async def page(self, limit: int, cursor: str, only: DeadLetterFilter) -> DeadLetterPage:
        """The next `limit` dead letters. A page may be short and still have a cursor. Raises Malformed, Unavailable."""
        found: list[DeadLetter] = []
        if not cursor.startswith(_BROKER):
            found, following = await self.kept.page(limit, cursor, only)
            if following or self._broker is None:
                return DeadLetterPage(found, following)
            cursor = ""
        if self._broker is None:
            return DeadLetterPage(found, "")
        rest = await self._broker.page(limit - len(found), cursor.removeprefix(_BROKER), only)
        return DeadLetterPage([*found, *rest.dead_letters], rest.cursor and _BROKER + rest.cursor, rest.missing)

    async def get(self, dead_letter_id: str) -> DeadLetter:
        """One dead letter. Raises NotFound, Unavailable."""
        try:
            return await self.kept.get(dead_letter_id)
        except NotFound:
            if self._broker is None or not parked.is_parked(dead_letter_id):
                raise
        return await self._broker.get(dead_letter_id)

    async def replay(self, dead_letter_id: str, request: ReplayRequest) -> ReplayResult:
        """Publish the event again where it came from. Raises the errors of the part that has the dead letter."""
        if self._broker is None or not parked.is_parked(dead_letter_id):
            return await self.kept.replay(dead_letter_id, request)
        try:
            # What was replayed from the broker is kept by the bridge, which knows its number.
            result = await self.kept.replay(dead_letter_id, request)
        except NotFound:
            return await self._broker.replay(dead_letter_id, request)
        if not result.now:
            await self._remove_again(self._broker, dead_letter_id, request.by)
        return result

    async def _remove_again(self, broker: BrokerDeadLetters, dead_letter_id: str, by: str) -> None:
        """Remove a message whose copy was sent, if the broker has redelivered it, as it may after a failover."""
        with suppress(NotFound):
            await broker.get(dead_letter_id)
            await broker.discard(dead_letter_id, by)

    async def discard(self, dead_letter_id: str, by: str) -> None:
        """Remove a dead letter permanently. Raises the errors of the part that has the dead letter."""
        try:
            await self.kept.discard(dead_letter_id, by)
        except NotFound:
            if self._broker is None or not parked.is_parked(dead_letter_id):
                raise
            await self._broker.discard(dead_letter_id, by)

    def reaches(self, dead_letter: DeadLetter) -> Sequence[str]:
        """The subscriptions that a replay reaches, as far as they are known."""
        return self._broker.reaches(dead_letter) if self._broker is not None else ()

    async def close(self) -> None:
        """Stop the operations in progress at the broker."""
        if self._broker is not None:
            await self._broker.close()

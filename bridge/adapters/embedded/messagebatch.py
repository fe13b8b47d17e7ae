"""Messages that are stored in one transaction, all of them or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from bridge.adapters.embedded import duplicates
from bridge.adapters.embedded import messages as table
from bridge.adapters.embedded.messages import StoredMessage


class MessageBatch:
    """For each message its copies: one for each queue that gets one.

    `detecting` names for a copy, by its number, the queues and topics on its way that refuse duplicates, and `windows` for how many
    seconds each remembers an id; most batches have none.
    """

    __slots__ = ("_detecting", "_dropped", "_groups", "_now", "_windows", "copies")

    def __init__(
        self,
        groups: Sequence[Sequence[StoredMessage]],
        now: float = 0.0,
        detecting: Mapping[int, tuple[str, ...]] | None = None,
        windows: Mapping[str, float] | None = None,
    ) -> None:
        self.copies: Sequence[StoredMessage] = groups[0] if len(groups) == 1 else [copy for group in groups for copy in group]
        self._groups, self._now, self._detecting, self._windows = groups, now, detecting, windows
        self._dropped: frozenset[int] = frozenset()

    def insert(self, connection: sqlite3.Connection) -> None:
        """Store the copies that are no duplicates. A transaction that failed is run again, so this may be called twice."""
        if self._detecting:
            self._dropped = frozenset(number for group in self._groups for number in self._duplicates(group, connection))
        table.insert(self.stored, connection)

    def _duplicates(self, group: Sequence[StoredMessage], connection: sqlite3.Connection) -> Iterator[int]:
        """The numbers of the copies of one message that a queue or topic on their way has taken before."""
        detecting, windows = self._detecting or {}, self._windows or {}
        answers: dict[str, bool] = {}  # the copies of one message pass a topic together
        for copy in group:
            for source in detecting.get(copy.id, ()):
                if source not in answers:
                    answers[source] = duplicates.is_new(source, copy.message.message_id, self._now, windows[source], connection)
                if not answers[source]:
                    yield copy.id

    @property
    def stored(self) -> Sequence[StoredMessage]:
        """The copies that `insert` stored."""
        return [copy for copy in self.copies if copy.id not in self._dropped] if self._dropped else self.copies

    @property
    def dropped(self) -> Sequence[StoredMessage]:
        """The copies that `insert` found to be duplicates."""
        return [copy for copy in self.copies if copy.id in self._dropped] if self._dropped else ()

    @property
    def numbers(self) -> list[int]:
        """For each message the number of its first copy that was stored; 0 if there is none."""
        return [next((copy.id for copy in group if copy.id not in self._dropped), 0) for group in self._groups]

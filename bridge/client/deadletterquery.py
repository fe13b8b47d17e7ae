"""The conditions for a list of dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters to list.

    `replayed` asks whether the event has been published again, and `replay_of` for those that came back from a replay of that dead letter.
    `entity` is a queue, a topic or a subscription. `text` must appear in what is shown. `before` must be later than the time of keeping.
    """

    reason: str = ""
    automation: str = ""
    replayed: bool | None = None
    replay_of: str = ""
    with_event: bool = True
    entity: str = ""
    text: str = ""
    before: datetime | None = None

    def query(self) -> dict[str, str]:
        """The conditions as query parameters of the API."""
        replayed = {} if self.replayed is None else {"replayed": str(self.replayed).lower()}
        without = {} if self.with_event else {"event": "false"}
        named = {"reason": self.reason, "automation": self.automation, "replayOf": self.replay_of, "entity": self.entity, "text": self.text}
        before = {"before": self.before.isoformat()} if self.before else {}
        return {**named, **before, **replayed, **without}

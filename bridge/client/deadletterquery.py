"""What a caller wants to see of the dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters to list.

    `replayed` asks whether their event has been published again, `replay_of` for those that came back from a replay of that dead letter.
    `entity` is a queue, a topic or a subscription, `text` stands somewhere in what is shown, `before` is later than when one was kept.
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
        """As the API takes it."""
        replayed = {} if self.replayed is None else {"replayed": str(self.replayed).lower()}
        without = {} if self.with_event else {"event": "false"}
        named = {"reason": self.reason, "automation": self.automation, "replayOf": self.replay_of, "entity": self.entity, "text": self.text}
        before = {"before": self.before.isoformat()} if self.before else {}
        return {**named, **before, **replayed, **without}

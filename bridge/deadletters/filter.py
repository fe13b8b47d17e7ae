"""Selects dead letters for a list, both of the bridge and of the broker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic_core import to_json

from bridge.deadletters.deadletter import DeadLetter

_SUB_QUEUE, _SUBSCRIPTIONS = "/$deadletterqueue", "/subscriptions/"  #: as they stand in addresses of Service Bus, in lower case


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """The conditions for a list of dead letters. A condition that is empty or None excludes nothing.

    `replayed` asks whether the event has been published again, and `replay_of` for those that came back from a replay of that dead letter.
    `entity` is a queue, a topic or a subscription. `text` must appear in what an admin sees. `before` must be later than the time
    at which the dead letter was kept.
    """

    reason: str = ""
    automation: str = ""
    replayed: bool | None = None
    replay_of: str = ""
    entity: str = ""
    text: str = ""
    before: datetime | None = None

    def includes(self, dead_letter: DeadLetter) -> bool:
        """Whether the list shows this dead letter."""
        return (
            (not self.reason or dead_letter.reason == self.reason)
            and (not self.automation or dead_letter.automation == self.automation)
            and (self.replayed is None or dead_letter.was_replayed == self.replayed)
            and (not self.replay_of or dead_letter.replay_of == self.replay_of)
            and (self.before is None or dead_letter.kept_at < self.before)
            and self.is_about(dead_letter.source)
            and (not self.text or _shows(dead_letter, self.text))
        )

    def is_about(self, source: str) -> bool:
        """Whether `entity` is this source or its topic. Letter case does not matter, as on Service Bus, and addresses are accepted, too."""
        wanted, source = _path(self.entity), _path(source)
        return not wanted or source == wanted or source.partition("/")[0] == wanted


def _path(entity: str) -> str:
    return entity.lower().removesuffix(_SUB_QUEUE).replace(_SUBSCRIPTIONS, "/")


def _shows(dead_letter: DeadLetter, text: str) -> bool:
    """Whether the text appears in the dead letter as it is shown, so that redacted values cannot be searched for."""
    shown = dead_letter.view()
    body = shown["body"] if isinstance(shown.get("body"), str) else ""
    written = to_json(shown).decode().casefold()
    return text.casefold() in body.casefold() or to_json(text).decode()[1:-1].casefold() in written


EVERYTHING = DeadLetterFilter()
"""Shows all dead letters."""

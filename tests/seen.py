"""A journal, by what one wants to know of it: the versions of each run, what was published, which calls were made and what came of them."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from pydantic_core import from_json

from bridge.errors import CallFailed
from bridge.ports import Ack, FunctionResponse, Message
from tests.observed import Called, Handled, Observation, Published, Returned, Stored, Trouble

FINAL = {"Succeeded": "succeeded", "Failed": "failed", "TimedOut": "timedout", "Canceled": "canceled"}
Record = dict[str, Any]


class Version(NamedTuple):
    """One stored version of a run, and its place in the journal."""

    place: int
    record: Record


class Sent(NamedTuple):
    """One published event; `event` is empty if the body is none."""

    place: int
    at: datetime
    message: Message
    event: Record


class Made(NamedTuple):
    """One call of a function, with what came of it and where in the journal that stands."""

    place: int
    at: datetime
    called: Called
    outcome: FunctionResponse | CallFailed | None
    returned: int | None


@dataclass(frozen=True)
class Seen:
    """A journal, by what one wants to know of it."""

    entries: Sequence[Observation]

    @cached_property
    def runs(self) -> dict[str, list[Version]]:
        """The versions of each run, by `<correlation id>/<created at>`: the id of its reply."""
        found: dict[str, list[Version]] = defaultdict(list)
        for place, entry in enumerate(self.entries):
            if isinstance(entry, Stored) and entry.key.startswith("run/"):
                record = from_json(entry.value)
                found[f"{record['correlationId']}/{record['createdAt']}"].append(Version(place, record))
        return found

    @cached_property
    def by_correlation(self) -> dict[str, list[Version]]:
        """The versions of all runs that had the correlation id, in their order."""
        found: dict[str, list[Version]] = defaultdict(list)
        for versions in self.runs.values():
            found[versions[0].record["correlationId"]] += versions
        return found

    @cached_property
    def letters(self) -> dict[bytes, list[tuple[int, Record]]]:
        """The dead letters, by the body of the event they hold, each with its place in the journal."""
        found: dict[bytes, list[tuple[int, Record]]] = defaultdict(list)
        for place, entry in enumerate(self.entries):
            if isinstance(entry, Stored) and entry.key.startswith("deadletter/"):
                letter = from_json(entry.value)
                body = base64.b64decode(letter["bodyBase64"]) if letter.get("bodyBase64") else letter["body"].encode()
                found[body].append((place, letter))
        return found

    @cached_property
    def sent(self) -> list[Sent]:
        """What was published."""
        return [
            Sent(place, entry.at, entry.message, read(entry.message.body))
            for place, entry in enumerate(self.entries)
            if isinstance(entry, Published)
        ]

    @cached_property
    def by_kind(self) -> dict[str, list[Sent]]:
        """What was published, by the type of the event."""
        found: dict[str, list[Sent]] = defaultdict(list)
        for each in self.sent:
            found[str(each.event.get("type"))].append(each)
        return found

    @cached_property
    def places(self) -> dict[bytes, list[int]]:
        """Where in the journal each body was published."""
        found: dict[bytes, list[int]] = defaultdict(list)
        for each in self.sent:
            found[each.message.body].append(each.place)
        return found

    @cached_property
    def work(self) -> dict[str, list[Sent]]:
        """The work that was sent, by invocation id."""
        found: dict[str, list[Sent]] = defaultdict(list)
        for each in self.by_kind["automation.invoked"]:
            found[str(each.event["id"])].append(each)
        return found

    @cached_property
    def handled(self) -> list[tuple[int, Handled, Record]]:
        """The deliveries that were answered with yes."""
        return [
            (place, entry, read(entry.delivery.message.body))
            for place, entry in enumerate(self.entries)
            if isinstance(entry, Handled) and entry.ack is Ack.DONE
        ]

    @cached_property
    def calls(self) -> dict[str, list[Made]]:
        """The calls, by invocation id."""
        ends = {entry.number: (place, entry.outcome) for place, entry in enumerate(self.entries) if isinstance(entry, Returned)}
        found: dict[str, list[Made]] = defaultdict(list)
        for place, entry in enumerate(self.entries):
            if isinstance(entry, Called):
                returned, outcome = ends.get(entry.number, (None, None))
                made = Made(place, entry.at, entry, outcome, returned)
                found[entry.call.headers.get("x-invocation-id", "")].append(made)
        return found

    @cached_property
    def troubles(self) -> dict[str, list[tuple[int, str]]]:
        """Where something went wrong, by correlation id; those of all runs under an empty one."""
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for place, entry in enumerate(self.entries):
            if isinstance(entry, Trouble):
                found[entry.correlation_id].append((place, entry.kind))
        return found

    def latest(self, correlation_id: str, place: int) -> Record | None:
        """The run as it stood at that place of the journal."""
        before = [version.record for version in self.by_correlation.get(correlation_id, ()) if version.place < place]
        return before[-1] if before else None

    def published_before(self, body: bytes, place: int, since: int = 0) -> bool:
        """Whether this body was published between two places."""
        return any(since <= each < place for each in self.places.get(body, ()))

    def is_letter(self, body: bytes, place: int) -> bool:
        """Whether a dead letter held this body by then."""
        return any(each < place for each, _ in self.letters.get(body, ()))

    def went_wrong(self, correlation_id: str, first: int, last: int, kinds: set[str]) -> bool:
        """Whether something went wrong for this run between two places, so that an outcome may not be known."""
        known = [*self.troubles.get(correlation_id, ()), *self.troubles.get("", ())]
        return any(first < place < last and kind in kinds for place, kind in known)


def read(body: bytes) -> Record:
    """The event in a body; empty if it is none."""
    try:
        event = from_json(body)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def moment(text: str) -> datetime:
    """A point in time as records write it."""
    return datetime.fromisoformat(text)


def part_of(run: Record, invocation_id: str) -> Record:
    """The part of a run that an invocation id names; empty if it has none."""
    target = invocation_id.rpartition("/")[2]
    return next((part for part in run["invocations"] if part["target"] == target), {})

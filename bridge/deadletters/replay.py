"""Decides what a replay publishes: the original, or an edited event with its masks replaced, but never work whose deadline has passed.

An editor starts from `DeadLetter.view`, where secrets are masked. A `***` at a place that was masked there stands for the hidden value. At
any other place it is ordinary text, unless the place is secret. In that case nothing is published.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json

from bridge import cloudevents
from bridge.cloudevents import REQUESTED, timestamp
from bridge.deadletters.deadletter import DeadLetter, attributes
from bridge.errors import Malformed, NotReplayable, Violation
from bridge.events import DEADLETTERS, INVOKED
from bridge.jsontext import read_unique_json
from bridge.ports import Message
from bridge.redaction import MASK


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """A request of `by` to replay a dead letter.

    `number` asks for that replay and no later one. `edited` is the event to publish instead of the original.
    """

    by: str
    number: int | None = None
    edited: bytes | None = None


class _Masked:
    """Stands for `***` while it is not known whether it hides a value."""


_MASKED = _Masked()


def body(dead_letter: DeadLetter, request: ReplayRequest) -> bytes:
    """The event to publish. Raises Malformed if an edited event is not valid, or has masks at secret places that hide nothing."""
    if request.edited is None:
        return dead_letter.original()
    edited, original = _marked(read_unique_json(request.edited)[0]), attributes(dead_letter.original())
    # A secret that was given to one automation is not for another one.
    if isinstance(edited, dict) and original.get("subject") in (None, "", edited.get("subject")):
        edited = _restored(edited, original, dead_letter.redacted(original))
    forgotten = list(_forgotten(edited, dead_letter.redacted(edited), ""))
    if forgotten:
        problems = [Violation(pointer=place, rule="mask", detail=f"{MASK} stands for no value of the original here") for place in forgotten]
        raise Malformed(
            f"The edited event has {MASK} at {', '.join(forgotten[:5])}, which hides no value of the original.",
            hint="Write the value. Masks are put back at the same place of the same automation's event, in lists of the same length.",
            errors=problems[:100],
        )
    event = _plain(edited)
    # What a function takes from its queue need not be an event: then what it is edited to need not be one either.
    if not dead_letter.entity or "specversion" in original:
        cloudevents.read(event)
    return to_json(event)


def message(dead_letter: DeadLetter, content: bytes, now: datetime) -> Message:
    """The message of a claimed replay.

    Raises NotReplayable for work or a request whose deadline has passed, and for an event whose topic is unknown.
    """
    assert dead_letter.claim is not None  # noqa: S101 - a replay is claimed before its message is made
    if dead_letter.topic == DEADLETTERS and not dead_letter.entity:
        raise NotReplayable(
            f"The bus does not tell which topic dead letter {dead_letter.id} was published to at first.",
            hint=f"Publish it there yourself: `bridge deadletters show {dead_letter.id} --event` prints it.",
        )
    named = attributes(content)
    edited = dead_letter.claim.replay.edited
    return Message(
        topic=dead_letter.topic,
        body=content,
        message_id=dead_letter.claim.replay.message_id,
        correlation_id=_text(named, "correlationid", dead_letter.correlation_id) if edited else dead_letter.correlation_id,
        label=_text(named, "subject", dead_letter.automation) if edited else dead_letter.automation,
        content_type=cloudevents.STRUCTURED if edited and "specversion" in named else dead_letter.content_type,
        time_to_live=_time_left(dead_letter, named, now),
    )


def _time_left(dead_letter: DeadLetter, named: Mapping[str, Any], now: datetime) -> timedelta | None:
    """How long the message may wait on the bus. None if it has no deadline, and for requests, whose run ends and reports it."""
    original = attributes(dead_letter.original())
    # The deadline of work belongs to its run, so no edit moves it.
    work = INVOKED in (original.get("type"), named.get("type"))
    ends = [timestamp(str(each.get("expirytime", ""))) for each in ([named, original] if original.get("type") == INVOKED else [named])]
    end = min((moment for moment in ends if moment is not None), default=None)
    if end is None or not (work or named.get("type") == REQUESTED):
        return None
    if now < end:
        return end - now if work else None
    passed = f"The deadline of dead letter {dead_letter.id} passed at {end.isoformat()}"
    if work:
        again = shlex.quote(_text(named, "correlationid", dead_letter.correlation_id)[:100])
        raise NotReplayable(f"{passed}; its work must not start any more.", hint=f"`bridge rerun {again}` starts the whole run again.")
    raise NotReplayable(
        f"{passed}, so its request would only time out.",
        hint=f"Edit it: `bridge deadletters show {dead_letter.id} --event >event.json`, move `expirytime` or take it out, and "
        f"`bridge deadletters replay {dead_letter.id} --event event.json`.",
    )


def _text(named: Mapping[str, Any], name: str, default: str) -> str:
    value = named.get(name)
    return value if isinstance(value, str) and value else default


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _marked(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_marked(part) for part in value]
    return _MASKED if value == MASK else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return MASK if value is _MASKED else value


def _restored(value: Any, original: Any, shown: Any) -> Any:
    """`value` with the original's value wherever it has a mask and `shown`, the original as an editor saw it, has one, too."""
    if value is _MASKED:
        return original if shown == MASK else value
    if isinstance(value, dict) and isinstance(original, Mapping) and isinstance(shown, Mapping):
        return {name: _restored(part, original[name], shown[name]) if name in original else part for name, part in value.items()}
    # In a list of another length nobody knows which place is which.
    if isinstance(value, list) and isinstance(original, list) and isinstance(shown, list) and len(value) == len(original):
        return [_restored(*parts) for parts in zip(value, original, shown, strict=True)]
    return value


def _forgotten(value: Any, shown: Any, place: str) -> Iterator[str]:
    """JSON pointers of masks at secret places. These are the places where `shown`, the same event redacted, differs from it."""
    if value is _MASKED:
        if shown is not _MASKED:
            yield place or "/"
    elif isinstance(value, dict):
        for name, part in value.items():
            step = name.replace("~", "~0").replace("/", "~1")
            yield from _forgotten(part, shown[name] if isinstance(shown, Mapping) else None, f"{place}/{step}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _forgotten(part, shown[number] if isinstance(shown, list) else None, f"{place}/{number}")

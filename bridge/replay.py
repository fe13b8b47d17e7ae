"""What a replay publishes: the original or an edited event with its masks replaced, and never work whose deadline has passed.

Masks come from `DeadLetter.view`, which an editor starts from. A `***` at a place that was masked means what it hides; at any other place
it is a text like others, unless the place is a secret one: then nothing is published.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json

from bridge import envelope
from bridge.deadletter import DeadLetter, attributes
from bridge.envelope import parse_json, timestamp
from bridge.errors import Malformed, NotReplayable, Violation
from bridge.events import DEADLETTERS, INVOKED
from bridge.masking import MASK
from bridge.ports import Message
from bridge.request import REQUESTED


@dataclass(frozen=True, slots=True)
class Wish:
    """A replay that is asked for. `number`: this one and no later one; `edited`: the event to publish instead of the original."""

    by: str
    number: int | None = None
    edited: bytes | None = None


class _Masked:
    """What stands for `***` while it is not known whether it hides something."""


_MASKED = _Masked()


def body(letter: DeadLetter, wish: Wish) -> bytes:
    """What is published. Raises Malformed if an edited event is none, or has masks at secret places that hide nothing."""
    if wish.edited is None:
        return letter.original()
    edited, original = _marked(parse_json(wish.edited)), attributes(letter.original())
    # What one automation was told in confidence is not for another one.
    if isinstance(edited, dict) and original.get("subject") in (None, "", edited.get("subject")):
        edited = _restored(edited, original, letter.masked(original))
    forgotten = list(_forgotten(edited, letter.masked(edited), ""))
    if forgotten:
        problems = [Violation(pointer=place, rule="mask", detail=f"{MASK} stands for no value of the original here") for place in forgotten]
        raise Malformed(
            f"The edited event has {MASK} at {', '.join(forgotten[:5])}, which hides no value of the original.",
            hint="Write the value. Masks are put back at the same place of the same automation's event, in lists of the same length.",
            errors=problems[:100],
        )
    event = _plain(edited)
    envelope.read(event)
    return to_json(event)


def message(letter: DeadLetter, content: bytes, now: datetime) -> Message:
    """The message of a claimed replay.

    Raises NotReplayable for work or a request whose time is over, and for what nobody knows the topic of.
    """
    assert letter.claim is not None  # noqa: S101 - claims come before messages
    if letter.topic == DEADLETTERS:
        raise NotReplayable(
            f"The bus does not tell which topic dead letter {letter.id} was published to at first.",
            hint=f"Publish it there yourself: `bridge deadletters show {letter.id} --event` prints it.",
        )
    named = attributes(content)
    edited = letter.claim.replay.edited
    return Message(
        topic=letter.topic,
        body=content,
        message_id=letter.claim.replay.message_id,
        correlation_id=_text(named, "correlationid", letter.correlation_id) if edited else letter.correlation_id,
        label=_text(named, "subject", letter.automation) if edited else letter.automation,
        content_type=envelope.STRUCTURED if edited else letter.content_type,
        time_to_live=_time_left(letter, named, now),
    )


def _time_left(letter: DeadLetter, named: Mapping[str, Any], now: datetime) -> timedelta | None:
    """How long the message may wait on the bus; None for what has no deadline, and for requests, which end as a run that says so."""
    original = attributes(letter.original())
    # The deadline of work belongs to its run, so no edit moves it.
    work = INVOKED in (original.get("type"), named.get("type"))
    ends = [timestamp(str(each.get("expirytime", ""))) for each in ([named, original] if original.get("type") == INVOKED else [named])]
    end = min((moment for moment in ends if moment is not None), default=None)
    if end is None or not (work or named.get("type") == REQUESTED):
        return None
    if now < end:
        return end - now if work else None
    passed = f"The deadline of dead letter {letter.id} passed at {end.isoformat()}"
    if work:
        again = shlex.quote(_text(named, "correlationid", letter.correlation_id)[:100])
        raise NotReplayable(f"{passed}; its work must not start any more.", hint=f"`bridge rerun {again}` starts the whole run anew.")
    raise NotReplayable(
        f"{passed}, so its request would only time out.",
        hint=f"Edit it: `bridge deadletters show {letter.id} --event >event.json`, move `expirytime` or take it out, and "
        f"`bridge deadletters replay {letter.id} --event event.json`.",
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
    """`value` with what the original has wherever it carries a mask and `shown`, the original as an editor saw it, has one too."""
    if value is _MASKED:
        return original if shown == MASK else value
    if isinstance(value, dict) and isinstance(original, Mapping) and isinstance(shown, Mapping):
        return {name: _restored(part, original[name], shown[name]) if name in original else part for name, part in value.items()}
    # In a list of another length no place is surely the same one.
    if isinstance(value, list) and isinstance(original, list) and isinstance(shown, list) and len(value) == len(original):
        return [_restored(*parts) for parts in zip(value, original, shown, strict=True)]
    return value


def _forgotten(value: Any, shown: Any, place: str) -> Iterator[str]:
    """JSON pointers of the masks at secret places: where `shown`, the same event masked, differs from it."""
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

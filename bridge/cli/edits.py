"""An edit for the events of many dead letters: values that are set or removed at JSON pointers (RFC 6901)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from bridge.client.errors import Problem

Place = tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """The values to set, each with its JSON pointer, and the pointers to remove. An empty edit changes nothing and is falsy."""

    set: Sequence[tuple[Place, Any]] = ()
    remove: Sequence[Place] = ()
    options: str = ""  #: as they were written, for the command that goes on

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.set or self.remove)

    def apply(self, event: Any) -> Mapping[str, Any]:
        """The edited event. Raises Problem if it is not a JSON object, or if a pointer leads into a value that has no members."""
        if not isinstance(event, dict):
            raise Problem(422, "NotEditable", "The dead letter holds no JSON object.", "Edit it by hand: `show ID --event`.")
        edited: dict[str, Any] = json.loads(json.dumps(event))
        for place, value in self.set:
            _holder(edited, place)[place[-1]] = value
        for place in self.remove:
            _holder(edited, place).pop(place[-1], None)
        return edited


def read(assignments: Sequence[str], remove: Sequence[str]) -> Edit:
    """The edit that `--set POINTER=VALUE` and `--remove POINTER` describe. A value that is not JSON is text. Raises typer.BadParameter."""
    options = [f" --set {shlex.quote(each)}" for each in assignments] + [f" --remove {shlex.quote(each)}" for each in remove]
    return Edit([_assignment(each) for each in assignments], [_place(each) for each in remove], "".join(options))


def _assignment(text: str) -> tuple[Place, Any]:
    pointer, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set {text!r} is not POINTER=VALUE; write it like /data/region=west.")
    try:
        return _place(pointer), json.loads(value)
    except ValueError:
        return _place(pointer), value


def _place(pointer: str) -> Place:
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    if not steps or not pointer.startswith("/") or not all(steps):
        raise typer.BadParameter(f"{pointer!r} is not a JSON pointer; write it like /data/region or /expirytime.")
    return steps


def _holder(event: dict[str, Any], place: Place) -> dict[str, Any]:
    """The object that contains the last part of the pointer; missing objects are created."""
    for step in place[:-1]:
        inner = event.setdefault(step, {})
        if not isinstance(inner, dict):
            raise Problem(422, "NotEditable", f"/{'/'.join(place)}: {step!r} is not an object in this event.", "Edit it by hand.")
        event = inner
    return event

"""What is known of a function that exists: what starts it, and the parts of a request or message that its code reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

NOTHING = object()  #: stands for a default that the code does not give


class InputPlace(Enum):
    """Where a function reads a value from."""

    QUERY = "query"
    ROUTE = "route"
    HEADER = "header"
    BODY = "body"
    FORM = "form"


@dataclass
class FieldUse:
    """A value that the code reads. `path` leads to it from the top of its place; only that of a body may have more than one step."""

    place: InputPlace
    path: tuple[str, ...]
    line: int
    type: str = ""  #: in JSON Schema; empty if the code does not say
    required: bool = False  #: the code fails without it
    default: Any = NOTHING


@dataclass
class CodeFacts:
    """What the code of a function shows."""

    uses: list[FieldUse] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  #: what cannot be seen, and what to look at
    reads_event: bool = False  #: it takes the event of the bridge, not a bare input
    reads_raw: bool = False  #: it reads the body as text or bytes
    description: str = ""

    def add(self, use: FieldUse) -> None:
        """Remember a value; a place where more is said of a value that is known already adds to it."""
        for known in self.uses:
            if (known.place, known.path) == (use.place, use.path):
                known.type = known.type or use.type
                known.required = known.required or use.required
                known.default = use.default if known.default is NOTHING else known.default
                return
        self.uses.append(use)

    def note(self, text: str) -> None:
        """Remember what cannot be known, once."""
        if text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True)
class ExistingFunction:
    """A function with its trigger. `route` includes the prefix; a bus function has an `entity`, and for a topic a `subscription`."""

    app: str
    name: str
    source: str
    trigger: str  #: http, topic or queue
    facts: CodeFacts
    methods: tuple[str, ...] = ()
    route: str = ""
    entity: str = ""
    subscription: str = ""

"""What can be seen of a bridge from outside, in the order in which it happened: what the promises are held against.

A test writes the journal where things happen: the bus when a message is stored, the store when a version is, the functions when they are
called. Nothing here knows how the bridge works, so that the same journal can be kept of any runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bridge.errors import CallFailed
from bridge.ports import Ack, Delivery, FunctionCall, FunctionResponse, Message


@dataclass(frozen=True, slots=True)
class Published:
    """The bus stored this message."""

    at: datetime
    message: Message


@dataclass(frozen=True, slots=True)
class Stored:
    """The store holds this version now."""

    at: datetime
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Called:
    """A function was called; `number` joins the call and its answer."""

    at: datetime
    number: int
    call: FunctionCall


@dataclass(frozen=True, slots=True)
class Returned:
    """The function answered, or gave no answer."""

    at: datetime
    number: int
    outcome: FunctionResponse | CallFailed


@dataclass(frozen=True, slots=True)
class Handled:
    """A delivery was answered; None: its process died. `since` is the place in the journal where it was handed over."""

    at: datetime
    delivery: Delivery
    ack: Ack | None
    since: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A door said yes to a request."""

    at: datetime
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something after which an outcome may not be known: "store", "bus" or "crash"; without a correlation id it concerns all runs."""

    at: datetime
    kind: str
    correlation_id: str = ""


Observation = Published | Stored | Called | Returned | Handled | Admitted | Trouble


@dataclass
class Journal:
    """Observations in their order; `now` tells the time of each."""

    now: Callable[[], datetime]
    entries: list[Observation] = field(default_factory=list)
    _calls: int = 0

    def published(self, message: Message) -> None:
        self.entries.append(Published(self.now(), message))

    def stored(self, key: str, value: bytes) -> None:
        self.entries.append(Stored(self.now(), key, value))

    def called(self, call: FunctionCall) -> int:
        self._calls += 1
        self.entries.append(Called(self.now(), self._calls, call))
        return self._calls

    def returned(self, number: int, outcome: FunctionResponse | CallFailed) -> None:
        self.entries.append(Returned(self.now(), number, outcome))

    def handled(self, delivery: Delivery, ack: Ack | None, since: int) -> None:
        self.entries.append(Handled(self.now(), delivery, ack, since))

    def admitted(self, correlation_id: str) -> None:
        self.entries.append(Admitted(self.now(), correlation_id))

    def trouble(self, kind: str, correlation_id: str = "") -> None:
        self.entries.append(Trouble(self.now(), kind, correlation_id))

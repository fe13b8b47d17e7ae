"""Triggers and bindings of an app's functions, and the names that they may have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bridge.local.functions.retries import FunctionRetry
from bridge.local.functions.routes import Route
from bridge.local.functions.schedules import Schedule

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,127}|\$return")


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """The function runs when its route is requested with a key of its auth level; `anonymous` takes none."""

    parameter: str
    route: Route
    level: str = "function"  #: anonymous, function, system, user or admin

    @property
    def anonymous(self) -> bool:
        """Whether no key is needed."""
        return self.level == "anonymous"


class DataType(StrEnum):
    """`dataType` of a binding: what a value is handed over as."""

    UNDEFINED = "undefined"
    STRING = "string"
    BINARY = "binary"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class ServiceBusTrigger:
    """The function runs for each message of `entity`, which is "topic/Subscriptions/subscription" or the name of a queue."""

    parameter: str
    entity: str
    connection: str
    data_type: DataType = DataType.UNDEFINED
    sessions: bool = False  #: whether the entity has sessions
    many: bool = False  #: whether the function takes messages in batches
    largest_batch: int = 1000  #: messages
    deferred: bool = False  #: whether the function takes the message itself, with its AMQP types, instead of its body
    completes: bool = True  #: whether messages are completed after a success; else they stay locked until their locks end


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """The function runs by a schedule. `monitored`: its status is kept over restarts, so that a missed run is made up for."""

    parameter: str
    schedule: Schedule
    monitored: bool = True
    run_on_startup: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """The topic or queue that an output goes to, over a connection.

    Its name may have parts such as `{name}`, which the metadata of the trigger fill in.
    """

    entity: str
    connection: str = ""
    data_type: DataType = DataType.UNDEFINED


@dataclass(frozen=True, slots=True)
class ManualTrigger:
    """What a run by hand is made for: the trigger's parameter and its type in lower case."""

    parameter: str
    kind: str


@dataclass(frozen=True, slots=True)
class Function:
    """One function. A function whose trigger is None never runs in this host, and `idle` holds the reason."""

    name: str
    trigger: HttpTrigger | ServiceBusTrigger | TimerTrigger | None
    outputs: Mapping[str, Destination] = field(default_factory=dict)  #: by the parameter, or `$return`
    idle: str = ""
    by_hand: ManualTrigger | None = None  #: None for an HTTP function, which is run by a request
    response: str = "$return"  #: the binding whose value answers an HTTP request
    wants_metadata: bool = False  #: whether the function takes the metadata of its trigger
    disabled: bool = False  #: by a setting: nothing starts it but a run by hand
    retry: FunctionRetry | None = None
    broken: str = ""  #: why its worker cannot load it: its route is there, and each call fails, as in Azure
    unsent: tuple[str, ...] = ()  #: output bindings of types that this host does not send

    @property
    def has_expressions(self) -> bool:
        """Whether the name of an output has parts that the trigger fills in."""
        return any("{" in each.entity for each in self.outputs.values())

    @property
    def connections(self) -> list[str]:
        """The connections of its trigger and outputs, each once."""
        own = [self.trigger.connection] if isinstance(self.trigger, ServiceBusTrigger) else []
        return list(dict.fromkeys([*own, *(each.connection for each in self.outputs.values())]))


def check_names(bindings: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError for names that Azure's host refuses."""
    names = [str(each.get("name") or "") for each in bindings]
    for each, name in zip(bindings, names, strict=True):
        if not isinstance(each.get("type"), str | int) or not each["type"]:
            raise ValueError(f"has the binding '{name}' without a type")
        if not _NAME.fullmatch(name):
            raise ValueError(f"has the binding name '{name}', which is invalid: a letter, then letters and digits, or $return")
        if name == "$return" and not is_out(each):
            raise ValueError("has the binding $return, whose direction must be out")
    lower = [name.lower() for name in names]
    if twice := next((name for name in names if lower.count(name.lower()) > 1), None):
        raise ValueError(f"has several bindings with the name '{twice}', letter case aside; names must be unique")


def is_out(binding: Mapping[str, Any]) -> bool:
    """Whether the function hands something over by the binding."""
    return str(binding.get("direction", "in")).lower() in ("out", "inout")

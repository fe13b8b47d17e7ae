"""Reads the triggers and bindings of an app's functions from what its worker reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bridge.local.functions import schedules
from bridge.local.functions.retries import FunctionRetry
from bridge.local.functions.routes import Route
from bridge.local.functions.schedules import Schedule

Resolve = Callable[[str], str]
"""Replaces each `%NAME%`. Raises KeyError."""

_LEVELS = ("anonymous", "user", "function", "system", "admin")  #: in the order of their numbers
_BY_HAND = frozenset({"timertrigger", "queuetrigger", "eventgridtrigger", "manualtrigger", "warmuptrigger"})
_SERVED = _BY_HAND | {"httptrigger", "servicebustrigger"}
#: What Azure's extensions know beside them. A trigger or an input of these cannot be served here, an output cannot be sent.
_ELSEWHERE = frozenset(
    [
        "blob",
        "table",
        "cosmosdb",
        "eventhub",
        "eventgrid",
        "queue",
        "sendgrid",
        "twiliosms",
        "signalr",
        "signalrconnectioninfo",
        "kafka",
        "rabbitmq",
        "sql",
        "mysql",
        "durableclient",
        "orchestrationclient",
        "blobtrigger",
        "cosmosdbtrigger",
        "eventhubtrigger",
        "kafkatrigger",
        "rabbitmqtrigger",
        "sqltrigger",
        "mysqltrigger",
        "signalrtrigger",
        "orchestrationtrigger",
        "activitytrigger",
        "entitytrigger",
        "daprbindingtrigger",
        "daprtopictrigger",
        "daprserviceinvocationtrigger",
        "daprstate",
        "daprbinding",
        "daprpublish",
        "daprinvoke",
        "daprsecret",
        "textcompletion",
        "generictrigger",
        "generic",
        "mcptooltrigger",
    ]
)
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


def read(reported: Mapping[str, Any], resolve: Resolve, *, other_outputs: bool = False) -> Function:
    """The function that a worker describes as `{name, bindings}`.

    With `other_outputs` it may have output bindings that this host does not send.
    Raises ValueError, which says what this host cannot do and what to change.
    """
    name = reported["name"]
    try:
        described = reported["bindings"]
        unsent = [each for each in described if other_outputs and _is_output(each) and each["type"].lower() in _ELSEWHERE]
        function = _read(name, [each for each in described if each not in unsent], resolve)
        return replace(function, unsent=tuple(each["name"] for each in unsent))
    except KeyError as missing:
        raise ValueError(
            f"{name} names %{missing.args[0]}%, which is not set; set it in the environment or in Values of local.settings.json"
        ) from missing
    except ValueError as problem:
        raise ValueError(f"{name} {problem}") from problem


def _read(name: str, bindings: list[dict[str, Any]], resolve: Resolve) -> Function:
    trigger = _trigger(bindings)
    outputs = {each["name"]: _destination(each, resolve) for each in bindings if _is_output(each)}
    kind = trigger["type"].lower()
    if kind == "httptrigger":
        return Function(name, _http(name, trigger), outputs, response=_response(bindings))
    by_hand = ManualTrigger(trigger["name"], kind)
    if kind == "servicebustrigger":
        return Function(name, _service_bus(trigger, resolve), outputs, by_hand=by_hand)
    if kind == "timertrigger":
        return Function(name, _timer(trigger, resolve), outputs, by_hand=by_hand)
    return Function(name, None, outputs, idle=f"this host does not feed a {trigger['type']}", by_hand=by_hand)


def _trigger(bindings: list[dict[str, Any]]) -> dict[str, Any]:
    """The trigger of a function. Raises ValueError for bindings that Azure would not take, or that this host has nothing for."""
    triggers = [each for each in bindings if each["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise ValueError(f"has {len(triggers)} triggers; a function has exactly one")
    for each in bindings:
        kind, is_input = each["type"].lower(), not _is_out(each)
        if kind not in _SERVED | _ELSEWHERE | {"http", "servicebus"}:
            raise ValueError(f"has a binding of type {each['type']}, which is not registered; check the type, no extension of Azure has it")
        if is_input and kind in _ELSEWHERE:
            what = "trigger" if each is triggers[0] else "input"
            raise ValueError(f"has the {what} {each['name']} of type {each['type']}, which this host cannot serve; it runs in Azure only")
    return triggers[0]


def check_names(bindings: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError for names that Azure's host refuses."""
    names = [str(each.get("name") or "") for each in bindings]
    for each, name in zip(bindings, names, strict=True):
        if not isinstance(each.get("type"), str | int) or not each["type"]:
            raise ValueError(f"has the binding '{name}' without a type")
        if not _NAME.fullmatch(name):
            raise ValueError(f"has the binding name '{name}', which is invalid: a letter, then letters and digits, or $return")
        if name == "$return" and not _is_out(each):
            raise ValueError("has the binding $return, whose direction must be out")
    lower = [name.lower() for name in names]
    if twice := next((name for name in names if lower.count(name.lower()) > 1), None):
        raise ValueError(f"has several bindings with the name '{twice}', letter case aside; names must be unique")


def _is_out(binding: Mapping[str, Any]) -> bool:
    return str(binding.get("direction", "in")).lower() in ("out", "inout")


def _is_output(binding: Mapping[str, Any]) -> bool:
    """Whether the binding sends something elsewhere than to the caller."""
    return _is_out(binding) and binding["type"].lower() != "http"


def _response(bindings: list[dict[str, Any]]) -> str:
    """The name of the `http` output binding."""
    return next((str(each["name"]) for each in bindings if each["type"].lower() == "http"), "$return")


def _http(name: str, binding: dict[str, Any]) -> HttpTrigger:
    text = binding.get("route")
    route = str(text) if text is not None and str(text).strip() else name
    methods = binding.get("methods")
    listed = methods if isinstance(methods, list) else [methods] if isinstance(methods, str) else None
    written = tuple(str(each) for each in listed or ())
    return HttpTrigger(
        binding["name"],
        Route(name, route, None if listed is None else frozenset(each.upper() for each in written), written),
        _level(binding),
    )


def _level(binding: dict[str, Any]) -> str:
    given = binding.get("authLevel")
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(_LEVELS):
        return _LEVELS[given]
    level = str(given or "function").lower()
    if level not in _LEVELS:
        raise ValueError(f"has the auth level {given}, which does not exist; write anonymous, function or admin")
    return level


def _service_bus(binding: dict[str, Any], resolve: Resolve) -> ServiceBusTrigger:
    named = {name.lower(): value for name, value in binding.items() if value is not None}
    if "topicname" in named and "subscriptionname" not in named:
        raise ValueError(f"has the trigger {binding['name']} with topicName and without subscriptionName; write both")
    entity = resolve(_entity(named))
    if "topicname" in named:
        entity += f"/Subscriptions/{resolve(str(named['subscriptionname']))}"
    return ServiceBusTrigger(
        binding["name"],
        entity,
        _connection(named),
        _data_type(named),
        sessions=_is_true(named.get("issessionsenabled")),
        many=str(named.get("cardinality", "one")).lower() in ("many", "1"),
        largest_batch=_count(named.get("maxmessagebatchsize"), 1000),
        deferred=_is_true((named["properties"] if isinstance(named.get("properties"), dict) else {}).get("supportsDeferredBinding")),
        completes=_is_true(named.get("autocompletemessages", True)),
    )


def _timer(binding: dict[str, Any], resolve: Resolve) -> TimerTrigger:
    schedule = schedules.parse(resolve(str(binding.get("schedule") or "")))
    monitored = _flag(binding, "useMonitor", default=True) and not schedule.is_frequent
    return TimerTrigger(binding["name"], schedule, monitored, _flag(binding, "runOnStartup", default=False))


def _flag(binding: Mapping[str, Any], name: str, *, default: bool) -> bool:
    return str(binding.get(name, default)).lower() == "true"


def _destination(binding: dict[str, Any], resolve: Resolve) -> Destination:
    if binding["type"].lower() != "servicebus":
        raise ValueError(f"has an output binding of type {binding['type']}; this host sends only serviceBus")
    named = {name.lower(): value for name, value in binding.items() if value is not None}
    return Destination(resolve(_entity(named)), _connection(named), _data_type(named))


def _entity(named: Mapping[str, Any]) -> str:
    name = str(named.get("topicname") or named.get("queuename") or named.get("queueortopicname") or "")
    if not name:
        raise ValueError(f"has the binding {named.get('name')} without queueName and topicName; write one of them")
    return name


def _connection(named: Mapping[str, Any]) -> str:
    return str(named.get("connection") or "")


def _data_type(named: Mapping[str, Any]) -> DataType:
    given = str(named.get("datatype") or DataType.UNDEFINED).lower()
    if given not in list(DataType):
        raise ValueError(f"has the binding {named.get('name')} with the dataType {given}, which does not exist; write string or binary")
    return DataType(given)


def _is_true(value: object) -> bool:
    return str(value).strip().lower() == "true"


def _count(value: object, otherwise: int) -> int:
    if value is None:
        return otherwise
    if not re.fullmatch(r"\s*\d+\s*", str(value)) or int(str(value)) < 1:
        raise ValueError(f"has maxMessageBatchSize {value!r}; it must be a number from 1 on")
    return int(str(value))

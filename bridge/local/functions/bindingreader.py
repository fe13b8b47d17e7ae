"""Reads the triggers and bindings of a function from what its worker reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bridge.local.functions import schedules
from bridge.local.functions.bindings import (
    DataType,
    Destination,
    Function,
    HttpTrigger,
    ManualTrigger,
    ServiceBusTrigger,
    TimerTrigger,
    is_out,
)
from bridge.local.functions.routes import Route

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


def types() -> frozenset[str]:
    """The types of bindings that extensions of Azure have, in small letters."""
    return _SERVED | _ELSEWHERE | {"http", "servicebus"}


def levels() -> tuple[str, ...]:
    """The levels of `authLevel`."""
    return _LEVELS


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
        kind, is_input = each["type"].lower(), not is_out(each)
        if kind not in types():
            raise ValueError(f"has a binding of type {each['type']}, which is not registered; check the type, no extension of Azure has it")
        if is_input and kind in _ELSEWHERE:
            what = "trigger" if each is triggers[0] else "input"
            raise ValueError(f"has the {what} {each['name']} of type {each['type']}, which this host cannot serve; it runs in Azure only")
    return triggers[0]


def _is_output(binding: Mapping[str, Any]) -> bool:
    """Whether the binding sends something elsewhere than to the caller."""
    return is_out(binding) and binding["type"].lower() != "http"


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

"""The functions of an app as its worker describes them, read into what the host acts on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.local.functions import routes

Resolve = Callable[[str], str]
"""Replaces each `%NAME%`. Raises KeyError."""


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """Called over HTTP, with the app's key unless `anonymous`."""

    parameter: str
    route: routes.Route
    anonymous: bool


@dataclass(frozen=True, slots=True)
class BusTrigger:
    """Fed from `entity`: "topic/subscription" or a queue's name."""

    parameter: str
    entity: str
    connection: str


@dataclass(frozen=True, slots=True)
class Function:
    """One function. Without a trigger the host never runs it, and `idle` says why."""

    name: str
    trigger: HttpTrigger | BusTrigger | None
    outputs: Mapping[str, str] = field(default_factory=dict)  #: parameter, or `$return`, to the topic or queue it is sent to
    idle: str = ""


def read(described: Mapping[str, Any], resolve: Resolve) -> Function:
    """The function that a worker describes as `{name, bindings}`. Raises ValueError with what this host cannot do, and the mend."""
    name = described["name"]
    try:
        return _read(name, described["bindings"], resolve)
    except KeyError as missing:
        raise ValueError(
            f"{name} names %{missing.args[0]}%, which is not set; set it in the environment or in Values of local.settings.json"
        ) from missing
    except ValueError as problem:
        raise ValueError(f"{name} {problem}") from problem


def _read(name: str, bindings: list[dict[str, Any]], resolve: Resolve) -> Function:
    triggers = [each for each in bindings if each["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise ValueError(f"has {len(triggers)} triggers; a function has exactly one")
    outputs = {
        each["name"]: _sent_to(each, resolve) for each in bindings if each["direction"].lower() == "out" and each["type"].lower() != "http"
    }
    kind = triggers[0]["type"].lower()
    if kind == "httptrigger":
        return Function(name, _http(name, triggers[0]), outputs)
    if kind == "servicebustrigger":
        return Function(name, _bus(triggers[0], resolve), outputs)
    return Function(name, None, outputs, idle=f"this host does not feed a {triggers[0]['type']}")


def _http(name: str, binding: dict[str, Any]) -> HttpTrigger:
    level = str(binding.get("authLevel", "function")).lower()
    if level not in ("anonymous", "function"):
        raise ValueError(f"has the auth level {level}, which takes the master key; use function")
    template = binding.get("route", name)
    try:
        segments = routes.parse(template)
    except ValueError as problem:
        raise ValueError(f"has the route {template!r}, which {problem}") from problem
    methods = frozenset(str(method).upper() for method in binding.get("methods") or ())
    return HttpTrigger(binding["name"], routes.Route(name, segments, methods), anonymous=level == "anonymous")


def _bus(binding: dict[str, Any], resolve: Resolve) -> BusTrigger:
    if str(binding.get("cardinality", "one")).lower() == "many":
        raise ValueError("takes messages in batches (cardinality many), which this host does not feed; take one at a time")
    if binding.get("isSessionsEnabled"):
        raise ValueError("takes sessions, which this host does not feed; set is_sessions_enabled to False")
    if "topicName" in binding:
        entity = f"{resolve(binding['topicName'])}/{resolve(binding['subscriptionName'])}"
    else:
        entity = resolve(binding["queueName"])
    return BusTrigger(binding["name"], entity, binding.get("connection", ""))


def _sent_to(binding: dict[str, Any], resolve: Resolve) -> str:
    if binding["type"].lower() != "servicebus":
        raise ValueError(f"has an output binding of type {binding['type']}; this host sends only serviceBus")
    return resolve(binding["topicName"] if "topicName" in binding else binding["queueName"])

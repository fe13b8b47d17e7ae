"""The trigger of a Python function of model v2, read from its decorators."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from bridge.scaffold.pythonsource import Function, PythonSource

#: The first parameters of the decorators, in their order, by the names that the bindings of function.json have.
_POSITIONAL = {
    "route": ("route",),
    "function_name": ("name",),
    "service_bus_topic_trigger": ("arg_name", "connection", "topic_name", "subscription_name"),
    "service_bus_queue_trigger": ("arg_name", "connection", "queue_name"),
}
_BINDINGS = {"topic_name": "topicName", "subscription_name": "subscriptionName", "queue_name": "queueName"}


def functions(source: PythonSource) -> Iterator[tuple[str, Function, dict[str, Any]]]:
    """Each function that has a trigger: its name in Azure, its code, and the binding of its trigger as in function.json."""
    for node in source.functions.values():
        decorators = dict(_described(each) for each in node.decorator_list if isinstance(each, ast.Call))
        if (binding := _binding(node.name, decorators)) is not None:
            yield str(decorators.get("function_name", {}).get("name") or node.name), node, binding


def _described(call: ast.Call) -> tuple[str, dict[str, Any]]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    given = dict(zip(_POSITIONAL.get(name, ()), map(_value, call.args), strict=False))
    return name, {**given, **{each.arg: _value(each.value) for each in call.keywords if each.arg}}


def _binding(name: str, decorators: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    if "route" in decorators:
        route = decorators["route"]
        return {"type": "httpTrigger", "route": route.get("route") or name, "methods": route.get("methods") or []}
    for kind in ("service_bus_topic_trigger", "service_bus_queue_trigger"):
        if kind in decorators:
            return {"type": "serviceBusTrigger", **{_BINDINGS[key]: text for key, text in decorators[kind].items() if key in _BINDINGS}}
    other = next((each for each in decorators if each.endswith("_trigger")), None)
    return {"type": other.replace("_", " ")} if other else None


def _value(node: ast.expr) -> Any:
    """A constant, or a list of them; `func.HttpMethod.POST` is `POST`. Nothing for what is computed."""
    if isinstance(node, ast.List | ast.Tuple):
        return [found for each in node.elts if (found := _value(each)) is not None]
    if isinstance(node, ast.Constant):
        return node.value
    return node.attr if isinstance(node, ast.Attribute) else None

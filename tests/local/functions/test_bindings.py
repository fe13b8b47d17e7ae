from __future__ import annotations

from typing import Any

import pytest

from bridge.local.functions import appsettings, bindings
from bridge.local.functions.bindings import BusTrigger, Function, HttpTrigger

HTTP = {"type": "httpTrigger", "direction": "IN", "name": "req", "authLevel": "FUNCTION", "route": "things/{id}", "methods": ["get"]}
BUS = {
    "type": "serviceBusTrigger",
    "direction": "IN",
    "name": "message",
    "connection": "Bus",
    "topicName": "%TOPIC%",
    "subscriptionName": "s",
}


def read(*described: dict[str, Any]) -> Function:
    settings = {"TOPIC": "work"}
    return bindings.read({"name": "f", "bindings": list(described)}, lambda text: appsettings.resolve(text, settings))


def test_an_http_function_has_its_route_and_wants_the_key() -> None:
    trigger = read(HTTP, {"type": "http", "direction": "OUT", "name": "$return"}).trigger

    assert isinstance(trigger, HttpTrigger)
    assert (trigger.route.methods, trigger.anonymous) == ({"GET"}, False)


def test_a_function_without_a_route_answers_under_its_name() -> None:
    trigger = read({key: value for key, value in HTTP.items() if key not in ("route", "methods")}).trigger

    assert isinstance(trigger, HttpTrigger)
    assert ([segment.text for segment in trigger.route.segments], trigger.route.methods) == (["f"], frozenset())


def test_names_in_percent_signs_come_from_the_settings() -> None:
    assert read(BUS, {"type": "serviceBus", "direction": "OUT", "name": "out", "queueName": "%TOPIC%-done"}) == Function(
        "f", BusTrigger("message", "work/s", "Bus"), {"out": "work-done"}
    )


def test_a_trigger_that_is_not_fed_here_leaves_the_function_idle() -> None:
    assert read({"type": "timerTrigger", "direction": "IN", "name": "timer"}).idle == "this host does not feed a timerTrigger"


@pytest.mark.parametrize(
    ("described", "problem"),
    [
        ([{**BUS, "topicName": "%MISSING%"}], "f names %MISSING%, which is not set"),
        ([{**BUS, "cardinality": "MANY"}], "take one at a time"),
        ([{**BUS, "isSessionsEnabled": True}], "set is_sessions_enabled to False"),
        ([{**HTTP, "authLevel": "ADMIN"}], "use function"),
        ([{**HTTP, "route": "{id:int}"}], "without constraint"),
        ([HTTP, {"type": "blob", "direction": "OUT", "name": "out"}], "sends only serviceBus"),
        ([], "has 0 triggers"),
    ],
)
def test_what_this_host_cannot_do_is_refused_with_the_mend(described: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(*described)

from __future__ import annotations

from typing import Any

import pytest

from bridge.local.functions import appsettings, bindingreader
from bridge.local.functions.bindings import DataType, Destination, Function, HttpTrigger, ManualTrigger, ServiceBusTrigger, TimerTrigger

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
    return bindingreader.read({"name": "f", "bindings": list(described)}, lambda text: appsettings.resolve(text, settings))


def test_an_http_function_has_its_route_and_wants_the_key() -> None:
    trigger = read(HTTP, {"type": "http", "direction": "OUT", "name": "$return"}).trigger

    assert isinstance(trigger, HttpTrigger)
    assert (trigger.route.methods, trigger.anonymous) == ({"GET"}, False)


def test_a_function_without_a_route_answers_under_its_name() -> None:
    trigger = read({key: value for key, value in HTTP.items() if key not in ("route", "methods")}).trigger

    assert isinstance(trigger, HttpTrigger)
    assert (trigger.route.text, trigger.route.methods) == ("f", None)


def test_names_in_percent_signs_come_from_the_settings() -> None:
    assert read(BUS, {"type": "serviceBus", "direction": "OUT", "name": "out", "queueName": "%TOPIC%-done"}) == Function(
        "f",
        ServiceBusTrigger("message", "work/Subscriptions/s", "Bus"),
        {"out": Destination("work-done")},
        by_hand=ManualTrigger("message", "servicebustrigger"),
    )


def test_a_function_may_use_several_connections() -> None:
    out = {"type": "serviceBus", "direction": "OUT", "name": "out", "queueName": "done", "connection": "Other"}
    assert read(BUS, out, {**out, "name": "more"}).connections == ["Bus", "Other"]


def test_a_trigger_may_take_sessions() -> None:
    trigger = read({**BUS, "isSessionsEnabled": True}).trigger
    assert isinstance(trigger, ServiceBusTrigger)
    assert trigger.sessions


def test_a_trigger_may_take_batches_and_leave_their_settlement_to_nobody() -> None:
    named = {"CARDINALITY": "Many", "maxMessageBatchSize": "5", "AutoCompleteMessages": False, "dataType": "Binary"}
    trigger = read({**BUS, **named}).trigger

    assert trigger == ServiceBusTrigger(
        "message", "work/Subscriptions/s", "Bus", DataType.BINARY, many=True, largest_batch=5, completes=False
    )


def test_a_trigger_that_is_not_fed_here_leaves_the_function_idle() -> None:
    assert read({"type": "queueTrigger", "direction": "IN", "name": "m", "queueName": "q"}).idle == "this host does not feed a queueTrigger"


def test_a_timer_has_its_schedule_and_is_not_monitored_where_it_comes_more_than_once_a_minute() -> None:
    def timer(schedule: str, **fields: object) -> TimerTrigger:
        trigger = read({"type": "timerTrigger", "direction": "IN", "name": "t", "schedule": schedule, **fields}).trigger
        assert isinstance(trigger, TimerTrigger)
        return trigger

    assert timer("0 */5 * * * *").monitored
    assert not timer("*/5 * * * * *").monitored
    assert not timer("00:00:30").monitored
    assert not timer("0 */5 * * * *", useMonitor=False).monitored
    assert timer("0 */5 * * * *", runOnStartup=True).run_on_startup


@pytest.mark.parametrize(
    ("described", "problem"),
    [
        ([{**BUS, "topicName": "%MISSING%"}], "f names %MISSING%, which is not set"),
        ([{name: each for name, each in BUS.items() if name != "topicName"}], "without queueName and topicName"),
        ([{name: each for name, each in BUS.items() if name != "subscriptionName"}], "with topicName and without subscriptionName"),
        ([{**BUS, "dataType": "xml"}], "the dataType xml, which does not exist"),
        ([{**BUS, "maxMessageBatchSize": 0}], "maxMessageBatchSize 0"),
        ([{**HTTP, "authLevel": "NOBODY"}], "the auth level NOBODY, which does not exist"),
        ([{"type": "timerTrigger", "direction": "IN", "name": "timer", "schedule": "@daily"}], "neither a cron expression nor a time span"),
        (
            [{"type": "blobTrigger", "direction": "IN", "name": "blob"}],
            "the trigger blob of type blobTrigger, which this host cannot serve",
        ),
        ([HTTP, {"type": "table", "direction": "IN", "name": "rows"}], "the input rows of type table, which this host cannot serve"),
        ([HTTP, {"type": "nosuch", "direction": "OUT", "name": "out"}], "a binding of type nosuch, which is not registered"),
        ([HTTP, {"type": "blob", "direction": "OUT", "name": "out"}], "sends only serviceBus"),
        ([], "has 0 triggers"),
    ],
)
def test_what_this_host_cannot_do_is_refused_with_the_mend(described: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(*described)

from __future__ import annotations

import pytest

from bridge.local.functions import servicebusnotes
from bridge.local.functions.bindings import DataType, Function, ServiceBusTrigger
from bridge.local.functions.hostjson import ServiceBus
from bridge.local.functions.retries import FunctionRetry

SINGLE = ServiceBusTrigger("message", "work", "Bus")
RETRY = FunctionRetry(2, 1.0, 1.0, grows=False)


@pytest.mark.parametrize(
    ("function", "notes"),
    [
        (Function("f", SINGLE), []),
        (Function("f", ServiceBusTrigger("m", "work", "", DataType.STREAM)), ["dataType stream"]),
        (Function("f", ServiceBusTrigger("m", "work", "", completes=False)), ["nothing completes a message after a success"]),
        (Function("f", SINGLE, retry=RETRY), ["Azure announces their end"]),
        (Function("f", ServiceBusTrigger("m", "work", "", many=True)), ["fails its whole batch", "not renewed, here or in Azure"]),
        (Function("f", ServiceBusTrigger("m", "work", "", many=True, deferred=True)), ["not renewed, here or in Azure"]),
        (Function("f", ServiceBusTrigger("m", "work", "", completes=False, deferred=True)), ["does not settle itself"]),
        (Function("f", ServiceBusTrigger("m", "work", "", DataType.STRING, many=True)), ["not renewed, here or in Azure"]),
        (Function("f", ServiceBusTrigger("m", "work", "", many=True), disabled=True), []),
    ],
)
def test_a_function_is_told_what_becomes_of_its_messages(function: Function, notes: list[str]) -> None:
    found = list(servicebusnotes.of_function(function, []))

    assert len(found) == len(notes)
    assert all(note in text for note, text in zip(notes, found, strict=True))


def test_metadata_of_an_output_have_no_effect() -> None:
    (note,) = servicebusnotes.of_function(Function("f", None), [{"type": "serviceBus", "name": "out", "IncludeMetadata": True}])

    assert "includeMetadata of out has no effect" in note


def test_a_function_that_cannot_load_eats_its_messages_in_azure() -> None:
    bindings = [{"type": "serviceBusTrigger", "name": "m", "topicName": "work", "subscriptionName": "mine"}]
    (note,) = servicebusnotes.of_refused("f", bindings)

    assert "each message of work/mine fails MaxDeliveryCount times" in note
    assert not list(servicebusnotes.of_refused("f", [{"type": "httpTrigger", "name": "req"}]))


def test_functions_that_run_twice_when_azures_host_stops_are_named_once() -> None:
    functions = [Function("one", SINGLE), Function("two", SINGLE), Function("off", SINGLE, disabled=True), Function("http", None)]
    (note,) = servicebusnotes.of_app([*functions, Function("many", ServiceBusTrigger("m", "q", "", many=True))], ServiceBus())

    assert "it runs twice: one, two. Here" in note


def test_settings_that_have_no_effect_here_are_named() -> None:
    settings = ServiceBus.model_validate({"prefetchCount": 10})

    assert any("prefetchCount of host.json" in each for each in servicebusnotes.of_app([Function("f", SINGLE)], settings))
    assert not list(servicebusnotes.of_app([Function("f", None)], settings))

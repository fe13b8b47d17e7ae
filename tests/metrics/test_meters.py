"""What is counted of calls and messages, and that no caller can make series without end."""

from __future__ import annotations

import pytest
from prometheus_client import Metric

from bridge.metrics.meters import Meters


def series(meters: Meters, family: str) -> dict[tuple[str, ...], float]:
    """How many values each series of a metric has, by the values of its labels that are not empty."""
    found: list[Metric] = [each for each in meters.registry.collect() if each.name == family]
    counts = [each for metric in found for each in metric.samples if each.name.endswith(("_count", "_total"))]
    return {tuple(value for value in each.labels.values() if value): each.value for each in counts}


@pytest.mark.parametrize(
    ("status", "counted"),
    [(202, ("202",)), (404, ("404",)), (503, ("503", "503")), (0, ("Interrupted",))],
)
def test_only_what_the_bridge_did_wrong_is_an_error_of_the_server(status: int, counted: tuple[str, ...]) -> None:
    meters = Meters("embedded")
    meters.served("GET", "https", "/v1/events", status, 0.1)
    assert series(meters, "http_server_request_duration") == {("GET", *counted, "https", "/v1/events"): 1}


def test_a_caller_who_makes_up_methods_schemes_and_paths_makes_one_series() -> None:
    meters = Meters("embedded")
    for number in range(100):
        meters.served(f"M{number}", f"s{number}", "", 404, 0.1)
        meters.served("get", "http", "", 404, 0.1)
    assert series(meters, "http_server_request_duration") == {("_OTHER", "404", "http"): 200}


@pytest.mark.parametrize(
    ("status", "error", "counted"),
    [(200, "", ("POST", "200")), (404, "", ("POST", "404", "404")), (502, "", ("POST", "502", "502")), (0, "Timeout", ("POST", "Timeout"))],
)
def test_what_a_function_refuses_or_does_not_answer_is_an_error_of_the_client(status: int, error: str, counted: tuple[str, ...]) -> None:
    meters = Meters("embedded")
    meters.called("POST", "reports", "/api/report/{id}", status, error, 0.1)
    assert series(meters, "http_client_request_duration") == {(*counted, "reports", "/api/report/{id}"): 1}


def test_messages_are_counted_by_topic_and_subscription() -> None:
    meters = Meters("dapr")
    meters.sent(["work"] * 3, "", 0.1)
    meters.sent(["work"] * 2, "Unavailable", 0.1)
    meters.consumed("automation-results/bridge")
    meters.processed("automation-results/bridge", "", 0.1)
    meters.consumed("automation-deadletters")
    meters.processed("automation-deadletters", "abandoned", 0.1)
    assert series(meters, "messaging_client_sent_messages") == {
        ("dapr", "send", "work"): 3,
        ("dapr", "send", "work", "Unavailable"): 2,
    }
    assert series(meters, "messaging_client_operation_duration") == {
        ("dapr", "send", "work", "send"): 1,
        ("dapr", "send", "work", "Unavailable", "send"): 1,
    }
    received = {("dapr", "process", "automation-results", "bridge"): 1, ("dapr", "process", "automation-deadletters"): 1}
    assert series(meters, "messaging_client_consumed_messages") == received
    abandoned = {("dapr", "process", "automation-deadletters", "abandoned"): 1}
    assert series(meters, "messaging_process_duration") == {("dapr", "process", "automation-results", "bridge"): 1, **abandoned}

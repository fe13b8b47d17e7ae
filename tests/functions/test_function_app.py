from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import function_app
import pytest
from azure.functions.servicebus import ServiceBusMessage

from bridge import catalog
from tests.functions.conftest import BROKEN, FakeBridge, make_certificate
from tests.functions.test_bridge_result import body

FUNCTIONS = Path(__file__).parents[2] / "functions"
SETTINGS = json.loads((FUNCTIONS / "python" / "local.settings.json").read_text())["Values"]


class Box(func.Out[str]):
    """What an output binding takes."""

    value: str | None = None

    def set(self, val: str) -> None:
        self.value = val

    def get(self) -> str:
        return self.value or ""


def post(function: Callable[[func.HttpRequest], func.HttpResponse], content: bytes | dict[str, Any]) -> tuple[int, dict[str, Any]]:
    sent = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = function(func.HttpRequest(method="POST", url="/api/x", body=sent))
    assert answer.mimetype == "application/json"
    return answer.status_code, json.loads(answer.get_body())


def run(content: object, **attributes: Any) -> dict[str, Any]:
    """The result event of table.summarize."""
    sent = body(data=content, **attributes)
    message = ServiceBusMessage(body=sent, message_id="order-1/summarize", application_properties={}, user_properties={})
    box = Box()
    function_app.table_summarize(message, box)
    found: dict[str, Any] = json.loads(box.get())
    return found


def test_a_certificate_is_inspected_over_http() -> None:
    status, found = post(function_app.certificate_inspect, {"pem": make_certificate("db1.example", days=9_000)})
    assert (status, found["subject"], found["expired"], found["certificates"]) == (200, "CN=db1.example", False, 1)


def test_a_fleet_is_looked_at_from_both_sides_with_the_same_input() -> None:
    value = {"bundle": make_certificate(days=9_000) + BROKEN, "warnDays": 10}
    assert post(function_app.fleet_expiry, value)[1]["later"] == 1
    assert post(function_app.fleet_strength, value)[1]["keys"] == [{"type": "EC", "bits": 256, "count": 1}]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "Malformed"),
        (b"{", 400, "Malformed"),
        (b"\xff", 400, "Malformed"),
        (b"[" * 100_000, 400, "Malformed"),
        (b"[1]", 400, "Malformed"),
        (b"{}", 422, "InvalidInput"),
        (b'{"bundle": "prose"}', 422, "NoCertificates"),
    ],
)
def test_bodies_that_cannot_be_used_are_refused_with_code_and_message(content: bytes, status: int, code: str) -> None:
    answered, found = post(function_app.fleet_strength, content)
    assert (answered, found["code"], set(found)) == (status, code, {"code", "message"})


def test_the_log_has_one_line_with_counts_and_never_the_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    post(function_app.certificate_inspect, {"pem": make_certificate("secret.example")})
    run({"csv": "secret\n1\n"})
    assert len(caplog.records) == 2
    assert "secret" not in caplog.text


def test_a_table_is_summarized_as_one_result_event() -> None:
    result = run({"csv": "name,days\nrenewed,30\nexpired,-2\n"})
    assert (result["type"], result["causationid"], result["data"]["status"]) == ("automation.result", "order-1/summarize", "succeeded")
    days = result["data"]["output"]["columns"][1]
    assert days == {"name": "days", "type": "integer", "count": 2, "missing": 0, "distinct": 2, "min": -2, "max": 30, "mean": 14}


@pytest.mark.parametrize(
    ("content", "code"), [({"csv": "a,b\n1\n"}, "NotATable"), ({"csv": "a", "pause": -1}, "InvalidInput"), ([], "InvalidInput")]
)
def test_an_input_that_cannot_be_used_fails_and_is_not_tried_again(content: object, code: str) -> None:
    data = run(content)["data"]
    assert (data["status"], data["error"]["code"], data["error"]["retriable"]) == ("failed", code, False)


def test_a_canceled_table_ends_as_a_failure_named_canceled(bridge: FakeBridge) -> None:
    bridge.answer = {"canceled": True}
    assert run({"csv": "a\n1\n"}, invocationurl=bridge.url)["data"]["error"]["code"] == "Canceled"


def test_a_table_past_its_deadline_is_not_started() -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert run({"csv": "a\n1\n"}, expirytime=past)["data"]["error"]["code"] == "DeadlinePassed"


def test_a_long_table_tells_how_far_it_is(bridge: FakeBridge) -> None:
    result = run({"csv": "a\n" + "1\n" * 500, "pause": 300}, invocationurl=bridge.url)
    told = [data["progress"] for method, _, token, data in bridge.heard if method == "POST" and token == "secret"]
    assert result["data"]["status"] == "succeeded"
    assert told[0] == {"percent": 0.0, "message": "0 rows"}
    assert told[-1] == {"percent": 100.0, "message": "500 rows"}


def test_a_message_that_is_no_invocation_goes_back_to_the_broker() -> None:
    with pytest.raises(ValueError, match="Only the bridge sends to this topic"):
        function_app.table_summarize(ServiceBusMessage(body=b"?", message_id="1", application_properties={}, user_properties={}), Box())


def test_every_setting_that_a_trigger_names_has_a_local_value() -> None:
    named = {value for binding in BINDINGS for value in binding.values() if isinstance(value, str) and value.startswith("%")}
    assert named
    assert {value.strip("%") for value in named} <= set(SETTINGS)


def test_every_http_target_of_the_catalogue_is_a_function_that_asks_for_its_key() -> None:
    targets = {
        target.http.path
        for automation in catalog.load(FUNCTIONS / "automations.yaml")
        for target in automation.targets
        if target.http and target.http.app == "python-functions"
    }
    triggers = [binding for binding in BINDINGS if binding["type"] == "httpTrigger"]
    assert targets == {f"/api/{trigger['route']}" for trigger in triggers}
    assert {(str(trigger["authLevel"]).lower(), *trigger["methods"]) for trigger in triggers} == {("function", "POST")}


def test_the_topic_target_of_the_catalogue_is_the_topic_of_the_trigger() -> None:
    targets = {
        target.topic.name for automation in catalog.load(FUNCTIONS / "automations.yaml") for target in automation.targets if target.topic
    }
    topics = {SETTINGS[str(binding["topicName"]).strip("%")] for binding in BINDINGS if binding["type"] == "serviceBusTrigger"}
    assert topics == targets & {"automation-python"}


#: Read once: an app object gives its functions out a single time.
BINDINGS: list[dict[str, Any]] = [json.loads(raw) for each in function_app.app.get_functions() for raw in each.get_raw_bindings()]

"""What a 202 says of where the work goes on, and what the status address answers."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bridge.errors import CallFailed
from bridge.outcome import Accepted, Failed, Succeeded
from bridge.outcome.following import LONGEST, SHORTEST, USUAL, Elsewhere, GoesOn, Place, accepted, place, status
from bridge.ports import FunctionResponse

LIMIT = 1_000_000
STATUS = "https://app.example/runtime/webhooks/durabletask/instances/a1?taskHub=H&code=K"
ASKED = Place("", "/api/start/it?x=1")


def answer(code: int, body: Any = None, **headers: str) -> FunctionResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return FunctionResponse(code, {"content-type": "application/json", **given}, b"" if body is None else json.dumps(body).encode())


def test_by_default_a_result_event_follows():
    assert accepted(answer(202, {"statusQueryGetUri": STATUS}), "event", LIMIT) == Accepted()


def test_durable_functions_say_where_to_ask_and_where_to_terminate():
    links = {"statusQueryGetUri": STATUS, "terminatePostUri": "https://app.example/t"}
    assert accepted(answer(202, links), "durable", LIMIT) == Accepted(STATUS, "https://app.example/t")
    terminate = "https://app.example/runtime/webhooks/durabletask/instances/a1/terminate?taskHub=H&code=K"
    assert accepted(answer(202, location=STATUS), "durable", LIMIT) == Accepted(STATUS, terminate)


def test_a_location_is_an_address_without_a_way_to_terminate():
    assert accepted(answer(202, {"statusQueryGetUri": "x"}, location="/status/1"), "location", LIMIT) == Accepted("/status/1", "")


@pytest.mark.parametrize("follow", ["durable", "location"])
def test_a_202_without_an_address_is_a_failure_that_says_so(follow: Any):
    outcome = accepted(answer(202, {"id": "a1"}), follow, LIMIT)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retriable) == ("NoStatusAddress", False)


def test_with_none_the_body_is_the_output_without_management_addresses():
    assert accepted(answer(202, {"id": "a1", "statusQueryGetUri": STATUS}), "none", LIMIT) == Succeeded.of({"id": "a1"})
    assert accepted(answer(202, [1]), "none", LIMIT) == Succeeded.of([1])
    assert accepted(answer(202), "none", LIMIT) == Succeeded.of(None)


@pytest.mark.parametrize("state", ["Pending", "Running", "Suspended", "ContinuedAsNew", "RUNNING"])
@pytest.mark.parametrize("code", [200, 202])
def test_an_orchestration_that_has_not_ended_goes_on(state: str, code: int):
    assert status(answer(code, {"runtimeStatus": state, "output": "the reason of a suspend"}), "durable", LIMIT) == GoesOn(USUAL)


@pytest.mark.parametrize("output", [None, 5, "text", {"a": [1]}])
def test_the_output_of_a_completed_orchestration_is_the_output(output: Any):
    assert status(answer(200, {"runtimeStatus": "Completed", "output": output}), "durable", LIMIT) == Succeeded.of(output)


@pytest.mark.parametrize("code", [200, 500])
def test_a_failed_orchestration_is_a_failure_whatever_the_status_of_the_answer(code: int):
    outcome = status(answer(code, {"runtimeStatus": "Failed", "output": "boom"}), "durable", LIMIT)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.message, outcome.retriable) == ("OrchestrationFailed", "boom", False)


@pytest.mark.parametrize("state", ["Terminated", "Canceled"])
def test_a_terminated_orchestration_is_a_failure_with_the_reason(state: str):
    outcome = status(answer(200, {"runtimeStatus": state, "output": "by hand"}), "durable", LIMIT)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.message) == ("OrchestrationTerminated", "The orchestration was terminated: by hand")


@pytest.mark.parametrize(("code", "reason"), [(404, "InstanceNotFound"), (410, "InstanceNotFound"), (200, "BadStatus"), (401, "Http401")])
def test_what_is_no_status_of_an_orchestration_is_a_failure(code: int, reason: str):
    outcome = status(answer(code), "durable", LIMIT)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retriable) == (reason, False)


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("follow", ["durable", "location"])
def test_trouble_with_the_status_address_is_no_end_of_the_work(code: int, follow: Any):
    assert status(answer(code, {"error": "x"}, retry_after="7"), follow, LIMIT) == GoesOn(timedelta(seconds=7))
    assert status(CallFailed("ConnectionLost", "x", may_have_run=True), follow, LIMIT) == GoesOn(USUAL)


def test_a_location_answers_202_then_the_result_or_a_redirect_to_it():
    assert status(answer(202, location="/status/1"), "location", LIMIT) == GoesOn(USUAL)
    assert status(answer(302, location="/result/1"), "location", LIMIT) == Elsewhere("/result/1")
    assert status(answer(200, {"a": 1}), "location", LIMIT) == Succeeded.of({"a": 1})
    refused = status(answer(422, {"code": "E", "message": "no"}), "location", LIMIT)
    assert isinstance(refused, Failed)
    assert (refused.code, refused.message) == ("E", "no")


@pytest.mark.parametrize(("said", "pause"), [("0", SHORTEST), ("5", timedelta(seconds=5)), ("86400", LONGEST), ("soon", USUAL)])
def test_the_pause_is_what_the_function_asks_for_within_bounds(said: str, pause: timedelta):
    assert status(answer(202, retry_after=said), "location", LIMIT) == GoesOn(pause)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://other.example/api/s/1?code=K", Place("", "/api/s/1?code=K")),
        ("https://LISTED.example/s", Place("https://listed.example", "/s")),
        ("https://listed.example:443/s", Place("https://listed.example", "/s")),
        ("https://listed.example:444/s", Place("", "/s")),
        ("http://listed.example/s", Place("", "/s")),
        ("https://user@listed.example/s", Place("", "/s")),
        ("//listed.example/s", Place("", "/s")),
        ("/s/1", Place("", "/s/1")),
        ("status?id=1", Place("", "/api/start/status?id=1")),
        ("?again", Place("", "/api/start/it?again")),
        ("https://app/instances/a b#c?code=K==", Place("", "/instances/a%20b%23c?code=K==")),
        ("https://app/a%2Fb", Place("", "/a%2Fb")),
        ("https://app/a\r\nX-Evil: 1", Place("", "/aX-Evil:%201")),
        ("https://[bad", Place("", "/")),
    ],
)
def test_an_address_is_asked_at_the_app_unless_its_origin_is_listed(address: str, expected: Place):
    assert place(address, ASKED, ("https://listed.example",)) == expected

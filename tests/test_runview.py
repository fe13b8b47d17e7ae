"""What a caller sees of a run."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from msgspec.structs import replace

from bridge.lifecycle import begin
from bridge.outcome import Failed, Succeeded
from bridge.run import Run
from bridge.runview import view_json
from bridge.testing import NOON
from tests.core_kit import MINUTE, a_run, http, json_values, moderate, topic
from tests.lifecycle_kit import done


def shown(run: Run) -> dict[str, Any]:
    return dict(json.loads(view_json(run)))


def test_a_pending_run_shows_what_the_contract_names():
    assert shown(a_run(data={"a": 1})) == {
        "correlationId": "order-1",
        "automation": "report",
        "status": "Pending",
        "createdAt": "2026-01-31T12:00:00Z",
        "updatedAt": "2026-01-31T12:00:00Z",
        "deadline": "2026-01-31T12:02:00Z",
        "input": {"a": 1},
        "invocations": [{"target": "main", "status": "Pending", "attempts": []}],
    }


def test_an_ended_run_shows_its_attempts_and_output():
    seen = shown(done(a_run(), outcome=Succeeded.of(2**60)))
    assert (seen["status"], seen["output"], seen["expiresAt"]) == ("Succeeded", 2**60, "2026-01-31T12:01:01Z")
    assert seen["invocations"] == [
        {
            "target": "main",
            "status": "Succeeded",
            "output": 2**60,
            "attempts": [{"startedAt": "2026-01-31T12:00:00Z", "outcome": "Succeeded", "durationMs": 1000}],
        }
    ]


def test_a_failed_run_shows_no_output():
    assert "output" not in shown(done(a_run(), outcome=Failed("Boom", "")))


def test_an_output_of_null_is_shown_as_null():
    seen = shown(done(a_run(), outcome=Succeeded.of(None)))
    assert seen["output"] is None
    assert seen["invocations"][0]["output"] is None


@moderate
@given(json_values)
def test_what_only_the_bridge_needs_never_shows(data):
    run = begin(a_run(http("a"), topic("b"), data=data), "a", now=NOON, until=NOON + MINUTE)
    # But for the input, which may name anything.
    seen = json.dumps({name: value for name, value in shown(run).items() if name != "input"})
    hidden = [part.control.token for part in run.invocations] + [run.control.digest, '"control"', '"until"', '"endedBy"']
    assert not [each for each in hidden if each in seen]


def test_write_only_input_is_masked():
    run = a_run(data={"password": "hunter2", "user": "root"})
    run = replace(run, control=replace(run.control, secret_paths=(("password",),)))
    assert shown(run)["input"] == {"password": "***", "user": "root"}
    assert run.input["password"] == "hunter2"


def test_a_view_leaves_out_what_is_not_wanted():
    assert "input" not in json.loads(view_json(a_run(data=1), with_input=False))

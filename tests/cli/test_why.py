"""`bridge why` tells the story of a run in sentences."""

from __future__ import annotations

import json
from typing import Any

from bridge.cli.why import story
from tests.cli.commands import bridge
from tests.scripted_api import ScriptedApi, run


def shown(status: str, **fields: Any) -> Any:
    return {**run("order-1", "report", status), "deadline": "2026-01-31T12:05:00Z", "createdAt": "2026-01-31T12:00:00.5Z", **fields}


ATTEMPT = {"startedAt": "2026-01-31T12:00:01Z", "outcome": "Failed", "durationMs": 1200, "code": "Http503", "message": "busy"}


def test_an_unfinished_run_says_what_it_waits_for_and_until_when() -> None:
    waiting = {"reason": "NextAttempt", "message": "main: the next attempt starts then.", "until": "2026-01-31T12:00:20Z"}
    lines = list(story(shown("Running", invocations=[{"target": "main", "status": "Running", "attempts": [ATTEMPT]}], waitingFor=waiting)))
    assert lines[0] == "order-1 was requested at 2026-01-31 12:00:00Z (report) and is Running."
    assert lines[1] == "  Attempt 1 began at 2026-01-31 12:00:01Z: Failed after 1,200 ms, Http503: busy."
    assert lines[2].startswith("It waits (NextAttempt): main: the next attempt starts then. Until 2026-01-31 12:00:20Z, ")
    assert lines[3].startswith("The deadline is 2026-01-31 12:05:00Z, ")


def test_an_ended_run_says_why_it_ended_so() -> None:
    error = {"code": "TargetsFailed", "message": "1 of 2 targets failed.", "hint": "Each invocation has its own error."}
    targets = [{"target": "left", "status": "Failed", "attempts": [ATTEMPT]}, {"target": "right", "status": "Canceled", "attempts": []}]
    lines = list(story(shown("Failed", updatedAt="2026-01-31T12:00:03.5Z", invocations=targets, error=error)))
    assert lines[0] == "order-1 was requested at 2026-01-31 12:00:00Z (report) and ended Failed after 3.0 s."
    assert lines[1] == "left is Failed."
    assert lines[3] == "right is Canceled and was not started."
    assert lines[4:] == ["TargetsFailed: 1 of 2 targets failed.", "Each invocation has its own error."]


def test_errors_that_a_function_wrote_are_told() -> None:
    attempts = [
        {**ATTEMPT, "errorsWritten": 1},
        {"startedAt": ATTEMPT["startedAt"], "outcome": "Succeeded", "durationMs": 5, "errorsWritten": 2},
    ]
    lines = list(story(shown("Succeeded", invocations=[{"target": "main", "status": "Succeeded", "attempts": attempts}])))
    assert [line.partition(": ")[2] for line in lines[1:3]] == [
        "Failed after 1,200 ms, 1 error written, Http503: busy.",
        "Succeeded after 5 ms, 2 errors written.",
    ]


def test_the_command_prints_it_and_json_for_programs(api: ScriptedApi) -> None:
    api.runs = {"a": shown("Running", correlationId="a")}
    assert "and is Running." in bridge("why", "a").stdout
    assert json.loads(bridge("--json", "why", "a").stdout)["status"] == "Running"

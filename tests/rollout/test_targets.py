from __future__ import annotations

from typing import Any

import pytest

from bridge.rollout import Weight
from tests.rollout.kit import HTTP, TOPIC, automation, between, side


def http(**fields: Any) -> dict[str, Any]:
    return {"name": "here", "http": {"app": "shop", "path": "/api/items", **fields}}


def topic(**fields: Any) -> dict[str, Any]:
    return {"name": "there", "topic": {"name": "work", "attempts": 2, **fields}}


ITEM = {"type": "object", "properties": {"id": {"type": "string"}}}
CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (http(), http(app="store"), "target-moved"),
    (http(), http(path="/api/others"), "target-moved"),
    (http(), http(method="PUT"), "target-moved"),
    (topic(), topic(name="other"), "target-moved"),
    (topic(), {"name": "there", "queue": {"name": "work", "attempts": 2}}, "target-moved"),
    (http(), http(query={"id": "/id"}), "request-changed"),
    (http(), http(headers={"X-Team": {"const": "a"}}), "request-changed"),
    (topic(), topic(body="input"), "request-changed"),
    (http(), http(follow="durable"), "outcome-changed"),
    (http(), http(failedWhen={"pointer": "/error"}), "outcome-changed"),
    (topic(), topic(completes="published"), "outcome-changed"),
    (topic(), topic(attempts=1), "attempts-fewer"),
    (topic(), topic(attempts=3), "attempts-more"),
    (http(), http(concurrency=5), "concurrency-changed"),
    (http(), {**HTTP, "name": "elsewhere"}, "target-renamed"),
]


@pytest.mark.parametrize(("before", "after", "kind"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_change_is_of_its_kind(before: dict[str, Any], after: dict[str, Any], kind: str) -> None:
    assert list(between(side(automation(input=ITEM, targets=[before])), side(automation(input=ITEM, targets=[after])))) == [kind]


@pytest.mark.parametrize(
    ("before", "after"),
    [(http(), http(method="POST", concurrency=20, follow="event")), (topic(), topic(completes="result", body="event"))],
)
def test_what_is_meant_anyway_may_be_written_down(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert between(side(automation(targets=[before])), side(automation(targets=[after]))) == {}


def test_a_second_target_changes_the_output_of_runs() -> None:
    found = between(side(automation(targets=[HTTP])), side(automation(targets=[HTTP, TOPIC])))
    assert {kind: each.kind.weight for kind, each in found.items()} == {"output-changed": Weight.BREAKS, "target-added": Weight.NOTE}


def test_a_target_that_is_gone_affects_callers_and_runs_in_hand() -> None:
    three = [{**TOPIC, "name": name} for name in ("a", "b", "c")]
    found = between(side(automation(targets=three)), side(automation(targets=three[:2])))
    assert found["target-removed"].kind.affects == "callers and runs in hand"
    assert found["target-removed"].message == "the target c is removed (the topic work)"


def test_a_field_of_another_version_is_not_judged() -> None:
    old, new = side(automation()), side(automation())
    old["automations"][0]["targets"][0]["http"]["priority"] = 7
    assert between(old, new)["unknown-field"].kind.weight is Weight.UNJUDGED

from __future__ import annotations

from typing import Any

import pytest

from bridge.rollout import Weight
from tests.rollout.kit import HTTP, TOPIC, automation, between, side

SECRET = {"type": "object", "properties": {"key": {"type": "string", "writeOnly": True}}}
OPEN = {"type": "object", "properties": {"key": {"type": "string"}}}
TWO = [HTTP, TOPIC]

CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"deadline": "1m"}, "deadline-shorter"),
    ({}, {"deadline": "10m"}, "deadline-longer"),
    ({}, {"allow": {"submit": ["operators"]}}, "submit-stricter"),
    ({"allow": {"submit": ["a", "b"]}}, {"allow": {"submit": ["a"]}}, "submit-stricter"),
    ({"allow": {"submit": ["a"]}}, {"allow": {"submit": ["a", "b"]}}, "submit-wider"),
    ({"allow": {"submit": ["a"]}}, {}, "submit-wider"),
    ({"allow": {"read": ["auditors"]}}, {}, "read-stricter"),
    ({}, {"allow": {"read": ["auditors"]}}, "read-wider"),
    ({"targets": TWO}, {"targets": TWO, "succeedsWhen": "any"}, "completion-changed"),
    ({}, {"succeedsWhen": "any"}, "completion-reworded"),
    ({"input": SECRET}, {"input": OPEN}, "secret-shown"),
    ({"input": OPEN}, {"input": SECRET}, "secret-hidden"),
    ({"input": OPEN}, {"input": {**OPEN, "required": ["key"]}}, "input-narrowed"),
    ({"input": {**OPEN, "required": ["key"]}}, {"input": OPEN}, "input-widened"),
]


@pytest.mark.parametrize(("before", "after", "kind"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_change_is_of_its_kind(before: dict[str, Any], after: dict[str, Any], kind: str) -> None:
    assert list(between(side(automation(**before)), side(automation(**after)))) == [kind]


def test_the_same_is_no_change() -> None:
    assert between(side(automation("a"), automation("b")), side(automation("b"), automation("a"))) == {}


def test_an_automation_that_is_gone_breaks_and_a_new_one_does_not() -> None:
    found = between(side(automation("old")), side(automation("new")))
    assert {kind: each.kind.weight for kind, each in found.items()} == {
        "automation-removed": Weight.BREAKS,
        "automation-added": Weight.NOTE,
    }
    assert found["automation-removed"].subject == "old"


def test_a_narrowed_input_says_where_and_which_value_is_refused() -> None:
    before = {"type": "object", "properties": {"days": {"type": "integer", "minimum": 0}}}
    after = {"type": "object", "properties": {"days": {"type": "integer", "minimum": 1}}}
    found = between(side(automation(input=before)), side(automation(input=after)))["input-narrowed"]
    assert found.message == "input.properties.days.minimum: is 1; it was 0; refused from now on: 0"
    assert found.path == ("spec", "input", "properties", "days", "minimum")
    assert found.kind.affects == "callers"


def test_a_schema_that_cannot_be_judged_counts_as_broken() -> None:
    def named(pattern: str) -> dict[str, Any]:
        return automation(input={"type": "string", "pattern": pattern})

    found = between(side(named("^ab")), side(named("^a")))["input-unjudged"]
    assert found.breaks
    assert "cannot be judged" in found.message


def test_a_property_that_anybody_might_have_sent_is_worth_knowing_only() -> None:
    found = between(side(automation()), side(automation(input=OPEN)))
    assert found["property-described"].kind.weight is Weight.NOTE

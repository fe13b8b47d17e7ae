"""A function may answer 200 and say in the body that it failed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.catalog.failedwhen import FailedWhen, judged
from bridge.outcome import Failed, Succeeded
from bridge.ports import FunctionResponse


def outcome(rules: list[dict[str, Any]], body: Any, status: int = 200) -> Succeeded | Failed:
    answer = FunctionResponse(status, {"content-type": "application/json"}, json.dumps(body).encode())
    return judged([FailedWhen.model_validate(rule) for rule in rules], answer, Succeeded.of(body))


@pytest.mark.parametrize(
    ("rule", "body", "fails"),
    [
        ({"pointer": "/error"}, {"error": "no"}, True),
        ({"pointer": "/error"}, {"error": {"message": "no"}}, True),
        ({"pointer": "/error"}, {}, False),
        *(({"pointer": "/error"}, {"error": nothing}, False) for nothing in (None, False, "", [], {})),
        ({"pointer": "/error"}, {"error": 0}, True),
        ({"pointer": "/ok", "equals": False}, {"ok": False}, True),
        ({"pointer": "/ok", "equals": False}, {"ok": 0}, False),
        ({"pointer": "/ok", "equals": 0}, {"ok": 0.0}, True),
        ({"pointer": "/ok", "equals": None}, {"ok": None}, True),
        ({"pointer": "/ok", "equals": None}, {}, False),
        ({"pointer": "/status", "pattern": "^(?i)err"}, {"status": "ERROR"}, True),
        ({"pattern": "ORA-[0-9]{5}"}, "ORA-01017: invalid", True),
        ({"pattern": '"ok":false'}, {"ok": False}, True),
        ({"equals": "failed"}, "failed", True),
        ({"status": 201}, {}, False),
        ({"status": 200, "pointer": "/error"}, {"error": "no"}, True),
        ({"status": 201, "pointer": "/error"}, {"error": "no"}, False),
    ],
)
def test_an_entry_holds_when_all_that_it_names_holds(rule: dict[str, Any], body: Any, fails: bool):
    assert isinstance(outcome([rule], body), Failed) is fails


def test_one_entry_of_several_is_enough():
    assert isinstance(outcome([{"pointer": "/a"}, {"pointer": "/b"}], {"b": 1}), Failed)


def test_the_failure_says_what_the_answer_says_and_is_not_tried_again():
    failed = outcome([{"pointer": "/error"}], {"error": {"code": "E1", "message": "disk full", "hint": "make room"}})
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message, failed.hint, failed.retriable) == ("FailedWhen", "disk full", "make room", False)


@pytest.mark.parametrize("rule", [{}, {"pattern": "("}, {"pattern": r"(a)\1"}, {"pattern": "(?=a)"}, {"status": 500}, {"pointer": "error"}])
def test_an_entry_that_cannot_be_meant_is_refused(rule: dict[str, Any]):
    with pytest.raises(ValidationError):
        FailedWhen.model_validate(rule)


def test_no_answer_makes_a_pattern_slow():
    assert isinstance(outcome([{"pattern": "(a+)+$"}], "a" * 1_000_000 + "b"), Succeeded)

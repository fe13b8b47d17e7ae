from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import request
from bridge.catalog import Allow
from bridge.envelope import Event
from bridge.errors import (
    DeadlinePassed,
    Forbidden,
    InvalidCorrelationId,
    InvalidInput,
    Malformed,
    Refusal,
    ReplyTopicNotAllowed,
    UnknownAutomation,
)
from bridge.identity import Caller
from bridge.request import Request, digest, identify
from bridge.run import Status
from bridge.testing import NOON
from tests.core_kit import ALICE, BOB, MINUTE, ROOT, automation, event, http, json_values, moderate, rules, topic

REPORT = automation(
    allow=Allow(submit=("operators",), read=("auditors",)), type="object", required=["a"], properties={"p": {"writeOnly": True}}
)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def check(data: Any = None, caller: Caller = ALICE, **attributes: str) -> Request:
    asked = event(data if data is not None else {"a": 1}, **attributes)
    return request.check(asked, identify(asked, caller), caller, rules(REPORT), NOON)


def shuffled(value: Any) -> Any:
    """The same JSON value with its keys the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(part) for key, part in reversed(value.items())}
    return [shuffled(part) for part in value] if isinstance(value, list) else value


# Which request it is.


@pytest.mark.parametrize("identity", ["a", "order-4711", "A.b_c:d@e-f", "x" * 100, "0"])
def test_a_correlation_id_is_taken_as_it_is(identity):
    assert request.correlation_id(event(correlationid=identity)) == identity


@pytest.mark.parametrize("identity", ["", "x" * 101, "x" * 5_000_000, "a b", "a/b", "ä", "a\n", "\n", "a\0", "../a", "a,b", "a||b", "٣"])
def test_an_odd_or_long_one_is_refused_shortly(identity):
    with pytest.raises(InvalidCorrelationId) as caught:
        request.correlation_id(event(correlationid=identity))
    assert len(caught.value.detail) < 250
    assert "1 to 100 characters" in caught.value.hint


def test_the_event_id_serves_where_no_correlation_id_is_given():
    assert request.correlation_id(event(id="order-7")) == "order-7"


def test_the_length_of_a_long_one_is_told():
    with pytest.raises(InvalidCorrelationId, match="101 characters"):
        request.correlation_id(event(correlationid="x" * 101))


def test_an_event_of_another_type_is_no_request():
    with pytest.raises(Malformed, match=r"automation\.result.*Send automation\.requested"):
        identify(event(type="automation.result"), ALICE)


@pytest.mark.parametrize(
    ("other", "caller", "same"),
    [
        (event({"a": 1, "b": [2]}), ALICE, True),
        (event({"b": [2], "a": 1.0}, id="another-event", correlationid="order-1", time="2026-01-31T12:00:00Z"), ALICE, True),
        (event({"a": 1, "b": [3]}), ALICE, False),
        (event({"a": 1, "b": [2]}, subject="other"), ALICE, False),
        (event({"a": 1, "b": [2]}), BOB, False),
    ],
    ids=["again", "written otherwise", "input", "automation", "submitter"],
)
def test_one_id_is_one_run(other, caller, same):
    asked = event({"a": 1, "b": [2]})
    run = request.new_run(replace(check(), identity=identify(asked, ALICE), input=asked.data))
    assert identify(other, caller).matches(run) is same


def test_a_door_has_written_the_identity_into_the_event():
    asked = event({"a": 1}, authid="alice", inputdigest=digest({"a": 1}))
    assert request.signed_identity(asked) == identify(asked, ALICE)


# The digest.

without_fractions = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.integers(2**60, 2**60 + 2) | st.sampled_from(["", "1", "a"]),
    lambda part: st.lists(part, max_size=2) | st.dictionaries(st.sampled_from("ab"), part, max_size=2),
    max_leaves=4,
)


@moderate
@given(json_values)
def test_equal_values_have_equal_digests_whatever_the_order_of_keys(value):
    assert digest(value) == digest(shuffled(value))
    assert len(digest(value)) == 64


@moderate
@given(st.lists(without_fractions, max_size=3), st.lists(without_fractions, max_size=3))
def test_different_values_have_different_digests(one, other):
    assert (digest(one) == digest(other)) is (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2**60, 2**60 + 1),
        (2**60, -(2**60)),
        (2**100, 2**100 + 1),
        ({"n": [2**60]}, {"n": [2**60 + 1]}),
        (2**60, str(2**60)),
        (1, True),
        (0, False),
        (None, {}),
        (1, "1"),
        ([], {}),
        ("é", "e\u0301"),
        ([1, 2], [2, 1]),
    ],
)
def test_what_differs_a_little_differs_in_its_digest(one, other):
    assert digest(one) != digest(other)


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (0, -0.0), (100, 1e2), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_numbers_are_compared_by_value(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"), [(2**60, {"integer": str(2**60)}), ([2**60, {"integer": str(2**70)}], [2**60, 2**70])], ids=["alone", "among others"]
)
def test_no_object_has_the_digest_of_a_number(one, other):
    assert digest(one) != digest(other)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_cannot_carry_is_refused(number):
    with pytest.raises(Malformed, match="as strings"):
        digest([number])


def test_such_a_number_is_refused_beside_a_large_integer_too():
    with pytest.raises(Malformed):
        digest([2**60, float("inf")])


# What it is held against.


def test_a_request_that_fits_says_who_wants_what_until_when():
    taken = check(caller=ALICE, replytopic="team-replies", traceparent=TRACEPARENT, tracestate="a=1", rerunof="order-0")
    assert (taken.automation, taken.input, taken.event_id) == (REPORT, {"a": 1}, "order-1")
    assert (taken.created_at, taken.deadline) == (NOON, NOON + 2 * MINUTE)
    assert (taken.reply_topic, taken.traceparent, taken.tracestate, taken.rerun_of) == ("team-replies", TRACEPARENT, "a=1", "order-0")


def test_what_is_not_said_has_its_default():
    taken = check()
    assert (taken.reply_topic, taken.traceparent, taken.tracestate, taken.rerun_of) == ("automation-replies", "", "", "")


@pytest.mark.parametrize(
    ("refusal", "said", "arguments"),
    [
        (UnknownAutomation, "'reports'.*Did you mean 'report'", {"subject": "reports"}),
        (UnknownAutomation, "''.*lists the names", {"subject": ""}),
        (Forbidden, "bob may not submit report.*operators", {"caller": BOB}),
        (InvalidInput, "does not fit the schema of report", {"data": {}}),
        (InvalidInput, "does not fit", {"data": []}),
        (ReplyTopicNotAllowed, "'somewhere'.*reply_topics", {"replytopic": "somewhere"}),
        (DeadlinePassed, "has passed", {"expirytime": "2026-01-31T12:00:00Z"}),
        (DeadlinePassed, "has passed", {"expirytime": "0001-01-01T00:00:00+01:00"}),
        (Malformed, "'tomorrow' is not RFC 3339", {"expirytime": "tomorrow"}),
        (Malformed, "'' is not RFC 3339", {"expirytime": ""}),
    ],
)
def test_every_refusal_says_what_is_wrong_and_what_to_do(refusal, said, arguments):
    with pytest.raises(refusal, match=said) as caught:
        check(**arguments)
    assert caught.value.hint


def test_admin_may_submit_what_others_may_not():
    assert check(caller=ROOT).automation is REPORT


def test_bad_input_is_told_with_pointer_and_rule():
    with pytest.raises(InvalidInput) as caught:
        check(data={"b": 1})
    assert [(each["pointer"], each["rule"]) for each in caught.value.errors] == [("", "required")]


@moderate
@given(st.integers(1, 10_000))
def test_a_deadline_only_shortens(seconds):
    taken = check(expirytime=(NOON + timedelta(seconds=seconds)).isoformat())
    assert taken.deadline == NOON + min(timedelta(seconds=seconds), REPORT.deadline)


def test_a_deadline_of_another_zone_is_kept_in_utc():
    taken = check(expirytime="2026-01-31T14:01:00+02:00")
    assert (taken.deadline, taken.deadline.tzinfo) == (NOON + MINUTE, NOON.tzinfo)


def test_a_deadline_at_the_end_of_the_calendar_is_one():
    assert check(expirytime="9999-12-31T23:59:59-01:00").deadline == NOON + REPORT.deadline


@pytest.mark.parametrize("traceparent", ["", "x", TRACEPARENT.upper(), TRACEPARENT + "\n", TRACEPARENT[:-1]])
def test_a_traceparent_that_is_none_is_left_out(traceparent):
    assert check(traceparent=traceparent).traceparent == ""


# Its run.


def test_a_run_starts_pending_with_its_plan_frozen():
    known = automation(http("a"), topic("b"), rule="any", allow=Allow(read=("auditors",)), properties={"p": {"writeOnly": True}})
    asked = event({"p": 1}, rerunof="order-0")
    run = request.new_run(request.check(asked, identify(asked, ALICE), ALICE, rules(known), NOON))
    assert (run.correlation_id, run.automation, run.status, run.rerun_of) == ("order-1", "report", Status.PENDING, "order-0")
    assert [(part.target, part.status, part.attempts, part.control.target) for part in run.invocations] == [
        ("a", Status.PENDING, (), known.targets[0]),
        ("b", Status.PENDING, (), known.targets[1]),
    ]
    assert (run.control.submitter, run.control.readers, run.control.rule) == ("alice", ("auditors",), "any")
    assert run.control.secret_paths == (("p",),)


def test_every_invocation_has_a_token_of_its_own():
    known = automation(http("a"), http("b"))
    runs = [request.new_run(replace(check(), automation=known)) for _ in range(2)]
    tokens = {part.control.token for run in runs for part in run.invocations}
    assert len(tokens) == 4
    assert min(map(len, tokens)) >= 32


def test_a_run_that_reruns_nothing_does_not_say_so():
    assert "rerunOf" not in request.new_run(check()).model_dump(by_alias=True, exclude_unset=True)


def refused(asked: Event) -> Any:
    return request.refused_run(asked, identify(asked, ALICE), rules(REPORT), NOON)


def test_a_refused_request_keeps_its_input_and_readers():
    run = refused(event({"p": 1}, replytopic="team-replies"))
    assert (run.input, run.invocations, run.deadline) == ({"p": 1}, (), NOON)
    assert (run.control.readers, run.control.secret_paths, run.control.reply_topic) == (("auditors",), (("p",),), "team-replies")


def test_the_input_of_an_unknown_automation_is_not_kept_for_nobody_knows_its_secrets():
    run = refused(event({"p": 1}, subject="x" * 200, replytopic="somewhere"))
    assert (run.input, run.automation, run.control.reply_topic) == (None, "x" * 100, "automation-replies")


def test_a_refusal_explains_itself_in_the_run():
    problem = request.explain(InvalidInput("No.", errors=[{"pointer": "/a", "rule": "type", "detail": "d"}]))
    assert (problem.code, problem.message, problem.errors) == ("InvalidInput", "No.", ({"pointer": "/a", "rule": "type", "detail": "d"},))
    assert isinstance(InvalidInput("x"), Refusal)

"""Whether a request can be taken, and the run that it becomes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import intake
from bridge.auth import Caller
from bridge.catalog.document import Allow
from bridge.cloudevents import Event
from bridge.errors import (
    DeadlinePassed,
    Forbidden,
    InvalidInput,
    Malformed,
    Refusal,
    ReplyTopicNotAllowed,
    UnknownAutomation,
)
from bridge.idempotency import idempotency_key
from bridge.run import Run, Status
from bridge.runview import view_json
from bridge.testing import NOON
from bridge.validation import Validation
from tests.core_kit import ALICE, BOB, MINUTE, ROOT, automation, event, http, moderate, rules, topic

REPORT = automation(
    allow=Allow(submit=("operators",), read=("auditors",)), type="object", required=["a"], properties={"p": {"writeOnly": True}}
)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def taken(data: Any = None, caller: Caller = ALICE, **attributes: str) -> Run:
    """The run of a request that is checked as every request is."""
    asked, known = event(data if data is not None else {"a": 1}, **attributes), rules(REPORT)
    automation = intake.check(asked, caller, known)
    asyncio.run(Validation().require_fit(automation, asked))
    return intake.new_run(asked, idempotency_key(asked, caller.name), automation, known, NOON)


# Whether it can be taken.


def test_a_request_that_fits_says_who_wants_what_until_when():
    run = taken(caller=ALICE, replytopic="team-replies", traceparent=TRACEPARENT, tracestate="a=1", rerunof="order-0")
    assert (run.automation, run.input, run.control.request_id) == ("report", {"a": 1}, "order-1")
    assert (run.created_at, run.deadline) == (NOON, NOON + 2 * MINUTE)
    control = run.control
    assert (control.reply_topic, control.traceparent, control.tracestate, run.rerun_of) == ("team-replies", TRACEPARENT, "a=1", "order-0")


def test_what_is_not_said_has_its_default():
    run = taken()
    control = run.control
    assert (control.reply_topic, control.traceparent, control.tracestate, run.rerun_of) == ("automation-replies", "", "", None)


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
        (Malformed, "'tomorrow' is not an RFC 3339 time", {"expirytime": "tomorrow"}),
        (Malformed, "'' is not an RFC 3339 time", {"expirytime": ""}),
    ],
)
def test_every_refusal_says_what_is_wrong_and_what_to_do(refusal, said, arguments):
    with pytest.raises(refusal, match=said) as caught:
        taken(**arguments)
    assert caught.value.hint


def test_admin_may_submit_what_others_may_not():
    assert taken(caller=ROOT).control.submitter == "root"


def test_bad_input_is_told_with_pointer_and_rule():
    with pytest.raises(InvalidInput) as caught:
        taken(data={"b": 1})
    assert [(each["pointer"], each["rule"]) for each in caught.value.errors] == [("", "required")]


@moderate
@given(st.integers(1, 10_000))
def test_a_deadline_only_shortens(seconds):
    run = taken(expirytime=(NOON + timedelta(seconds=seconds)).isoformat())
    assert run.deadline == NOON + min(timedelta(seconds=seconds), REPORT.deadline)


def test_a_deadline_of_another_zone_is_kept_in_utc():
    run = taken(expirytime="2026-01-31T14:01:00+02:00")
    assert (run.deadline, run.deadline.tzinfo) == (NOON + MINUTE, NOON.tzinfo)


def test_a_deadline_at_the_end_of_the_calendar_is_one():
    assert taken(expirytime="9999-12-31T23:59:59-01:00").deadline == NOON + REPORT.deadline


@pytest.mark.parametrize("traceparent", ["", "x", TRACEPARENT.upper(), TRACEPARENT + "\n", TRACEPARENT[:-1]])
def test_a_traceparent_that_is_none_is_left_out_and_the_tracestate_with_it(traceparent):
    control = taken(traceparent=traceparent, tracestate="a=1").control
    assert (control.traceparent, control.tracestate) == ("", "")


def test_a_refused_request_keeps_its_trace_context_for_the_reply():
    control = refused(event({}, traceparent=TRACEPARENT, tracestate="a=1")).control
    assert (control.traceparent, control.tracestate) == (TRACEPARENT, "a=1")


# Its run.


def test_a_run_starts_pending_with_its_plan_frozen():
    known = automation(http("a"), topic("b"), rule="any", allow=Allow(read=("auditors",)), properties={"p": {"writeOnly": True}})
    asked = event({"p": 1}, rerunof="order-0")
    run = intake.new_run(asked, idempotency_key(asked, "alice"), known, rules(known), NOON)
    assert (run.correlation_id, run.automation, run.status, run.rerun_of) == ("order-1", "report", Status.PENDING, "order-0")
    assert [(each.target, each.status, each.attempts, each.control.target) for each in run.invocations] == [
        ("a", Status.PENDING, (), known.targets[0]),
        ("b", Status.PENDING, (), known.targets[1]),
    ]
    assert (run.control.submitter, run.control.readers, run.control.rule) == ("alice", ("auditors",), "any")
    assert run.control.secret_paths == (("p",),)


def test_every_invocation_has_a_token_of_its_own():
    known = automation(http("a"), http("b"))
    asked = event({})
    runs = [intake.new_run(asked, idempotency_key(asked, "alice"), known, rules(known), NOON) for _ in range(2)]
    tokens = {each.control.token for run in runs for each in run.invocations}
    assert len(tokens) == 4
    assert min(map(len, tokens)) >= 32


def test_a_run_that_reruns_nothing_does_not_say_so():
    assert "rerunOf" not in view_json(taken()).decode()


def refused(asked: Event) -> Any:
    return intake.refused_run(asked, idempotency_key(asked, "alice"), rules(REPORT), NOON)


def test_a_refused_request_keeps_its_input_and_readers():
    run = refused(event({"p": 1}, replytopic="team-replies"))
    assert (run.input, run.invocations, run.deadline) == ({"p": 1}, (), NOON)
    assert (run.control.readers, run.control.secret_paths, run.control.reply_topic) == (("auditors",), (("p",),), "team-replies")


def test_the_input_of_an_unknown_automation_is_not_kept_for_nobody_knows_its_secrets():
    run = refused(event({"p": 1}, subject="x" * 200, replytopic="somewhere"))
    assert (run.input, run.automation, run.control.reply_topic) == (None, "x" * 100, "automation-replies")


def test_a_refusal_explains_itself_in_the_run():
    error = intake.explain(InvalidInput("No.", errors=[{"pointer": "/a", "rule": "type", "detail": "d"}]))
    assert (error.code, error.message, error.errors) == ("InvalidInput", "No.", ({"pointer": "/a", "rule": "type", "detail": "d"},))
    assert isinstance(InvalidInput("x"), Refusal)

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge import cloudevents, events, lifecycle
from bridge.auth import Signer
from bridge.events import Submission
from bridge.idempotency import idempotency_key
from bridge.lifecycle import AttemptResult, Causation
from bridge.outcome import Failed, Outcome, Succeeded
from bridge.ports import Message
from bridge.run import Run, RunError, Status, dump
from bridge.testing import NOON
from tests.core_kit import ALICE, MINUTE, SECOND, a_run, event, http, json_values, moderate, topic

URL = "https://bridge.example"
TRACED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}
CAUSE = Causation("event-9", NOON + SECOND, MINUTE)


def traced(run: Run) -> Run:
    return replace(run, control=replace(run.control, **TRACED))


def ended(*outcomes: tuple[str, Outcome], run: Run | None = None) -> Run:
    run = run or a_run(data={"pem": "input"})
    for target, outcome in outcomes:
        run = lifecycle.finish(run, target, AttemptResult(-1, outcome), CAUSE)
    return run


def with_late_result(run: Run, target: str, output: str) -> Run:
    return lifecycle.finish(run, target, AttemptResult(-1, Succeeded.of(output)), Causation("event-10", NOON + SECOND, MINUTE))


def read(message: Message) -> Any:
    """The event in a message, whose broker properties must say the same."""
    seen = cloudevents.decode(message.body)
    assert (message.message_id, message.correlation_id, message.label) == (seen.id, seen.correlation_id, seen.subject)
    assert message.content_type == "application/cloudevents+json"
    return seen


# Asking.


def test_a_plain_request_becomes_an_event():
    wish = Submission("report", {"a": 2**60}, correlation_id="order-7", deadline="2026-01-31T12:01:00Z", rerun_of="order-6", **TRACED)
    asked = events.submitted(wish, NOON)
    assert {name: asked.get(name) for name in ("type", "subject", "correlationid", "expirytime", "rerunof", "time", *TRACED)} == {
        "type": "automation.requested",
        "subject": "report",
        "correlationid": "order-7",
        "expirytime": "2026-01-31T12:01:00Z",
        "rerunof": "order-6",
        "time": "2026-01-31T12:00:00Z",
        **TRACED,
    }
    assert asked.data == {"a": 2**60}


def test_without_an_id_of_the_caller_the_event_id_correlates():
    first, second = (events.submitted(Submission("report", None), NOON) for _ in range(2))
    assert first.correlation_id == first.id != second.id
    assert "expirytime" not in first.attributes


def test_the_api_writes_the_caller_into_the_event_and_signs_it():
    signer, asked = Signer(b"k" * 32), event({"a": 1}, authid="root", inputdigest="made up")
    key = idempotency_key(asked, ALICE.name)
    signed = read(events.requested(events.signed(asked, key, signer, NOON)))
    assert (signed.get("authid"), signed.get("correlationid"), signed.get("inputdigest")) == ("alice", "order-1", key.digest)
    assert signer.is_ours(signed.attributes, NOON, MINUTE)
    assert events.requested(asked).topic == "automation-requests"


# Work.


def test_the_work_of_an_http_target_goes_to_the_bridge_itself():
    run = traced(a_run(http(), data={"a": 1}))
    message = events.invoked(run, run.invocations[0], NOON + SECOND, "")
    seen = read(message)
    assert (message.topic, message.time_to_live) == ("automation-invocations", None)
    assert seen.attributes == {
        "specversion": "1.0",
        "source": "/automation-bridge",
        "datacontenttype": "application/json",
        "id": "order-1/main",
        "type": "automation.invoked",
        "subject": "report",
        "time": "2026-01-31T12:00:01Z",
        "correlationid": "order-1",
        "causationid": "order-1",
        "expirytime": "2026-01-31T12:02:00Z",
        "invocationtoken": run.invocations[0].control.token,
        **TRACED,
    }
    assert seen.data == {"a": 1}


def test_the_work_of_a_topic_target_goes_to_its_topic_and_ends_with_the_deadline():
    run = a_run(topic())
    message = events.work(run, run.invocations[0], NOON + SECOND, URL)
    assert (message.topic, message.time_to_live) == ("automation-powershell", timedelta(seconds=119))
    assert read(message).get("invocationurl") == f"{URL}/v1/invocations/order-1/main"


def test_the_properties_of_work_say_what_a_function_needs_that_does_not_read_the_event():
    run = a_run(topic())
    message = events.work(run, run.invocations[0], NOON, URL)
    assert message.properties == {
        "correlationid": "order-1",
        "invocationid": "order-1/main",
        "invocationtoken": run.invocations[0].control.token,
        "invocationurl": f"{URL}/v1/invocations/order-1/main",
        "deadline": events.iso(run.deadline),
    }


def test_what_a_function_says_at_its_url_becomes_a_result_event():
    run = a_run()
    message = events.result("order-1/main", run, "token", {"status": "running"}, NOON)
    seen = read(message)
    assert (message.topic, seen.type, seen.data) == ("automation-results", "automation.result", {"status": "running"})
    assert (seen.correlation_id, seen.get("causationid"), seen.get("invocationtoken")) == ("order-1", "order-1/main", "token")
    assert read(events.result("order-1/main", run, "token", {}, NOON)).id != seen.id


# Timers.


@pytest.mark.parametrize(
    ("message", "kind", "deliver_at"),
    [
        (events.deadline(a_run(), NOON + MINUTE), "automation.deadline", NOON + MINUTE),
        (events.cancel(a_run()), "automation.cancel", None),
        (events.cancel(a_run(), NOON + SECOND), "automation.cancel", NOON + SECOND),
    ],
)
def test_a_timer_is_a_scheduled_event_without_data(message, kind, deliver_at):
    seen = read(message)
    assert (message.topic, message.deliver_at, seen.type, seen.data) == ("automation-timers", deliver_at, kind, {})
    assert (seen.correlation_id, seen.get("causationid")) == ("order-1", "order-1")


def test_ids_of_timers_and_invocations_never_meet():
    run = a_run(http("deadline"), http("cancel"))
    work = [events.invoked(run, part, NOON, "").message_id for part in run.invocations]
    assert len({*work, events.deadline(run, NOON).message_id, events.cancel(run).message_id}) == 4


# Replies.


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (ended(("main", Succeeded.of(1))), "automation.succeeded"),
        (ended(("main", Failed("Boom", "it broke"))), "automation.failed"),
        (lifecycle.time_out(a_run(), Causation("d", NOON + 2 * MINUTE, MINUTE)), "automation.timedout"),
        (lifecycle.refuse(a_run(), RunError(code="c", message="m"), Status.CANCELED, CAUSE), "automation.canceled"),
    ],
)
def test_the_type_of_a_reply_says_how_the_run_ended(run, kind):
    assert read(events.ended(run, URL)).type == kind


def test_a_reply_is_the_run_without_its_input_on_the_topic_that_was_asked_for():
    run = traced(ended(("main", Succeeded.of({"days": 2**60})), run=a_run(data={"pem": "input"}, replytopic="team-replies")))
    message = events.ended(run, URL)
    seen = read(message)
    assert (message.topic, seen.id, seen.get("time")) == ("team-replies", "order-1/2026-01-31T12:00:00Z", "2026-01-31T12:00:01Z")
    assert (seen.data["status"], seen.data["output"]) == ("Succeeded", {"days": 2**60})
    assert "input" not in seen.data
    assert (seen.get("causationid"), seen.get("traceparent")) == ("order-1", TRACED["traceparent"])


@moderate
@given(json_values)
def test_a_reply_is_the_same_however_often_it_is_sent_and_shows_no_token(output):
    run = ended(("main", Succeeded.of(output)))
    assert events.ended(run, URL) == events.ended(run, URL)
    assert run.invocations[0].control.token.encode() not in events.ended(run, URL).body


@pytest.mark.parametrize(
    "run",
    [
        ended(("main", Succeeded.of("x" * 200_001))),
        ended(("a", Succeeded.of("x" * 100_000)), ("b", Succeeded.of("x" * 100_000)), run=a_run(http("a"), http("b"))),
    ],
    ids=["one target", "several"],
)
def test_a_large_output_is_left_out_and_pointed_to(run):
    message = events.ended(run, URL)
    seen = read(message)
    assert len(message.body) <= events.MAX_REPLY
    assert seen.data["outputUrl"] == f"{URL}/v1/requests/order-1/output"
    assert seen.data["status"] == "Succeeded"
    assert "output" not in seen.data


def test_a_reply_of_the_allowed_size_keeps_its_output():
    # The output of a single target appears twice in a run: its own and the run's.
    room = events.MAX_REPLY - len(events.ended(ended(("main", Succeeded.of(""))), URL).body)
    fits, too_large = (events.ended(ended(("main", Succeeded.of("x" * (room // 2 + more)))), URL) for more in (0, 1))
    assert "outputUrl" not in read(fits).data
    assert "outputUrl" in read(too_large).data


@pytest.mark.parametrize(
    "run",
    [
        ended(
            ("b", Failed("x", "y")),
            run=with_late_result(ended(("a", Failed("x", "y")), run=a_run(http("a"), http("b"))), "a", "x" * 250_000),
        ),
        ended(*((f"t{n}", Failed("Boom", "x" * 10_000)) for n in range(30)), run=a_run(*(http(f"t{n}") for n in range(30)))),
    ],
    ids=["late result", "long errors"],
)
def test_a_reply_is_never_larger_than_allowed(run):
    assert len(events.ended(run, URL).body) <= events.MAX_REPLY


def test_a_run_without_output_points_to_none():
    seen = read(events.ended(ended(("main", Failed("Boom", "x" * 250_000))), URL))
    assert "outputUrl" not in seen.data


# Times.


@moderate
@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants them bare
def test_times_of_events_are_written_as_in_runs(moment):
    run = replace(a_run(), created_at=moment)
    assert json.loads(dump(run))["createdAt"] == events.iso(moment)
    assert cloudevents.timestamp(events.iso(moment)) == moment


def test_a_bridge_without_a_public_address_gives_no_url():
    assert events.invocation_url("", "order-1/main") == ""

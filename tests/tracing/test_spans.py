"""The spans of a run on ports in memory: which there are, below what, and what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from bridge import cloudevents, events, tracing
from bridge.auth import LOCAL
from bridge.cloudevents import Event
from bridge.errors import CallFailed, CorrelationConflict, Unavailable
from bridge.events import Submission
from bridge.ports import FunctionResponse
from bridge.run import Run
from bridge.testing import json_answer
from tests.pipeline_kit import World, message, world
from tests.tracing_kit import CALLER, TRACE_ID, UNSAMPLED, Recorded, attributes, traceparent_of


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
async def with_outbox(tmp_path: Path, recorded: Recorded) -> World:
    return await world(tmp_path, outbox=True, tracer=recorded.tracer)


@pytest.fixture
async def without_outbox(tmp_path: Path, recorded: Recorded) -> World:
    return await world(tmp_path, tracer=recorded.tracer)


async def ask(started: World, automation: str, traceparent: str = CALLER, tracestate: str = "") -> Run:
    asked = Submission(automation, {"x": 1}, "id-1", traceparent=traceparent, tracestate=tracestate)
    return (await started.bridge.services.bridge.submit(asked, LOCAL)).run


async def answer(started: World, data: dict[str, Any], **more: str) -> None:
    """The result of the function behind the topic of `work`."""
    (invocation,) = (await started.run()).invocations
    token = invocation.control.token
    named = {"specversion": "1.0", "id": "result-1", "source": "/f", "type": events.RESULT, "correlationid": "id-1", **more}
    event = Event({**named, "causationid": "id-1/worker", "invocationtoken": token}, data)
    await started.bus.publish([events._message(events.RESULTS, event)])
    await started.bus.deliver()


def sent_to_function(started: World) -> dict[str, str]:
    return dict(started.functions.calls[-1].headers)


async def test_with_an_outbox_the_attempt_and_the_reply_are_below_the_acceptance(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "one")
    await with_outbox.bus.deliver()
    assert recorded.tree() == [
        "INTERNAL caller > accept",
        "CLIENT caller > accept > POST /api/one",
        "PRODUCER caller > accept > send automation-replies",
    ]
    assert {f"{each.context.trace_id:032x}" for each in recorded.spans} == {TRACE_ID}


async def test_without_an_outbox_the_request_crosses_the_bus_in_the_trace(without_outbox: World, recorded: Recorded) -> None:
    await ask(without_outbox, "one")
    await without_outbox.bus.deliver()
    requested = "caller > accept > send automation-requests > process automation-requests"
    assert recorded.tree() == [
        "INTERNAL caller > accept",
        "PRODUCER caller > accept > send automation-requests",
        f"CONSUMER {requested}",
        f"CLIENT {requested} > POST /api/one",
        f"PRODUCER {requested} > send automation-replies",
    ]


async def test_a_request_from_the_bus_is_taken_below_what_made_its_event(with_outbox: World, recorded: Recorded) -> None:
    named = {"specversion": "1.0", "id": "id-1", "source": "/t", "type": "automation.requested", "subject": "one", "traceparent": CALLER}
    await with_outbox.bus.publish([events.requested(Event(named))])
    await with_outbox.bus.deliver()
    assert recorded.tree()[:2] == [
        "CONSUMER caller > process automation-requests",
        "INTERNAL caller > process automation-requests > accept",
    ]
    (link,) = recorded.one("process automation-requests").links
    assert f"{link.context.span_id:016x}" == CALLER[36:52]


async def test_the_function_gets_the_attempt_as_its_parent_and_the_tracestate_of_the_caller(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "one", tracestate="vendor=1")
    await with_outbox.bus.deliver()
    sent = sent_to_function(with_outbox)
    assert (sent["traceparent"], sent["tracestate"]) == (traceparent_of(recorded.one("POST /api/one")), "vendor=1")


async def test_an_attempt_says_what_was_called_and_what_came_of_it(with_outbox: World, recorded: Recorded) -> None:
    with_outbox.functions.answers["/api/one"] = [FunctionResponse(503, {}, b""), json_answer(1)]
    await ask(with_outbox, "one")
    await with_outbox.bus.deliver()
    first, second = (attributes(each) for each in recorded.spans if each.name == "POST /api/one")
    common = {
        "bridge.app": "app",
        "bridge.automation": "one",
        "bridge.correlation_id": "id-1",
        "bridge.target": "only",
        "http.request.method": "POST",
        "messaging.message.conversation_id": "id-1",
        "url.template": "/api/one",
    }
    failed = {"bridge.attempt": 1, "bridge.outcome": "Failed", "error.type": "Http503", "http.response.status_code": 503}
    assert first == {**common, **failed}
    succeeded = {"bridge.attempt": 2, "bridge.outcome": "Succeeded", "http.request.resend_count": 1, "http.response.status_code": 200}
    assert second == {**common, **succeeded}


async def test_a_call_without_an_answer_ends_with_its_reason(with_outbox: World, recorded: Recorded) -> None:
    with_outbox.functions.answers["/api/one"] = [CallFailed("ConnectionLost", "gone", may_have_run=True), json_answer(1)]
    await ask(with_outbox, "one")
    await with_outbox.bus.deliver()
    first = next(each for each in recorded.spans if each.name == "POST /api/one")
    said = attributes(first)
    assert (said["error.type"], said["bridge.outcome"], first.status.is_ok) == ("ConnectionLost", "Unknown", False)


async def test_no_secret_of_an_input_or_a_token_is_in_a_span(tmp_path: Path, recorded: Recorded) -> None:
    started = await world(tmp_path, outbox=True, tracer=recorded.tracer)
    run = await ask(started, "one")
    (token,) = [each.control.token for each in run.invocations]
    body = json.dumps({"error": {"code": token, "message": f"the token is {token}"}}).encode()
    started.functions.answers["/api/one"] = [FunctionResponse(400, {"content-type": "application/json"}, body)]
    await started.bus.deliver()
    assert attributes(recorded.one("POST /api/one"))["error.type"] == "***"
    assert token not in "".join(each.to_json() for each in recorded.spans)


@pytest.mark.parametrize("outbox", [False, True])
async def test_the_work_of_a_topic_carries_its_dispatch_and_its_result_comes_back_below(tmp_path: Path, outbox: bool) -> None:
    recorded = Recorded()
    started = await world(tmp_path, outbox=outbox, tracer=recorded.tracer)
    await ask(started, "work")
    await started.bus.deliver()
    sent = recorded.one("send work")
    carried = cloudevents.decode(message(started, "invoked").body).get("traceparent")
    assert carried == message(started, "invoked").properties["traceparent"] == traceparent_of(sent)
    await answer(started, {"status": "succeeded", "output": 1}, traceparent=carried)
    accepted = "caller > accept" if outbox else "caller > accept > send automation-requests > process automation-requests"
    assert recorded.tree()[-3:] == [
        f"PRODUCER {accepted} > send work",
        f"CONSUMER {accepted} > send work > process automation-results",
        f"PRODUCER {accepted} > send work > process automation-results > send automation-replies",
    ]
    (link,) = recorded.one("process automation-results").links
    assert link.context.span_id == sent.context.span_id


async def test_a_dispatch_and_a_delivery_have_the_attributes_of_messaging(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "work")
    await answer(with_outbox, {"status": "running", "progress": {"percent": 10}})
    common = {"bridge.automation": "work", "bridge.correlation_id": "id-1", "messaging.message.conversation_id": "id-1"}
    assert attributes(recorded.one("send work")) == {
        **common,
        "bridge.attempt": 1,
        "bridge.target": "worker",
        "messaging.destination.name": "work",
        "messaging.message.id": "id-1/worker",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.system": "embedded",
    }
    assert attributes(recorded.one("process automation-results")) == {
        **common,
        "messaging.destination.name": "automation-results",
        "messaging.destination.subscription.name": "bridge",
        "messaging.message.id": "result-1",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.system": "embedded",
    }


async def test_a_result_of_another_trace_is_handled_in_that_of_the_run_and_linked(with_outbox: World, recorded: Recorded) -> None:
    other = f"00-{'e' * 32}-{'f' * 16}-01"
    await ask(with_outbox, "work")
    await answer(with_outbox, {"status": "succeeded", "output": 1}, traceparent=other)
    found = recorded.one("process automation-results")
    (link,) = found.links
    assert (f"{found.context.trace_id:032x}", f"{link.context.trace_id:032x}") == (TRACE_ID, "e" * 32)


async def test_a_second_dispatch_is_below_the_result_that_asked_for_it(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "work")
    await answer(with_outbox, {"status": "failed", "error": {"code": "Busy", "message": "later", "retriable": True}})
    again = [attributes(each) for each in recorded.spans if each.name == "send work"]
    assert [each["bridge.attempt"] for each in again] == [1, 2]
    assert recorded.tree()[-1] == "PRODUCER caller > accept > process automation-results > send work"


async def test_the_reply_carries_its_own_publishing_and_says_how_the_run_ended(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "one")
    await with_outbox.bus.deliver()
    sent = recorded.one("send automation-replies")
    assert cloudevents.decode(message(with_outbox, "succeeded").body).get("traceparent") == traceparent_of(sent)
    assert attributes(sent)["bridge.status"] == "Succeeded"


async def test_a_run_that_times_out_is_replied_to_in_its_trace(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "work")
    await with_outbox.pass_time(61)
    assert recorded.tree()[-1] == "PRODUCER caller > accept > send automation-replies"
    assert attributes(recorded.one("send automation-replies"))["bridge.status"] == "TimedOut"


async def test_a_repeat_is_told_and_a_refusal_has_its_code(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "one")
    await ask(with_outbox, "one")
    with pytest.raises(CorrelationConflict):
        await ask(with_outbox, "two")
    first, second, third = (attributes(each) for each in recorded.spans if each.name == "accept")
    assert (first["bridge.repeated"], second["bridge.repeated"]) == (False, True)
    assert third == {"error.type": "CorrelationConflict"}


async def test_a_run_that_could_not_be_stored_leaves_no_span_open(with_outbox: World, recorded: Recorded) -> None:
    with_outbox.store.fail(Unavailable("the store is away"), key="run/")
    with pytest.raises(Unavailable):
        await ask(with_outbox, "work")
    assert [(each.name, attributes(each)["error.type"]) for each in recorded.spans] == [
        ("accept", "Unavailable"),
        ("send work", "NotStored"),
    ]


async def test_without_a_caller_s_trace_each_run_begins_one(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "one", traceparent="")
    await with_outbox.bus.deliver()
    assert recorded.tree()[0] == "INTERNAL accept"
    assert recorded.spans[0].context.trace_id != int(TRACE_ID, 16)


async def test_a_trace_that_nobody_records_goes_on_as_it_came(with_outbox: World, recorded: Recorded) -> None:
    await ask(with_outbox, "one", traceparent=UNSAMPLED)
    await with_outbox.bus.deliver()
    assert recorded.spans == []
    assert sent_to_function(with_outbox)["traceparent"] == UNSAMPLED
    assert cloudevents.decode(message(with_outbox, "succeeded").body).get("traceparent") == UNSAMPLED


async def test_a_trace_that_the_sampler_leaves_out_is_left_out_by_the_function_too(tmp_path: Path) -> None:
    recorded = Recorded(ParentBased(ALWAYS_OFF))
    started = await world(tmp_path, outbox=True, tracer=recorded.tracer)
    run = await ask(started, "one", traceparent="")
    await started.bus.deliver()
    assert recorded.spans == []
    assert int(run.control.traceparent[-2:], 16) & 1 == 0
    assert sent_to_function(started)["traceparent"] == run.control.traceparent


@pytest.mark.parametrize("outbox", [False, True])
async def test_without_telemetry_the_context_of_the_caller_is_handed_on_as_it_came(tmp_path: Path, outbox: bool) -> None:
    started = await world(tmp_path, outbox=outbox)
    await ask(started, "one", tracestate="vendor=1")
    await started.bus.deliver()
    sent = sent_to_function(started)
    assert (sent["traceparent"], sent["tracestate"]) == (CALLER, "vendor=1")
    assert cloudevents.decode(message(started, "succeeded").body).get("traceparent") == CALLER


@pytest.mark.parametrize("invalid", [f"{CALLER[:-1]}0-", f"{'x' * 54}0", f"00-{'0' * 32}-b7ad6b7169203331-00"])
@pytest.mark.parametrize("outbox", [False, True])
async def test_a_traceparent_that_is_none_is_not_taken_for_one_that_nobody_records(tmp_path: Path, invalid: str, outbox: bool) -> None:
    recorded = Recorded()
    started = await world(tmp_path, outbox=outbox, tracer=recorded.tracer)
    run = await ask(started, "one", traceparent=invalid)
    await started.bus.deliver()
    assert recorded.tree()[0] == "INTERNAL accept"
    assert {f"{each.context.trace_id:032x}" for each in recorded.spans} == {tracing.of_run(run).trace_id}


@pytest.mark.parametrize("invalid", ["", f"{'x' * 54}0"])
async def test_a_request_from_the_bus_without_a_trace_has_one_from_its_delivery_to_its_reply(
    with_outbox: World, recorded: Recorded, invalid: str
) -> None:
    named = {"specversion": "1.0", "id": "id-1", "source": "/t", "type": "automation.requested", "subject": "one", "traceparent": invalid}
    await with_outbox.bus.publish([events.requested(Event(named))])
    await with_outbox.bus.deliver()
    requested = "process automation-requests"
    assert recorded.tree() == [
        f"CONSUMER {requested}",
        f"INTERNAL {requested} > accept",
        f"CLIENT {requested} > accept > POST /api/one",
        f"PRODUCER {requested} > accept > send automation-replies",
    ]


@pytest.mark.parametrize(("traceparent", "above"), [("", ""), (CALLER, "caller > ")])
@pytest.mark.parametrize("subject", ["one", "no.such"])
async def test_the_reply_of_a_request_from_the_bus_that_is_refused_is_in_the_trace_of_the_refusal(
    with_outbox: World, recorded: Recorded, traceparent: str, above: str, subject: str
) -> None:
    more = {"subject": subject, "traceparent": traceparent, "replytopic": "no-such-topic"}
    named = {"specversion": "1.0", "id": "id-1", "source": "/t", "type": "automation.requested"}
    await with_outbox.bus.publish([events.requested(Event(named | more))])
    await with_outbox.bus.deliver()
    requested = f"{above}process automation-requests"
    assert recorded.tree() == [
        f"CONSUMER {requested}",
        f"INTERNAL {requested} > accept",
        f"PRODUCER {requested} > send automation-replies",
    ]
    assert (await with_outbox.run()).control.traceparent == traceparent_of(recorded.one("process automation-requests"))


async def test_a_refused_request_of_a_trace_that_nobody_records_goes_on_as_it_came(with_outbox: World, recorded: Recorded) -> None:
    named = {"specversion": "1.0", "id": "id-1", "source": "/t", "type": "automation.requested", "subject": "no.such"}
    await with_outbox.bus.publish([events.requested(Event({**named, "traceparent": UNSAMPLED}))])
    await with_outbox.bus.deliver()
    assert recorded.spans == []
    assert (await with_outbox.run()).control.traceparent == UNSAMPLED

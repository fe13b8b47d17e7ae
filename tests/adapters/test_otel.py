"""Spans of the SDK: what is handed on of them, and which are made."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased

from bridge.cloudevents import tracecontext
from bridge.tracing import NOWHERE, SpanKind, TraceContext
from tests.tracing_kit import CALLER, UNSAMPLED, Recorded, attributes, traceparent_of


def test_a_span_hands_on_its_own_ids_and_the_tracestate_of_its_parent() -> None:
    recorded = Recorded()
    span = recorded.tracer.start(SpanKind.CLIENT, "call", TraceContext(CALLER, "vendor=1,other=2"))
    span.end()
    assert span.context == (traceparent_of(recorded.spans[0]), "vendor=1,other=2")
    assert span.context.trace_id == CALLER[3:35]
    assert span.context.sampled


@pytest.mark.parametrize("state", ["vendor=1,t@v=2", "1vendor=x", "t@1=z", "a@b@c=1", "vendor=1,vendor=2", "vendor=1,1vendor=x"])
def test_every_valid_tracestate_goes_on_as_it_came_and_the_sdk_has_nothing_to_say_about_it(
    state: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracecontext.forwarded(CALLER, state) == (CALLER, state)
    recorded = Recorded()
    with caplog.at_level(logging.DEBUG):
        span = recorded.tracer.start(SpanKind.CLIENT, "call", TraceContext(CALLER, state), [TraceContext(CALLER, state)])
        below = recorded.tracer.start(SpanKind.CLIENT, "call", span.context)
    below.end()
    span.end()
    assert (span.context.tracestate, below.context.tracestate) == (state, state)
    assert {each.context.trace_state.to_header() for each in recorded.spans} == {state if state == "vendor=1,t@v=2" else ""}
    assert not caplog.records


def test_a_later_version_of_the_trace_context_is_joined_as_well() -> None:
    recorded = Recorded()
    recorded.tracer.start(SpanKind.CLIENT, "call", TraceContext(f"01{CALLER[2:]}-more")).end()
    assert recorded.tree() == ["CLIENT caller > call"]


def test_an_error_is_the_status_of_a_span_and_its_kind() -> None:
    recorded = Recorded()
    recorded.tracer.start(SpanKind.CLIENT, "call", NOWHERE).end("Timeout")
    (found,) = recorded.spans
    assert (attributes(found), found.status.is_ok) == ({"error.type": "Timeout"}, False)


@pytest.mark.parametrize(
    ("sampler", "recorded_at_all"),
    [(ParentBased(ALWAYS_ON), False), (ALWAYS_ON, True), (TraceIdRatioBased(1), True), (ALWAYS_OFF, False)],
)
def test_only_a_sampler_that_heeds_the_parent_leaves_out_what_nobody_records(sampler, recorded_at_all) -> None:
    recorded = Recorded(sampler)
    recorded.tracer.start(SpanKind.INTERNAL, "accept", TraceContext(UNSAMPLED)).end()
    assert bool(recorded.spans) == recorded_at_all


QUARTER = TraceIdRatioBased(0.25)


class OfAnotherKind(Sampler):
    """A sampler whose decisions nobody can know without asking it."""

    def should_sample(self, *args: Any, **named: Any) -> SamplingResult:
        return QUARTER.should_sample(*args, **named)

    def get_description(self) -> str:
        return "of another kind"


@pytest.mark.parametrize("sampler", [QUARTER, OfAnotherKind(), ParentBased(QUARTER), ParentBased(OfAnotherKind())])
def test_of_new_traces_the_share_of_the_sampler_is_recorded_and_every_context_says_whether_its_trace_is(sampler: Sampler) -> None:
    recorded = Recorded(sampler)
    spans = [recorded.tracer.start(SpanKind.SERVER, "call", NOWHERE) for _ in range(400)]
    for span in spans:
        span.end()
    sampled = {span.context.trace_id for span in spans if span.context.sampled}
    assert {f"{each.context.trace_id:032x}" for each in recorded.spans} == sampled
    assert len({span.context.traceparent for span in spans}) == 400
    assert all((int(span.context.trace_id[16:], 16) < QUARTER.bound) == span.context.sampled for span in spans)
    assert 40 < len(sampled) < 160


def test_whatever_belongs_to_a_new_trace_that_is_not_recorded_is_passed_over() -> None:
    recorded = Recorded(ParentBased(QUARTER))
    spans = [recorded.tracer.start(SpanKind.SERVER, "call", NOWHERE) for _ in range(100)]
    assert [recorded.tracer.skips(span.context.traceparent) for span in spans] == [not span.context.sampled for span in spans]

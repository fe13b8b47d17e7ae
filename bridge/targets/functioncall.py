"""Builds the call of an HTTP target: the input as the catalogue maps it, and the headers that every function receives."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bridge import events
from bridge.catalog import mapping
from bridge.catalog.target import HttpTarget
from bridge.ports import FunctionCall
from bridge.run import Invocation, Run, json_bytes, json_value
from bridge.tracing import TraceContext


def made(run: Run, target: HttpTarget, time_limit: timedelta, headers: Mapping[str, str]) -> FunctionCall:
    """The call of the last attempt, with these headers.

    The input fits the mapping, because that was checked when the request was accepted.
    """
    if target.passes_input_on:
        body = json_bytes(run.input_json) if target.has_body else b""
        kind = {"content-type": target.content_type or mapping.JSON} if target.has_body else {}
        return FunctionCall(target.app, target.method, target.path, body, {**kind, **headers}, time_limit, template=target.path)
    request = mapping.request(target, json_value(run.input_json))
    sent = {**request.headers, **headers}
    return FunctionCall(target.app, target.method, request.path, request.body, sent, time_limit, template=target.path)


def headers(run: Run, invocation: Invocation, ahead: timedelta, public_url: str, trace: TraceContext | None = None) -> dict[str, str]:
    """The headers that every function receives. `trace` is the parent of the function's spans, by default the trace of the run.

    `ahead` is by how much the wall clock is ahead of the run's time, because functions use the wall clock.
    """
    invocation_id = f"{run.correlation_id}/{invocation.target}"
    traceparent, tracestate = trace or (run.control.traceparent, run.control.tracestate)
    named = {
        "x-correlation-id": run.correlation_id,
        "x-invocation-id": invocation_id,
        "x-attempt": str(len(invocation.attempts)),
        "x-deadline": events.iso(run.deadline + ahead),
        "x-invocation-token": invocation.control.token,
        "x-invocation-url": events.invocation_url(public_url, invocation_id),
        "traceparent": traceparent,
        "tracestate": tracestate,
    }
    return {name: value for name, value in named.items() if value}

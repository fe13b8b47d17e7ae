"""Creates a span for each call of the API. It is installed only where telemetry is configured."""

from __future__ import annotations

import re
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge import logs
from bridge.api import reading
from bridge.tracing import NOWHERE, TraceContext, Tracer, TraceSpan, spans

#: The calls that ask for a run. All others get a span only if their caller is in a trace: whoever looks for the end of a run asks a hundred
#: times, and each look would be a trace of its own.
_ASKING = ("/v1/automations/{name}/requests", "/v1/events", "/v1/requests/{correlationId}/rerun")
#: Not the calls of functions at their invocation URL, once a second, nor what the guard lets pass without a token.
_ROUTES = [
    (re.compile(pattern), route)
    for pattern, route in (
        (r"/v1/automations/[^/]+/requests", _ASKING[0]),
        (r"/v1/events", _ASKING[1]),
        (r"/v1/requests/[^/]+/rerun", _ASKING[2]),
        (r"/v1/requests/[^/]+", "/v1/requests/{correlationId}"),
        (r"/v1/requests/[^/]+/output", "/v1/requests/{correlationId}/output"),
        (r"/v1/requests/[^/]+/events", "/v1/requests/{correlationId}/events"),
        (r"/v1/requests", "/v1/requests"),
        (r"/v1/automations", "/v1/automations"),
        (r"/v1/automations/[^/]+", "/v1/automations/{name}"),
        (r"/v1/configuration", "/v1/configuration"),
        (r"/v1/deadletters", "/v1/deadletters"),
        (r"/v1/deadletters/[^/]+", "/v1/deadletters/{id}"),
        (r"/v1/deadletters/[^/]+/replay", "/v1/deadletters/{id}/replay"),
        (r"/v1/audit", "/v1/audit"),
    )
]


class Traced:
    """ASGI middleware. Inner layers see the span of this call instead of the trace context of the caller (`reading.trace`)."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request within its span."""
        span = self._span(scope) if scope["type"] == "http" else None
        if span is not None:
            scope[reading.SPAN] = span.context
            if span.recording:
                await self._answer_within(span, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer_within(self, span: TraceSpan, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        def noting(message: Message) -> Awaitable[None]:
            nonlocal status
            status = message.get("status", status)
            return send(message)

        token = logs.TRACE.set(span.context)
        try:
            await self._app(scope, receive, noting)
        finally:
            logs.TRACE.reset(token)
            spans.door_closed(span, status)

    def _span(self, scope: Scope) -> TraceSpan | None:
        traceparent, tracestate = reading.caller_trace(scope["headers"])
        if scope["method"] == "OPTIONS" or not (traceparent or scope["method"] == "POST"):
            return None
        named = route(scope["path"])
        if named is None or not (traceparent or named in _ASKING):
            return None
        return spans.door(self._tracer, scope, named, TraceContext(traceparent, tracestate) if traceparent else NOWHERE)


def route(path: str) -> str | None:
    """The route of a path; None for a path that needs no span, such as a probe."""
    for pattern, named in _ROUTES:
        if pattern.fullmatch(path):
            return named
    return None

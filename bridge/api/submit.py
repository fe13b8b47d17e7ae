"""The endpoints that create runs: they accept the input of an automation, an event, or a batch of events."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from bridge import cloudevents
from bridge.api import bodies, problem, reading, showing
from bridge.auth import Caller
from bridge.cloudevents import Event, httpbinding
from bridge.errors import BridgeError, Malformed
from bridge.intake import Acceptance
from bridge.jsontext import read_unique_json, require_utf_8
from bridge.runview import view_json
from bridge.service import BridgeService
from bridge.settings import Settings

_AT_ONCE = 100  #: events of a batch that are submitted at a time


class Submit:
    """Accepts requests for automations."""

    def __init__(self, bridge: BridgeService, settings: Settings) -> None:
        self._bridge, self._settings = bridge, settings
        #: A proxy may serve the API below a path, and a relative reference starts at the root of the host.
        self._location = f"{urlsplit(settings.public_url or '').path}/v1/requests/"

    async def ask(self, request: Request) -> Response:
        """Request an automation; the body is its input."""
        return await self._accepted(request, await self._submitted(request))

    async def _submitted(self, request: Request) -> Acceptance:
        # When this returns, what was read is of no more use and gone, however long the caller waits for the run.
        reading.require_json(request)
        value = read_unique_json(await reading.body(request, self._settings.max_input_bytes))
        submission = reading.submission(request, request.path_params["name"], value)
        del value
        return await self._bridge.submit(submission, reading.caller(request))

    async def publish(self, request: Request) -> Response:
        """Request automations by events: structured, binary or a batch (CloudEvents HTTP binding 1.0.2, section 3)."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == cloudevents.BATCH:
            return await self._batch(request)
        return await self._accepted(request, await self._published(request))

    async def _published(self, request: Request) -> Acceptance:
        event = httpbinding.decode_http(request.headers, await reading.body(request, self._settings.max_input_bytes))
        return await self._bridge.accept(_traced(event, request), reading.caller(request))

    async def rerun(self, request: Request) -> Response:
        """Start a new run for the automation of an earlier run."""
        body = await reading.body(request, self._settings.max_input_bytes)
        if body:
            reading.require_json(request)
        submission = reading.submission(request, "", read_unique_json(body) if body else (None, b""))
        correlation_id, caller = request.path_params["correlationId"], reading.caller(request)
        return await self._accepted(request, await self._bridge.rerun(correlation_id, caller, submission, new_input=bool(body)))

    async def _batch(self, request: Request) -> Response:
        caller = reading.caller(request)
        require_utf_8(request.headers.get("content-type", ""))
        events = cloudevents.decode_batch(await reading.body(request, self._settings.max_batch_bytes))
        items: list[bytes] = []
        for start in range(0, len(events), _AT_ONCE):
            group = [each if isinstance(each, Malformed) else _traced(each, request) for each in events[start : start + _AT_ONCE]]
            items += await asyncio.gather(*(self._one_of_batch(event, caller) for event in group))
        return showing.items(items, status=202)

    async def _one_of_batch(self, event: Event | Malformed, caller: Caller) -> bytes:
        try:
            if isinstance(event, Malformed):
                raise event
            return view_json((await self._bridge.accept(event, caller)).run)
        except BridgeError as refusal:
            return to_json(problem.content(refusal))

    async def _accepted(self, request: Request, accepted: Acceptance) -> Response:
        run = accepted.run
        wait = reading.preferred_wait(request, self._settings.max_wait.total_seconds())
        if wait is not None:
            bodies.release(request.scope)
            run = await self._bridge.ended(run, wait)
        ended = run.status.final and (not accepted.created or wait is not None)
        return showing.run(run, 200 if ended else 202, {"location": self._location + run.correlation_id})


def _traced(event: Event, request: Request) -> Event:
    """The event with the trace context of its HTTP request, unless it has one of its own."""
    traceparent, tracestate = ("", "") if "traceparent" in event.attributes else reading.trace(request)
    if not traceparent:
        return event
    own = {name: value for name, value in event.attributes.items() if name != "tracestate"}
    state = {"tracestate": tracestate} if tracestate else {}
    return Event({**own, "traceparent": traceparent, **state}, event.data, event.data_json)

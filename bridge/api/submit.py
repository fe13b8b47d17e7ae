"""Submitting: an automation with its input, an event, a batch of events."""

from __future__ import annotations

import asyncio

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from bridge import envelope, problem
from bridge.api import reading, showing
from bridge.doors import Doors, Submitted
from bridge.envelope import Event, parse_json
from bridge.errors import BridgeError, Malformed
from bridge.identity import Caller
from bridge.run import view_json
from bridge.settings import Settings

_AT_ONCE = 100  #: events of a batch that are submitted at a time


class Submit:
    """What leads to a run."""

    def __init__(self, doors: Doors, settings: Settings) -> None:
        self._doors, self._settings = doors, settings

    async def ask(self, request: Request) -> Response:
        """Submit an automation; the body is its input."""
        reading.require_json(request)
        value = parse_json(await reading.body(request, self._settings.max_input_bytes))
        asked = reading.ask(request, request.path_params["name"], value)
        return await self._accepted(request, await self._doors.ask(asked, reading.caller(request)))

    async def publish(self, request: Request) -> Response:
        """Submit by event: structured, binary or a batch (CloudEvents HTTP binding 1.0.2, section 3)."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == envelope.BATCH:
            return await self._batch(request)
        event = envelope.decode_http(request.headers, await reading.body(request, self._settings.max_input_bytes))
        return await self._accepted(request, await self._doors.submit(event, reading.caller(request)))

    async def rerun(self, request: Request) -> Response:
        """Ask for the same again."""
        body = await reading.body(request, self._settings.max_input_bytes)
        if body:
            reading.require_json(request)
        wish = reading.ask(request, "", parse_json(body) if body else None)
        correlation_id, caller = request.path_params["correlationId"], reading.caller(request)
        return await self._accepted(request, await self._doors.rerun(correlation_id, caller, wish, new_input=bool(body)))

    async def _batch(self, request: Request) -> Response:
        caller = reading.caller(request)
        events = envelope.decode_batch(await reading.body(request, self._settings.max_batch_bytes))
        items: list[bytes] = []
        for start in range(0, len(events), _AT_ONCE):
            group = events[start : start + _AT_ONCE]
            items += await asyncio.gather(*(self._one_of_batch(event, caller) for event in group))
        return showing.items(items, status=202)

    async def _one_of_batch(self, event: Event | Malformed, caller: Caller) -> bytes:
        try:
            if isinstance(event, Malformed):
                raise event
            return view_json((await self._doors.submit(event, caller)).run)
        except BridgeError as refusal:
            return to_json(problem.content(refusal))

    async def _accepted(self, request: Request, submitted: Submitted) -> Response:
        run = submitted.run
        wait = reading.preferred_wait(request, self._settings.max_wait.total_seconds())
        if wait is not None:
            run = await self._doors.ended(run, wait)
        ended = run.status.final and (submitted.repeated or wait is not None)
        return showing.run(run, 200 if ended else 202, {"location": f"/v1/requests/{run.correlation_id}"})

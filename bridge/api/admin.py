"""The endpoints for administrators: dead letters and the audit."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from bridge.api import reading, showing
from bridge.audit import Audit
from bridge.cloudevents import LARGE
from bridge.deadletters import AllDeadLetters, DeadLetter, DeadLetterFilter, ReplayRequest
from bridge.settings import Settings


class Admin:
    """Lists, shows, discards and replays dead letters, and runs the audit."""

    def __init__(self, deadletters: AllDeadLetters, audit: Audit, settings: Settings) -> None:
        self._deadletters, self._audit, self._settings = deadletters, audit, settings

    async def dead_letters(self, request: Request) -> Response:
        """The dead letters of the bridge, newest first, followed by those of the broker."""
        reading.caller(request).require_admin()
        query = request.query_params
        only = DeadLetterFilter(
            reason=query.get("reason", ""),
            automation=query.get("automation", ""),
            replayed=reading.choice(request, "replayed"),
            replay_of=query.get("replayOf", ""),
            entity=query.get("entity", ""),
            text=query.get("text", ""),
            before=reading.moment(request, "before"),
        )
        with_event = reading.choice(request, "event") is not False
        page = await self._deadletters.page(reading.limit(request), query.get("cursor", ""), only)
        missing = [{"detail": each.detail, **({"entity": each.entity} if each.entity else {})} for each in page.missing]
        items: list[bytes] = []
        for dead_letter in page.dead_letters:
            # Large ones are shown by a thread, and between any two others have their turn.
            is_large = with_event and dead_letter.size > LARGE
            written = partial(self._written, dead_letter, event=with_event)
            items.append(await asyncio.to_thread(written) if is_large else written())
            await asyncio.sleep(0)
        return showing.items(items, page.cursor, missing=missing)

    async def dead_letter(self, request: Request) -> Response:
        """One dead letter with its event."""
        reading.caller(request).require_admin()
        dead_letter = await self._deadletters.get(request.path_params["id"])
        return showing.written(await asyncio.to_thread(self._written, dead_letter))

    async def discard(self, request: Request) -> Response:
        """Remove a dead letter from the list."""
        caller = reading.caller(request)
        caller.require_admin()
        await self._deadletters.discard(request.path_params["id"], caller.name)
        return Response(status_code=204)

    async def replay(self, request: Request) -> Response:
        """Publish the event of a dead letter again, or the edited event in the body."""
        caller = reading.caller(request)
        caller.require_admin()
        edited = await reading.body(request, self._settings.max_input_bytes)
        if edited:
            reading.require_json(request)
        replay = ReplayRequest(caller.name, reading.number(request), edited or None)
        replayed = await self._deadletters.replay(request.path_params["id"], replay)
        return showing.value(self._view(replayed.dead_letter), 202 if replayed.now else 200)

    def _written(self, dead_letter: DeadLetter, *, event: bool = True) -> bytes:
        return to_json(self._view(dead_letter, event=event))

    def _view(self, dead_letter: DeadLetter, *, event: bool = True) -> dict[str, Any]:
        reaches = self._deadletters.reaches(dead_letter)
        return {**dead_letter.view(event=event), **({"reaches": list(reaches)} if reaches else {})}

    async def audit(self, request: Request) -> Response:
        """The audit report, which compares what was accepted with what has ended."""
        reading.caller(request).require_admin()
        report = await self._audit.take(reading.since(request))
        return showing.written(report.model_dump_json(by_alias=True))

"""What only an administrator sees and does: dead letters, and the account of what was accepted."""

from __future__ import annotations

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from bridge.api import reading, showing
from bridge.audit import Audit
from bridge.deadletters import DeadLetters, Wanted
from bridge.replay import Wish
from bridge.settings import Settings


class Admin:
    """Dead letters: list, show, discard, replay; and the audit."""

    def __init__(self, deadletters: DeadLetters, audit: Audit, settings: Settings) -> None:
        self._deadletters, self._audit, self._settings = deadletters, audit, settings

    async def dead_letters(self, request: Request) -> Response:
        """Dead letters, newest first."""
        reading.caller(request).require_admin()
        query = request.query_params
        replayed = reading.choice(request, "replayed")
        wanted = Wanted(query.get("reason", ""), query.get("automation", ""), replayed, query.get("replayOf", ""))
        with_event = reading.choice(request, "event") is not False
        letters, cursor = await self._deadletters.page(reading.limit(request), query.get("cursor", ""), wanted)
        return showing.items([to_json(letter.view(event=with_event)) for letter in letters], cursor)

    async def dead_letter(self, request: Request) -> Response:
        """One dead letter with the event."""
        reading.caller(request).require_admin()
        return showing.value((await self._deadletters.find(request.path_params["id"])).view())

    async def discard(self, request: Request) -> Response:
        """Take a dead letter off the list."""
        reading.caller(request).require_admin()
        await self._deadletters.discard(request.path_params["id"])
        return Response(status_code=204)

    async def replay(self, request: Request) -> Response:
        """Publish a dead letter's event once more, or the edited event in the body."""
        caller = reading.caller(request)
        caller.require_admin()
        edited = await reading.body(request, self._settings.max_input_bytes)
        if edited:
            reading.require_json(request)
        wish = Wish(caller.name, reading.number(request), edited or None)
        replayed = await self._deadletters.replay(request.path_params["id"], wish)
        return showing.value(replayed.letter.view(), 202 if replayed.now else 200)

    async def audit(self, request: Request) -> Response:
        """The account of what was accepted."""
        reading.caller(request).require_admin()
        account = await self._audit.take(reading.since(request))
        return showing.written(account.model_dump_json(by_alias=True))

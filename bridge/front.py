"""What listens for the API: until there is a bridge behind it, health checks are answered and everything else is told to come again."""

from __future__ import annotations

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge import problem
from bridge.errors import Unavailable

LIVE, READY = "/healthz/live", "/healthz/ready"


class Front:
    """An ASGI application; `opened` gives it the one that answers from then on. `part` names what it waits for at first."""

    def __init__(self, part: str) -> None:
        self._part, self._why = part, "is waited for"
        self._bridge: ASGIApp | None = None

    def waits_for(self, part: str, why: str) -> None:
        """Name what it waits for now, and what is wrong with it."""
        self._part, self._why = part, why

    def opened(self, bridge: ASGIApp) -> None:
        """Let `bridge` answer."""
        self._bridge = bridge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (self._bridge or self._answer(scope))(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["path"] == LIVE:
            return Response(to_json({"status": "live"}), media_type="application/json")
        if scope["path"] == READY:
            shown = {"status": "not ready", "parts": {self._part: self._why}}
            return Response(to_json(shown), 503, media_type="application/json")
        return problem.answer(Unavailable(f"The bridge waits for its {self._part}.", hint="Send the request again in a moment."))

"""Answers health checks while the bridge starts, and 503 to everything else. When the bridge stops, open requests get an answer, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.api import problem
from bridge.errors import Unavailable

LIVE, READY = "/healthz/live", "/healthz/ready"
_CUT_OFF = problem.answer(
    Unavailable(
        "The bridge is stopping before the request was finished.",
        hint="Send the same request again in a moment: it may have been accepted.",
    )
)


class StartupGate:
    """An ASGI application that passes requests on once it is open. `component` names what the start waits for at first."""

    def __init__(self, component: str) -> None:
        self._component, self._reason = component, "is waited for"
        self._application: ASGIApp | None = None

    def waits_for(self, component: str, reason: str) -> None:
        """Set the component that the start is waiting for, and what is wrong with it."""
        self._component, self._reason = component, reason

    def open(self, application: ASGIApp) -> None:
        """Pass all requests on to `application` from now on."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. When the bridge stops, the server cancels requests that take too long, such as one that waits for a bus."""
        has_begun = False

        def noting(message: Message) -> Awaitable[None]:
            nonlocal has_begun
            has_begun = True
            return send(message)

        try:
            await (self._application or self._answer(scope))(scope, receive, noting)
        except asyncio.CancelledError:
            # The server would answer 500 and log a traceback. An answer that has begun ends with its connection.
            if not has_begun and scope["type"] == "http":
                await _CUT_OFF(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["path"] == LIVE:
            return Response(to_json({"status": "live"}), media_type="application/json")
        if scope["path"] == READY:
            shown = {"status": "not ready", "parts": {self._component: self._reason}}
            return Response(to_json(shown), 503, media_type="application/json")
        return problem.answer(
            Unavailable(f"The bridge is starting and waits for its {self._component}.", hint="Send the request again in a moment.")
        )

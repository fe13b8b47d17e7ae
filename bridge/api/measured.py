"""Measures how long requests to the API take. It is installed only where metrics are exported."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable
from time import perf_counter

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.metrics.meters import Meters


class Measured:
    """ASGI middleware around all others, so that refused requests are measured, too.

    A request lasts from its headers to the end of its answer, including the time that it waits for a run or follows one. `below` is the
    path under which a proxy may serve the API, as for `Guard`.
    """

    def __init__(self, app: ASGIApp, meters: Meters, routes: Iterable[Route], below: str = "") -> None:
        self._app, self._meters = app, meters
        self._routes = [(_pattern(each, below), each.path) for each in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = perf_counter(), 0

        def noting(message: Message) -> Awaitable[None]:
            nonlocal status
            status = message.get("status", status)
            return send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = perf_counter() - begun
            self._meters.served(scope["method"], scope["scheme"], self._route(scope["path"]), status, seconds)

    def _route(self, path: str) -> str:
        """The route of a path, with the names of its parameters instead of their values; empty for a path that is not a route."""
        for pattern, route in self._routes:
            if pattern.match(path):
                return route
        return ""


def _pattern(route: Route, below: str) -> re.Pattern[str]:
    """A pattern for the paths of a route, with or without the path under which a proxy serves the API."""
    own = route.path_regex.pattern.removeprefix("^")
    return re.compile(f"^(?:{re.escape(below)})?{own}") if below else route.path_regex

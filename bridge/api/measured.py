"""How long the API takes to answer, where metrics are exported; without that this layer is not there."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable
from time import perf_counter

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.metrics.meters import Meters


class Measured:
    """ASGI middleware around all others: what they refuse is answered, too.

    A request lasts from its headers to the end of its answer, so one that waits for a run, or follows it, takes as long as that.
    `below` is the path under which a proxy may serve the API, as for `Guard`.
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
        """The route of a path with the names of the parameters in place of their values; empty for a path that is none."""
        for pattern, route in self._routes:
            if pattern.match(path):
                return route
        return ""


def _pattern(route: Route, below: str) -> re.Pattern[str]:
    """What the router looks for, with or without the path below which the API is served."""
    own = route.path_regex.pattern.removeprefix("^")
    return re.compile(f"^(?:{re.escape(below)})?{own}") if below else route.path_regex

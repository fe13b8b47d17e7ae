"""A shortcut for the three routes that nearly every request uses. It avoids the search of a router and the layers of a framework.

The handlers are the same as in the routes of `bridge.api`, which answer everything else: other methods, other paths, HEAD.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bridge import logs
from bridge.api import problem
from bridge.errors import BridgeError

Handler = Callable[[Request], Awaitable[Response]]
_REQUEST, _AUTOMATIONS, _REQUESTS = "/v1/requests/", "/v1/automations/", "/requests"


class HotRoutes:
    """ASGI application. It calls `submit`, `publish` and `show` directly, and passes all other requests to `others`."""

    def __init__(self, others: ASGIApp, *, submit: Handler, publish: Handler, show: Handler) -> None:
        self._others, self._submit, self._publish, self._show = others, submit, publish, show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        handler = self._handler(scope) if scope["type"] == "http" else None
        if handler is None:
            await self._others(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await handler(request)
        except BridgeError as refusal:
            response = await problem.of_bridge(request, refusal)
        except Exception as fault:  # noqa: BLE001 - a mistake of ours is logged and answered, whatever it is
            response = await problem.of_mistake(request, fault)
        await response(scope, receive, send)

    def _handler(self, scope: Scope) -> Handler | None:
        """The handler of a hot route, if the request is for one. Its path parameter is put into the scope."""
        method, path = scope["method"], scope["path"]
        if method == "POST":
            if path == "/v1/events":
                return self._publish
            if path.startswith(_AUTOMATIONS) and path.endswith(_REQUESTS):
                return self._with(scope, "name", path[len(_AUTOMATIONS) : -len(_REQUESTS)], self._submit)
        elif method == "GET" and path.startswith(_REQUEST):
            return self._with(scope, "correlationId", path[len(_REQUEST) :], self._show)
        return None

    @staticmethod
    def _with(scope: Scope, name: str, value: str, handler: Handler) -> Handler | None:
        if not value or "/" in value:
            return None
        scope["path_params"] = {name: value}
        logs.RUN.set(value if name == "correlationId" else "")  # for this task only, which serves this one request
        return handler

"""Three routes pass no router. Whatever is not exactly one of them is answered by the router behind."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from bridge import logs
from bridge.api.hotroutes import Handler, HotRoutes
from bridge.errors import NotFound


def answering(name: str) -> Handler:
    """A handler that tells its name, its parameter, and the run that log lines are about."""

    async def handle(request: Request) -> Response:
        return PlainTextResponse(f"{name} {dict(request.path_params)} {logs.RUN.get()}".strip())

    return handle


async def router(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse("router")(scope, receive, send)
    else:
        await send({"type": f"{scope['type']} at the router"})


HOT = HotRoutes(router, submit=answering("submit"), publish=answering("publish"), show=answering("show"))


async def ask(method: str, path: str, routes: HotRoutes = HOT, kind: str = "http") -> list[dict[str, Any]]:
    """What is sent for a request of that path, which is decoded as a server does."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await routes({"type": kind, "method": method, "path": path, "headers": [], "query_string": b""}, receive, send)
    return sent


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("POST", "/v1/automations/report/requests", b"submit {'name': 'report'}"),
        ("POST", "/v1/events", b"publish {}"),
        ("GET", "/v1/requests/order-1", b"show {'correlationId': 'order-1'} order-1"),
        ("GET", "/v1/requests/a b", b"show {'correlationId': 'a b'} a b"),
    ],
)
async def test_a_hot_route_is_answered_by_its_handler_with_its_parameter(method: str, path: str, answer: bytes) -> None:
    _, body = await ask(method, path)
    assert body["body"] == answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/requests/order-1/output"),
        ("GET", "/v1/requests/order-1/"),
        ("GET", "/v1/requests/"),
        ("GET", "/v1/requests"),
        ("HEAD", "/v1/requests/order-1"),
        ("DELETE", "/v1/requests/order-1"),
        ("POST", "/v1/requests/order-1"),
        ("POST", "/v1/automations/report/more/requests"),
        ("POST", "/v1/automations//requests"),
        ("POST", "/v1/automations/requests"),
        ("GET", "/v1/automations/report/requests"),
        ("POST", "/v1/events/"),
        ("GET", "/v1/events"),
        ("GET", "/"),
    ],
)
async def test_everything_else_is_answered_by_the_router(method: str, path: str) -> None:
    _, body = await ask(method, path)
    assert body["body"] == b"router"


@pytest.mark.parametrize(("error", "status"), [(NotFound("There is no such run."), 404), (RuntimeError("inside"), 500)])
async def test_a_refusal_and_a_mistake_are_problems_as_behind_the_router(error: Exception, status: int) -> None:
    async def fail(_: Request) -> Response:
        raise error

    start, body = await ask("GET", "/v1/requests/order-1", HotRoutes(router, submit=fail, publish=fail, show=fail))
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (status, b"application/problem+json")
    assert b"inside" not in body["body"]


async def test_what_is_no_request_goes_to_the_router() -> None:
    assert await ask("GET", "/v1/requests/order-1", kind="lifespan") == [{"type": "lifespan at the router"}]

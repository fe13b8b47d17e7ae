"""How long a request took, by its route; whoever sends it can choose none of the names."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import Any

import pytest

from bridge import api
from bridge.api.measured import Measured
from bridge.metrics.meters import Meters
from bridge.settings import Settings, Token
from tests.api.test_traced import Behind, services
from tests.metrics.test_meters import series

FAMILY = "http_server_request_duration"
SUBMIT = "/v1/automations/{name}/requests"


async def nothing(_message: Any = None) -> Any:
    pass


def scope(method: str, path: str, **headers: str) -> dict[str, Any]:
    named = [(name.encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http", "method": method, "path": path, "scheme": "http", "headers": named, "query_string": b""}


@pytest.mark.parametrize("path", ["/v1/automations/report/requests", "/at/v1/automations/report/requests"])
async def test_a_request_is_counted_by_its_route_below_the_public_path_too(path: str) -> None:
    meters = Meters("embedded")
    await Measured(Behind(202), meters, api.routes(services()), "/at")(scope("POST", path), nothing, nothing)
    assert series(meters, FAMILY) == {("POST", "202", "http", SUBMIT): 1}


async def test_a_request_that_is_cut_off_is_counted_too() -> None:
    meters = Meters("embedded")
    with pytest.raises(ConnectionResetError):
        await Measured(Behind(0), meters, api.routes(services()))(scope("POST", "/v1/events"), nothing, nothing)
    assert series(meters, FAMILY) == {("POST", "Interrupted", "http", "/v1/events"): 1}


async def test_what_is_no_request_passes() -> None:
    seen = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    meters = Meters("embedded")
    await Measured(app, meters, [])({"type": "lifespan"}, nothing, nothing)
    assert (seen, series(meters, FAMILY)) == (["lifespan"], {})


def test_every_path_of_the_api_has_its_route() -> None:
    routes = api.routes(services())
    measured = Measured(Behind(), Meters("embedded"), routes)
    paths = [each.path for each in routes]
    assert [measured._route(re.sub(r"\{\w+\}", "x", path)) for path in paths] == paths


@pytest.mark.parametrize(
    ("asked", "counted"),
    [
        (scope("GET", "/v1/requests"), ("GET", "401", "http", "/v1/requests")),
        (scope("GET", f"/v1/{'x' * 50}"), ("GET", "401", "http")),
        (scope("GET", "/healthz/live"), ("GET", "200", "http", "/healthz/live")),
        (
            scope("OPTIONS", "/v1/requests", origin="https://x.example", **{"access-control-request-method": "GET"}),
            ("OPTIONS", "204", "http", "/v1/requests"),
        ),
    ],
)
async def test_what_the_guard_refuses_and_a_browser_asks_first_is_counted(asked: dict[str, Any], counted: tuple[str, ...]) -> None:
    meters = Meters("embedded")
    known = Token(name="ada", sha256=hashlib.sha256(b"right").hexdigest())
    settings = Settings(tokens=(known,), cors_origins=("https://x.example",))
    made = dataclasses.replace(services(), settings=settings, meters=meters)
    await api.create(made, frozenset())(asked, nothing, nothing)
    assert series(meters, FAMILY) == {counted: 1}

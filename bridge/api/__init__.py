"""The HTTP API (contract 3.3): reads requests, calls the doors, shows what they give. Decides nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge import problem
from bridge.api.about import About, Ready
from bridge.api.admin import Admin
from bridge.api.invocations import Invocations
from bridge.api.runs import Runs
from bridge.api.submit import Submit
from bridge.audit import Audit
from bridge.catalog import Catalog
from bridge.deadletters import DeadLetters
from bridge.doors import Doors
from bridge.errors import BridgeError
from bridge.guard import Guard
from bridge.identity import Tokens
from bridge.settings import Settings


@dataclass(frozen=True)
class Services:
    """What the API calls."""

    doors: Doors
    deadletters: DeadLetters
    audit: Audit
    catalog: Catalog
    settings: Settings
    ready: Ready


def create(services: Services, hosts: frozenset[str]) -> Guard:
    """The ASGI application; `hosts` are the names it answers to when no tokens are configured."""
    app = Starlette(
        routes=routes(services),
        exception_handlers={BridgeError: problem.of_bridge, HTTPException: problem.of_routing, Exception: problem.of_mistake},
    )
    app.router.redirect_slashes = False  # the address it leads to would be made of the Host header
    public = urlsplit(services.settings.public_url or "")
    origins = {f"{public.scheme}://{public.netloc}"} if public.netloc else set()
    return Guard(app, tokens=Tokens(services.settings.tokens), hosts=hosts, origins=origins)


def routes(services: Services) -> list[Route]:
    """Every path; `bridge.openapi` describes the same ones, and a test holds the two together."""
    submit, runs = Submit(services.doors, services.settings), Runs(services.doors, services.settings)
    admin = Admin(services.deadletters, services.audit, services.settings)
    invocations = Invocations(services.doors, services.settings)
    about = About(services.catalog, services.ready, services.settings)
    return [
        _route("/v1/automations/{name}/requests", POST=submit.ask),
        _route("/v1/events", POST=submit.publish),
        _route("/v1/requests/{correlationId}", GET=runs.show, DELETE=runs.cancel),
        _route("/v1/requests/{correlationId}/output", GET=runs.output),
        _route("/v1/requests/{correlationId}/events", GET=runs.follow),
        _route("/v1/requests/{correlationId}/rerun", POST=submit.rerun),
        _route("/v1/requests", GET=runs.list),
        _route("/v1/automations", GET=about.automations),
        _route("/v1/automations/{name}", GET=about.automation),
        _route("/v1/deadletters", GET=admin.dead_letters),
        _route("/v1/deadletters/{id}", GET=admin.dead_letter, DELETE=admin.discard),
        _route("/v1/deadletters/{id}/replay", POST=admin.replay),
        _route("/v1/audit", GET=admin.audit),
        _route("/v1/invocations/{correlationId}/{target}", GET=invocations.show, POST=invocations.report),
        _route("/healthz/live", GET=about.live),
        _route("/healthz/ready", GET=about.ready),
        _route("/metrics", GET=about.metrics),
        _route("/openapi.json", GET=about.description),
    ]


def _route(path: str, **handlers: Callable[[Request], Awaitable[Response]]) -> Route:
    """One route for all methods of a path, so that a 405 names them all."""

    async def handle(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, handle, methods=list(handlers))

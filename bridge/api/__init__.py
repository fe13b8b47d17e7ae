"""The HTTP API: it reads requests, calls the services and writes their answers. It decides nothing itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bridge import logs
from bridge.api import problem, webhook
from bridge.api.about import About, Ready
from bridge.api.admin import Admin
from bridge.api.bodies import BodiesInHand
from bridge.api.cors import Cors
from bridge.api.guard import Guard
from bridge.api.hotroutes import HotRoutes
from bridge.api.invocations import Invocations
from bridge.api.measured import Measured
from bridge.api.runs import Runs
from bridge.api.submit import Submit
from bridge.api.traced import Traced
from bridge.audit import Audit
from bridge.auth import Tokens
from bridge.catalog import Catalog
from bridge.certificates import WatchedCertificates
from bridge.deadletters import AllDeadLetters
from bridge.errors import BridgeError
from bridge.metrics.meters import Meters
from bridge.resilience import Policies
from bridge.service import BridgeService
from bridge.settings import Settings
from bridge.targets.unserved import UnservedTargets
from bridge.targets.waits import Waits
from bridge.tracing import Tracer


@dataclass(frozen=True)
class Services:
    """The services that the API calls."""

    bridge: BridgeService
    deadletters: AllDeadLetters
    audit: Audit
    catalog: Catalog
    policies: Policies
    settings: Settings
    ready: Ready
    waits: Waits
    unserved: UnservedTargets
    tracer: Tracer | None = None
    meters: Meters | None = None
    certificates: WatchedCertificates = field(default_factory=lambda: WatchedCertificates(()))


def create(services: Services, hosts: frozenset[str]) -> ASGIApp:
    """The ASGI application. `hosts` are the host names that it answers to when no tokens are configured."""
    known = routes(services)
    app = Starlette(
        routes=known,
        exception_handlers={BridgeError: problem.of_bridge, HTTPException: problem.of_routing, Exception: problem.of_mistake},
    )
    app.router.redirect_slashes = False  # the address it leads to would be made of the Host header
    public = urlsplit(services.settings.public_url or "")
    pages = services.settings.cors_origins
    origins = {f"{public.scheme}://{public.netloc}", *pages} if public.netloc else set(pages)
    submit, runs = Submit(services.bridge, services.settings), Runs(services.bridge, services.waits, services.settings)
    hot = HotRoutes(app, submit=submit.ask, publish=submit.publish, show=runs.show)
    bodies = BodiesInHand(hot, services.settings.max_bodies_in_hand)
    # Within the guard: no stranger can have the bridge make and send spans, as a `traceparent` with the flag for it would.
    inner: ASGIApp = Traced(bodies, services.tracer) if services.tracer is not None else bodies
    guard = Guard(inner, tokens=Tokens(services.settings.tokens), hosts=hosts, origins=origins, below=public.path)
    outer: ASGIApp = Cors(guard, pages) if pages else guard
    return Measured(outer, services.meters, known, public.path) if services.meters is not None else outer


def routes(services: Services) -> list[Route]:
    """The routes of all paths. `bridge.api.openapi` describes the same paths, and a test compares the two."""
    submit, runs = Submit(services.bridge, services.settings), Runs(services.bridge, services.waits, services.settings)
    admin = Admin(services.deadletters, services.audit, services.settings)
    invocations = Invocations(services.bridge, services.settings)
    about = About(
        services.catalog, services.policies, services.ready, services.unserved, services.settings, certificates=services.certificates
    )
    return [
        _route("/v1/automations/{name}/requests", POST=submit.ask),
        _route("/v1/events", POST=submit.publish, OPTIONS=webhook.handshake),
        _route("/v1/requests/{correlationId}", GET=runs.show, DELETE=runs.cancel),
        _route("/v1/requests/{correlationId}/output", GET=runs.output),
        _route("/v1/requests/{correlationId}/events", GET=runs.follow),
        _route("/v1/requests/{correlationId}/rerun", POST=submit.rerun),
        _route("/v1/requests", GET=runs.list),
        _route("/v1/automations", GET=about.automations),
        _route("/v1/automations/{name}", GET=about.automation),
        _route("/v1/configuration", GET=about.configuration),
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
    """One route for all methods of a path, so that a 405 lists all of them."""

    async def handle(request: Request) -> Response:
        logs.RUN.set(request.path_params.get("correlationId", ""))  # for this task only, which serves this one request
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, handle, methods=list(handlers))

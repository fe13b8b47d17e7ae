"""The endpoints that describe the bridge itself: its automations, its health, its metrics and its API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from bridge import telemetry
from bridge.api import configuration, openapi, reading, showing
from bridge.catalog import Automation, Catalog
from bridge.certificates import WatchedCertificates
from bridge.resilience import Policies
from bridge.settings import Settings
from bridge.targets.unserved import UnservedTargets

#: Gives the components the bridge depends on and what is wrong with each; the text is empty if nothing is.
Ready = Callable[[], Awaitable[Mapping[str, str]]]


class About:
    """The catalogue, and the endpoints for monitoring."""

    def __init__(  # noqa: PLR0913 - what it tells of
        self,
        catalog: Catalog,
        policies: Policies,
        ready: Ready,
        unserved: UnservedTargets,
        settings: Settings,
        *,
        certificates: WatchedCertificates,
    ) -> None:
        self._catalog, self._policies, self._ready, self._unserved, self._settings = catalog, policies, ready, unserved, settings
        self._certificates = certificates

    async def automations(self, _request: Request) -> Response:
        """The catalogue."""
        return showing.value({"items": [self._shown(each) for each in self._catalog]})

    async def automation(self, request: Request) -> Response:
        """One automation with its input schema."""
        return showing.value(self._shown(self._catalog.get(request.path_params["name"])))

    async def configuration(self, request: Request) -> Response:
        """The catalogue, the policies and the settings without secrets. `bridge check` compares them with a new configuration."""
        reading.caller(request).require_admin()
        return showing.value(configuration.configuration(self._catalog, self._policies, self._settings))

    async def live(self, _request: Request) -> Response:
        """Whether the process is running."""
        return showing.value({"status": "live"})

    async def ready(self, _request: Request) -> Response:
        """Whether the bridge can accept requests, and what is wrong with each component.

        The status is `degraded` if some targets have no receiver, or if a certificate has expired or is about to. The answer is 200 all the
        same: events still flow without sidecars that trust each other, and if all replicas became unready, a partial outage would become a
        complete one.
        """
        components = await self._ready()
        await self._certificates.refresh()
        ready = not any(components.values())
        reasons = [f"{target}: {why}" for target, why in self._unserved.all().items()]
        reasons += self._certificates.ending(datetime.now(UTC))
        status = "not ready" if not ready else "degraded" if reasons else "ready"
        shown = {"status": status, "parts": {name: wrong or "ok" for name, wrong in components.items()}}
        return showing.value(shown | ({"reasons": reasons} if reasons else {}), 200 if ready else 503)

    async def metrics(self, _request: Request) -> Response:
        """The metrics in the format of Prometheus."""
        await self._certificates.refresh()
        return Response(generate_latest(telemetry.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    async def description(self, _request: Request) -> Response:
        """This API as OpenAPI 3.1."""
        return showing.value(openapi.describe(self._settings))

    def _shown(self, automation: Automation) -> dict[str, Any]:
        nobody = {target.name: why for target in automation.targets if (why := self._unserved.why(automation.name, target))}
        return {**configuration.automation(automation), **({"unserved": nobody} if nobody else {})}

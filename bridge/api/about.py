"""What the bridge says of itself: its automations, its health, its figures, this API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from bridge import durations, openapi, telemetry
from bridge.api import showing
from bridge.catalog import Automation, Catalog
from bridge.settings import Settings

#: Gives the parts the bridge depends on and what is wrong with each, empty if nothing.
Ready = Callable[[], Awaitable[Mapping[str, str]]]


class About:
    """The catalogue, and the service endpoints that monitoring asks."""

    def __init__(self, catalog: Catalog, ready: Ready, settings: Settings) -> None:
        self._catalog, self._ready, self._settings = catalog, ready, settings

    async def automations(self, _request: Request) -> Response:
        """The catalogue."""
        return showing.value({"items": [_shown(each) for each in self._catalog]})

    async def automation(self, request: Request) -> Response:
        """One automation with its input schema."""
        return showing.value(_shown(self._catalog.get(request.path_params["name"])))

    async def live(self, _request: Request) -> Response:
        """Whether the process runs."""
        return showing.value({"status": "live"})

    async def ready(self, _request: Request) -> Response:
        """Whether requests can be accepted, and which part is away."""
        parts = await self._ready()
        wrong = {name: what for name, what in parts.items() if what}
        shown = {"status": "not ready" if wrong else "ready", "parts": {name: what or "ok" for name, what in parts.items()}}
        return showing.value(shown, 503 if wrong else 200)

    async def metrics(self, _request: Request) -> Response:
        """Counters and histograms for Prometheus."""
        return Response(generate_latest(telemetry.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    async def description(self, _request: Request) -> Response:
        """This API as OpenAPI 3.1."""
        return showing.value(openapi.describe(self._settings))


def _shown(automation: Automation) -> dict[str, Any]:
    return {
        "name": automation.name,
        "description": automation.description,
        "input": automation.input_schema,
        "deadline": durations.show(automation.deadline),
        "succeedsWhen": automation.rule.text,
        "allow": automation.allow.model_dump(exclude_none=True),
        "targets": [target.model_dump(mode="json", exclude_none=True) for target in automation.targets],
    }

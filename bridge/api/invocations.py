"""The endpoints for running functions: they read their invocation, and report progress and results."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bridge.api import reading, showing
from bridge.jsontext import parse_json
from bridge.service import BridgeService
from bridge.settings import Settings

_AROUND_OUTPUT = 64 * 1024  #: bytes of a report that are not its output


class Invocations:
    """Invocations, which a function accesses with the token of the invocation."""

    def __init__(self, bridge: BridgeService, settings: Settings) -> None:
        self._bridge, self._settings = bridge, settings

    async def show(self, request: Request) -> Response:
        """The invocation, as far as its function may see it."""
        return showing.value(await self._bridge.invocation(_id(request), _token(request)))

    async def report(self, request: Request) -> Response:
        """Accept progress or the result from a running function."""
        reading.require_json(request)
        data = parse_json(await reading.body(request, self._settings.max_output_bytes + _AROUND_OUTPUT))
        return showing.value(await self._bridge.report(_id(request), _token(request), data), 202)


def _id(request: Request) -> str:
    return f"{request.path_params['correlationId']}/{request.path_params['target']}"


def _token(request: Request) -> str:
    return request.headers.get("x-invocation-token", "")

"""The way back for running functions: what they may know, their progress and their result."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bridge.api import reading, showing
from bridge.jsontext import parse_json
from bridge.service import BridgeService
from bridge.settings import Settings

_AROUND_OUTPUT = 64 * 1024  #: bytes of a report that are not its output


class Invocations:
    """One target of one run; its token is the key."""

    def __init__(self, bridge: BridgeService, settings: Settings) -> None:
        self._bridge, self._settings = bridge, settings

    async def show(self, request: Request) -> Response:
        """What a running function may know of its invocation."""
        return showing.value(await self._bridge.invocation(_id(request), _token(request)))

    async def report(self, request: Request) -> Response:
        """Progress or the result of a running function."""
        reading.require_json(request)
        data = parse_json(await reading.body(request, self._settings.max_output_bytes + _AROUND_OUTPUT))
        return showing.value(await self._bridge.report(_id(request), _token(request), data), 202)


def _id(request: Request) -> str:
    return f"{request.path_params['correlationId']}/{request.path_params['target']}"


def _token(request: Request) -> str:
    return request.headers.get("x-invocation-token", "")

"""An application that comes and goes, and takes what its sidecar brings over HTTP or gRPC."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from dapr.proto.runtime.v1 import appcallback_pb2 as callback

from bridge.grpcserver import GrpcServer, Headers
from tests.dapr.serving import serving

_SERVICE, _HEALTH = "/dapr.proto.runtime.v1.AppCallback/", "/dapr.proto.runtime.v1.AppCallbackHealthCheck/"


@dataclass
class Subscriber:
    """What came, by route and as JSON, in its order. `status` decides what is answered over HTTP."""

    port: int
    protocol: str
    came: list[tuple[str, Any]] = field(default_factory=list)
    status: Callable[[Any], int] = lambda _event: 200

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        """It runs while the block does."""
        if self.protocol == "http":
            async with serving(self._answer, self.port):
                yield
            return
        methods = {f"{_SERVICE}OnTopicEvent": self._on_topic_event}
        nothing = (f"{_SERVICE}ListTopicSubscriptions", f"{_SERVICE}ListInputBindings", f"{_HEALTH}HealthCheck")
        server = GrpcServer({**methods, **dict.fromkeys(nothing, _nothing)}, max_message=2**20)
        await server.start("127.0.0.1", self.port)
        try:
            yield
        finally:
            await server.stop(0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "POST":
            return web.json_response([] if request.path == "/dapr/subscribe" else {})
        event = await request.json()
        self.came.append((request.path, event))
        return web.json_response({}, status=self.status(event))

    async def _on_topic_event(self, message: bytes, _headers: Headers) -> bytes:
        request = callback.TopicEventRequest.FromString(message)
        self.came.append((request.path, {"id": request.id, "type": request.type, "data": json.loads(request.data)}))
        return b""


async def _nothing(_message: bytes, _headers: Headers) -> bytes:
    return b""

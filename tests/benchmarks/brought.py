"""Publishes and waits until the sidecar has brought it: `brought single|bulk ADDRESS`, with DAPR_API_TOKEN and APP_PORT set."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from bridge.adapters.dapr.sidecar import SidecarClient
from bridge.ports import Message
from tests.benchmarks.keys import BODY
from tests.benchmarks.load import Request, serve
from tests.benchmarks.overhttp import Gathered

BULK = {"enabled": True, "maxMessagesCount": 100, "maxAwaitDurationMs": 10}


class Waiting:
    """Events that were published and have not come yet."""

    def __init__(self, way: str) -> None:
        self._bulk = way == "bulk"
        self.events: dict[bytes, asyncio.Future[None]] = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What the sidecar asks, and what it brings."""
        if request.path == "/dapr/subscribe":
            bulk = {"bulkSubscribe": BULK} if self._bulk else {}
            raw = {"rawPayload": "true"}
            return web.json_response([{"pubsubname": "bus", "topic": "bench", "route": "/bench", "metadata": raw, **bulk}])
        if request.method == "GET":
            return web.Response()
        told = json.loads(await request.read())
        if not self._bulk:
            self._came(told["data_base64"])
            return web.json_response({"status": "SUCCESS"})
        for entry in told["entries"]:
            self._came(entry["event"])
        return web.json_response({"statuses": [{"entryId": entry["entryId"], "status": "SUCCESS"} for entry in told["entries"]]})

    def _came(self, data: Any) -> None:
        number = base64.b64decode(data).partition(b" ")[0]
        self.events.pop(number).set_result(None)


@asynccontextmanager
async def client(way: str, address: str) -> AsyncIterator[Request]:
    """Requests that end when the event has arrived."""
    waiting, numbers = Waiting(way), itertools.count()
    runner = web.ServerRunner(web.Server(waiting.answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["APP_PORT"])).start()
    async with SidecarClient.open(address, os.environ["DAPR_API_TOKEN"]) as sidecar:
        await sidecar.wait_until_ready(30)
        bus = Gathered(sidecar).bus

        async def request() -> None:
            number = str(next(numbers)).encode()
            arrived = waiting.events[number] = asyncio.get_running_loop().create_future()
            await bus.publish([Message("bench", number + b" " + BODY)])
            await arrived

        yield request
    await runner.cleanup()


if __name__ == "__main__":
    serve(client(*sys.argv[1:]))

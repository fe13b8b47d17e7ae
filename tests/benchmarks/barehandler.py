"""The bare handler: `python -m tests.benchmarks.barehandler PORT APP_PORT http|grpc`, the sidecar calls of a bridge without its promises.

A request is published and saved; its delivery publishes an invocation; that one's delivery saves, calls the function over HTTP, saves and
publishes a reply; then the caller's result is read from the store. Each is one plain call of the sidecar, made when it is needed: no input
is checked, no write compares an etag, nothing is tried again, no deadline is kept. The environment tells it of sidecar and function:
DAPR_HTTP_ENDPOINT, DAPR_API_TOKEN, BENCH_FUNCTION_URL.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop
from aiohttp import web
from dapr.proto.runtime.v1 import appcallback_pb2 as callback
from pydantic_core import from_json, to_json

from bridge.grpcserver import GrpcServer, Headers

REQUESTS, INVOCATIONS, REPLIES = "automation-requests", "automation-invocations", "automation-replies"
_RAW = {"metadata.rawPayload": "true"}


class Handler:
    """Its doors and its deliveries."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._sidecar = f"{os.environ['DAPR_HTTP_ENDPOINT']}/v1.0"
        self._token = {"dapr-api-token": os.environ["DAPR_API_TOKEN"]}
        self._function = os.environ["BENCH_FUNCTION_URL"]
        self._ended: dict[str, asyncio.Event] = {}

    async def door(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST with x-correlation-id submits; with Prefer: wait, and for GET, it answers with the result."""
        if request.method == "GET":
            return await self._result(request.path.rpartition("/")[2])
        name, body = request.headers["x-correlation-id"], await request.read()
        self._ended[name] = asyncio.Event()
        run = {"id": name, "input": from_json(body)}
        await self._save(name, {**run, "status": "Pending"})
        await self._publish(REQUESTS, run)
        return await self._result(name) if "prefer" in request.headers else web.Response(status=202)

    async def deliver(self, request: web.BaseRequest) -> web.StreamResponse:
        """What the sidecar brings, and what it asks when it starts."""
        if request.method == "GET":
            return _json([])
        await self._take(request.path, base64.b64decode(from_json(await request.read())["data_base64"]))
        return _json({"status": "SUCCESS"})

    async def on_topic_event(self, message: bytes, _headers: Headers) -> bytes:
        """What a sidecar brings by gRPC; an empty answer is a success."""
        request = callback.TopicEventRequest.FromString(message)
        await self._take(request.path, request.data)
        return b""

    async def _take(self, route: str, body: bytes) -> None:
        run = from_json(body)
        if route.startswith(f"/deliveries/{REQUESTS}/"):
            await self._publish(INVOCATIONS, run)
        else:
            await self._invoked(run)

    async def _invoked(self, run: dict[str, object]) -> None:
        name = str(run["id"])
        await self._save(name, {**run, "status": "Running"})
        async with self._session.post(self._function, data=to_json(run["input"])) as answer:
            output = from_json(await answer.read())
        ended = {**run, "status": "Succeeded", "output": output}
        await self._save(name, ended)
        await self._publish(REPLIES, {"id": name, "status": "Succeeded", "output": output})
        self._ended[name].set()

    async def _result(self, name: str) -> web.Response:
        await self._ended[name].wait()
        del self._ended[name]
        async with self._session.get(f"{self._sidecar}/state/store/{name}", headers=self._token) as answer:
            return web.Response(body=await answer.read(), content_type="application/json")

    async def _publish(self, topic: str, event: object) -> None:
        await self._post(f"publish/bus/{topic}", to_json(event), "application/octet-stream", _RAW)

    async def _save(self, key: str, value: object) -> None:
        await self._post("state/store", to_json([{"key": key, "value": value}]), "application/json", {})

    async def _post(self, path: str, body: bytes, content_type: str, query: dict[str, str]) -> None:
        headers = {**self._token, "content-type": content_type}
        async with self._session.post(f"{self._sidecar}/{path}", data=body, params=query, headers=headers) as answer:
            await answer.read()
            answer.raise_for_status()


def _json(body: object) -> web.Response:
    return web.Response(body=to_json(body), content_type="application/json")


async def nothing(_message: bytes, _headers: Headers) -> bytes:
    """Subscriptions beside those that are declared."""
    return b""


async def by_grpc(handler: Handler, port: int) -> None:
    """The port for deliveries of a sidecar with --app-protocol grpc, served as the bridge serves it."""
    service = "/dapr.proto.runtime.v1.AppCallback/"
    methods = {f"{service}OnTopicEvent": handler.on_topic_event, f"{service}ListTopicSubscriptions": nothing}
    await GrpcServer(methods, max_message=2**25).start("127.0.0.1", port)


async def by_http(served: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], port: int) -> None:
    runner = web.ServerRunner(web.Server(served, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


async def main(port: int, app_port: int, protocol: str) -> None:
    """Serve until the process ends."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        handler = Handler(session)
        await (by_grpc(handler, app_port) if protocol == "grpc" else by_http(handler.deliver, app_port))
        await by_http(handler.door, port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))

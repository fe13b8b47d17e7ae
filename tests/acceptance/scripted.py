"""A function app that does what the input tells it, and remembers every call."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.acceptance.accepting import WEBHOOKS, Accepting

KEY = "key-of-the-scripted-app"


@dataclass
class Scripted:
    """The server, its address and the calls it got, as (path, headers, body), up to `kept` of them; `effects` counts by invocation id."""

    url: str = ""
    kept: int = 100_000
    calls: list[tuple[str, dict[str, str], object]] = field(default_factory=list)
    effects: Counter[str] = field(default_factory=Counter)
    by_run: Counter[str] = field(default_factory=Counter)
    accepting: Accepting = field(default_factory=Accepting)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, correlation_id: str) -> int:
        return self.by_run[correlation_id]

    def forget(self) -> None:
        """As if it had just been started; calls that go on end."""
        self.release.set()
        self.release = asyncio.Event()
        self.calls.clear()
        self.effects.clear()
        self.by_run.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body and request.content_type == "application/json" else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        if len(self.calls) < self.kept:
            self.calls.append((request.path, headers, body))
        self.effects[headers.get("x-invocation-id", "")] += 1
        self.by_run[headers.get("x-correlation-id", "")] += 1
        if headers.get("x-functions-key") != KEY:
            return web.Response(status=401)
        kind = request.path.removeprefix("/api/")
        if kind.startswith("items/"):
            body = {"method": request.method, "url": request.path_qs, "body": await request.text()}
        if kind in ("durable", "location") or kind.startswith("orchestrators/"):
            return self.accepting.begin("location" if kind == "location" else "durable", body, self.url)
        if kind == "act":
            return await self.act(request, body["act"], self.count(headers["x-correlation-id"]))
        if kind == "slow":
            seconds = (body or {}).get("seconds")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.release.wait(), seconds or 30)
            return web.json_response({"slept": seconds})
        if kind == "right" and (body or {}).get("right") == "fails":
            return web.json_response({"code": "RightFailed", "message": "the right side failed"}, status=422)
        return web.json_response(body)

    async def act(self, request: web.Request, act: str, call: int) -> web.StreamResponse:
        if act == "hangs-up":
            assert request.transport is not None
            request.transport.close()
        if act.endswith("-once") and call > 1:
            return web.json_response({"call": call})
        return ANSWERS[act]()


#: What the function answers by the name of the act.
ANSWERS: dict[str, Callable[[], web.StreamResponse]] = {
    "text": lambda: web.Response(text="plain words"),
    "nothing-204": lambda: web.Response(status=204),
    "redirect": lambda: web.Response(status=302, headers={"location": "/api/echo"}),
    "missing": lambda: web.Response(status=404),
    "accepted": lambda: web.Response(status=202),
    "refuses": lambda: web.json_response({"code": "NoSuchHost", "message": "web-17 is not known", "hint": "Check the name."}, status=422),
    "broken": lambda: web.Response(status=500),
    "broken-once": lambda: web.Response(status=500),
    "busy-once": lambda: web.Response(status=429, headers={"retry-after": "1"}),
    "hangs-up": web.Response,
    "huge": lambda: web.Response(body=b'"' + b"x" * 50_000_000 + b'"', content_type="application/json"),
    "not-json": lambda: web.Response(body=b"{oops", content_type="application/json"),
}


@asynccontextmanager
async def scripted(**settings: int) -> AsyncIterator[Scripted]:
    app = Scripted(**settings)
    server = web.Application(client_max_size=10 * 2**20)
    server.router.add_route("*", "/api/status/{path:.*}", app.accepting.status)
    server.router.add_route("*", WEBHOOKS + "/{path:.*}", app.accepting.status)
    server.router.add_route("*", "/{path:.*}", app.handle)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    app.url = runner.addresses[0] and f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield app
    finally:
        app.release.set()
        await runner.cleanup()

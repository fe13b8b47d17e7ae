"""Functions that do what a script says, and callers that reach them through daprd. All moments are of one monotonic clock, in seconds."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import aiohttp
from aiohttp import web

from bridge.resilience import BreakerState
from tests.dapr import drawn
from tests.dapr.drawn import Case, Deed, Silence
from tests.dapr.sidecar import API_TOKEN, Sidecar, free_ports, sidecar

AT_ONCE = 40  #: cases whose callers are at work at the same time
_PATIENCE = 60  #: seconds until a call must have ended


class Ended(Enum):
    """How a call ended other than with an answer of the function."""

    NO_ANSWER = "no answer"
    REFUSED = "refused by the breaker"


@dataclass(frozen=True)
class Attempt:
    """One call of a function: when it came in, and when the function began to answer or hung up (never, if it is slow)."""

    deed: Deed
    arrived: float
    answered: float


@dataclass(frozen=True)
class Request:
    """What one caller saw; `said` is the status of the function's answer."""

    sent: float
    ended: float
    said: int | Ended
    attempts: Sequence[Attempt]


@dataclass
class Functions:
    """The functions of all cases behind one port."""

    cases: dict[str, Case]
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        case = self.cases.get(request.match_info["app"])
        if case is None:
            return web.json_response({})  # what a sidecar asks of its app
        await request.read()
        seen = self.attempts.setdefault(case.name, [])
        deed = case.deeds[len(seen)] if len(seen) < len(case.deeds) else 200
        arrived = time.monotonic()
        seen.append(Attempt(deed, arrived, time.monotonic()))
        if deed is Silence.IS_SLOW:
            await self.over.wait()
        if deed is Silence.BREAKS_OFF:
            begun = web.StreamResponse(headers={"content-length": "100"})
            await begun.prepare(request)
            await begun.write(b'{"by": ')
        if isinstance(deed, Silence):
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=503, text="never sent: the connection is closed")
        return web.json_response({"by": "function"}, status=deed, headers=case.headers)


@asynccontextmanager
async def _served(functions: Functions, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_route("*", "/{app}{rest:.*}", functions.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        functions.over.set()
        await runner.cleanup()


@dataclass
class Stage:
    """Functions and a sidecar that applies the policies of all cases."""

    functions: Functions
    beside: Sidecar
    http: aiohttp.ClientSession
    policies: Path

    async def request(self, name: str, path: str = "run") -> Request:
        """Call an app through the sidecar."""
        before, sent = len(self.functions.attempts.get(name, ())), time.monotonic()
        async with self.http.post(f"{self.beside.connection.address}/v1.0/invoke/{name}/method/{path}", json={}) as answer:
            text = await answer.text()
        ended = time.monotonic()
        return Request(sent, ended, _said(answer.status, text), self.functions.attempts.get(name, [])[before:])

    async def play(self, case: Case) -> list[Request]:
        """All requests of a case, one after the other."""
        seen = []
        for pause in case.pauses:
            await asyncio.sleep(pause)  # daprd's clock cannot be set
            seen.append(await self.request(case.name))
        return seen

    def states(self) -> dict[str, list[BreakerState]]:
        """What the breakers became, one after the other, by app."""
        found: dict[str, list[BreakerState]] = {}
        for name, state in re.findall(
            r'Circuit breaker \\?"([^:"\\]+):[^"]*" changed state from \S+ to ([a-z-]+)', self.beside.program.log.read_text()
        ):
            found.setdefault(name, []).append(BreakerState(state))
        return found


def _said(status: int, text: str) -> int | Ended:
    if "ERR_DIRECT_INVOKE" not in text:
        return status
    return Ended.REFUSED if "circuit breaker is open" in text or "too many requests" in text else Ended.NO_ANSWER


@asynccontextmanager
async def stage(cases: Sequence[Case], folder: Path) -> AsyncIterator[Stage]:
    """One sidecar for all cases."""
    port = free_ports(1)[0]
    functions, resources = Functions({case.name: case for case in cases}), folder / "resources"
    resources.mkdir()
    policies = drawn.write(cases, resources, f"http://127.0.0.1:{port}")
    headers = {"dapr-api-token": API_TOKEN}
    async with (
        _served(functions, port),
        sidecar(folder, resources, {}, app_port=port, protocol="http") as beside,
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(_PATIENCE)) as http,
    ):
        staged = Stage(functions, beside, http, policies)
        await _ready(staged)
        yield staged


async def _ready(staged: Stage) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            program = staged.beside.program
            assert program.process.returncode is None, f"daprd ended: {program.log.read_text()[-3000:]}"
            try:
                async with staged.http.get(f"{staged.beside.connection.address}/v1.0/healthz") as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)


async def play_all(staged: Stage, cases: Sequence[Case]) -> list[list[Request]]:
    """All cases, some at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> list[Request]:
        async with room:
            return await staged.play(case)

    return await asyncio.gather(*map(one, cases))

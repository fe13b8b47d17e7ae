"""How the sidecar counts failed looks at its app: what `docs/running.md` advises rests on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.dapr.serving import serving
from tests.dapr.sidecar import daprd, free_ports, on_loopback, program


@asynccontextmanager
async def app(port: int, failing: set[int]) -> AsyncIterator[None]:
    """An app whose looks of these numbers fail, counted from 1."""
    looks = 0

    async def answer(request: web.BaseRequest) -> web.Response:
        nonlocal looks
        if request.path != "/healthz/live":
            return web.json_response({})
        looks += 1
        return web.Response(status=503 if looks in failing else 200)

    async with serving(answer, port):
        yield


async def test_failed_looks_count_although_good_ones_lie_between_them(tmp_path: Path) -> None:
    app_port, *ports = free_ports(5)
    (tmp_path / "resources").mkdir()
    flags = {
        **on_loopback("app", app_port, (ports[0], ports[1], ports[2], ports[3])),
        "resources-path": tmp_path / "resources",
        "enable-app-health-check": "true",
        "app-health-check-path": "/healthz/live",
        "app-health-probe-interval": 1,
        "app-health-threshold": 3,
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    async with app(app_port, failing={2, 4, 6}), program(daprd(), *arguments, log=tmp_path / "daprd.log") as beside, asyncio.timeout(20):
        while re.findall(r"App entered (\S+) status", beside.log.read_text()) != ["healthy", "un-healthy", "healthy"]:
            await asyncio.sleep(0.05)

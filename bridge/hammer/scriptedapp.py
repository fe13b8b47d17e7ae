"""A function app on loopback whose one function follows a script of faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bridge.hammer.faults import FaultScript

PATH = "/api/scripted"
_HANG = 3600.0  #: seconds; whoever calls gives up before


@asynccontextmanager
async def serving(script: FaultScript) -> AsyncIterator[str]:
    """Serve while the block runs; gives the address of the function."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        found = script.next(asyncio.get_running_loop().time())
        await asyncio.sleep(_HANG if found.status is None else found.after)
        return web.json_response({"ok": found.status == 200}, status=found.status or 504)

    served = web.Application()
    served.router.add_post(PATH, answer)
    runner = web.AppRunner(served, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}{PATH}"
    finally:
        await runner.cleanup()

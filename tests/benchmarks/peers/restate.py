"""Restate: a service with one handler, for uvicorn. The client of this row calls it through Restate's ingress under a key of its own.

Restate asks this worker over HTTP/1.1: served by uvicorn that is faster than HTTP/2 served by Hypercorn, the way its guide shows.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import restate

from tests.benchmarks.peers.function import Function

service = restate.Service("Echo")
_opened: list[Function] = []  #: one, once the first request is here: this app is not told when its server starts


@service.handler()
async def echo(_: restate.Context, value: dict[str, Any]) -> dict[str, Any]:
    """What the function gives.

    The call is all that this handler does, so it is no step of its own (`context.run`): that would put its answer on record twice, and
    Restate would ask this worker again after the first.
    """
    if not _opened:
        _opened.append(Function(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))))
    output: dict[str, Any] = await _opened[0](value)
    return output


app = restate.app(services=[service])

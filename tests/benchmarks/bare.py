"""Two bare ASGI programs for uvicorn: `function` echoes; `front` passes a request on and promises nothing.

The environment tells `front` where to: BENCH_FUNCTION_URL, and BENCH_FUNCTION_KEY if the function has a key.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def function(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer with the body."""
    if scope["type"] == "http":
        await _answer(send, 200, await _body(receive))


class Front:
    """Answers with what the function answered."""

    def __init__(self) -> None:
        self._url = os.environ.get("BENCH_FUNCTION_URL", "")
        self._headers = {"content-type": "application/json", "x-functions-key": os.environ.get("BENCH_FUNCTION_KEY", "")}
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            session = self._session = self._session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            async with session.post(self._url, data=await _body(receive), headers=self._headers) as response:
                await _answer(send, response.status, await response.read())


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


front = Front()

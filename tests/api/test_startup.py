from __future__ import annotations

import asyncio
from typing import Any

from pydantic_core import from_json

from bridge.api.startup import StartupGate

SCOPE = {"type": "http", "path": "/v1/requests", "method": "GET", "headers": []}


async def cut_off(*begun: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent for a request whose application has sent `begun` when the server cancels it."""
    gate, sent, waits = StartupGate("store"), [], asyncio.Event()

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        for message in begun:
            await send(message)
        waits.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    gate.open(application)
    answering = asyncio.ensure_future(gate(SCOPE, None, send))  # type: ignore[arg-type]  # nothing is read
    await waits.wait()
    answering.cancel()
    await answering
    return sent


async def test_a_request_that_the_end_of_the_bridge_cuts_off_is_told_to_come_again():
    start, body = await cut_off()
    headers = dict(start["headers"])
    assert (start["status"], headers[b"content-type"]) == (503, b"application/problem+json")
    assert b"retry-after" in headers
    assert from_json(body["body"])["code"] == "Unavailable"


async def test_an_answer_that_has_begun_gets_no_second_one():
    begun = {"type": "http.response.start", "status": 200, "headers": []}
    assert await cut_off(begun) == [begun]

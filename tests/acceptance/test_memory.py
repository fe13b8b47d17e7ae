"""Many large inputs at once take a bounded part of the memory, and it comes back. Measured at a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.bridge_process import BridgeProcess, scripted_config
from tests.acceptance.scripted import KEY, Scripted
from tests.fuzz.memory import Memory, watched

COUNT = 120
IN_HAND = 32  #: MiB that the bodies may have together
MOST = 420  #: MiB beyond an idle bridge, at the worst moment
LEFT = (
    150  #: MiB beyond an idle bridge, afterwards: the bridge keeps up to 64 MB of runs, and as much again of what its queues deliver next
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def text(number: int) -> Any:
    return {"text": f"{number:07}" * 140_000}


def objects(number: int) -> Any:
    return {"many": [{}] * 245_000, "number": number}


async def submit(http: aiohttp.ClientSession, name: str, content: bytes) -> int:
    headers = {"X-Correlation-Id": name, "Content-Type": "application/json"}
    async with http.post("/v1/automations/echo/requests", data=content, headers=headers) as answer:
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) > 0
            assert (await answer.json())["code"] == "Full"
        return answer.status


async def finished(http: aiohttp.ClientSession) -> int:
    """Wait until no run is left unfinished; returns how many have ended."""
    async with asyncio.timeout(120):
        while True:
            async with http.get("/v1/audit") as answer:
                report = await answer.json()
            if not report["unfinished"]:
                return sum(report["ended"].values())
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("kind", [text, objects], ids=["long texts", "many small values"])
async def test_many_large_inputs_at_once_are_bounded_and_their_memory_comes_back(kind: Any, app: Scripted, tmp_path: Path) -> None:
    app.kept = 0
    config = scripted_config(app.url, f"max_bodies_in_hand: {IN_HAND}MiB")
    process = BridgeProcess(tmp_path / "data", config, environment={"SCRIPTED_KEY": KEY}, prefix=("env",))
    contents = [json.dumps(kind(number)).encode() for number in range(COUNT)]
    connector = aiohttp.TCPConnector(limit=0)
    async with process, aiohttp.ClientSession(process.url, connector=connector) as http:
        assert process.process is not None
        idle = Memory()
        idle.look(process.process.pid)
        async with watched(process.process.pid) as memory:
            answers = Counter(await asyncio.gather(*(submit(http, f"large-{number}", each) for number, each in enumerate(contents))))
            small = await submit(http, "small", b'{"text": "small"}')
            ended = await finished(http)
        await asyncio.sleep(1)
        memory.look(process.process.pid)
    assert set(answers) <= {202, 503}
    assert answers[202] >= IN_HAND // 2
    assert (small, ended) == (202, answers[202] + 1)
    assert max(memory.seen) - idle.last < MOST, memory.seen
    assert memory.last - idle.last < LEFT, memory.seen

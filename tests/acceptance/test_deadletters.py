"""Dead letters on a real bridge: replayed one by one and by the thousand, interrupted and continued, none twice."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.acceptance.queue_client import Queue, queue

Http = aiohttp.ClientSession
LETTERS = 10_000
_TOGETHER = 500  #: messages of one line
_KEPT = re.compile(r'^bridge_dead_letters_total\{reason="GaveUp"\} ([0-9.e+]+)$', re.MULTILINE)


async def give_up(bus: Queue, count: int) -> None:
    """Work that is dead-lettered by whoever takes it from its topic."""
    event = {"specversion": "1.0", "source": "/test", "type": "order.created"}
    for start in range(0, count, _TOGETHER):
        bodies = [json.dumps({**event, "id": f"e-{number}"}).encode() for number in range(start, min(start + _TOGETHER, count))]
        messages = [{"topic": "work", "body": base64.b64encode(body).decode(), "label": "topic.work"} for body in bodies]
        await bus.say(op="send", id=start, messages=messages)
        assert (await bus.hear("sent"))["ok"]
        await bus.say(op="receive", entity="work/worker", credit=len(bodies))
        for _ in bodies:
            line = await bus.hear("message")
            await bus.say(op="settle", lock=line["lock"], outcome="deadletter", reason="Refused", description="not by this worker")
        for _ in bodies:
            assert (await bus.hear("settled"))["ok"]


async def kept(http: Http, count: int) -> None:
    """Wait until there are so many dead letters."""
    while True:
        async with http.get("/metrics") as answer:
            found = _KEPT.search(await answer.text())
        if found and float(found[1]) >= count:
            return
        await asyncio.sleep(0.05)


class Receiver:
    """Takes everything that arrives at work/worker and counts it by the id of the event."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._grown = asyncio.Condition()

    async def listen(self, bus: Queue) -> None:
        await bus.say(op="receive", entity="work/worker", credit=1_000)
        while line := json.loads(await bus.reader.readline() or b"null"):
            if line["op"] == "message":
                await bus.say(op="settle", lock=line["lock"], outcome="complete")
                await bus.say(op="receive", entity="work/worker", credit=1)
                async with self._grown:
                    self.seen[json.loads(base64.b64decode(line["body"]))["id"]] += 1
                    self._grown.notify_all()

    async def has(self, count: int) -> None:
        """Wait until so many messages have come."""
        async with self._grown:
            await self._grown.wait_for(lambda: self.seen.total() >= count)


@asynccontextmanager
async def receiving(bridge: BridgeProcess) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with queue(bridge.data_dir) as bus:
        listening = asyncio.create_task(receiver.listen(bus))
        yield receiver
        listening.cancel()
        await asyncio.wait([listening])


async def command(bridge: BridgeProcess, *words: str) -> Process:
    words = ("-m", "bridge", "--url", bridge.url, "deadletters", *words)
    return await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE, cwd=ROOT)


async def said(process: Process) -> tuple[int | None, str]:
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_ten_thousand_are_replayed_interrupted_and_continued_none_twice(bridge: BridgeProcess, http: Http) -> None:
    async with queue(bridge.data_dir) as bus:
        await give_up(bus, LETTERS)
    await kept(http, LETTERS)
    async with receiving(bridge) as receiver:
        first = await command(bridge, "replay", "--all", "--rate", "5000/s")
        await receiver.has(LETTERS // 4)
        first.send_signal(signal.SIGINT)
        code, out = await said(first)
        assert code == 130
        left = int(re.findall(r"left ([0-9,]+)", out)[0].replace(",", ""))
        assert await said(await command(bridge, "replay", "--all", "--rate", "5000/s")) == (0, f"replayed {left:,}, skipped 0, failed 0\n")
        await receiver.has(LETTERS)
    assert receiver.seen == Counter({f"e-{number}": 1 for number in range(LETTERS)})

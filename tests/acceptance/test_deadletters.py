"""Dead letters on a real bridge: replayed one by one and by the thousand, interrupted and continued, none twice."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bridge.client import BridgeClient
from bridge.crashpoints import EXIT_CODE
from tests.acceptance.bridge_process import ROOT, BridgeProcess
from tests.acceptance.runtimes import Bus
from tests.acceptance.scripted import Scripted
from tests.chaos.door import Door, door

Http = aiohttp.ClientSession
LETTERS = 10_000
_TOGETHER = 500  #: messages under way
_KEPT = re.compile(r'^bridge_dead_letters_total\{reason="GaveUp"\} ([0-9.e+]+)$', re.MULTILINE)


async def give_up(bus: Door, count: int) -> None:
    """Work that is dead-lettered by whoever takes it from its topic."""
    event = {"specversion": "1.0", "source": "/test", "type": "order.created"}
    for start in range(0, count, _TOGETHER):
        bodies = [json.dumps({**event, "id": f"e-{number}"}).encode() for number in range(start, min(start + _TOGETHER, count))]
        await asyncio.gather(*(bus.send("work", body, label="topic.work") for body in bodies))
    async with asyncio.TaskGroup() as letters, aclosing(bus.receive("work/worker", _TOGETHER)) as came:
        for _ in range(count):
            letters.create_task(bus.dead_letter(await anext(came), "Refused", "not by this worker"))


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
        self.message_ids: dict[str, set[str]] = defaultdict(set)
        self._grown = asyncio.Condition()

    async def listen(self, bus: Door) -> None:
        async for message in bus.receive("work/worker", 1_000):
            await bus.complete(message)
            async with self._grown:
                event_id = json.loads(message.body)["id"]
                self.seen[event_id] += 1
                self.message_ids[event_id].add(message.message_id)
                self._grown.notify_all()

    async def has(self, count: int) -> None:
        """Wait until so many messages have come."""
        async with asyncio.timeout(60), self._grown:
            await self._grown.wait_for(lambda: self.seen.total() >= count)


@asynccontextmanager
async def receiving(bridge: BridgeProcess) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with door(bridge.data_dir) as bus:
        listening = asyncio.create_task(receiver.listen(bus))
        yield receiver
        listening.cancel()
        await asyncio.wait([listening])


async def command(bridge: BridgeProcess, *words: str, typed: str = "") -> Process:
    """`bridge deadletters` with these words, a process of its own; `typed` is its standard input."""
    words = ("-m", "bridge", "--url", bridge.url, "deadletters", *words)
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    assert process.stdin is not None
    process.stdin.write(typed.encode())
    process.stdin.close()
    return process


async def said(process: Process) -> tuple[int | None, str]:
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_ten_thousand_are_replayed_interrupted_and_continued_none_twice(bridge: BridgeProcess, http: Http) -> None:
    async with door(bridge.data_dir) as bus:
        await give_up(bus, LETTERS)
    await kept(http, LETTERS)
    async with receiving(bridge) as receiver:
        first = await command(bridge, "replay", "--all", "--rate", "500/s")  # so that the signal comes long before the end
        await receiver.has(LETTERS // 4)
        first.send_signal(signal.SIGINT)
        code, out = await said(first)
        assert code == 130
        left = int(re.findall(r"left ([0-9,]+)", out)[0].replace(",", ""))
        assert await said(await command(bridge, "replay", "--all", "--rate", "5000/s")) == (0, f"replayed {left:,}, skipped 0, failed 0\n")
        await receiver.has(LETTERS)
    assert receiver.seen == Counter({f"e-{number}": 1 for number in range(LETTERS)})


async def start_again(bridge: BridgeProcess, **environment: str) -> None:
    """A new process, on the data and the port of the one before."""
    bridge.environment = {name: value for name, value in bridge.environment.items() if name != "BRIDGE_CRASH_AT"} | environment
    await bridge.start()


async def listed(bridge: BridgeProcess, query: str = "") -> list[Any]:
    """The first page that shows anything: a page may be empty and go on, because a filter looks for a bounded time."""
    cursor = ""
    async with aiohttp.ClientSession(bridge.url) as http:
        while True:
            async with http.get(f"/v1/deadletters?{query}&cursor={cursor}") as answer:
                page = await answer.json()
            cursor = page.get("nextCursor", "")
            if page["items"] or not cursor:
                return list(page["items"])


@pytest.mark.parametrize(("point", "times"), [("deadletter.claimed", 1), ("deadletter.published", 2)])
async def test_a_replay_outlives_the_end_of_the_process_at(bridge: BridgeProcess, http: Http, point: str, times: int) -> None:
    async with door(bridge.data_dir) as bus:
        await give_up(bus, 1)
    await kept(http, 1)
    await bridge.stop()
    await start_again(bridge, BRIDGE_CRASH_AT=point)
    (letter,) = await listed(bridge)
    replay = await command(bridge, "replay", letter["id"])
    assert bridge.process is not None
    assert await bridge.process.wait() == EXIT_CODE
    assert (await said(replay))[0] == 5
    await start_again(bridge)
    assert (await listed(bridge, "replayed=false"))[0]["replaying"]["messageId"] == f"{letter['id']}/1"
    await replay_the_rest(bridge)
    async with receiving(bridge) as receiver:
        await receiver.has(times)
    assert receiver.message_ids == {"e-0": {f"{letter['id']}/1"}}


async def replay_the_rest(bridge: BridgeProcess) -> None:
    """The same command until nothing is left: what was interrupted is free when its claim has ended."""
    while await listed(bridge, "replayed=false&limit=1"):
        code, out = await said(await command(bridge, "replay", "--all", "--rate", "5000/s"))
        assert code == 0, out


async def killed_amid_a_sweep(bridge: BridgeProcess) -> None:
    """Replay all; the bridge is killed once some have been, and the command goes on with the next one."""
    sweep = await command(bridge, "replay", "--all", "--rate", "200/s")
    while not await listed(bridge, "replayed=true&limit=1"):
        assert sweep.returncode is None
    await bridge.kill()
    await start_again(bridge)
    assert (await said(sweep))[0] == 0


async def test_a_bridge_that_is_killed_while_many_are_replayed_loses_none_and_repeats_none_under_another_id(
    bridge: BridgeProcess, http: Http
) -> None:
    async with door(bridge.data_dir) as bus:
        await give_up(bus, 500)
    await kept(http, 500)
    await killed_amid_a_sweep(bridge)
    await replay_the_rest(bridge)
    async with receiving(bridge) as receiver, BridgeClient(bridge.url) as client:
        await receiver.has(500)
        expected = {letter["event"]["id"]: {f"{letter['id']}/1"} async for letter in client.dead_letters(limit=1_000)}
    assert receiver.message_ids == expected


REQUEST = {"specversion": "1.0", "source": "/test", "type": "automation.requested", "subject": "echo"}


async def test_an_event_that_was_none_is_edited_and_becomes_a_run(bridge: BridgeProcess, bus: Bus, http: Http) -> None:
    await bus.send("automation-requests", b'{"id": "e-1", oops')
    letter = await one_letter(bridge)
    assert await said(await command(bridge, "show", letter["id"], "--event")) == (0, '{"id": "e-1", oops\n')
    edited = json.dumps({**REQUEST, "id": "e-1", "data": {"text": "mended"}})
    assert (await said(await command(bridge, "replay", letter["id"], "--event", "-", typed=edited)))[0] == 0
    assert (await ended(http, "e-1"))["output"] == {"text": "mended"}


async def test_an_edited_event_keeps_its_secrets_and_shows_none(bridge: BridgeProcess, bus: Bus, http: Http, app: Scripted) -> None:
    await bus.send_event("automation-requests", {**REQUEST, "id": "e-1", "data": {"text": "first"}})
    await ended(http, "e-1")
    await bus.send_event("automation-requests", {**REQUEST, "id": "e-1", "data": {"text": "second", "password": "hunter2"}})
    letter = await one_letter(bridge)
    _, shown = await said(await command(bridge, "show", letter["id"], "--event"))
    edited = json.dumps(json.loads(shown) | {"correlationid": "e-2"})
    _, told = await said(await command(bridge, "replay", letter["id"], "--event", "-", "--json", typed=edited))
    await ended(http, "e-2")
    assert app.calls[-1][2] == {"text": "second", "password": "hunter2"}
    assert "hunter2" not in shown + told + json.dumps(await listed(bridge)) + bridge.log()


async def test_the_lineage_is_followed_from_letter_to_letter_and_to_the_run(bridge: BridgeProcess, bus: Bus, http: Http) -> None:
    await bus.send_event("automation-requests", {**REQUEST, "id": "e-1"})
    first = await ended(http, "e-1")
    await bus.send_event("automation-requests", {**REQUEST, "id": "e-1", "data": {"text": "another"}})
    parent = await one_letter(bridge)
    await said(await command(bridge, "replay", parent["id"]))
    child = await one_letter(bridge, f"replayOf={parent['id']}")
    _, shown = await said(await command(bridge, "show", child["id"]))
    assert f"came back from: {parent['id']}\nrun: bridge get {first['correlationId']}\n" in shown
    _, shown = await said(await command(bridge, "show", parent["id"]))
    assert f"came back as: {child['id']} (CorrelationConflict" in shown


async def one_letter(bridge: BridgeProcess, query: str = "") -> Any:
    while not (found := await listed(bridge, query)):
        await asyncio.sleep(0.02)
    return found[0]


async def ended(http: Http, correlation_id: str) -> Any:
    """The ended run, once its event has come over the bus."""
    while True:
        async with http.get(f"/v1/requests/{correlation_id}?wait=20") as answer:
            if answer.status == 200:
                return await answer.json()
        await asyncio.sleep(0.02)

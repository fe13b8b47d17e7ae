"""Programs on the bus that outlive the bridge: functions behind topics, and the reader of the replies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.acceptance.worker import result_of
from tests.chaos.door import AWAY, Door, Line, Refused, door
from tests.chaos.ledger import Ledger

CREDIT = 50
WORK = ("work/worker", "pair/worker")
REPLIES = ("automation-replies/requesters", "my-replies/me")


async def serve(data_dir: Path, entity: str, handle: Callable[[Door, Line], Awaitable[None]]) -> None:
    """Hand every message of `entity` to `handle`, which settles it; connect again whenever the bridge was away."""
    while True:
        with contextlib.suppress(*AWAY):
            async with door(data_dir) as client, asyncio.TaskGroup() as group:
                async for line in client.receive(entity, CREDIT):
                    group.create_task(_one(handle, client, line))
        await asyncio.sleep(0.05)


async def _one(handle: Callable[[Door, Line], Awaitable[None]], client: Door, line: Line) -> None:
    # What is not settled comes again.
    with contextlib.suppress(*AWAY, Refused):
        await handle(client, line)


def reader(ledger: Ledger) -> Callable[[Door, Line], Awaitable[None]]:
    """Takes note of every reply."""

    async def handle(client: Door, line: Line) -> None:
        ledger.replied(json.loads(base64.b64decode(line["body"])))
        client.settle(line)

    return handle


class Worker:
    """A function behind a topic that does what its input says, and counts each message it is sent once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: set[tuple[str, str]] = set()

    async def handle(self, client: Door, line: Line) -> None:
        work = json.loads(base64.b64decode(line["body"]))
        self._count(work["id"], line["properties"])
        what = (work.get("data") or {}).get("do", "succeed")
        if what == "throw":
            client.settle(line, "abandon")
            return
        for number, answer in enumerate(_answers(what, self._ledger.effects[work["id"]], work)):
            await client.send_event("automation-results", {**answer, "id": f"{work['id']}/{line['properties']['sequenceNumber']}/{number}"})
        client.settle(line)

    def _count(self, invocation: str, properties: Line) -> None:
        # A sequence number may come again after a restart, so the time tells messages apart, too.
        message = (f"{invocation}/{properties['sequenceNumber']}", properties["enqueuedTime"])
        if message in self._known:
            self._ledger.redelivered += 1
        else:
            self._known.add(message)
            self._ledger.effects[invocation] += 1


def _answers(what: str, effect: int, work: Line) -> list[Line]:
    """The results that the function sends, in this order."""
    well = result_of(work)

    def saying(**data: Any) -> Line:
        return {**well, "data": data}

    broken = {"code": "Broken", "message": "it broke"}
    answers = {
        "fail": [saying(status="failed", error=broken)],
        "retry": [saying(status="failed", error={**broken, "retriable": True}) if effect == 1 else well],
        "progress": [saying(status="running", progress={"percent": 50, "message": "half"}), well],
        "twice": [well, well, saying(status="failed", error=broken)],
        "forge": [{**well, "invocationtoken": "guessed"}, well],
    }
    return answers.get(what, [well])

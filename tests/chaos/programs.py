"""Programs on the bus that outlive the bridge: functions behind topics, and the reader of the replies."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.acceptance.worker import result_of
from tests.chaos.door import AWAY, Line, Message, Refused
from tests.chaos.ledger import Ledger
from tests.chaos.place import Door, OpenDoor

Handle = Callable[[Door, Message], Awaitable[None]]

CREDIT = 50
WORK = ("work/worker", "pair/worker")
REPLIES = ("automation-replies/requesters", "my-replies/me")


async def serve(open_door: OpenDoor, entity: str, handle: Handle) -> None:
    """Hand every message of `entity` to `handle`, which settles it; connect again whenever the bus was away."""
    while True:
        with contextlib.suppress(*AWAY):
            async with open_door() as door, asyncio.TaskGroup() as group:
                async for message in door.receive(entity, CREDIT):
                    group.create_task(_one(handle, door, message))
        await asyncio.sleep(0.05)


async def _one(handle: Handle, door: Door, message: Message) -> None:
    # What is not settled comes again.
    with contextlib.suppress(*AWAY, Refused):
        await handle(door, message)


def reader(ledger: Ledger) -> Handle:
    """Takes note of every reply."""

    async def handle(door: Door, message: Message) -> None:
        ledger.replied(json.loads(message.body))
        await door.complete(message)

    return handle


class Worker:
    """A function behind a topic that does what its input says, and counts each message it is sent once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: set[tuple[str, str]] = set()

    async def handle(self, door: Door, message: Message) -> None:
        work = json.loads(message.body)
        self._count(work["id"], message.number)
        what = (work.get("data") or {}).get("do", "succeed")
        if what == "throw":
            await door.abandon(message)
            return
        for number, answer in enumerate(_answers(what, self._ledger.effects[work["id"]], work)):
            await door.send_event("automation-results", {**answer, "id": f"{work['id']}/{message.number}/{number}"})
        await door.complete(message)

    def _count(self, invocation: str, number: str) -> None:
        if (invocation, number) in self._known:
            self._ledger.redelivered += 1
        else:
            self._known.add((invocation, number))
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

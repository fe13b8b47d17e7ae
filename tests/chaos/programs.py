"""Programs on the bus that outlive the bridge: functions behind topics, and the reader of the replies."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable

from tests.chaos.answers import answers
from tests.chaos.door import AWAY, Message, Refused
from tests.chaos.ledger import Ledger
from tests.chaos.place import Door, OpenDoor

Handle = Callable[[Door, Message], Awaitable[None]]

CREDIT = 50
WORK = ("work/worker", "pair/worker")
SEEN = "seen"  #: the queue to which the C# function sends what it was given
REPLIES = ("automation-replies/requesters", "my-replies/me")


async def serve(open_door: OpenDoor, entity: str, handle: Handle) -> None:
    """Hand every message of `entity` to `handle`, which settles it; connect again whenever the bus was away."""
    while True:
        try:
            async with open_door() as door, asyncio.TaskGroup() as group:
                async for message in door.receive(entity, CREDIT):
                    group.create_task(_one(handle, door, message))
        except* AWAY:  # alone, or in the group of the tasks
            pass
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


def witness(ledger: Ledger) -> Handle:
    """Takes note of everything that the C# function says it was given."""

    async def handle(door: Door, message: Message) -> None:
        given = json.loads(message.body)["what"]
        ledger.worked(json.loads(given)["id"], hashlib.sha256(given.encode()).hexdigest())
        await door.complete(message)

    return handle


class Worker:
    """A function behind a topic that does what its input says, and counts each message it is sent once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def handle(self, door: Door, message: Message) -> None:
        work = json.loads(message.body)
        self._ledger.worked(work["id"], message.number)
        what = (work.get("data") or {}).get("do", "succeed")
        if what == "throw":
            await door.abandon(message)
            return
        for number, answer in enumerate(answers(what, self._ledger.effects[work["id"]], work)):
            await door.send_event("automation-results", {**answer, "id": f"{work['id']}/{message.number}/{number}"})
        await door.complete(message)

"""The queue door for many at a time: sends wait for their acknowledgements while messages come in. One connection, one entity."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """What a program is given: `number` tells messages apart on their entity, and stays the same when one comes again."""

    body: bytes
    number: str
    lock: Any  #: what the door knows it by


#: Why a connection could not be had or went away; whoever uses one opens another then.
AWAY = (OSError, EOFError, ValueError, TimeoutError)
LONGEST = 10.0  #: seconds for an answer


class Refused(Exception):
    """The queue took nothing; the code says why."""


@dataclass
class Door:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    messages: asyncio.Queue[Line | None] = field(default_factory=asyncio.Queue)
    waiting: dict[int, asyncio.Future[Line]] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    gone: bool = False

    def say(self, **line: Any) -> None:
        self.writer.write(json.dumps(line).encode() + b"\n")

    async def send(self, topic: str, body: bytes, **properties: str) -> None:
        """Return once it is stored. Raises Refused, or one of AWAY if that is not known."""
        if self.gone:
            raise ConnectionError("the door has closed")
        number = next(self.numbers)
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        self.say(op="send", id=number, messages=[{"topic": topic, "body": base64.b64encode(body).decode(), **properties}])
        sent = await asyncio.wait_for(answer, LONGEST)
        if not sent["ok"]:
            raise Refused(sent["error"])

    async def send_event(self, topic: str, event: Line) -> None:
        await self.send(topic, json.dumps(event).encode(), label=event.get("subject", ""), messageId=event["id"])

    async def receive(self, entity: str, credit: int) -> AsyncIterator[Message]:
        """Messages until the connection goes away; each must be completed or abandoned."""
        self.say(op="receive", entity=entity, credit=credit)
        while (line := await self.messages.get()) is not None:
            properties = line["properties"]
            # A sequence number may come again after a restart, so the time tells messages apart, too.
            number = f"{properties['sequenceNumber']}/{properties['enqueuedTime']}"
            yield Message(base64.b64decode(line["body"]), number, line["lock"])

    async def complete(self, message: Message) -> None:
        self.say(op="settle", lock=message.lock, outcome="complete")

    async def abandon(self, message: Message) -> None:
        """It comes again, as often as its subscription says."""
        self.say(op="settle", lock=message.lock, outcome="abandon")

    async def listen(self) -> None:
        """Sort what comes in until the connection goes away."""
        try:
            while text := await self.reader.readline():
                line = json.loads(text)
                if line["op"] == "message":
                    self.messages.put_nowait(line)
                elif line["op"] == "sent" and not (answer := self.waiting.pop(line["id"])).done():
                    answer.set_result(line)
        except AWAY:
            pass
        finally:
            self.gone = True
            self.messages.put_nowait(None)
            for answer in self.waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the door closed"))


@asynccontextmanager
async def door(data_dir: Path) -> AsyncIterator[Door]:
    """Raises one of AWAY if nobody is there."""
    known = json.loads((data_dir / "queue.json").read_text())
    async with asyncio.timeout(LONGEST):
        reader, writer = await asyncio.open_connection(known["host"], known["port"], limit=4 * 2**20)
    client = Door(reader, writer)
    client.say(op="hello", token=known["token"])
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        writer.transport.abort()  # closing would wait for a bridge that no longer reads
        with contextlib.suppress(*AWAY):
            await writer.wait_closed()
        await listening

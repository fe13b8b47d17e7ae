"""A program on the embedded bus: sends and receives through the queue door, as the local functions host does."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Queue:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: int = 0
    kept: list[Any] = field(default_factory=list)

    async def say(self, **line: Any) -> None:
        self.writer.write(json.dumps(line).encode() + b"\n")
        await self.writer.drain()

    async def hear(self, op: str) -> Any:
        """The next line of that kind; others are kept for whoever asks for them."""
        for line in self.kept:
            if line["op"] == op:
                self.kept.remove(line)
                return line
        while (line := json.loads(await asyncio.wait_for(self.reader.readline(), 10)))["op"] != op:
            self.kept.append(line)
        return line

    async def send(self, topic: str, body: bytes, **properties: str) -> None:
        self.sent += 1
        message = {"topic": topic, "body": base64.b64encode(body).decode(), **properties}
        await self.say(op="send", id=self.sent, messages=[message])
        answer = await self.hear("sent")
        assert answer["ok"], answer

    async def send_event(self, topic: str, event: dict[str, Any]) -> None:
        await self.send(topic, json.dumps(event).encode(), label=event.get("subject", ""))

    async def receive(self, entity: str) -> tuple[Any, str]:
        """One message: the event in it and its sequence number; completed at once."""
        event, properties = await self.message(entity)
        return event, str(properties["sequenceNumber"])

    async def message(self, entity: str) -> tuple[Any, Any]:
        """The same with all properties of the message."""
        await self.say(op="receive", entity=entity, credit=1)
        line = await self.hear("message")
        await self.say(op="settle", lock=line["lock"], outcome="complete")
        return json.loads(base64.b64decode(line["body"])), line["properties"]


@asynccontextmanager
async def queue(data_dir: Path) -> AsyncIterator[Queue]:
    door = json.loads((data_dir / "queue.json").read_text())
    reader, writer = await asyncio.open_connection(door["host"], door["port"], limit=4 * 2**20)
    client = Queue(reader, writer)
    await client.say(op="hello", token=door["token"])
    assert (await client.hear("hello"))["ok"]
    try:
        yield client
    finally:
        writer.close()
        await writer.wait_closed()

"""The queue door as the host sees it, kept in memory: one topic subscription, locks, delivery counts, dead letters."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ENTITY = "work/sample"
MOST_DELIVERIES = 3


class FakeDoor:
    """Serves on a free port; `changed` is notified at every step, so that tests wait for facts and not for time."""

    def __init__(self, data_dir: Path, lock_seconds: float = 30) -> None:
        self._file = data_dir / "queue.json"
        self._lock_seconds = lock_seconds
        self._ready: deque[dict[str, Any]] = deque()
        self._locked: dict[str, dict[str, Any]] = {}
        self._credit = 0
        self._writer: asyncio.StreamWriter | None = None
        self.changed = asyncio.Condition()
        self.sent: list[dict[str, Any]] = []
        self.steps: list[str] = []
        self.dead: list[dict[str, Any]] = []
        self.refuse_sends = False

    async def __aenter__(self) -> FakeDoor:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self._file.write_text(json.dumps({"host": "127.0.0.1", "port": port, "token": "let me in"}))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hang_up()
        self._server.close()

    def hang_up(self) -> None:
        """Break the connection; what was locked comes back."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._credit = 0
        self._ready.extend(self._locked.values())
        self._locked.clear()

    def put(self, order: object, **properties: Any) -> None:
        """Add a message whose body is `order`."""
        body = b64encode(json.dumps(order).encode()).decode()
        self._ready.append({"body": body, "deliveries": 0, "properties": {"messageId": "m-1", "correlationId": "c-1", **properties}})
        self._push()

    async def until(self, count: int, step: str) -> None:
        """Wait until `step` was taken `count` times."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: self.steps.count(step) >= count)

    def bodies(self) -> list[Any]:
        """The JSON of every message that was sent."""
        return [json.loads(b64decode(each["body"])) for each in self.sent]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = json.loads(await reader.readline())
        self._writer = writer
        self._say({"op": "hello", "ok": hello == {"op": "hello", "token": "let me in"}})
        while line := await reader.readline():
            message = json.loads(line)
            getattr(self, f"_{message['op']}")(message)
            self._push()
            async with self.changed:
                self.changed.notify_all()

    def _say(self, message: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.write(json.dumps(message).encode() + b"\n")

    def _receive(self, message: dict[str, Any]) -> None:
        assert message["entity"] == ENTITY
        self._credit += message["credit"]
        self.steps.append("receive")

    def _push(self) -> None:
        while self._writer is not None and self._credit and self._ready:
            message = self._ready.popleft()
            message["deliveries"] += 1
            self._credit -= 1
            lock = f"lock-{len(self.steps)}-{message['deliveries']}-{len(self._locked)}"
            self._locked[lock] = message
            until = (datetime.now(UTC) + timedelta(seconds=self._lock_seconds)).isoformat()
            properties = {**message["properties"], "deliveryCount": message["deliveries"], "lockedUntil": until}
            self._say({"op": "message", "lock": lock, "entity": ENTITY, "body": message["body"], "properties": properties})

    def _settle(self, message: dict[str, Any]) -> None:
        held = self._locked.pop(message["lock"], None)
        self._say({"op": "settled", "lock": message["lock"], "ok": held is not None, "error": "the lock has ended"})
        if held is None:
            return
        self._credit += 1
        if message["outcome"] == "abandon":
            (self.dead if held["deliveries"] >= MOST_DELIVERIES else self._ready).append(held)
        self.steps.append(message["outcome"])

    def _renew(self, message: dict[str, Any]) -> None:
        self._say({"op": "renewed", "lock": message["lock"], "ok": message["lock"] in self._locked})
        self.steps.append("renew")

    def _send(self, message: dict[str, Any]) -> None:
        if not self.refuse_sends:
            self.sent += message["messages"]
        self._say({"op": "sent", "id": message["id"], "ok": not self.refuse_sends, "error": "the disk is full"})
        self.steps.append("send")

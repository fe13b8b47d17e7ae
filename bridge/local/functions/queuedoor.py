"""The feed from the embedded queue, through its door: JSON lines over a loopback connection.

Address and token stand in `queue.json` of the data directory; the door may come later than the host, go away and come back.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.local.functions.feed import Deliver, FeedError, Outgoing, Received, Verdict

log = logging.getLogger("bridge.functions")

_LONGEST_LINE = 64 * 1024 * 1024  #: bytes
_ANSWER_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  #: seconds between attempts to connect

Json = dict[str, Any]


class QueueDoor:
    """A connection to the door that is made again whenever it breaks; `run` holds it."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "queue.json"
        self._receivers: dict[str, tuple[int, Deliver]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[tuple[str, object], asyncio.Future[Json]] = {}
        self._ids = itertools.count(1)

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        pause = _FIRST_PAUSE
        told = False
        while True:
            try:
                await self._once()
                pause, told = _FIRST_PAUSE, False
                log.warning("The connection to the queue has ended; its messages come back by themselves.")
            except (OSError, ValueError, KeyError, FeedError) as problem:
                if not told:
                    log.info("Waiting for the queue that %s leads to: %s.", self._file, problem)
                told = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(self) -> None:
        """One connection, from hello to its end."""
        try:
            address = json.loads(self._file.read_text())
        except FileNotFoundError:
            raise FeedError("the file is not there; `bridge up` with the embedded runtime writes it") from None
        reader, writer = await asyncio.open_connection(address["host"], address["port"], limit=_LONGEST_LINE)
        try:
            writer.write(_line({"op": "hello", "token": address["token"]}))
            hello = json.loads(await asyncio.wait_for(reader.readline(), _ANSWER_SECONDS) or b"{}")
            if not hello.get("ok"):
                raise FeedError("it does not accept the token in the file")
            log.info("Connected to the queue at %s:%s.", address["host"], address["port"])
            self._writer = writer
            for entity, (credit, _) in self._receivers.items():
                self._write({"op": "receive", "entity": entity, "credit": credit})
            await self._listen(reader)
        finally:
            self._writer = None
            writer.close()
            self._forget()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                self._take(json.loads(line))

    def _take(self, message: Json) -> None:
        op = message["op"]
        if op == "message":
            _, deliver = self._receivers.get(message["entity"], (0, None))
            if deliver is not None:
                deliver(Received(message["lock"], b64decode(message["body"]), message["properties"]))
            return
        answered = self._waiting.pop((op, message.get("id", message.get("lock"))), None)
        if answered is not None and not answered.done():
            answered.set_result(message)
        elif op == "error":
            log.warning("The queue refuses a request: %s", _reason(message))

    def receive(self, entity: str, credit: int, deliver: Deliver) -> None:
        """See `Feed`."""
        self._receivers[entity] = (credit, deliver)
        if self._writer is not None:
            self._write({"op": "receive", "entity": entity, "credit": credit})

    def leave(self, entity: str) -> None:
        """See `Feed`. The door has no word for it: what this connection has asked for may still come, and goes back with it."""
        self._receivers.pop(entity, None)

    async def settle(self, lock: str, verdict: Verdict) -> None:
        """See `Feed`."""
        await self._ask("settled", lock, {"op": "settle", "lock": lock, "outcome": verdict})

    async def renew(self, lock: str) -> datetime | None:
        """See `Feed`."""
        answer = await self._ask("renewed", lock, {"op": "renew", "lock": lock})
        until = answer.get("lockedUntil")
        return datetime.fromisoformat(until) if until else None

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """See `Feed`."""
        number = next(self._ids)
        written = [{"topic": each.entity, "body": b64encode(each.body).decode(), "contentType": each.content_type} for each in messages]
        await self._ask("sent", number, {"op": "send", "id": number, "messages": written})

    async def _ask(self, answer: str, key: object, message: Json) -> Json:
        waiting: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[answer, key] = waiting
        try:
            self._write(message)
            given = await asyncio.wait_for(waiting, _ANSWER_SECONDS)
        except TimeoutError:
            raise FeedError(f"the queue has not answered within {_ANSWER_SECONDS:.0f} s") from None
        finally:
            self._waiting.pop((answer, key), None)
        if not given.get("ok", True):
            raise FeedError(f"the queue refused: {_reason(given)}")
        return given

    def _write(self, message: Json) -> None:
        if self._writer is None:
            raise FeedError("there is no connection to the queue")
        self._writer.write(_line(message))

    def _forget(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(FeedError("the connection to the queue has ended"))
        self._waiting.clear()


def _reason(answer: Json) -> str:
    return " ".join(str(answer[key]) for key in ("error", "detail") if answer.get(key)) or "without a reason"


def _line(message: Json) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"

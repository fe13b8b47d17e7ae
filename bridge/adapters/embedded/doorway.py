"""One connection through the queue door."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from pydantic import ValidationError

from bridge.adapters.embedded.protocol import REQUEST, Hello, Receive, Renew, Send, Settle, message_line, time_text
from bridge.adapters.embedded.receiver import Lock, Receiver
from bridge.errors import BridgeError, PortError
from bridge.ports import Message

_HELLO_SECONDS = 5.0  #: how long a client may take to show its token
_SENDS = 100  #: sends of one connection that may be under way before more is read
_UNREAD = 2**23  #: bytes the client may leave unread before nothing more is read from it


class Feed(Protocol):
    """What stands behind the door."""

    def receive(self, source: str, push: Callable[[Lock], None]) -> Receiver:
        """A consumer with credit and locks. Raises Undeliverable if there is no such queue or subscription."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Store every message durably before returning. Raises what `ports.Bus` raises."""


class Doorway:
    """Reads lines until the client goes; what it had locked is given back then."""

    def __init__(self, bus: Feed, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._bus, self._reader, self._writer, self._token = bus, reader, writer, token
        self._receivers: dict[str, Receiver] = {}
        self._sends: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(_SENDS)
        writer.transport.set_write_buffer_limits(high=_UNREAD)

    async def serve(self) -> None:
        """Talk to the client until either side ends it."""
        try:
            if await self._admitted():
                while line := await self._reader.readline():
                    await self._answer(line)
                    await self._writer.drain()
        except ValueError:
            self._write({"op": "error", "error": "LineTooLong", "detail": "The line is longer than the door takes. Send less at once."})
        except (ConnectionError, TimeoutError):
            pass
        finally:
            for receiver in self._receivers.values():
                receiver.close()

    async def _admitted(self) -> bool:
        async with asyncio.timeout(_HELLO_SECONDS):
            line = await self._reader.readline()
        try:
            shown = Hello.model_validate_json(line).token
        except ValidationError:
            return False
        if not hmac.compare_digest(shown.encode(), self._token.encode()):
            return False
        self._write({"op": "hello", "ok": True})
        return True

    async def _answer(self, line: bytes) -> None:
        try:
            request = REQUEST.validate_json(line)
            match request:
                case Receive():
                    self._receive(request)
                case Settle():
                    self._settle(request)
                case Renew():
                    self._renew(request)
                case Send():
                    await self._start_send(request)
        except ValidationError as fault:
            first = fault.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            self._write({"op": "error", "error": "Malformed", "detail": f"{place}: {first['msg']}".removeprefix(": ")})
        except BridgeError as fault:
            self._write({"op": "error", "error": fault.code, "detail": str(fault)})

    def _receive(self, request: Receive) -> None:
        if request.entity not in self._receivers:
            self._receivers[request.entity] = self._bus.receive(request.entity, self._push)
        self._receivers[request.entity].grant(request.credit)

    def _push(self, lock: Lock) -> None:
        self._write(message_line(lock))

    def _holder(self, token: str) -> Receiver | None:
        return next((receiver for receiver in self._receivers.values() if receiver.knows(token)), None)

    def _settle(self, request: Settle) -> None:
        settled = partial(self._write, {"op": "settled", "lock": request.lock, "ok": True})
        holder = self._holder(request.lock)
        if holder is None:
            kept = False
        elif request.outcome == "complete":
            kept = holder.complete(request.lock, settled)
        elif request.outcome == "abandon":
            kept = holder.abandon(request.lock, settled)
        else:
            kept = holder.dead_letter(request.lock, request.reason or "DeadLettered", request.description, settled)
        if not kept:
            self._write({"op": "settled", "lock": request.lock, "ok": False, "error": "LockLost"})

    def _renew(self, request: Renew) -> None:
        holder = self._holder(request.lock)
        until = holder.renew(request.lock) if holder else None
        line = {"op": "renewed", "lock": request.lock, "ok": until is not None}
        self._write({**line, "lockedUntil": time_text(until)} if until is not None else {**line, "error": "LockLost"})

    async def _start_send(self, request: Send) -> None:
        await self._free.acquire()
        task = asyncio.create_task(self._send(request))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _send(self, request: Send) -> None:
        try:
            await self._bus.publish([outgoing.message() for outgoing in request.messages])
            self._write({"op": "sent", "id": request.id, "ok": True})
        except PortError as fault:
            self._write({"op": "sent", "id": request.id, "ok": False, "error": fault.code, "detail": str(fault)})
        finally:
            self._free.release()

    def _write(self, line: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

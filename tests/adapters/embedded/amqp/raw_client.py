"""A client that says exactly what a test wants, right or wrong, to a connection without any I/O."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import struct
import time
from collections.abc import Coroutine, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from bridge.adapters.embedded.amqp.connection import AmqpConnection
from bridge.adapters.embedded.amqp.ports import Broker
from bridge.adapters.embedded.amqp.service import AmqpService, Bounds
from bridge.amqp import frames, performatives
from bridge.amqp.amqptypes import Described, Symbol, UByte, UInt, ULong
from bridge.amqp.decode import decode_plain
from bridge.amqp.encode import binary, encode
from tests.adapters.embedded.amqp.sdk_kit import KEY, KEY_NAME

ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27


class Said(NamedTuple):
    """One frame of the server."""

    code: int
    channel: int
    fields: list[Any]
    payload: bytes

    @property
    def termini(self) -> tuple[Any, Any]:
        """Source and target of an attach."""
        source, target = (*self.fields, *[None] * 7)[5:7]
        return source, target

    @property
    def condition(self) -> str:
        """The condition of the error in a close, end, detach or rejected disposition."""
        place = {performatives.DETACH: 2, performatives.DISPOSITION: 4}.get(self.code, 0)
        error = self.fields[place]
        if self.code == performatives.DISPOSITION:
            assert error.descriptor == REJECTED
            error = error.value[0]
        condition: str = error.value[0]
        return condition


def heard_in(data: bytes) -> Iterator[Said]:
    """The frames in what the server wrote; protocol headers are left out."""
    position = 0
    while position < len(data):
        if data[position : position + 4] == b"AMQP":
            position += 8
            continue
        size, offset, _, channel = struct.unpack_from(">IBBH", data, position)
        body = position + offset * 4
        if body < position + size:
            described, end = decode_plain(data[: position + size], body)
            yield Said(described.descriptor, channel, described.value, data[end : position + size])
        position += size


def sas(resource: str, *, key: str = KEY, expires: float | None = None, name: str = KEY_NAME) -> str:
    """A token for a resource."""
    expiry, escaped = str(int(expires if expires is not None else time.time() + 3600)), quote(resource, safe="")
    signature = base64.b64encode(hmac.digest(key.encode(), f"{escaped}\n{expiry}".encode(), hashlib.sha256)).decode()
    return f"SharedAccessSignature sr={escaped}&sig={quote(signature, safe='')}&se={expiry}&skn={name}"


def composite(code: int, *items: Any) -> bytes:
    return encode(Described(ULong(code), list(items)))


def message(body: bytes, *, properties: dict[str, Any] | None = None, value: Any = ..., **fields: Any) -> bytes:
    """A message; `fields` are those of its properties section, in their order: message_id, user_id, to, subject, reply_to …"""
    names = ("message_id", "user_id", "to", "subject", "reply_to", "correlation_id")
    sections = [encode(Described(ULong(0x73), [fields.get(name) for name in names]))]
    if properties is not None:
        sections.append(encode(Described(ULong(0x74), properties)))
    sections.append(encode(Described(ULong(0x77), value)) if value is not ... else b"\x00\x53\x75" + binary(body))
    return b"".join(sections)


class RawClient:
    """Implements `host.Host`, and plays the client."""

    def __init__(self, broker: Broker, bounds: Bounds | None = None) -> None:
        self.now = time.time()
        self.reading = True
        self.failures: list[Exception] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.connection = AmqpConnection(AmqpService(broker, {KEY_NAME: KEY}, bounds or Bounds()), self, lambda: self.now)
        self._handles = 0

    # host.Host

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        return task

    def wake(self) -> None:
        """The test takes the output itself."""

    def let_read(self, more: bool) -> None:
        self.reading = more

    def internal_error(self, fault: Exception) -> None:
        self.failures.append(fault)

    # the client

    def say(self, data: bytes) -> list[Said]:
        """Send bytes; returns what the server said at once."""
        self.connection.receive(data)
        return self.heard()

    def heard(self) -> list[Said]:
        output = list(heard_in(b"".join(self.connection.output.take())))
        self.connection.output.written()
        return output

    async def settled(self) -> list[Said]:
        """What the server says until all that it runs has ended."""
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.gather(*(task for task in self.tasks if not task.done()))
        return self.heard()

    def frame(self, code: int, *fields: Any, channel: int = 0, payload: bytes = b"") -> list[Said]:
        return self.say(frames.frame(channel, composite(code, *fields) + payload))

    def open(self, *, mechanism: str = "ANONYMOUS", max_frame: int = 65536, initial: bytes | None = None) -> list[Said]:
        self.say(frames.SASL_HEADER)
        init = composite(performatives.SASL_INIT, Symbol(mechanism), initial)
        self.say(frames.frame(0, init, frames.SASL) + frames.AMQP_HEADER)
        return self.frame(performatives.OPEN, "client", "127.0.0.1", UInt(max_frame))

    def begin(self, channel: int = 0, *, window: int = 5000) -> list[Said]:
        return self.frame(performatives.BEGIN, None, UInt(0), UInt(window), UInt(5000), UInt(255), channel=channel)

    def attach_sender(self, address: str, *, channel: int = 0, settled: bool | None = None) -> tuple[int, list[Said]]:
        handle = self._next_handle()
        source, target = Described(ULong(0x28), ["me"]), Described(ULong(0x29), [address])
        mode = None if settled is None else UByte(int(settled))
        said = self.frame(
            performatives.ATTACH, f"link-{handle}", UInt(handle), False, mode, None, source, target, None, None, UInt(0), channel=channel
        )
        return handle, said

    def attach_receiver(
        self,
        address: str,
        *,
        channel: int = 0,
        delete: bool = False,
        filters: dict[Any, Any] | None = None,
        reply: str = "me",
        **properties: Any,
    ) -> tuple[int, list[Said]]:
        handle = self._next_handle()
        source = Described(ULong(0x28), [address, None, None, None, None, None, None, filters])
        target = Described(ULong(0x29), [reply])
        modes = (UByte(1), UByte(0)) if delete else (None, UByte(1))
        given = {Symbol(name.replace("__", ":")): value for name, value in properties.items()} or None
        said = self.frame(
            performatives.ATTACH,
            f"link-{handle}", UInt(handle), True, *modes, source, target, None, None, None, None, None, None, given,
            channel=channel,
        )  # fmt: skip
        return handle, said

    def _next_handle(self) -> int:
        self._handles += 1
        return self._handles - 1

    def credit(self, handle: int, credit: int, *, count: int = 0, drain: bool = False, window: int = 5000, channel: int = 0) -> list[Said]:
        windows = (UInt(0), UInt(window), UInt(0), UInt(5000))
        return self.frame(performatives.FLOW, *windows, UInt(handle), UInt(count), UInt(credit), UInt(0), drain, channel=channel)

    def transfer(
        self,
        handle: int,
        number: int,
        payload: bytes,
        *,
        more: bool = False,
        settled: bool = False,
        message_format: int = 0,
        channel: int = 0,
    ) -> list[Said]:
        tag = number.to_bytes(4, "big")
        return self.frame(
            performatives.TRANSFER, UInt(handle), UInt(number), tag, UInt(message_format), settled, more, channel=channel, payload=payload
        )

    def settle(self, number: int, state: Described | None, *, last: int | None = None, settled: bool = False) -> list[Said]:
        until = None if last is None else UInt(last)
        return self.frame(performatives.DISPOSITION, True, UInt(number), until, settled, state)

    def authorize(self, token: str | None = None, *, channel: int = 0) -> list[Said]:
        """Put a token; returns the reply."""
        requests, _ = self.attach_sender("$cbs", channel=channel, settled=True)
        replies, _ = self.attach_receiver("$cbs", channel=channel, reply="tokens")
        self.credit(replies, 10, channel=channel)
        token = sas("sb://127.0.0.1/") if token is None else token
        put = message(b"", value=token, message_id="m", reply_to="tokens", properties={"operation": "put-token", "type": "t", "name": "n"})
        return [each for each in self.transfer(requests, 0, put, settled=True, channel=channel) if each.code == performatives.TRANSFER]


def opened(broker: Broker, bounds: Bounds | None = None) -> RawClient:
    """A client that has opened a connection and a session, and may do everything."""
    client = RawClient(broker, bounds)
    client.open()
    client.begin()
    client.authorize()
    client.heard()
    return client

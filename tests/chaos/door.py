"""A program on the embedded bus for many messages at a time: sends wait for their acknowledgements while messages come in.

It speaks AMQP without the retries of Microsoft's client, so that whoever uses it learns at once when the bridge has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.amqp import clientframes
from bridge.amqp.amqptypes import Described, Symbol, ULong
from bridge.amqp.client import AmqpClient
from bridge.amqp.clientframes import PeerError
from bridge.amqp.clientlinks import LinkDelivery, ReceiverLink, RequestLinks, SenderLink
from bridge.amqp.encode import composite, encode
from bridge.amqp.sections import MESSAGE_ANNOTATIONS, PROPERTIES, Parts
from bridge.local.functions.servicebus import connectionstring
from bridge.local.functions.servicebus.tokens import KeyTokens

Line = dict[str, Any]
_PROPERTIES = ("messageId", "userId", "to", "label", "replyTo", "correlationId")  #: in the order of the section


@dataclass(frozen=True)
class Message:
    """What a program is given: `number` tells messages apart on their entity, and stays the same when one comes again."""

    body: bytes
    number: str
    lock: Any  #: what the broker knows it by
    message_id: str = ""


#: Why a connection could not be had or went away; whoever uses one opens another then.
AWAY = (OSError, EOFError, ValueError, TimeoutError)
LONGEST = 10.0  #: seconds for an answer


class Refused(Exception):
    """The queue took nothing; the code says why."""


@dataclass
class Door:
    client: AmqpClient
    cbs: RequestLinks
    tokens: KeyTokens
    messages: asyncio.Queue[LinkDelivery | None] = field(default_factory=asyncio.Queue)
    senders: dict[str, SenderLink] = field(default_factory=dict)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def _authorize(self, address: str) -> None:
        audience = f"sb://127.0.0.1/{address}"
        token = await self.tokens.token(audience)
        await self.cbs.ask({"operation": "put-token", "type": token.kind, "name": audience}, token.text, LONGEST)

    async def _sender(self, topic: str) -> SenderLink:
        async with self.opening:
            if topic not in self.senders or self.senders[topic].detached.done():
                await self._authorize(topic)
                self.senders[topic] = SenderLink(self.client, topic)
                await self.client.attach(self.senders[topic])
            return self.senders[topic]

    async def send(self, topic: str, body: bytes, **properties: str) -> None:
        """Return once it is stored. Raises Refused, or one of AWAY if that is not known."""
        fields = encode(Described(ULong(PROPERTIES), [properties.get(name) for name in _PROPERTIES] + [Symbol("application/json")]))
        with refusals(self.client):
            async with asyncio.timeout(LONGEST):
                await (await self._sender(topic)).send(fields + encode(Described(ULong(0x75), body)))

    async def send_event(self, topic: str, event: Line) -> None:
        await self.send(topic, json.dumps(event).encode(), label=event.get("subject", ""), messageId=event["id"])

    async def receive(self, entity: str, credit: int) -> AsyncIterator[Message]:
        """Messages until the connection goes away; each must be settled."""
        link = await self.attach(entity)
        link.grant(credit)
        while (delivery := await self.messages.get()) is not None:
            if link.credit <= credit // 2:
                link.grant(credit)
            yield read(delivery)

    async def attach(self, entity: str) -> ReceiverLink:
        """A link whose messages go to `messages`, and None at its end. Raises Refused, or one of AWAY."""
        address = entity.replace("/", "/Subscriptions/", 1)
        link = ReceiverLink(self.client, address, self.messages.put_nowait)
        with refusals(self.client):
            await self._authorize(address)
            await self.client.attach(link)
        link.detached.add_done_callback(lambda _: self.messages.put_nowait(None))
        return link

    async def complete(self, message: Message) -> None:
        self._settle(message, clientframes.ACCEPT)

    async def abandon(self, message: Message) -> None:
        """It comes again, as often as its subscription says."""
        self._settle(message, clientframes.FAIL)

    async def dead_letter(self, message: Message, reason: str, description: str) -> None:
        """It becomes a dead letter. Returns when that is so."""
        info = {Symbol("DeadLetterReason"): reason, Symbol("DeadLetterErrorDescription"): description}
        why = Described(ULong(0x1D), [Symbol("com.microsoft:dead-letter"), None, info])
        await message.lock.link.settle(message.lock.delivery_id, composite(clientframes.REJECTED_CODE, why))

    def _settle(self, message: Message, state: bytes) -> None:
        self.client.settle(message.lock.delivery_id, state, settled=True)


def read(delivery: LinkDelivery) -> Message:
    parts = Parts(delivery.payload)
    annotations = parts.mapping(MESSAGE_ANNOTATIONS)
    # A sequence number may come again after a restart, so the time tells messages apart, too.
    number = f"{annotations['x-opt-sequence-number']}/{annotations['x-opt-enqueued-time']}"
    return Message(parts.body(), number, delivery, str(parts.fields(PROPERTIES)[0]))


@contextlib.contextmanager
def refusals(client: AmqpClient) -> Any:
    """What the broker refuses is told from a connection that has gone."""
    try:
        yield
    except PeerError as fault:
        if client.ended.done():
            raise ConnectionError(str(fault)) from None
        raise Refused(f"{fault.condition}: {fault}") from None


@asynccontextmanager
async def door(data_dir: Path) -> AsyncIterator[Door]:
    """Raises one of AWAY if nobody is there."""
    known = connectionstring.parse(json.loads((data_dir / "servicebus.json").read_text())["connectionString"])
    try:
        client = await AmqpClient.connect(known.host, known.port, None, LONGEST)
    except PeerError as fault:
        raise ConnectionError(str(fault)) from None
    try:
        with refusals(client):
            cbs = await RequestLinks(client, "$cbs").attach()
        yield Door(client, cbs, KeyTokens(known.key_name, known.key))
    finally:
        client.abort()  # closing would wait for a bridge that no longer reads

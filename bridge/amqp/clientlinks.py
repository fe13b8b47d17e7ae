"""The links of a client: it receives, sends, and asks requests of nodes such as $cbs and $management."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge.amqp import clientframes
from bridge.amqp.clientframes import PeerError
from bridge.amqp.encode import compound, encode, text
from bridge.amqp.performatives import SERIAL, AttachFrame, FlowFrame, TransferFrame
from bridge.amqp.sections import APPLICATION_PROPERTIES, PROPERTIES, Parts

if TYPE_CHECKING:
    from bridge.amqp.client import AmqpClient

_REPLIES = 100  #: credit of a link for replies
_LARGEST_MESSAGE = 128 * 2**20  #: bytes of one message; more than Service Bus takes (100 MB)


class LinkDelivery(NamedTuple):
    """A message that came over a link. `tag` is its lock token on Service Bus."""

    link: ReceiverLink
    delivery_id: int
    tag: bytes
    payload: bytes


class ClientLink:
    """A link that is attached, or is being. `detached` has the reason as its result once the link is gone."""

    def __init__(self, client: AmqpClient, address: str) -> None:
        self.client, self.address = client, address
        self.name = f"{address}-{uuid.uuid4().hex[:16]}"
        self.handle = -1
        self.attached: asyncio.Future[AttachFrame] = client.loop.create_future()
        self.detached: asyncio.Future[PeerError] = client.loop.create_future()

    def attach_frame(self) -> bytes:
        """The frame that attaches this link by its `handle`."""
        raise NotImplementedError

    def take_attach(self, frame: AttachFrame) -> None:
        """The peer has answered; without a terminus it refuses, and a detach says why."""
        if frame.source is not None and frame.target is not None and not self.attached.done():
            self.attached.set_result(frame)

    def flow(self, asked: FlowFrame) -> None:
        """The peer tells credit, or asks."""

    def transfer(self, frame: TransferFrame, payload: bytes) -> None:
        """The peer sends a part of a message."""

    def end(self, why: PeerError) -> None:
        """The link is gone."""
        if not self.attached.done():
            self.attached.set_exception(why)
            self.attached.exception()  # whoever waited for it has it; if nobody did, nothing was lost
        if not self.detached.done():
            self.detached.set_result(why)


class ReceiverLink(ClientLink):
    """Receives as far as its credit goes, and settles."""

    def __init__(
        self,
        client: AmqpClient,
        address: str,
        deliver: Callable[[LinkDelivery], None],
        *,
        filters: Mapping[Any, Any] | None = None,
        properties: Mapping[Any, Any] | None = None,
    ) -> None:
        super().__init__(client, address)
        self.credit = 0
        self._deliver, self._filters, self._properties = deliver, filters, properties
        self._delivery_count = 0
        self._arriving: TransferFrame | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._settling: dict[int, asyncio.Future[None]] = {}

    def attach_frame(self) -> bytes:
        """See `ClientLink`."""
        return clientframes.attach_receiver(self.name, self.handle, self.address, filters=self._filters, properties=self._properties)

    def take_attach(self, frame: AttachFrame) -> None:
        """See `ClientLink`."""
        self._delivery_count = frame.initial_delivery_count or 0
        super().take_attach(frame)

    def grant(self, credit: int, *, drain: bool = False) -> None:
        """From now on take this many messages; with `drain`, the peer sends what it has and drops the rest of the credit."""
        if not self.detached.done():
            self.credit = credit
            self.client.write_flow((self.handle, self._delivery_count, credit), drain=drain)

    def flow(self, asked: FlowFrame) -> None:
        """See `ClientLink`."""
        if asked.drain and asked.delivery_count is not None:
            self._delivery_count = asked.delivery_count
            self.credit = asked.link_credit or 0
        elif asked.echo:
            self.grant(self.credit)

    def transfer(self, frame: TransferFrame, payload: bytes) -> None:
        """See `ClientLink`."""
        first = self._arriving = self._arriving or frame
        self._size += len(payload)
        if self._size > _LARGEST_MESSAGE:
            raise PeerError(f"a message of more than {_LARGEST_MESSAGE} bytes", "amqp:link:message-size-exceeded")
        if frame.more and not frame.aborted:
            self._chunks.append(payload)
            return
        whole = b"".join((*self._chunks, payload)) if self._chunks else payload
        self._arriving, self._chunks, self._size = None, [], 0
        self._delivery_count = (self._delivery_count + 1) % SERIAL
        self.credit = max(self.credit - 1, 0)
        if not frame.aborted and first.delivery_id is not None:
            self._deliver(LinkDelivery(self, first.delivery_id, first.delivery_tag or b"", whole))

    async def settle(self, delivery_id: int, state: bytes) -> None:
        """Settle a delivery, and wait until the peer confirms it. Raises PeerError if it refuses or the link goes."""
        if self.detached.done():
            raise self.detached.result()
        confirmed = self._settling[delivery_id] = self.client.loop.create_future()
        self.client.settle(delivery_id, state)
        try:
            await confirmed
        finally:
            self._settling.pop(delivery_id, None)

    def release(self, delivery_id: int) -> None:
        """Give a delivery back, which does not count, without waiting for an answer."""
        if not self.detached.done():
            self.client.settle(delivery_id, clientframes.RELEASE, settled=True)

    def confirmed(self, first: int, count: int, state: Any) -> None:
        """The peer tells the final state of deliveries, from the number `first` on."""
        for number in _named(self._settling, first, count):
            error = clientframes.rejection(state) if clientframes.is_rejected(state) else None
            _conclude(self._settling[number], None if error is None else PeerError.read(error, "it was refused"))

    def end(self, why: PeerError) -> None:
        """See `ClientLink`."""
        super().end(why)
        for waiting in self._settling.values():
            _conclude(waiting, why)


class SenderLink(ClientLink):
    """Sends, as far as the peer's credit and window go."""

    def __init__(self, client: AmqpClient, address: str) -> None:
        super().__init__(client, address)
        self._delivery_count = self._credit = 0
        self._waiting: deque[tuple[bytes, asyncio.Future[None]]] = deque()
        self._sent: dict[int, asyncio.Future[None]] = {}
        self._largest = 0

    def attach_frame(self) -> bytes:
        """See `ClientLink`."""
        return clientframes.attach_sender(self.name, self.handle, self.address)

    def take_attach(self, frame: AttachFrame) -> None:
        """See `ClientLink`."""
        self._largest = frame.max_message_size or 0
        super().take_attach(frame)

    async def send(self, message: bytes) -> None:
        """Send, and wait until the peer has accepted it. Raises PeerError."""
        if self.detached.done():
            raise self.detached.result()
        if self._largest and len(message) > self._largest:
            raise PeerError(
                f"the message has {len(message)} bytes; {self.address} takes {self._largest} at most", "amqp:link:message-size-exceeded"
            )
        accepted: asyncio.Future[None] = self.client.loop.create_future()
        self._waiting.append((message, accepted))
        self.pump()
        await accepted

    def pump(self) -> None:
        """Send what waits, as far as it may go."""
        while self._waiting and self._credit > 0 and self.client.may_send:
            message, accepted = self._waiting.popleft()
            if accepted.done():
                continue  # whoever sent it waits no longer
            self._credit -= 1
            self._delivery_count = (self._delivery_count + 1) % SERIAL
            self._sent[self.client.send(self, message)] = accepted

    def flow(self, asked: FlowFrame) -> None:
        """See `ClientLink`."""
        if asked.link_credit is not None:
            self._credit = asked.credit_from(self._delivery_count)
            self.pump()

    def outcomes(self, first: int, count: int, state: Any) -> None:
        """The peer tells what became of messages, from the number `first` on."""
        refused = None
        if clientframes.is_rejected(state):
            refused = PeerError.read(clientframes.rejection(state), "it was rejected without a reason")
        elif getattr(state, "descriptor", None) in (clientframes.RELEASED_CODE, clientframes.MODIFIED_CODE):
            refused = PeerError("the broker gave the message back")
        for number in _named(self._sent, first, count):
            _conclude(self._sent.pop(number), refused)

    def end(self, why: PeerError) -> None:
        """See `ClientLink`."""
        super().end(why)
        for accepted in (*self._sent.values(), *(each for _, each in self._waiting)):
            _conclude(accepted, why)
        self._waiting.clear()
        self._sent.clear()


class NodeReply(NamedTuple):
    """The reply of a node: its application properties, and its body as a value."""

    properties: Mapping[Any, Any]
    body: Any


class _ReplyReceiver(ReceiverLink):
    """Where replies arrive; they come settled."""

    def __init__(self, client: AmqpClient, address: str, deliver: Callable[[LinkDelivery], None]) -> None:
        super().__init__(client, address, deliver)
        self.reply_to = uuid.uuid4().hex

    def attach_frame(self) -> bytes:
        return clientframes.attach_receiver(self.name, self.handle, self.address, target=self.reply_to, settled=True)


class RequestLinks:
    """A pair of links to a node that answers requests."""

    def __init__(self, client: AmqpClient, node: str) -> None:
        self._sender = SenderLink(client, node)
        self._receiver = _ReplyReceiver(client, node, self._take)
        self._client = client
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[NodeReply]] = {}

    async def attach(self) -> RequestLinks:
        """Attach both links. Raises PeerError."""
        await asyncio.gather(self._client.attach(self._sender), self._client.attach(self._receiver))
        self._receiver.grant(_REPLIES)
        return self

    @property
    def is_open(self) -> bool:
        """Whether requests can be made."""
        return not (self._sender.detached.done() or self._receiver.detached.done())

    async def ask(self, properties: Mapping[str, Any], body: Any, seconds: float) -> NodeReply:
        """Ask, and wait for the reply. Raises PeerError, TimeoutError."""
        number = str(next(self._numbers))
        reply: asyncio.Future[NodeReply] = self._client.loop.create_future()
        self._waiting[number] = reply
        try:
            async with asyncio.timeout(seconds):
                await self._sender.send(_request(number, self._receiver.reply_to, properties, body))
                ends: set[asyncio.Future[Any]] = {reply, self._receiver.detached}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                raise self._receiver.detached.result()
            return reply.result()
        finally:
            del self._waiting[number]

    def _take(self, delivery: LinkDelivery) -> None:
        self._receiver.grant(_REPLIES)
        parts = Parts(delivery.payload)
        fields = parts.fields(PROPERTIES)
        waiting = self._waiting.get(str(fields[5])) if len(fields) > 5 else None
        if waiting is not None and not waiting.done():
            waiting.set_result(NodeReply(parts.mapping(APPLICATION_PROPERTIES), parts.value()))


def _named(waiting: Mapping[int, object], first: int, count: int) -> list[int]:
    """Which of the numbers that are waited for are among `count` ones from `first` on."""
    if count == 1:
        return [first] if first in waiting else []
    return [number for number in waiting if (number - first) % SERIAL < count]


def _conclude(waiting: asyncio.Future[None], refused: PeerError | None) -> None:
    if not waiting.done():
        if refused is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(refused)


def _request(number: str, reply_to: str, properties: Mapping[str, Any], body: Any) -> bytes:
    fields = compound(0xC0, [text(number), b"\x40", b"\x40", b"\x40", text(reply_to)])
    return b"".join((b"\x00\x53\x73", fields, b"\x00\x53\x74", encode(dict(properties)), b"\x00\x53\x77", encode(body)))

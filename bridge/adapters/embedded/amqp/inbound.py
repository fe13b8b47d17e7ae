"""Links through which clients send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bridge.adapters.embedded.amqp.brokererrors import BrokerError, MessageTooLarge
from bridge.adapters.embedded.amqp.outcomes import ACCEPTED, is_transactional, rejected
from bridge.adapters.embedded.amqp.protocolfault import NO_TRANSACTIONS, LinkFault
from bridge.amqp import performatives
from bridge.amqp.performatives import SERIAL, FlowFrame, TransferFrame

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.session import AmqpSession

_CHUNK = 64  #: bytes that a part of a message takes beyond its own
CREDIT = 1000  #: transfers that a client may send before it is given credit anew


class Arrived:
    """One delivery that came whole."""

    __slots__ = ("delivery_id", "link", "message_format", "payload", "settled")

    def __init__(self, link: InboundLink, delivery_id: int, message_format: int, *, settled: bool) -> None:
        self.link, self.delivery_id, self.message_format, self.settled = link, delivery_id, message_format, settled
        self.payload = b""

    def settle(self, state: bytes = ACCEPTED) -> None:
        """Tell the client what became of it."""
        self.link.settle(self, state)

    def refuse(self, fault: BrokerError) -> None:
        """Tell the client why it is not taken."""
        self.link.settle(self, rejected(fault))


class Sink(Protocol):
    """What stands behind an inbound link. It settles each delivery once."""

    def take(self, arrived: Arrived) -> None:
        """Begin to handle a delivery."""


class InboundLink:
    """Puts transfers together to deliveries and keeps the client supplied with credit."""

    def __init__(self, session: AmqpSession, handle: int, address: str, sink: Sink, max_message: int) -> None:
        self.session, self.handle, self.address = session, handle, address
        self._sink, self._max_message = sink, max_message
        self._delivery_count = 0
        self._credit = 0
        self._partial: Arrived | None = None
        self._chunks: list[bytes] = []
        self._size = 0

    def grant(self) -> None:
        """Give the client its full credit."""
        self._credit = CREDIT
        self.session.write_flow((self.handle, self._delivery_count, self._credit))

    def flow(self, asked: FlowFrame) -> None:
        """Answer a client that asks how much credit it has."""
        if asked.echo:
            self.grant()

    def transfer(self, frame: TransferFrame, payload: bytes) -> None:
        """Take one transfer. Raises LinkFault."""
        arriving = self._partial
        if arriving is None:
            if not self._credit:
                raise LinkFault("amqp:link:transfer-limit-exceeded", f"a link to '{self.address}' has no credit left")
            if frame.delivery_id is None:
                raise LinkFault("amqp:invalid-field", "a transfer has no delivery-id")
            if is_transactional(frame.state):
                raise LinkFault("amqp:not-implemented", NO_TRANSACTIONS)
            arriving = Arrived(self, frame.delivery_id, frame.message_format or 0, settled=False)
        arriving.settled = arriving.settled or frame.settled is True
        if frame.aborted:
            self._drop_partial()
            self._count_one()
        elif frame.more:
            self._keep(arriving, payload)
        else:
            self._complete(arriving, payload)

    def _keep(self, arriving: Arrived, payload: bytes) -> None:
        self._partial = arriving
        self._size += len(payload)
        if self._size <= self._max_message:
            self._chunks.append(payload)
            self.session.connection.count_partial(len(payload) + _CHUNK)
        else:
            self._forget_chunks()

    def _complete(self, arriving: Arrived, payload: bytes) -> None:
        size = self._size + len(payload)
        arriving.payload = b"".join((*self._chunks, payload)) if self._chunks else payload
        self._drop_partial()
        self._count_one()
        if size > self._max_message:
            arriving.payload = b""
            arriving.refuse(MessageTooLarge(f"the message has {size} bytes; {self._max_message} are allowed"))
            return
        self.session.connection.charge(size)
        self._sink.take(arriving)

    def _count_one(self) -> None:
        self._credit -= 1
        self._delivery_count = (self._delivery_count + 1) % SERIAL
        if self._credit <= CREDIT // 2:
            self.grant()

    def _forget_chunks(self) -> None:
        self.session.connection.count_partial(-sum(len(chunk) + _CHUNK for chunk in self._chunks))
        self._chunks = []

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._forget_chunks()
            self._partial, self._size = None, 0

    def settle(self, arrived: Arrived, state: bytes) -> None:
        """Tell the client the state of a delivery, unless it does not wait for it."""
        if arrived.payload:
            self.session.connection.charge(-len(arrived.payload))
        if not arrived.settled:
            self.session.write_disposition(performatives.ROLE_RECEIVER, arrived.delivery_id, state)

    def hold(self) -> None:
        """What the client sends is not held back here."""

    supply = hold

    def close(self, *, gone: bool = False) -> None:
        """Forget what came in part."""
        del gone
        self._drop_partial()

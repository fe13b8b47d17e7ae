"""Links through which clients receive messages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from bridge.adapters.embedded.amqp.brokervalues import Disposition, Locked
from bridge.adapters.embedded.amqp.outcomes import is_transactional, read_outcome
from bridge.adapters.embedded.amqp.outgoing import deliver
from bridge.adapters.embedded.amqp.ports import MessageReceiver
from bridge.adapters.embedded.amqp.protocolfault import NO_TRANSACTIONS, SessionFault
from bridge.amqp import performatives
from bridge.amqp.performatives import SERIAL, FlowFrame

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.session import AmqpSession


class OutboundLink:
    """Delivers messages of a receiver, as far as the client's credit goes."""

    def __init__(self, session: AmqpSession, handle: int, address: str, *, settled: bool) -> None:
        self.session, self.handle, self.address, self.settled = session, handle, address, settled
        self.session_id: str | None = None
        self.receiver: MessageReceiver | None = None
        self._delivery_count = 0
        self._credit = 0
        self._outstanding = 0  # of the credit: what was granted to the broker and has not come back as a message
        self._draining = False
        self._unsettled = 0

    def flow(self, asked: FlowFrame) -> None:
        """Take the client's credit; answer if it wants the credit drained or asks for an answer."""
        self._draining = asked.drain is True
        if asked.link_credit is not None:
            self._credit = asked.credit_from(self._delivery_count)
            self.supply()
        if self._draining:
            self.hold()
            self._answer_drain()
        elif asked.echo:
            self.session.write_flow((self.handle, self._delivery_count, self._credit))

    def supply(self) -> None:
        """Ask the broker for as much as may be delivered now."""
        self.hold()
        if self.receiver is not None and not self.session.is_blocked:
            room = self.session.connection.service.bounds.unsettled - self._unsettled
            more = min(self._credit, room) - self._outstanding
            if more > 0:
                self._outstanding += more
                self.receiver.grant(more)

    def hold(self) -> None:
        """Let the broker deliver nothing until `supply` is called, but for what it is deleting for this link."""
        if self.receiver is not None:
            self._outstanding -= self.receiver.drain()

    def _answer_drain(self) -> None:
        if not self._outstanding:
            self._draining = False
            self._delivery_count = (self._delivery_count + self._credit) % SERIAL
            self._credit = 0
            self.session.write_flow((self.handle, self._delivery_count, 0), drain=True)

    def push(self, locked: Locked) -> None:
        """Send one message to the client."""
        if self.receiver is None:
            return  # it was deleted for a client that has detached since
        self._outstanding -= 1
        self._credit -= 1
        self._delivery_count = (self._delivery_count + 1) % SERIAL
        payload = deliver(locked.stored, locked.until if not self.settled else None)
        delivery_id = self.session.send(self.handle, locked.token.bytes_le, payload, settled=self.settled)
        if not self.settled:
            self._unsettled += 1
            self.session.unsettled[delivery_id] = (self, locked.token)
        if self._draining:
            self._answer_drain()

    def disposition(self, delivery_id: int, token: UUID, state: object, *, settled: bool) -> None:
        """The client ends a delivery, or says of a settled one that it forgets it."""
        if is_transactional(state):
            raise SessionFault("amqp:not-implemented", NO_TRANSACTIONS)
        wanted = read_outcome(state)
        if wanted is None and not settled:
            return
        del self.session.unsettled[delivery_id]
        self._unsettled -= 1
        if wanted is not None and self.receiver is not None:
            answer = None if settled else delivery_id
            self.session.connection.spawn(self._settle(self.receiver, token, wanted, answer))
        if self._unsettled + 1 >= self.session.connection.service.bounds.unsettled:
            self.supply()

    async def _settle(self, receiver: MessageReceiver, token: UUID, wanted: tuple[Disposition, bytes], answer: int | None) -> None:
        state = await self.session.connection.attempt(receiver.settle(token, wanted[0]), wanted[1])
        if answer is not None:
            self.session.write_disposition(performatives.ROLE_SENDER, answer, state)

    def close(self, *, gone: bool = False) -> None:
        """Give the receiver up."""
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.close(gone=gone)

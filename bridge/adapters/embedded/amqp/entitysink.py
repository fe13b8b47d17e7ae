"""Takes the messages that a client sends to a queue or topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.adapters.embedded.amqp.brokervalues import Incoming
from bridge.adapters.embedded.amqp.incoming import batch
from bridge.adapters.embedded.amqp.protocolfault import UnreadableMessage
from bridge.amqp.scan import BadEncoding

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.connection import AmqpConnection
    from bridge.adapters.embedded.amqp.inbound import Arrived


class EntitySink:
    """Implements `inbound.Sink`: a delivery is accepted once its messages are stored."""

    def __init__(self, connection: AmqpConnection, address: str) -> None:
        self._connection, self._address = connection, address

    def take(self, arrived: Arrived) -> None:
        """Store the messages of a delivery, and then accept it."""
        try:
            messages = batch(arrived.payload, arrived.message_format)
        except BadEncoding as fault:
            arrived.refuse(UnreadableMessage(f"the message cannot be read: {fault}"))
            return
        self._connection.spawn(self._store(arrived, messages))

    async def _store(self, arrived: Arrived, messages: Sequence[Incoming]) -> None:
        arrived.settle(await self._connection.attempt(self._connection.service.broker.send(self._address, messages)))

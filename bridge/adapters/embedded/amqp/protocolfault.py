"""What a peer did wrong, with the AMQP condition that it is told (part 2.8 of the standard)."""

from __future__ import annotations

from bridge.adapters.embedded.amqp.brokererrors import BrokerError

NO_TRANSACTIONS = "Transactions are not supported here; send and settle without one."


class ProtocolFault(Exception):
    """Ends the connection."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition


class SessionFault(ProtocolFault):
    """Ends the session and leaves the connection open."""


class LinkFault(ProtocolFault):
    """Ends the link and leaves the session open."""


class UnreadableMessage(BrokerError):
    """The bytes of a delivery are no message."""

    condition, status = "amqp:decode-error", 400

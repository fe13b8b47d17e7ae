"""The node $cbs, claims-based security: clients put tokens there before they attach to entities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.adapters.embedded.amqp.requests import answer, read_request
from bridge.amqp.amqptypes import Int

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.inbound import Arrived
    from bridge.adapters.embedded.amqp.session import AmqpSession


class TokenSink:
    """Implements `inbound.Sink`: checks tokens and answers whether they are worth something."""

    def __init__(self, session: AmqpSession) -> None:
        self._session = session

    def take(self, arrived: Arrived) -> None:
        """Check one token."""
        request = read_request(arrived)
        if request is None:
            return
        if request.properties.get("operation") != "put-token":
            status = {"status-code": Int(400), "status-description": "Only the operation put-token is known here."}
        elif isinstance(request.body, str) and self._session.connection.access.show(request.body):
            status = {"status-code": Int(202), "status-description": "Accepted"}
        else:
            status = {
                "status-code": Int(401),
                "status-description": "The token has a wrong signature or has expired, or it is no shared access signature.",
            }
        answer(self._session, "$cbs", request, request.reply(status))

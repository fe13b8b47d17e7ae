"""Requests that clients send as messages to $cbs and $management, and the replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge.adapters.embedded.amqp.protocolfault import UnreadableMessage
from bridge.adapters.embedded.amqp.replies import ReplyLink
from bridge.amqp.amqptypes import Described
from bridge.amqp.decode import decode, decode_plain
from bridge.amqp.encode import NULL, compound, encode
from bridge.amqp.scan import BadEncoding, list_items, raw_items
from bridge.amqp.sections import APPLICATION_PROPERTIES, PROPERTIES, VALUE, Parts

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.inbound import Arrived
    from bridge.adapters.embedded.amqp.session import AmqpSession


class NodeRequest:
    """A request. `properties` are its application properties; `body` is its value, with AMQP types."""

    def __init__(self, payload: bytes) -> None:
        """Raises BadEncoding."""
        parts = Parts(payload)
        found = parts.sections.get(PROPERTIES)
        items = raw_items(payload, *list_items(payload, found.value)[:2]) if found else []
        self._message_id = items[0] if items else NULL
        reply_to = decode_plain(items[4])[0] if len(items) > 4 else None
        self.reply_to = reply_to if isinstance(reply_to, str) else ""
        self.properties = parts.mapping(APPLICATION_PROPERTIES)
        value = next((section for section in parts.bodies if section.code == VALUE), None)
        self.body: Any = decode(payload, value.value)[0] if value else parts.body()
        if isinstance(self.body, Described):
            raise BadEncoding("the body of a request has a type that is not known here")

    def reply(self, properties: Mapping[str, Any], body: Any = None) -> bytes:
        """The reply, with the id of the request as it came."""
        correlated = compound(0xC0, [NULL, NULL, NULL, NULL, NULL, self._message_id])
        return b"".join(
            (b"\x00\x53\x73", correlated, b"\x00\x53\x74", encode(dict(properties)), b"\x00\x53\x77", encode(body)),
        )


def answer(session: AmqpSession, node: str, request: NodeRequest, payload: bytes) -> None:
    """Send a reply over the link that the request names by its address or name, else over any reply link of the node in the session."""
    links = [link for link in session.links.values() if isinstance(link, ReplyLink) and link.address.lower() == node.lower()]
    named = [link for link in links if request.reply_to and request.reply_to in link.names]
    for link in (named or links)[:1]:
        link.reply(payload)


def read_request(arrived: Arrived) -> NodeRequest | None:
    """The request in a delivery, which is settled; None where it is none."""
    try:
        request = NodeRequest(arrived.payload)
    except BadEncoding as fault:
        arrived.refuse(UnreadableMessage(f"the request cannot be read: {fault}"))
        return None
    arrived.settle()
    return request

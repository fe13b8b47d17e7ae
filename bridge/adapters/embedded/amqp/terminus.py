"""What a link is attached to: an entity, $cbs or $management. Decides whether it may be, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.adapters.embedded.amqp.brokererrors import BrokerError, NotSupported
from bridge.adapters.embedded.amqp.cbs import TokenSink
from bridge.adapters.embedded.amqp.entitysink import EntitySink
from bridge.adapters.embedded.amqp.inbound import InboundLink
from bridge.adapters.embedded.amqp.management import ManagementSink
from bridge.adapters.embedded.amqp.outbound import OutboundLink
from bridge.adapters.embedded.amqp.protocolfault import NO_TRANSACTIONS, LinkFault
from bridge.adapters.embedded.amqp.replies import ReplyLink
from bridge.adapters.embedded.amqp.sessionlink import PendingLink, refuse, session_wanted
from bridge.amqp import frames, performatives
from bridge.amqp.amqptypes import Described
from bridge.amqp.performatives import COORDINATOR, SOURCE, TARGET, AttachFrame

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.session import AmqpSession

CBS, MANAGEMENT = "$cbs", "$management"
_SETTLED = 1  #: the settle mode of a sender that settles what it sends


def entity_address(text: str) -> str:
    """An address as a broker knows it: without scheme, host and leading slash."""
    _, absolute, rest = text.partition("://")
    return (rest.partition("/")[2] if absolute else text).strip("/")


def is_management(address: str) -> bool:
    """Whether the address is that of an entity's $management node."""
    return address.lower() == MANAGEMENT or address.lower().endswith("/" + MANAGEMENT)


def attach(session: AmqpSession, frame: AttachFrame, source: bytes, target: bytes) -> None:
    """Attach what was asked for, or refuse it: by an attach without a terminus and a detach that says why."""
    try:
        if frame.role is performatives.ROLE_SENDER:
            _attach_inbound(session, frame, source, target)
        else:
            _attach_outbound(session, frame, source, target)
    except (BrokerError, LinkFault) as fault:
        refuse(session, frame, fault.condition, str(fault))
    except Exception as fault:  # noqa: BLE001 - whatever the broker raises, the client waits for an answer
        failure = session.connection.internal_error(fault)
        refuse(session, frame, failure.condition, str(failure))


def _attach_inbound(session: AmqpSession, frame: AttachFrame, source: bytes, target: bytes) -> None:
    if frame.target is not None and frame.target.descriptor in (COORDINATOR, "amqp:coordinator:list"):
        raise NotSupported(NO_TRANSACTIONS)
    address = _address_of(frame.target, TARGET)
    connection = session.connection
    limit = connection.service.bounds.max_message
    sink: Any
    if address.lower() == CBS:
        sink = TokenSink(session)
    elif is_management(address):
        connection.access.check(address)
        sink = ManagementSink(session, address)
    else:
        connection.access.check(address)
        limit = min(limit, connection.service.broker.open_sender(address).max_message_size)
        sink = EntitySink(connection, address)
    link = InboundLink(session, frame.handle or 0, address, sink, limit)
    session.links[link.handle] = link
    connection.write(frames.attached(session.channel, frame, source=source, target=target, max_message_size=limit))
    link.grant()


def _attach_outbound(session: AmqpSession, frame: AttachFrame, source: bytes, target: bytes) -> None:
    address = _address_of(frame.source, SOURCE)
    connection, handle = session.connection, frame.handle or 0
    if address.lower() == CBS or is_management(address):
        if address.lower() != CBS:
            connection.access.check(address)
        settled = frame.snd_settle_mode != 0
        session.links[handle] = ReplyLink(session, handle, address, (_reply_address(frame), frame.name or ""), settled=settled)
        connection.write(frames.attached(session.channel, frame, source=source, target=target))
        return
    connection.access.check(address)
    link = OutboundLink(session, handle, address, settled=frame.snd_settle_mode == _SETTLED)
    wanted = session_wanted(frame)
    if wanted is not None:
        PendingLink(session, frame, link, wanted).start(source, target)
        return
    link.receiver = connection.service.broker.open_receiver(address, push=link.push, receive_and_delete=link.settled)
    session.links[handle] = link
    connection.write(frames.attached(session.channel, frame, source=source, target=target))


def _address_of(terminus: Described | None, kind: int) -> str:
    if (
        terminus is None
        or terminus.descriptor not in (kind, "amqp:source:list", "amqp:target:list")
        or not isinstance(terminus.value, list)
    ):
        raise LinkFault("amqp:invalid-field", "the link names no address")
    address = terminus.value[0] if terminus.value else None
    if not isinstance(address, str) or not entity_address(address):
        raise LinkFault("amqp:invalid-field", "the link names no address")
    return entity_address(address)


def _reply_address(frame: AttachFrame) -> str:
    fields = frame.target.value if frame.target is not None and isinstance(frame.target.value, list) else []
    return fields[0] if fields and isinstance(fields[0], str) else ""

"""The nodes $management of entities: requests about messages, sessions and rules, in the forms of Service Bus.

A request names its operation in an application property and gives its arguments as a map; so does the reply with its results.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from bridge.adapters.embedded.amqp.arguments import Arguments, BadRequest, Reply
from bridge.adapters.embedded.amqp.brokererrors import BrokerError, MessageNotFound, NotSupported, SessionLockLost
from bridge.adapters.embedded.amqp.brokervalues import Abandon, Complete, Defer, Disposition, Reject
from bridge.adapters.embedded.amqp.incoming import incoming
from bridge.adapters.embedded.amqp.outbound import OutboundLink
from bridge.adapters.embedded.amqp.outcomes import application_properties
from bridge.adapters.embedded.amqp.outgoing import deliver
from bridge.adapters.embedded.amqp.ports import SessionReceiver
from bridge.adapters.embedded.amqp.requests import NodeRequest, answer, read_request
from bridge.adapters.embedded.amqp.rules import read_rule, write_rule
from bridge.amqp.amqptypes import Array, Int, Symbol
from bridge.amqp.scan import BadEncoding

if TYPE_CHECKING:
    from bridge.adapters.embedded.amqp.inbound import Arrived
    from bridge.adapters.embedded.amqp.session import AmqpSession

_SUFFIX = len("/$management")
_MOST = 1000  #: messages, rules or sessions in one reply
_MOST_BYTES = 4 * 2**20  #: of the messages in one reply
_LONG, _TIME, _TEXT = 0x81, 0x83, 0xB1  #: items of arrays
_FAR = datetime.max.replace(tzinfo=UTC)


class ManagementSink:
    """Implements `inbound.Sink`: answers each request, several at a time."""

    def __init__(self, session: AmqpSession, node: str) -> None:
        self._session, self._node = session, node
        self._broker = session.connection.service.broker
        self._address = node[:-_SUFFIX] if len(node) > _SUFFIX else ""

    def take(self, arrived: Arrived) -> None:
        """Begin to answer one request."""
        size, request = len(arrived.payload), read_request(arrived)
        if request is not None:
            self._session.connection.charge(size)
            self._session.connection.spawn(self._answer(request, size))

    async def _answer(self, request: NodeRequest, size: int) -> None:
        try:
            done = await self._perform(request)
            properties: dict[str, Any] = {"statusCode": Int(done.status), "statusDescription": "OK"}
            body = done.body
        except BrokerError as fault:
            properties, body = _failed(fault), None
        except BadEncoding as fault:
            properties, body = _failed(BadRequest(f"The request cannot be read: {fault}.")), None
        except Exception as fault:  # noqa: BLE001 - whatever the broker raises, the client waits for an answer
            properties, body = _failed(self._session.connection.internal_error(fault)), None
        self._session.connection.charge(-size)
        answer(self._session, self._node, request, request.reply(properties, dict(body or {})))

    async def _perform(self, request: NodeRequest) -> Reply:
        self._session.connection.access.check(self._node)
        operation = str(request.properties.get("operation") or "")
        perform = _OPERATIONS.get(operation.removeprefix("com.microsoft:"))
        if perform is None:
            raise NotSupported(f"The operation '{operation}' is not supported here.")
        return await perform(self, Arguments(request.body))

    # --- locks and settlement

    async def renew_lock(self, given: Arguments) -> Reply:
        """Lock messages anew."""
        ends = [await self._broker.renew(self._address, token) for token in given.each("lock-tokens", UUID)]
        return Reply(body={"expirations": Array(_TIME, ends)})

    async def update_disposition(self, given: Arguments) -> Reply:
        """Settle messages by their lock tokens."""
        wanted = _disposition(given)
        for token in given.each("lock-tokens", UUID):
            await self._broker.settle(self._address, token, wanted)
        return Reply()

    # --- messages

    async def peek_message(self, given: Arguments) -> Reply:
        """Look at messages without locking them."""
        count = min(max(given.needed("message-count", int), 0), _MOST)
        session_id = given.optional("session-id", str)
        found = await self._broker.peek(self._address, given.needed("from-sequence-number", int), count, session_id)
        messages: list[dict[str, bytes]] = []
        room = _MOST_BYTES
        for stored in found:
            message = deliver(stored, None)
            room -= len(message)
            if messages and room < 0:
                break
            messages.append({"message": message})
        return Reply(body={"messages": messages}) if messages else Reply(204)

    async def receive_by_sequence_number(self, given: Arguments) -> Reply:
        """Lock or take deferred messages."""
        numbers = _distinct(given.each("sequence-numbers", int))
        take = given.optional("receiver-settle-mode", int) == 0
        session_id = given.optional("session-id", str)
        found = await self._broker.receive_deferred(self._address, numbers, receive_and_delete=take, session_id=session_id)
        if not found:
            raise MessageNotFound(f"No deferred message has one of the numbers {numbers}.")
        messages = [{"message": deliver(each.stored, None if take else each.until, each.token), "lock-token": each.token} for each in found]
        return Reply(body={"messages": messages})

    async def schedule_message(self, given: Arguments) -> Reply:
        """Store messages that are delivered at a time that stands in each."""
        entries = given.each("messages", dict)
        if not entries or not all(isinstance(entry.get("message"), bytes) for entry in entries):
            raise BadRequest("The argument 'messages' holds something other than messages.")
        messages = [incoming(entry["message"]) for entry in entries]
        if any(message.scheduled is None for message in messages):
            raise BadRequest("A message to schedule has no x-opt-scheduled-enqueue-time.")
        numbers = await self._broker.send(self._address, messages)
        return Reply(body={"sequence-numbers": Array(_LONG, numbers)})

    async def cancel_scheduled_message(self, given: Arguments) -> Reply:
        """Delete messages before their time."""
        await self._broker.cancel_scheduled(self._address, _distinct(given.each("sequence-numbers", int)))
        return Reply()

    # --- sessions

    def _session_receiver(self, given: Arguments) -> SessionReceiver:
        """The receiver of this connection that has locked the session. Raises SessionLockLost."""
        wanted, address = given.needed("session-id", str), self._address.lower()
        for link in self._session.connection.links():
            if isinstance(link, OutboundLink) and link.session_id == wanted and link.address.lower() == address and link.receiver:
                return link.receiver  # type: ignore[return-value]  # a link with a session has such a receiver
        raise SessionLockLost(f"The session '{wanted}' is not locked by a receiver of this connection.")

    async def renew_session_lock(self, given: Arguments) -> Reply:
        """Lock a session anew."""
        return Reply(body={"expiration": await self._session_receiver(given).renew()})

    async def get_session_state(self, given: Arguments) -> Reply:
        """The state of a session."""
        return Reply(body={"session-state": await self._session_receiver(given).state()})

    async def set_session_state(self, given: Arguments) -> Reply:
        """Keep a state for a session."""
        await self._session_receiver(given).set_state(given.optional("session-state", bytes))
        return Reply()

    async def get_message_sessions(self, given: Arguments) -> Reply:
        """Sessions that have messages, or whose state changed after a time."""
        since = given.optional("last-updated-time", datetime)
        everything = since is None or since.year >= _FAR.year
        skip, top = given.optional("skip", int) or 0, min(given.optional("top", int) or 100, _MOST)
        found = await self._broker.list_sessions(self._address, None if everything else since, max(skip, 0), max(top, 0))
        return Reply(body={"skip": Int(skip + len(found)), "sessions-ids": Array(_TEXT, found)}) if found else Reply(204)

    # --- rules

    async def add_rule(self, given: Arguments) -> Reply:
        """Add a rule to a subscription."""
        await self._broker.add_rule(self._address, read_rule(given.needed("rule-name", str), given.needed("rule-description", dict)))
        return Reply()

    async def remove_rule(self, given: Arguments) -> Reply:
        """Remove a rule from a subscription."""
        await self._broker.remove_rule(self._address, given.needed("rule-name", str))
        return Reply()

    async def enumerate_rules(self, given: Arguments) -> Reply:
        """The rules of a subscription, a page at a time."""
        skip, top = max(given.optional("skip", int) or 0, 0), max(given.optional("top", int) or _MOST, 0)
        page = list(await self._broker.rules(self._address))[skip : skip + min(top, _MOST)]
        return Reply(body={"rules": [{"rule-description": write_rule(rule)} for rule in page]}) if page else Reply(204)


Operation: TypeAlias = Callable[[ManagementSink, Arguments], Awaitable[Reply]]
_OPERATIONS: Mapping[str, Operation] = {
    "renew-lock": ManagementSink.renew_lock,
    "update-disposition": ManagementSink.update_disposition,
    "peek-message": ManagementSink.peek_message,
    "receive-by-sequence-number": ManagementSink.receive_by_sequence_number,
    "schedule-message": ManagementSink.schedule_message,
    "cancel-scheduled-message": ManagementSink.cancel_scheduled_message,
    "renew-session-lock": ManagementSink.renew_session_lock,
    "get-session-state": ManagementSink.get_session_state,
    "set-session-state": ManagementSink.set_session_state,
    "get-message-sessions": ManagementSink.get_message_sessions,
    "add-rule": ManagementSink.add_rule,
    "remove-rule": ManagementSink.remove_rule,
    "enumerate-rules": ManagementSink.enumerate_rules,
}


def _failed(fault: BrokerError) -> dict[str, Any]:
    return {"statusCode": Int(fault.status), "statusDescription": str(fault), "errorCondition": Symbol(fault.condition)}


def _distinct(numbers: list[int]) -> list[int]:
    return list(dict.fromkeys(numbers))


def _disposition(given: Arguments) -> Disposition:
    status, properties = given.needed("disposition-status", str), application_properties(given.optional("properties-to-modify", dict))
    if status == "completed":
        return Complete()
    if status == "abandoned":
        return Abandon(properties)
    if status == "defered":  # written so in the protocol
        return Defer(properties)
    if status == "suspended":
        return Reject(given.optional("deadletter-reason", str), given.optional("deadletter-description", str), properties)
    raise BadRequest(f"No disposition has the name '{status}'.")

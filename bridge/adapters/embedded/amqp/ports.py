"""What the AMQP protocol needs of a broker with the semantics of Azure Service Bus, and the values that pass between the two.

Addresses come without scheme, host and leading slash: `queue`, `topic`, `topic/Subscriptions/subscription`, each with `/$DeadLetterQueue`
where dead letters are meant. A broker compares them without regard to case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Protocol, TypeAlias
from uuid import UUID

Value: TypeAlias = int | float | Decimal | bool | str | bytes | UUID | datetime | timedelta | None
"""An application property. What `codec` decodes are subclasses that keep the AMQP type, such as `codec.Long`; they compare by value."""

ACTIVE, DEFERRED, SCHEDULED = 0, 1, 2  #: the states of a message, as the annotation x-opt-message-state counts them


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as it was sent.

    `encoded` is the bare message with its sections as they came, without header and delivery annotations. The fields beside it are what a
    broker decides by; ids are in text form, an absent text is empty. `body` is all data sections together, the bytes of a value section
    that holds text or binary, else nothing. `priority` and `durable` are what the header said.
    """

    encoded: bytes
    message_id: str = ""
    correlation_id: str = ""
    label: str = ""
    to: str = ""
    reply_to: str = ""
    content_type: str = ""
    session_id: str | None = None
    reply_to_session_id: str = ""
    properties: Mapping[str, Value] = field(default_factory=dict)
    body: bytes = b""
    time_to_live: timedelta | None = None
    scheduled: datetime | None = None
    partition_key: str = ""
    priority: int | None = None
    durable: bool = False


@dataclass(frozen=True, slots=True)
class BrokerMessage:
    """A message as the broker keeps it.

    `delivery_count` counts the deliveries before this one. `encoded` is as in `Incoming`. `properties_to_add` are application properties
    that were added or changed since: by settlement, by dead-lettering, by the action of a rule.
    """

    sequence_number: int
    enqueued: datetime
    encoded: bytes
    expires: datetime | None = None
    delivery_count: int = 0
    state: int = ACTIVE
    scheduled_for: datetime | None = None
    dead_letter_source: str = ""
    properties_to_add: Mapping[str, Value] = field(default_factory=dict)
    session_id: str | None = None
    priority: int | None = None
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Locked:
    """A message locked for a receiver until a time, under a token. In receive-and-delete mode it is gone already and the token unused."""

    stored: BrokerMessage
    token: UUID
    until: datetime


@dataclass(frozen=True, slots=True)
class Complete:
    """Delete the message."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Deliver the message again, with its count raised."""

    properties: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Defer:
    """Keep the message for whoever asks for its sequence number."""

    properties: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reject:
    """Move the message to the dead letters. Reason and description become application properties where they are given."""

    reason: str | None = None
    description: str | None = None
    properties: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """Give the message back as if it had never been delivered: its count stays."""


Disposition: TypeAlias = Complete | Abandon | Defer | Reject | Release


@dataclass(frozen=True, slots=True)
class TrueFilter:
    """Takes every message."""


@dataclass(frozen=True, slots=True)
class FalseFilter:
    """Takes no message."""


@dataclass(frozen=True, slots=True)
class SqlFilter:
    """Takes what the SQL expression is true for."""

    expression: str


@dataclass(frozen=True, slots=True)
class CorrelationFilter:
    """Takes messages whose fields are all equal to those that are set here."""

    correlation_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    label: str | None = None
    session_id: str | None = None
    reply_to_session_id: str | None = None
    content_type: str | None = None
    properties: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilterRule:
    """A rule of a subscription. `action` is an SQL action, applied to the copy of the message that the subscription gets."""

    name: str
    filter: TrueFilter | FalseFilter | SqlFilter | CorrelationFilter
    action: str | None = None
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What a sender is told of its entity: the largest message it may send, in bytes."""

    max_message_size: int


class BrokerError(Exception):
    """What a broker refuses. `condition` is the AMQP error condition, `status` the code in a reply of $management."""

    condition: ClassVar[str] = "amqp:internal-error"
    status: ClassVar[int] = 500


class EntityNotFound(BrokerError):
    """No entity has this address."""

    condition, status = "amqp:not-found", 404


class NotAllowed(BrokerError):
    """The entity cannot be used in this way."""

    condition, status = "amqp:not-allowed", 400


class MessageLockLost(BrokerError):
    """The lock has ended, or the message is settled already."""

    condition, status = "com.microsoft:message-lock-lost", 410


class SessionLockLost(BrokerError):
    """The lock of the session has ended."""

    condition, status = "com.microsoft:session-lock-lost", 410


class SessionCannotBeLocked(BrokerError):
    """Another receiver has the session."""

    condition, status = "com.microsoft:session-cannot-be-locked", 409


class AcceptTimeout(BrokerError):
    """No session became free in time."""

    condition, status = "com.microsoft:timeout", 408


class MessageNotFound(BrokerError):
    """No deferred or scheduled message has this sequence number."""

    condition, status = "com.microsoft:message-not-found", 404


class RuleNotFound(BrokerError):
    """The subscription has no rule of this name."""

    condition, status = "amqp:not-found", 404


class RuleExists(BrokerError):
    """The subscription has a rule of this name already."""

    condition, status = "com.microsoft:entity-already-exists", 409


class BadFilter(BrokerError):
    """The filter or action of a rule cannot be used."""

    condition, status = "amqp:invalid-field", 400


class MessageTooLarge(BrokerError):
    """The message is larger than the entity takes."""

    condition, status = "amqp:link:message-size-exceeded", 400


class ServerBusy(BrokerError):
    """The broker cannot take it now; later it may."""

    condition, status = "com.microsoft:server-busy", 503


class NotSupported(BrokerError):
    """Service Bus can do this; this broker cannot."""

    condition, status = "amqp:not-implemented", 501


class MessageReceiver(Protocol):
    """A receiver of one queue or subscription. Messages come through the function that was given when it was opened."""

    def grant(self, credit: int) -> None:
        """From now on deliver up to `credit` messages; this replaces what was left of an earlier grant."""

    def drain(self) -> int:
        """Deliver nothing more until the next grant; returns what was left."""

    async def settle(self, token: UUID, disposition: Disposition) -> None:
        """End the delivery. A released message does not come back to this receiver at once. Raises MessageLockLost, SessionLockLost."""

    def close(self, *, gone: bool = False) -> None:
        """Deliver nothing more. Locks last until they end; where the connection is `gone`, the broker may give the messages back."""


class SessionReceiver(MessageReceiver, Protocol):
    """A receiver that has locked one session."""

    @property
    def session_id(self) -> str:
        """The session."""

    @property
    def locked_until(self) -> datetime:
        """When the lock of the session ends."""

    async def renew(self) -> datetime:
        """Lock the session anew; returns when the lock ends. Raises SessionLockLost."""

    async def state(self) -> bytes | None:
        """The state of the session. Raises SessionLockLost."""

    async def set_state(self, state: bytes | None) -> None:
        """Keep a state for the session, durably; None removes it. Raises SessionLockLost."""


Push: TypeAlias = Callable[[Locked], None]


class Broker(Protocol):
    """The broker behind all connections. Every method may raise EntityNotFound, NotAllowed and ServerBusy."""

    def open_sender(self, address: str) -> SenderInfo:
        """Check that messages may be sent to the address."""

    def open_receiver(self, address: str, *, push: Push, receive_and_delete: bool) -> MessageReceiver:
        """Receive from an entity without sessions."""

    async def accept_session(
        self, address: str, session_id: str | None, *, push: Push, receive_and_delete: bool, patience: float
    ) -> SessionReceiver:
        """Lock a session, or the next free one for None, waiting up to `patience` seconds. Whoever cancels the task drops the wait.

        Raises SessionCannotBeLocked, AcceptTimeout.
        """

    async def send(self, address: str, messages: Sequence[Incoming]) -> Sequence[int]:
        """Store all messages durably, or none; returns their sequence numbers, 0 for one that nobody keeps. Raises MessageTooLarge."""

    async def cancel_scheduled(self, address: str, numbers: Sequence[int]) -> None:
        """Delete scheduled messages. Raises MessageNotFound."""

    async def settle(self, address: str, token: UUID, disposition: Disposition) -> None:
        """End a delivery to whichever receiver of the entity has the lock. Raises MessageLockLost, SessionLockLost."""

    async def renew(self, address: str, token: UUID) -> datetime:
        """Lock a message anew; returns when the lock ends. Raises MessageLockLost."""

    async def peek(self, address: str, from_number: int, count: int, session_id: str | None) -> Sequence[BrokerMessage]:
        """Messages in the order of their numbers, locked or not, deferred and scheduled ones too; nothing changes."""

    async def receive_deferred(
        self, address: str, numbers: Sequence[int], *, receive_and_delete: bool, session_id: str | None
    ) -> Sequence[Locked]:
        """Lock or take deferred messages by their numbers. Raises MessageNotFound."""

    async def list_sessions(self, address: str, since: datetime | None, skip: int, top: int) -> Sequence[str]:
        """Sessions that have messages; with `since`, those whose state was set after it."""

    async def add_rule(self, address: str, rule: FilterRule) -> None:
        """Add a rule to a subscription. Raises RuleExists, BadFilter."""

    async def remove_rule(self, address: str, name: str) -> None:
        """Remove a rule from a subscription. Raises RuleNotFound."""

    async def rules(self, address: str) -> Sequence[FilterRule]:
        """The rules of a subscription, in the order of their names."""

"""What the AMQP protocol needs of a broker with the semantics of Azure Service Bus.

Addresses come without scheme, host and leading slash: `queue`, `topic`, `topic/Subscriptions/subscription`, each with `/$DeadLetterQueue`
where dead letters are meant. A broker compares them without regard to case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from bridge.adapters.embedded.amqp.brokervalues import BrokerMessage, Disposition, Incoming, Locked
from bridge.adapters.embedded.amqp.filterrules import FilterRule


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What a sender is told of its entity: the largest message it may send, in bytes."""

    max_message_size: int


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

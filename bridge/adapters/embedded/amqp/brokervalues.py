"""The messages that pass between the AMQP protocol and a broker, and what may become of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeAlias
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

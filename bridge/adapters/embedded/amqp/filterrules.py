"""The rules of a subscription, as they pass between the AMQP protocol and a broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bridge.adapters.embedded.amqp.brokervalues import Value


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

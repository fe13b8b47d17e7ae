"""What rules see of a message: its system properties and its application properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

PropertyValue: TypeAlias = int | float | Decimal | bool | str | bytes | UUID | datetime | timedelta | None

#: The system properties that an action may set: their names in SQL, in lower case, and their names here. All of them are texts.
WRITABLE = {
    "contenttype": "content_type",
    "correlationid": "correlation_id",
    "label": "label",
    "subject": "label",  # the name of Label in the newer clients
    "messageid": "message_id",
    "partitionkey": "partition_key",
    "replyto": "reply_to",
    "replytosessionid": "reply_to_session_id",
    "sessionid": "session_id",
    "to": "to",
}
#: All system properties that a filter may name. Those that a broker gives a message only later, such as LockToken, are not among them.
READABLE = {
    **WRITABLE,
    "deadlettersource": "dead_letter_source",
    "deliverycount": "delivery_count",
    "enqueuedtimeutc": "enqueued_time",
    "expiresatutc": "expires_at",
    "scheduledenqueuetimeutc": "scheduled_enqueue_time",
    "size": "size",
    "timetolive": "time_to_live",
}


@dataclass(frozen=True, slots=True)
class MessageProperties:
    """The properties of one message. `system` has the names that `READABLE` gives; an absent text may be empty, None or left out."""

    system: Mapping[str, PropertyValue] = field(default_factory=dict)
    user: Mapping[str, PropertyValue] = field(default_factory=dict)

    def system_value(self, name: str) -> PropertyValue:
        """A system property by its name here; None if the message has none. An empty text counts as none, because AMQP has both."""
        value = self.system.get(name)
        return None if value == "" else value

    def user_key(self, name: str) -> str | None:
        """The application property that SQL means by `name`: the one spelled like it, else the first that differs only in case."""
        if name in self.user:
            return name
        folded = name.casefold()
        return next((each for each in self.user if each.casefold() == folded), None)

    def user_value(self, name: str) -> PropertyValue:
        """An application property; None if the message has none of this name."""
        key = self.user_key(name)
        return None if key is None else self.user[key]

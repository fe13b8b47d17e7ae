"""The lines that the queue door and its clients exchange: one JSON object a line, named by `op`; bodies in base64."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.alias_generators import to_camel

from bridge.adapters.embedded.entry import DEAD_LETTER_PROPERTIES
from bridge.adapters.embedded.receiver import Lock
from bridge.ports import Message

MOST_CREDIT = 1_000  #: messages a client may ask for at once
MOST_PROPERTIES = 64  #: of one message


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("expected base64 (RFC 4648) in a string")  # noqa: TRY004 - pydantic asks for ValueError
    return base64.b64decode(text, validate=True)


Word = Annotated[str, Field(max_length=500)]
Text = Annotated[str, Field(max_length=4096)]  # what Service Bus allows for the reason of a dead letter
Body = Annotated[bytes, BeforeValidator(_decoded)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_camel)


class Hello(_Line):
    """The first line: the token of queue.json."""

    op: Literal["hello"]
    token: str = Field(repr=False)


class Receive(_Line):
    """Take `credit` messages more of an entity: "topic/subscription" or a queue's name."""

    op: Literal["receive"]
    entity: Word
    credit: Annotated[int, Field(ge=1, le=MOST_CREDIT)]


class Settle(_Line):
    """End a lock."""

    op: Literal["settle"]
    lock: Word
    outcome: Literal["complete", "abandon", "deadletter"]
    reason: Text = ""
    description: Text = ""


class Renew(_Line):
    """Begin a lock's duration anew."""

    op: Literal["renew"]
    lock: Word


class Outgoing(_Line):
    """One message to a topic or queue."""

    topic: Word
    body: Body
    content_type: Word = "application/json"
    message_id: Word = ""
    correlation_id: Word = ""
    label: Word = ""
    properties: Annotated[dict[Word, Text], Field(max_length=MOST_PROPERTIES)] = {}

    @model_validator(mode="before")
    @classmethod
    def _queue_or_topic(cls, value: Any) -> Any:
        """A queue's name may stand under `queue`."""
        if isinstance(value, dict) and "queue" in value and "topic" not in value:
            return {("topic" if key == "queue" else key): part for key, part in value.items()}
        return value

    def message(self) -> Message:
        """The message as the bus takes it; what only a broker says of a message is left out."""
        return Message(
            topic=self.topic,
            body=self.body,
            message_id=self.message_id,
            correlation_id=self.correlation_id,
            label=self.label,
            content_type=self.content_type,
            properties={name: value for name, value in self.properties.items() if name not in DEAD_LETTER_PROPERTIES},
        )


class Send(_Line):
    """Publish messages, all or none; `id` comes back with the answer."""

    op: Literal["send"]
    id: int
    messages: list[Outgoing]


Request = Annotated[Receive | Settle | Renew | Send, Field(discriminator="op")]
REQUEST: TypeAdapter[Receive | Settle | Renew | Send] = TypeAdapter(Request)


def message_line(lock: Lock) -> dict[str, Any]:
    """A message under a lock; times are RFC 3339 in UTC."""
    entry, message = lock.entry, lock.entry.message
    return {
        "op": "message",
        "lock": lock.token,
        "entity": entry.source,
        "body": base64.b64encode(message.body).decode(),
        "properties": {
            "messageId": message.message_id,
            "correlationId": message.correlation_id,
            "label": message.label,
            "contentType": message.content_type,
            "sequenceNumber": entry.id,
            "enqueuedTime": time_text(entry.enqueued),
            "expiresAt": None if entry.expires is None else time_text(entry.expires),
            "lockedUntil": time_text(lock.until),
            "deliveryCount": entry.attempts,
            "applicationProperties": dict(message.properties),
        },
    }


def time_text(seconds: float) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The types of the HTTP API's answers about dead letters."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from bridge.client.answers import Time


class ReplayView(TypedDict):
    """A replay: the event of a dead letter was published again."""

    at: Time
    by: Annotated[str, Field(description="The caller who requested it.")]
    messageId: Annotated[str, Field(description="Of the message: the id of the dead letter, a slash, and the number of the replay.")]
    edited: Annotated[bool, Field(description="Whether an edited event was published; the dead letter keeps the original.")]
    unconfirmed: NotRequired[Annotated[Literal[True], Field(description="It was interrupted: whether it was published is not known.")]]


class ReplayUnderWayView(ReplayView):
    """A replay that is not confirmed. Until the given time it is in progress. After that it was interrupted, and can be repeated."""

    until: Time


class DeadLetterView(TypedDict):
    """An event that could not be handled."""

    id: str
    reason: Annotated[str, Field(examples=["Malformed", "CorrelationConflict", "GaveUp", "ReplyUndeliverable", "Undeliverable"])]
    detail: str
    hint: NotRequired[Annotated[str, Field(description="What its sender can do.")]]
    source: Annotated[str, Field(description="The subscription or queue it came from.")]
    topic: Annotated[str, Field(description="Where a replay publishes it.")]
    attempts: int
    keptAt: Time
    correlationId: NotRequired[str]
    automation: NotRequired[str]
    contentType: NotRequired[str]
    causationId: NotRequired[str]
    entity: NotRequired[Annotated[str, Field(description="The queue or subscription in whose dead-letter sub-queue it is.")]]
    properties: NotRequired[Annotated[dict[str, str], Field(description="The application properties there, tokens masked.")]]
    reaches: NotRequired[Annotated[list[str], Field(description="The subscriptions that a replay reaches, as far as is known.")]]
    replayOf: NotRequired[Annotated[str, Field(description="The dead letter whose replay came back as this one.")]]
    replays: NotRequired[list[ReplayView]]
    replaying: NotRequired[ReplayUnderWayView]
    event: NotRequired[Annotated[Any, Field(description="The original, tokens and writeOnly input masked; absent with event=false.")]]
    body: NotRequired[Annotated[str, Field(description="Instead of `event`, if it is not JSON: text, or base64.")]]


class MissingView(TypedDict):
    """What the broker did not return: the dead letters of one entity, or of all."""

    detail: str
    entity: NotRequired[str]


class DeadLettersView(TypedDict):
    """The dead letters of the bridge, newest first; then those of the broker, by entity, oldest first."""

    items: list[DeadLetterView]
    missing: NotRequired[list[MissingView]]
    nextCursor: NotRequired[Annotated[str, Field(description="Absent on the last page.")]]

"""Topics, queues and subscriptions: one list in the format of the Service Bus emulator, which every bus uses.

The format is that of Microsoft's `Config.json` (UserConfig, Namespaces, Queues, Topics); durations are in ISO 8601 form. A rule has a
Correlation filter, which selects a message if all fields that it names are equal, or a Sql filter, and it may have an action. A
subscription gets a message that one of its rules selects.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic.alias_generators import to_pascal

from bridge.entities.problems import contradictions, explain
from bridge.entities.shape import EntityShape, Name, Span, Target
from bridge.entities.subscriptionrule import Correlation, RuleProperties, Sql, SubscriptionRule
from bridge.errors import ConfigurationError
from bridge.files import textfile

DEAD_LETTERS = "$DeadLetterQueue"  #: what Service Bus appends to the name of a queue or subscription for its dead letters
MOST_BYTES = 16 * 2**20  #: of the file
UNLIMITED = 2_147_483_647  #: the largest MaxDeliveryCount, which means that no count ends the deliveries


class SubscriptionProperties(EntityShape):
    """How a queue or subscription delivers. Without a time to live, messages stay until they are settled."""

    dead_lettering_on_message_expiration: bool = False
    default_message_time_to_live: Span | None = None
    lock_duration: Span = timedelta(minutes=1)
    max_delivery_count: Annotated[int, Field(ge=1, le=UNLIMITED)] = 10
    forward_to: Target = None
    forward_dead_lettered_messages_to: Target = None
    requires_session: bool = False

    @property
    def forwards(self) -> Iterator[tuple[str, str]]:
        """Each entity that it forwards to, after the name of the field."""
        for field in ("forward_to", "forward_dead_lettered_messages_to"):
            if (target := getattr(self, field)) is not None:
                yield to_pascal(field), target


class _Detecting(EntityShape):
    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: Span | None = None

    @property
    def duplicate_window(self) -> timedelta | None:
        """For how long a MessageId is remembered (Azure's default is ten minutes); None without duplicate detection."""
        if not self.requires_duplicate_detection:
            return None
        return self.duplicate_detection_history_time_window or timedelta(minutes=10)


class QueueProperties(SubscriptionProperties, _Detecting):
    """How a queue delivers."""


class TopicProperties(_Detecting):
    """The properties of a topic as a whole."""

    default_message_time_to_live: Span | None = None


class QueueEntity(EntityShape):
    """A queue. Senders and receivers use its name."""

    name: Name
    properties: QueueProperties = QueueProperties()


class SubscriptionEntity(EntityShape):
    """A subscription to a topic: it gets its own copies of the messages that pass its rules."""

    name: Name
    properties: SubscriptionProperties = SubscriptionProperties()
    rules: tuple[SubscriptionRule, ...] = Field(default=(), strict=False)


class TopicEntity(EntityShape):
    """A topic. Each subscription gets its own copy of the messages that pass its rules."""

    name: Name
    properties: TopicProperties = TopicProperties()
    subscriptions: tuple[SubscriptionEntity, ...] = Field(default=(), strict=False)


class Entities(EntityShape):
    """All topics, queues and subscriptions of one namespace."""

    name: str = "sbemulatorns"
    queues: tuple[QueueEntity, ...] = Field(default=(), strict=False)
    topics: tuple[TopicEntity, ...] = Field(default=(), strict=False)

    def subscriptions(self, topic: str) -> tuple[SubscriptionEntity, ...] | None:
        """All subscriptions of a topic; None if there is no such topic."""
        return next((found.subscriptions for found in self.topics if found.name == topic), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all queues and topics."""
        return (*(queue.name for queue in self.queues), *(topic.name for topic in self.topics))

    @property
    def duplicate_windows(self) -> Iterator[tuple[str, timedelta | None]]:
        """Every queue and topic, with the time for which it remembers a MessageId; None without duplicate detection."""
        for queue in self.queues:
            yield queue.name, queue.properties.duplicate_window
        for topic in self.topics:
            yield topic.name, topic.properties.duplicate_window

    @property
    def sources(self) -> Iterator[tuple[str, SubscriptionProperties]]:
        """Every queue and subscription, by the name that receivers use: `queue` or `topic/subscription`."""
        for queue in self.queues:
            yield queue.name, queue.properties
        for topic in self.topics:
            for subscription in topic.subscriptions:
                yield f"{topic.name}/{subscription.name}", subscription.properties


class _Logging(EntityShape):
    type: str = "File"


class _UserConfig(EntityShape):
    namespaces: tuple[Entities, ...] = Field(strict=False)
    logging: _Logging = _Logging()

    @model_validator(mode="after")
    def _one_namespace(self) -> Self:
        if len(self.namespaces) != 1:
            raise ValueError(f"Namespaces holds {len(self.namespaces)} namespaces; expected one")
        return self


class _File(EntityShape):
    user_config: _UserConfig


def load(path: Path) -> Entities:
    """Read the file. Raises ConfigurationError with every problem: the file, the place in it, and how to fix it."""
    twice: list[str] = []
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError([f"{path}: is larger than {MOST_BYTES:,} bytes; remove what nobody uses."])
        read = json.loads(textfile.read(path), object_pairs_hook=lambda pairs: _once(pairs, twice))
        entities = _File.model_validate(read).user_config.namespaces[0]
        problems = twice or list(contradictions(entities))
    except OSError as fault:
        raise ConfigurationError([f"{path}: cannot be read ({fault.strerror}); name another file with --entities."]) from None
    except ValidationError as fault:
        known = _field_names()
        problems = twice + [explain(error, known) for error in fault.errors(include_url=False)]
    except ValueError as fault:
        problems = [f"is not JSON text: {fault}; fix it there"]
    except RecursionError:
        problems = ["is nested too deeply to be read; such a list has at most ten levels"]
    if problems:
        raise ConfigurationError([f"{path}: {problem}." for problem in problems])
    return entities


def _once(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    twice += [
        f"the field {key!r} appears twice in one object; keep one of them"
        for key, count in Counter(k for k, _ in pairs).items()
        if count > 1
    ]
    return dict(pairs)


def _field_names() -> set[str]:
    shapes = (
        _File,
        _UserConfig,
        Entities,
        QueueEntity,
        TopicEntity,
        SubscriptionEntity,
        SubscriptionRule,
        QueueProperties,
        RuleProperties,
        Correlation,
        Sql,
    )
    return {to_pascal(name) for shape in shapes for name in shape.model_fields}

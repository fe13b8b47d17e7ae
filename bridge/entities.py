"""Topics, queues and subscriptions: one list in the shape of the Service Bus emulator's configuration, read by every bus.

The shape is that of Microsoft's `Config.json` (UserConfig, Namespaces, Queues, Topics); durations are written as in ISO 8601. Rules are
Correlation filters: a message passes a rule if every field the rule names is equal, and a subscription if it passes one of its rules.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_pascal
from pydantic_core import ErrorDetails

from bridge.errors import ConfigurationError

DEAD_LETTERS = "$DeadLetterQueue"  #: what Service Bus puts behind a source's name for its dead letters
UNLIMITED = 2_147_483_647  #: the largest MaxDeliveryCount: never give up by count
_DURATION = re.compile(r"P(?=[\dT])(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def _iso(text: object) -> timedelta:
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a duration; write it as in ISO 8601, like "PT30S", "PT1M", "PT1H" or "P7D"')
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _more_than_none(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("expected more than PT0S")
    return span


Span = Annotated[timedelta, BeforeValidator(_iso), AfterValidator(_more_than_none)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,258}[A-Za-z0-9])?$")]


class _Shape(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_pascal, validate_by_name=False
    )


class Correlation(_Shape):
    """A filter: every field it names must be equal."""

    content_type: str | None = None
    correlation_id: str | None = None
    label: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    session_id: str | None = None
    to: str | None = None
    properties: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _names_a_field(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("the filter names no field; name one, such as Label, or leave the rule out to take every message")
        return self

    def passes(self, fields: Mapping[str, str], properties: Mapping[str, str]) -> bool:
        """Whether a message passes. `fields` has the broker's fields by the names used here: `label`, `correlation_id` and so on."""
        return self._named.items() <= fields.items() and self.properties.items() <= properties.items()

    @cached_property
    def _named(self) -> dict[str, str]:
        return self.model_dump(exclude={"properties"}, exclude_none=True)


class _Filter(_Shape):
    filter_type: Literal["Correlation"]
    correlation_filter: Correlation

    @model_validator(mode="before")
    @classmethod
    def _not_sql(cls, value: Any) -> Any:
        if isinstance(value, dict) and (value.get("FilterType") == "Sql" or "SqlFilter" in value or "Action" in value):
            raise ValueError("Sql filters and actions are not kept by every bus; write the rule as a Correlation filter")
        return value


class Rule(_Shape):
    """One rule of a subscription."""

    name: Name
    properties: _Filter


class SubscriptionProperties(_Shape):
    """How a queue or subscription delivers. Without a time to live a message stays until it is taken."""

    dead_lettering_on_message_expiration: bool = False
    default_message_time_to_live: Span | None = None
    lock_duration: Span = timedelta(minutes=1)
    max_delivery_count: Annotated[int, Field(ge=1, le=UNLIMITED)] = 10
    forward_to: Name | None = None
    forward_dead_lettered_messages_to: Name | None = None
    requires_session: bool = False

    @property
    def forwards(self) -> Iterator[tuple[str, str]]:
        """Each entity it forwards to, with the field that says so."""
        for field in ("forward_to", "forward_dead_lettered_messages_to"):
            if (target := getattr(self, field)) is not None:
                yield to_pascal(field), target


class QueueProperties(SubscriptionProperties):
    """How a queue delivers."""

    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: Span | None = None


class TopicProperties(_Shape):
    """What is said of a topic as a whole."""

    default_message_time_to_live: Span | None = None
    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: Span | None = None


class Queue(_Shape):
    """A queue: senders and receivers use its name."""

    name: Name
    properties: QueueProperties = QueueProperties()


class Subscription(_Shape):
    """One reader's share of a topic."""

    name: Name
    properties: SubscriptionProperties = SubscriptionProperties()
    rules: tuple[Rule, ...] = Field(default=(), strict=False)

    def takes(self, fields: Mapping[str, str], properties: Mapping[str, str]) -> bool:
        """Whether a message comes to this subscription: it passes one of the rules, or there are none."""
        return not self.rules or any(rule.properties.correlation_filter.passes(fields, properties) for rule in self.rules)


class Topic(_Shape):
    """A topic: every subscription gets its own copy of what its rules let through."""

    name: Name
    properties: TopicProperties = TopicProperties()
    subscriptions: tuple[Subscription, ...] = Field(default=(), strict=False)


class Entities(_Shape):
    """Everything of one namespace."""

    name: str = "sbemulatorns"
    queues: tuple[Queue, ...] = Field(default=(), strict=False)
    topics: tuple[Topic, ...] = Field(default=(), strict=False)

    def subscriptions(self, topic: str) -> tuple[Subscription, ...] | None:
        """All subscriptions of a topic; None if there is no such topic."""
        return next((found.subscriptions for found in self.topics if found.name == topic), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that can be sent to."""
        return (*(queue.name for queue in self.queues), *(topic.name for topic in self.topics))

    @property
    def sources(self) -> Iterator[tuple[str, SubscriptionProperties]]:
        """Everything that can be received from, by its name: `queue` or `topic/subscription`."""
        for queue in self.queues:
            yield queue.name, queue.properties
        for topic in self.topics:
            for subscription in topic.subscriptions:
                yield f"{topic.name}/{subscription.name}", subscription.properties


class _Logging(_Shape):
    type: str = "File"


class _UserConfig(_Shape):
    namespaces: tuple[Entities, ...] = Field(strict=False)
    logging: _Logging = _Logging()

    @model_validator(mode="after")
    def _one_namespace(self) -> Self:
        if len(self.namespaces) != 1:
            raise ValueError(f"Namespaces holds {len(self.namespaces)} namespaces; expected one")
        return self


class _File(_Shape):
    user_config: _UserConfig


def load(path: Path) -> Entities:
    """Read the file. Raises ConfigurationError with every problem: file, place in it, and how to mend it."""
    twice: list[str] = []
    try:
        read = json.loads(path.read_text("utf-8"), object_pairs_hook=lambda pairs: _once(pairs, twice))
        entities = _File.model_validate(read).user_config.namespaces[0]
        problems = twice or list(_contradictions(entities))
    except OSError as fault:
        raise ConfigurationError([f"{path}: cannot be read ({fault.strerror}); name another file with --entities."]) from None
    except ValidationError as fault:
        problems = twice + [_explain(error) for error in fault.errors(include_url=False)]
    except ValueError as fault:
        problems = [f"is not JSON text: {fault}; mend it there"]
    if problems:
        raise ConfigurationError([f"{path}: {problem}." for problem in problems])
    return entities


def _once(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    twice += [
        f"the field {key!r} stands twice in one object; keep one of them"
        for key, count in Counter(k for k, _ in pairs).items()
        if count > 1
    ]
    return dict(pairs)


def _contradictions(entities: Entities) -> Iterator[str]:
    """What is wrong between entities that are right by themselves. Service Bus compares names without case."""
    yield from _repeated("queue or topic", entities.names)
    for topic in entities.topics:
        yield from _repeated(f"subscription of {topic.name}", [subscription.name for subscription in topic.subscriptions])
        for subscription in topic.subscriptions:
            yield from _repeated(f"rule of {topic.name}/{subscription.name}", [rule.name for rule in subscription.rules])
    known = set(entities.names)
    for source, delivery in entities.sources:
        for field, target in delivery.forwards:
            if target not in known:
                yield f"{source}: {field} names {target!r}, which is neither a queue nor a topic here{_near(target, known)}"
        if source.partition("/")[0] in _reached(entities, source):
            yield f"{source}: ForwardTo leads back to where the message came from; break the circle"


def _repeated(what: str, names: Sequence[str]) -> Iterator[str]:
    for name, count in Counter(name.casefold() for name in names).items():
        if count > 1:
            yield f"{count} times a {what} is named {name!r} (case does not matter); give each its own name"


def _reached(entities: Entities, source: str) -> set[str]:
    """The queues and topics that a message stored in `source` is forwarded to, one after the other."""
    onward = {name: delivery.forward_to for name, delivery in entities.sources if delivery.forward_to}
    reached: set[str] = set()
    coming = [onward[source]] if source in onward else []
    while coming:
        entity = coming.pop()
        if entity not in reached:
            reached.add(entity)
            coming += [target for name, target in onward.items() if name.partition("/")[0] == entity]
    return reached


def _explain(error: ErrorDetails) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".") or "the file"
    if error["type"] == "extra_forbidden":
        return f"{place}: no field has this name{_near(str(error['loc'][-1]), _field_names())}"
    if error["type"] == "missing":
        return f"{place}: is missing; add it"
    said = error.get("ctx", {}).get("error") or error["msg"].replace("Input should", "it should").replace("Tuple", "List")
    shown = "" if isinstance(error["input"], dict | list) or "is not a duration" in str(said) else f"{error['input']!r} cannot be used: "
    return f"{place}: {shown}{said}"


def _near(name: str, known: set[str]) -> str:
    found = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {found[0]!r}?" if found else "; remove it or mend the name"


def _field_names() -> set[str]:
    shapes = (_File, _UserConfig, Entities, Queue, Topic, Subscription, Rule, QueueProperties, _Filter, Correlation)
    return {to_pascal(name) for shape in shapes for name in shape.model_fields}

"""Topics, queues and subscriptions: one list in the shape of the Service Bus emulator's configuration, read by every bus.

The shape is that of Microsoft's `Config.json` (UserConfig, Namespaces, Queues, Topics); durations are written as in ISO 8601. A rule has a
Correlation filter, which selects a message if all fields that it names are equal, or a Sql filter, and it may have an action. A
subscription gets a message that one of its rules selects.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_pascal
from pydantic_core import ErrorDetails

from bridge import sqlfilter
from bridge.errors import ConfigurationError
from bridge.files import textfile

DEAD_LETTERS = "$DeadLetterQueue"  #: what Service Bus appends to the name of a queue or subscription for its dead letters
MOST_BYTES = 16 * 2**20  #: of the file
MOST_COPIES = 1_000  #: of one message, in all the queues and subscriptions that store it
MOST_HOPS = 32  #: from entity to entity by ForwardTo; Service Bus allows 4
UNLIMITED = 2_147_483_647  #: the largest MaxDeliveryCount, which means that no count ends the deliveries
_DURATION = re.compile(r"P(?=[\dT])(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def _iso(text: object) -> timedelta:
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        shown = f"{text[:40]!r}" if isinstance(text, str) else repr(text)[:40]
        raise ValueError(f'{shown} is not a duration; write it as in ISO 8601, like "PT30S", "PT1M", "PT1H" or "P7D"')
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError(f'"{match[0][:40]}" is longer than time itself; the longest duration is "P999999999D"') from None


def _more_than_none(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("expected more than PT0S")
    return span


Span = Annotated[timedelta, BeforeValidator(_iso), AfterValidator(_more_than_none)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,258}[A-Za-z0-9])?$")]
Target = Annotated[Name | None, BeforeValidator(lambda name: None if name == "" else name)]  # Microsoft's samples have "" for none
RuleName = Annotated[str, Field(pattern=r"^[$A-Za-z0-9]([A-Za-z0-9._-]{0,258}[A-Za-z0-9])?$")]  # the rule that Azure makes is `$Default`


class _Shape(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, alias_generator=to_pascal, validate_by_name=False
    )


class Correlation(_Shape):
    """A Correlation filter: all fields that it names must be equal."""

    content_type: str | None = None
    correlation_id: str | None = None
    label: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    session_id: str | None = None
    to: str | None = None
    properties: Mapping[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _names_a_field(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("the filter names no field; name one, such as Label, or leave the rule out to take every message")
        return self

    @cached_property
    def fields(self) -> dict[str, str]:
        """The broker properties that the filter names, under their names here."""
        return self.model_dump(exclude={"properties"}, exclude_none=True)


def _parsed_by(parse: Callable[[str], object]) -> AfterValidator:
    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


class Sql(_Shape):
    """A Sql filter in the syntax of Azure Service Bus."""

    sql_expression: Annotated[str, _parsed_by(sqlfilter.parse_filter)]


class SqlAction(_Shape):
    """What is changed in the copy of the message that the subscription gets."""

    sql_expression: Annotated[str, _parsed_by(sqlfilter.parse_action)]


class RuleProperties(_Shape):
    """The filter of a rule, and its action."""

    filter_type: Literal["Correlation", "Sql"]
    correlation_filter: Correlation | None = None
    sql_filter: Sql | None = None
    action: SqlAction | None = None

    @model_validator(mode="after")
    def _one_filter(self) -> Self:
        given = {"Correlation": self.correlation_filter, "Sql": self.sql_filter}
        other = "Sql" if self.filter_type == "Correlation" else "Correlation"
        if given[self.filter_type] is None:
            raise ValueError(f"FilterType is {self.filter_type}, but {self.filter_type}Filter is missing; add it")
        if given[other] is not None:
            raise ValueError(f"FilterType is {self.filter_type}, so {other}Filter has no effect; remove one of the two")
        return self


class SubscriptionRule(_Shape):
    """One rule of a subscription."""

    name: RuleName
    properties: RuleProperties


class SubscriptionProperties(_Shape):
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


class _Detecting(_Shape):
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


class QueueEntity(_Shape):
    """A queue. Senders and receivers use its name."""

    name: Name
    properties: QueueProperties = QueueProperties()


class SubscriptionEntity(_Shape):
    """A subscription to a topic: it gets its own copies of the messages that pass its rules."""

    name: Name
    properties: SubscriptionProperties = SubscriptionProperties()
    rules: tuple[SubscriptionRule, ...] = Field(default=(), strict=False)


class TopicEntity(_Shape):
    """A topic. Each subscription gets its own copy of the messages that pass its rules."""

    name: Name
    properties: TopicProperties = TopicProperties()
    subscriptions: tuple[SubscriptionEntity, ...] = Field(default=(), strict=False)


class Entities(_Shape):
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
        """Every queue and topic, and for how long it remembers a MessageId; None without duplicate detection."""
        for queue in self.queues:
            yield queue.name, queue.properties.duplicate_window
        for topic in self.topics:
            yield topic.name, topic.properties.duplicate_window

    @property
    def sources(self) -> Iterator[tuple[str, SubscriptionProperties]]:
        """Every queue and subscription, under the name by which it is received from: `queue` or `topic/subscription`."""
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
    """Read the file. Raises ConfigurationError with every problem: the file, the place in it, and how to fix it."""
    twice: list[str] = []
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError([f"{path}: is larger than {MOST_BYTES:,} bytes; remove what nobody uses."])
        read = json.loads(textfile.read(path), object_pairs_hook=lambda pairs: _once(pairs, twice))
        entities = _File.model_validate(read).user_config.namespaces[0]
        problems = twice or list(_contradictions(entities))
    except OSError as fault:
        raise ConfigurationError([f"{path}: cannot be read ({fault.strerror}); name another file with --entities."]) from None
    except ValidationError as fault:
        problems = twice + [_explain(error) for error in fault.errors(include_url=False)]
    except ValueError as fault:
        problems = [f"is not JSON text: {fault}; fix it there"]
    except RecursionError:
        problems = ["is nested too deeply to be read; such a list has at most ten levels"]
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
    """Problems between entities that are right by themselves. Service Bus ignores case when it compares names."""
    yield from _repeated("queue or topic", entities.names)
    for topic in entities.topics:
        yield from _repeated(f"subscription of {topic.name}", [subscription.name for subscription in topic.subscriptions])
        for subscription in topic.subscriptions:
            yield from _repeated(f"rule of {topic.name}/{subscription.name}", [rule.name for rule in subscription.rules])
    known = set(entities.names)
    circles: list[str] = []
    for source, delivery in entities.sources:
        for field, target in delivery.forwards:
            if target not in known:
                yield f"{source}: {field} names {target!r}, which is neither a queue nor a topic here{_near(target, known)}"
        if delivery.requires_session and delivery.forward_to:
            yield f"{source}: it has RequiresSession and ForwardTo; Service Bus does not forward from sessions, so remove one of the two"
        if source.partition("/")[0] in _reached(entities, source):
            circles.append(f"{source}: ForwardTo leads back to where the message came from; break the circle")
    yield from circles or _spread(entities)


def _spread(entities: Entities) -> Iterator[str]:
    """Entities that forward one message too often, or to too many places. There must be no circle."""
    onward: dict[str, list[str]] = {queue.name: [queue.properties.forward_to or ""] for queue in entities.queues}
    onward |= {topic.name: [each.properties.forward_to or "" for each in topic.subscriptions] for topic in entities.topics}
    hops, copies = dict.fromkeys(onward, 0), dict.fromkeys(onward, 1)
    # After n rounds both are right for every entity whose messages are forwarded n times at the most.
    for _ in range(MOST_HOPS + 1):
        hops = {name: max((1 + hops[each] for each in targets if each in hops), default=0) for name, targets in onward.items()}
        copies = {name: sum(copies.get(each, 1) for each in targets) for name, targets in onward.items()}
        for name in onward:
            if copies[name] > MOST_COPIES and hops[name]:
                yield f"{name}: ForwardTo leads one message to more than {MOST_COPIES:,} queues and subscriptions; forward to fewer"
                return
    yield from (f"{name}: ForwardTo leads on more than {MOST_HOPS} times; shorten the chain" for name in onward if hops[name] > MOST_HOPS)


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
    expected = error.get("ctx", {}).get("error") or error["msg"].replace("Input should", "it should").replace("Tuple", "List")
    told = isinstance(error["input"], dict | list) or "is not a duration" in str(expected) or "longer than time" in str(expected)
    shown = "" if told else f"{_shortened(repr(error['input']))} cannot be used: "
    return f"{place}: {shown}{expected}"


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"


def _near(name: str, known: set[str]) -> str:
    found = difflib.get_close_matches(name[:300], known, 1)
    return f"; did you mean {found[0]!r}?" if found else "; remove it or correct the name"


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

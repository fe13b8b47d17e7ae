"""Explains errors in a list of entities with the names that the file uses."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic_core import ErrorDetails

if TYPE_CHECKING:
    from bridge.entities import Entities

MOST_COPIES = 1_000  #: of one message, in all the queues and subscriptions that store it
MOST_HOPS = 32  #: from entity to entity by ForwardTo; Service Bus allows 4


def contradictions(entities: Entities) -> Iterator[str]:
    """Problems between entities that are valid alone. Names are compared without letter case, as on Service Bus."""
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


def explain(error: ErrorDetails, known: set[str]) -> str:
    """The sentence about a field that breaks its rule; `known` are the allowed names of fields."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".") or "the file"
    if error["type"] == "extra_forbidden":
        return f"{place}: no field has this name{_near(str(error['loc'][-1]), known)}"
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

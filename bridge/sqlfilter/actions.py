"""Applies the action of a rule to the copy of the message that the subscription gets."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bridge.sqlfilter.evaluation import text_of, value_of
from bridge.sqlfilter.properties import MessageProperties, PropertyValue
from bridge.sqlfilter.syntax import Action, PropertyReference, RemoveProperty, SetProperty


@dataclass(frozen=True, slots=True)
class Changes:
    """What an action changes: system properties (None unsets one), application properties that are set, and those that are removed."""

    system: dict[str, str | None]
    user: dict[str, PropertyValue]
    removed: frozenset[str]


def apply_action(action: Action, message: MessageProperties) -> Changes:
    """The changes that the statements make, each of which sees what the ones before it did."""
    system: dict[str, PropertyValue] = dict(message.system)
    user: dict[str, PropertyValue] = dict(message.user)
    for statement in action:
        current = MessageProperties(system, user)
        match statement:
            case SetProperty(target, expression):
                _set(target, value_of(expression, current), current, system, user)
            case RemoveProperty(target):
                _remove(target, current, system, user)
    changed = {
        name: _text(system.get(name)) for name in system.keys() | message.system.keys() if system.get(name) != message.system.get(name)
    }
    added = {name: value for name, value in user.items() if name not in message.user or not _same(value, message.user[name])}
    return Changes(changed, added, frozenset(message.user.keys() - user.keys()))


def _set(
    target: PropertyReference,
    value: PropertyValue,
    current: MessageProperties,
    system: dict[str, PropertyValue],
    user: dict[str, PropertyValue],
) -> None:
    if target.system:
        system[target.name] = _text(value)
    else:
        key = current.user_key(target.name) or target.name
        user[key] = _converted(value, user.get(key))


def _remove(
    target: PropertyReference, current: MessageProperties, system: dict[str, PropertyValue], user: dict[str, PropertyValue]
) -> None:
    if target.system:
        system[target.name] = None
    elif (key := current.user_key(target.name)) is not None:
        del user[key]


def _converted(value: PropertyValue, former: PropertyValue) -> PropertyValue:
    """The value in the type that the property had, where that loses nothing."""
    if isinstance(former, str) and value is not None:
        return text_of(value)
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(former, float | Decimal):
        return type(former)(value)
    return value


def _text(value: PropertyValue) -> str | None:
    return None if value is None else text_of(value)


def _same(value: PropertyValue, former: PropertyValue) -> bool:
    return type(value) is type(former) and value == former

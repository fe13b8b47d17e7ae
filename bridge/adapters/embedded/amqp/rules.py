"""Rules of subscriptions in the forms in which they travel: one for adding, another for listing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.adapters.embedded.amqp.brokererrors import BadFilter
from bridge.adapters.embedded.amqp.filterrules import CorrelationFilter, FalseFilter, FilterRule, SqlFilter, TrueFilter
from bridge.adapters.embedded.amqp.outcomes import application_properties
from bridge.amqp.amqptypes import EPOCH, Described, Int, ULong

_RULE, _NO_ACTION, _SQL_ACTION = 0x13700000004, 0x13700000005, 0x13700000006
_SQL, _TRUE, _FALSE, _CORRELATION = 0x1370000006, 0x1370000007, 0x1370000008, 0x1370000009
_SQL_LEVEL = Int(20)  #: the version of the expression language
#: In the order in which a list of the fields travels.
_FIELDS = ("correlation-id", "message-id", "to", "reply-to", "label", "session-id", "reply-to-session-id", "content-type")
_CONSTANT: Mapping[str, TrueFilter | FalseFilter] = {"1=1": TrueFilter(), "1=0": FalseFilter()}
"""What .NET sends for a rule that takes everything or nothing."""


def read_rule(name: str, description: Mapping[Any, Any]) -> FilterRule:
    """The rule that add-rule describes. Raises BadFilter."""
    sql, correlation = _entry(description, "sql-filter"), _entry(description, "correlation-filter")
    if sql is not None:
        expression = _text(sql, "expression") or ""
        found: Any = _CONSTANT.get(expression.replace(" ", "")) or SqlFilter(expression)
    elif correlation is not None:
        fields = {field.replace("-", "_"): _text(correlation, field) for field in _FIELDS}
        found = CorrelationFilter(**fields, properties=application_properties(correlation.get("properties")))
    elif _entry(description, "true-filter") is not None:
        found = TrueFilter()
    elif _entry(description, "false-filter") is not None:
        found = FalseFilter()
    else:
        raise BadFilter(f"The rule '{name}' has no filter that is known here.")
    action = _entry(description, "sql-rule-action")
    return FilterRule(name, found, None if action is None else _text(action, "expression"))


def write_rule(rule: FilterRule) -> Described:
    """The rule as enumerate-rules gives it."""
    action = Described(ULong(_NO_ACTION), []) if rule.action is None else Described(ULong(_SQL_ACTION), [rule.action, _SQL_LEVEL])
    return Described(ULong(_RULE), [_filter(rule), action, rule.name, rule.created or EPOCH])


def _filter(rule: FilterRule) -> Described:
    match rule.filter:
        case TrueFilter():
            return Described(ULong(_TRUE), [])
        case FalseFilter():
            return Described(ULong(_FALSE), [])
        case SqlFilter(expression):
            return Described(ULong(_SQL), [expression, _SQL_LEVEL])
        case found:
            fields = [getattr(found, field.replace("-", "_")) for field in _FIELDS]
            return Described(ULong(_CORRELATION), [*fields, dict(found.properties)])


def _entry(description: Mapping[Any, Any], name: str) -> Mapping[Any, Any] | None:
    value = description.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadFilter(f"'{name}' is no map.")
    return value


def _text(entries: Mapping[Any, Any], name: str) -> str | None:
    value = entries.get(name)
    if value is not None and not isinstance(value, str):
        raise BadFilter(f"'{name}' is no text.")
    return value

"""The rules of a subscription, made ready to select messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from bridge import sqlfilter
from bridge.adapters.embedded.amqp.brokererrors import BadFilter
from bridge.adapters.embedded.amqp.filterrules import CorrelationFilter, FalseFilter, FilterRule, SqlFilter, TrueFilter
from bridge.entities.subscriptionrule import SubscriptionRule
from bridge.sqlfilter import Action, FilterSyntaxError, MessageProperties

#: The rule of a subscription for which none was given, as Azure names it.
DEFAULT = FilterRule("$Default", TrueFilter())
_FIELDS = ("correlation_id", "message_id", "to", "reply_to", "label", "session_id", "reply_to_session_id", "content_type")


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule whose expressions are parsed."""

    definition: FilterRule
    selects: Callable[[MessageProperties], bool]
    action: Action | None

    @property
    def name(self) -> str:
        """The name of the rule."""
        return self.definition.name


def compile_rule(rule: FilterRule) -> CompiledRule:
    """Parse the expressions of a rule. Raises BadFilter."""
    try:
        return CompiledRule(rule, _selection(rule), sqlfilter.parse_action(rule.action) if rule.action else None)
    except FilterSyntaxError as fault:
        raise BadFilter(f"The rule {rule.name!r} cannot be used: {fault}.") from None


def of_entity(rule: SubscriptionRule) -> FilterRule:
    """A rule of the entities file."""
    its = rule.properties
    action = its.action.sql_expression if its.action else None
    if its.sql_filter is not None:
        return FilterRule(rule.name, SqlFilter(its.sql_filter.sql_expression), action)
    correlation = its.correlation_filter
    if correlation is None:
        return FilterRule(rule.name, TrueFilter(), action)
    return FilterRule(rule.name, CorrelationFilter(**correlation.fields, properties=correlation.properties), action)


def selected(rules: Iterable[CompiledRule], message: MessageProperties) -> list[CompiledRule | None]:
    """The copies that a subscription gets of a message: None for the one that its rules without an action select together, then one for
    each rule with an action. (Azure documentation, "Topic filters and actions".)
    """
    found = [rule for rule in rules if rule.selects(message)]
    plain: list[CompiledRule | None] = [None] if any(rule.action is None for rule in found) else []
    return plain + [rule for rule in found if rule.action is not None]


def _selection(rule: FilterRule) -> Callable[[MessageProperties], bool]:
    match rule.filter:
        case TrueFilter():
            return lambda _: True
        case FalseFilter():
            return lambda _: False
        case SqlFilter(expression):
            return partial(sqlfilter.matches, sqlfilter.parse_filter(expression))
        case CorrelationFilter() as its:
            fields = {name: value for name in _FIELDS if (value := getattr(its, name)) is not None}
            if not fields and not its.properties:
                raise BadFilter(f"The rule {rule.name!r} cannot be used: its correlation filter names no property.")
            return partial(sqlfilter.correlates, fields, its.properties)

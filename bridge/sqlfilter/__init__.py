"""Rules of subscriptions: SQL filters and actions, as Azure Service Bus documents them, and correlation filters.

Sources: "Subscription Rule SQL Filter Syntax" and "Subscription Rule SQL Action Syntax" of the Azure documentation. An expression is
parsed when a rule is made, so that a rule with a mistake is refused with its place; evaluating a parsed expression raises nothing.
"""

from bridge.sqlfilter.actions import Changes, apply_action
from bridge.sqlfilter.correlation import correlates
from bridge.sqlfilter.evaluation import matches, text_of
from bridge.sqlfilter.parser import parse_action, parse_filter
from bridge.sqlfilter.properties import MessageProperties, PropertyValue
from bridge.sqlfilter.syntax import Action, Predicate
from bridge.sqlfilter.tokens import LONGEST, FilterSyntaxError

__all__ = [
    "LONGEST",
    "Action",
    "Changes",
    "FilterSyntaxError",
    "MessageProperties",
    "Predicate",
    "PropertyValue",
    "apply_action",
    "correlates",
    "matches",
    "parse_action",
    "parse_filter",
    "text_of",
]

"""Finds targets that have no receiver: their runs would fail, or wait until their deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.catalog import Catalog
from bridge.catalog.target import Target
from bridge.entities import Entities
from bridge.entities.subscriptionrule import SubscriptionRule
from bridge.ports import Functions


class UnservedTargets:
    """Explains why a target has no receiver: no subscription of its topic takes the work, or its app has no such function.

    Subscriptions are known from the entities file. The functions of local apps are known from their host, so the answer may change while
    the bridge runs.
    """

    def __init__(self, catalog: Catalog, entities: Entities, functions: Functions) -> None:
        self._catalog, self._functions = catalog, functions
        self.behind_topics = behind_topics(catalog, entities)

    def why(self, automation: str, target: Target) -> str:
        """The reason; empty if the target has a receiver, or if it is not known."""
        if target.http is None:
            return self.behind_topics.get(f"{automation}/{target.name}", "")
        return self._functions.unserved(target.http.app, target.http.method, target.http.path)

    def all(self) -> dict[str, str]:
        """The reasons by `automation/target`, for the targets without a receiver."""
        reasons = {f"{each.name}/{target.name}": self.why(each.name, target) for each in self._catalog for target in each.targets}
        return {name: reason for name, reason in reasons.items() if reason}


def behind_topics(catalog: Catalog, entities: Entities) -> Mapping[str, str]:
    """Why topic targets have no receiver, by `automation/target`: no subscription of the topic takes the work."""
    topics = {topic.name: topic for topic in entities.topics}
    found: dict[str, str] = {}
    for automation in catalog:
        for target in automation.targets:
            topic = topics.get(target.topic.name) if target.topic else None
            if topic is None:
                continue
            if not topic.subscriptions:
                found[f"{automation.name}/{target.name}"] = f"the topic {topic.name} has no subscription; add one to the entities file"
            elif not any(_takes(each.rules, automation.name) for each in topic.subscriptions):
                found[f"{automation.name}/{target.name}"] = (
                    f"no subscription of the topic {topic.name} takes the label {automation.name}; add a rule for it to the entities file"
                )
    return found


def _takes(rules: Sequence[SubscriptionRule], label: str) -> bool:
    """Whether work with this label may pass one of the rules. A rule that looks at more than the label is assumed to pass it."""
    wanted = [getattr(rule.properties.correlation_filter, "label", None) for rule in rules]
    return not rules or any(each in (None, label) for each in wanted)

"""Targets that nobody serves: their runs would fail, or wait for the deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.catalog import Catalog
from bridge.catalog.target import Target
from bridge.entities import Entities
from bridge.entities.subscriptionrule import SubscriptionRule
from bridge.ports import Functions


class UnservedTargets:
    """Why nobody serves a target: its topic has no subscription that takes the work, or its app has no function there.

    Topics are known from the entities file; the functions of local apps from their host, so these answers change while the bridge runs.
    """

    def __init__(self, catalog: Catalog, entities: Entities, functions: Functions) -> None:
        self._catalog, self._functions = catalog, functions
        self.behind_topics = behind_topics(catalog, entities)

    def why(self, automation: str, target: Target) -> str:
        """The reason; empty if somebody serves the target, or it is not known."""
        if target.http is None:
            return self.behind_topics.get(f"{automation}/{target.name}", "")
        return self._functions.unserved(target.http.app, target.http.method, target.http.path)

    def all(self) -> dict[str, str]:
        """The reasons by `automation/target`, without the targets that somebody serves."""
        reasons = {f"{each.name}/{target.name}": self.why(each.name, target) for each in self._catalog for target in each.targets}
        return {name: reason for name, reason in reasons.items() if reason}


def behind_topics(catalog: Catalog, entities: Entities) -> Mapping[str, str]:
    """Why nobody serves a target behind a topic, by `automation/target`: the topic has no subscription that takes its work."""
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
    """Whether work with this label may pass one of the rules. Rules that look at more than the label are given the benefit of the doubt."""
    wanted = [getattr(rule.properties.correlation_filter, "label", None) for rule in rules]
    return not rules or any(each in (None, label) for each in wanted)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge import entities
from bridge.errors import ConfigurationError
from bridge.scaffold import entitylist

SHIPPED = Path(__file__).parents[2].joinpath("components", "servicebus.json").read_text()
COMPACT = '{"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [{"Name": "automation-deadletters"}], "Topics": []}]}}'
WITHOUT_TOPICS = '{"UserConfig": {"Namespaces": [{"Name": "n", "Queues": [{"Name": "automation-deadletters"}]}]}}'


def loaded(text: str, tmp_path: Path) -> entities.Entities:
    (tmp_path / "list.json").write_text(text)
    return entities.load(tmp_path / "list.json")


@pytest.mark.parametrize("topic", ["automation-python", "automation-replies", "automation-new"])
@pytest.mark.parametrize(
    "text", [SHIPPED, COMPACT, WITHOUT_TOPICS, SHIPPED.replace("  ", "\t")], ids=["shipped", "compact", "none", "tabs"]
)
def test_the_topic_has_a_subscription_that_takes_the_label(text: str, topic: str, tmp_path: Path) -> None:
    found = loaded(entitylist.added(text, topic, "words-count", "words.count"), tmp_path)

    subscription = (found.subscriptions(topic) or ())[-1]
    [rule] = subscription.rules
    assert subscription.name == "words-count"
    assert rule.properties.correlation_filter is not None
    assert rule.properties.correlation_filter.label == "words.count"
    assert subscription.properties.forward_dead_lettered_messages_to == "automation-deadletters"


def test_every_line_that_was_there_stays() -> None:
    text = SHIPPED.replace('"MaxDeliveryCount": 3,', '"MaxDeliveryCount":    3,')

    after = entitylist.added(text, "automation-python", "words-count", "words.count")

    remaining = iter(after.split("\n"))
    assert all(any(line.rstrip(",") == each.rstrip(",") for each in remaining) for line in text.split("\n"))
    assert len(json.loads(after)["UserConfig"]["Namespaces"][0]["Topics"]) == len(json.loads(text)["UserConfig"]["Namespaces"][0]["Topics"])


def test_a_subscription_of_that_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has a subscription Table-Summarize already"):
        entitylist.added(SHIPPED, "automation-python", "Table-Summarize", "x")

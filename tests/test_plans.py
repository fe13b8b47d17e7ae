"""Files that are right by themselves and do not fit each other are told before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.plans import read_plans
from bridge.settings import FunctionApp, Settings, TopicIdentity

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("canary-requests", "topics: 'canary-requests' has no subscription 'bridge' in"),
        ("automation-replies", "topics: 'automation-replies' has no subscription 'bridge' in"),
        ("automation-results", "topics: 'automation-results' is a topic of the bridge itself"),
    ],
)
def test_a_topic_that_no_request_can_arrive_on_is_told(topic: str, told: str) -> None:
    files = {"catalogue": ROOT / "functions/automations.yaml", "resiliency": ROOT / "functions/resiliency.yaml"}
    settings = Settings(entities=ROOT / "components/servicebus.json", topics={topic: TopicIdentity(submitter="canary")}, **files)
    with pytest.raises(ConfigurationError) as refused:
        read_plans(settings)
    assert any(told in problem for problem in refused.value.problems)


def test_an_app_that_only_a_sidecar_can_call_is_told_where_there_is_none() -> None:
    files = {"catalogue": ROOT / "functions/automations.yaml", "resiliency": ROOT / "functions/resiliency.yaml"}
    settings = Settings(entities=ROOT / "components/servicebus.json", function_apps={"behind": FunctionApp(app_id="behind")}, **files)
    with pytest.raises(ConfigurationError, match="behind has an app_id, which only a sidecar can call"):
        read_plans(settings)

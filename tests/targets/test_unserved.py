"""Targets that nobody serves are found in catalogue and entities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge import catalog
from bridge.entities import Entities
from bridge.targets.unserved import UnservedTargets, behind_topics
from bridge.testing import ScriptedFunctions

CATALOGUE = """
apiVersion: bridge/v1
kind: Automation
metadata: {name: report}
spec: {deadline: 1m, targets: [{name: worker, topic: {name: work}}, {name: called, http: {app: app, path: /api/x}}]}
"""


def rule(**fields: str) -> dict[str, Any]:
    return {"Name": "r", "Properties": {"FilterType": "Correlation", "CorrelationFilter": fields}}


def found(tmp_path: Path, subscriptions: list[dict[str, Any]]) -> dict[str, str]:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    entities = Entities.model_validate({"Topics": [{"Name": "work", "Subscriptions": subscriptions}]})
    return dict(behind_topics(catalog.load(tmp_path / "catalogue.yaml"), entities))


def test_a_topic_without_a_subscription_serves_nobody(tmp_path: Path) -> None:
    assert "no subscription" in found(tmp_path, [])["report/worker"]


def test_a_topic_whose_rules_take_other_labels_only_serves_nobody(tmp_path: Path) -> None:
    assert "takes the label report" in found(tmp_path, [{"Name": "one", "Rules": [rule(Label="other")]}])["report/worker"]


@pytest.mark.parametrize("rules", [[], [rule(Label="report")], [rule(Label="other"), rule(To="x")]])
def test_a_subscription_that_may_take_the_work_serves_it(tmp_path: Path, rules: list[dict[str, Any]]) -> None:
    assert found(tmp_path, [{"Name": "one", "Rules": rules}]) == {}


def test_a_target_over_http_is_served_as_far_as_the_functions_know(tmp_path: Path) -> None:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    functions = ScriptedFunctions(nobody_at={("app", "POST", "/api/x"): "app has no function at /api/x"})
    topic = Entities.model_validate({"Topics": [{"Name": "work", "Subscriptions": [{"Name": "one"}]}]})
    targets = UnservedTargets(catalog.load(tmp_path / "catalogue.yaml"), topic, functions)
    assert targets.all() == {"report/called": "app has no function at /api/x"}
    functions.nobody_at.clear()
    assert targets.all() == {}

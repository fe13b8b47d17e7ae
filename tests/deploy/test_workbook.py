"""The workbook for Azure Monitor asks what the dashboard asks, whose queries Prometheus' own engine answers (test_dashboard.py)."""

from __future__ import annotations

import json
from typing import Any

from tests.deploy.test_dashboard import PANELS, QUERIES, written
from tests.sharedtools import CHECKOUT

ITEMS: list[dict[str, Any]] = json.loads((CHECKOUT / "deploy" / "dashboards" / "azure-workbook.json").read_text())["items"]
CHARTS = [each for each in ITEMS if each["type"] == 3]


def test_it_has_every_query_of_the_dashboard_in_its_order() -> None:
    asked = [json.loads(each["content"]["query"]) for each in CHARTS]
    assert [each["queryText"] for each in asked] == [written(target["expr"]) for _, target in QUERIES]
    assert {(each["version"], each["type"]) for each in asked} == {("PrometheusQueryProvider/1.0", "query_range")}


def test_its_headings_are_those_of_the_dashboard() -> None:
    headings = [each["content"]["json"] for each in ITEMS if each["type"] == 1]
    assert headings == [f"## {each['title']}" for each in PANELS if each["type"] == "row"]


def test_every_chart_reads_the_workspace_and_the_time_that_were_chosen() -> None:
    (chosen,) = ([each["name"] for each in item["content"]["parameters"]] for item in ITEMS if item["type"] == 9)
    assert {each["content"]["timeContextFromParameter"] for each in CHARTS} <= set(chosen)
    assert {name for each in CHARTS for name in each["content"]["crossComponentResources"]} == {"{Workspace}"}
    assert "Workspace" in chosen
    assert len({each["name"] for each in ITEMS}) == len(ITEMS)

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge import entities
from bridge.errors import ConfigurationError

SHIPPED = Path(__file__).parents[1] / "components" / "servicebus.json"


def load(tmp_path: Path, *topics: Any, queues: Any = ()) -> entities.Entities:
    file = tmp_path / "entities.json"
    file.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "sbemulatorns", "Queues": queues, "Topics": topics}]}}))
    return entities.load(file)


def problems(tmp_path: Path, *topics: Any, queues: Any = ()) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, *topics, queues=queues)
    return caught.value.problems


def topic(name: str = "orders", **subscription: Any) -> dict[str, Any]:
    return {"Name": name, "Subscriptions": [{"Name": "all", **subscription}]}


def correlation(name: str = "rule", **fields: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": {"FilterType": "Correlation", "CorrelationFilter": fields}}


def test_the_shipped_file_names_what_the_bridge_and_its_functions_read():
    sources = dict(entities.load(SHIPPED).sources)
    assert sources.keys() == {
        "automation-requests/bridge",
        "automation-invocations/bridge",
        "automation-results/bridge",
        "automation-timers/bridge",
        "automation-python/table-summarize",
        "automation-powershell/powershell",
        "automation-deadletters",
    }


def test_the_bridge_never_gives_up_by_count_and_functions_do_after_three():
    sources = dict(entities.load(SHIPPED).sources)
    counts = {name: properties.max_delivery_count for name, properties in sources.items()}
    assert {counts[f"automation-{name}/bridge"] for name in ("requests", "invocations", "results", "timers")} == {entities.UNLIMITED}
    assert counts["automation-python/table-summarize"] == counts["automation-powershell/powershell"] == 3
    assert sources["automation-powershell/powershell"].forward_dead_lettered_messages_to == "automation-deadletters"


def test_durations_are_read_as_iso_8601(tmp_path):
    properties = {"LockDuration": "PT1M30S", "DefaultMessageTimeToLive": "P1DT2H"}
    delivery = load(tmp_path, topic(Properties=properties)).topics[0].subscriptions[0].properties
    assert (delivery.lock_duration, delivery.default_message_time_to_live) == (timedelta(seconds=90), timedelta(hours=26))


@pytest.mark.parametrize("text", ["1m", "P", "PT", "P1DT", "60", 60, "PT0S", None])
def test_another_form_of_a_duration_is_refused(tmp_path, text):
    (problem,) = problems(tmp_path, topic(Properties={"LockDuration": text}))
    assert "Topics[0].Subscriptions[0].Properties.LockDuration: " in problem


def test_all_problems_come_at_once_with_file_place_and_mend(tmp_path):
    found = problems(tmp_path, topic(Properties={"LockDurations": "PT1M", "MaxDeliveryCount": 0}), {"Subscriptions": []})
    assert len(found) == 3
    assert all(problem.startswith(f"{tmp_path / 'entities.json'}: UserConfig.Namespaces[0].Topics[") for problem in found)
    assert any("LockDurations: no field has this name; did you mean 'LockDuration'?" in problem for problem in found)
    assert any("Topics[1].Name: is missing; add it" in problem for problem in found)


def test_names_that_differ_only_in_case_are_the_same_name(tmp_path):
    (problem,) = problems(tmp_path, topic("orders"), queues=[{"Name": "Orders"}])
    assert "2 times a queue or topic is named 'orders'" in problem


def test_a_field_that_stands_twice_is_a_problem(tmp_path):
    file = tmp_path / "entities.json"
    file.write_text('{"UserConfig": {"Namespaces": [{"Name": "a", "Name": "b"}]}}')
    with pytest.raises(ConfigurationError, match="'Name' stands twice"):
        entities.load(file)


@pytest.mark.parametrize(("text", "said"), [("{", "is not JSON"), ("[]", "the file"), ("{}", "UserConfig: is missing")])
def test_a_file_that_is_something_else_is_refused(tmp_path, text, said):
    file = tmp_path / "entities.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        entities.load(file)


def test_a_file_that_is_not_there_is_a_problem_with_its_name(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.json: cannot be read \(No such file or directory\); name another"):
        entities.load(tmp_path / "none.json")


def test_a_sql_filter_is_refused_with_what_to_write_instead(tmp_path):
    rule = {"Name": "sql", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "color = 'red'"}}}
    (problem,) = problems(tmp_path, topic(Rules=[rule]))
    assert "Rules[0].Properties: " in problem
    assert "write the rule as a Correlation filter" in problem


def test_a_filter_that_names_nothing_is_refused(tmp_path):
    (problem,) = problems(tmp_path, topic(Rules=[correlation()]))
    assert "the filter names no field" in problem


def test_forwarding_must_lead_somewhere(tmp_path):
    (problem,) = problems(tmp_path, topic(Properties={"ForwardDeadLetteredMessagesTo": "grave"}), queues=[{"Name": "graves"}])
    assert "orders/all: ForwardDeadLetteredMessagesTo names 'grave'" in problem
    assert "did you mean 'graves'?" in problem


def test_forwarding_must_not_lead_back(tmp_path):
    found = problems(tmp_path, topic(Properties={"ForwardTo": "next"}), queues=[{"Name": "next", "Properties": {"ForwardTo": "orders"}}])
    assert all("leads back" in problem for problem in found)


def test_without_rules_a_subscription_takes_everything(tmp_path):
    assert load(tmp_path, topic()).topics[0].subscriptions[0].takes({"label": "anything"}, {})


@pytest.mark.parametrize(
    ("fields", "properties", "taken"),
    [
        ({"label": "a", "to": "x"}, {"color": "red", "size": "1"}, True),
        ({"label": "a", "to": "x"}, {"color": "blue"}, False),
        ({"label": "a"}, {"color": "red"}, False),
        ({"label": "A", "to": "x"}, {"color": "red"}, False),
        ({"label": "b"}, {}, True),
    ],
)
def test_a_rule_needs_all_its_fields_and_a_subscription_one_of_its_rules(tmp_path, fields, properties, taken):
    rules = [correlation("one", Label="a", To="x", Properties={"color": "red"}), correlation("two", Label="b")]
    assert load(tmp_path, topic(Rules=rules)).topics[0].subscriptions[0].takes(fields, properties) is taken


def test_a_topic_knows_its_subscriptions(tmp_path):
    loaded = load(tmp_path, {"Name": "orders", "Subscriptions": [{"Name": "a"}, {"Name": "b"}]}, {"Name": "empty"})
    assert [subscription.name for subscription in loaded.subscriptions("orders") or ()] == ["a", "b"]
    assert loaded.subscriptions("empty") == ()
    assert loaded.subscriptions("none") is None

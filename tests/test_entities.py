from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge import entities
from bridge.errors import ConfigurationError
from tests.entities.entities_kit import load, problems, topic

SHIPPED = Path(__file__).parents[1] / "components" / "servicebus.json"


def test_the_shipped_file_names_what_the_bridge_and_its_functions_read():
    sources = dict(entities.load(SHIPPED).sources)
    assert sources.keys() == {
        "automation-requests/bridge",
        "automation-invocations/bridge",
        "automation-results/bridge",
        "automation-timers/bridge",
        "automation-python/table-summarize",
        "automation-powershell/host-inventory",
        "automation-powershell/files-retention",
        "automation-deadletters",
    }


def test_the_bridge_never_gives_up_by_count_and_functions_do_after_three():
    sources = dict(entities.load(SHIPPED).sources)
    counts = {name: properties.max_delivery_count for name, properties in sources.items()}
    assert {counts[f"automation-{name}/bridge"] for name in ("requests", "invocations", "results", "timers")} == {entities.UNLIMITED}
    assert counts["automation-python/table-summarize"] == counts["automation-powershell/host-inventory"] == 3
    assert sources["automation-powershell/files-retention"].forward_dead_lettered_messages_to == "automation-deadletters"


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
    with pytest.raises(ConfigurationError, match="'Name' appears twice"):
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


def test_an_empty_name_forwards_nowhere_as_in_the_samples_of_microsoft(tmp_path):
    its = load(tmp_path, topic(Properties={"ForwardTo": "", "ForwardDeadLetteredMessagesTo": ""})).topics[0].subscriptions[0].properties
    assert list(its.forwards) == []


def test_a_subscription_with_sessions_does_not_forward(tmp_path):
    properties = {"RequiresSession": True, "ForwardTo": "next"}
    (problem,) = problems(tmp_path, topic(Properties=properties), queues=[{"Name": "next"}])
    assert "orders/all: it has RequiresSession and ForwardTo" in problem


def test_a_message_id_is_remembered_for_ten_minutes_unless_the_file_says_how_long(tmp_path):
    detecting = {"RequiresDuplicateDetection": True}
    window = {"DuplicateDetectionHistoryTimeWindow": "PT30S"}
    queues = [{"Name": "a", "Properties": detecting}, {"Name": "b", "Properties": detecting | window}, {"Name": "c", "Properties": window}]
    loaded = load(tmp_path, queues=queues)
    assert [queue.properties.duplicate_window for queue in loaded.queues] == [timedelta(minutes=10), timedelta(seconds=30), None]


def test_forwarding_must_lead_somewhere(tmp_path):
    (problem,) = problems(tmp_path, topic(Properties={"ForwardDeadLetteredMessagesTo": "grave"}), queues=[{"Name": "graves"}])
    assert "orders/all: ForwardDeadLetteredMessagesTo names 'grave'" in problem
    assert "did you mean 'graves'?" in problem


def test_forwarding_must_not_lead_back(tmp_path):
    found = problems(tmp_path, topic(Properties={"ForwardTo": "next"}), queues=[{"Name": "next", "Properties": {"ForwardTo": "orders"}}])
    assert all("leads back" in problem for problem in found)


def test_a_topic_knows_its_subscriptions(tmp_path):
    loaded = load(tmp_path, {"Name": "orders", "Subscriptions": [{"Name": "a"}, {"Name": "b"}]}, {"Name": "empty"})
    assert [subscription.name for subscription in loaded.subscriptions("orders") or ()] == ["a", "b"]
    assert loaded.subscriptions("empty") == ()
    assert loaded.subscriptions("none") is None


# What a file may cost, and what it may lead to.


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"UserConfig":' + "[" * 50_000 + "]" * 50_000 + "}"])
def test_a_file_that_is_nested_too_deeply_is_refused_in_words(tmp_path, text):
    (tmp_path / "entities.json").write_text(text)
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        entities.load(tmp_path / "entities.json")


@pytest.mark.parametrize("number", ["9" * 100_000, "9" * 4_000, "1e400", "-1e400", "NaN"])
def test_a_number_without_end_is_a_problem_in_words(tmp_path, number):
    (tmp_path / "entities.json").write_text(
        json.dumps({"UserConfig": {"Namespaces": [{"Topics": [topic(Properties={"MaxDeliveryCount": 77_777})]}]}}).replace("77777", number)
    )
    with pytest.raises(ConfigurationError) as refused:
        entities.load(tmp_path / "entities.json")
    assert len(str(refused.value)) < 5_000


def forwarding(levels: int, width: int) -> list[dict[str, Any]]:
    """Topics one behind the other, each with `width` subscriptions that forward to the next one."""
    forwards = [
        {
            "Name": f"level-{level}",
            "Subscriptions": [{"Name": f"s{number}", "Properties": {"ForwardTo": f"level-{level + 1}"}} for number in range(width)],
        }
        for level in range(levels)
    ]
    return [*forwards, topic(f"level-{levels}")]


def test_forwarding_that_multiplies_a_message_is_refused(tmp_path):
    (problem,) = problems(tmp_path, *forwarding(30, 2))
    assert "ForwardTo leads one message to more than 1,000" in problem


def test_forwarding_without_an_end_in_sight_is_refused(tmp_path):
    assert any("ForwardTo leads on more than 32 times" in problem for problem in problems(tmp_path, *forwarding(3_00, 1)))


def test_forwarding_to_a_few_places_is_fine(tmp_path):
    assert load(tmp_path, *forwarding(4, 2))

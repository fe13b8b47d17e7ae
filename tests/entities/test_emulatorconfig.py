from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge import entities
from bridge.entities import Entities
from bridge.entities.emulatorconfig import EmulatorConfig, emulator_config
from tests.entities.emulatorschema import EMULATOR

SHIPPED = Path(__file__).parents[2] / "components" / "servicebus.json"


def config(*, queues: Any = (), topics: Any = (), name: str = "sbemulatorns") -> EmulatorConfig:
    return emulator_config(Entities.model_validate({"Name": name, "Queues": list(queues), "Topics": list(topics)}))


def queue(name: str = "q", **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties}


def test_the_shipped_file_becomes_one_that_the_emulator_takes(tmp_path):
    made = emulator_config(entities.load(SHIPPED))
    assert made.problems == []
    assert "automation-deadletters: MaxDeliveryCount 2147483647 became 10, because the emulator takes 1 to 10" in made.changes
    EMULATOR.validate(made.document)
    file = tmp_path / "Config.json"
    file.write_text(json.dumps(made.document))
    assert all(its.max_delivery_count <= 10 for _, its in entities.load(file).sources)
    assert entities.load(file).names == entities.load(SHIPPED).names


def test_a_topic_without_subscriptions_gets_one():
    made = config(topics=[{"Name": "t"}])
    (topic,) = made.document["UserConfig"]["Namespaces"][0]["Topics"]
    assert [each["Name"] for each in topic["Subscriptions"]] == ["emulator"]
    assert made.changes == ["t: the subscription 'emulator' was added, because the emulator takes no topic without one"]


def test_what_is_within_the_limits_stays_and_nothing_is_named():
    properties = {"MaxDeliveryCount": 3, "LockDuration": "PT1M30S", "DefaultMessageTimeToLive": "PT30M"}
    made = config(queues=[queue(**properties)])
    assert made.changes == made.problems == []
    assert made.document["UserConfig"]["Namespaces"][0]["Queues"][0]["Properties"].items() >= properties.items()


@pytest.mark.parametrize(
    ("field", "value", "fitting"),
    [
        ("LockDuration", "PT6M", "PT5M"),
        ("LockDuration", "PT1S", "PT5S"),
        ("LockDuration", "PT10.5S", "PT11S"),
        ("DefaultMessageTimeToLive", "P10675199DT2H48M5.477S", "PT1H"),
        ("DefaultMessageTimeToLive", "PT1M", "PT5M"),
        ("DuplicateDetectionHistoryTimeWindow", "P7D", "PT5M"),
        ("DuplicateDetectionHistoryTimeWindow", "PT1S", "PT5S"),
        ("MaxDeliveryCount", 2000, 10),
    ],
)
def test_everything_beyond_a_limit_is_changed_and_named(field, value, fitting):
    made = config(queues=[queue(**{"DefaultMessageTimeToLive": "PT1H", field: value})])
    assert made.document["UserConfig"]["Namespaces"][0]["Queues"][0]["Properties"][field] == fitting
    (change,) = made.changes
    assert change.startswith(f"q: {field} {value} became {fitting}, because the emulator takes ")


def test_the_lock_of_a_subscription_lasts_a_minute_at_least():
    subscription = {"Name": "s", "Properties": {"LockDuration": "PT30S", "DefaultMessageTimeToLive": "PT1H"}}
    (change,) = config(topics=[{"Name": "t", "Subscriptions": [subscription]}]).changes
    assert change == "t/s: LockDuration PT30S became PT1M, because the emulator takes PT1M to PT5M"


def test_another_name_of_the_namespace_and_an_hour_of_life_are_named():
    assert [change.partition(" ")[0] for change in config(queues=[queue()], name="other").changes] == ["Name:", "everywhere:"]


def test_rules_stay_as_they_are():
    rules = [
        {"Name": "a", "Properties": {"FilterType": "Correlation", "CorrelationFilter": {"Label": "x", "Properties": {"n": 1}}}},
        {"Name": "b", "Properties": {"FilterType": "Correlation", "CorrelationFilter": {"Label": "x"}}},
        {
            "Name": "c",
            "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "a = 1"}, "Action": {"SqlExpression": "SET a = 2"}},
        },
    ]
    made = config(topics=[{"Name": "t", "Subscriptions": [{"Name": "s", "Rules": rules}]}])
    assert made.document["UserConfig"]["Namespaces"][0]["Topics"][0]["Subscriptions"][0]["Rules"] == rules


def test_what_the_emulator_refuses_is_a_problem():
    rules = [
        {"Name": name, "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "1 = 1"}}}
        for name in ("$Default", *(f"r{number}" for number in range(70)))
    ]
    rules.append({"Name": "all", "Properties": {"FilterType": "Correlation", "CorrelationFilter": {"Label": None}}})
    topic = {"Name": "t", "Subscriptions": [{"Name": f"s{number}", "Rules": [] if number else rules} for number in range(51)]}
    assert config(queues=[queue(f"q{number}") for number in range(50)], topics=[topic]).problems == [
        "there are 51 queues and topics; the emulator takes 50",
        "t: there are 51 subscriptions; the emulator takes 50",
        "t: there are 71 Sql filters; the emulator takes 70",
        "t: the rule '$Default' begins with '$'; the emulator takes names of letters and digits",
        "t: the filter of the rule 'all' names no field; the emulator takes none that is empty",
    ]


@given(st.timedeltas(min_value=timedelta(seconds=5), max_value=timedelta(minutes=5)))
def test_durations_are_written_in_whole_seconds_and_read_back(duration):
    made = config(queues=[queue(LockDuration=f"PT{duration.total_seconds():.6f}S")])
    written = made.document["UserConfig"]["Namespaces"][0]["Queues"][0]["Properties"]["LockDuration"]
    again = Entities.model_validate(made.document["UserConfig"]["Namespaces"][0]).queues[0].properties.lock_duration
    assert "." not in written
    assert timedelta(0) <= again - duration < timedelta(seconds=1)


_names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,6}[A-Za-z0-9])?", fullmatch=True)
_spans = st.builds("P{}DT{}.{}S".format, st.integers(0, 400), st.integers(1, 90_000), st.integers(0, 999))
_counts = st.integers(1, 2**31 - 1)
_filters = st.one_of(
    st.builds(
        lambda fields: {"FilterType": "Correlation", "CorrelationFilter": fields},
        st.dictionaries(st.sampled_from(["Label", "To", "MessageId"]), st.none() | st.text(max_size=3))
        | st.fixed_dictionaries({"Properties": st.dictionaries(_names, st.integers() | st.booleans() | st.text(max_size=3), max_size=2)}),
    ),
    st.just({"FilterType": "Sql", "SqlFilter": {"SqlExpression": "a = 1"}, "Action": {"SqlExpression": "SET a = 2"}}),
)
_rules = st.fixed_dictionaries({"Name": _names | st.just("$Default"), "Properties": _filters})
_delivering = st.fixed_dictionaries(
    {},
    optional={
        "DeadLetteringOnMessageExpiration": st.booleans(),
        "DefaultMessageTimeToLive": _spans,
        "LockDuration": _spans,
        "MaxDeliveryCount": _counts,
        "ForwardTo": st.just(""),
        "RequiresSession": st.booleans(),
    },
)
_subscriptions = st.fixed_dictionaries({"Name": _names, "Properties": _delivering, "Rules": st.lists(_rules, max_size=2)})
_topics = st.fixed_dictionaries(
    {"Name": _names, "Subscriptions": st.lists(_subscriptions, max_size=2)},
    optional={"Properties": st.fixed_dictionaries({"DefaultMessageTimeToLive": _spans, "DuplicateDetectionHistoryTimeWindow": _spans})},
)


@given(st.lists(st.fixed_dictionaries({"Name": _names, "Properties": _delivering}), max_size=2), st.lists(_topics, max_size=2))
def test_whatever_the_entities_are_the_emulator_takes_the_file_or_a_problem_is_named(queues: Any, topics: Any) -> None:
    try:
        made = config(queues=queues, topics=topics)
    except ValidationError:
        return  # the file would be refused where it is read
    assert made.problems or EMULATOR.is_valid(made.document), made.document

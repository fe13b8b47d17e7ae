"""The entities on Azure are those of the one list, and a list that Service Bus would refuse is refused before anything is made."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge import entities
from tests.deploy import bicep
from tests.deploy.bicep import Bicep, Json, Refused
from tests.deploy.conftest import Expand
from tests.deploy.deployment import Deployment
from tests.sharedtools import CHECKOUT

SHIPPED = CHECKOUT / "components" / "servicebus.json"
NOTHING = {"filterType": "SqlFilter", "sqlFilter": {"sqlExpression": "1=0"}}
EVERYTHING: Json = {
    "Queues": [
        {"Name": "automation-deadletters", "Properties": {"MaxDeliveryCount": 2147483647, "ForwardTo": ""}},
        {"Name": "first", "Properties": {"ForwardTo": "automation-deadletters", "DefaultMessageTimeToLive": "P10675199DT2H48M5.4775807S"}},
        {"Name": "plain"},
    ],
    "Topics": [
        {"Name": "automation-results"},
        {
            "Name": "work",
            "Properties": {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT10M"},
            "Subscriptions": [
                {"Name": "sessions", "Properties": {"RequiresSession": True, "LockDuration": "PT5M"}},
                {"Name": "bridge", "Properties": {"ForwardTo": "first", "DeadLetteringOnMessageExpiration": True}},
                {
                    "Name": "chosen",
                    "Rules": [
                        {
                            "Name": "large",
                            "Properties": {
                                "FilterType": "Sql",
                                "SqlFilter": {"SqlExpression": "Size > 3"},
                                "Action": {"SqlExpression": "SET Seen = 1"},
                            },
                        },
                        {
                            "Name": "mine",
                            "Properties": {
                                "FilterType": "Correlation",
                                "CorrelationFilter": {"ContentType": "text/csv", "Properties": {"Owner": "me", "lower": "x"}},
                            },
                        },
                    ],
                },
            ],
        },
    ],
}


def camel(properties: Json) -> Json:
    return {name[0].lower() + name[1:]: value for name, value in properties.items() if value != ""}


def rule(properties: Json) -> Json:
    parts = {part: camel(value) for part, value in properties.items() if isinstance(value, dict)}
    return camel({"FilterType": properties["FilterType"] + "Filter", **parts})


def wanted(listed: Json) -> dict[str, Json]:
    """The entities of a list as Azure writes them, by their path."""
    found = {each["Name"]: camel(each.get("Properties", {})) for each in listed.get("Queues", []) + listed["Topics"]}
    for topic in listed["Topics"]:
        for subscription in topic.get("Subscriptions", []):
            path = f"{topic['Name']}/{subscription['Name']}"
            rules = subscription.get("Rules", [])
            found[path] = camel(subscription.get("Properties", {}))
            found |= {f"{path}/$Default": NOTHING} if rules else {}
            found |= {f"{path}/{each['Name']}": rule(each["Properties"]) for each in rules}
    return found


def listed_in(file: Path) -> Json:
    namespace: Json = json.loads(file.read_text())["UserConfig"]["Namespaces"][0]
    return namespace


@pytest.fixture
def expand_list(compiler: Bicep, tmp_path: Path) -> Callable[[Json], Deployment]:
    """What the module of the namespace makes of a list; it takes the compiler a fraction of the whole template."""

    def expanded(listed: Json) -> Deployment:
        (tmp_path / "servicebus.json").write_text(json.dumps({"UserConfig": {"Namespaces": [listed]}}))
        template = os.path.relpath(bicep.AZURE / "modules" / "servicebus.bicep", tmp_path)
        file = tmp_path / "servicebus.bicepparam"
        file.write_text(
            f"using '{template}'\nparam name = 'bridge'\nparam location = 'westeurope'\nparam sku = 'Standard'\n"
            "param list = loadJsonContent('servicebus.json').UserConfig.Namespaces[0]\n"
        )
        return Deployment(compiler.expand(file))

    return expanded


def test_every_entity_of_the_list_is_made_with_its_properties_and_no_other(shipped: Deployment) -> None:
    assert shipped.entities == wanted(listed_in(SHIPPED))
    named = entities.load(SHIPPED)
    assert {*named.names, *(name for name, _ in named.sources)} <= shipped.entities.keys()


def test_every_field_that_a_list_may_have_reaches_azure(expand_list: Callable[[Json], Deployment]) -> None:
    assert expand_list(EVERYTHING).entities == wanted(EVERYTHING)


def at(*path: Any, value: Any) -> Callable[[Json], None]:
    """Sets what is at the path, which leads through names of fields and positions."""

    def change(listed: Json) -> None:
        place: Any = listed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


WORK = ("Topics", 1)
CHOSEN = (*WORK, "Subscriptions", 2)
RULE = (*CHOSEN, "Rules", 0, "Properties")
BROKEN: dict[str, tuple[Callable[[Json], None], str, str]] = {
    "an unknown field of the list": (at("Topic", value=[]), '"Topic"', "is not allowed"),
    "an unknown field of a queue": (
        at("Queues", 0, "Properties", "MaxDeliverCount", value=3),
        "Queues[0].Properties'",
        "'MaxDeliverCount'",
    ),
    "an unknown field of a topic": (at(*WORK, "Propertys", value={}), "Topics[1]'", "'Propertys'"),
    "an unknown field of a subscription": (at(*CHOSEN, "Properties", value={"Lock": "PT1M"}), "Subscriptions[2].Properties'", "'Lock'"),
    "a queue without a name": (at("Queues", 0, value={}), "Queues[0]'", "'Name'"),
    "an empty name": (at("Queues", 2, "Name", value=""), "Queues[2].Name'", "Length"),
    "a name of 51 characters": (at(*CHOSEN, "Name", value="x" * 51), "Subscriptions[2].Name'", "Length"),
    "a name with a slash": (at("Queues", 2, "Name", value="a/b"), '"a/b":', "letters, digits"),
    "a name with a blank": (at(*CHOSEN, "Name", value="a b"), '"a b":', "letters, digits"),
    "a name that ends with a dot": (at(*WORK, "Name", value="work."), '"work.":', "letters, digits"),
    "text where a number belongs": (
        at("Queues", 0, "Properties", "MaxDeliveryCount", value="3"),
        "Properties.MaxDeliveryCount'",
        "'String'",
    ),
    "no delivery at all": (at("Queues", 0, "Properties", "MaxDeliveryCount", value=0), "Properties.MaxDeliveryCount'", "1"),
    "an unknown kind of filter": (at(*RULE, "FilterType", value="SQL"), "Rules[0].Properties.FilterType'", "'SQL'"),
    "a filter of the other kind": (at(*RULE, "FilterType", value="Correlation"), "Rules[0].Properties'", "CorrelationFilter"),
    "two filters": (at(*RULE, "CorrelationFilter", value={"Label": "x"}), "Rules[0].Properties'", "'CorrelationFilter'"),
    "an unknown field of a filter": (
        at(*CHOSEN, "Rules", 1, "Properties", "CorrelationFilter", value={"Subject": "x"}),
        "Rules[1].Properties.CorrelationFilter'",
        "'Subject'",
    ),
    "a filter of no field": (at(*CHOSEN, "Rules", 1, "Properties", "CorrelationFilter", value={}), "work/chosen, rule mine:", "no field"),
    "an unknown target": (at("Queues", 1, "Properties", "ForwardTo", value="nowhere"), "first:", "ForwardTo names nowhere"),
    "an unknown target of dead letters": (
        at(*CHOSEN, "Properties", value={"ForwardDeadLetteredMessagesTo": "automation-deadletter"}),
        "work/chosen:",
        "ForwardDeadLetteredMessagesTo names automation-deadletter,",
    ),
    "a queue and a topic of one name": (at("Queues", 2, "Name", value="WORK"), "work:", "more than one queue or topic"),
    "two subscriptions of one name": (at(*CHOSEN, "Name", value="Bridge"), "bridge:", "more than one subscription of work"),
    "two rules of one name": (at(*CHOSEN, "Rules", 1, "Name", value="Large"), "large:", "more than one rule of work/chosen"),
    "forwarding from sessions": (
        at(*WORK, "Subscriptions", 0, "Properties", "ForwardTo", value="first"),
        "work/sessions:",
        "RequiresSession",
    ),
    "a lock of more than five minutes": (at(*CHOSEN, "Properties", value={"LockDuration": "PT5M1S"}), "work/chosen:", "is PT5M1S"),
    "a lock of days": (
        at(*CHOSEN, "Properties", value={"LockDuration": "P10675199DT2H48M5.4775807S"}),
        "work/chosen:",
        "the longest is PT5M",
    ),
    "a circle": (at("Queues", 0, "Properties", "ForwardTo", value="work"), "automation-deadletters:", "in a circle"),
    "an entity that forwards to itself": (at("Queues", 2, "Properties", value={"ForwardTo": "Plain"}), "plain:", "in a circle"),
    "a target that is made later": (at("Queues", 0, "Properties", "ForwardTo", value="plain"), "automation-deadletters:", "move it up"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_list_is_refused_with_the_place(name: str, expand_list: Callable[[Json], Deployment]) -> None:
    change, place, problem = BROKEN[name]
    listed = copy.deepcopy(EVERYTHING)
    change(listed)
    with pytest.raises(Refused) as refused:
        expand_list(listed)
    assert place in str(refused.value)
    assert problem in str(refused.value)


def test_what_is_no_duration_is_refused_with_the_place(expand_list: Callable[[Json], Deployment]) -> None:
    wrong = ["7 days", "P", "PT", "PT0S", "P1M", "1M", "PT1", "PT1D", "PTT1S", "PT1ST", "P1DT", "pt1m", "P-1D"]
    topics = [{"Name": f"t{at}", "Properties": {"DefaultMessageTimeToLive": text}} for at, text in enumerate(wrong)]
    with pytest.raises(Refused) as refused:
        expand_list({"Topics": topics})
    for at, text in enumerate(wrong):
        assert f" t{at}: DefaultMessageTimeToLive is {text}, which is not a duration" in str(refused.value)


def test_all_problems_are_told_at_once(expand_list: Callable[[Json], Deployment]) -> None:
    queues = [{"Name": "first", "Properties": {"ForwardTo": "nowhere", "LockDuration": "PT6M"}}, {"Name": "FIRST"}]
    with pytest.raises(Refused, match=r"first: more than one queue.*first: ForwardTo names nowhere.*first: LockDuration is PT6M"):
        expand_list({"Queues": queues})


def test_access_to_what_is_not_in_the_list_is_refused_with_its_owner(expand: Expand) -> None:
    sender = "param applications = [{ name: 'orders', kubernetesNamespace: 'default', sends: ['automation-request'], receives: [] }]"
    with pytest.raises(Refused, match="orders: automation-request is not in"):
        expand(sender)
    receiver = (
        "param applications = [{ name: 'orders', kubernetesNamespace: 'default', sends: [], receives: ['automation-replies/orders'] }]"
    )
    with pytest.raises(Refused, match="orders: automation-replies/orders is not in"):
        expand(receiver)

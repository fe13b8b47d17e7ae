"""The components that ship fit the adapter and the list of entities."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bridge import entities, events
from bridge.adapters.dapr import Connection
from bridge.adapters.dapr.deliveries import ROUTE
from tests.dapr.sidecar import COMPONENTS

SETS = ["local", "redis"]


def documents(name: str, kind: str) -> list[dict]:
    paths = sorted((COMPONENTS / name).glob("*.yaml"))
    return [each for path in paths for each in yaml.safe_load_all(path.read_text()) if each["kind"] == kind]


@pytest.mark.parametrize("name", SETS)
def test_every_source_the_bridge_reads_has_a_subscription(name):
    listed = entities.load(Path(COMPONENTS / "servicebus.json"))
    sources = {source for source, _ in listed.sources if source.endswith("/bridge") or source == events.DEADLETTERS}
    assert {each["spec"]["routes"]["default"] for each in documents(name, "Subscription")} == {ROUTE + source for source in sources}


@pytest.mark.parametrize("name", SETS)
def test_each_subscription_is_raw_and_leads_to_its_own_topic(name):
    for each in documents(name, "Subscription"):
        spec = each["spec"]
        assert spec["metadata"]["rawPayload"] == "true"
        assert spec["topic"] == spec["routes"]["default"].removeprefix(ROUTE).partition("/")[0]
        assert "deadLetterTopic" not in spec


@pytest.mark.parametrize("name", SETS)
def test_the_components_have_the_names_the_adapter_looks_for(name):
    connection = Connection("", 0, "")
    kinds = {each["metadata"]["name"]: each["spec"]["type"].partition(".")[0] for each in documents(name, "Component")}
    assert kinds == {connection.bus: "pubsub", connection.store: "state"}


@pytest.mark.parametrize("name", SETS)
def test_what_could_not_be_taken_comes_again_without_an_end(name):
    (resiliency,) = documents(name, "Resiliency")
    policies, targets = resiliency["spec"]["policies"], resiliency["spec"]["targets"]["components"]
    inbound = targets["bus"]["inbound"]
    # Dapr ends an exponential policy after 15 minutes; a breaker or timeout there does harm of its own.
    assert list(inbound) == ["retry"]
    assert policies["retries"][inbound["retry"]] == {"policy": "constant", "duration": "1s", "maxRetries": -1}
    for target in targets.values():
        assert list(target["outbound"]) == ["timeout"]
        assert target["outbound"]["timeout"] in policies["timeouts"]


@pytest.mark.parametrize("name", SETS)
def test_only_the_bridge_may_use_them(name):
    for kind in ("Component", "Subscription", "Resiliency"):
        assert all(each["scopes"] == ["automation-bridge"] for each in documents(name, kind))
